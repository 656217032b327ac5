/**
 * Seals and own proofs: their form, their hash, their signature (docs/formats.md section 4). Twin of
 * provenance/domain/seal.py, domain/proof.py and crypto/integrity.py. Whether the key may speak for
 * the party is party.js's question.
 *
 * The signature is W3C Data Integrity `eddsa-jcs-2022` §3.3: Ed25519 over
 * H(JCS(proof without proofValue)) ‖ H(JCS(document without proof)), options first.
 */

import { decodeBase58 } from './base58.js';
import { decodeBase64, encodeBase64 } from './base64.js';
import { concat } from './bytes.js';
import { isAdmissibleKey, verifyEd25519 } from './ed25519.js';
import { ProofError } from './errors.js';
import { requireMembers, requireSeconds, requireThat } from './form.js';
import { canonicalText, encode, SEAL_BYTES } from './json.js';
import { leafHash } from './merkle.js';
import { sha256 } from './sha256.js';

const SEAL_MEMBERS = ['created', 'nonce', 'origin', 'party', 'proof', 'root', 'size', 'type', 'v'];
const PROOF_MEMBERS = ['created', 'cryptosuite', 'proofPurpose', 'proofValue', 'type', 'verificationMethod'];

function requireProofForm(proof, further) {
  requireMembers(proof, [...PROOF_MEMBERS, ...further]);
  requireThat(proof.type === 'DataIntegrityProof', 'type DataIntegrityProof');
  requireThat(proof.cryptosuite === 'eddsa-jcs-2022', 'cryptosuite eddsa-jcs-2022');
  requireThat(proof.proofPurpose === 'assertionMethod', 'proofPurpose assertionMethod');
  requireSeconds(proof.created);
  requireThat(typeof proof.proofValue === 'string', 'a proofValue');
  requireThat(typeof proof.verificationMethod === 'string', 'a verificationMethod');
}

/**
 * One signature over events: `{origin, party, key, hash, size, root, document}`; key is the multikey
 * text, hash base64, root bytes. Throws ProofError for a document that is no seal.
 */
export function readSeal(document) {
  requireMembers(document, SEAL_MEMBERS);
  requireThat(document.v === 1 && document.type === 'prov:Seal', 'prov:Seal of version 1');
  requireThat(Number.isInteger(document.size) && document.size >= 1 && document.size <= 10000, 'a size of 1 to 10,000');
  requireThat(typeof document.origin === 'string' && typeof document.party === 'string', 'origin and party');
  requireSeconds(document.created);
  decodeBase64(document.nonce, 16);
  requireProofForm(document.proof, []);
  const method = document.proof.verificationMethod;
  requireThat(method.startsWith(`${document.party}#`) && method.length > document.party.length + 1, '<party>#<multikey>');
  const canonical = encode(document);
  requireThat(canonical.length <= SEAL_BYTES, `at most ${SEAL_BYTES} bytes`);
  return {
    origin: document.origin,
    party: document.party,
    key: method.slice(document.party.length + 1),
    hash: encodeBase64(leafHash(canonical)),
    size: document.size,
    root: decodeBase64(document.root, 32),
    document,
  };
}

/** The seal that an event is to itself: its own `proof`, with the log's origin as `domain`. */
export function readOwnProof(document, eventHash) {
  const { proof } = document;
  requireProofForm(proof, ['domain', '@context']);
  requireThat(typeof proof.domain === 'string', 'a domain');
  const context = document['@context'];
  const isSame = context !== undefined && context !== null && canonicalText(proof['@context']) === canonicalText(context);
  requireThat(isSame, "the proof's @context to be the event's");
  const method = proof.verificationMethod;
  const hash = method.indexOf('#');
  requireThat(hash > 0 && hash < method.length - 1, '<party>#<multikey>');
  return { origin: proof.domain, party: method.slice(0, hash), key: method.slice(hash + 1), hash: eventHash, document };
}

/** The 32 bytes of an Ed25519 multikey, or ProofError. */
export function decodeMultikey(text) {
  requireThat(typeof text === 'string' && text.startsWith('z'), 'a multikey');
  const bytes = decodeBase58(text.slice(1), 34);
  requireThat(bytes[0] === 0xed && bytes[1] === 0x01, 'the multikey of an Ed25519 key');
  return bytes.subarray(2);
}

/** The 64 bytes of a multibase signature, or ProofError. */
export function decodeSignature(text) {
  requireThat(typeof text === 'string' && text.startsWith('z'), 'a multibase signature');
  return decodeBase58(text.slice(1), 64);
}

/** A copy of an object without some members. */
export function without(object, ...names) {
  const copy = Object.assign(Object.create(null), object);
  names.forEach((name) => delete copy[name]);
  return copy;
}

/** Returns nothing; throws ProofError unless the seal's key is sound and its signature good. */
export async function verifySeal(seal, engine) {
  const { document } = seal;
  const publicKey = decodeMultikey(seal.key);
  if (!isAdmissibleKey(publicKey)) throw new ProofError('the key is not admissible');
  const options = sha256(encode(without(document.proof, 'proofValue')));
  const content = sha256(encode(without(document, 'proof')));
  const signature = decodeSignature(document.proof.proofValue);
  if (!(await verifyEd25519(engine, publicKey, concat(options, content), signature))) {
    throw new ProofError('the signature does not fit');
  }
}
