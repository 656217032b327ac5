/**
 * Links, subject keys and map values: how one subject's history hangs together (docs/formats.md
 * section 6), and the map head of section 7. Twin of provenance/domain/chain.py and ledger.py.
 */

import { decodeBase64, encodeBase64 } from './base64.js';
import { concat, u16, u64, utf8 } from './bytes.js';
import { ProofError } from './errors.js';
import { isCount, requireMembers, requireThat } from './form.js';
import { encode } from './json.js';
import { leafHash } from './merkle.js';
import { parseLedgerTime } from './moments.js';
import { sha256 } from './sha256.js';

const LINK_MEMBERS = ['event', 'key', 'prev', 'seal', 'seq', 'time', 'v'];
const KEY_DOMAIN = utf8('prov/map-key/v1\0');
const VALUE_DOMAIN = utf8('prov/map-val/v1\0');

/** The 32-byte map key of a subject without card secret; its URI is at most 65,535 bytes. */
export function subjectKey(uri) {
  const name = utf8(uri);
  return sha256(concat(KEY_DOMAIN, u16(name.length), name, Uint8Array.of(0)));
}

/** The 32-byte map value of `{count, head, root, index}`, hashes as bytes. */
export function mapValue({ count, head, root, index }) {
  return sha256(concat(VALUE_DOMAIN, u64(count), head, root, u64(index)));
}

/**
 * A link: `{event, seal, prev}` as base64 text (prev null at the start), `key` and `hash` as bytes,
 * `seq`, `time` in milliseconds and `timeText`. Throws ProofError for another form.
 */
export function readLink(document) {
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
export function readMapHead(text) {
  const match = MAP_HEAD.exec(text);
  if (!match) throw new ProofError('not a map head');
  const numbers = [match[1], match[3], match[4], match[5] || '0'].map(Number);
  if (!numbers.every(isCount)) throw new ProofError('a number of the map head is out of range');
  return { index: numbers[0], root: decodeBase64(match[2], 32) };
}
