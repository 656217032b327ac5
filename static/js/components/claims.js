/**
 * Does the page show what the verified bundle says? Elements that show a signed value name its place
 * in the bundle (data-from, a JSON pointer) and, where it is shown in another form, the value itself
 * (data-claim); stages carry what the verdict says of them. Anything that differs is a finding.
 */

// provenance/web/display.py has the same rule and says why.
const MOST_CHARACTERS = 240;
const SPACES = /[\t\n\v\f\r\u0085\u2028\u2029]/g;
const HIDDEN = /[\0-\x1f\x7f-\x9f\u00ad\u061c\u180e\u200b\u200e\u200f\u202a-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb]/g;

/** A signed value as a page shows it: on one line, nothing hidden, cut after 240 characters. */
export function drawn(value) {
  const characters = Array.from(String(value));
  const visible = characters.slice(0, MOST_CHARACTERS).join('').replace(SPACES, ' ').replace(HIDDEN, '\ufffd');
  return characters.length > MOST_CHARACTERS ? `${visible}…` : visible;
}

/** The text of a base64url disclosure as the JSON value that it is, or undefined. */
function decodeDisclosure(text) {
  try {
    const base64 = text.replace(/-/g, '+').replace(/_/g, '/');
    const bytes = Uint8Array.from(atob(base64), (character) => character.charCodeAt(0));
    return JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes));
  } catch (error) {
    return undefined;
  }
}

/** The value at a JSON pointer (RFC 6901); a string stepped into is a disclosure. */
export function valueAt(bundle, pointer) {
  return pointer.split('/').slice(1).reduce((value, step) => {
    const holder = typeof value === 'string' ? decodeDisclosure(value) : value;
    const name = step.replace(/~1/g, '/').replace(/~0/g, '~');
    if (holder === null || typeof holder !== 'object' || !Object.prototype.hasOwnProperty.call(holder, name)) {
      return undefined;
    }
    return holder[name];
  }, bundle);
}

/** The first shown claim that the bundle does not make, as its pointer; null if there is none. */
export function findForeignClaim(root, bundle) {
  const claims = [...root.querySelectorAll('[data-from]')];
  const foreign = claims.find((node) => {
    const shown = 'claim' in node.dataset ? node.dataset.claim : node.textContent;
    const value = valueAt(bundle, node.dataset.from);
    return value === undefined || value === null || typeof value === 'object' || drawn(value) !== shown;
  });
  return foreign ? foreign.dataset.from : null;
}

const STAGE = {
  event: 'event', index: 'index', state: 'state', standing: 'standing', party: 'party', custody: 'custody', ledgerTime: 'ledgerTime',
};

/** The first stage shown that is not the verdict's at that place, as `stages[i]`; null if all agree. */
export function findForeignStage(root, verdict) {
  const shown = [...root.querySelectorAll('[data-stage]')];
  const length = Math.max(shown.length, verdict.stages.length);
  for (let i = 0; i < length; i += 1) {
    const node = shown[i];
    const stage = verdict.stages[i];
    const agrees = node && stage
      && Object.entries(STAGE).every(([name, member]) => node.dataset[name] === String(stage[member]));
    if (!agrees) return `stages[${i}]`;
  }
  return null;
}
