/**
 * What this phone remembers of a log: the newest checkpoint that it verified. A log may only grow; so
 * at the next visit its new state must begin with the remembered one. If it does not, the log has
 * shown two readers two histories, and the two signed notes are the evidence (docs/formats.md,
 * "Evidence of a fork").
 *
 * Storage may be missing or refuse: then every visit is a first one.
 */

import { decodeBase64, encodeBase64 } from '../verify/base64.js';
import { equal } from '../verify/bytes.js';
import { parseCheckpoint } from '../verify/checkpoint.js';
import { ProofError } from '../verify/errors.js';
import { verifyConsistency } from '../verify/merkle.js';
import { parseNote } from '../verify/note.js';

const NAME = 'provenance.checkpoint.v1';
const MAX_PROOF = 128;

const key = (origin) => `${NAME} ${origin}`;

const read = (note) => parseCheckpoint(parseNote(note).text);

/** The note remembered for this log, or null. */
export function recall(storage, origin) {
  try {
    const note = storage.getItem(key(origin));
    return note !== null && read(note).origin === origin ? note : null;
  } catch (error) {
    return null;
  }
}

/** Keep a verified note, unless a larger one is kept already. */
export function remember(storage, origin, note) {
  try {
    const kept = recall(storage, origin);
    if (kept === null || read(kept).size < read(note).size) storage.setItem(key(origin), note);
  } catch (error) {
    // A phone that keeps nothing is a phone on its first visit.
  }
}

/** A ForkEvidence of two notes, the smaller one first. */
function evidence(origin, first, second, root, proof) {
  return { v: 1, type: 'prov:ForkEvidence', origin, first, second, root: root && encodeBase64(root), proof: proof.map((hash) => encodeBase64(hash)) };
}

/** What the server answered: the root of the larger state's tree at the smaller size, and the proof. */
function readAnswer({ root, proof }) {
  if (typeof root !== 'string' || !Array.isArray(proof) || proof.length > MAX_PROOF) throw new ProofError('no consistency proof');
  return { root: decodeBase64(root, 32), proof: proof.map((hash) => decodeBase64(hash, 32)) };
}

function isProved(small, large, root, proof) {
  try {
    verifyConsistency(small.size, large.size, root, large.root, proof);
    return true;
  } catch (error) {
    if (error instanceof ProofError) return false;
    throw error;
  }
}

/**
 * The remembered note beside the one that was verified just now (both signed by the log).
 * `fetchProof(from, to)` gives the server's answer as JSON, or throws where it has none.
 *
 * `{state}`: `grown` (or the same), `older` (the server shows less than this phone has seen), `forked`
 * (with `evidence`), `unproven` (an answer that proves nothing), `unavailable`.
 */
export async function compare(seenNote, note, fetchProof) {
  const [seen, now] = [read(seenNote), read(note)];
  if (seen.size === now.size) {
    if (equal(seen.root, now.root)) return { state: 'grown' };
    return { state: 'forked', evidence: evidence(now.origin, seenNote, note, null, []) };
  }
  const isOlder = now.size < seen.size;
  const [small, large] = isOlder ? [now, seen] : [seen, now];
  let answer;
  try {
    answer = await fetchProof(small.size, large.size);
  } catch (error) {
    return { state: isOlder ? 'older' : 'unavailable' };
  }
  try {
    const { root, proof } = readAnswer(answer);
    if (!isProved(small, large, root, proof)) return { state: isOlder ? 'older' : 'unproven' };
    if (equal(small.root, root)) return { state: isOlder ? 'older' : 'grown' };
    const notes = isOlder ? [note, seenNote] : [seenNote, note];
    return { state: 'forked', evidence: evidence(now.origin, ...notes, root, proof) };
  } catch (error) {
    if (error instanceof ProofError) return { state: 'unproven' };
    throw error;
  }
}
