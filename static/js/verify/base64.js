/**
 * Base64, strict: the alphabet named, padding exactly as the form demands, unused bits zero
 * (RFC 4648 §3.5). One byte string therefore has one spelling, and no proof has two.
 */

import { ProofError } from './errors.js';

const STANDARD = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/';
const URL_SAFE = `${STANDARD.slice(0, 62)}-_`;

function encodeWith(bytes, alphabet) {
  let text = '';
  for (let i = 0; i < bytes.length; i += 3) {
    const group = (bytes[i] << 16) | ((bytes[i + 1] || 0) << 8) | (bytes[i + 2] || 0);
    const letters = Math.min(bytes.length - i, 3) + 1;
    for (let j = 0; j < letters; j += 1) text += alphabet[(group >> (18 - 6 * j)) & 63];
  }
  return text;
}

/** The value of each letter by its code; other codes have none. */
const valuesOf = (alphabet) => new Map([...alphabet].map((letter, value) => [letter.charCodeAt(0), value]));
const STANDARD_VALUES = valuesOf(STANDARD);
const URL_SAFE_VALUES = valuesOf(URL_SAFE);

/** Bytes of the first `length` characters. Nothing is put together from letters: text may be megabytes. */
function decodeWith(text, length, values) {
  const bytes = new Uint8Array(Math.floor((length * 3) / 4));
  let pending = 0;
  let bits = 0;
  let size = 0;
  for (let i = 0; i < length; i += 1) {
    const value = values.get(text.charCodeAt(i));
    if (value === undefined) throw new ProofError(`no base64 letter at ${i}`);
    pending = ((pending << 6) | value) & 0xfff;
    bits += 6;
    if (bits >= 8) {
      bits -= 8;
      bytes[size] = (pending >> bits) & 255;
      size += 1;
    }
  }
  if (bits >= 6 || pending & ((1 << bits) - 1)) throw new ProofError('base64 with stray bits');
  return bytes;
}

/** Standard base64 with padding. */
export function encodeBase64(bytes) {
  const text = encodeWith(bytes, STANDARD);
  return text + '='.repeat(-text.length & 3);
}

/** Bytes of canonical, padded standard base64; `size` when exactly so many bytes are wanted. */
export function decodeBase64(text, size) {
  if (typeof text !== 'string' || text.length % 4) throw new ProofError('base64 without its padding');
  // The length being a multiple of four, at most two signs at the end are padding and their number
  // follows from the letters: a third sign is no letter, a missing one leaves stray bits.
  const padding = text.endsWith('==') ? 2 : Number(text.endsWith('='));
  const bytes = decodeWith(text, text.length - padding, STANDARD_VALUES);
  if (size !== undefined && bytes.length !== size) {
    throw new ProofError(`expected ${size} bytes, found ${bytes.length}`);
  }
  return bytes;
}

/** base64url without padding (RFC 7515 §2), as SD-JWT digests and disclosures have it. */
export const encodeBase64Url = (bytes) => encodeWith(bytes, URL_SAFE);

/** Bytes of canonical base64url without padding. */
export const decodeBase64Url = (text) => decodeWith(text, text.length, URL_SAFE_VALUES);
