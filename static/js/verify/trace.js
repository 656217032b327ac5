/**
 * Which other histories belong to a subject, and which events are believed (docs/formats.md sections
 * 9 and 11). Twin of provenance/domain/trace.py: pure functions over events that were checked.
 *
 * An event here has {document, index, hash, subjects, time, ledgerTime, seal}; times of intervals are
 * claimed microseconds (BigInt), [from, until).
 */

import { compareBytes } from './bytes.js';
import { identifiersIn } from './event.js';
import { escapeValue } from './identifier.js';
import { canonicalText, isObject } from './json.js';
import { without } from './seal.js';

const MAX_SUBJECTS = 256;
const MAX_DEPTH = 32;
/** Beyond every claimed time (years 0001 to 9999). */
const EVER = 10n ** 30n;
const ITEM = /^https:\/\/id\.gs1\.org\/01\/([0-9]{14})\/21\/[^/]+$/;

/** (eventTime, ledger time, bytes of the event hash) */
export function compareEvents(a, b) {
  if (a.time !== b.time) return a.time < b.time ? -1 : 1;
  return a.ledgerTime - b.ledgerTime || compareBytes(a.hash, b.hash);
}

const max = (a, b) => (a > b ? a : b);
const min = (a, b) => (a < b ? a : b);

/** What a declaration and the event that it makes wrong have in common. */
function sameness(event) {
  return canonicalText(without(event.document, 'errorDeclaration', 'recordTime', 'prov:nonce', 'prov:after', 'proof'));
}

/** Events that are no declarations, by eventID, with what they say. */
function declarable(events) {
  const found = new Map();
  events.forEach((event) => {
    const { eventID } = event.document;
    if (typeof eventID !== 'string' || 'errorDeclaration' in event.document) return;
    if (!found.has(eventID)) found.set(eventID, []);
    found.get(eventID).push(event);
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
export function judgeStates(events) {
  const byId = declarable(events);
  const states = events.map(({ document }) => ('errorDeclaration' in document ? 'declaration' : 'believed'));
  const foreign = [];
  const named = [];
  events.filter(({ index }) => states[index] === 'declaration').forEach((declaration) => {
    const said = sameness(declaration);
    const same = (byId.get(declaration.document.eventID) || []).filter((event) => sameness(event) === said);
    const own = same.filter((event) => event.seal.party === declaration.seal.party);
    own.forEach(({ index }) => { states[index] = 'declared-wrong'; });
    if (own.length) named.push(declaration);
    else if (same.length) foreign.push(declaration);
  });
  named.forEach((declaration) => correctiveIds(declaration).forEach((id) => {
    (byId.get(id) || []).forEach(({ index, seal }) => {
      if (states[index] === 'believed' && seal.party === declaration.seal.party) states[index] = 'correction';
    });
  }));
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

/** When a child that was put into a parent by `added` came out again; EVER if it did not. */
function endOfStay(added, child, parent, chains) {
  const { type } = added.document;
  const isEnd = ({ document, time }) => {
    if (time <= added.time || document.type !== type || document.action !== 'DELETE') return false;
    const facts = factsOf(document);
    if (facts.parent !== parent) return false;
    return facts.children.has(child) || (type === 'AggregationEvent' && !facts.children.size);
  };
  const candidates = [...(chains.get(child) || []), ...(chains.get(parent) || [])].filter(isEnd);
  return candidates.reduce((earliest, { time }) => min(earliest, time), EVER);
}

/** Whether [from, until) lies within the union of the intervals. */
function isCovered(intervals, from, until) {
  let reached = from;
  [...intervals].sort((a, b) => (a.from < b.from ? -1 : 1)).forEach((interval) => {
    if (interval.from <= reached && interval.until > reached) reached = interval.until;
  });
  return reached >= until;
}

/** One walk: the visits taken up, in order, and the first that the limits kept out. */
class Walk {
  constructor(chains) {
    this.chains = chains;
    this.taken = new Map();
    this.visits = [];
    this.limited = null;
  }

  hasRoom(uri, depth) {
    if (depth <= MAX_DEPTH && (this.taken.has(uri) || this.taken.size < MAX_SUBJECTS)) return true;
    this.limited = this.limited || uri;
    return false;
  }

  /** Takes up a visit, unless it adds nothing to those taken up, or there is no room. */
  take(uri, from, until, depth) {
    const before = this.taken.get(uri);
    if (before && (from >= until || isCovered(before, from, until))) return;
    if (!this.hasRoom(uri, depth)) return;
    this.taken.set(uri, [...(before || []), { from, until }]);
    this.visits.push({ uri, from, until, depth });
  }

  /** Rule 1: the parent for as long as the subject was in it, before the visit's interval too. */
  followParent(event, { uri, from, until, depth }) {
    const { document, time } = event;
    const { parent, children } = factsOf(document);
    if (parent === undefined || document.action !== 'ADD' || time >= until || !children.has(uri)) return;
    // An empty interval is visited too (once): only the parent's own chain can show that it was emptied.
    if (!this.taken.has(parent) && !this.hasRoom(parent, depth + 1)) return;
    this.take(parent, max(from, time), min(until, endOfStay(event, uri, parent, this.chains)), depth + 1);
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

  visit(visit) {
    if (visit.from >= visit.until) return;
    (this.chains.get(visit.uri) || []).forEach((event) => {
      this.followParent(event, visit);
      if (event.time >= visit.from && event.time < visit.until) this.followOrigin(event, visit);
    });
  }
}

/**
 * Walks from a subject, breadth first. `chains`: uri → its events. Gives the visits in order
 * ([{uri, from, until}]), and `limited`, the URI of the first visit that the limits kept out, or null.
 */
export function walk(uri, chains, isBelieved) {
  const sorted = new Map([...chains].map(([name, events]) => [name, events.filter(isBelieved).sort(compareEvents)]));
  const state = new Walk(sorted);
  state.take(uri, -EVER, EVER, 0);
  for (let i = 0; i < state.visits.length; i += 1) state.visit(state.visits[i]);
  return state;
}

/** The story: [{event, via}] in order, `via` the first visited subject on whose account it belongs. */
export function storyOf(visits, chains) {
  const via = new Map();
  visits.forEach(({ uri, from, until }) => (chains.get(uri) || []).forEach((event) => {
    if (event.time >= from && event.time < until && !via.has(event)) via.set(event, uri);
  }));
  return [...via].map(([event, uri]) => ({ event, via: uri })).sort((a, b) => compareEvents(a.event, b.event));
}
