/**
 * The text of a C2SP tlog-checkpoint: origin, size, root, three lines and no more. Twin of
 * merkle/checkpoint.py. Extension lines are refused: monitors cannot audit what they say.
 */

import { decodeBase64 } from './base64.js';
import { ProofError } from './errors.js';
import { isCount } from './form.js';
import { isKeyName } from './note.js';

/** `{origin, size, root}`; throws ProofError for another text. */
export function parseCheckpoint(text) {
  const lines = text.split('\n');
  if (lines.length !== 4 || lines[3] !== '' || !isKeyName(lines[0])) throw new ProofError('not a checkpoint of three lines');
  const [origin, size, root] = lines;
  if (!/^(0|[1-9][0-9]{0,15})$/.test(size) || !isCount(Number(size))) throw new ProofError('a malformed tree size');
  return { origin, size: Number(size), root: decodeBase64(root, 32) };
}
