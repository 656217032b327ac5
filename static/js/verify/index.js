/**
 * The phone's verifier, whole: a bundle and a policy in, a verdict out. It has no dependency, touches
 * no page and asks no network, so that it can be lifted out and audited alone. docs/formats.md is its
 * specification; provenance/verify is its twin.
 */

export { findEngine, nobleEngine, nobleFrom, webCryptoEngine } from './engines.js';
export { KnownError, NoEngineError, PolicyError, VerifyError } from './errors.js';
export { parseKnown } from './forks.js';
export { Policy } from './policy.js';
export { encodeVerdict, MAX_AGE, verifyBundle } from './verdict.js';
