/**
 * Unaltered: steps 21 to 28 of docs/formats.md section 10. Are the events the ones that were sealed,
 * is each on the chains of its subjects, and is no event of a chain left out?
 */

import { encodeBase64 } from './base64.js';
import { applyDisclosures } from './disclosure.js';
import { RefusedError } from './errors.js';
import { readEvent } from './event.js';
import { requireThat } from './form.js';
import { verifyInclusion } from './merkle.js';
import { orRefuse } from './published.js';
import { readOwnProof } from './seal.js';

/** Steps 21 to 23 for one event: what event.js reads, with its `seal`, `index` and hash as text. */
function checkEvent(item, index, seals) {
  const place = `events[${index}]`;
  const event = orRefuse('event-malformed', place, () => {
    const read = { ...readEvent(item.document), index };
    read.hashText = encodeBase64(read.hash);
    read.seal = item.seal === null ? readOwnProof(item.document, read.hashText) : seals[item.seal];
    return read;
  });
  orRefuse('event-altered', place, () => {
    if (item.seal === null) requireThat(item.path.length === 0 && item.leaf === 0, 'no path beside an own proof');
    else verifyInclusion(event.hash, item.leaf, event.seal.size, item.path, event.seal.root);
  });
  orRefuse('disclosure-unmatched', place, () => applyDisclosures(item.document, item.disclosures));
  return event;
}

/** Steps 25 to 27 for one link. */
function checkLink(link, subject, byHash, place) {
  const event = byHash.get(link.event);
  if (!event) throw new RefusedError('event-missing', place);
  if (event.seal.hash !== link.seal) throw new RefusedError('seal-mismatch', place);
  if (!event.subjects.includes(subject.uri)) throw new RefusedError('event-not-about-subject', place);
}

/** Step 28: an event stands on the chain of each of its subjects that the bundle has. */
function checkChains(event, subjects) {
  event.subjects.forEach((uri) => {
    const subject = subjects.get(uri);
    if (subject && !subject.hashes.has(event.hashText)) {
      throw new RefusedError('event-missing-on-chain', `events[${event.index}]`);
    }
  });
}

/**
 * The events in bundle order, each with `{document, hash, hashText, subjects, time, seal, index}` and
 * `ledgerTime`, `ledgerTimeText` of the first link that carries it.
 */
export function checkUnaltered({ subjects, seals, events }) {
  const firstLinks = new Map();
  subjects.forEach(({ links }) => links.forEach((link) => {
    if (!firstLinks.has(link.event)) firstLinks.set(link.event, link);
  }));
  const byHash = new Map();
  const read = events.map((item, i) => {
    const event = checkEvent(item, i, seals);
    const link = firstLinks.get(event.hashText);
    if (!link || byHash.has(event.hashText)) throw new RefusedError('event-unlinked', `events[${i}]`);
    byHash.set(event.hashText, event);
    return Object.assign(event, { ledgerTime: link.time, ledgerTimeText: link.timeText });
  });
  subjects.forEach((subject, i) => subject.links.forEach((link, j) => {
    checkLink(link, subject, byHash, `subjects[${i}].links[${j}]`);
  }));
  const chains = new Map(subjects.map(({ uri, links }) => [uri, { hashes: new Set(links.map((link) => link.event)) }]));
  read.forEach((event) => checkChains(event, chains));
  return read;
}
