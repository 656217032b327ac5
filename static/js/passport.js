// ---- js/verify/errors.js
const $js_verify_errors = (() => {
/**
 * The errors of the phone's verifier. One base class, so that a page can tell "this code said no
 * on purpose" from a defect of ours.
 *
 * A refused *bundle* is never an error: it is a verdict (docs/formats.md section 11). Errors are for
 * what the caller gave beside the bundle (policy, engine) and, inside this folder, for one piece of
 * evidence that failed; verdict.js turns the latter into reasons and places.
 */

/** Base of every error that this folder throws on purpose. */
class VerifyError extends Error {
  constructor(message) {
    super(message);
    this.name = new.target.name;
  }
}

/** The browser can check no Ed25519 signature: only "checked by the server" can be said. */
class NoEngineError extends VerifyError {}

/** The reader's policy file cannot be used; the message names the line and the remedy. */
class PolicyError extends VerifyError {}

/** What the reader knows of a log from elsewhere (docs/formats.md, `known`) cannot be read. */
class KnownError extends VerifyError {}

/** A piece of evidence is malformed or does not prove what it claims. */
class ProofError extends VerifyError {}

/** JSON refused by docs/formats.md section 1; `code` is one of its codes. */
class MalformedJsonError extends VerifyError {
  constructor(code, message) {
    super(message);
    this.code = code;
  }
}

/** The first failed step of docs/formats.md section 10: the `reason` and the `place` of a verdict. */
class RefusedError extends VerifyError {
  constructor(reason, place) {
    super(`${reason} at ${place}`);
    this.reason = reason;
    this.place = place;
  }
}

return { VerifyError, NoEngineError, PolicyError, KnownError, ProofError, MalformedJsonError, RefusedError };
})();

// ---- js/verify/bytes.js
const $js_verify_bytes = (() => {
/**
 * Bytes: joining, comparing, hexadecimal, fixed-width integers, UTF-8. Nothing of ours is in here.
 *
 * Byte strings are Uint8Array everywhere. Hexadecimal is lower-case; as map keys it stands in for
 * bytes, which JavaScript compares by identity.
 */

const encoder = new TextEncoder();

/** UTF-8 of a string. The caller makes sure that it has no lone surrogate (json.js refuses them). */
const utf8 = (text) => encoder.encode(text);

/** All parts one after the other. */
function concat(...parts) {
  const joined = new Uint8Array(parts.reduce((size, part) => size + part.length, 0));
  let offset = 0;
  for (const part of parts) {
    joined.set(part, offset);
    offset += part.length;
  }
  return joined;
}

/** Same length and same bytes. Not constant-time: nothing secret is ever compared here. */
function equal(a, b) {
  return a.length === b.length && a.every((byte, i) => byte === b[i]);
}

const toHex = (bytes) => Array.from(bytes, (b) => b.toString(16).padStart(2, '0')).join('');

/** Bytes of an even number of hexadecimal digits (callers pass literals or checked text). */
function fromHex(hex) {
  return Uint8Array.from(hex.match(/../g) || [], (pair) => parseInt(pair, 16));
}

/** u16, big-endian. */
const u16 = (n) => Uint8Array.of(n >> 8, n & 255);

/** u64, big-endian, of a Number in [0, 2^53). */
function u64(n) {
  const bytes = new Uint8Array(8);
  new DataView(bytes.buffer).setBigUint64(0, BigInt(n));
  return bytes;
}

/** The unsigned integer that big-endian bytes spell, as BigInt. */
const bigEndian = (bytes) => BigInt('0x0' + toHex(bytes));

/** Bytes in order; of two of one length, negative when `a` comes first. */
function compareBytes(a, b) {
  const i = a.findIndex((byte, at) => byte !== b[at]);
  return i < 0 ? a.length - b.length : a[i] - b[i];
}

/** Code points in order: Python sorts text by code point, JavaScript by UTF-16 unit. */
function compareCodePoints(a, b) {
  const left = Array.from(a, (c) => c.codePointAt(0));
  const right = Array.from(b, (c) => c.codePointAt(0));
  const shared = Math.min(left.length, right.length);
  for (let i = 0; i < shared; i += 1) {
    if (left[i] !== right[i]) return left[i] - right[i];
  }
  return left.length - right.length;
}

return { utf8, concat, equal, toHex, fromHex, u16, u64, bigEndian, compareBytes, compareCodePoints };
})();

// ---- js/verify/ed25519.js
const $js_verify_ed25519 = (() => {
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

const { fromHex, toHex } = $js_verify_bytes;

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
function isAdmissibleKey(publicKey) {
  if (publicKey.length !== 32) return false;
  const name = toHex(publicKey);
  if (!admitted.has(name)) admitted.set(name, isSoundPoint(publicKey));
  return admitted.get(name);
}

/** Whether 64 bytes have a canonical S below ℓ and an R that is a sound point. */
function isAdmissibleSignature(signature) {
  return signature.length === 64
    && littleEndian(signature.subarray(32)) < ORDER
    && isSoundPoint(signature.subarray(0, 32));
}

/**
 * Whether `signature` (64 bytes) over `message` is good under `publicKey` (32 bytes), strictly.
 * `engine` is one of engines.js; it is asked only about keys and signatures that passed the rule.
 */
async function verifyEd25519(engine, publicKey, message, signature) {
  if (!isAdmissibleKey(publicKey) || !isAdmissibleSignature(signature)) return false;
  return engine.verify(publicKey, message, signature);
}

/** RFC 8032 §7.1, TEST 2: what an engine must accept, and with any other message refuse. */
const SELF_TEST = {
  publicKey: fromHex('3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c'),
  message: fromHex('72'),
  signature: fromHex(
    '92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da'
    + '085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00',
  ),
};

return { isAdmissibleKey, isAdmissibleSignature, verifyEd25519, SELF_TEST };
})();

