/**
 * The passport page on a phone: fetch the proof, verify it here against the policy pinned here,
 * compare what the page shows with what was verified, and say so. The page is complete without this;
 * whatever fails here leaves the server's verdict standing, marked as the server's only.
 */

import { findEngine, NoEngineError, nobleFrom, parseKnown, verifyBundle } from '../verify/index.js';
import { findForeignClaim, findForeignStage } from '../components/claims.js';
import { compare, recall, remember } from '../components/memory.js';
import { choosePolicy, logName, pin } from '../components/pinning.js';
import { showBusy, showChecks, showNotice, showPin, showVerdict } from '../components/verdict-card.js';
import { wordsOf } from '../components/words.js';

/** Why this phone cannot check; `why` is a key of the page's words. */
class CannotCheckError extends Error {
  constructor(why) {
    super(why);
    this.why = why;
  }
}

async function fetchBytes(url) {
  const answer = await fetch(url, { headers: { Accept: 'application/json, text/plain' }, credentials: 'omit' });
  if (!answer.ok) throw new CannotCheckError('why.unreachable');
  return new Uint8Array(await answer.arrayBuffer());
}

async function fetchPolicy(url) {
  try {
    return new TextDecoder().decode(await fetchBytes(url));
  } catch (error) {
    return null; // a pinned policy needs no network
  }
}

function storageOf(view) {
  try {
    return view.localStorage;
  } catch (error) {
    return null; // reading the property itself may be refused
  }
}

/** The engine, the bundle and the policy; throws CannotCheckError naming what is missing. */
async function prepare(passport, storage, today) {
  const offered = fetchPolicy(passport.dataset.policy);
  const bundle = fetchBytes(passport.dataset.bundle).catch(() => { throw new CannotCheckError('why.unreachable'); });
  bundle.catch(() => {});
  let engine;
  try {
    engine = await findEngine(nobleFrom('/static/vendor/noble/'));
  } catch (error) {
    throw error instanceof NoEngineError ? new CannotCheckError('why.no-engine') : error;
  }
  const chosen = choosePolicy(storage, await offered, today);
  if (!chosen) throw new CannotCheckError('why.no-policy');
  return { engine, chosen, offered: await offered, bytes: await bundle };
}

function showPinning(root, { state, policy, since }, offered, words, storage, today) {
  showPin(root, words.say(`pin.${state}`, { log: logName(policy), day: since }));
  if (state !== 'changed') return;
  const body = showNotice(root, 'alert', [words.say('pin.changed.title'), words.say('pin.changed.text')]);
  const button = root.createElement('button');
  button.type = 'button';
  button.className = 'button';
  button.textContent = words.say('pin.changed.accept');
  button.addEventListener('click', () => {
    pin(storage, offered, today);
    root.defaultView.location.reload();
  });
  body.append(button);
}

/** The server's proof that one state of its log continues another. */
async function fetchProof(from, to) {
  return JSON.parse(new TextDecoder().decode(await fetchBytes(`/api/v1/log/consistency?from=${from}&to=${to}`)));
}

/** Show the operator what was seen elsewhere; whether that succeeds changes nothing here. */
function handIn(note) {
  fetch('/api/v1/log/checkpoints', {
    method: 'POST', body: note, headers: { 'Content-Type': 'text/plain' }, credentials: 'omit',
  }).then((answer) => answer.text()).catch(() => {}); // an answer that nobody reads keeps its connection
}

/** Nothing is remembered of what was refused, and nothing is asked of a record without a log. */
const isRecord = ({ record, log }) => log !== null && (record === 'verified' || record === 'absent');

/**
 * The verdict again, now with what this phone has seen of the log before: `{verdict, memory}`, where
 * `memory` is a state of `compare`, `first`, or `unjudged`: two histories, one of which was not signed by
 * a key that this policy accepts, so that it is no evidence; but nor did the log continue what was seen.
 */
async function judgeAgain(verdict, bytes, storage, judge) {
  if (!isRecord(verdict)) return { verdict, memory: 'first' };
  const { origin } = verdict.log;
  const { checkpoint } = JSON.parse(new TextDecoder().decode(bytes));
  const seen = recall(storage, origin);
  if (seen === null) {
    remember(storage, origin, checkpoint);
    return { verdict, memory: 'first' };
  }
  const { state, evidence } = await compare(seen, checkpoint, fetchProof);
  if (state === 'grown') remember(storage, origin, checkpoint);
  else if (state !== 'unavailable') handIn(seen);
  if (!evidence) return { verdict, memory: state };
  const again = await judge(parseKnown(new TextEncoder().encode(JSON.stringify(evidence))));
  return { verdict: again, memory: again.reason === 'log-forked' ? state : 'unjudged' };
}

