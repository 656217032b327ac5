/**
 * C2SP signed notes and the keys that sign them. Twin of merkle/note.py, reading only.
 *
 *     <text: one or more lines>\n
 *     \n
 *     — <name> <base64(4-byte key id ‖ signature)>\n      one line for each signature
 *
 * The text is signed with its last newline and without the empty line; it is split at the last empty
 * line. Lines under unknown keys are ignored by the caller, so they are only held to the form.
 */

import { decodeBase64 } from './base64.js';
import { concat, equal, fromHex, toHex, utf8 } from './bytes.js';
import { ProofError } from './errors.js';
import { sha256 } from './sha256.js';

/** Signature types of signed-note: the byte before the public key in a verifier key. */
export const ED25519 = 0x01;
export const COSIGNATURE_V1 = 0x04;
/** ML-DSA-44: its lines are judged where the browser can (mldsa.js), else passed over. */
export const MLDSA = 0x06;
const KEY_SIZES = { [ED25519]: 32, [COSIGNATURE_V1]: 32, [MLDSA]: 1312 };

const MAX_SIGNATURES = 100;
const CONTROL = /[\u0000-\u0009\u000b-\u001f]/;
/** Unicode White_Space; JavaScript's \s takes U+FEFF for one and U+0085 for none. */
const SPACE = /[\u0009-\u000d\u0020\u0085\u00a0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000]/;

/** Key names are not empty and have no space, no plus, no control character. */
export function isKeyName(name) {
  return name !== '' && !SPACE.test(name) && !CONTROL.test(name) && !name.includes('+');
}

/** The four bytes that name a key beside its name: H(name ‖ 0x0A ‖ type ‖ public key)[0:4]. */
export function keyId(name, kind, publicKey) {
  return sha256(concat(utf8(name), Uint8Array.of(10, kind), publicKey)).slice(0, 4);
}

/** `{name, id, kind, publicKey}` of `<name>+<id>+<base64>`; throws ProofError. */
export function parseVerifierKey(text) {
  const [name, id, ...rest] = text.split('+');
  const data = decodeBase64(rest.join('+'));
  // A name goes into a length byte of ML-DSA messages, so 255 bytes are the most for all.
  if (!isKeyName(name) || utf8(name).length > 255 || !/^[0-9a-f]{8}$/.test(id || '')) {
    throw new ProofError(`no verifier key: ${text.slice(0, 60)}`);
  }
  const [kind, publicKey] = [data[0], data.subarray(1)];
  if (publicKey.length !== KEY_SIZES[kind]) throw new ProofError(`the key of ${name} has another kind or length`);
  if (!equal(keyId(name, kind, publicKey), fromHex(id))) throw new ProofError(`the key id of ${name} is not its key's`);
  return { name, id, kind, publicKey };
}

/** Whether a note's line is under this key. */
export const isLineOf = (key, line) => key.name === line.name && key.id === line.id;

function parseSignatureLine(line) {
  const match = /^\u2014 ([^ ]+) ([^ ]+)$/.exec(line);
  if (!match || !isKeyName(match[1])) throw new ProofError('a malformed signature line');
  const data = decodeBase64(match[2]);
  if (data.length < 5) throw new ProofError('a signature line without a signature');
  return { name: match[1], id: toHex(data.subarray(0, 4)), signature: data.subarray(4) };
}

/** `{text, signatures: [{name, id, signature}]}` of a note; throws ProofError. */
export function parseNote(note) {
  const split = note.lastIndexOf('\n\n');
  if (CONTROL.test(note) || split < 1 || !note.endsWith('\n')) throw new ProofError('not a signed note');
  const lines = note.slice(split + 2, -1).split('\n');
  if (lines.length > MAX_SIGNATURES) throw new ProofError('too many signature lines');
  return { text: note.slice(0, split + 1), signatures: lines.map(parseSignatureLine) };
}
