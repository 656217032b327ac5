/**
 * C2SP tlog-cosignature: what a cosigner states, and when. cosignature/v1 is Ed25519 over the text;
 * subtree/v1 is ML-DSA-44 over the tree. Twin of merkle/cosignature.py.
 */

import { bigEndian, concat, u64, utf8 } from './bytes.js';
import { verifyEd25519 } from './ed25519.js';
import { MLDSA_SIGNATURE_SIZE } from './mldsa.js';

/** Seconds fit a signed 64-bit integer in every language. */
const MAX_SECONDS = 2n ** 63n - 1n;

/**
 * The POSIX seconds (BigInt) of a good cosignature over the checkpoint text, else null. The bytes
 * are u64 seconds ‖ 64-byte signature.
 */
export async function cosignedAt(engine, publicKey, text, bytes) {
  if (bytes.length !== 72) return null;
  const seconds = bigEndian(bytes.subarray(0, 8));
  if (seconds > MAX_SECONDS) return null;
  const message = utf8(`cosignature/v1\ntime ${seconds}\n${text}`);
  return (await verifyEd25519(engine, publicKey, message, bytes.subarray(8))) ? seconds : null;
}

const shortName = (name) => concat(Uint8Array.of(utf8(name).length), utf8(name));

/**
 * The POSIX seconds (BigInt) of a good ML-DSA-44 line of `key` over the whole checkpoint, else null. The
 * bytes are u64 seconds ‖ 2,420-byte signature; `engine.verifyMldsa` is there.
 */
export async function subtreeCosignedAt(engine, key, { origin, size, root }, bytes) {
  if (bytes.length !== 8 + MLDSA_SIGNATURE_SIZE || bigEndian(bytes.subarray(0, 8)) > MAX_SECONDS) return null;
  const time = bytes.subarray(0, 8);
  const names = [shortName(key.name), time, shortName(origin)];
  const message = concat(utf8('subtree/v1\n\0'), ...names, u64(0), u64(size), root);
  return (await engine.verifyMldsa(key.publicKey, message, bytes.subarray(8))) ? bigEndian(time) : null;
}
