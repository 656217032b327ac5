/**
 * Parties: who may sign, with which key, in which role, judged by ledger time (docs/formats.md
 * section 5). Twin of provenance/domain/party.py. Times are Numbers of milliseconds.
 *
 * A party is what its chain of party events makes of it. Nothing that comes later takes validity from
 * what stood: ends are closed, so a key still stands in the millisecond of its revocation.
 */

import { utf8 } from './bytes.js';
import { verifyEd25519 } from './ed25519.js';
import { VerifyError } from './errors.js';
import { requireMembers, requireThat } from './form.js';
import { canonicalIdentifier } from './identifier.js';
import { encode, isObject } from './json.js';
import { parseLedgerTime } from './moments.js';
import { decodeMultikey, decodeSignature } from './seal.js';

/** A key that may not sign now; `code` is one of section 5: key-unknown, key-revoked … */
export class KeyRefusedError extends VerifyError {
  constructor(code) {
    super(code);
    this.code = code;
  }
}

export const OPERATOR_ROLE = 'operator';
const ROLES = ['brand', 'producer', 'logistics', 'laboratory', 'customs', 'retailer', 'auditor'];
const REASONS = ['superseded', 'lost', 'compromised', 'ceased'];
/** Members that every event of ours has or may have; their form is judged where events are captured. */
const COMMON = ['@context', 'eventID', 'eventTime', 'eventTimeZoneOffset', 'prov:nonce', 'prov:after', 'proof'];
const VALIDITY = ['prov:validFrom', 'prov:validUntil'];
const URI = /^[a-z][a-z0-9+.-]*:[!-"$-~]+$/;
const LANGUAGE = /^[A-Za-z]{2,8}(-[A-Za-z0-9]{1,8})*$/;

export const operatorUri = (origin) => `https://${origin}`;

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
export async function applyPartyEvent(party, document, context) {
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
