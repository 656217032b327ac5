/**
 * Which other histories belong to a subject, and which events are believed (docs/formats.md sections
 * 9 and 11). Twin of provenance/domain/trace.py: pure functions over events that were checked.
 *
 * An event here has {document, index, hash, subjects, time, ledgerTime, seal}; times of intervals are
 * claimed microseconds (BigInt), [from, until). As there, what a hostile chain can ask for is bounded.
 */

import { compareBytes } from './bytes.js';
import { identifiersIn } from './event.js';
import { escapeValue } from './identifier.js';
import { canonicalText, isObject } from './json.js';
import { without } from './seal.js';

const MAX_SUBJECTS = 256;
const MAX_VISITS = 1024;
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
export function judgeStates(events) {
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
export function walk(uri, chains, isBelieved) {
  const state = new Walk(chains, isBelieved);
  state.take(uri, -EVER, EVER, 0);
  for (let i = 0; i < state.visits.length; i += 1) state.visit(state.visits[i]);
  const story = [...state.via].map(([event, via]) => ({ event, via }));
  return { visits: state.visits, limited: state.limited, story: story.sort((a, b) => compareEvents(a.event, b.event)) };
}
