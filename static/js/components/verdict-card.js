/**
 * The card of the record's verdict: its look, its words, and the row of checks below. Colour never
 * stands alone: each look has its icon and its words, and the card's text is a live region.
 */

import { iconOf } from './words.js';

const LOOKS = ['phone', 'server', 'refused', 'absent', 'unusable'];
const ICONS = { phone: 'tick', server: 'server', refused: 'cross', absent: 'question', unusable: 'alert' };
const CHECK_ICONS = { pass: 'tick', fail: 'cross', 'not-checked': 'question' };

const put = (root, selector, text) => {
  const node = root.querySelector(selector);
  if (node) node.textContent = text;
};

/** Show a verdict: `look` is one of LOOKS; texts replace what stands there, null leaves it. */
export function showVerdict(root, { look, title, by, text, place, asOf }) {
  const card = root.querySelector('[data-verdict-card]');
  card.classList.remove('verdict-busy', ...LOOKS.map((name) => `verdict-${name}`));
  card.classList.add(`verdict-${look}`);
  card.dataset.look = look;
  card.querySelector('.verdict-disc').replaceChildren(iconOf(root, ICONS[look]));
  [['title', title], ['by', by], ['text', text], ['asof', asOf]].forEach(([name, value]) => {
    if (value) put(card, `[data-verdict-${name}]`, value);
  });
  if (place) {
    const note = root.createElement('p');
    note.className = 'verdict-place';
    note.textContent = place;
    card.querySelector('[data-verdict-live]').append(note);
  }
}

/** Say that the phone is at work, without taking back what the server said. */
export function showBusy(root, text) {
  root.querySelector('[data-verdict-card]').classList.add('verdict-busy');
  put(root, '[data-verdict-by]', text);
}

/** The five checks as this phone found them. */
export function showChecks(root, checks, say) {
  Object.entries(checks).forEach(([name, state]) => {
    const node = root.querySelector(`[data-check="${name}"]`);
    if (!node) return;
    node.className = `check check-${state}`;
    node.querySelector('.check-icon').replaceChildren(iconOf(root, CHECK_ICONS[state]));
    put(node, '.check-state', say(`check.${state}`));
  });
}

/** By which policy the phone judged. */
export function showPin(root, text) {
  const line = root.querySelector('[data-pin]');
  line.querySelector('span').textContent = text;
  line.hidden = false;
}

/** A loud remark below the verdicts, one paragraph a line; returns its body. */
export function showNotice(root, icon, lines) {
  const notice = root.createElement('section');
  notice.className = 'notice notice-stop';
  notice.setAttribute('role', 'alert');
  const body = root.createElement('div');
  lines.forEach((line) => {
    const paragraph = root.createElement('p');
    paragraph.textContent = line;
    body.append(paragraph);
  });
  notice.append(iconOf(root, icon), body);
  root.querySelector('[data-notices]').append(notice);
  return body;
}
