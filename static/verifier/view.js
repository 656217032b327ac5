/**
 * A verdict made visible. Everything is set as text, never as markup: bundles come from strangers.
 * State is always a colour, a shape and a word together.
 */

const SVG = 'http://www.w3.org/2000/svg';

/** Shapes for outcomes: the outline says as much as the colour. */
const SHAPES = {
  pass: ['M12 1 3 4.7v6.4C3 16.9 6.8 21.3 12 23c5.2-1.7 9-6.1 9-11.9V4.7L12 1Z', 'm7.5 12 3.2 3.2 5.8-6.4'],
  fail: ['M8.2 1h7.6L23 8.2v7.6L15.8 23H8.2L1 15.8V8.2L8.2 1Z', 'm8.5 8.5 7 7m0-7-7 7'],
  absent: ['M12 1a11 11 0 1 0 0 22 11 11 0 0 0 0-22Z', 'M7 12h10'],
  unusable: ['M12 1.5a1.6 1.6 0 0 1 1.4.8l9.8 17.5a1.6 1.6 0 0 1-1.4 2.4H2.2a1.6 1.6 0 0 1-1.4-2.4L10.6 2.3a1.6 1.6 0 0 1 1.4-.8Z', 'M12 9v5.5m0 3.2v.1'],
};
const RECORDS = { verified: 'pass', refused: 'fail', absent: 'absent', unusable: 'unusable' };
const OUTCOMES = { pass: 'pass', fail: 'fail', 'not-checked': 'absent' };

/** An element with attributes and children (elements, texts; null is left out). */
export function el(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  Object.entries(attributes).forEach(([name, value]) => element.setAttribute(name, value));
  element.append(...children.flat().filter((child) => child !== null && child !== undefined));
  return element;
}

function icon(shape) {
  const svg = document.createElementNS(SVG, 'svg');
  Object.entries({ viewBox: '0 0 24 24', class: 'icon', 'aria-hidden': 'true' })
    .forEach(([name, value]) => svg.setAttribute(name, value));
  ['ground', 'sign'].forEach((part, i) => {
    const path = document.createElementNS(SVG, 'path');
    path.setAttribute('class', part);
    path.setAttribute('d', SHAPES[shape][i]);
    svg.append(path);
  });
  return svg;
}

/** A point in time as it stood, made readable: `2026-11-23 15:00:00 UTC`. */
function moment(text) {
  const readable = text.replace(/[Tt]/, ' ').replace(/\.\d+/, '').replace(/[Zz]$/, ' UTC').replace(/([+-]\d\d:\d\d)$/, ' $1');
  return el('time', { datetime: text }, readable);
}

/** "2 hours ago", from an as-of time to now (POSIX seconds). */
function age(asOf, now, language) {
  const seconds = Date.parse(asOf) / 1000 - now;
  const [unit, size] = [['day', 86400], ['hour', 3600], ['minute', 60]].find(([, s]) => Math.abs(seconds) >= s) || ['second', 1];
  return new Intl.RelativeTimeFormat(language, { numeric: 'auto' }).format(Math.round(seconds / size), unit);
}

const card = (title, ...content) => el('section', { class: 'card' }, el('h3', {}, title), ...content);
const tag = (text, kind = '') => el('span', { class: `tag ${kind}` }, text);

/** Pairs of term and value as a definition list's children. */
export function facts(pairs) {
  return pairs.map(([term, ...values]) => el('div', {}, el('dt', {}, term), ...values.map((value) => el('dd', {}, value))));
}

/** The best name of a party in a language, of a map from language tags to names. */
function nameIn(names, language) {
  const key = Object.keys(names).find((found) => found.toLowerCase().startsWith(language))
    || Object.keys(names).find((found) => found.toLowerCase().startsWith('en')) || Object.keys(names)[0];
  return names[key];
}

function banner({ verdict, words }) {
  const [headline, meaning] = words.record[verdict.record];
  const reason = verdict.reason === null ? null : el('p', { class: 'why' },
    `${words.reasons[verdict.reason] || ''} `,
    el('code', {}, `${words.reasonCode} ${verdict.reason}, ${words.place} ${verdict.place}`));
  return el('section', { class: `verdict ${verdict.record}` },
    icon(RECORDS[verdict.record]),
    el('h2', {}, headline),
    reason,
    el('p', {}, meaning),
    verdict.record === 'verified' ? el('p', { class: 'limits' }, words.limits) : null);
}

function checksCard({ verdict, words }) {
  const rows = Object.entries(words.checks).map(([name, [title, meaning]]) => {
    const outcome = verdict.checks[name];
    return el('li', { class: outcome }, icon(OUTCOMES[outcome]), el('div', {},
      el('strong', {}, title), ' ', el('span', { class: 'outcome' }, words.outcome[outcome]),
      el('span', { class: 'meaning' }, meaning)));
  });
  return card(words.checksTitle, el('ul', { class: 'checks' }, rows));
}

