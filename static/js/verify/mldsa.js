/**
 * ML-DSA-44 (FIPS 204), where the browser has it: the log's second, post-quantum line on a checkpoint,
 * and witnesses that sign with such keys. There is no substitute in JavaScript: a browser without it
 * passes these lines over as it does those of keys that it does not know. Twin of
 * provenance/crypto/mldsa.py.
 */

import { toHex, utf8 } from './bytes.js';

const ALGORITHM = { name: 'ML-DSA-44' };
export const MLDSA_SIGNATURE_SIZE = 2420;

/** Signs and verifies once with a key of its own making: what cannot do this is as good as none. */
async function passesSelfTest(subtle, verify) {
  const pair = await subtle.generateKey(ALGORITHM, true, ['sign', 'verify']);
  const publicKey = new Uint8Array(await subtle.exportKey('raw-public', pair.publicKey));
  const signature = new Uint8Array(await subtle.sign(ALGORITHM, pair.privateKey, utf8('right')));
  return publicKey.length === 1312
    && signature.length === MLDSA_SIGNATURE_SIZE
    && (await verify(publicKey, utf8('right'), signature)) === true
    && (await verify(publicKey, utf8('wrong'), signature)) === false;
}

/** `verify(publicKey, message, signature)`, a promise of a boolean; or null where there is none. */
export async function findMldsa(subtle) {
  const imported = new Map();
  const importKey = (publicKey) => {
    const name = toHex(publicKey);
    if (!imported.has(name)) {
      imported.set(name, subtle.importKey('raw-public', publicKey, ALGORITHM, false, ['verify']));
    }
    return imported.get(name);
  };
  const verify = async (publicKey, message, signature) =>
    subtle.verify(ALGORITHM, await importKey(publicKey), signature, message);
  try {
    return (await passesSelfTest(subtle, verify)) ? verify : null;
  } catch (error) {
    return null;
  }
}
