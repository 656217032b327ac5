/**
 * What a bundle brings from outside its own proofs: the policy it proposes, and anchors. Neither
 * decides the record (docs/formats.md section 11). Twin of provenance/verify/outside.py.
 *
 * An anchor is listed if its checkpoint is one of this log, signed by it, on which the bundle's builds;
 * whether the third party really dated it is not judged here.
 */

import { toHex } from './bytes.js';
import { PolicyError, ProofError } from './errors.js';
import { openState } from './forks.js';
import { verifyConsistency } from './merkle.js';
import { Policy } from './policy.js';

const keyText = ({ name, kind, publicKey }) => `${name} ${kind} ${toHex(publicKey)}`;

/** What a policy says about one log, as text that does not hang on the order of its lines. */
function meaningOf(policy, origin) {
  return JSON.stringify([
    policy.logs.filter((log) => log.name === origin).map(keyText).sort(),
    policy.witnesses.map(({ name, key }) => `${name} ${keyText(key)}`).sort(),
    policy.groups.map(({ name, threshold, members }) => [name, threshold, ...[...members].sort()].join(' ')).sort(),
    policy.quorum,
  ]);
}

/** Whether the text proposes anything else for this log than the reader's policy. */
export function differs(proposed, origin, policy) {
  try {
    return meaningOf(Policy.parse(proposed), origin) !== meaningOf(policy, origin);
  } catch (error) {
    if (error instanceof PolicyError) return true;
    throw error;
  }
}

/** `{anchors, warnings}`: the anchors on whose checkpoints this one builds, a warning for each other. */
export async function judgeAnchors(anchors, checkpoint, policy, engine) {
  const judged = { anchors: [], warnings: [] };
  for (let i = 0; i < anchors.length; i += 1) {
    const { kind, time, note, consistency } = anchors[i];
    try {
      const { size, root } = await openState(note, checkpoint.origin, policy, engine);
      verifyConsistency(size, checkpoint.size, root, checkpoint.root, consistency);
      judged.anchors.push({ kind, size, time });
    } catch (error) {
      if (!(error instanceof ProofError)) throw error;
      judged.warnings.push({ code: 'anchor-unusable', place: `anchors[${i}]` });
    }
  }
  return judged;
}
