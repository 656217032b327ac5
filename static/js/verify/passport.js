/**
 * The passport bundle: from bytes to values, steps 1 to 3 of docs/formats.md section 10. Twin of
 * provenance/domain/passport.py. Nothing is believed here; only the form is judged.
 */

import { decodeBase64 } from './base64.js';
import { utf8 } from './bytes.js';
import { readLink } from './chain.js';
import { MalformedJsonError, RefusedError, VerifyError } from './errors.js';
import { readFork } from './forks.js';
import { isCount, requireHashes, requireMembers, requireSeconds, requireThat, requireUri } from './form.js';
import { BUNDLE_BYTES, isObject, parse } from './json.js';
import { readSeal } from './seal.js';

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
export class UnusableError extends RefusedError {}

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
export function readPassport(bytes) {
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
