/**
 * Who does the Ed25519 arithmetic: the browser (WebCrypto), else the noble library, else nobody.
 *
 * An engine is `{name, verify(publicKey, message, signature) → boolean or a promise of one}` over
 * Uint8Array. It only has to be right about points that ed25519.js let through. An engine is used
 * after a self-test with RFC 8032's own vector, right and altered; one that fails it, throws, or is
 * missing (WebCrypto is, on pages without a secure origin) is as good as none. Where WebCrypto has
 * ML-DSA-44 as well, the engine has `verifyMldsa` of the same form; else that is null.
 */

import { NoEngineError } from './errors.js';
import { toHex } from './bytes.js';
import { SELF_TEST } from './ed25519.js';
import { findMldsa } from './mldsa.js';

async function passesSelfTest(engine) {
  const { publicKey, message, signature } = SELF_TEST;
  try {
    return (await engine.verify(publicKey, message, signature)) === true
      && (await engine.verify(publicKey, Uint8Array.of(0x73), signature)) === false;
  } catch (error) {
    return false;
  }
}

/** The browser's own Ed25519 (W3C Web Cryptography Level 2), or null when it has none. */
export async function webCryptoEngine(subtle = globalThis.crypto && globalThis.crypto.subtle) {
  if (!subtle) return null;
  const imported = new Map();
  const importKey = (publicKey) => {
    const name = toHex(publicKey);
    if (!imported.has(name)) {
      imported.set(name, subtle.importKey('raw', publicKey, { name: 'Ed25519' }, false, ['verify']));
    }
    return imported.get(name);
  };
  const engine = {
    name: 'webcrypto',
    verify: async (publicKey, message, signature) =>
      subtle.verify({ name: 'Ed25519' }, await importKey(publicKey), signature, message),
  };
  if (!(await passesSelfTest(engine))) return null;
  return { ...engine, verifyMldsa: await findMldsa(subtle) };
}

/**
 * noble, or null. `load` resolves to `{ed25519, sha512}`: the module @noble/ed25519 and the function
 * of @noble/hashes; the page decides from where (see nobleFrom), and a failed load is "none".
 */
export async function nobleEngine(load) {
  try {
    const { ed25519, sha512 } = await load();
    ed25519.hashes.sha512 = sha512;
    const engine = {
      name: 'noble',
      verify: (publicKey, message, signature) => ed25519.verify(signature, message, publicKey),
      verifyMldsa: null,
    };
    return (await passesSelfTest(engine)) ? engine : null;
  } catch (error) {
    return null;
  }
}

/** A `load` for nobleEngine over the layout of scripts/vendor_noble.py, e.g. `/static/vendor/noble/`. */
export const nobleFrom = (base) => async () => {
  const [ed25519, hashes] = await Promise.all([
    import(`${base}ed25519/index.js`),
    import(`${base}hashes/sha2.js`),
  ]);
  return { ed25519, sha512: hashes.sha512 };
};

/** The best engine there is; throws NoEngineError when there is none. */
export async function findEngine(loadNoble) {
  const engine = (await webCryptoEngine()) || (loadNoble ? await nobleEngine(loadNoble) : null);
  if (!engine) {
    throw new NoEngineError(
      'This browser cannot check Ed25519 signatures. Use a newer browser, or the command `provenance verify`.',
    );
  }
  return engine;
}