/**
 * Say what this phone's memory of the log adds, where it is no evidence of a fork. A proof that did not
 * come is said too: a server with two histories would hold it back.
 */
function showMemory(root, memory, words) {
  if (!['older', 'unproven', 'unavailable', 'unjudged'].includes(memory)) return;
  showNotice(root, 'alert', [words.say(`memory.${memory}.title`), words.say(`memory.${memory}.text`)]);
}

/**
 * Where page and proof differ because the log grew between the two requests, neither lies: that is
 * no finding. The page must not go green then, and must not shout either.
 */
function hasMovedOn(passport, verdict) {
  return verdict.log !== null && passport.dataset.size !== '' && String(verdict.log.size) !== passport.dataset.size;
}

/** How the card shows a verdict of this phone. */
function cardOf(verdict, mismatch, words) {
  const { say } = words;
  if (mismatch) {
    return {
      look: 'refused', title: say('mismatch.title'), by: say('record.refused.by-phone'), text: say('mismatch.text'), place: say('record.place', { place: mismatch }),
    };
  }
  const card = {
    verified: { look: 'phone', title: 'record.phone.title', by: 'record.phone.by', text: 'record.phone.text' },
    absent: { look: 'absent', title: 'record.absent.title', by: 'record.absent.by-phone', text: 'record.absent.text' },
    refused: { look: 'refused', title: 'record.refused.title', by: 'record.refused.by-phone', text: 'record.refused.text' },
    unusable: { look: 'unusable', title: 'record.unusable.title', by: 'record.refused.by-phone', text: 'record.unusable.text' },
  }[verdict.record];
  const reason = words.reason(verdict.reason);
  return {
    look: card.look,
    title: say(card.title),
    by: say(card.by),
    text: say(card.text, { reason }),
    place: verdict.place ? say('record.place', { place: verdict.place }) : null,
  };
}

/** What the page shows that the verdict does not say, or null. A refused record shows no story. */
function findMismatch(root, passport, verdict, bytes) {
  if (verdict.subject !== null && verdict.subject !== passport.dataset.subject) return 'subject';
  if (verdict.record !== 'verified') return null;
  const bundle = JSON.parse(new TextDecoder().decode(bytes));
  return findForeignStage(root, verdict) || findForeignClaim(root, bundle);
}

async function run(root) {
  const passport = root.querySelector('[data-passport]');
  const words = wordsOf(root);
  const storage = storageOf(root.defaultView);
  const now = Date.now();
  const today = new Date(now).toISOString().slice(0, 10);
  showBusy(root, words.say('record.checking'));
  // The browser knows where it is; the server only knows what it was told.
  root.querySelector('[data-verdict-domain]').textContent = words.say('record.domain', { host: root.location.host });
  const { engine, chosen, offered, bytes } = await prepare(passport, storage, today);
  const judge = (known) => verifyBundle(bytes, chosen.policy, { now: Math.floor(now / 1000), engine, known });
  const { verdict, memory } = await judgeAgain(await judge([]), bytes, storage, judge);
  const mismatch = findMismatch(root, passport, verdict, bytes);
  if (mismatch && hasMovedOn(passport, verdict)) throw new CannotCheckError('why.moved');
  showVerdict(root, cardOf(verdict, mismatch, words));
  showChecks(root, verdict.checks, words.say);
  showPinning(root, chosen, offered, words, storage, today);
  showMemory(root, memory, words);
  passport.dataset.checked = verdict.record;
}

/** The server's verdict stays, with the plain reason why there is no other. */
function giveUp(root, error) {
  const passport = root.querySelector('[data-passport]');
  const words = wordsOf(root);
  const why = words.say(error instanceof CannotCheckError ? error.why : 'why.failed');
  const by = passport.dataset.verdict === 'verified' ? words.say('record.server.by') : null;
  const text = passport.dataset.verdict === 'verified' ? words.say('record.server-final.text', { why }) : null;
  const look = passport.dataset.verdict === 'verified' ? 'server' : passport.dataset.verdict;
  showVerdict(root, { look, by: by || words.say('record.server.by'), text });
  passport.dataset.checked = 'no';
  if (!(error instanceof CannotCheckError)) console.error(error);
}

run(document).catch((error) => giveUp(document, error));