// ---- js/verify/mldsa.js
const $js_verify_mldsa = (() => {
/**
 * ML-DSA-44 (FIPS 204), where the browser has it: the log's second, post-quantum line on a checkpoint,
 * and witnesses that sign with such keys. There is no substitute in JavaScript: a browser without it
 * passes these lines over as it does those of keys that it does not know. Twin of
 * provenance/crypto/mldsa.py.
 */

const { toHex, utf8 } = $js_verify_bytes;

const ALGORITHM = { name: 'ML-DSA-44' };
const MLDSA_SIGNATURE_SIZE = 2420;

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
async function findMldsa(subtle) {
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

return { MLDSA_SIGNATURE_SIZE, findMldsa };
})();

// ---- js/verify/engines.js
const $js_verify_engines = (() => {
/**
 * Who does the Ed25519 arithmetic: the browser (WebCrypto), else the noble library, else nobody.
 *
 * An engine is `{name, verify(publicKey, message, signature) → boolean or a promise of one}` over
 * Uint8Array. It only has to be right about points that ed25519.js let through. An engine is used
 * after a self-test with RFC 8032's own vector, right and altered; one that fails it, throws, or is
 * missing (WebCrypto is, on pages without a secure origin) is as good as none. Where WebCrypto has
 * ML-DSA-44 as well, the engine has `verifyMldsa` of the same form; else that is null.
 */

const { NoEngineError } = $js_verify_errors;
const { toHex } = $js_verify_bytes;
const { SELF_TEST } = $js_verify_ed25519;
const { findMldsa } = $js_verify_mldsa;

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
async function webCryptoEngine(subtle = globalThis.crypto && globalThis.crypto.subtle) {
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
async function nobleEngine(load) {
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
const nobleFrom = (base) => async () => {
  const [ed25519, hashes] = await Promise.all([
    import(`${base}ed25519/index.js`),
    import(`${base}hashes/sha2.js`),
  ]);
  return { ed25519, sha512: hashes.sha512 };
};

/** The best engine there is; throws NoEngineError when there is none. */
async function findEngine(loadNoble) {
  const engine = (await webCryptoEngine()) || (loadNoble ? await nobleEngine(loadNoble) : null);
  if (!engine) {
    throw new NoEngineError(
      'This browser cannot check Ed25519 signatures. Use a newer browser, or the command `provenance verify`.',
    );
  }
  return engine;
}

return { webCryptoEngine, nobleEngine, nobleFrom, findEngine };
})();

// ---- js/verify/base64.js
const $js_verify_base64 = (() => {
/**
 * Base64, strict: the alphabet named, padding exactly as the form demands, unused bits zero
 * (RFC 4648 §3.5). One byte string therefore has one spelling, and no proof has two.
 */

const { ProofError } = $js_verify_errors;

const STANDARD = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/';
const URL_SAFE = `${STANDARD.slice(0, 62)}-_`;

function encodeWith(bytes, alphabet) {
  let text = '';
  for (let i = 0; i < bytes.length; i += 3) {
    const group = (bytes[i] << 16) | ((bytes[i + 1] || 0) << 8) | (bytes[i + 2] || 0);
    const letters = Math.min(bytes.length - i, 3) + 1;
    for (let j = 0; j < letters; j += 1) text += alphabet[(group >> (18 - 6 * j)) & 63];
  }
  return text;
}

/** The value of each letter by its code; other codes have none. */
const valuesOf = (alphabet) => new Map([...alphabet].map((letter, value) => [letter.charCodeAt(0), value]));
const STANDARD_VALUES = valuesOf(STANDARD);
const URL_SAFE_VALUES = valuesOf(URL_SAFE);

/** Bytes of the first `length` characters. Nothing is put together from letters: text may be megabytes. */
function decodeWith(text, length, values) {
  const bytes = new Uint8Array(Math.floor((length * 3) / 4));
  let pending = 0;
  let bits = 0;
  let size = 0;
  for (let i = 0; i < length; i += 1) {
    const value = values.get(text.charCodeAt(i));
    if (value === undefined) throw new ProofError(`no base64 letter at ${i}`);
    pending = ((pending << 6) | value) & 0xfff;
    bits += 6;
    if (bits >= 8) {
      bits -= 8;
      bytes[size] = (pending >> bits) & 255;
      size += 1;
    }
  }
  if (bits >= 6 || pending & ((1 << bits) - 1)) throw new ProofError('base64 with stray bits');
  return bytes;
}

/** Standard base64 with padding. */
function encodeBase64(bytes) {
  const text = encodeWith(bytes, STANDARD);
  return text + '='.repeat(-text.length & 3);
}

/** Bytes of canonical, padded standard base64; `size` when exactly so many bytes are wanted. */
function decodeBase64(text, size) {
  if (typeof text !== 'string' || text.length % 4) throw new ProofError('base64 without its padding');
  // The length being a multiple of four, at most two signs at the end are padding and their number
  // follows from the letters: a third sign is no letter, a missing one leaves stray bits.
  const padding = text.endsWith('==') ? 2 : Number(text.endsWith('='));
  const bytes = decodeWith(text, text.length - padding, STANDARD_VALUES);
  if (size !== undefined && bytes.length !== size) {
    throw new ProofError(`expected ${size} bytes, found ${bytes.length}`);
  }
  return bytes;
}

/** base64url without padding (RFC 7515 §2), as SD-JWT digests and disclosures have it. */
const encodeBase64Url = (bytes) => encodeWith(bytes, URL_SAFE);

/** Bytes of canonical base64url without padding. */
const decodeBase64Url = (text) => decodeWith(text, text.length, URL_SAFE_VALUES);

return { encodeBase64, decodeBase64, encodeBase64Url, decodeBase64Url };
})();

// ---- js/verify/json.js
const $js_verify_json = (() => {
/**
 * JSON read strictly (docs/formats.md section 1) and written canonically (RFC 8785). Twin of
 * provenance/domain/canonical.py.
 *
 * JSON.parse keeps the last of two members of one name, turns 2^53 + 1 into another number and takes
 * lone surrogates; two verifiers that differ there give two verdicts. So the text is read here, and
 * what is wrong with it is told in the fixed order of section 1, whatever stands first in the text.
 * Objects come out without a prototype, so that `__proto__` and `toString` are members like others.
 */

const { MalformedJsonError } = $js_verify_errors;
const { utf8 } = $js_verify_bytes;

const EVENT_BYTES = 49152;
const SEAL_BYTES = 8192;
const BUNDLE_BYTES = 16 * 1024 * 1024;
const MAX_DEPTH = 32;

/** Numbers are finite doubles up to this, both signs (RFC 7493 §2.2). */
const MAX_NUMBER = Number.MAX_SAFE_INTEGER;

const NUMBER = /-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?/y;
const PLAIN = /[^"\\\u0000-\u001f]*/y; // RFC 8259 §7: control characters stand escaped
const SPACE = /[ \t\n\r]*/y;
const LITERALS = { t: ['true', true], f: ['false', false], n: ['null', null] };

/** Whether a string has a surrogate without its partner, and so is no Unicode text. */
function hasLoneSurrogate(text) {
  for (let i = 0; i < text.length; i += 1) {
    const half = text.charCodeAt(i) & 0xfc00;
    if (half === 0xdc00) return true;
    if (half === 0xd800) {
      i += 1;
      if ((text.charCodeAt(i) & 0xfc00) !== 0xdc00) return true;
    }
  }
  return false;
}

/**
 * An object that inherits nothing. Object.create(null) would do, but engines make a hash table of each
 * such, several times as large: a bundle of millions of small objects would fill a phone.
 */
function Members() {}
Members.prototype = Object.create(null);

const refuse = (code, message) => { throw new MalformedJsonError(code, message); };

function decodeUtf8(bytes) {
  if (bytes[0] === 0xef && bytes[1] === 0xbb && bytes[2] === 0xbf) {
    refuse('not-utf8', 'starts with a byte order mark');
  }
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch (error) {
    return refuse('not-utf8', 'is not UTF-8');
  }
}

/** Depth counts brackets outside strings, before the grammar is looked at. */
function checkDepth(text, maxDepth) {
  let depth = 0;
  let inString = false;
  for (let i = 0; i < text.length; i += 1) {
    const c = text[i];
    if (inString) {
      if (c === '\\') i += 1;
      else if (c === '"') inString = false;
    } else if (c === '"') inString = true;
    else if (c === '[' || c === '{') {
      depth += 1;
      if (depth > maxDepth) refuse('too-deep', `more than ${maxDepth} open objects and arrays`);
    } else if (c === ']' || c === '}') depth -= 1;
  }
}

/** One pass over the text. Broken grammar throws at once; the softer rules are noted and told last. */
class Reader {
  constructor(text) {
    this.text = text;
    this.at = 0;
    this.duplicate = null;
    this.number = null;
    this.surrogate = null;
  }

  fail(expected) {
    refuse('not-json', `expected ${expected} at character ${this.at}`);
  }

  match(pattern) {
    pattern.lastIndex = this.at;
    const found = pattern.exec(this.text);
    if (!found) return null;
    this.at = pattern.lastIndex;
    return found[0];
  }

  /** The next character that is no white space; not consumed. */
  peek() {
    this.match(SPACE);
    return this.text[this.at];
  }

  take(wanted) {
    if (this.peek() !== wanted) this.fail(wanted);
    this.at += 1;
  }

  value() {
    const c = this.peek();
    if (c === '{') return this.object();
    if (c === '[') return this.array();
    if (c === '"') return this.string();
    return c in LITERALS ? this.literal(...LITERALS[c]) : this.numeral();
  }

  literal(word, value) {
    if (!this.text.startsWith(word, this.at)) this.fail(word);
    this.at += word.length;
    return value;
  }

  numeral() {
    const spelt = this.match(NUMBER);
    if (!spelt) this.fail('a value');
    const value = Number(spelt);
    if (!(Math.abs(value) <= MAX_NUMBER)) this.number = this.number || spelt;
    return value;
  }

  /** Members or elements between brackets: `item` reads one. */
  list(open, close, item) {
    this.take(open);
    if (this.peek() === close) this.at += 1;
    else {
      do item(); while (this.peek() === ',' && (this.at += 1));
      this.take(close);
    }
  }

  array() {
    const values = [];
    this.list('[', ']', () => values.push(this.value()));
    return values;
  }

  object() {
    const members = new Members();
    this.list('{', '}', () => {
      if (this.peek() !== '"') this.fail('a member name');
      const name = this.string();
      this.take(':');
      if (name in members) this.duplicate = this.duplicate || name;
      members[name] = this.value();
    });
    return members;
  }

  /**
   * Only the end is looked for here; JSON.parse undoes the escapes of one string by the same grammar
   * (RFC 8259 §7), and puts no megabyte together letter by letter.
   */
  string() {
    const start = this.at;
    let isPlain = true;
    this.at += 1;
    this.match(PLAIN);
    while (this.text[this.at] === '\\') {
      isPlain = false;
      this.at += 2;
      this.match(PLAIN);
    }
    if (this.text[this.at] !== '"') this.fail('the end of the string');
    this.at += 1;
    const text = isPlain ? this.text.slice(start + 1, this.at - 1) : this.unescape(start);
    if (this.surrogate === null && hasLoneSurrogate(text)) this.surrogate = text;
    return text;
  }

  unescape(start) {
    try {
      return JSON.parse(this.text.slice(start, this.at));
    } catch (error) {
      return this.fail('the escapes of RFC 8259 §7');
    }
  }

  whole() {
    const value = this.value();
    if (this.peek() !== undefined) this.fail('nothing after the value');
    if (this.duplicate !== null) refuse('duplicate-key', `member ${this.duplicate} stands twice`);
    if (this.number !== null) refuse('number-range', `${this.number} is no double within 2^53 − 1`);
    if (this.surrogate !== null) refuse('lone-surrogate', 'a string has half a surrogate pair');
    return value;
  }
}

/**
 * The value of UTF-8 JSON bytes; throws MalformedJsonError with the first code of section 1 that
 * applies. The limits are those of an event unless told.
 */
function parse(bytes, { maxBytes = EVENT_BYTES, maxDepth = MAX_DEPTH } = {}) {
  if (bytes.length > maxBytes) refuse('too-large', `${bytes.length} bytes, at most ${maxBytes}`);
  const text = decodeUtf8(bytes);
  checkDepth(text, maxDepth);
  return new Reader(text).whole();
}

/** RFC 8785 text of a parsed value. Its number and string forms are ECMAScript's own (§3.2.2). */
function canonicalText(value) {
  if (Array.isArray(value)) return `[${value.map(canonicalText).join(',')}]`;
  if (isObject(value)) {
    // §3.2.3: by UTF-16 code units, which is how JavaScript compares strings.
    const members = Object.keys(value).sort().map((name) => `${JSON.stringify(name)}:${canonicalText(value[name])}`);
    return `{${members.join(',')}}`;
  }
  return JSON.stringify(value);
}

/** The canonical bytes that are signed and hashed. */
const encode = (value) => utf8(canonicalText(value));

/** A JSON object, as opposed to null, an array or a plain value. */
const isObject = (value) => typeof value === 'object' && value !== null && !Array.isArray(value);

/** How deep a parsed value is: 0 for a plain value, 1 for an object or array of plain values. */
function depthOf(value) {
  if (typeof value !== 'object' || value === null) return 0;
  return 1 + Object.values(value).reduce((deepest, inner) => Math.max(deepest, depthOf(inner)), 0);
}

return { EVENT_BYTES, SEAL_BYTES, BUNDLE_BYTES, MAX_DEPTH, hasLoneSurrogate, parse, canonicalText, encode, isObject, depthOf };
})();

// ---- js/verify/moments.js
const $js_verify_moments = (() => {
/**
 * Points in time as text and as numbers. Twin of provenance/domain/moments.py.
 *
 * *Ledger time*: Number of milliseconds since 1970, always `YYYY-MM-DDTHH:MM:SS.mmmZ`. *Claimed
 * time*: any RFC 3339 date-time with offset, BigInt of microseconds (further digits are cut off).
 * Date.parse is not used: it takes forms and days that RFC 3339 does not know.
 */

const { ProofError } = $js_verify_errors;

const LEDGER = /^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}\.\d{3}Z$/;
const RFC3339 = /^(\d{4})-(\d{2})-(\d{2})[Tt](\d{2}):(\d{2}):(\d{2})(?:\.(\d+))?([Zz]|[+-]\d{2}:\d{2})$/;

const isLeap = (year) => (year % 4 === 0 && year % 100 !== 0) || year % 400 === 0;

function daysIn(year, month) {
  if (month === 2) return isLeap(year) ? 29 : 28;
  return [4, 6, 9, 11].includes(month) ? 30 : 31;
}

/** Days from 1970-01-01 to a date of the proleptic Gregorian calendar. */
function daysSince1970(year, month, day) {
  const date = new Date(0);
  date.setUTCFullYear(year, month - 1, day); // Date.UTC would take years below 100 for 19xx
  return date.getTime() / 86400000;
}

function offsetMinutes(text) {
  if (text === 'Z' || text === 'z') return 0;
  const [hours, minutes] = [Number(text.slice(1, 3)), Number(text.slice(4))];
  if (hours > 23 || minutes > 59) throw new ProofError(`no such offset: ${text}`);
  return (text[0] === '-' ? -1 : 1) * (hours * 60 + minutes);
}

/** Microseconds since 1970 (BigInt) of an RFC 3339 date-time with offset; throws ProofError. */
function parseClaimedTime(text) {
  // Only text goes into the message: our parsed objects have no prototype and so no toString.
  if (typeof text !== 'string') throw new ProofError(`expected a date-time, found ${typeof text}`);
  const match = RFC3339.exec(text);
  if (!match) throw new ProofError(`expected an RFC 3339 date-time with offset, found ${text}`);
  const [year, month, day, hour, minute, second] = match.slice(1, 7).map(Number);
  const exists = year >= 1 && month >= 1 && month <= 12 && day >= 1 && day <= daysIn(year, month)
    && hour <= 23 && minute <= 59 && second <= 59;
  if (!exists) throw new ProofError(`no such date or time: ${text}`);
  const minutes = daysSince1970(year, month, day) * 1440 + hour * 60 + minute - offsetMinutes(match[8]);
  const micros = `${match[7] || ''}000000`.slice(0, 6);
  return BigInt(minutes * 60 + second) * 1000000n + BigInt(micros);
}

/** Milliseconds since 1970 of the fixed 24-character form; throws ProofError for any other form. */
function parseLedgerTime(text) {
  if (typeof text !== 'string' || !LEDGER.test(text)) {
    throw new ProofError('expected YYYY-MM-DDTHH:MM:SS.mmmZ');
  }
  return Number(parseClaimedTime(text) / 1000n);
}

/** `YYYY-MM-DDTHH:MM:SSZ` of POSIX seconds. */
const formatSeconds = (seconds) => new Date(seconds * 1000).toISOString().replace('.000Z', 'Z');

return { parseClaimedTime, parseLedgerTime, formatSeconds };
})();

// ---- js/verify/form.js
const $js_verify_form = (() => {
/**
 * The form of a parsed JSON value: which members it has, what they are. Every question throws
 * ProofError with what was expected; who asked turns that into a reason and a place.
 */

const { decodeBase64 } = $js_verify_base64;
const { utf8 } = $js_verify_bytes;
const { ProofError } = $js_verify_errors;
const { isObject } = $js_verify_json;
const { parseClaimedTime } = $js_verify_moments;

const SECONDS = /^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}Z$/;

/** An integer that both languages hold exactly: 0..2^53 − 1. */
const isCount = (value) => Number.isSafeInteger(value) && value >= 0;

function requireThat(condition, expected) {
  if (!condition) throw new ProofError(`expected ${expected}`);
}

/** `value` is an object with all of `names`, perhaps some of `optional`, and nothing else. */
function requireMembers(value, names, optional = []) {
  requireThat(isObject(value), 'an object');
  const missing = names.find((name) => !(name in value));
  requireThat(missing === undefined, `a member ${missing}`);
  const unknown = Object.keys(value).find((name) => !names.includes(name) && !optional.includes(name));
  requireThat(unknown === undefined, `no member ${unknown}`);
}

/** Bytes of each base64 text of an array. */
function requireHashes(value) {
  requireThat(Array.isArray(value), 'an array of hashes');
  return value.map((text) => decodeBase64(text, 32));
}

/** A subject's URI as it may stand in a bundle: 1 to 65,535 bytes of UTF-8. */
function requireUri(value) {
  requireThat(typeof value === 'string' && value !== '' && utf8(value).length <= 65535, 'a URI');
}

/** A moment that exists, in the form of proofs. */
function requireSeconds(text) {
  requireThat(typeof text === 'string' && SECONDS.test(text), 'YYYY-MM-DDTHH:MM:SSZ');
  parseClaimedTime(text);
}

return { isCount, requireThat, requireMembers, requireHashes, requireUri, requireSeconds };
})();

// ---- js/verify/sha256.js
const $js_verify_sha256 = (() => {
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
function sha256(message) {
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

return { sha256 };
})();

// ---- js/verify/note.js
const $js_verify_note = (() => {
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

const { decodeBase64 } = $js_verify_base64;
const { concat, equal, fromHex, toHex, utf8 } = $js_verify_bytes;
const { ProofError } = $js_verify_errors;
const { sha256 } = $js_verify_sha256;

/** Signature types of signed-note: the byte before the public key in a verifier key. */
const ED25519 = 0x01;
const COSIGNATURE_V1 = 0x04;
/** ML-DSA-44: its lines are judged where the browser can (mldsa.js), else passed over. */
const MLDSA = 0x06;
const KEY_SIZES = { [ED25519]: 32, [COSIGNATURE_V1]: 32, [MLDSA]: 1312 };

const MAX_SIGNATURES = 100;
const CONTROL = /[\u0000-\u0009\u000b-\u001f]/;
/** Unicode White_Space; JavaScript's \s takes U+FEFF for one and U+0085 for none. */
const SPACE = /[\u0009-\u000d\u0020\u0085\u00a0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000]/;

/** Key names are not empty and have no space, no plus, no control character. */
function isKeyName(name) {
  return name !== '' && !SPACE.test(name) && !CONTROL.test(name) && !name.includes('+');
}

/** The four bytes that name a key beside its name: H(name ‖ 0x0A ‖ type ‖ public key)[0:4]. */
function keyId(name, kind, publicKey) {
  return sha256(concat(utf8(name), Uint8Array.of(10, kind), publicKey)).slice(0, 4);
}

/** `{name, id, kind, publicKey}` of `<name>+<id>+<base64>`; throws ProofError. */
function parseVerifierKey(text) {
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
const isLineOf = (key, line) => key.name === line.name && key.id === line.id;

function parseSignatureLine(line) {
  const match = /^\u2014 ([^ ]+) ([^ ]+)$/.exec(line);
  if (!match || !isKeyName(match[1])) throw new ProofError('a malformed signature line');
  const data = decodeBase64(match[2]);
  if (data.length < 5) throw new ProofError('a signature line without a signature');
  return { name: match[1], id: toHex(data.subarray(0, 4)), signature: data.subarray(4) };
}

/** `{text, signatures: [{name, id, signature}]}` of a note; throws ProofError. */
function parseNote(note) {
  const split = note.lastIndexOf('\n\n');
  if (CONTROL.test(note) || split < 1 || !note.endsWith('\n')) throw new ProofError('not a signed note');
  const lines = note.slice(split + 2, -1).split('\n');
  if (lines.length > MAX_SIGNATURES) throw new ProofError('too many signature lines');
  return { text: note.slice(0, split + 1), signatures: lines.map(parseSignatureLine) };
}

return { ED25519, COSIGNATURE_V1, MLDSA, isKeyName, keyId, parseVerifierKey, isLineOf, parseNote };
})();

// ---- js/verify/checkpoint.js
const $js_verify_checkpoint = (() => {
/**
 * The text of a C2SP tlog-checkpoint: origin, size, root, three lines and no more. Twin of
 * merkle/checkpoint.py. Extension lines are refused: monitors cannot audit what they say.
 */

const { decodeBase64 } = $js_verify_base64;
const { ProofError } = $js_verify_errors;
const { isCount } = $js_verify_form;
const { isKeyName } = $js_verify_note;

/** `{origin, size, root}`; throws ProofError for another text. */
function parseCheckpoint(text) {
  const lines = text.split('\n');
  if (lines.length !== 4 || lines[3] !== '' || !isKeyName(lines[0])) throw new ProofError('not a checkpoint of three lines');
  const [origin, size, root] = lines;
  if (!/^(0|[1-9][0-9]{0,15})$/.test(size) || !isCount(Number(size))) throw new ProofError('a malformed tree size');
  return { origin, size: Number(size), root: decodeBase64(root, 32) };
}

return { parseCheckpoint };
})();

// ---- js/verify/merkle.js
const $js_verify_merkle = (() => {
/**
 * Hashes and inclusion proofs of RFC 9162 §2.1 (the RFC 6962 tree). Twin of merkle/hashing.py and
 * merkle/proofs.py; which bytes are an entry is the caller's business.
 *
 * Every hash is exactly 32 bytes, the index lies in the tree, and a proof is used up: no more, no
 * less. Sizes are Numbers up to 2^53 − 1, so halving is done by division and never by `>>`.
 */

const { concat, equal } = $js_verify_bytes;
const { ProofError } = $js_verify_errors;
const { sha256 } = $js_verify_sha256;

/** §2.1.1: H("") */
const EMPTY_ROOT = sha256(new Uint8Array(0));

/** §2.1.1: H(0x00 ‖ entry) */
const leafHash = (entry) => sha256(concat(Uint8Array.of(0), entry));

/** §2.1.1: H(0x01 ‖ left ‖ right) */
const nodeHash = (left, right) => sha256(concat(Uint8Array.of(1), left, right));

const half = (n) => Math.floor(n / 2);
const isOdd = (n) => n % 2 === 1;

function need32(hashes) {
  if (hashes.some((hash) => hash.length !== 32)) throw new ProofError('a hash is not 32 bytes long');
}

/** §2.1.1: the root over leaf hashes, built by carrying an odd one up unchanged. */
function rootOf(leafHashes) {
  if (!leafHashes.length) return EMPTY_ROOT;
  let level = leafHashes;
  while (level.length > 1) {
    const above = [];
    for (let i = 0; i < level.length; i += 2) {
      above.push(i + 1 < level.length ? nodeHash(level[i], level[i + 1]) : level[i]);
    }
    level = above;
  }
  return level[0];
}

/** §2.1.3.2: the root that a leaf at `index` of a tree of `size` and its proof lead to. */
function rootFromInclusion(leaf, index, size, proof) {
  need32([leaf, ...proof]);
  if (!(index >= 0 && index < size)) throw new ProofError(`index ${index} is not in a tree of ${size}`);
  let [fn, sn, hash] = [index, size - 1, leaf];
  for (const sibling of proof) {
    if (sn === 0) throw new ProofError('the inclusion proof is too long');
    if (isOdd(fn) || fn === sn) {
      hash = nodeHash(sibling, hash);
      while (!isOdd(fn) && fn !== 0) [fn, sn] = [half(fn), half(sn)];
    } else {
      hash = nodeHash(hash, sibling);
    }
    [fn, sn] = [half(fn), half(sn)];
  }
  if (sn !== 0) throw new ProofError('the inclusion proof is too short');
  return hash;
}

/** Returns nothing; throws ProofError unless the leaf stands at `index` under `root`. */
function verifyInclusion(leaf, index, size, proof, root) {
  if (!equal(rootFromInclusion(leaf, index, size, proof), root)) {
    throw new ProofError('the inclusion proof leads to another root');
  }
}

/** §2.1.4.2 with old size ≥ 1. Returns nothing; throws ProofError unless `newRoot` grew out of `oldRoot`. */
function verifyConsistency(oldSize, newSize, oldRoot, newRoot, proof) {
  need32([oldRoot, newRoot, ...proof]);
  if (oldSize < 1 || oldSize > newSize) throw new ProofError(`no proof from ${oldSize} to ${newSize}`);
  if (oldSize === newSize) {
    if (proof.length || !equal(oldRoot, newRoot)) throw new ProofError('equal sizes, but not equal trees');
    return;
  }
  const path = isPowerOfTwo(oldSize) ? [oldRoot, ...proof] : proof.slice();
  let [fn, sn] = [oldSize - 1, newSize - 1];
  while (isOdd(fn)) [fn, sn] = [half(fn), half(sn)];
  if (!path.length) throw new ProofError('the consistency proof is empty');
  let [oldHash, newHash] = [path[0], path[0]];
  for (const sibling of path.slice(1)) {
    if (sn === 0) throw new ProofError('the consistency proof is too long');
    if (isOdd(fn) || fn === sn) {
      [oldHash, newHash] = [nodeHash(sibling, oldHash), nodeHash(sibling, newHash)];
      while (!isOdd(fn) && fn !== 0) [fn, sn] = [half(fn), half(sn)];
    } else {
      newHash = nodeHash(newHash, sibling);
    }
    [fn, sn] = [half(fn), half(sn)];
  }
  if (sn !== 0) throw new ProofError('the consistency proof is too short');
  if (!equal(oldHash, oldRoot)) throw new ProofError('the consistency proof leads to another old root');
  if (!equal(newHash, newRoot)) throw new ProofError('the consistency proof leads to another new root');
}

function isPowerOfTwo(n) {
  let rest = n;
  while (rest % 2 === 0) rest = half(rest);
  return rest === 1;
}

return { EMPTY_ROOT, leafHash, nodeHash, rootOf, rootFromInclusion, verifyInclusion, verifyConsistency };
})();

// ---- js/verify/forks.js
const $js_verify_forks = (() => {
/**
 * Evidence that a log has forked: two states that it signed and that cannot both be. The form is that
 * of docs/formats.md section 8; step 6a of section 10 says when it is asked for. Twin of
 * provenance/domain/fork.py and provenance/verify/forks.py.
 *
 * Evidence that proves nothing is passed over: anybody may make such a thing up, and it must not turn a
 * reader red.
 */

const { decodeBase64 } = $js_verify_base64;
const { equal, utf8 } = $js_verify_bytes;
const { parseCheckpoint } = $js_verify_checkpoint;
const { verifyEd25519 } = $js_verify_ed25519;
const { KnownError, MalformedJsonError, ProofError, RefusedError } = $js_verify_errors;
const { requireHashes, requireMembers, requireThat } = $js_verify_form;
const { isObject, parse } = $js_verify_json;
const { verifyConsistency } = $js_verify_merkle;
const { ED25519, isLineOf, parseNote } = $js_verify_note;

const MEMBERS = ['v', 'type', 'origin', 'first', 'second', 'root', 'proof'];
const MAX_KNOWN_BYTES = 1048576;

/** Evidence of a JSON value: `{origin, first, second, root, proof}`; throws ProofError. */
function readFork(value) {
  requireMembers(value, MEMBERS);
  requireThat(value.v === 1 && value.type === 'prov:ForkEvidence', 'fork evidence');
  requireThat([value.origin, value.first, value.second].every((text) => typeof text === 'string'), 'strings');
  const root = value.root === null ? null : decodeBase64(value.root, 32);
  return { origin: value.origin, first: value.first, second: value.second, root, proof: requireHashes(value.proof) };
}

/** The checkpoint of a note that the log signed; throws ProofError. Only its Ed25519 lines count. */
async function openState(text, origin, policy, engine) {
  const note = parseNote(text);
  let isSigned = false;
  for (const line of note.signatures) {
    const key = policy.logs.find((log) => log.name === origin && log.kind === ED25519 && isLineOf(log, line));
    if (key) {
      isSigned = await verifyEd25519(engine, key.publicKey, utf8(note.text), line.signature);
      if (!isSigned) break;
    }
  }
  requireThat(isSigned, `a good signature of ${origin}`);
  const checkpoint = parseCheckpoint(note.text);
  requireThat(checkpoint.origin === origin, `a checkpoint of ${origin}`);
  return checkpoint;
}

/** Returns nothing; throws ProofError unless both states are the log's and conflict. */
async function verifyFork({ origin, first, second, root, proof }, policy, engine) {
  const before = await openState(first, origin, policy, engine);
  const after = await openState(second, origin, policy, engine);
  requireThat(before.size > 0 && before.size <= after.size, 'sizes above 0 in rising order');
  if (before.size === after.size) {
    requireThat(root === null && !proof.length && !equal(before.root, after.root), 'two roots and no proof');
    return;
  }
  requireThat(root !== null, 'the root of the beginning');
  verifyConsistency(before.size, after.size, root, after.root, proof);
  requireThat(!equal(root, before.root), 'a second state that does not continue the first');
}

async function showsFork(item, checkpoint, policy, engine) {
  try {
    if (typeof item === 'string') {
      const seen = await openState(item, checkpoint.origin, policy, engine);
      return seen.size === checkpoint.size && !equal(seen.root, checkpoint.root);
    }
    await verifyFork(item, policy, engine);
    return item.origin === checkpoint.origin;
  } catch (error) {
    if (error instanceof ProofError) return false;
    throw error;
  }
}

/** Step 6a: RefusedError if anything told in the bundle, or known to the reader, shows a fork. */
async function refuseForked(told, known, checkpoint, policy, engine) {
  const items = [
    ...told.map((item, i) => [`forks[${i}]`, item]),
    ...known.map((item, i) => [`known[${i}]`, item]),
  ];
  for (const [place, item] of items) {
    if (await showsFork(item, checkpoint, policy, engine)) throw new RefusedError('log-forked', place);
  }
}

/**
 * What a reader's own file holds, for `known`: a signed note, evidence, or a JSON list of both. Throws
 * KnownError; a note is not looked into.
 */
function parseKnown(bytes) {
  try {
    const text = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
    if (!/^[\t-\r ]*[{[]/.test(text)) return [text];
    const value = parse(bytes, { maxBytes: MAX_KNOWN_BYTES });
    return (isObject(value) ? [value] : value).map((item) => (typeof item === 'string' ? item : readFork(item)));
  } catch (error) {
    const isOurs = error instanceof ProofError || error instanceof MalformedJsonError || error instanceof TypeError;
    if (!isOurs) throw error;
    throw new KnownError(`known states of a log: ${error.message}`);
  }
}

return { readFork, openState, refuseForked, parseKnown };
})();

// ---- js/verify/policy.js
const $js_verify_policy = (() => {
/**
 * The reader's policy, C2SP tlog-policy: which logs are known, whose cosignatures count, how many
 * are enough. Twin of merkle/policy.py.
 *
 *     log <vkey> [<url>]
 *     witness <name> <vkey> [<url>]
 *     group <name> <k | all | any> <member> …
 *     quorum <name | none>
 *
 * Every line ends in a newline. A name is used after the line that defines it and is a member once at
 * most. No two logs and no two witnesses have the same public key: keys are compared, not names.
 */

const { toHex } = $js_verify_bytes;
const { PolicyError, ProofError } = $js_verify_errors;
const { COSIGNATURE_V1, ED25519, MLDSA, parseVerifierKey } = $js_verify_note;

/** Octets that no line may have: 0x09, 0x0A, 0x20-0x7E and 0x80-0xFF are allowed. */
const BAD_OCTET = /[\u0000-\u0008\u000b-\u001f\u007f]/;

/** Reads statements in order and keeps what the rules need to look back at. */
class Reader {
  constructor() {
    this.logs = [];
    this.witnesses = [];
    this.groups = [];
    this.quorum = undefined;
    this.defined = new Set();
    this.members = new Set();
    this.keys = new Set();
  }

  require(condition, expected, remedy) {
    if (!condition) throw new PolicyError(`policy line ${this.line}: expected ${expected}; ${remedy}`);
  }

  key(text, role, kind) {
    let key = null;
    try {
      key = parseVerifierKey(text);
    } catch (error) {
      if (!(error instanceof ProofError)) throw error;
    }
    this.require(key, 'a verifier key whose id fits', 'copy the key from its owner again');
    this.require(key.kind === kind || key.kind === MLDSA, `the key of a ${role}`, 'ask its owner for the key meant for this use');
    const own = `${role} ${toHex(key.publicKey)}`;
    this.require(!this.keys.has(own), `a ${role} key of its own`, 'remove one of the two lines');
    this.keys.add(own);
    return key;
  }

  define(name) {
    this.require(name !== 'none' && !this.defined.has(name), 'a new name', `choose another than ${name}`);
    this.defined.add(name);
  }

  use(name) {
    this.require(this.defined.has(name), `the name ${name} on a line before`, 'add its witness or group line above this one');
  }

  log(items) {
    this.require(items.length >= 1 && items.length <= 2, 'log <vkey> [<url>]', 'write the line in that form');
    this.logs.push(this.key(items[0], 'log', ED25519));
  }

  witness(items) {
    this.require(items.length >= 2 && items.length <= 3, 'witness <name> <vkey> [<url>]', 'write the line in that form');
    const key = this.key(items[1], 'witness', COSIGNATURE_V1);
    this.define(items[0]);
    this.witnesses.push({ name: items[0], key });
  }

  threshold(rule, count) {
    if (rule === 'any') return 1;
    if (rule === 'all') return count;
    const isNumber = /^[1-9][0-9]{0,8}$/.test(rule) && Number(rule) <= count;
    this.require(isNumber, `any, all or a number from 1 to ${count}`, 'correct the threshold or the members');
    return Number(rule);
  }

  group(items) {
    this.require(items.length >= 3, 'group <name> <k | all | any> <member> …', 'write the line in that form');
    const [name, rule, ...members] = items;
    const threshold = this.threshold(rule, members.length);
    members.forEach((member) => {
      this.use(member);
      this.require(!this.members.has(member), 'each name to be a member once', `name ${member} in one group only`);
      this.members.add(member);
    });
    this.define(name);
    this.groups.push({ name, threshold, members });
  }

  readQuorum(items) {
    this.require(items.length === 1, 'quorum <name | none>', 'write the line in that form');
    this.require(this.quorum === undefined, 'one quorum line', 'remove one of them');
    if (items[0] !== 'none') this.use(items[0]);
    this.quorum = items[0];
  }

  read(line, number) {
    this.line = number;
    this.require(!BAD_OCTET.test(line), 'no control octets', 'remove them, and end lines with LF alone');
    const [word, ...items] = line.split(/[ \t]+/).filter((item) => item !== '');
    if (word === undefined || word.startsWith('#')) return;
    if (word === 'log') this.log(items);
    else if (word === 'witness') this.witness(items);
    else if (word === 'group') this.group(items);
    else if (word === 'quorum') this.readQuorum(items);
    else this.require(false, 'log, witness, group or quorum', 'correct the word, or put # in front of a comment');
  }
}

/** `logs`: verifier keys; `witnesses`: {name, key} under the policy's names; `quorum` null means none. */
class Policy {
  constructor({ logs, witnesses, groups, quorum }) {
    this.logs = logs;
    this.witnesses = witnesses;
    this.groups = groups;
    this.quorum = quorum === 'none' ? null : quorum;
  }

  /** Throws PolicyError naming the line, what was expected and the remedy. */
  static parse(text) {
    const reader = new Reader();
    const lines = text.split('\n');
    reader.line = lines.length;
    reader.require(lines.pop() === '', 'a newline at the end of the file', 'end the line');
    lines.forEach((line, i) => reader.read(line, i + 1));
    if (reader.quorum === undefined) {
      throw new PolicyError('policy: expected a quorum line; add "quorum <name>", or "quorum none" to ask for none');
    }
    return new Policy(reader);
  }

  /** The keys of all logs and witnesses. */
  keys() {
    return [...this.logs, ...this.witnesses.map(({ key }) => key)];
  }

  /** This policy with one more log key. */
  withLog(key) {
    return Object.assign(Object.create(Policy.prototype), this, { logs: [...this.logs, key] });
  }

  /** Whether cosignatures by these witnesses (a Set of names) are enough; always under `none`. */
  isSatisfied(names) {
    if (this.quorum === null) return true;
    const satisfied = new Set(this.witnesses.map((witness) => witness.name).filter((name) => names.has(name)));
    // Members are defined before their group: one pass is enough.
    this.groups.forEach(({ name, threshold, members }) => {
      if (members.filter((member) => satisfied.has(member)).length >= threshold) satisfied.add(name);
    });
    return satisfied.has(this.quorum);
  }

  /**
   * The latest T such that cosignatures with time ≥ T reach the quorum; null when all together do not,
   * and under `none`. `times` is a Map of witness name to seconds.
   */
  latestTime(times) {
    if (this.quorum === null) return null;
    const falling = [...new Set(times.values())].sort((a, b) => (a < b ? 1 : -1));
    const named = (limit) => new Set([...times].filter(([, time]) => time >= limit).map(([name]) => name));
    const found = falling.find((limit) => this.isSatisfied(named(limit)));
    return found === undefined ? null : found;
  }
}

return { Policy };
})();

// ---- js/verify/identifier.js
const $js_verify_identifier = (() => {
/**
 * One name for one thing: the canonical identifier under which a history is kept (docs/formats.md
 * section 2). Twin of qr/identifier.py and qr/epc.py; both read tests/vectors/identifiers.json.
 *
 * Structure only is judged: an old event with a wrong check digit has the same history everywhere.
 */

const { requireThat } = $js_verify_form;

const BASE = 'https://id.gs1.org';

/** Primary keys of GS1 Digital Link: the alternatives of qualifiers, each in order. */
const KEYS = new Map(Object.entries({
  '00': [], '01': ['22 10 21', '235'], 253: [], 255: [], 401: [], 402: [], 414: ['254', '7040'], 415: ['8020'],
  417: ['7040'], 8003: [], 8004: ['7040'], 8006: ['22 10 21'], 8010: ['8011'], 8013: [], 8017: ['8019'], 8018: ['8019'],
}));

/** The finest level that a key keeps: the first of these qualifiers that is there. */
const FINEST = new Map(Object.entries({ '01': ['21', '235', '10'], 8006: ['21', '10'], 414: ['254'], 8010: ['8011'] }));

/** Key, value and at most three qualifiers with their values. */
const MOST_PARTS = 8;

const EPC_URN = /^urn:epc:(id|class|idpat):([^:]*):?(.*)$/s;
const WEB = /^(?:https?|HTTPS?):\/\/[^/]+\/(.*)$/s;

/**
 * How the parts of an EPC scheme make a key (EPC Tag Data Standard 2.0 §6.3 and §7). `total`: digits
 * of company prefix and reference together, 0 where the key is prefix and free text. `moves`: the
 * reference's first digit goes to the front. `front`: put before the key. `extra`: lengths of further
 * digit parts. `free`: free text between prefix and tail. `tail`: a qualifier, `+` the end of the key
 * itself, `*` the pattern sign alone, empty: no such part.
 */
const scheme = (ai, total, tail = '', further = {}) => ({ ai, total, tail, moves: 0, front: '', extra: [], free: 0, ...further });
const SCHEMES = new Map(Object.entries({
  'id:sgtin': scheme('01', 13, '21', { moves: 1 }),
  'class:lgtin': scheme('01', 13, '10', { moves: 1 }),
  'idpat:sgtin': scheme('01', 13, '*', { moves: 1 }),
  'id:upui': scheme('01', 13, '235', { moves: 1 }),
  'id:itip': scheme('8006', 13, '21', { moves: 1, extra: [2, 2] }),
  'id:sscc': scheme('00', 17, '', { moves: 1 }),
  'id:sgln': scheme('414', 12, '254'),
  'id:pgln': scheme('417', 12),
  'id:grai': scheme('8003', 12, '+', { front: '0' }),
  'id:gdti': scheme('253', 12, '+'),
  'id:sgcn': scheme('255', 12, '+'),
  'id:gsrn': scheme('8018', 17),
  'id:gsrnp': scheme('8017', 17),
  'id:gsin': scheme('402', 16),
  'id:giai': scheme('8004', 0, '+'),
  'id:ginc': scheme('401', 0, '+'),
  'id:cpi': scheme('8010', 0, '8011', { free: 1 }),
}));

/** All but `A-Z a-z 0-9 - . _ ~` as %XX. */
function escapeValue(value) {
  return encodeURIComponent(value).replace(/[!'()*]/g, (c) => `%${c.charCodeAt(0).toString(16).toUpperCase()}`);
}

/** A path part without its percent-escapes, or null if one is broken or no UTF-8. */
function unescapeValue(text) {
  try {
    return decodeURIComponent(text);
  } catch (error) {
    return null;
  }
}

const link = (path) => [BASE, ...path.map(escapeValue)].join('/');

/** GS1 check digit: weights 3, 1, 3 … from the right. */
function checkDigit(digits) {
  const sum = [...digits].reverse().reduce((total, digit, place) => total + Number(digit) * (place % 2 ? 1 : 3), 0);
  return String((10 - (sum % 10)) % 10);
}

/** `text` split at the first `count` − 1 dots: the last part runs to the end. */
function splitDots(text, count) {
  const parts = text.split('.');
  return parts.length <= count ? parts : [...parts.slice(0, count - 1), parts.slice(count - 1).join('.')];
}

/** The numeric front of the key: prefix, reference, check digit, further digits. */
function readDigits(form, [prefix, reference, ...extra]) {
  if (!form.total) return prefix;
  const areDigits = [prefix, reference, ...extra].every((part) => /^[0-9]*$/.test(part));
  const fit = extra.every((part, i) => part.length === form.extra[i]) && prefix.length + reference.length === form.total;
  requireThat(areDigits && fit, 'the digits of a GS1 key');
  const digits = reference.slice(0, form.moves) + prefix + reference.slice(form.moves);
  return form.front + digits + checkDigit(digits) + extra.join('');
}

/** The Digital Link of the parts behind an EPC URN's scheme; throws ProofError. */
function readEpc(form, body) {
  const digitParts = 1 + (form.total ? 1 : 0) + form.extra.length;
  const count = digitParts + form.free + (form.tail ? 1 : 0);
  const parts = splitDots(body, count);
  requireThat(parts.length === count && /^[0-9]{6,12}$/.test(parts[0]), `${count} parts of an EPC URN`);
  const texts = parts.slice(digitParts).map(unescapeValue);
  requireThat(texts.every((text) => text), 'text in the last part');
  const tail = form.tail ? texts[texts.length - 1] : '';
  requireThat(form.tail !== '*' || tail === '*', 'the pattern *');
  const key = readDigits(form, parts.slice(0, digitParts)) + (form.free ? texts[0] : '') + (form.tail === '+' ? tail : '');
  // An SGLN without extension writes 0 for it (§6.3.3).
  const hasQualifier = /^[0-9]+$/.test(form.tail) && !(form.tail === '254' && tail === '0');
  return link(hasQualifier ? [form.ai, key, form.tail, tail] : [form.ai, key]);
}

/** Whether `names` are some of `allowed` (text), in its order, none twice. */
function isOrdered(names, allowed) {
  const order = allowed.split(' ');
  let last = -1;
  return names.every((name) => {
    const place = order.indexOf(name);
    const rises = place > last;
    last = place;
    return rises;
  });
}

/** The Digital Link of the key that ends a path, or null. */
function readPath(parts) {
  for (let start = parts.length - 2; start >= Math.max(0, parts.length - MOST_PARTS); start -= 1) {
    const [ai, ...tail] = parts.slice(start);
    const names = tail.filter((_, i) => i % 2 === 1);
    const isKey = KEYS.has(ai) && tail.length % 2 === 1 && tail.every((part) => part);
    if (isKey && (!names.length || KEYS.get(ai).some((allowed) => isOrdered(names, allowed)))) {
      const finest = (FINEST.get(ai) || []).find((name) => names.includes(name));
      return link(finest ? [ai, tail[0], finest, tail[2 * names.indexOf(finest) + 2]] : [ai, tail[0]]);
    }
  }
  return null;
}

/** The canonical identifier of a string; throws ProofError for a malformed EPC URN of a known scheme. */
function canonicalIdentifier(text) {
  const urn = EPC_URN.exec(text);
  if (urn) {
    const form = SCHEMES.get(`${urn[1]}:${urn[2]}`);
    return form ? readEpc(form, urn[3]) : text;
  }
  const web = WEB.exec(text.split('#')[0].split('?')[0]);
  return (web && readPath(web[1].split('/').map(unescapeValue))) || text;
}

return { escapeValue, canonicalIdentifier };
})();

// ---- js/verify/event.js
const $js_verify_event = (() => {
/**
 * What the verifier reads of an event: its bytes and hash, its type, when it says it happened, and
 * which subjects it is about (docs/formats.md section 2 and step 21). Twin of
 * provenance/domain/event.py (`read_event`) and domain/subjects.py. No vocabulary is checked here.
 *
 * A member that names subjects must be of its form where it stands, or the subjects cannot be told.
 */

const { requireThat } = $js_verify_form;
const { canonicalIdentifier } = $js_verify_identifier;
const { depthOf, encode, EVENT_BYTES, isObject, MAX_DEPTH } = $js_verify_json;
const { leafHash } = $js_verify_merkle;
const { parseClaimedTime } = $js_verify_moments;

const MAX_SUBJECTS = 1000;

const PARTY_EVENT_TYPES = [
  'prov:PartyRegistered', 'prov:KeyAdded', 'prov:KeyRevoked', 'prov:PartyAccredited', 'prov:AccreditationWithdrawn',
];

function one(value) {
  requireThat(typeof value === 'string', 'a string');
  return [value];
}

function many(value) {
  requireThat(Array.isArray(value) && value.every((item) => typeof item === 'string'), 'a list of strings');
  return value;
}

function classes(value) {
  const isElement = (item) => isObject(item) && typeof item.epcClass === 'string';
  requireThat(Array.isArray(value) && value.every(isElement), 'a list of quantity elements');
  return value.map((item) => item.epcClass);
}

const WITH_CHILDREN = [['parentID', one], ['childEPCs', many], ['childQuantityList', classes]];
const BY_TYPE = new Map([
  ['ObjectEvent', [['epcList', many], ['quantityList', classes]]],
  ['AggregationEvent', WITH_CHILDREN],
  ['AssociationEvent', WITH_CHILDREN],
  ['TransactionEvent', [['parentID', one], ['epcList', many], ['quantityList', classes]]],
  ['TransformationEvent', [
    ['inputEPCList', many], ['inputQuantityList', classes], ['outputEPCList', many], ['outputQuantityList', classes],
  ]],
  ...PARTY_EVENT_TYPES.map((type) => [type, [['prov:party', one]]]),
]);

/** One of EPCIS, of a party, or an extension: a URI or CURIE that is not in our own namespace. */
function isKnownType(type) {
  return typeof type === 'string' && (BY_TYPE.has(type) || (type.includes(':') && !type.startsWith('prov:')));
}

const isPartyEvent = (document) => PARTY_EVENT_TYPES.includes(document.type);

/** Canonical identifiers named by some members of a document, in order, repetitions kept. */
function identifiersIn(document, ...names) {
  const members = BY_TYPE.get(document.type) || [];
  return members
    .filter(([name]) => names.includes(name) && name in document)
    .flatMap(([name, read]) => read(document[name]))
    .map(canonicalIdentifier);
}

/** The string `name` of an object, as it must be. */
function textOf(value, name) {
  requireThat(isObject(value) && typeof value[name] === 'string', `an object with a string ${name}`);
  return value[name];
}

/** Members `name` of a sensorElementList's elements, one after the other. */
function* sensorMembers(elements, name) {
  requireThat(Array.isArray(elements), 'a list');
  for (const element of elements) {
    requireThat(isObject(element), 'an object');
    if (name in element) yield element[name];
  }
}

/** The first deviceID: of all sensorMetadata first, then of all sensorReports; undefined if none. */
function firstDevice(elements) {
  const has = (value) => {
    requireThat(isObject(value), 'an object');
    return 'deviceID' in value;
  };
  for (const metadata of sensorMembers(elements, 'sensorMetadata')) {
    if (has(metadata)) return textOf(metadata, 'deviceID');
  }
  for (const reports of sensorMembers(elements, 'sensorReport')) {
    requireThat(Array.isArray(reports), 'a list');
    for (const report of reports) {
      if (has(report)) return textOf(report, 'deviceID');
    }
  }
  return undefined;
}

/** What stands in where an event names no object: a place, a device or a transformation. */
function standIn(document) {
  if ('readPoint' in document) return textOf(document.readPoint, 'id');
  if ('bizLocation' in document) return textOf(document.bizLocation, 'id');
  const device = firstDevice('sensorElementList' in document ? document.sensorElementList : []);
  return device === undefined ? textOf(document, 'transformationID') : device;
}

/** 1 to 1,000 canonical identifiers in order of first appearance; throws ProofError. */
function subjectsOf(document) {
  const named = identifiersIn(document, ...(BY_TYPE.get(document.type) || []).map(([name]) => name));
  const subjects = [...new Set(named.length ? named : [canonicalIdentifier(standIn(document))])];
  requireThat(subjects.length <= MAX_SUBJECTS, `at most ${MAX_SUBJECTS} subjects`);
  return subjects;
}

/** `{document, hash, subjects, time}` (time in claimed microseconds); throws ProofError. */
function readEvent(document) {
  requireThat(isKnownType(document.type), 'a known event type');
  const canonical = encode(document);
  requireThat(canonical.length <= EVENT_BYTES && depthOf(document) <= MAX_DEPTH, 'an event within the limits');
  return {
    document,
    hash: leafHash(canonical),
    subjects: subjectsOf(document),
    time: parseClaimedTime(document.eventTime),
  };
}

return { PARTY_EVENT_TYPES, isPartyEvent, identifiersIn, subjectsOf, readEvent };
})();

// ---- js/verify/base58.js
const $js_verify_base58 = (() => {
/**
 * base58btc, as multibase `z…` in multikeys and proof values (W3C Data Integrity, Multikey).
 *
 * Leading zero bytes are leading `1`s. Callers say how long the bytes must be, and the length of the
 * text is bounded before any arithmetic, so that hostile text costs nothing.
 */

const { ProofError } = $js_verify_errors;

const ALPHABET = '123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz';

/** Bytes of base58btc text that must have exactly `size` bytes. */
function decodeBase58(text, size) {
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
function encodeBase58(bytes) {
  let number = bytes.reduce((sum, byte) => sum * 256n + BigInt(byte), 0n);
  let text = '';
  for (; number > 0n; number /= 58n) text = ALPHABET[Number(number % 58n)] + text;
  const firstNonZero = bytes.findIndex((byte) => byte !== 0);
  return '1'.repeat(firstNonZero < 0 ? bytes.length : firstNonZero) + text;
}

return { decodeBase58, encodeBase58 };
})();

// ---- js/verify/seal.js
const $js_verify_seal = (() => {
/**
 * Seals and own proofs: their form, their hash, their signature (docs/formats.md section 4). Twin of
 * provenance/domain/seal.py, domain/proof.py and crypto/integrity.py. Whether the key may speak for
 * the party is party.js's question.
 *
 * The signature is W3C Data Integrity `eddsa-jcs-2022` §3.3: Ed25519 over
 * H(JCS(proof without proofValue)) ‖ H(JCS(document without proof)), options first.
 */

const { decodeBase58 } = $js_verify_base58;
const { decodeBase64, encodeBase64 } = $js_verify_base64;
const { concat } = $js_verify_bytes;
const { isAdmissibleKey, verifyEd25519 } = $js_verify_ed25519;
const { ProofError } = $js_verify_errors;
const { requireMembers, requireSeconds, requireThat } = $js_verify_form;
const { canonicalText, encode, SEAL_BYTES } = $js_verify_json;
const { leafHash } = $js_verify_merkle;
const { sha256 } = $js_verify_sha256;

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
function readSeal(document) {
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
function readOwnProof(document, eventHash) {
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
function decodeMultikey(text) {
  requireThat(typeof text === 'string' && text.startsWith('z'), 'a multikey');
  const bytes = decodeBase58(text.slice(1), 34);
  requireThat(bytes[0] === 0xed && bytes[1] === 0x01, 'the multikey of an Ed25519 key');
  return bytes.subarray(2);
}

/** The 64 bytes of a multibase signature, or ProofError. */
function decodeSignature(text) {
  requireThat(typeof text === 'string' && text.startsWith('z'), 'a multibase signature');
  return decodeBase58(text.slice(1), 64);
}

/** A copy of an object without some members. */
function without(object, ...names) {
  const copy = Object.assign(Object.create(null), object);
  names.forEach((name) => delete copy[name]);
  return copy;
}

/** Returns nothing; throws ProofError unless the seal's key is sound and its signature good. */
async function verifySeal(seal, engine) {
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

return { readSeal, readOwnProof, decodeMultikey, decodeSignature, without, verifySeal };
})();

// ---- js/verify/party.js
const $js_verify_party = (() => {
/**
 * Parties: who may sign, with which key, in which role, judged by ledger time (docs/formats.md
 * section 5). Twin of provenance/domain/party.py. Times are Numbers of milliseconds.
 *
 * A party is what its chain of party events makes of it. Nothing that comes later takes validity from
 * what stood: ends are closed, so a key still stands in the millisecond of its revocation.
 */

const { utf8 } = $js_verify_bytes;
const { verifyEd25519 } = $js_verify_ed25519;
const { VerifyError } = $js_verify_errors;
const { requireMembers, requireThat } = $js_verify_form;
const { canonicalIdentifier } = $js_verify_identifier;
const { encode, isObject } = $js_verify_json;
const { parseLedgerTime } = $js_verify_moments;
const { decodeMultikey, decodeSignature } = $js_verify_seal;

/** A key that may not sign now; `code` is one of section 5: key-unknown, key-revoked … */
class KeyRefusedError extends VerifyError {
  constructor(code) {
    super(code);
    this.code = code;
  }
}

const OPERATOR_ROLE = 'operator';
const ROLES = ['brand', 'producer', 'logistics', 'laboratory', 'customs', 'retailer', 'auditor'];
const REASONS = ['superseded', 'lost', 'compromised', 'ceased'];
/** Members that every event of ours has or may have; their form is judged where events are captured. */
const COMMON = ['@context', 'eventID', 'eventTime', 'eventTimeZoneOffset', 'prov:nonce', 'prov:after', 'proof'];
const VALIDITY = ['prov:validFrom', 'prov:validUntil'];
const URI = /^[a-z][a-z0-9+.-]*:[!-"$-~]+$/;
const LANGUAGE = /^[A-Za-z]{2,8}(-[A-Za-z0-9]{1,8})*$/;

const operatorUri = (origin) => `https://${origin}`;

/** Milliseconds of a time member; undefined where it is absent. */
function optionalTime(document, name) {
  return name in document ? parseLedgerTime(document[name]) : undefined;
}

class Party {
  constructor(uri, name) {
    this.uri = uri;
    this.name = name;
    /** multikey → {custody, from, until, revoked, compromised}, times or undefined */
    this.keys = new Map();
    /** [{role, from, until}], until undefined while open */
    this.grants = [];
  }

  addKey(document, at) {
    const [from, until] = VALIDITY.map((name) => optionalTime(document, name));
    this.keys.set(document['prov:key'], {
      custody: document['prov:custody'], from: from === undefined ? at : Math.max(at, from), until,
    });
  }

  /** "stands" or "doubtful"; throws KeyRefusedError with the first code that applies at ledger time t. */
  judgeKey(multikey, t) {
    const key = this.keys.get(multikey);
    if (!key) throw new KeyRefusedError('key-unknown');
    if (t < key.from) throw new KeyRefusedError('key-not-yet-valid');
    if (key.until !== undefined && t > key.until) throw new KeyRefusedError('key-expired');
    if (key.revoked !== undefined && t > key.revoked) throw new KeyRefusedError('key-revoked');
    return key.compromised !== undefined && t >= key.compromised ? 'doubtful' : 'stands';
  }

  /** Roles held at ledger time t, sorted, each once. */
  rolesAt(t) {
    const held = this.grants.filter(({ from, until }) => from <= t && (until === undefined || t <= until));
    return [...new Set(held.map(({ role }) => role))].sort();
  }
}

function requireKeyMembers(document) {
  decodeMultikey(document['prov:key']);
  requireThat(['party', 'platform'].includes(document['prov:custody']), 'a custody');
  const [from, until] = VALIDITY.map((name) => optionalTime(document, name));
  requireThat(from === undefined || until === undefined || from <= until, 'a validity that does not end first');
}

function requireName(name) {
  requireThat(isObject(name) && Object.keys(name).length > 0, 'a name in some language');
  Object.entries(name).forEach(([language, text]) => {
    requireThat(LANGUAGE.test(language) && typeof text === 'string', 'text under a language tag');
    const { length } = utf8(text);
    requireThat(length >= 1 && length <= 256, '1 to 256 bytes');
  });
}

/** The members of each type beside the common ones: required, optional, and what they must be. */
const FORMS = {
  'prov:PartyRegistered': [['prov:name', 'prov:key', 'prov:custody'], VALIDITY, (document) => {
    requireName(document['prov:name']);
    requireKeyMembers(document);
  }],
  'prov:KeyAdded': [['prov:key', 'prov:custody', 'prov:possession'], VALIDITY, (document) => {
    requireKeyMembers(document);
    decodeSignature(document['prov:possession']);
  }],
  'prov:KeyRevoked': [['prov:key', 'prov:reason'], ['prov:compromisedSince'], (document) => {
    decodeMultikey(document['prov:key']);
    requireThat(REASONS.includes(document['prov:reason']), 'a reason');
    const isMarked = optionalTime(document, 'prov:compromisedSince') !== undefined;
    requireThat(!isMarked || document['prov:reason'] === 'compromised', 'a time with `compromised` only');
  }],
  'prov:PartyAccredited': [['prov:role'], ['prov:validUntil'], (document) => {
    requireThat(ROLES.includes(document['prov:role']), 'a role');
    optionalTime(document, 'prov:validUntil');
  }],
  'prov:AccreditationWithdrawn': [['prov:role'], [], (document) => {
    requireThat(ROLES.includes(document['prov:role']), 'a role');
  }],
};

/** The closed form of party events; throws ProofError. */
function requireForm(document) {
  const [required, optional, requireOwn] = FORMS[document.type];
  requireMembers(document, ['type', 'prov:party', ...required], [...COMMON, ...optional]);
  const uri = document['prov:party'];
  requireThat(uri.length <= 1024 && URI.test(uri) && canonicalIdentifier(uri) === uri, 'a canonical party URI');
  requireOwn(document);
}

/** The new key signed that it belongs to this party in this log. */
async function requirePossession(document, origin, engine) {
  const statement = {
    key: document['prov:key'], origin, party: document['prov:party'], type: 'prov:KeyPossession',
  };
  const publicKey = decodeMultikey(document['prov:key']);
  const signature = decodeSignature(document['prov:possession']);
  requireThat(await verifyEd25519(engine, publicKey, encode(statement), signature), 'a proof of possession');
}

function register(document, { signer, key, at, seq, origin }) {
  const uri = document['prov:party'];
  requireThat(seq === 0 && signer === uri && key === document['prov:key'], 'a registration by the key itself');
  const party = new Party(uri, document['prov:name']);
  party.addKey(document, at);
  if (uri === operatorUri(origin)) party.grants.push({ role: OPERATOR_ROLE, from: at });
  party.judgeKey(key, at);
  return party;
}

function revoke(party, document, at) {
  const key = party.keys.get(document['prov:key']);
  requireThat(key, 'a key that was added');
  const since = optionalTime(document, 'prov:compromisedSince');
  requireThat(since === undefined || since <= at, 'a compromise that is not in the future');
  if (key.revoked === undefined) key.revoked = at;
  if (since !== undefined) key.compromised = Math.min(since, key.compromised === undefined ? since : key.compromised);
}

function accredit(party, document, at) {
  const until = optionalTime(document, 'prov:validUntil');
  party.grants.push({ role: document['prov:role'], from: at, until });
}

function withdraw(party, document, at) {
  requireThat(party.rolesAt(at).includes(document['prov:role']), 'a role that is held');
  party.grants.forEach((grant) => {
    if (grant.role !== document['prov:role']) return;
    if (grant.until === undefined || grant.until > at) grant.until = at;
  });
}

/**
 * The party after one more party event on its chain (`party` null before the first); the party given
 * is changed. `context`: {signer, key, at, seq, origin, operator, engine}; the seal's signature is
 * already known to be good, and `operator` is the operator so far (null before its registration).
 * Throws ProofError for a broken rule, KeyRefusedError for the key that sealed it.
 */
async function applyPartyEvent(party, document, context) {
  const { signer, key, at, origin, operator, engine } = context;
  requireForm(document);
  if (document.type === 'prov:PartyRegistered') {
    requireThat(party === null, 'no second registration');
    return register(document, context);
  }
  requireThat(party !== null, 'a registered party');
  const isByOperator = operator !== null && signer === operator.uri;
  const mayParty = document.type === 'prov:KeyAdded' || document.type === 'prov:KeyRevoked';
  requireThat(isByOperator || (mayParty && signer === party.uri), 'a signer who may do this');
  (isByOperator ? operator : party).judgeKey(key, at);
  if (document.type === 'prov:KeyAdded') {
    requireThat(!party.keys.has(document['prov:key']), 'a key that was never added');
    await requirePossession(document, origin, engine);
    party.addKey(document, at);
  } else if (document.type === 'prov:KeyRevoked') revoke(party, document, at);
  else if (document.type === 'prov:PartyAccredited') accredit(party, document, at);
  else withdraw(party, document, at);
  return party;
}

return { KeyRefusedError, OPERATOR_ROLE, operatorUri, applyPartyEvent };
})();

// ---- js/verify/authentic.js
const $js_verify_authentic = (() => {
/**
 * Authentic: steps 29 to 33 of docs/formats.md section 10. Is every seal signed by the key that it
 * names, and might that key speak for that party then, in a role?
 */

const { ProofError, RefusedError } = $js_verify_errors;
const { isPartyEvent } = $js_verify_event;
const { applyPartyEvent, KeyRefusedError, operatorUri } = $js_verify_party;
const { verifySeal } = $js_verify_seal;

/** Steps 29 to 31 for one seal. */
async function checkSeal(seal, place, origin, present, engine) {
  if (seal.origin !== origin) throw new RefusedError('seal-foreign-log', place);
  if (!present.has(seal.party)) throw new RefusedError('party-missing', place);
  try {
    await verifySeal(seal, engine);
  } catch (error) {
    if (error instanceof ProofError) throw new RefusedError('seal-signature', place);
    throw error;
  }
}

/** All seals, then the events that are their own seals, in order. */
async function checkSeals(bundle, events, origin, engine) {
  const present = new Set(bundle.subjects.filter((subject) => subject.present).map(({ uri }) => uri));
  for (let i = 0; i < bundle.seals.length; i += 1) {
    await checkSeal(bundle.seals[i], `seals[${i}]`, origin, present, engine);
  }
  for (const { seal, index } of events) {
    if (bundle.events[index].seal === null) await checkSeal(seal, `events[${index}]`, origin, present, engine);
  }
}

/**
 * Step 32 for one party's chain; the party, with `operator` null while that is the operator's own. A
 * party event takes effect once: a log that links one again would bring back an accreditation that was
 * withdrawn, under the operator's old signature.
 */
async function replay({ links, place }, events, { origin, operator, engine }) {
  let party = null;
  const seen = new Set();
  for (let j = 0; j < links.length; j += 1) {
    const { document, seal } = events.get(links[j].event);
    if (isPartyEvent(document)) {
      if (seen.has(links[j].event)) throw new RefusedError('party-history', `${place}.links[${j}]`);
      seen.add(links[j].event);
      try {
        party = await applyPartyEvent(party, document, {
          signer: seal.party, key: seal.key, at: links[j].time, seq: j, origin, engine, operator: operator || party,
        });
      } catch (error) {
        const reason = error instanceof KeyRefusedError ? error.code : 'party-history';
        if (!(error instanceof KeyRefusedError || error instanceof ProofError)) throw error;
        throw new RefusedError(reason, `${place}.links[${j}]`);
      }
    }
  }
  return party;
}

/** Step 32: every party of the bundle by URI, the operator's history first. */
async function replayParties(subjects, events, origin, engine) {
  const byHash = new Map(events.map((event) => [event.hashText, event]));
  const chains = subjects
    .map(({ uri, links }, i) => ({ uri, links, place: `subjects[${i}]` }))
    .filter(({ links }) => links.some((link) => isPartyEvent(byHash.get(link.event).document)));
  const uri = operatorUri(origin);
  const own = chains.find((chain) => chain.uri === uri);
  if (!own) throw new RefusedError('party-missing', uri);
  const operator = await replay(own, byHash, { origin, operator: null, engine });
  const parties = new Map([[uri, operator]]);
  for (const chain of chains) {
    if (chain !== own) parties.set(chain.uri, await replay(chain, byHash, { origin, operator, engine }));
  }
  return parties;
}

/** The standing of an event's key by its signer's whole history; throws KeyRefusedError. */
function judgeSigner({ seal, ledgerTime }, parties) {
  const signer = parties.get(seal.party);
  if (!signer) throw new KeyRefusedError('key-unknown');
  return signer.judgeKey(seal.key, ledgerTime);
}

/** Step 33 for every event; adds `standing`, "stands" or "doubtful", to each. */
function checkSigners(events, parties) {
  events.forEach((event) => {
    const place = `events[${event.index}]`;
    try {
      event.standing = judgeSigner(event, parties);
    } catch (error) {
      if (error instanceof KeyRefusedError) throw new RefusedError(error.code, place);
      throw error;
    }
    if (isPartyEvent(event.document)) return;
    if (!parties.get(event.seal.party).rolesAt(event.ledgerTime).length) {
      throw new RefusedError('party-not-accredited', place);
    }
  });
}

return { checkSeals, replayParties, checkSigners };
})();

// ---- js/verify/chain.js
const $js_verify_chain = (() => {
/**
 * Links, subject keys and map values: how one subject's history hangs together (docs/formats.md
 * section 6), and the map head of section 7. Twin of provenance/domain/chain.py and ledger.py.
 */

const { decodeBase64, encodeBase64 } = $js_verify_base64;
const { concat, u16, u64, utf8 } = $js_verify_bytes;
const { ProofError } = $js_verify_errors;
const { isCount, requireMembers, requireThat } = $js_verify_form;
const { encode } = $js_verify_json;
const { leafHash } = $js_verify_merkle;
const { parseLedgerTime } = $js_verify_moments;
const { sha256 } = $js_verify_sha256;

const LINK_MEMBERS = ['event', 'key', 'prev', 'seal', 'seq', 'time', 'v'];
const KEY_DOMAIN = utf8('prov/map-key/v1\0');
const VALUE_DOMAIN = utf8('prov/map-val/v1\0');

/** The 32-byte map key of a subject without card secret; its URI is at most 65,535 bytes. */
function subjectKey(uri) {
  const name = utf8(uri);
  return sha256(concat(KEY_DOMAIN, u16(name.length), name, Uint8Array.of(0)));
}

/** The 32-byte map value of `{count, head, root, index}`, hashes as bytes. */
function mapValue({ count, head, root, index }) {
  return sha256(concat(VALUE_DOMAIN, u64(count), head, root, u64(index)));
}

/**
 * A link: `{event, seal, prev}` as base64 text (prev null at the start), `key` and `hash` as bytes,
 * `seq`, `time` in milliseconds and `timeText`. Throws ProofError for another form.
 */
function readLink(document) {
  requireMembers(document, LINK_MEMBERS);
  requireThat(document.v === 1 && isCount(document.seq), 'a link of version 1 with its seq');
  decodeBase64(document.event, 32);
  decodeBase64(document.seal, 32);
  if (document.prev !== null) decodeBase64(document.prev, 32);
  const hash = leafHash(encode(document));
  return {
    event: document.event,
    seal: document.seal,
    prev: document.prev,
    key: decodeBase64(document.key, 32),
    seq: document.seq,
    time: parseLedgerTime(document.time),
    timeText: document.time,
    hash,
    hashText: encodeBase64(hash),
  };
}

const NUMBER = '(0|[1-9][0-9]*)';
const MAP_HEAD = new RegExp(
  `^prov/map-head/v1\\n${NUMBER}\\n([A-Za-z0-9+/]{43}=)\\n${NUMBER}\\n${NUMBER}\\n(?:-|${NUMBER})\\n$`,
);

/** `{index, root}` of a map head's text; throws ProofError for another form. */
function readMapHead(text) {
  const match = MAP_HEAD.exec(text);
  if (!match) throw new ProofError('not a map head');
  const numbers = [match[1], match[3], match[4], match[5] || '0'].map(Number);
  if (!numbers.every(isCount)) throw new ProofError('a number of the map head is out of range');
  return { index: numbers[0], root: decodeBase64(match[2], 32) };
}

return { subjectKey, mapValue, readLink, readMapHead };
})();

// ---- js/verify/keymap.js
const $js_verify_keymap = (() => {
/**
 * Proofs of the Merkle-Patricia map (the documented format of filippo.io/torchwood/mpt). Twin of
 * merkle/keymap.py, verifying only; what a key and a value mean is the caller's business.
 *
 * Keys and values are 32 bytes. Bit b of a key counts from the top bit of byte 0. A proof is steps
 * `varint(b) ‖ sibling` from the leaf up, b strictly falling, used up exactly. Padded varints
 * (`8000`) and other lengths than 32 are refused, so that one claim has one proof.
 */

const { concat, equal } = $js_verify_bytes;
const { ProofError } = $js_verify_errors;
const { EMPTY_ROOT } = $js_verify_merkle;
const { sha256 } = $js_verify_sha256;

const SIZE = Uint8Array.of(32);

/** Unsigned LEB128 of a bit number in [0, 256). */
const varint = (b) => (b < 128 ? Uint8Array.of(b) : Uint8Array.of((b & 127) | 128, b >> 7));

const bitOf = (key, b) => (key[b >> 3] >> (7 - (b & 7))) & 1;
const entryHash = (key, value) => sha256(concat(Uint8Array.of(0), SIZE, key, SIZE, value));
const innerHash = (b, left, right) => sha256(concat(Uint8Array.of(1), varint(b), left, right));

/** [{bit, sibling}] of the proof's bytes, lowest node first; throws ProofError. */
function readSteps(proof) {
  const steps = [];
  let [offset, above] = [0, 256];
  while (offset < proof.length) {
    let bit = proof[offset];
    offset += 1;
    if (bit >= 128) {
      // Two bytes spell 128..255 only: anything else is padded, too big, or cut off.
      if (proof[offset] !== 1) throw new ProofError('the map proof has a malformed bit number');
      offset += 1;
    }
    const sibling = proof.subarray(offset, offset + 32);
    if (sibling.length !== 32) throw new ProofError('the map proof is cut off');
    if (bit >= above) throw new ProofError('the map proof does not climb');
    offset += 32;
    above = bit;
    steps.push({ bit, sibling });
  }
  return steps;
}

function climb(key, value, steps) {
  return steps.reduce(
    (hash, { bit, sibling }) => (bitOf(key, bit) ? innerHash(bit, sibling, hash) : innerHash(bit, hash, sibling)),
    entryHash(key, value),
  );
}

function need32(...values) {
  if (values.some((value) => value.length !== 32)) throw new ProofError('a map key or value is not 32 bytes long');
}

/** Returns nothing; throws ProofError unless the map under `root` gives `key` this `value`. */
function verifyPresence(root, key, value, proof) {
  need32(root, key, value);
  if (!equal(climb(key, value, readSteps(proof)), root)) {
    throw new ProofError('the map proof leads to another root');
  }
}

/** Returns nothing; throws ProofError unless the map under `root` does not have `key`. */
function verifyAbsence(root, key, proof) {
  need32(root, key);
  if (!proof.length) {
    if (!equal(root, EMPTY_ROOT)) throw new ProofError('an empty proof under a map that is not empty');
    return;
  }
  const [otherKey, otherValue] = [proof.subarray(1, 33), proof.subarray(34, 66)];
  if (proof.length < 66 || proof[0] !== 32 || proof[33] !== 32) {
    throw new ProofError('the absence proof does not start with another entry');
  }
  if (equal(otherKey, key)) throw new ProofError('the absence proof shows the key itself');
  const steps = readSteps(proof.subarray(66));
  // The search for `key` ends at the other entry only if both agree at every branch on the way.
  if (steps.some(({ bit }) => bitOf(key, bit) !== bitOf(otherKey, bit))) {
    throw new ProofError('the absence proof is for another search');
  }
  if (!equal(climb(otherKey, otherValue, steps), root)) {
    throw new ProofError('the map proof leads to another root');
  }
}

return { verifyPresence, verifyAbsence };
})();

// ---- js/verify/cosignature.js
const $js_verify_cosignature = (() => {
/**
 * C2SP tlog-cosignature: what a cosigner states, and when. cosignature/v1 is Ed25519 over the text;
 * subtree/v1 is ML-DSA-44 over the tree. Twin of merkle/cosignature.py.
 */

const { bigEndian, concat, u64, utf8 } = $js_verify_bytes;
const { verifyEd25519 } = $js_verify_ed25519;
const { MLDSA_SIGNATURE_SIZE } = $js_verify_mldsa;

/** Seconds fit a signed 64-bit integer in every language. */
const MAX_SECONDS = 2n ** 63n - 1n;

/**
 * The POSIX seconds (BigInt) of a good cosignature over the checkpoint text, else null. The bytes
 * are u64 seconds ‖ 64-byte signature.
 */
async function cosignedAt(engine, publicKey, text, bytes) {
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
async function subtreeCosignedAt(engine, key, { origin, size, root }, bytes) {
  if (bytes.length !== 8 + MLDSA_SIGNATURE_SIZE || bigEndian(bytes.subarray(0, 8)) > MAX_SECONDS) return null;
  const time = bytes.subarray(0, 8);
  const names = [shortName(key.name), time, shortName(origin)];
  const message = concat(utf8('subtree/v1\n\0'), ...names, u64(0), u64(size), root);
  return (await engine.verifyMldsa(key.publicKey, message, bytes.subarray(8))) ? bigEndian(time) : null;
}

return { cosignedAt, subtreeCosignedAt };
})();

// ---- js/verify/published.js
const $js_verify_published = (() => {
/**
 * Published and fresh: steps 4 to 11 of docs/formats.md section 10 (5a and 5b are succession.js, 6a is
 * forks.js). Is the checkpoint one that a log
 * in the reader's policy signed, that enough witnesses cosigned, and recently? And which map root
 * does it stand for?
 */

const { utf8 } = $js_verify_bytes;
const { readMapHead } = $js_verify_chain;
const { parseCheckpoint } = $js_verify_checkpoint;
const { cosignedAt, subtreeCosignedAt } = $js_verify_cosignature;
const { verifyEd25519 } = $js_verify_ed25519;
const { ProofError, RefusedError } = $js_verify_errors;
const { leafHash, verifyInclusion } = $js_verify_merkle;
const { COSIGNATURE_V1, isLineOf, MLDSA, parseNote } = $js_verify_note;

/** A cosigner's clock may run this many seconds ahead of ours. */
const CLOCK_TOLERANCE = 300n;

/** Runs one check; a ProofError in it is the refusal `reason` at `place`. */
function orRefuse(reason, place, check) {
  try {
    return check();
  } catch (error) {
    if (error instanceof ProofError) throw new RefusedError(reason, place);
    throw error;
  }
}

/** Steps 4 and 5: `{note, checkpoint}`, the note parsed. */
function readCheckpoint(text, policy) {
  const [note, checkpoint] = orRefuse('checkpoint-malformed', 'checkpoint', () => {
    const parsed = parseNote(text);
    return [parsed, parseCheckpoint(parsed.text)];
  });
  if (!policy.logs.some((log) => log.name === checkpoint.origin)) throw new RefusedError('log-unknown', 'checkpoint');
  return { note, checkpoint };
}

/** Whether this verifier can judge lines of a key; those of others are passed over as unknown. */
const canJudge = (key, engine) => key.kind !== MLDSA || Boolean(engine.verifyMldsa);

/** The time (BigInt seconds, 0 for a plain signature) of a line that is good under `key`, else null. */
async function judgeLine(key, { note, checkpoint }, signature, engine) {
  if (key.kind === MLDSA) return subtreeCosignedAt(engine, key, checkpoint, signature);
  if (key.kind === COSIGNATURE_V1) return cosignedAt(engine, key.publicKey, note.text, signature);
  return (await verifyEd25519(engine, key.publicKey, utf8(note.text), signature)) ? 0n : null;
}

/**
 * Step 6: the time (BigInt seconds) of each witness's newest good line, by policy name. There is a good
 * line by the log, and none that is bad under a known key.
 */
async function verifyLines(opened, policy, engine) {
  const logs = policy.logs.filter((log) => log.name === opened.checkpoint.origin && canJudge(log, engine));
  const witnesses = policy.witnesses.filter(({ key }) => canJudge(key, engine));
  const times = new Map();
  let isSigned = false;
  for (const line of opened.note.signatures) {
    const log = logs.find((key) => isLineOf(key, line));
    const witness = witnesses.find(({ key }) => isLineOf(key, line));
    if (log || witness) {
      const time = await judgeLine(log || witness.key, opened, line.signature, engine);
      if (time === null) throw new RefusedError('checkpoint-signature', 'checkpoint');
      isSigned = isSigned || Boolean(log);
      if (witness && !(times.get(witness.name) >= time)) times.set(witness.name, time);
    }
  }
  if (!isSigned) throw new RefusedError('checkpoint-signature', 'checkpoint');
  return times;
}

/** Step 7: cosigned by enough. */
function requireQuorum(times, policy) {
  if (!policy.isSatisfied(new Set(times.keys()))) throw new RefusedError('quorum-missing', 'checkpoint');
}

/** Steps 8 and 9: the 32-byte root of the map at this checkpoint. */
function checkMapHead({ entry, proof }, { size, root }) {
  const head = orRefuse('map-head-malformed', 'mapHead', () => readMapHead(entry));
  if (head.index !== size - 1) throw new RefusedError('map-head-malformed', 'mapHead');
  orRefuse('map-head-inclusion', 'mapHead', () => {
    verifyInclusion(leafHash(utf8(entry)), size - 1, size, proof, root);
  });
  return head.root;
}

/** Step 10: the as-of time (BigInt seconds) that the quorum vouches for, or null under `none`. */
function readAsOf(times, policy, now) {
  const asOf = policy.latestTime(times);
  if (asOf !== null && asOf > BigInt(now) + CLOCK_TOLERANCE) throw new RefusedError('checkpoint-future', 'checkpoint');
  return asOf;
}

/** Step 11: not older than `maxAge` seconds. */
function checkAge(asOf, now, maxAge) {
  if (asOf !== null && BigInt(now) - asOf > BigInt(maxAge)) throw new RefusedError('checkpoint-stale', 'checkpoint');
}

return { orRefuse, readCheckpoint, verifyLines, requireQuorum, checkMapHead, readAsOf, checkAge };
})();

// ---- js/verify/complete.js
const $js_verify_complete = (() => {
/**
 * Complete: steps 12 to 20 of docs/formats.md section 10. Does the map say that each subject has
 * exactly this history, or none, and does its newest link stand in the log?
 */

const { equal } = $js_verify_bytes;
const { mapValue, subjectKey } = $js_verify_chain;
const { RefusedError } = $js_verify_errors;
const { requireThat } = $js_verify_form;
const { canonicalIdentifier } = $js_verify_identifier;
const { verifyAbsence, verifyPresence } = $js_verify_keymap;
const { rootOf, verifyInclusion } = $js_verify_merkle;
const { orRefuse } = $js_verify_published;

/** Steps 14 to 17 for link j of a chain. */
function checkLink(link, j, before, key, place) {
  const refuseUnless = (condition, reason) => {
    if (!condition) throw new RefusedError(reason, `${place}.links[${j}]`);
  };
  refuseUnless(equal(link.key, key), 'link-foreign');
  refuseUnless(link.seq === j, 'link-order');
  refuseUnless(link.prev === (before ? before.hashText : null), 'link-broken');
  refuseUnless(!before || link.time >= before.time, 'link-time');
}

/** Steps 18 and 19: the links are all that the map counts, and they are the ones it commits to. */
function checkHistory({ links, value }, place) {
  if (links.length !== value.count) throw new RefusedError('history-incomplete', place);
  const hashes = links.map((link) => link.hash);
  if (!equal(hashes[hashes.length - 1], value.head) || !equal(rootOf(hashes), value.root)) {
    throw new RefusedError('history-altered', place);
  }
}

/** Steps 12 to 20 for one subject. */
function checkSubject(subject, place, mapRoot, checkpoint) {
  const key = subjectKey(subject.uri);
  if (!subject.present) {
    orRefuse('map-absence', place, () => {
      // Histories stand under canonical identifiers: that another spelling has none says nothing.
      requireThat(canonicalIdentifier(subject.uri) === subject.uri, 'a canonical identifier');
      verifyAbsence(mapRoot, key, subject.absence);
    });
    return;
  }
  const { links, value } = subject;
  orRefuse('map-presence', place, () => verifyPresence(mapRoot, key, mapValue(value), subject.map));
  links.forEach((link, j) => checkLink(link, j, links[j - 1], key, place));
  checkHistory(subject, place);
  orRefuse('link-inclusion', place, () => {
    verifyInclusion(value.head, value.index, checkpoint.size, subject.inclusion, checkpoint.root);
  });
}

/** Every subject in order; returns nothing. */
function checkComplete(subjects, mapRoot, checkpoint) {
  subjects.forEach((subject, i) => checkSubject(subject, `subjects[${i}]`, mapRoot, checkpoint));
}

return { checkComplete };
})();

// ---- js/verify/outside.js
const $js_verify_outside = (() => {
/**
 * What a bundle brings from outside its own proofs: the policy it proposes, and anchors. Neither
 * decides the record (docs/formats.md section 11). Twin of provenance/verify/outside.py.
 *
 * An anchor is listed if its checkpoint is one of this log, signed by it, on which the bundle's builds;
 * whether the third party really dated it is not judged here.
 */

const { toHex } = $js_verify_bytes;
const { PolicyError, ProofError } = $js_verify_errors;
const { openState } = $js_verify_forks;
const { verifyConsistency } = $js_verify_merkle;
const { Policy } = $js_verify_policy;

const keyText = ({ name, kind, publicKey }) => `${name} ${kind} ${toHex(publicKey)}`;

/** What a policy says about one log, as text that does not hang on the order of its lines. */
function meaningOf(policy, origin) {
  return JSON.stringify([
    policy.logs.filter((log) => log.name === origin).map(keyText).sort(),
    policy.witnesses.map(({ name, key }) => `${name} ${keyText(key)}`).sort(),
    policy.groups.map(({ name, threshold, members }) => [name, threshold, ...[...members].sort()].join(' ')).sort(),
    policy.quorum,
  ]);
}

/** Whether the text proposes anything else for this log than the reader's policy. */
function differs(proposed, origin, policy) {
  try {
    return meaningOf(Policy.parse(proposed), origin) !== meaningOf(policy, origin);
  } catch (error) {
    if (error instanceof PolicyError) return true;
    throw error;
  }
}

/** `{anchors, warnings}`: the anchors on whose checkpoints this one builds, a warning for each other. */
async function judgeAnchors(anchors, checkpoint, policy, engine) {
  const judged = { anchors: [], warnings: [] };
  for (let i = 0; i < anchors.length; i += 1) {
    const { kind, time, note, consistency } = anchors[i];
    try {
      const { size, root } = await openState(note, checkpoint.origin, policy, engine);
      verifyConsistency(size, checkpoint.size, root, checkpoint.root, consistency);
      judged.anchors.push({ kind, size, time });
    } catch (error) {
      if (!(error instanceof ProofError)) throw error;
      judged.warnings.push({ code: 'anchor-unusable', place: `anchors[${i}]` });
    }
  }
  return judged;
}

return { differs, judgeAnchors };
})();

// ---- js/verify/passport.js
const $js_verify_passport = (() => {
/**
 * The passport bundle: from bytes to values, steps 1 to 3 of docs/formats.md section 10. Twin of
 * provenance/domain/passport.py. Nothing is believed here; only the form is judged.
 */

const { decodeBase64 } = $js_verify_base64;
const { utf8 } = $js_verify_bytes;
const { readLink } = $js_verify_chain;
const { MalformedJsonError, RefusedError, VerifyError } = $js_verify_errors;
const { readFork } = $js_verify_forks;
const { isCount, requireHashes, requireMembers, requireSeconds, requireThat, requireUri } = $js_verify_form;
const { BUNDLE_BYTES, isObject, parse } = $js_verify_json;
const { readSeal } = $js_verify_seal;

const MEMBERS = ['checkpoint', 'events', 'mapHead', 'seals', 'subject', 'subjects', 'type', 'v',
  'anchors', 'forks', 'policy', 'succession'];
/** Events stand four levels deep in a bundle; each is held to its own 32 later (step 21). */
const BUNDLE_DEPTH = 40;
const MAX_SUBJECTS = 1024;
const MAX_FORKS = 8;
const MAX_SUCCESSIONS = 8;
const MAX_ANCHORS = 16;
const MAX_POLICY_BYTES = 65536;

/** A bundle that cannot be read as one at all (steps 1 and 2): record `unusable`. */
class UnusableError extends RefusedError {}

function parseBundle(bytes) {
  try {
    return parse(bytes, { maxBytes: BUNDLE_BYTES, maxDepth: BUNDLE_DEPTH });
  } catch (error) {
    if (error instanceof MalformedJsonError) throw new UnusableError(error.code, 'bundle');
    throw error;
  }
}

/** Runs one form check; a ProofError in it means that the member at `place` is malformed. */
function at(place, check) {
  try {
    return check();
  } catch (error) {
    if (error instanceof RefusedError || !(error instanceof VerifyError)) throw error;
    throw new RefusedError('bundle-malformed', place);
  }
}

function readMapHeadMember(value) {
  requireMembers(value, ['entry', 'proof']);
  requireThat(typeof value.entry === 'string', 'a map head entry');
  return { entry: value.entry, proof: requireHashes(value.proof) };
}

function readAbsent(value) {
  requireMembers(value, ['uri', 'absence']);
  requireUri(value.uri);
  return { uri: value.uri, present: false, absence: decodeBase64(value.absence), links: [] };
}

function readValue(value) {
  requireMembers(value, ['count', 'head', 'root', 'index']);
  requireThat(isCount(value.count) && isCount(value.index), 'count and index');
  return {
    count: value.count, index: value.index, head: decodeBase64(value.head, 32), root: decodeBase64(value.root, 32),
  };
}

function readSubject(value) {
  if (isObject(value) && 'absence' in value) return readAbsent(value);
  requireMembers(value, ['uri', 'links', 'value', 'map', 'inclusion']);
  requireUri(value.uri);
  requireThat(Array.isArray(value.links) && value.links.length > 0, 'at least one link');
  return {
    uri: value.uri,
    present: true,
    links: value.links.map(readLink),
    value: readValue(value.value),
    map: decodeBase64(value.map),
    inclusion: requireHashes(value.inclusion),
  };
}

function readSubjects(values) {
  const { length } = at('subjects', () => {
    requireThat(Array.isArray(values) && values.length >= 1 && values.length <= MAX_SUBJECTS, '1 to 1,024 subjects');
    return values;
  });
  const seen = new Set();
  const subjects = [];
  for (let i = 0; i < length; i += 1) {
    subjects.push(at(`subjects[${i}]`, () => {
      const subject = readSubject(values[i]);
      requireThat(!seen.has(subject.uri), 'another uri than before');
      seen.add(subject.uri);
      return subject;
    }));
  }
  return subjects;
}

/** `{document, seal, leaf, path, disclosures}`; seal null means that the event carries its own proof. */
function readEventMember(value, sealCount) {
  requireMembers(value, ['event', 'seal', 'leaf', 'path'], ['disclosures']);
  requireThat(isObject(value.event), 'an event');
  requireThat(value.seal === null || (isCount(value.seal) && value.seal < sealCount), 'the index of a seal');
  requireThat(isCount(value.leaf), 'the index of a leaf');
  const disclosures = 'disclosures' in value ? value.disclosures : [];
  requireThat(Array.isArray(disclosures) && disclosures.every((text) => typeof text === 'string'), 'disclosures');
  return { document: value.event, seal: value.seal, leaf: value.leaf, path: requireHashes(value.path), disclosures };
}

function readList(values, name, read) {
  at(name, () => requireThat(Array.isArray(values), 'an array'));
  return values.map((value, i) => at(`${name}[${i}]`, () => read(value)));
}

/** A list that may be missing; its length is looked at first. */
function readFew(document, name, read, most) {
  const values = name in document ? document[name] : [];
  at(name, () => requireThat(!Array.isArray(values) || values.length <= most, `at most ${most}`));
  return readList(values, name, read);
}

function readText(value) {
  requireThat(typeof value === 'string', 'a string');
  return value;
}

function readPolicyMember(value) {
  requireThat(utf8(readText(value)).length <= MAX_POLICY_BYTES, `at most ${MAX_POLICY_BYTES} bytes`);
  return value;
}

/** What the third party gave; held to the form, and judged by others. */
const ANCHOR_PROOFS = new Map([
  ['rfc3161', (proof) => {
    requireMembers(proof, ['token']);
    decodeBase64(proof.token);
  }],
  ['evm', (proof) => {
    requireMembers(proof, ['chain', 'contract', 'transaction', 'block']);
    requireThat(isCount(proof.chain) && isCount(proof.block), 'numbers of a chain and a block');
    requireThat(/^0x[0-9a-fA-F]{40}$/.test(readText(proof.contract)), 'a contract');
    requireThat(/^0x[0-9a-fA-F]{64}$/.test(readText(proof.transaction)), 'a transaction');
  }],
]);

/** `{kind, note, consistency, time}`. */
function readAnchor(value) {
  requireMembers(value, ['kind', 'checkpoint', 'consistency', 'time', 'proof']);
  requireThat(ANCHOR_PROOFS.has(value.kind), 'a known kind');
  ANCHOR_PROOFS.get(value.kind)(value.proof);
  requireSeconds(value.time);
  return {
    kind: value.kind, note: readText(value.checkpoint), consistency: requireHashes(value.consistency), time: value.time,
  };
}

/**
 * The bundle's values, in the order of its members that step 3 prescribes. Throws UnusableError
 * (steps 1 and 2) or RefusedError (`bundle-malformed`).
 */
function readPassport(bytes) {
  const document = parseBundle(bytes);
  if (!isObject(document) || document.type !== 'prov:Passport' || document.v !== 1) {
    throw new UnusableError('not-a-passport', 'bundle');
  }
  at('bundle', () => requireMembers(document, ['type', 'v'], MEMBERS));
  at('subject', () => requireThat(typeof document.subject === 'string', 'a subject'));
  at('checkpoint', () => requireThat(typeof document.checkpoint === 'string', 'a checkpoint'));
  const mapHead = at('mapHead', () => readMapHeadMember(document.mapHead));
  const subjects = readSubjects(document.subjects);
  at('subject', () => requireThat(document.subject === subjects[0].uri, 'the uri of subjects[0]'));
  const seals = readList(document.seals, 'seals', readSeal);
  const events = readList(document.events, 'events', (value) => readEventMember(value, seals.length));
  const forks = readFew(document, 'forks', readFork, MAX_FORKS);
  const policy = 'policy' in document ? at('policy', () => readPolicyMember(document.policy)) : null;
  const succession = readFew(document, 'succession', readText, MAX_SUCCESSIONS);
  const anchors = readFew(document, 'anchors', readAnchor, MAX_ANCHORS);
  const { subject, checkpoint } = document;
  return { subject, checkpoint, mapHead, subjects, seals, events, forks, policy, succession, anchors };
}

return { UnusableError, readPassport };
})();

// ---- js/verify/succession.js
const $js_verify_succession = (() => {
/**
 * The log's keys that a reader accepts: those of its policy, and those that they passed on to. Steps
 * 5a and 5b of docs/formats.md section 10. Twin of provenance/domain/succession.py and
 * provenance/verify/succession.py.
 *
 *     prov/log-key-succession/v1
 *     <origin>
 *     <old verifier key>
 *     <new verifier key>
 *
 * The notes are gone through once, in their order. One that passes on a key which the reader does not
 * accept is passed over: a policy that already has the new key need not have the old one.
 */

const { equal, utf8 } = $js_verify_bytes;
const { verifyEd25519 } = $js_verify_ed25519;
const { ProofError, RefusedError } = $js_verify_errors;
const { requireThat } = $js_verify_form;
const { ED25519, isLineOf, parseNote, parseVerifierKey } = $js_verify_note;

const LABEL = 'prov/log-key-succession/v1';

const isSameName = (key, other) => key.name === other.name && key.id === other.id;
const isSameKey = (key, other) =>
  key.name === other.name && key.kind === other.kind && equal(key.publicKey, other.publicKey);

/** `{oldKey, newKey}`; throws ProofError. Two keys under one id could not be told apart in lines. */
function parseSuccession(text, origin) {
  const lines = text.split('\n');
  requireThat(lines.length === 5 && lines[0] === LABEL && lines[4] === '', 'the four lines of a succession');
  const [oldKey, newKey] = [parseVerifierKey(lines[2]), parseVerifierKey(lines[3])];
  requireThat(lines[1] === origin, 'a succession of this log');
  requireThat([oldKey, newKey].every((key) => key.name === origin && key.kind === ED25519), 'Ed25519 keys of this log');
  requireThat(oldKey.id !== newKey.id, 'two different keys');
  return { oldKey, newKey };
}

/** Step 5a. */
function read(text, origin, place) {
  try {
    const note = parseNote(text);
    return { note, ...parseSuccession(note.text, origin) };
  } catch (error) {
    if (error instanceof ProofError) throw new RefusedError('succession-malformed', place);
    throw error;
  }
}

/** Step 5b: a good line by both keys, and none by either that is bad. */
async function verify({ note, oldKey, newKey }, place, engine) {
  const signed = new Set();
  for (const line of note.signatures) {
    const key = [oldKey, newKey].find((known) => isLineOf(known, line));
    if (key) {
      const isGood = await verifyEd25519(engine, key.publicKey, utf8(note.text), line.signature);
      if (!isGood) throw new RefusedError('succession-signature', place);
      signed.add(key.id);
    }
  }
  if (signed.size !== 2) throw new RefusedError('succession-signature', place);
}

/** `{policy, places}`: the policy with the keys passed on to, and where the notes stand that counted. */
async function acceptSuccessors(notes, origin, policy, engine) {
  const places = [];
  let accepted = policy;
  for (let i = 0; i < notes.length; i += 1) {
    const place = `succession[${i}]`;
    const succession = read(notes[i], origin, place);
    const { oldKey, newKey } = succession;
    const isNew = !accepted.keys().some((key) => isSameName(key, newKey));
    if (isNew && accepted.logs.some((log) => isSameKey(log, oldKey))) {
      await verify(succession, place, engine);
      accepted = accepted.withLog(newKey);
      places.push(place);
    }
  }
  return { policy: accepted, places };
}

return { acceptSuccessors };
})();

// ---- js/verify/trace.js
const $js_verify_trace = (() => {
/**
 * Which other histories belong to a subject, and which events are believed (docs/formats.md sections
 * 9 and 11). Twin of provenance/domain/trace.py: pure functions over events that were checked.
 *
 * An event here has {document, index, hash, subjects, time, ledgerTime, seal}; times of intervals are
 * claimed microseconds (BigInt), [from, until). As there, what a hostile chain can ask for is bounded.
 */

const { compareBytes } = $js_verify_bytes;
const { identifiersIn } = $js_verify_event;
const { escapeValue } = $js_verify_identifier;
const { canonicalText, isObject } = $js_verify_json;
const { without } = $js_verify_seal;

const MAX_SUBJECTS = 256;
const MAX_VISITS = 1024;
const MAX_DEPTH = 32;
/** Beyond every claimed time (years 0001 to 9999). */
const EVER = 10n ** 30n;
const ITEM = /^https:\/\/id\.gs1\.org\/01\/([0-9]{14})\/21\/[^/]+$/;

/** (eventTime, ledger time, bytes of the event hash) */
function compareEvents(a, b) {
  if (a.time !== b.time) return a.time < b.time ? -1 : 1;
  return a.ledgerTime - b.ledgerTime || compareBytes(a.hash, b.hash);
}

const max = (a, b) => (a > b ? a : b);
const min = (a, b) => (a < b ? a : b);

/** What a declaration and the event that it makes wrong have in common. */
function sameness(event) {
  return canonicalText(without(event.document, 'errorDeclaration', 'recordTime', 'prov:nonce', 'prov:after', 'proof'));
}

/**
 * What was said, so that a declaration finds at once what it repeats: sameness → party → events. Only
 * of events whose eventID some declaration has is the content looked at, once for each: however many
 * declarations there are, the work grows with the number of events alone.
 */
function repeatable(events) {
  const isDeclaration = ({ document }) => 'errorDeclaration' in document;
  const declared = new Set(events.filter(isDeclaration).map(({ document }) => document.eventID));
  const found = new Map();
  events.forEach((event) => {
    const { eventID } = event.document;
    if (typeof eventID !== 'string' || isDeclaration(event) || !declared.has(eventID)) return;
    const said = sameness(event);
    if (!found.has(said)) found.set(said, new Map());
    const byParty = found.get(said);
    if (!byParty.has(event.seal.party)) byParty.set(event.seal.party, []);
    byParty.get(event.seal.party).push(event);
  });
  return found;
}

function correctiveIds({ document }) {
  const ids = isObject(document.errorDeclaration) ? document.errorDeclaration.correctiveEventIDs : [];
  return Array.isArray(ids) ? ids.filter((id) => typeof id === 'string') : [];
}

/**
 * The state of every event, in bundle order: `believed`, `correction`, `declared-wrong` or
 * `declaration`; and the declarations of somebody else's events (`foreign`, events).
 */
function judgeStates(events) {
  const states = events.map(({ document }) => ('errorDeclaration' in document ? 'declaration' : 'believed'));
  const said = repeatable(events);
  const foreign = [];
  const corrections = new Set();
  const nameOf = (party, eventID) => JSON.stringify([party, eventID]);
  events.filter(({ index }) => states[index] === 'declaration').forEach((declaration) => {
    const { document, seal } = declaration;
    const repeated = typeof document.eventID === 'string' ? said.get(sameness(declaration)) : undefined;
    const own = repeated && repeated.get(seal.party);
    if (own) {
      if (states[own[0].index] === 'believed') own.forEach(({ index }) => { states[index] = 'declared-wrong'; });
      correctiveIds(declaration).forEach((id) => corrections.add(nameOf(seal.party, id)));
    } else if (repeated) foreign.push(declaration);
  });
  events.forEach(({ document, index, seal }) => {
    const isNamed = typeof document.eventID === 'string' && corrections.has(nameOf(seal.party, document.eventID));
    if (isNamed && states[index] === 'believed') states[index] = 'correction';
  });
  return { states, foreign };
}

const known = new WeakMap();

/** Who is in whom, who was made of what: {parent, children, inputs, outputs}, read once for an event. */
function factsOf(document) {
  if (!known.has(document)) {
    const isContainment = document.type === 'AggregationEvent' || document.type === 'AssociationEvent';
    const isTransformation = document.type === 'TransformationEvent';
    known.set(document, {
      parent: isContainment ? identifiersIn(document, 'parentID')[0] : undefined,
      children: new Set(isContainment ? identifiersIn(document, 'childEPCs', 'childQuantityList') : []),
      inputs: isTransformation ? identifiersIn(document, 'inputEPCList', 'inputQuantityList') : [],
      outputs: new Set(isTransformation ? identifiersIn(document, 'outputEPCList', 'outputQuantityList') : []),
    });
  }
  return known.get(document);
}

/** Where in rising values (BigInt) the first stands that `isPast`; their number if none does. */
function firstPast(count, isPast) {
  let [low, high] = [0, count];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (isPast(middle)) high = middle;
    else low = middle + 1;
  }
  return low;
}

/** The events on one subject's chain in telling order, and what of them opens and closes stays. */
class Chain {
  constructor(uri, events, isBelieved) {
    this.events = [...events].sort(compareEvents);
    this.believed = this.events.map(isBelieved);
    /** Places of the events that put the subject into something. */
    this.packings = [];
    /** Ends of packings by their places, filled in on the way. */
    this.ends = new Map();
    /** The believed DELETE events by type and parent. */
    this.unpackings = new Map();
    this.events.forEach((event, place) => this.sortOut(uri, event, place));
  }

  sortOut(uri, event, place) {
    const { document } = event;
    const { parent, children } = factsOf(document);
    if (!this.believed[place] || parent === undefined) return;
    if (document.action === 'ADD' && children.has(uri)) this.packings.push(place);
    if (document.action !== 'DELETE') return;
    const key = `${document.type} ${parent}`;
    if (!this.unpackings.has(key)) this.unpackings.set(key, []);
    this.unpackings.get(key).push(event);
  }

  /** Places of the events whose time lies in one of the disjoint, rising intervals. */
  placesIn(intervals) {
    const from = (time) => firstPast(this.events.length, (place) => this.events[place].time >= time);
    return intervals.flatMap((interval) => {
      const [first, end] = [from(interval.from), from(interval.until)];
      return Array.from({ length: end - first }, (_, i) => first + i);
    });
  }

  /** Times at which unpackings of that type took `child` out of `parent`. */
  endsFor(type, parent, child) {
    const isEnd = ({ document }) => {
      const { children } = factsOf(document);
      return children.has(child) || (type === 'AggregationEvent' && !children.size);
    };
    return (this.unpackings.get(`${type} ${parent}`) || []).filter(isEnd).map(({ time }) => time);
  }
}

// What was taken up of a subject: disjoint, non-touching, rising intervals {from, until}.

/** The parts of [from, until) that lie in none of the intervals. */
function gapsIn(intervals, from, until) {
  const gaps = [];
  let at = from;
  for (let i = firstPast(intervals.length, (n) => intervals[n].until > from); at < until && i < intervals.length; i += 1) {
    if (intervals[i].from > at) gaps.push({ from: at, until: min(intervals[i].from, until) });
    at = max(at, intervals[i].until);
  }
  return at < until ? [...gaps, { from: at, until }] : gaps;
}

/** The intervals and [from, until) together. */
function unite(intervals, from, until) {
  if (from >= until) return intervals;
  const isApart = (interval) => interval.until < from || until < interval.from;
  const touching = intervals.filter((interval) => !isApart(interval));
  const whole = touching.reduce((sum, one) => ({ from: min(sum.from, one.from), until: max(sum.until, one.until) }), { from, until });
  const before = intervals.filter((interval) => interval.until < from);
  const after = intervals.filter((interval) => until < interval.from);
  return [...before, whole, ...after];
}

/** One walk: the visits taken up, in order, and the first that the limits kept out. */
class Walk {
  constructor(chains, isBelieved) {
    this.chains = new Map([...chains].map(([uri, events]) => [uri, new Chain(uri, events, isBelieved)]));
    this.taken = new Map();
    this.ends = new Map();
    this.visits = [];
    this.via = new Map();
    this.limited = null;
  }

  hasRoom(uri, depth) {
    const hasSeat = this.taken.has(uri) || this.taken.size < MAX_SUBJECTS;
    if (depth <= MAX_DEPTH && hasSeat && this.visits.length < MAX_VISITS) return true;
    this.limited = this.limited || uri;
    return false;
  }

  /** Takes up a visit, unless it adds nothing to those taken up, or there is no room. */
  take(uri, from, until, depth) {
    const before = this.taken.get(uri);
    const fresh = gapsIn(before || [], from, until);
    if ((before && !fresh.length) || !this.hasRoom(uri, depth)) return;
    this.taken.set(uri, unite(before || [], from, until));
    this.visits.push({ uri, from, until, depth, fresh });
  }

  /** When a child that was put into a parent by `added` came out again; EVER if it did not. */
  endOfStay({ document: { type }, time }, child, parent) {
    const key = JSON.stringify([type, child, parent]);
    if (!this.ends.has(key)) {
      const times = [child, parent].flatMap((uri) => {
        const chain = this.chains.get(uri);
        return chain ? chain.endsFor(type, parent, child) : [];
      });
      this.ends.set(key, times.sort((a, b) => (a < b ? -1 : Number(a > b))));
    }
    const times = this.ends.get(key);
    const place = firstPast(times.length, (n) => times[n] > time);
    return place < times.length ? times[place] : EVER;
  }

  /**
   * Places of the packings that a visit must look at: those before its end that lead to a parent not
   * met yet, or whose stay meets what is fresh. Of several with one parent and one end the first covers
   * the others.
   */
  packingsOf(chain, { uri, until, fresh }) {
    if (!fresh.length) return [];
    const [low, high] = [fresh[0].from, fresh[fresh.length - 1].until];
    const seen = new Map();
    const before = chain.packings.slice(0, firstPast(chain.packings.length, (n) => chain.events[chain.packings[n]].time >= until));
    return before.filter((place) => {
      const event = chain.events[place];
      const { parent } = factsOf(event.document);
      if (!this.taken.has(parent)) return true;
      if (!chain.ends.has(place)) chain.ends.set(place, this.endOfStay(event, uri, parent));
      const end = chain.ends.get(place);
      if (end <= low || event.time >= high) return false;
      if (!seen.has(parent)) seen.set(parent, new Set());
      const ends = seen.get(parent);
      return !ends.has(end) && Boolean(ends.add(end));
    });
  }

  /** Rule 1: the parent for as long as the subject was in it, before the visit's interval too. */
  followParent(event, { uri, from, until, depth }) {
    const { document, time } = event;
    const { parent, children } = factsOf(document);
    if (parent === undefined || document.action !== 'ADD' || !children.has(uri)) return;
    // An empty interval is visited too (once): only the parent's own chain can show that it was emptied.
    if (!this.taken.has(parent) && !this.hasRoom(parent, depth + 1)) return;
    this.take(parent, max(from, time), min(until, this.endOfStay(event, uri, parent)), depth + 1);
  }

  /** Rules 2 and 3: what the subject was made from, and the lot that it is of. */
  followOrigin(event, { uri, depth }) {
    const { document, time } = event;
    const { inputs, outputs } = factsOf(document);
    const isMade = outputs.has(uri);
    if (isMade) inputs.forEach((input) => this.take(input, -EVER, time + 1n, depth + 1));
    const item = ITEM.exec(uri);
    const lot = isObject(document.ilmd) ? document.ilmd['cbvmda:lotNumber'] : undefined;
    if (item && typeof lot === 'string' && lot && (isMade || document.action === 'ADD')) {
      this.take(`https://id.gs1.org/01/${item[1]}/10/${escapeValue(lot)}`, -EVER, EVER, depth + 1);
    }
  }

  /**
   * Only what is fresh is gone through: the rest was told by earlier visits, and what it leads to was
   * taken up, or kept out by a limit that still keeps it out.
   */
  visit(visit) {
    const chain = this.chains.get(visit.uri);
    if (!chain) return;
    const inside = new Set(chain.placesIn(visit.fresh));
    inside.forEach((place) => {
      if (!this.via.has(chain.events[place])) this.via.set(chain.events[place], visit.uri);
    });
    const places = new Set([...inside, ...this.packingsOf(chain, visit)]);
    [...places].filter((place) => chain.believed[place]).sort((a, b) => a - b).forEach((place) => {
      this.followParent(chain.events[place], visit);
      if (inside.has(place)) this.followOrigin(chain.events[place], visit);
    });
  }
}

/**
 * Walks from a subject, breadth first. `chains`: uri → its events. Gives `visits` in order
 * ([{uri, from, until}]); `story`, [{event, via}] in telling order, `via` the first visited subject on
 * whose account an event belongs; `limited`, the URI of the first visit that the limits kept out, or
 * null.
 */
function walk(uri, chains, isBelieved) {
  const state = new Walk(chains, isBelieved);
  state.take(uri, -EVER, EVER, 0);
  for (let i = 0; i < state.visits.length; i += 1) state.visit(state.visits[i]);
  const story = [...state.via].map(([event, via]) => ({ event, via }));
  return { visits: state.visits, limited: state.limited, story: story.sort((a, b) => compareEvents(a.event, b.event)) };
}

return { compareEvents, judgeStates, walk };
})();

// ---- js/verify/disclosure.js
const $js_verify_disclosure = (() => {
/**
 * Disclosures: concealed members put back into their event (docs/formats.md section 3; RFC 9901 §4.2,
 * §7.1). Twin of provenance/domain/disclosure.py, reading only.
 *
 * Subjects, type, identity and time of an event stay in sight always: no disclosure may bring them.
 */

const { decodeBase64Url, encodeBase64Url } = $js_verify_base64;
const { utf8 } = $js_verify_bytes;
const { MalformedJsonError, ProofError } = $js_verify_errors;
const { requireThat } = $js_verify_form;
const { depthOf, isObject, MAX_DEPTH, parse } = $js_verify_json;
const { sha256 } = $js_verify_sha256;

const DIGESTS = 'prov:_sd';
const QUANTITIES = ['quantityList', 'childQuantityList', 'inputQuantityList', 'outputQuantityList'];
/** Members that name subjects; only where none of them does, the fallbacks name one. */
const SUBJECTS = [...QUANTITIES, 'parentID', 'epcList', 'childEPCs', 'inputEPCList', 'outputEPCList'];
const FALLBACKS = ['readPoint', 'bizLocation', 'sensorElementList'];
/** Nothing inside these can be concealed either. */
const CLOSED = ['@context', 'errorDeclaration', 'proof'];
const IN_SIGHT = [
  ...CLOSED, ...SUBJECTS, 'type', 'eventID', 'eventTime', 'eventTimeZoneOffset', 'action', 'transformationID',
];

/** Whether `name` may be what the event is about, since no other member says it. */
function isFallback(event, name) {
  const isEmpty = (other) => !(other in event) || (Array.isArray(event[other]) && !event[other].length);
  return FALLBACKS.includes(name) && SUBJECTS.every(isEmpty);
}

/** Whether the member at these names (list positions left out) from the event down may be concealed. */
function isConcealable(event, names) {
  const [top] = names;
  if (names[names.length - 1].startsWith('prov:')) return false;
  if (isFallback(event, top)) return false;
  if (names.length === 1) return !IN_SIGHT.includes(top);
  return !CLOSED.includes(top) && !(QUANTITIES.includes(top) && names.length === 2 && names[1] === 'epcClass');
}

function copyOf(value) {
  if (Array.isArray(value)) return value.map(copyOf);
  if (!isObject(value)) return value;
  const copy = Object.create(null);
  Object.keys(value).forEach((name) => { copy[name] = copyOf(value[name]); });
  return copy;
}

/** Every object with digests in `value`: {members, names, depth, digests}, depth 1 for the event. */
function* placesIn(value, names, depth) {
  if (Array.isArray(value)) {
    for (const inner of value) yield* placesIn(inner, names, depth + 1);
  } else if (isObject(value)) {
    const held = value[DIGESTS];
    if (Array.isArray(held)) {
      yield { members: value, names, depth, digests: held.filter((text) => typeof text === 'string') };
    }
    for (const name of Object.keys(value)) yield* placesIn(value[name], [...names, name], depth + 1);
  }
}

/** [name, value] of a disclosure as it was issued. */
function readDisclosure(text) {
  let array = null;
  try {
    array = parse(decodeBase64Url(text));
  } catch (error) {
    if (!(error instanceof MalformedJsonError)) throw error;
  }
  const isOne = Array.isArray(array) && array.length === 3 && array.slice(0, 2).every((part) => typeof part === 'string');
  requireThat(isOne, 'base64url of a JSON array [salt, name, value]');
  return array.slice(1);
}

/**
 * Enters the places in `value` under each digest that they hold, as often as they hold it: an index,
 * since one event can have a hundred thousand disclosures, each inside another.
 */
function notePlaces(places, value, names, depth) {
  for (const place of placesIn(value, names, depth)) {
    place.digests.forEach((digest) => {
      if (!places.has(digest)) places.set(digest, []);
      places.get(digest).push(place);
    });
  }
}

/** The one place whose digests hold this disclosure's; a digest that stands twice fits nowhere. */
function placeOf(text, places) {
  const digest = encodeBase64Url(sha256(utf8(text)));
  const held = places.get(digest) || [];
  if (held.length !== 1) throw new ProofError(`expected the digest ${digest} once in the event, found it ${held.length} times`);
  return held[0];
}

/** The event with the disclosed members back in their objects; throws ProofError for one that does not fit. */
function applyDisclosures(event, disclosures) {
  const shown = copyOf(event);
  const places = new Map();
  notePlaces(places, shown, [], 1);
  disclosures.forEach((text) => {
    const [name, value] = readDisclosure(text);
    const place = placeOf(text, places);
    const names = [...place.names, name];
    requireThat(!(name in place.members), 'a member that is not there yet');
    requireThat(isConcealable(event, names), 'a member that may be concealed');
    requireThat(place.depth + depthOf(value) <= MAX_DEPTH, `at most ${MAX_DEPTH} levels`);
    place.members[name] = value;
    notePlaces(places, value, names, place.depth + 1);
  });
  return shown;
}

return { applyDisclosures };
})();

// ---- js/verify/unaltered.js
const $js_verify_unaltered = (() => {
/**
 * Unaltered: steps 21 to 28 of docs/formats.md section 10. Are the events the ones that were sealed,
 * is each on the chains of its subjects, and is no event of a chain left out?
 */

const { encodeBase64 } = $js_verify_base64;
const { applyDisclosures } = $js_verify_disclosure;
const { RefusedError } = $js_verify_errors;
const { readEvent } = $js_verify_event;
const { requireThat } = $js_verify_form;
const { verifyInclusion } = $js_verify_merkle;
const { orRefuse } = $js_verify_published;
const { readOwnProof } = $js_verify_seal;

/** Steps 21 to 23 for one event: what event.js reads, with its `seal`, `index` and hash as text. */
function checkEvent(item, index, seals) {
  const place = `events[${index}]`;
  const event = orRefuse('event-malformed', place, () => {
    const read = { ...readEvent(item.document), index };
    read.hashText = encodeBase64(read.hash);
    read.seal = item.seal === null ? readOwnProof(item.document, read.hashText) : seals[item.seal];
    return read;
  });
  orRefuse('event-altered', place, () => {
    if (item.seal === null) requireThat(item.path.length === 0 && item.leaf === 0, 'no path beside an own proof');
    else verifyInclusion(event.hash, item.leaf, event.seal.size, item.path, event.seal.root);
  });
  orRefuse('disclosure-unmatched', place, () => applyDisclosures(item.document, item.disclosures));
  return event;
}

/** Steps 25 to 27 for one link. */
function checkLink(link, subject, byHash, place) {
  const event = byHash.get(link.event);
  if (!event) throw new RefusedError('event-missing', place);
  if (event.seal.hash !== link.seal) throw new RefusedError('seal-mismatch', place);
  if (!event.subjects.includes(subject.uri)) throw new RefusedError('event-not-about-subject', place);
}

/** Step 28: an event stands on the chain of each of its subjects that the bundle has. */
function checkChains(event, subjects) {
  event.subjects.forEach((uri) => {
    const subject = subjects.get(uri);
    if (subject && !subject.hashes.has(event.hashText)) {
      throw new RefusedError('event-missing-on-chain', `events[${event.index}]`);
    }
  });
}

/**
 * The events in bundle order, each with `{document, hash, hashText, subjects, time, seal, index}` and
 * `ledgerTime`, `ledgerTimeText` of the first link that carries it.
 */
function checkUnaltered({ subjects, seals, events }) {
  const firstLinks = new Map();
  subjects.forEach(({ links }) => links.forEach((link) => {
    if (!firstLinks.has(link.event)) firstLinks.set(link.event, link);
  }));
  const byHash = new Map();
  const read = events.map((item, i) => {
    const event = checkEvent(item, i, seals);
    const link = firstLinks.get(event.hashText);
    if (!link || byHash.has(event.hashText)) throw new RefusedError('event-unlinked', `events[${i}]`);
    byHash.set(event.hashText, event);
    return Object.assign(event, { ledgerTime: link.time, ledgerTimeText: link.timeText });
  });
  subjects.forEach((subject, i) => subject.links.forEach((link, j) => {
    checkLink(link, subject, byHash, `subjects[${i}].links[${j}]`);
  }));
  const chains = new Map(subjects.map(({ uri, links }) => [uri, { hashes: new Set(links.map((link) => link.event)) }]));
  read.forEach((event) => checkChains(event, chains));
  return read;
}

return { checkUnaltered };
})();

// ---- js/verify/verdict.js
const $js_verify_verdict = (() => {
/**
 * From evidence to a verdict: the steps of docs/formats.md section 10 in their order, and the document
 * of section 11. Twin of provenance/verify; both give the same bytes for the same bundle, policy and
 * time, on a shared set of good and tampered bundles.
 *
 * Nothing here reads a clock, a network or the page: now and the engine come as arguments.
 */

const { checkSeals, checkSigners, replayParties } = $js_verify_authentic;
const { compareCodePoints, utf8 } = $js_verify_bytes;
const { checkComplete } = $js_verify_complete;
const { findEngine } = $js_verify_engines;
const { RefusedError } = $js_verify_errors;
const { canonicalText } = $js_verify_json;
const { formatSeconds } = $js_verify_moments;
const { refuseForked } = $js_verify_forks;
const { differs, judgeAnchors } = $js_verify_outside;
const { operatorUri } = $js_verify_party;
const { readPassport, UnusableError } = $js_verify_passport;
const { Policy } = $js_verify_policy;
const { checkAge, checkMapHead, readAsOf, readCheckpoint, requireQuorum, verifyLines } = $js_verify_published;
const { acceptSuccessors } = $js_verify_succession;
const { judgeStates, walk } = $js_verify_trace;
const { checkUnaltered } = $js_verify_unaltered;

/** Greatest age of a checkpoint in seconds, unless told. */
const MAX_AGE = 86400;

const CHECKS = ['published', 'fresh', 'complete', 'unaltered', 'authentic'];

function emptyVerdict() {
  return {
    v: 1,
    subject: null,
    record: 'refused', // until everything has passed
    reason: null,
    place: null,
    checks: Object.fromEntries(CHECKS.map((name) => [name, 'not-checked'])),
    log: null,
    stages: [],
    parties: [],
    independent: 0,
    warnings: [],
    anchors: [],
  };
}

/** The events on each present subject's chain, by URI. */
function chainsOf(subjects, events) {
  const byHash = new Map(events.map((event) => [event.hashText, event]));
  return new Map(subjects.map(({ uri, links }) => [uri, [...new Set(links.map((link) => byHash.get(link.event)))]]));
}

/** Step 34, and the trace's warnings in their order. */
function checkTrace({ visits, limited }, subjects) {
  const known = new Map(subjects.map((subject) => [subject.uri, subject.present]));
  const absent = new Set();
  visits.forEach(({ uri }) => {
    if (!known.has(uri)) throw new RefusedError('subject-missing', uri);
    if (!known.get(uri)) absent.add(uri);
  });
  const warnings = [...absent].map((uri) => ({ code: 'subject-without-history', place: uri }));
  return limited === null ? warnings : [...warnings, { code: 'trace-limit', place: limited }];
}

function stageOf({ event, via }, parties, state) {
  const { seal, ledgerTime } = event;
  const signer = parties.get(seal.party);
  return {
    index: event.index,
    event: event.hashText,
    via,
    party: seal.party,
    roles: signer.rolesAt(ledgerTime),
    custody: signer.keys.get(seal.key).custody,
    ledgerTime: event.ledgerTimeText,
    standing: event.standing,
    state,
  };
}

/** Signers of stages, sorted by URI, with their roles at the newest ledger time of the bundle. */
function partiesOf(stages, parties, newest) {
  const uris = [...new Set(stages.map(({ party }) => party))].sort(compareCodePoints);
  return uris.map((uri) => {
    const own = stages.filter(({ party }) => party === uri);
    return {
      uri,
      name: parties.get(uri).name,
      roles: parties.get(uri).rolesAt(newest),
      custody: own.some(({ custody }) => custody === 'platform') ? 'platform' : 'party',
      stages: own.length,
    };
  });
}

/** How many parties, the operator apart, believed stages rest on under keys in their own custody. */
function independentCount(stages, operator) {
  const counted = stages.filter(({ state, custody, party }) =>
    (state === 'believed' || state === 'correction') && custody === 'party' && party !== operator);
  return new Set(counted.map(({ party }) => party)).size;
}

/** Step 34 and section 11, once everything else is checked: the story, its parties, the warnings. */
function tell(bundle, events, parties, origin) {
  const chains = chainsOf(bundle.subjects, events);
  const { states, foreign } = judgeStates(events);
  const isBelieved = ({ index }) => states[index] === 'believed' || states[index] === 'correction';
  const walked = walk(bundle.subject, chains, isBelieved);
  const traceWarnings = checkTrace(walked, bundle.subjects);
  const stages = walked.story.map((told) => stageOf(told, parties, states[told.event.index]));
  const newest = bundle.subjects.flatMap(({ links }) => links).reduce((time, link) => Math.max(time, link.time), -Infinity);
  const doubtful = events.filter(({ standing }) => standing === 'doubtful');
  const at = (code) => ({ index }) => ({ code, place: `events[${index}]` });
  return {
    stages,
    parties: partiesOf(stages, parties, newest),
    independent: independentCount(stages, operatorUri(origin)),
    warnings: [...doubtful.map(at('key-doubtful')), ...foreign.map(at('declaration-foreign')), ...traceWarnings],
  };
}

/** One verification: `verdict` fills up as steps pass; the first RefusedError ends it. */
class Verification {
  constructor(policy, options) {
    this.policy = policy;
    this.options = options;
    this.verdict = emptyVerdict();
  }

  /** Runs the steps of one check and marks its outcome. */
  async check(name, steps) {
    this.verdict.checks[name] = 'fail';
    const result = await steps();
    this.verdict.checks[name] = 'pass';
    return result;
  }

  async run(bytes) {
    const { engine, now, maxAge } = this.options;
    const bundle = readPassport(bytes);
    this.verdict.subject = bundle.subject;
    const checkpoint = await this.check('published', () => this.publish(bundle));
    await this.check('fresh', () => {
      const asOf = readAsOf(checkpoint.times, this.policy, now);
      if (asOf !== null) this.verdict.log.asOf = formatSeconds(Number(asOf));
      checkAge(asOf, now, maxAge);
    });
    if (this.policy.quorum === null) this.verdict.checks.fresh = 'not-checked';
    await this.check('complete', () => checkComplete(bundle.subjects, checkpoint.mapRoot, checkpoint));
    if (!bundle.subjects[0].present) {
      Object.assign(this.verdict, { record: 'absent', ...this.outside });
      return;
    }
    const events = await this.check('unaltered', () => checkUnaltered(bundle));
    const story = await this.check('authentic', async () => {
      await checkSeals(bundle, events, checkpoint.origin, engine);
      const parties = await replayParties(bundle.subjects, events, checkpoint.origin, engine);
      checkSigners(events, parties);
      return tell(bundle, events, parties, checkpoint.origin);
    });
    const warnings = [...story.warnings, ...this.outside.warnings];
    Object.assign(this.verdict, { record: 'verified', ...story, ...this.outside, warnings });
  }

  async publish(bundle) {
    const { engine, known } = this.options;
    const opened = readCheckpoint(bundle.checkpoint, this.policy);
    const { checkpoint } = opened;
    const accepted = await acceptSuccessors(bundle.succession, checkpoint.origin, this.policy, engine);
    const times = await verifyLines(opened, accepted.policy, engine);
    await refuseForked(bundle.forks, known, checkpoint, accepted.policy, engine);
    requireQuorum(times, this.policy);
    const cosigners = [...times.keys()].sort(compareCodePoints);
    this.verdict.log = { origin: checkpoint.origin, size: checkpoint.size, asOf: null, cosigners };
    this.outside = await this.lookOutside(bundle, checkpoint, accepted);
    return { ...checkpoint, times, mapRoot: checkMapHead(bundle.mapHead, checkpoint) };
  }

  /** What never decides the record: warnings about the log, and its anchors. */
  async lookOutside({ policy, anchors }, checkpoint, accepted) {
    const warnings = accepted.places.map((place) => ({ code: 'log-key-succeeded', place }));
    if (policy !== null && differs(policy, checkpoint.origin, this.policy)) {
      warnings.push({ code: 'policy-differs', place: 'policy' });
    }
    const judged = await judgeAnchors(anchors, checkpoint, accepted.policy, this.options.engine);
    return { anchors: judged.anchors, warnings: [...warnings, ...judged.warnings] };
  }

  refuse({ reason, place }, record) {
    Object.assign(this.verdict, { record, reason, place });
  }
}

/**
 * The verdict (docs/formats.md section 11) on a bundle's bytes under a policy's text.
 *
 * `now` in POSIX seconds, `maxAge` in seconds; `engine` of engines.js, found when not given; `known` is
 * what the reader has from elsewhere (parseKnown of forks.js): fork evidence, notes seen before. A refused
 * bundle is a verdict and no error. Throws PolicyError for the policy, and NoEngineError where nothing
 * can check signatures: then the page may only say that the server checked.
 */
async function verifyBundle(bytes, policyText, { now, maxAge = MAX_AGE, engine, known = [] } = {}) {
  const policy = Policy.parse(policyText);
  const verification = new Verification(policy, { now, maxAge, known, engine: engine || (await findEngine()) });
  try {
    await verification.run(bytes);
  } catch (error) {
    if (!(error instanceof RefusedError)) throw error;
    verification.refuse(error, error instanceof UnusableError ? 'unusable' : 'refused');
  }
  return verification.verdict;
}

/** The verdict's canonical bytes. */
const encodeVerdict = (verdict) => utf8(canonicalText(verdict));

return { MAX_AGE, verifyBundle, encodeVerdict };
})();

// ---- js/verify/index.js
const $js_verify_index = (() => {
/**
 * The phone's verifier, whole: a bundle and a policy in, a verdict out. It has no dependency, touches
 * no page and asks no network, so that it can be lifted out and audited alone. docs/formats.md is its
 * specification; provenance/verify is its twin.
 */

const { findEngine, nobleEngine, nobleFrom, webCryptoEngine } = $js_verify_engines;
const { KnownError, NoEngineError, PolicyError, VerifyError } = $js_verify_errors;
const { parseKnown } = $js_verify_forks;
const { Policy } = $js_verify_policy;
const { encodeVerdict, MAX_AGE, verifyBundle } = $js_verify_verdict;

return { findEngine, nobleEngine, nobleFrom, webCryptoEngine, KnownError, NoEngineError, PolicyError, VerifyError, parseKnown, Policy, encodeVerdict, MAX_AGE, verifyBundle };
})();

// ---- js/components/claims.js
const $js_components_claims = (() => {
/**
 * Does the page show what the verified bundle says? Elements that show a signed value name its place
 * in the bundle (data-from, a JSON pointer) and, where it is shown in another form, the value itself
 * (data-claim); stages carry what the verdict says of them. Anything that differs is a finding.
 */

// provenance/web/display.py has the same rule and says why.
const MOST_CHARACTERS = 240;
const SPACES = /[\t\n\v\f\r\u0085\u2028\u2029]/g;
const HIDDEN = /[\0-\x1f\x7f-\x9f\u00ad\u061c\u180e\u200b\u200e\u200f\u202a-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb]/g;

/** A signed value as a page shows it: on one line, nothing hidden, cut after 240 characters. */
function drawn(value) {
  const characters = Array.from(String(value));
  const visible = characters.slice(0, MOST_CHARACTERS).join('').replace(SPACES, ' ').replace(HIDDEN, '\ufffd');
  return characters.length > MOST_CHARACTERS ? `${visible}…` : visible;
}

/** The text of a base64url disclosure as the JSON value that it is, or undefined. */
function decodeDisclosure(text) {
  try {
    const base64 = text.replace(/-/g, '+').replace(/_/g, '/');
    const bytes = Uint8Array.from(atob(base64), (character) => character.charCodeAt(0));
    return JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes));
  } catch (error) {
    return undefined;
  }
}

/** The value at a JSON pointer (RFC 6901); a string stepped into is a disclosure. */
function valueAt(bundle, pointer) {
  return pointer.split('/').slice(1).reduce((value, step) => {
    const holder = typeof value === 'string' ? decodeDisclosure(value) : value;
    const name = step.replace(/~1/g, '/').replace(/~0/g, '~');
    if (holder === null || typeof holder !== 'object' || !Object.prototype.hasOwnProperty.call(holder, name)) {
      return undefined;
    }
    return holder[name];
  }, bundle);
}

/** The first shown claim that the bundle does not make, as its pointer; null if there is none. */
function findForeignClaim(root, bundle) {
  const claims = [...root.querySelectorAll('[data-from]')];
  const foreign = claims.find((node) => {
    const shown = 'claim' in node.dataset ? node.dataset.claim : node.textContent;
    const value = valueAt(bundle, node.dataset.from);
    return value === undefined || value === null || typeof value === 'object' || drawn(value) !== shown;
  });
  return foreign ? foreign.dataset.from : null;
}

const STAGE = {
  event: 'event', index: 'index', state: 'state', standing: 'standing', party: 'party', custody: 'custody', ledgerTime: 'ledgerTime',
};

/** The first stage shown that is not the verdict's at that place, as `stages[i]`; null if all agree. */
function findForeignStage(root, verdict) {
  const shown = [...root.querySelectorAll('[data-stage]')];
  const length = Math.max(shown.length, verdict.stages.length);
  for (let i = 0; i < length; i += 1) {
    const node = shown[i];
    const stage = verdict.stages[i];
    const agrees = node && stage
      && Object.entries(STAGE).every(([name, member]) => node.dataset[name] === String(stage[member]));
    if (!agrees) return `stages[${i}]`;
  }
  return null;
}

return { drawn, valueAt, findForeignClaim, findForeignStage };
})();

// ---- js/components/memory.js
const $js_components_memory = (() => {
/**
 * What this phone remembers of a log: the newest checkpoint that it verified. A log may only grow; so
 * at the next visit its new state must begin with the remembered one. If it does not, the log has
 * shown two readers two histories, and the two signed notes are the evidence (docs/formats.md,
 * "Evidence of a fork").
 *
 * Storage may be missing or refuse: then every visit is a first one.
 */

const { decodeBase64, encodeBase64 } = $js_verify_base64;
const { equal } = $js_verify_bytes;
const { parseCheckpoint } = $js_verify_checkpoint;
const { ProofError } = $js_verify_errors;
const { verifyConsistency } = $js_verify_merkle;
const { parseNote } = $js_verify_note;

const NAME = 'provenance.checkpoint.v1';
const MAX_PROOF = 128;

const key = (origin) => `${NAME} ${origin}`;

const read = (note) => parseCheckpoint(parseNote(note).text);

/** The note remembered for this log, or null. */
function recall(storage, origin) {
  try {
    const note = storage.getItem(key(origin));
    return note !== null && read(note).origin === origin ? note : null;
  } catch (error) {
    return null;
  }
}

/** Keep a verified note, unless a larger one is kept already. */
function remember(storage, origin, note) {
  try {
    const kept = recall(storage, origin);
    if (kept === null || read(kept).size < read(note).size) storage.setItem(key(origin), note);
  } catch (error) {
    // A phone that keeps nothing is a phone on its first visit.
  }
}

/** A ForkEvidence of two notes, the smaller one first. */
function evidence(origin, first, second, root, proof) {
  return { v: 1, type: 'prov:ForkEvidence', origin, first, second, root: root && encodeBase64(root), proof: proof.map((hash) => encodeBase64(hash)) };
}

/** What the server answered: the root of the larger state's tree at the smaller size, and the proof. */
function readAnswer({ root, proof }) {
  if (typeof root !== 'string' || !Array.isArray(proof) || proof.length > MAX_PROOF) throw new ProofError('no consistency proof');
  return { root: decodeBase64(root, 32), proof: proof.map((hash) => decodeBase64(hash, 32)) };
}

function isProved(small, large, root, proof) {
  try {
    verifyConsistency(small.size, large.size, root, large.root, proof);
    return true;
  } catch (error) {
    if (error instanceof ProofError) return false;
    throw error;
  }
}

/**
 * The remembered note beside the one that was verified just now (both signed by the log).
 * `fetchProof(from, to)` gives the server's answer as JSON, or throws where it has none.
 *
 * `{state}`: `grown` (or the same), `older` (the server shows less than this phone has seen), `forked`
 * (with `evidence`), `unproven` (an answer that proves nothing), `unavailable`.
 */
async function compare(seenNote, note, fetchProof) {
  const [seen, now] = [read(seenNote), read(note)];
  if (seen.size === now.size) {
    if (equal(seen.root, now.root)) return { state: 'grown' };
    return { state: 'forked', evidence: evidence(now.origin, seenNote, note, null, []) };
  }
  const isOlder = now.size < seen.size;
  const [small, large] = isOlder ? [now, seen] : [seen, now];
  let answer;
  try {
    answer = await fetchProof(small.size, large.size);
  } catch (error) {
    return { state: isOlder ? 'older' : 'unavailable' };
  }
  try {
    const { root, proof } = readAnswer(answer);
    if (!isProved(small, large, root, proof)) return { state: isOlder ? 'older' : 'unproven' };
    if (equal(small.root, root)) return { state: isOlder ? 'older' : 'grown' };
    const notes = isOlder ? [note, seenNote] : [seenNote, note];
    return { state: 'forked', evidence: evidence(now.origin, ...notes, root, proof) };
  } catch (error) {
    if (error instanceof ProofError) return { state: 'unproven' };
    throw error;
  }
}

return { recall, remember, compare };
})();

// ---- js/components/pinning.js
const $js_components_pinning = (() => {
/**
 * The policy pinned on this phone. The first one seen is kept; a later one that differs is reported
 * and never takes its place by itself. Storage may be missing or refuse (private windows, apps' web
 * views): then every visit is a first one, and the page says so.
 */

const NAME = 'provenance.policy.v1';

/** The log's name on a policy's `log` line, as text to show. */
function logName(policy) {
  const match = /^log[ \t]+([^+\s]+)\+/m.exec(policy);
  return match ? match[1] : '?';
}

function read(storage) {
  try {
    const kept = JSON.parse(storage.getItem(NAME));
    return kept && typeof kept.policy === 'string' && typeof kept.since === 'string' ? kept : null;
  } catch (error) {
    return null;
  }
}

function write(storage, kept) {
  try {
    storage.setItem(NAME, JSON.stringify(kept));
    return true;
  } catch (error) {
    return false;
  }
}

/** Pin `policy` from `today` (YYYY-MM-DD) on. True if the phone kept it. */
const pin = (storage, policy, today) => write(storage, { policy, since: today });

/**
 * The policy to judge by, given what the site offers now (`offered`, or null if unreachable):
 * `{state: 'first' | 'known' | 'changed' | 'unkept', policy, since}`, or null if there is none at all.
 */
function choosePolicy(storage, offered, today) {
  const kept = read(storage);
  if (kept) return { state: offered === null || offered === kept.policy ? 'known' : 'changed', ...kept };
  if (offered === null) return null;
  return { state: pin(storage, offered, today) ? 'first' : 'unkept', policy: offered, since: today };
}

return { logName, pin, choosePolicy };
})();

// ---- js/components/words.js
const $js_components_words = (() => {
/**
 * The page's words and icons: the server put all that the script may say into two templates, in the
 * page's language. Nothing is ever inserted as HTML that did not come with the page.
 */

/** `say(key, {name: value})` over the page's <template data-words>. */
function wordsOf(root) {
  const template = root.querySelector('template[data-words]');
  const words = new Map([...template.content.querySelectorAll('[data-key]')].map(
    (node) => [node.dataset.key, node.textContent],
  ));
  const fill = (text, values) => text.replace(/\{(\w+)\}/g, (place, name) => (name in values ? values[name] : place));
  return {
    say: (key, values = {}) => fill(words.get(key) || key, values),
    reason: (code) => fill(words.get(`reason.${code}`) || words.get('reason.unknown') || code, { code }),
  };
}

/** A fresh copy of an icon of <template data-icons>. */
function iconOf(root, name) {
  const holder = root.querySelector('template[data-icons]').content.querySelector(`[data-icon="${name}"]`);
  return holder ? holder.firstElementChild.cloneNode(true) : root.createTextNode('');
}

return { wordsOf, iconOf };
})();

// ---- js/components/verdict-card.js
const $js_components_verdict_card = (() => {
/**
 * The card of the record's verdict: its look, its words, and the row of checks below. Colour never
 * stands alone: each look has its icon and its words, and the card's text is a live region.
 */

const { iconOf } = $js_components_words;

const LOOKS = ['phone', 'server', 'refused', 'absent', 'unusable'];
const ICONS = { phone: 'tick', server: 'server', refused: 'cross', absent: 'question', unusable: 'alert' };
const CHECK_ICONS = { pass: 'tick', fail: 'cross', 'not-checked': 'question' };

const put = (root, selector, text) => {
  const node = root.querySelector(selector);
  if (node) node.textContent = text;
};

/** Show a verdict: `look` is one of LOOKS; texts replace what stands there, null leaves it. */
function showVerdict(root, { look, title, by, text, place, asOf }) {
  const card = root.querySelector('[data-verdict-card]');
  card.classList.remove('verdict-busy', ...LOOKS.map((name) => `verdict-${name}`));
  card.classList.add(`verdict-${look}`);
  card.dataset.look = look;
  card.querySelector('.verdict-disc').replaceChildren(iconOf(root, ICONS[look]));
  [['title', title], ['by', by], ['text', text], ['asof', asOf]].forEach(([name, value]) => {
    if (value) put(card, `[data-verdict-${name}]`, value);
  });
  if (place) {
    const note = root.createElement('p');
    note.className = 'verdict-place';
    note.textContent = place;
    card.querySelector('[data-verdict-live]').append(note);
  }
}

/** Say that the phone is at work, without taking back what the server said. */
function showBusy(root, text) {
  root.querySelector('[data-verdict-card]').classList.add('verdict-busy');
  put(root, '[data-verdict-by]', text);
}

/** The five checks as this phone found them. */
function showChecks(root, checks, say) {
  Object.entries(checks).forEach(([name, state]) => {
    const node = root.querySelector(`[data-check="${name}"]`);
    if (!node) return;
    node.className = `check check-${state}`;
    node.querySelector('.check-icon').replaceChildren(iconOf(root, CHECK_ICONS[state]));
    put(node, '.check-state', say(`check.${state}`));
  });
}

/** By which policy the phone judged. */
function showPin(root, text) {
  const line = root.querySelector('[data-pin]');
  line.querySelector('span').textContent = text;
  line.hidden = false;
}

/** A loud remark below the verdicts, one paragraph a line; returns its body. */
function showNotice(root, icon, lines) {
  const notice = root.createElement('section');
  notice.className = 'notice notice-stop';
  notice.setAttribute('role', 'alert');
  const body = root.createElement('div');
  lines.forEach((line) => {
    const paragraph = root.createElement('p');
    paragraph.textContent = line;
    body.append(paragraph);
  });
  notice.append(iconOf(root, icon), body);
  root.querySelector('[data-notices]').append(notice);
  return body;
}

return { showVerdict, showBusy, showChecks, showPin, showNotice };
})();

// ---- js/pages/passport.js
const $js_pages_passport = (() => {
/**
 * The passport page on a phone: fetch the proof, verify it here against the policy pinned here,
 * compare what the page shows with what was verified, and say so. The page is complete without this;
 * whatever fails here leaves the server's verdict standing, marked as the server's only.
 */

const { findEngine, NoEngineError, nobleFrom, parseKnown, verifyBundle } = $js_verify_index;
const { findForeignClaim, findForeignStage } = $js_components_claims;
const { compare, recall, remember } = $js_components_memory;
const { choosePolicy, logName, pin } = $js_components_pinning;
const { showBusy, showChecks, showNotice, showPin, showVerdict } = $js_components_verdict_card;
const { wordsOf } = $js_components_words;

/** Why this phone cannot check; `why` is a key of the page's words. */
class CannotCheckError extends Error {
  constructor(why) {
    super(why);
    this.why = why;
  }
}

async function fetchBytes(url) {
  const answer = await fetch(url, { headers: { Accept: 'application/json, text/plain' }, credentials: 'omit' });
  if (!answer.ok) throw new CannotCheckError('why.unreachable');
  return new Uint8Array(await answer.arrayBuffer());
}

async function fetchPolicy(url) {
  try {
    return new TextDecoder().decode(await fetchBytes(url));
  } catch (error) {
    return null; // a pinned policy needs no network
  }
}

function storageOf(view) {
  try {
    return view.localStorage;
  } catch (error) {
    return null; // reading the property itself may be refused
  }
}

/** The engine, the bundle and the policy; throws CannotCheckError naming what is missing. */
async function prepare(passport, storage, today) {
  const offered = fetchPolicy(passport.dataset.policy);
  const bundle = fetchBytes(passport.dataset.bundle).catch(() => { throw new CannotCheckError('why.unreachable'); });
  bundle.catch(() => {});
  let engine;
  try {
    engine = await findEngine(nobleFrom('/static/vendor/noble/'));
  } catch (error) {
    throw error instanceof NoEngineError ? new CannotCheckError('why.no-engine') : error;
  }
  const chosen = choosePolicy(storage, await offered, today);
  if (!chosen) throw new CannotCheckError('why.no-policy');
  return { engine, chosen, offered: await offered, bytes: await bundle };
}

function showPinning(root, { state, policy, since }, offered, words, storage, today) {
  showPin(root, words.say(`pin.${state}`, { log: logName(policy), day: since }));
  if (state !== 'changed') return;
  const body = showNotice(root, 'alert', [words.say('pin.changed.title'), words.say('pin.changed.text')]);
  const button = root.createElement('button');
  button.type = 'button';
  button.className = 'button';
  button.textContent = words.say('pin.changed.accept');
  button.addEventListener('click', () => {
    pin(storage, offered, today);
    root.defaultView.location.reload();
  });
  body.append(button);
}

/** The server's proof that one state of its log continues another. */
async function fetchProof(from, to) {
  return JSON.parse(new TextDecoder().decode(await fetchBytes(`/api/v1/log/consistency?from=${from}&to=${to}`)));
}

/** Show the operator what was seen elsewhere; whether that succeeds changes nothing here. */
function handIn(note) {
  fetch('/api/v1/log/checkpoints', {
    method: 'POST', body: note, headers: { 'Content-Type': 'text/plain' }, credentials: 'omit',
  }).then((answer) => answer.text()).catch(() => {}); // an answer that nobody reads keeps its connection
}

/** Nothing is remembered of what was refused, and nothing is asked of a record without a log. */
const isRecord = ({ record, log }) => log !== null && (record === 'verified' || record === 'absent');

/**
 * The verdict again, now with what this phone has seen of the log before: `{verdict, memory}`, where
 * `memory` is a state of `compare`, `first`, or `unjudged`: two histories, one of which was not signed by
 * a key that this policy accepts, so that it is no evidence; but nor did the log continue what was seen.
 */
async function judgeAgain(verdict, bytes, storage, judge) {
  if (!isRecord(verdict)) return { verdict, memory: 'first' };
  const { origin } = verdict.log;
  const { checkpoint } = JSON.parse(new TextDecoder().decode(bytes));
  const seen = recall(storage, origin);
  if (seen === null) {
    remember(storage, origin, checkpoint);
    return { verdict, memory: 'first' };
  }
  const { state, evidence } = await compare(seen, checkpoint, fetchProof);
  if (state === 'grown') remember(storage, origin, checkpoint);
  else if (state !== 'unavailable') handIn(seen);
  if (!evidence) return { verdict, memory: state };
  const again = await judge(parseKnown(new TextEncoder().encode(JSON.stringify(evidence))));
  return { verdict: again, memory: again.reason === 'log-forked' ? state : 'unjudged' };
}

/**
 * Say what this phone's memory of the log adds, where it is no evidence of a fork. A proof that did not
 * come is said too: a server with two histories would hold it back.
 */
function showMemory(root, memory, words) {
  if (!['older', 'unproven', 'unavailable', 'unjudged'].includes(memory)) return;
  showNotice(root, 'alert', [words.say(`memory.${memory}.title`), words.say(`memory.${memory}.text`)]);
}

/**
 * Where page and proof differ because the log grew between the two requests, neither lies: that is
 * no finding. The page must not go green then, and must not shout either.
 */
function hasMovedOn(passport, verdict) {
  return verdict.log !== null && passport.dataset.size !== '' && String(verdict.log.size) !== passport.dataset.size;
}

/** How the card shows a verdict of this phone. */
function cardOf(verdict, mismatch, words) {
  const { say } = words;
  if (mismatch) {
    return {
      look: 'refused', title: say('mismatch.title'), by: say('record.refused.by-phone'), text: say('mismatch.text'), place: say('record.place', { place: mismatch }),
    };
  }
  const card = {
    verified: { look: 'phone', title: 'record.phone.title', by: 'record.phone.by', text: 'record.phone.text' },
    absent: { look: 'absent', title: 'record.absent.title', by: 'record.absent.by-phone', text: 'record.absent.text' },
    refused: { look: 'refused', title: 'record.refused.title', by: 'record.refused.by-phone', text: 'record.refused.text' },
    unusable: { look: 'unusable', title: 'record.unusable.title', by: 'record.refused.by-phone', text: 'record.unusable.text' },
  }[verdict.record];
  const reason = words.reason(verdict.reason);
  return {
    look: card.look,
    title: say(card.title),
    by: say(card.by),
    text: say(card.text, { reason }),
    place: verdict.place ? say('record.place', { place: verdict.place }) : null,
  };
}

/** What the page shows that the verdict does not say, or null. A refused record shows no story. */
function findMismatch(root, passport, verdict, bytes) {
  if (verdict.subject !== null && verdict.subject !== passport.dataset.subject) return 'subject';
  if (verdict.record !== 'verified') return null;
  const bundle = JSON.parse(new TextDecoder().decode(bytes));
  return findForeignStage(root, verdict) || findForeignClaim(root, bundle);
}

async function run(root) {
  const passport = root.querySelector('[data-passport]');
  const words = wordsOf(root);
  const storage = storageOf(root.defaultView);
  const now = Date.now();
  const today = new Date(now).toISOString().slice(0, 10);
  showBusy(root, words.say('record.checking'));
  // The browser knows where it is; the server only knows what it was told.
  root.querySelector('[data-verdict-domain]').textContent = words.say('record.domain', { host: root.location.host });
  const { engine, chosen, offered, bytes } = await prepare(passport, storage, today);
  const judge = (known) => verifyBundle(bytes, chosen.policy, { now: Math.floor(now / 1000), engine, known });
  const { verdict, memory } = await judgeAgain(await judge([]), bytes, storage, judge);
  const mismatch = findMismatch(root, passport, verdict, bytes);
  if (mismatch && hasMovedOn(passport, verdict)) throw new CannotCheckError('why.moved');
  showVerdict(root, cardOf(verdict, mismatch, words));
  showChecks(root, verdict.checks, words.say);
  showPinning(root, chosen, offered, words, storage, today);
  showMemory(root, memory, words);
  passport.dataset.checked = verdict.record;
}

/** The server's verdict stays, with the plain reason why there is no other. */
function giveUp(root, error) {
  const passport = root.querySelector('[data-passport]');
  const words = wordsOf(root);
  const why = words.say(error instanceof CannotCheckError ? error.why : 'why.failed');
  const by = passport.dataset.verdict === 'verified' ? words.say('record.server.by') : null;
  const text = passport.dataset.verdict === 'verified' ? words.say('record.server-final.text', { why }) : null;
  const look = passport.dataset.verdict === 'verified' ? 'server' : passport.dataset.verdict;
  showVerdict(root, { look, by: by || words.say('record.server.by'), text });
  passport.dataset.checked = 'no';
  if (!(error instanceof CannotCheckError)) console.error(error);
}

run(document).catch((error) => giveUp(document, error));

return {  };
})();

