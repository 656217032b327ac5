/**
 * What the verifier reads of an event: its bytes and hash, its type, when it says it happened, and
 * which subjects it is about (docs/formats.md section 2 and step 21). Twin of
 * provenance/domain/event.py (`read_event`) and domain/subjects.py. No vocabulary is checked here.
 *
 * A member that names subjects must be of its form where it stands, or the subjects cannot be told.
 */

import { requireThat } from './form.js';
import { canonicalIdentifier } from './identifier.js';
import { depthOf, encode, EVENT_BYTES, isObject, MAX_DEPTH } from './json.js';
import { leafHash } from './merkle.js';
import { parseClaimedTime } from './moments.js';

const MAX_SUBJECTS = 1000;

export const PARTY_EVENT_TYPES = [
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

export const isPartyEvent = (document) => PARTY_EVENT_TYPES.includes(document.type);

/** Canonical identifiers named by some members of a document, in order, repetitions kept. */
export function identifiersIn(document, ...names) {
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
export function subjectsOf(document) {
  const named = identifiersIn(document, ...(BY_TYPE.get(document.type) || []).map(([name]) => name));
  const subjects = [...new Set(named.length ? named : [canonicalIdentifier(standIn(document))])];
  requireThat(subjects.length <= MAX_SUBJECTS, `at most ${MAX_SUBJECTS} subjects`);
  return subjects;
}

/** `{document, hash, subjects, time}` (time in claimed microseconds); throws ProofError. */
export function readEvent(document) {
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
