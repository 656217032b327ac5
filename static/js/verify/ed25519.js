/**
 * The strict rule for Ed25519 (docs/formats.md section 4), around an engine that does the signature
 * equation. Twin of provenance/crypto/signing.py.
 *
 * Engines differ at the edges: OpenSSL takes keys of small order, with which one signature fits any
 * message; cofactored verifiers take points outside the prime-order subgroup. So both points are
 * judged here, with plain integers, before an engine is asked: canonical (RFC 8032 §5.1.3), on the
 * curve, not the identity, and ℓ·P = 0. The last two together say "not of small order and in the
 * prime-order subgroup": the two sets share the identity alone. What is left gives one answer with
 * every engine, cofactored or not. All values are public, so nothing here needs constant time.
 */

import { fromHex, toHex } from './bytes.js';

const P = 2n ** 255n - 19n;
/** ℓ, the order of the base point (RFC 8032 §5.1) */
const ORDER = 2n ** 252n + 27742317777372353535851937790883648493n;

const mod = (n) => {
  const rest = n % P;
  return rest < 0n ? rest + P : rest;
};

function power(base, exponent) {
  let [result, square, rest] = [1n, base, exponent];
  for (; rest > 0n; rest >>= 1n) {
    if (rest & 1n) result = (result * square) % P;
    square = (square * square) % P;
  }
  return result;
}

const D = mod(-121665n * power(121666n, P - 2n));
const SQRT_MINUS_ONE = power(2n, (P - 1n) / 4n);

function littleEndian(bytes) {
  return BigInt(`0x${toHex(Uint8Array.from(bytes).reverse())}`);
}

/** RFC 8032 §5.1.3 steps 2 and 3: x of u/v with the sign bit, or null when there is none. */
function recoverX(y, sign) {
  const u = mod(y * y - 1n);
  const v = mod(D * y * y + 1n);
  const v3 = (((v * v) % P) * v) % P;
  const root = power((((u * v3) % P) * ((v3 * v) % P)) % P, (P - 5n) / 8n);
  let x = (((u * v3) % P) * root) % P;
  const check = (((v * x) % P) * x) % P;
  if (check !== u) {
    if (check !== mod(-u)) return null;
    x = (x * SQRT_MINUS_ONE) % P;
  }
  if (x === 0n && sign) return null; // §5.1.3 step 4
  return (x & 1n) === sign ? x : P - x;
}

/** The point of 32 bytes in extended coordinates {x, y, z, t} (§5.1.4), or null when there is none. */
function decodePoint(bytes) {
  const number = littleEndian(bytes);
  const y = number & ((1n << 255n) - 1n);
  if (y >= P) return null; // not canonical
  const x = recoverX(y, number >> 255n);
  return x === null ? null : { x, y, z: 1n, t: (x * y) % P };
}

/** RFC 8032 §5.1.4: complete addition for a = −1. */
function add(p, q) {
  const a = mod((p.y - p.x) * (q.y - q.x));
  const b = ((p.y + p.x) * (q.y + q.x)) % P;
  const c = (((2n * p.t * q.t) % P) * D) % P;
  const d = (2n * p.z * q.z) % P;
  const [e, f, g, h] = [b - a, d - c, d + c, b + a];
  return { x: mod(e * f), y: mod(g * h), z: mod(f * g), t: mod(e * h) };
}

function double(p) {
  const a = (p.x * p.x) % P;
  const b = (p.y * p.y) % P;
  const h = a + b;
  const e = h - (p.x + p.y) * (p.x + p.y);
  const g = a - b;
  const f = ((2n * p.z * p.z) % P) + g;
  return { x: mod(e * f), y: mod(g * h), z: mod(f * g), t: mod(e * h) };
}

const ORDER_BITS = ORDER.toString(2).slice(1);

function isInPrimeOrderSubgroup(point) {
  let sum = point;
  for (const bit of ORDER_BITS) {
    sum = double(sum);
    if (bit === '1') sum = add(sum, point);
  }
  return sum.x === 0n && sum.y === sum.z;
}

/** Canonical, on the curve, not of small order, in the prime-order subgroup. */
function isSoundPoint(bytes) {
  const point = decodePoint(bytes);
  if (!point || (point.x === 0n && point.y === 1n)) return false;
  return isInPrimeOrderSubgroup(point);
}

const admitted = new Map();

/** Whether 32 bytes may serve as a public key. Answers are kept: a bundle names few keys, often. */
export function isAdmissibleKey(publicKey) {
  if (publicKey.length !== 32) return false;
  const name = toHex(publicKey);
  if (!admitted.has(name)) admitted.set(name, isSoundPoint(publicKey));
  return admitted.get(name);
}

/** Whether 64 bytes have a canonical S below ℓ and an R that is a sound point. */
export function isAdmissibleSignature(signature) {
  return signature.length === 64
    && littleEndian(signature.subarray(32)) < ORDER
    && isSoundPoint(signature.subarray(0, 32));
}

/**
 * Whether `signature` (64 bytes) over `message` is good under `publicKey` (32 bytes), strictly.
 * `engine` is one of engines.js; it is asked only about keys and signatures that passed the rule.
 */
export async function verifyEd25519(engine, publicKey, message, signature) {
  if (!isAdmissibleKey(publicKey) || !isAdmissibleSignature(signature)) return false;
  return engine.verify(publicKey, message, signature);
}

/** RFC 8032 §7.1, TEST 2: what an engine must accept, and with any other message refuse. */
export const SELF_TEST = {
  publicKey: fromHex('3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c'),
  message: fromHex('72'),
  signature: fromHex(
    '92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da'
    + '085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00',
  ),
};
