/**
 * Authentic: steps 29 to 33 of docs/formats.md section 10. Is every seal signed by the key that it
 * names, and might that key speak for that party then, in a role?
 */

import { ProofError, RefusedError } from './errors.js';
import { isPartyEvent } from './event.js';
import { applyPartyEvent, KeyRefusedError, operatorUri } from './party.js';
import { verifySeal } from './seal.js';

/** Steps 29 to 31 for one seal. */
async function checkSeal(seal, place, origin, present, engine) {
  if (seal.origin !== origin) throw new RefusedError('seal-foreign-log', place);
  if (!present.has(seal.party)) throw new RefusedError('party-missing', place);
  try {
    await verifySeal(seal, engine);
  } catch (error) {
    if (error instanceof ProofError) throw new RefusedError('seal-signature', place);
    throw error;
  }
}

/** All seals, then the events that are their own seals, in order. */
export async function checkSeals(bundle, events, origin, engine) {
  const present = new Set(bundle.subjects.filter((subject) => subject.present).map(({ uri }) => uri));
  for (let i = 0; i < bundle.seals.length; i += 1) {
    await checkSeal(bundle.seals[i], `seals[${i}]`, origin, present, engine);
  }
  for (const { seal, index } of events) {
    if (bundle.events[index].seal === null) await checkSeal(seal, `events[${index}]`, origin, present, engine);
  }
}

/**
 * Step 32 for one party's chain; the party, with `operator` null while that is the operator's own. A
 * party event takes effect once: a log that links one again would bring back an accreditation that was
 * withdrawn, under the operator's old signature.
 */
async function replay({ links, place }, events, { origin, operator, engine }) {
  let party = null;
  const seen = new Set();
  for (let j = 0; j < links.length; j += 1) {
    const { document, seal } = events.get(links[j].event);
    if (isPartyEvent(document)) {
      if (seen.has(links[j].event)) throw new RefusedError('party-history', `${place}.links[${j}]`);
      seen.add(links[j].event);
      try {
        party = await applyPartyEvent(party, document, {
          signer: seal.party, key: seal.key, at: links[j].time, seq: j, origin, engine, operator: operator || party,
        });
      } catch (error) {
        const reason = error instanceof KeyRefusedError ? error.code : 'party-history';
        if (!(error instanceof KeyRefusedError || error instanceof ProofError)) throw error;
        throw new RefusedError(reason, `${place}.links[${j}]`);
      }
    }
  }
  return party;
}

/** Step 32: every party of the bundle by URI, the operator's history first. */
export async function replayParties(subjects, events, origin, engine) {
  const byHash = new Map(events.map((event) => [event.hashText, event]));
  const chains = subjects
    .map(({ uri, links }, i) => ({ uri, links, place: `subjects[${i}]` }))
    .filter(({ links }) => links.some((link) => isPartyEvent(byHash.get(link.event).document)));
  const uri = operatorUri(origin);
  const own = chains.find((chain) => chain.uri === uri);
  if (!own) throw new RefusedError('party-missing', uri);
  const operator = await replay(own, byHash, { origin, operator: null, engine });
  const parties = new Map([[uri, operator]]);
  for (const chain of chains) {
    if (chain !== own) parties.set(chain.uri, await replay(chain, byHash, { origin, operator, engine }));
  }
  return parties;
}

/** The standing of an event's key by its signer's whole history; throws KeyRefusedError. */
function judgeSigner({ seal, ledgerTime }, parties) {
  const signer = parties.get(seal.party);
  if (!signer) throw new KeyRefusedError('key-unknown');
  return signer.judgeKey(seal.key, ledgerTime);
}

/** Step 33 for every event; adds `standing`, "stands" or "doubtful", to each. */
export function checkSigners(events, parties) {
  events.forEach((event) => {
    const place = `events[${event.index}]`;
    try {
      event.standing = judgeSigner(event, parties);
    } catch (error) {
      if (error instanceof KeyRefusedError) throw new RefusedError(error.code, place);
      throw error;
    }
    if (isPartyEvent(event.document)) return;
    if (!parties.get(event.seal.party).rolesAt(event.ledgerTime).length) {
      throw new RefusedError('party-not-accredited', place);
    }
  });
}
