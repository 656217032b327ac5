/**
 * Disclosures: concealed members put back into their event (docs/formats.md section 3; RFC 9901 §4.2,
 * §7.1). Twin of provenance/domain/disclosure.py, reading only.
 *
 * Subjects, type, identity and time of an event stay in sight always: no disclosure may bring them.
 */

import { decodeBase64Url, encodeBase64Url } from './base64.js';
import { utf8 } from './bytes.js';
import { MalformedJsonError, ProofError } from './errors.js';
import { requireThat } from './form.js';
import { depthOf, isObject, MAX_DEPTH, parse } from './json.js';
import { sha256 } from './sha256.js';

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
export function applyDisclosures(event, disclosures) {
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
