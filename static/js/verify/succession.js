/**
 * The log's keys that a reader accepts: those of its policy, and those that they passed on to. Steps
 * 5a and 5b of docs/formats.md section 10. Twin of provenance/domain/succession.py and
 * provenance/verify/succession.py.
 *
 *     prov/log-key-succession/v1
 *     <origin>
 *     <old verifier key>
 *     <new verifier key>
 *
 * The notes are gone through once, in their order. One that passes on a key which the reader does not
 * accept is passed over: a policy that already has the new key need not have the old one.
 */

import { equal, utf8 } from './bytes.js';
import { verifyEd25519 } from './ed25519.js';
import { ProofError, RefusedError } from './errors.js';
import { requireThat } from './form.js';
import { ED25519, isLineOf, parseNote, parseVerifierKey } from './note.js';

const LABEL = 'prov/log-key-succession/v1';

const isSameName = (key, other) => key.name === other.name && key.id === other.id;
const isSameKey = (key, other) =>
  key.name === other.name && key.kind === other.kind && equal(key.publicKey, other.publicKey);

/** `{oldKey, newKey}`; throws ProofError. Two keys under one id could not be told apart in lines. */
function parseSuccession(text, origin) {
  const lines = text.split('\n');
  requireThat(lines.length === 5 && lines[0] === LABEL && lines[4] === '', 'the four lines of a succession');
  const [oldKey, newKey] = [parseVerifierKey(lines[2]), parseVerifierKey(lines[3])];
  requireThat(lines[1] === origin, 'a succession of this log');
  requireThat([oldKey, newKey].every((key) => key.name === origin && key.kind === ED25519), 'Ed25519 keys of this log');
  requireThat(oldKey.id !== newKey.id, 'two different keys');
  return { oldKey, newKey };
}

/** Step 5a. */
function read(text, origin, place) {
  try {
    const note = parseNote(text);
    return { note, ...parseSuccession(note.text, origin) };
  } catch (error) {
    if (error instanceof ProofError) throw new RefusedError('succession-malformed', place);
    throw error;
  }
}

/** Step 5b: a good line by both keys, and none by either that is bad. */
async function verify({ note, oldKey, newKey }, place, engine) {
  const signed = new Set();
  for (const line of note.signatures) {
    const key = [oldKey, newKey].find((known) => isLineOf(known, line));
    if (key) {
      const isGood = await verifyEd25519(engine, key.publicKey, utf8(note.text), line.signature);
      if (!isGood) throw new RefusedError('succession-signature', place);
      signed.add(key.id);
    }
  }
  if (signed.size !== 2) throw new RefusedError('succession-signature', place);
}

/** `{policy, places}`: the policy with the keys passed on to, and where the notes stand that counted. */
export async function acceptSuccessors(notes, origin, policy, engine) {
  const places = [];
  let accepted = policy;
  for (let i = 0; i < notes.length; i += 1) {
    const place = `succession[${i}]`;
    const succession = read(notes[i], origin, place);
    const { oldKey, newKey } = succession;
    const isNew = !accepted.keys().some((key) => isSameName(key, newKey));
    if (isNew && accepted.logs.some((log) => isSameKey(log, oldKey))) {
      await verify(succession, place, engine);
      accepted = accepted.withLog(newKey);
      places.push(place);
    }
  }
  return { policy: accepted, places };
}
