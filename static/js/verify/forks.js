/**
 * Evidence that a log has forked: two states that it signed and that cannot both be. The form is that
 * of docs/formats.md section 8; step 6a of section 10 says when it is asked for. Twin of
 * provenance/domain/fork.py and provenance/verify/forks.py.
 *
 * Evidence that proves nothing is passed over: anybody may make such a thing up, and it must not turn a
 * reader red.
 */

import { decodeBase64 } from './base64.js';
import { equal, utf8 } from './bytes.js';
import { parseCheckpoint } from './checkpoint.js';
import { verifyEd25519 } from './ed25519.js';
import { KnownError, MalformedJsonError, ProofError, RefusedError } from './errors.js';
import { requireHashes, requireMembers, requireThat } from './form.js';
import { isObject, parse } from './json.js';
import { verifyConsistency } from './merkle.js';
import { ED25519, isLineOf, parseNote } from './note.js';

const MEMBERS = ['v', 'type', 'origin', 'first', 'second', 'root', 'proof'];
const MAX_KNOWN_BYTES = 1048576;

/** Evidence of a JSON value: `{origin, first, second, root, proof}`; throws ProofError. */
export function readFork(value) {
  requireMembers(value, MEMBERS);
  requireThat(value.v === 1 && value.type === 'prov:ForkEvidence', 'fork evidence');
  requireThat([value.origin, value.first, value.second].every((text) => typeof text === 'string'), 'strings');
  const root = value.root === null ? null : decodeBase64(value.root, 32);
  return { origin: value.origin, first: value.first, second: value.second, root, proof: requireHashes(value.proof) };
}

/** The checkpoint of a note that the log signed; throws ProofError. Only its Ed25519 lines count. */
export async function openState(text, origin, policy, engine) {
  const note = parseNote(text);
  let isSigned = false;
  for (const line of note.signatures) {
    const key = policy.logs.find((log) => log.name === origin && log.kind === ED25519 && isLineOf(log, line));
    if (key) {
      isSigned = await verifyEd25519(engine, key.publicKey, utf8(note.text), line.signature);
      if (!isSigned) break;
    }
  }
  requireThat(isSigned, `a good signature of ${origin}`);
  const checkpoint = parseCheckpoint(note.text);
  requireThat(checkpoint.origin === origin, `a checkpoint of ${origin}`);
  return checkpoint;
}

/** Returns nothing; throws ProofError unless both states are the log's and conflict. */
async function verifyFork({ origin, first, second, root, proof }, policy, engine) {
  const before = await openState(first, origin, policy, engine);
  const after = await openState(second, origin, policy, engine);
  requireThat(before.size > 0 && before.size <= after.size, 'sizes above 0 in rising order');
  if (before.size === after.size) {
    requireThat(root === null && !proof.length && !equal(before.root, after.root), 'two roots and no proof');
    return;
  }
  requireThat(root !== null, 'the root of the beginning');
  verifyConsistency(before.size, after.size, root, after.root, proof);
  requireThat(!equal(root, before.root), 'a second state that does not continue the first');
}

async function showsFork(item, checkpoint, policy, engine) {
  try {
    if (typeof item === 'string') {
      const seen = await openState(item, checkpoint.origin, policy, engine);
      return seen.size === checkpoint.size && !equal(seen.root, checkpoint.root);
    }
    await verifyFork(item, policy, engine);
    return item.origin === checkpoint.origin;
  } catch (error) {
    if (error instanceof ProofError) return false;
    throw error;
  }
}

/** Step 6a: RefusedError if anything told in the bundle, or known to the reader, shows a fork. */
export async function refuseForked(told, known, checkpoint, policy, engine) {
  const items = [
    ...told.map((item, i) => [`forks[${i}]`, item]),
    ...known.map((item, i) => [`known[${i}]`, item]),
  ];
  for (const [place, item] of items) {
    if (await showsFork(item, checkpoint, policy, engine)) throw new RefusedError('log-forked', place);
  }
}

/**
 * What a reader's own file holds, for `known`: a signed note, evidence, or a JSON list of both. Throws
 * KnownError; a note is not looked into.
 */
export function parseKnown(bytes) {
  try {
    const text = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
    if (!/^[\t-\r ]*[{[]/.test(text)) return [text];
    const value = parse(bytes, { maxBytes: MAX_KNOWN_BYTES });
    return (isObject(value) ? [value] : value).map((item) => (typeof item === 'string' ? item : readFork(item)));
  } catch (error) {
    const isOurs = error instanceof ProofError || error instanceof MalformedJsonError || error instanceof TypeError;
    if (!isOurs) throw error;
    throw new KnownError(`known states of a log: ${error.message}`);
  }
}
