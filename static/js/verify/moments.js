/**
 * Points in time as text and as numbers. Twin of provenance/domain/moments.py.
 *
 * *Ledger time*: Number of milliseconds since 1970, always `YYYY-MM-DDTHH:MM:SS.mmmZ`. *Claimed
 * time*: any RFC 3339 date-time with offset, BigInt of microseconds (further digits are cut off).
 * Date.parse is not used: it takes forms and days that RFC 3339 does not know.
 */

import { ProofError } from './errors.js';

const LEDGER = /^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}\.\d{3}Z$/;
const RFC3339 = /^(\d{4})-(\d{2})-(\d{2})[Tt](\d{2}):(\d{2}):(\d{2})(?:\.(\d+))?([Zz]|[+-]\d{2}:\d{2})$/;

const isLeap = (year) => (year % 4 === 0 && year % 100 !== 0) || year % 400 === 0;

function daysIn(year, month) {
  if (month === 2) return isLeap(year) ? 29 : 28;
  return [4, 6, 9, 11].includes(month) ? 30 : 31;
}

/** Days from 1970-01-01 to a date of the proleptic Gregorian calendar. */
function daysSince1970(year, month, day) {
  const date = new Date(0);
  date.setUTCFullYear(year, month - 1, day); // Date.UTC would take years below 100 for 19xx
  return date.getTime() / 86400000;
}

function offsetMinutes(text) {
  if (text === 'Z' || text === 'z') return 0;
  const [hours, minutes] = [Number(text.slice(1, 3)), Number(text.slice(4))];
  if (hours > 23 || minutes > 59) throw new ProofError(`no such offset: ${text}`);
  return (text[0] === '-' ? -1 : 1) * (hours * 60 + minutes);
}

/** Microseconds since 1970 (BigInt) of an RFC 3339 date-time with offset; throws ProofError. */
export function parseClaimedTime(text) {
  // Only text goes into the message: our parsed objects have no prototype and so no toString.
  if (typeof text !== 'string') throw new ProofError(`expected a date-time, found ${typeof text}`);
  const match = RFC3339.exec(text);
  if (!match) throw new ProofError(`expected an RFC 3339 date-time with offset, found ${text}`);
  const [year, month, day, hour, minute, second] = match.slice(1, 7).map(Number);
  const exists = year >= 1 && month >= 1 && month <= 12 && day >= 1 && day <= daysIn(year, month)
    && hour <= 23 && minute <= 59 && second <= 59;
  if (!exists) throw new ProofError(`no such date or time: ${text}`);
  const minutes = daysSince1970(year, month, day) * 1440 + hour * 60 + minute - offsetMinutes(match[8]);
  const micros = `${match[7] || ''}000000`.slice(0, 6);
  return BigInt(minutes * 60 + second) * 1000000n + BigInt(micros);
}

/** Milliseconds since 1970 of the fixed 24-character form; throws ProofError for any other form. */
export function parseLedgerTime(text) {
  if (typeof text !== 'string' || !LEDGER.test(text)) {
    throw new ProofError('expected YYYY-MM-DDTHH:MM:SS.mmmZ');
  }
  return Number(parseClaimedTime(text) / 1000n);
}

/** `YYYY-MM-DDTHH:MM:SSZ` of POSIX seconds. */
export const formatSeconds = (seconds) => new Date(seconds * 1000).toISOString().replace('.000Z', 'Z');
