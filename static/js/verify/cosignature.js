/**
 * C2SP tlog-cosignature, cosignature/v1: what a witness states, and when. Twin of
 * merkle/cosignature.py, for Ed25519 only.
 */

import { bigEndian, utf8 } from './bytes.js';
import { verifyEd25519 } from './ed25519.js';

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
