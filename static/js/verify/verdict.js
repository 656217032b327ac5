/**
 * From evidence to a verdict: the steps of docs/formats.md section 10 in their order, and the document
 * of section 11. Twin of provenance/verify; both give the same bytes for the same bundle, policy and
 * time, on a shared set of good and tampered bundles.
 *
 * Nothing here reads a clock, a network or the page: now and the engine come as arguments.
 */

import { checkSeals, checkSigners, replayParties } from './authentic.js';
import { compareCodePoints, utf8 } from './bytes.js';
import { checkComplete } from './complete.js';
import { findEngine } from './engines.js';
import { RefusedError } from './errors.js';
import { canonicalText } from './json.js';
import { formatSeconds } from './moments.js';
import { refuseForked } from './forks.js';
import { differs, judgeAnchors } from './outside.js';
import { operatorUri } from './party.js';
import { readPassport, UnusableError } from './passport.js';
import { Policy } from './policy.js';
import {
  checkAge, checkMapHead, readAsOf, readCheckpoint, requireQuorum, verifyLines,
} from './published.js';
import { acceptSuccessors } from './succession.js';
import { judgeStates, walk } from './trace.js';
import { checkUnaltered } from './unaltered.js';

/** Greatest age of a checkpoint in seconds, unless told. */
export const MAX_AGE = 86400;

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
export async function verifyBundle(bytes, policyText, { now, maxAge = MAX_AGE, engine, known = [] } = {}) {
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
export const encodeVerdict = (verdict) => utf8(canonicalText(verdict));
