/**
 * The verifier page: takes a passport and a policy, shows the verdict. The policy, once accepted, is
 * kept in this browser and is the reader's own; nothing of a passport is ever taken for one.
 */

import { toHex, utf8 } from '../js/verify/bytes.js';
import { encodeVerdict, findEngine, NoEngineError, Policy, PolicyError, verifyBundle } from '../js/verify/index.js';
import { sha256 } from '../js/verify/sha256.js';
import { PINNED_POLICY } from './pinned.js';
import { facts, render } from './view.js';
import { WORDS } from './words.js';

/** Pages on one disk share their memory: one that pins a policy keeps its reader's choice apart. */
const POLICY_KEY = PINNED_POLICY === null ? 'provenance.policy' : `provenance.policy.${toHex(sha256(utf8(PINNED_POLICY)))}`;
const LANGUAGE_KEY = 'provenance.language';
const AGE_KEY = 'provenance.max-age-hours';
/** Passports are at most 16 MiB, policies far less: what is larger is not even read into memory. */
const MAX_FILE = 17 * 1024 * 1024;

const byId = (id) => document.getElementById(id);

/** Storage may be forbidden (private windows, some web views): then nothing is remembered. */
const memory = {
  get(key) {
    try { return localStorage.getItem(key); } catch (error) { return null; }
  },
  set(key, value) {
    try {
      if (value === null) localStorage.removeItem(key);
      else localStorage.setItem(key, value);
      return true;
    } catch (error) { return false; }
  },
};

const state = { language: 'en', engine: undefined, policyText: null, isRemembered: false, passport: null, round: 0, last: null };

const words = () => WORDS[state.language];

function showLast() {
  if (state.last === null) return;
  byId('result').replaceChildren(...render({ ...state.last, words: words(), language: state.language }));
}

function showWaiting(text) {
  byId('waiting').textContent = text;
}

/** Where the policy in use came from, and how long it stays. */
function policyNote() {
  if (state.policyText === PINNED_POLICY) return words().policyPinned;
  return state.isRemembered ? words().policyRemembered : words().policyNotRemembered;
}

function showPolicy() {
  const isAccepted = state.policyText !== null;
  byId('policy-pinned').hidden = isAccepted || PINNED_POLICY === null;
  byId('policy-accepted').hidden = !isAccepted;
  byId('policy-asked').hidden = isAccepted;
  if (!isAccepted) return;
  const policy = Policy.parse(state.policyText);
  const quorum = policy.quorum === null ? words().quorumNone : words().quorumNamed + policy.quorum;
  byId('policy-facts').replaceChildren(...facts([
    [words().policyLogs, policy.logs.map((log) => log.name).join(', ') || words().none],
    [words().policyWitnesses, policy.witnesses.map((witness) => witness.name).join(', ') || words().none],
    [words().policyQuorum, quorum],
  ]));
  byId('policy-remembered').textContent = policyNote();
}

function nextStep() {
  if (state.passport === null) return state.policyText === null ? '' : words().needPassport;
  return state.policyText === null ? words().needPolicy : '';
}

/** Sets every text of the page in the chosen language. */
function speak() {
  document.documentElement.lang = state.language === 'zh' ? 'zh-Hans' : 'en';
  document.querySelectorAll('[data-word]').forEach((element) => { element.textContent = words()[element.dataset.word]; });
  document.querySelectorAll('[data-label]').forEach((element) => {
    const name = words()[element.dataset.label];
    if (name) element.setAttribute('aria-label', name);
  });
  document.querySelectorAll('[data-language]').forEach((button) => {
    button.setAttribute('aria-pressed', String(button.dataset.language === state.language));
  });
  document.title = `${words().brand}: ${words().title}`;
  if (state.engine) byId('engine').textContent = words().engine[state.engine.name];
  showPolicy();
  showWaiting(nextStep());
  showLast();
}

function readHours() {
  const hours = Number(byId('max-age').value);
  return Number.isFinite(hours) && hours >= 1 ? Math.floor(hours) : 24;
}

async function judge() {
  const now = Math.floor(Date.now() / 1000);
  const maxAge = readHours() * 3600;
  const verdict = await verifyBundle(state.passport, state.policyText, { now, maxAge, engine: state.engine });
  const text = new TextDecoder().decode(encodeVerdict(verdict));
  const isRead = verdict.record === 'verified';
  const events = isRead ? JSON.parse(new TextDecoder().decode(state.passport)).events.map(({ event }) => event) : [];
  return { verdict, text, events, now };
}

