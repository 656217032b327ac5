/**
 * Published and fresh: steps 4 to 11 of docs/formats.md section 10. Is the checkpoint one that a log
 * in the reader's policy signed, that enough witnesses cosigned, and recently? And which map root
 * does it stand for?
 */

import { utf8 } from './bytes.js';
import { readMapHead } from './chain.js';
import { parseCheckpoint } from './checkpoint.js';
import { cosignedAt } from './cosignature.js';
import { verifyEd25519 } from './ed25519.js';
import { ProofError, RefusedError } from './errors.js';
import { leafHash, verifyInclusion } from './merkle.js';
import { COSIGNATURE_V1, ED25519, parseNote } from './note.js';

/** A cosigner's clock may run this many seconds ahead of ours. */
const CLOCK_TOLERANCE = 300n;

/** Runs one check; a ProofError in it is the refusal `reason` at `place`. */
export function orRefuse(reason, place, check) {
  try {
    return check();
  } catch (error) {
    if (error instanceof ProofError) throw new RefusedError(reason, place);
    throw error;
  }
}

const isLineOf = (key, line) => key.name === line.name && key.id === line.id;

/** Step 6: a good line by the log, and none that is bad under its known key. */
async function checkLogLines(note, logs, engine) {
  let isSigned = false;
  for (const line of note.signatures) {
    const key = logs.find((log) => log.kind === ED25519 && isLineOf(log, line));
    if (key) {
      isSigned = await verifyEd25519(engine, key.publicKey, utf8(note.text), line.signature);
      if (!isSigned) break;
    }
  }
  if (!isSigned) throw new RefusedError('checkpoint-signature', 'checkpoint');
}

/** Step 6 for witnesses: the time (BigInt seconds) of each one's newest good line, by policy name. */
async function cosignatureTimes(note, witnesses, engine) {
  const times = new Map();
  for (const line of note.signatures) {
    const witness = witnesses.find(({ key }) => key.kind === COSIGNATURE_V1 && isLineOf(key, line));
    if (witness) {
      const time = await cosignedAt(engine, witness.key.publicKey, note.text, line.signature);
      if (time === null) throw new RefusedError('checkpoint-signature', 'checkpoint');
      if (!times.has(witness.name) || times.get(witness.name) < time) times.set(witness.name, time);
    }
  }
  return times;
}

/** Steps 4 to 7: `{origin, size, root, times}`. */
export async function checkCheckpoint(text, policy, engine) {
  const [note, checkpoint] = orRefuse('checkpoint-malformed', 'checkpoint', () => {
    const parsed = parseNote(text);
    return [parsed, parseCheckpoint(parsed.text)];
  });
  const logs = policy.logs.filter((log) => log.name === checkpoint.origin);
  if (!logs.length) throw new RefusedError('log-unknown', 'checkpoint');
  await checkLogLines(note, logs, engine);
  const times = await cosignatureTimes(note, policy.witnesses, engine);
  if (!policy.isSatisfied(new Set(times.keys()))) throw new RefusedError('quorum-missing', 'checkpoint');
  return { ...checkpoint, times };
}

/** Steps 8 and 9: the 32-byte root of the map at this checkpoint. */
export function checkMapHead({ entry, proof }, { size, root }) {
  const head = orRefuse('map-head-malformed', 'mapHead', () => readMapHead(entry));
  if (head.index !== size - 1) throw new RefusedError('map-head-malformed', 'mapHead');
  orRefuse('map-head-inclusion', 'mapHead', () => {
    verifyInclusion(leafHash(utf8(entry)), size - 1, size, proof, root);
  });
  return head.root;
}

/** Step 10: the as-of time (BigInt seconds) that the quorum vouches for, or null under `none`. */
export function readAsOf(times, policy, now) {
  const asOf = policy.latestTime(times);
  if (asOf !== null && asOf > BigInt(now) + CLOCK_TOLERANCE) throw new RefusedError('checkpoint-future', 'checkpoint');
  return asOf;
}

/** Step 11: not older than `maxAge` seconds. */
export function checkAge(asOf, now, maxAge) {
  if (asOf !== null && BigInt(now) - asOf > BigInt(maxAge)) throw new RefusedError('checkpoint-stale', 'checkpoint');
}
