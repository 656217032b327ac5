/**
 * The policy pinned on this phone. The first one seen is kept; a later one that differs is reported
 * and never takes its place by itself. Storage may be missing or refuse (private windows, apps' web
 * views): then every visit is a first one, and the page says so.
 */

const NAME = 'provenance.policy.v1';

/** The log's name on a policy's `log` line, as text to show. */
export function logName(policy) {
  const match = /^log[ \t]+([^+\s]+)\+/m.exec(policy);
  return match ? match[1] : '?';
}

function read(storage) {
  try {
    const kept = JSON.parse(storage.getItem(NAME));
    return kept && typeof kept.policy === 'string' && typeof kept.since === 'string' ? kept : null;
  } catch (error) {
    return null;
  }
}

function write(storage, kept) {
  try {
    storage.setItem(NAME, JSON.stringify(kept));
    return true;
  } catch (error) {
    return false;
  }
}

/** Pin `policy` from `today` (YYYY-MM-DD) on. True if the phone kept it. */
export const pin = (storage, policy, today) => write(storage, { policy, since: today });

/**
 * The policy to judge by, given what the site offers now (`offered`, or null if unreachable):
 * `{state: 'first' | 'known' | 'changed' | 'unkept', policy, since}`, or null if there is none at all.
 */
export function choosePolicy(storage, offered, today) {
  const kept = read(storage);
  if (kept) return { state: offered === null || offered === kept.policy ? 'known' : 'changed', ...kept };
  if (offered === null) return null;
  return { state: pin(storage, offered, today) ? 'first' : 'unkept', policy: offered, since: today };
}