/** Checks what is there. A newer check makes an older one's answer void. */
async function check() {
  state.round += 1;
  const { round } = state;
  state.last = null;
  byId('result').replaceChildren();
  showWaiting(nextStep());
  if (state.passport === null || state.policyText === null || !state.engine) return;
  showWaiting(words().checking);
  try {
    const last = await judge();
    if (round !== state.round) return;
    state.last = last;
    showWaiting('');
    showLast();
    byId('result').focus({ preventScroll: true });
    byId('result').scrollIntoView({ block: 'start' });
  } catch (error) {
    if (round === state.round) showWaiting(words().bug + error.message);
  }
}

function acceptPolicy(text) {
  try {
    Policy.parse(text);
  } catch (error) {
    if (!(error instanceof PolicyError)) throw error;
    byId('policy-error').textContent = error.message;
    return false;
  }
  byId('policy-error').textContent = '';
  state.policyText = text;
  state.isRemembered = memory.set(POLICY_KEY, text);
  showPolicy();
  check();
  return true;
}

/** Back to the policy that the file was built with. */
function takePinned() {
  memory.set(POLICY_KEY, null);
  Object.assign(state, { policyText: PINNED_POLICY, isRemembered: false });
  byId('policy-error').textContent = '';
  showPolicy();
  check();
}

function forgetPolicy() {
  state.policyText = null;
  memory.set(POLICY_KEY, null);
  byId('policy-text').value = '';
  byId('policy-error').textContent = '';
  showPolicy();
  check();
  byId('policy-text').focus();
}

async function readFile(file, use) {
  const target = byId('passport-name');
  try {
    if (file.size > MAX_FILE) throw new Error(`${file.name}: ${file.size.toLocaleString(state.language)} B`);
    await use(new Uint8Array(await file.arrayBuffer()), file);
  } catch (error) {
    target.textContent = words().unreadable + error.message;
  }
}

function takePassport(bytes, file) {
  state.passport = bytes;
  byId('passport-name').textContent = `${file.name} (${Math.ceil(bytes.length / 1024).toLocaleString(state.language)} KB)`;
  return check();
}

function takePolicy(bytes) {
  const text = new TextDecoder().decode(bytes);
  // A text that is no policy stays in the field, so that its faults can be looked at.
  if (!acceptPolicy(text)) byId('policy-text').value = text.slice(0, 10000);
}

/** A dropped file is a policy if it can be read as one and its reader has none yet; else a passport. */
function takeDropped(bytes, file) {
  const isText = bytes.length < 65536 && /^\s*(#|log\s|witness\s|group\s|quorum\s)/.test(new TextDecoder().decode(bytes));
  return isText && state.policyText === null ? takePolicy(bytes) : takePassport(bytes, file);
}

function listenToFiles() {
  [['passport-file', takePassport], ['policy-file', takePolicy]].forEach(([id, use]) => {
    byId(id).addEventListener('change', async ({ target }) => {
      if (target.files.length) await readFile(target.files[0], use);
      target.value = ''; // so that the same file can be chosen again
    });
  });
  const mark = (isDragging) => document.body.classList.toggle('is-dragging', isDragging);
  document.addEventListener('dragover', (event) => { event.preventDefault(); mark(true); });
  document.addEventListener('dragleave', (event) => { if (event.relatedTarget === null) mark(false); });
  document.addEventListener('drop', async (event) => {
    event.preventDefault();
    mark(false);
    for (const file of event.dataTransfer.files) await readFile(file, takeDropped);
  });
}

function listen() {
  byId('inputs').addEventListener('submit', (event) => event.preventDefault());
  byId('policy-accept').addEventListener('click', () => acceptPolicy(`${byId('policy-text').value.trim()}\n`));
  byId('policy-forget').addEventListener('click', forgetPolicy);
  byId('policy-pinned').addEventListener('click', takePinned);
  byId('max-age').addEventListener('change', () => { memory.set(AGE_KEY, String(readHours())); check(); });
  document.querySelectorAll('[data-language]').forEach((button) => button.addEventListener('click', () => {
    state.language = button.dataset.language;
    memory.set(LANGUAGE_KEY, state.language);
    speak();
  }));
  listenToFiles();
}

function remember() {
  const language = memory.get(LANGUAGE_KEY) || (navigator.language.toLowerCase().startsWith('zh') ? 'zh' : 'en');
  if (language in WORDS) state.language = language;
  byId('max-age').value = memory.get(AGE_KEY) || '24';
  state.policyText = PINNED_POLICY;
  const text = memory.get(POLICY_KEY);
  if (text === null) return;
  try {
    Policy.parse(text);
    Object.assign(state, { policyText: text, isRemembered: true });
  } catch (error) {
    memory.set(POLICY_KEY, null); // kept by an older page that read policies otherwise
  }
}

async function start() {
  remember();
  listen();
  speak();
  try {
    state.engine = await findEngine();
    speak();
    check();
  } catch (error) {
    if (!(error instanceof NoEngineError)) throw error;
    byId('no-engine').hidden = false;
    byId('inputs').hidden = true;
  }
}

start();
