/**
 * SHA-256 (FIPS 180-4 §6.2), synchronous. WebCrypto's digest is asynchronous and missing on pages
 * that were not served securely; a Merkle path of thirty hashes should need neither.
 */

// FIPS 180-4 §4.2.2: the first 32 bits of the fractional parts of the cube roots of the first 64
// primes; §5.3.3: of the square roots of the first 8. Computed, so that no table can have a typo.
const primes = [];
for (let n = 2; primes.length < 64; n += 1) {
  if (primes.every((prime) => n % prime)) primes.push(n);
}

/** floor(root · 2^32) mod 2^32 of the `degree`-th root of n, found exactly with integers. */
function rootBits(n, degree) {
  const target = BigInt(n) << (32n * BigInt(degree));
  let root = 0n;
  for (let bit = 1n << 36n; bit > 0n; bit >>= 1n) {
    if ((root | bit) ** BigInt(degree) <= target) root |= bit;
  }
  return Number(root & 0xffffffffn);
}

const K = Int32Array.from(primes, (prime) => rootBits(prime, 3));
const INITIAL = Int32Array.from(primes.slice(0, 8), (prime) => rootBits(prime, 2));

const rotr = (x, n) => (x >>> n) | (x << (32 - n));

/** §5.1.1: the message, 0x80, zeros, and its length in bits as u64, to a multiple of 64 bytes. */
function pad(message) {
  const padded = new Uint8Array((message.length + 72) & ~63);
  padded.set(message);
  padded[message.length] = 0x80;
  const view = new DataView(padded.buffer);
  view.setUint32(padded.length - 8, Math.floor(message.length / 0x20000000));
  view.setUint32(padded.length - 4, (message.length << 3) >>> 0);
  return view;
}

const w = new Int32Array(64);

/** §6.2.2 step 1: the message schedule of the 64 bytes at `offset`, into w. */
function schedule(view, offset) {
  for (let t = 0; t < 16; t += 1) w[t] = view.getInt32(offset + 4 * t);
  for (let t = 16; t < 64; t += 1) {
    const s0 = rotr(w[t - 15], 7) ^ rotr(w[t - 15], 18) ^ (w[t - 15] >>> 3);
    const s1 = rotr(w[t - 2], 17) ^ rotr(w[t - 2], 19) ^ (w[t - 2] >>> 10);
    w[t] = (w[t - 16] + s0 + w[t - 7] + s1) | 0;
  }
}

/** §6.2.2 steps 2-4: the 64 rounds over w. */
function compress(state) {
  let [a, b, c, d, e, f, g, h] = state;
  for (let t = 0; t < 64; t += 1) {
    const s1 = rotr(e, 6) ^ rotr(e, 11) ^ rotr(e, 25);
    const t1 = (h + s1 + ((e & f) ^ (~e & g)) + K[t] + w[t]) | 0;
    const s0 = rotr(a, 2) ^ rotr(a, 13) ^ rotr(a, 22);
    const t2 = (s0 + ((a & b) ^ (a & c) ^ (b & c))) | 0;
    h = g; g = f; f = e; e = (d + t1) | 0;
    d = c; c = b; b = a; a = (t1 + t2) | 0;
  }
  [a, b, c, d, e, f, g, h].forEach((word, i) => { state[i] = (state[i] + word) | 0; });
}

/** The 32-byte SHA-256 of a Uint8Array. */
export function sha256(message) {
  const view = pad(message);
  const state = Int32Array.from(INITIAL);
  for (let offset = 0; offset < view.byteLength; offset += 64) {
    schedule(view, offset);
    compress(state);
  }
  const digest = new Uint8Array(32);
  const out = new DataView(digest.buffer);
  state.forEach((word, i) => out.setInt32(4 * i, word));
  return digest;
}
