/**
 * Hashes and inclusion proofs of RFC 9162 §2.1 (the RFC 6962 tree). Twin of merkle/hashing.py and
 * merkle/proofs.py; which bytes are an entry is the caller's business.
 *
 * Every hash is exactly 32 bytes, the index lies in the tree, and a proof is used up: no more, no
 * less. Sizes are Numbers up to 2^53 − 1, so halving is done by division and never by `>>`.
 */

import { concat, equal } from './bytes.js';
import { ProofError } from './errors.js';
import { sha256 } from './sha256.js';

/** §2.1.1: H("") */
export const EMPTY_ROOT = sha256(new Uint8Array(0));

/** §2.1.1: H(0x00 ‖ entry) */
export const leafHash = (entry) => sha256(concat(Uint8Array.of(0), entry));

/** §2.1.1: H(0x01 ‖ left ‖ right) */
export const nodeHash = (left, right) => sha256(concat(Uint8Array.of(1), left, right));

const half = (n) => Math.floor(n / 2);
const isOdd = (n) => n % 2 === 1;

function need32(hashes) {
  if (hashes.some((hash) => hash.length !== 32)) throw new ProofError('a hash is not 32 bytes long');
}

/** §2.1.1: the root over leaf hashes, built by carrying an odd one up unchanged. */
export function rootOf(leafHashes) {
  if (!leafHashes.length) return EMPTY_ROOT;
  let level = leafHashes;
  while (level.length > 1) {
    const above = [];
    for (let i = 0; i < level.length; i += 2) {
      above.push(i + 1 < level.length ? nodeHash(level[i], level[i + 1]) : level[i]);
    }
    level = above;
  }
  return level[0];
}

/** §2.1.3.2: the root that a leaf at `index` of a tree of `size` and its proof lead to. */
export function rootFromInclusion(leaf, index, size, proof) {
  need32([leaf, ...proof]);
  if (!(index >= 0 && index < size)) throw new ProofError(`index ${index} is not in a tree of ${size}`);
  let [fn, sn, hash] = [index, size - 1, leaf];
  for (const sibling of proof) {
    if (sn === 0) throw new ProofError('the inclusion proof is too long');
    if (isOdd(fn) || fn === sn) {
      hash = nodeHash(sibling, hash);
      while (!isOdd(fn) && fn !== 0) [fn, sn] = [half(fn), half(sn)];
    } else {
      hash = nodeHash(hash, sibling);
    }
    [fn, sn] = [half(fn), half(sn)];
  }
  if (sn !== 0) throw new ProofError('the inclusion proof is too short');
  return hash;
}

/** Returns nothing; throws ProofError unless the leaf stands at `index` under `root`. */
export function verifyInclusion(leaf, index, size, proof, root) {
  if (!equal(rootFromInclusion(leaf, index, size, proof), root)) {
    throw new ProofError('the inclusion proof leads to another root');
  }
}

/** §2.1.4.2 with old size ≥ 1. Returns nothing; throws ProofError unless `newRoot` grew out of `oldRoot`. */
export function verifyConsistency(oldSize, newSize, oldRoot, newRoot, proof) {
  need32([oldRoot, newRoot, ...proof]);
  if (oldSize < 1 || oldSize > newSize) throw new ProofError(`no proof from ${oldSize} to ${newSize}`);
  if (oldSize === newSize) {
    if (proof.length || !equal(oldRoot, newRoot)) throw new ProofError('equal sizes, but not equal trees');
    return;
  }
  const path = isPowerOfTwo(oldSize) ? [oldRoot, ...proof] : proof.slice();
  let [fn, sn] = [oldSize - 1, newSize - 1];
  while (isOdd(fn)) [fn, sn] = [half(fn), half(sn)];
  if (!path.length) throw new ProofError('the consistency proof is empty');
  let [oldHash, newHash] = [path[0], path[0]];
  for (const sibling of path.slice(1)) {
    if (sn === 0) throw new ProofError('the consistency proof is too long');
    if (isOdd(fn) || fn === sn) {
      [oldHash, newHash] = [nodeHash(sibling, oldHash), nodeHash(sibling, newHash)];
      while (!isOdd(fn) && fn !== 0) [fn, sn] = [half(fn), half(sn)];
    } else {
      newHash = nodeHash(newHash, sibling);
    }
    [fn, sn] = [half(fn), half(sn)];
  }
  if (sn !== 0) throw new ProofError('the consistency proof is too short');
  if (!equal(oldHash, oldRoot)) throw new ProofError('the consistency proof leads to another old root');
  if (!equal(newHash, newRoot)) throw new ProofError('the consistency proof leads to another new root');
}

function isPowerOfTwo(n) {
  let rest = n;
  while (rest % 2 === 0) rest = half(rest);
  return rest === 1;
}
