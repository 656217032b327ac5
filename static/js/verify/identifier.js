/**
 * One name for one thing: the canonical identifier under which a history is kept (docs/formats.md
 * section 2). Twin of qr/identifier.py and qr/epc.py; both read tests/vectors/identifiers.json.
 *
 * Structure only is judged: an old event with a wrong check digit has the same history everywhere.
 */

import { requireThat } from './form.js';

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
export function escapeValue(value) {
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
export function canonicalIdentifier(text) {
  const urn = EPC_URN.exec(text);
  if (urn) {
    const form = SCHEMES.get(`${urn[1]}:${urn[2]}`);
    return form ? readEpc(form, urn[3]) : text;
  }
  const web = WEB.exec(text.split('#')[0].split('?')[0]);
  return (web && readPath(web[1].split('/').map(unescapeValue))) || text;
}
