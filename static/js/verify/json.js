/**
 * JSON read strictly (docs/formats.md section 1) and written canonically (RFC 8785). Twin of
 * provenance/domain/canonical.py.
 *
 * JSON.parse keeps the last of two members of one name, turns 2^53 + 1 into another number and takes
 * lone surrogates; two verifiers that differ there give two verdicts. So the text is read here, and
 * what is wrong with it is told in the fixed order of section 1, whatever stands first in the text.
 * Objects come out without a prototype, so that `__proto__` and `toString` are members like others.
 */

import { MalformedJsonError } from './errors.js';
import { utf8 } from './bytes.js';

export const EVENT_BYTES = 49152;
export const SEAL_BYTES = 8192;
export const BUNDLE_BYTES = 16 * 1024 * 1024;
export const MAX_DEPTH = 32;

/** Numbers are finite doubles up to this, both signs (RFC 7493 §2.2). */
const MAX_NUMBER = Number.MAX_SAFE_INTEGER;

const NUMBER = /-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?/y;
const PLAIN = /[^"\\\u0000-\u001f]*/y; // RFC 8259 §7: control characters stand escaped
const SPACE = /[ \t\n\r]*/y;
const LITERALS = { t: ['true', true], f: ['false', false], n: ['null', null] };

/** Whether a string has a surrogate without its partner, and so is no Unicode text. */
export function hasLoneSurrogate(text) {
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
export function parse(bytes, { maxBytes = EVENT_BYTES, maxDepth = MAX_DEPTH } = {}) {
  if (bytes.length > maxBytes) refuse('too-large', `${bytes.length} bytes, at most ${maxBytes}`);
  const text = decodeUtf8(bytes);
  checkDepth(text, maxDepth);
  return new Reader(text).whole();
}

/** RFC 8785 text of a parsed value. Its number and string forms are ECMAScript's own (§3.2.2). */
export function canonicalText(value) {
  if (Array.isArray(value)) return `[${value.map(canonicalText).join(',')}]`;
  if (isObject(value)) {
    // §3.2.3: by UTF-16 code units, which is how JavaScript compares strings.
    const members = Object.keys(value).sort().map((name) => `${JSON.stringify(name)}:${canonicalText(value[name])}`);
    return `{${members.join(',')}}`;
  }
  return JSON.stringify(value);
}

/** The canonical bytes that are signed and hashed. */
export const encode = (value) => utf8(canonicalText(value));

/** A JSON object, as opposed to null, an array or a plain value. */
export const isObject = (value) => typeof value === 'object' && value !== null && !Array.isArray(value);

/** How deep a parsed value is: 0 for a plain value, 1 for an object or array of plain values. */
export function depthOf(value) {
  if (typeof value !== 'object' || value === null) return 0;
  return 1 + Object.values(value).reduce((deepest, inner) => Math.max(deepest, depthOf(inner)), 0);
}