function logCard({ verdict, words, now, language }) {
  const { log, subject } = verdict;
  const pairs = subject === null ? [] : [[words.subject, subject]];
  if (log !== null) {
    const when = log.asOf === null ? [words.asOfUnknown] : [moment(log.asOf), age(log.asOf, now, language)];
    pairs.push(
      [words.asOf, ...when],
      [words.cosigners, log.cosigners.join(', ') || words.none],
      [words.origin, log.origin],
      [words.entries, log.size.toLocaleString(language)],
    );
  }
  if (verdict.anchors.length) {
    const said = verdict.anchors.map(({ kind, time, size }) => el('span', { class: 'anchor' }, moment(time), ` ${kind}, ${size.toLocaleString(language)}`));
    pairs.push([words.anchored, ...said]);
  }
  return pairs.length ? card(words.logTitle, el('dl', { class: 'facts' }, facts(pairs))) : null;
}

/** What an event says it was: its step or its kind. Read from the bundle, which is verified by now. */
function whatOf(event, words) {
  const code = typeof event.bizStep === 'string' ? event.bizStep.split(/[/:-]/).pop() : '';
  const plain = code.replace(/_/g, ' ');
  const step = words.steps[code] || plain.charAt(0).toUpperCase() + plain.slice(1);
  const kind = words.events[event.type] || event.type;
  return step && step !== kind ? [el('span', { class: 'name' }, step), el('span', { class: 'sub' }, kind)] : [el('span', { class: 'name' }, kind)];
}

const countConcealed = (event) => (Array.isArray(event['prov:_sd']) ? event['prov:_sd'].length : 0);

function stageRow(stage, { words, language, verdict, events }) {
  const event = events[stage.index];
  const party = verdict.parties.find(({ uri }) => uri === stage.party);
  const cell = (column, ...content) => el('td', { class: column, 'data-label': words.columns[column] }, el('div', {}, ...content));
  const concealed = countConcealed(event);
  const roles = stage.roles.map((role) => words.roles[role] || role).join(', ') || words.noRole;
  return el('tr', { class: stage.state === 'declared-wrong' ? 'taken-back' : '' },
    cell('what', ...whatOf(event, words),
      stage.via === verdict.subject ? null : el('span', { class: 'sub' }, words.via, stage.via),
      concealed ? el('span', { class: 'sub' }, words.concealed(concealed)) : null),
    cell('claimed', moment(event.eventTime)),
    cell('ledger', moment(stage.ledgerTime)),
    cell('party', el('span', { class: 'name' }, nameIn(party.name, language)), el('span', { class: 'sub' }, roles)),
    cell('custody', tag(words.custody[stage.custody], stage.custody === 'party' ? '' : 'doubt')),
    cell('standing', tag(words.standing[stage.standing], stage.standing === 'stands' ? 'pass' : 'doubt')),
    cell('state', tag(words.state[stage.state], stage.state === 'believed' || stage.state === 'correction' ? 'pass' : 'doubt')));
}

function stagesCard(shown) {
  const { words, verdict } = shown;
  const heads = Object.values(words.columns).map((title) => el('th', { scope: 'col' }, title));
  return card(words.stagesTitle, el('table', { class: 'stages-table' },
    el('thead', {}, el('tr', {}, heads)),
    el('tbody', {}, verdict.stages.map((stage) => stageRow(stage, shown)))));
}

function partiesCard({ words, verdict, language }) {
  const items = verdict.parties.map((party) => el('li', {},
    el('strong', {}, nameIn(party.name, language)), ' ',
    ...party.roles.map((role) => tag(words.roles[role] || role)),
    el('span', { class: 'sub' }, `${party.uri} · ${words.columns.custody} ${words.custody[party.custody]} · ${words.stageCount(party.stages)}`)));
  return card(words.partiesTitle, el('p', {}, words.independent(verdict.independent)), el('ul', { class: 'list' }, items));
}

function warningsCard({ words, verdict }) {
  const items = verdict.warnings.map(({ code, place }) => el('li', {}, words.warnings[code] || code, ' ', el('code', {}, place)));
  return el('section', { class: 'card doubt' }, el('h3', {}, words.warningsTitle), el('ul', { class: 'list' }, items));
}

/**
 * The elements that show a verdict. `shown`: {verdict, text (its canonical JSON), events (documents of
 * the bundle), words, language, now (POSIX seconds)}.
 */
export function render(shown) {
  const { verdict, words, text } = shown;
  const isVerified = verdict.record === 'verified';
  return [
    banner(shown),
    verdict.warnings.length ? warningsCard(shown) : null,
    el('div', { class: 'pair' }, ...[checksCard(shown), logCard(shown)].filter(Boolean)),
    isVerified ? stagesCard(shown) : null,
    isVerified ? partiesCard(shown) : null,
    el('details', { class: 'card' }, el('summary', {}, words.raw), el('pre', { tabindex: '0' }, JSON.stringify(JSON.parse(text), null, 2))),
  ].filter(Boolean);
}
