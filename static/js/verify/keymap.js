/**
 * Proofs of the Merkle-Patricia map (the documented format of filippo.io/torchwood/mpt). Twin of
 * merkle/keymap.py, verifying only; what a key and a value mean is the caller's business.
 *
 * Keys and values are 32 bytes. Bit b of a key counts from the top bit of byte 0. A proof is steps
 * `varint(b) ‖ sibling` from the leaf up, b strictly falling, used up exactly. Padded varints
 * (`8000`) and other lengths than 32 are refused, so that one claim has one proof.
 */

import { concat, equal } from './bytes.js';
import { ProofError } from './errors.js';
import { EMPTY_ROOT } from './merkle.js';
import { sha256 } from './sha256.js';

const SIZE = Uint8Array.of(32);

/** Unsigned LEB128 of a bit number in [0, 256). */
const varint = (b) => (b < 128 ? Uint8Array.of(b) : Uint8Array.of((b & 127) | 128, b >> 7));

const bitOf = (key, b) => (key[b >> 3] >> (7 - (b & 7))) & 1;
const entryHash = (key, value) => sha256(concat(Uint8Array.of(0), SIZE, key, SIZE, value));
const innerHash = (b, left, right) => sha256(concat(Uint8Array.of(1), varint(b), left, right));

/** [{bit, sibling}] of the proof's bytes, lowest node first; throws ProofError. */
function readSteps(proof) {
  const steps = [];
  let [offset, above] = [0, 256];
  while (offset < proof.length) {
    let bit = proof[offset];
    offset += 1;
    if (bit >= 128) {
      // Two bytes spell 128..255 only: anything else is padded, too big, or cut off.
      if (proof[offset] !== 1) throw new ProofError('the map proof has a malformed bit number');
      offset += 1;
    }
    const sibling = proof.subarray(offset, offset + 32);
    if (sibling.length !== 32) throw new ProofError('the map proof is cut off');
    if (bit >= above) throw new ProofError('the map proof does not climb');
    offset += 32;
    above = bit;
    steps.push({ bit, sibling });
  }
  return steps;
}

function climb(key, value, steps) {
  return steps.reduce(
    (hash, { bit, sibling }) => (bitOf(key, bit) ? innerHash(bit, sibling, hash) : innerHash(bit, hash, sibling)),
    entryHash(key, value),
  );
}

function need32(...values) {
  if (values.some((value) => value.length !== 32)) throw new ProofError('a map key or value is not 32 bytes long');
}

/** Returns nothing; throws ProofError unless the map under `root` gives `key` this `value`. */
export function verifyPresence(root, key, value, proof) {
  need32(root, key, value);
  if (!equal(climb(key, value, readSteps(proof)), root)) {
    throw new ProofError('the map proof leads to another root');
  }
}

/** Returns nothing; throws ProofError unless the map under `root` does not have `key`. */
export function verifyAbsence(root, key, proof) {
  need32(root, key);
  if (!proof.length) {
    if (!equal(root, EMPTY_ROOT)) throw new ProofError('an empty proof under a map that is not empty');
    return;
  }
  const [otherKey, otherValue] = [proof.subarray(1, 33), proof.subarray(34, 66)];
  if (proof.length < 66 || proof[0] !== 32 || proof[33] !== 32) {
    throw new ProofError('the absence proof does not start with another entry');
  }
  if (equal(otherKey, key)) throw new ProofError('the absence proof shows the key itself');
  const steps = readSteps(proof.subarray(66));
  // The search for `key` ends at the other entry only if both agree at every branch on the way.
  if (steps.some(({ bit }) => bitOf(key, bit) !== bitOf(otherKey, bit))) {
    throw new ProofError('the absence proof is for another search');
  }
  if (!equal(climb(otherKey, otherValue, steps), root)) {
    throw new ProofError('the map proof leads to another root');
  }
}
