/**
 * The form of a parsed JSON value: which members it has, what they are. Every question throws
 * ProofError with what was expected; who asked turns that into a reason and a place.
 */

import { decodeBase64 } from './base64.js';
import { utf8 } from './bytes.js';
import { ProofError } from './errors.js';
import { isObject } from './json.js';
import { parseClaimedTime } from './moments.js';

const SECONDS = /^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}Z$/;

/** An integer that both languages hold exactly: 0..2^53 − 1. */
export const isCount = (value) => Number.isSafeInteger(value) && value >= 0;

export function requireThat(condition, expected) {
  if (!condition) throw new ProofError(`expected ${expected}`);
}

/** `value` is an object with all of `names`, perhaps some of `optional`, and nothing else. */
export function requireMembers(value, names, optional = []) {
  requireThat(isObject(value), 'an object');
  const missing = names.find((name) => !(name in value));
  requireThat(missing === undefined, `a member ${missing}`);
  const unknown = Object.keys(value).find((name) => !names.includes(name) && !optional.includes(name));
  requireThat(unknown === undefined, `no member ${unknown}`);
}

/** Bytes of each base64 text of an array. */
export function requireHashes(value) {
  requireThat(Array.isArray(value), 'an array of hashes');
  return value.map((text) => decodeBase64(text, 32));
}

/** A subject's URI as it may stand in a bundle: 1 to 65,535 bytes of UTF-8. */
export function requireUri(value) {
  requireThat(typeof value === 'string' && value !== '' && utf8(value).length <= 65535, 'a URI');
}

/** A moment that exists, in the form of proofs. */
export function requireSeconds(text) {
  requireThat(typeof text === 'string' && SECONDS.test(text), 'YYYY-MM-DDTHH:MM:SSZ');
  parseClaimedTime(text);
}
