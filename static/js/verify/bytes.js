/**
 * Bytes: joining, comparing, hexadecimal, fixed-width integers, UTF-8. Nothing of ours is in here.
 *
 * Byte strings are Uint8Array everywhere. Hexadecimal is lower-case; as map keys it stands in for
 * bytes, which JavaScript compares by identity.
 */

const encoder = new TextEncoder();

/** UTF-8 of a string. The caller makes sure that it has no lone surrogate (json.js refuses them). */
export const utf8 = (text) => encoder.encode(text);

/** All parts one after the other. */
export function concat(...parts) {
  const joined = new Uint8Array(parts.reduce((size, part) => size + part.length, 0));
  let offset = 0;
  for (const part of parts) {
    joined.set(part, offset);
    offset += part.length;
  }
  return joined;
}

/** Same length and same bytes. Not constant-time: nothing secret is ever compared here. */
export function equal(a, b) {
  return a.length === b.length && a.every((byte, i) => byte === b[i]);
}

export const toHex = (bytes) => Array.from(bytes, (b) => b.toString(16).padStart(2, '0')).join('');

/** Bytes of an even number of hexadecimal digits (callers pass literals or checked text). */
export function fromHex(hex) {
  return Uint8Array.from(hex.match(/../g) || [], (pair) => parseInt(pair, 16));
}

/** u16, big-endian. */
export const u16 = (n) => Uint8Array.of(n >> 8, n & 255);

/** u64, big-endian, of a Number in [0, 2^53). */
export function u64(n) {
  const bytes = new Uint8Array(8);
  new DataView(bytes.buffer).setBigUint64(0, BigInt(n));
  return bytes;
}

/** The unsigned integer that big-endian bytes spell, as BigInt. */
export const bigEndian = (bytes) => BigInt('0x0' + toHex(bytes));

/** Bytes in order; of two of one length, negative when `a` comes first. */
export function compareBytes(a, b) {
  const i = a.findIndex((byte, at) => byte !== b[at]);
  return i < 0 ? a.length - b.length : a[i] - b[i];
}

/** Code points in order: Python sorts text by code point, JavaScript by UTF-16 unit. */
export function compareCodePoints(a, b) {
  const left = Array.from(a, (c) => c.codePointAt(0));
  const right = Array.from(b, (c) => c.codePointAt(0));
  const shared = Math.min(left.length, right.length);
  for (let i = 0; i < shared; i += 1) {
    if (left[i] !== right[i]) return left[i] - right[i];
  }
  return left.length - right.length;
}
