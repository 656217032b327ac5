/**
 * Published and fresh: steps 4 to 11 of docs/formats.md section 10 (5a and 5b are succession.js, 6a is
 * forks.js). Is the checkpoint one that a log
 * in the reader's policy signed, that enough witnesses cosigned, and recently? And which map root
 * does it stand for?
 */

import { utf8 } from './bytes.js';
import { readMapHead } from './chain.js';
import { parseCheckpoint } from './checkpoint.js';
import { cosignedAt, subtreeCosignedAt } from './cosignature.js';
import { verifyEd25519 } from './ed25519.js';
import { ProofError, RefusedError } from './errors.js';
import { leafHash, verifyInclusion } from './merkle.js';
import { COSIGNATURE_V1, isLineOf, MLDSA, parseNote } from './note.js';

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

/** Steps 4 and 5: `{note, checkpoint}`, the note parsed. */
export function readCheckpoint(text, policy) {
  const [note, checkpoint] = orRefuse('checkpoint-malformed', 'checkpoint', () => {
    const parsed = parseNote(text);
    return [parsed, parseCheckpoint(parsed.text)];
  });
  if (!policy.logs.some((log) => log.name === checkpoint.origin)) throw new RefusedError('log-unknown', 'checkpoint');
  return { note, checkpoint };
}

/** Whether this verifier can judge lines of a key; those of others are passed over as unknown. */
const canJudge = (key, engine) => key.kind !== MLDSA || Boolean(engine.verifyMldsa);

/** The time (BigInt seconds, 0 for a plain signature) of a line that is good under `key`, else null. */
async function judgeLine(key, { note, checkpoint }, signature, engine) {
  if (key.kind === MLDSA) return subtreeCosignedAt(engine, key, checkpoint, signature);
  if (key.kind === COSIGNATURE_V1) return cosignedAt(engine, key.publicKey, note.text, signature);
  return (await verifyEd25519(engine, key.publicKey, utf8(note.text), signature)) ? 0n : null;
}

/**
 * Step 6: the time (BigInt seconds) of each witness's newest good line, by policy name. There is a good
 * line by the log, and none that is bad under a known key.
 */
export async function verifyLines(opened, policy, engine) {
  const logs = policy.logs.filter((log) => log.name === opened.checkpoint.origin && canJudge(log, engine));
  const witnesses = policy.witnesses.filter(({ key }) => canJudge(key, engine));
  const times = new Map();
  let isSigned = false;
  for (const line of opened.note.signatures) {
    const log = logs.find((key) => isLineOf(key, line));
    const witness = witnesses.find(({ key }) => isLineOf(key, line));
    if (log || witness) {
      const time = await judgeLine(log || witness.key, opened, line.signature, engine);
      if (time === null) throw new RefusedError('checkpoint-signature', 'checkpoint');
      isSigned = isSigned || Boolean(log);
      if (witness && !(times.get(witness.name) >= time)) times.set(witness.name, time);
    }
  }
  if (!isSigned) throw new RefusedError('checkpoint-signature', 'checkpoint');
  return times;
}

/** Step 7: cosigned by enough. */
export function requireQuorum(times, policy) {
  if (!policy.isSatisfied(new Set(times.keys()))) throw new RefusedError('quorum-missing', 'checkpoint');
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
