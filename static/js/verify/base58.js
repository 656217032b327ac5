/**
 * base58btc, as multibase `z…` in multikeys and proof values (W3C Data Integrity, Multikey).
 *
 * Leading zero bytes are leading `1`s. Callers say how long the bytes must be, and the length of the
 * text is bounded before any arithmetic, so that hostile text costs nothing.
 */

import { ProofError } from './errors.js';

const ALPHABET = '123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz';

/** Bytes of base58btc text that must have exactly `size` bytes. */
export function decodeBase58(text, size) {
  if (text.length > size * 1.4 + 1) throw new ProofError('base58 text is too long');
  let number = 0n;
  for (const letter of text) {
    const value = ALPHABET.indexOf(letter);
    if (value < 0) throw new ProofError(`no base58 letter: ${letter}`);
    number = number * 58n + BigInt(value);
  }
  const zeros = /^1*/.exec(text)[0].length;
  const hex = number ? number.toString(16) : '';
  const digits = hex.length % 2 ? `0${hex}` : hex;
  const found = zeros + digits.length / 2;
  if (found !== size) throw new ProofError(`expected ${size} bytes of base58, found ${found}`);
  return Uint8Array.from(('00'.repeat(zeros) + digits).match(/../g) || [], (pair) => parseInt(pair, 16));
}

/** base58btc text of bytes. */
export function encodeBase58(bytes) {
  let number = bytes.reduce((sum, byte) => sum * 256n + BigInt(byte), 0n);
  let text = '';
  for (; number > 0n; number /= 58n) text = ALPHABET[Number(number % 58n)] + text;
  const firstNonZero = bytes.findIndex((byte) => byte !== 0);
  return '1'.repeat(firstNonZero < 0 ? bytes.length : firstNonZero) + text;
}
