/**
 * The reader's policy, C2SP tlog-policy: which logs are known, whose cosignatures count, how many
 * are enough. Twin of merkle/policy.py.
 *
 *     log <vkey> [<url>]
 *     witness <name> <vkey> [<url>]
 *     group <name> <k | all | any> <member> …
 *     quorum <name | none>
 *
 * Every line ends in a newline. A name is used after the line that defines it and is a member once at
 * most. No two logs and no two witnesses have the same public key: keys are compared, not names.
 */

import { toHex } from './bytes.js';
import { PolicyError, ProofError } from './errors.js';
import { COSIGNATURE_V1, ED25519, MLDSA, parseVerifierKey } from './note.js';

/** Octets that no line may have: 0x09, 0x0A, 0x20-0x7E and 0x80-0xFF are allowed. */
const BAD_OCTET = /[\u0000-\u0008\u000b-\u001f\u007f]/;

/** Reads statements in order and keeps what the rules need to look back at. */
class Reader {
  constructor() {
    this.logs = [];
    this.witnesses = [];
    this.groups = [];
    this.quorum = undefined;
    this.defined = new Set();
    this.members = new Set();
    this.keys = new Set();
  }

  require(condition, expected, remedy) {
    if (!condition) throw new PolicyError(`policy line ${this.line}: expected ${expected}; ${remedy}`);
  }

  key(text, role, kind) {
    let key = null;
    try {
      key = parseVerifierKey(text);
    } catch (error) {
      if (!(error instanceof ProofError)) throw error;
    }
    this.require(key, 'a verifier key whose id fits', 'copy the key from its owner again');
    this.require(key.kind === kind || key.kind === MLDSA, `the key of a ${role}`, 'ask its owner for the key meant for this use');
    const own = `${role} ${toHex(key.publicKey)}`;
    this.require(!this.keys.has(own), `a ${role} key of its own`, 'remove one of the two lines');
    this.keys.add(own);
    return key;
  }

  define(name) {
    this.require(name !== 'none' && !this.defined.has(name), 'a new name', `choose another than ${name}`);
    this.defined.add(name);
  }

  use(name) {
    this.require(this.defined.has(name), `the name ${name} on a line before`, 'add its witness or group line above this one');
  }

  log(items) {
    this.require(items.length >= 1 && items.length <= 2, 'log <vkey> [<url>]', 'write the line in that form');
    this.logs.push(this.key(items[0], 'log', ED25519));
  }

  witness(items) {
    this.require(items.length >= 2 && items.length <= 3, 'witness <name> <vkey> [<url>]', 'write the line in that form');
    const key = this.key(items[1], 'witness', COSIGNATURE_V1);
    this.define(items[0]);
    this.witnesses.push({ name: items[0], key });
  }

  threshold(rule, count) {
    if (rule === 'any') return 1;
    if (rule === 'all') return count;
    const isNumber = /^[1-9][0-9]{0,8}$/.test(rule) && Number(rule) <= count;
    this.require(isNumber, `any, all or a number from 1 to ${count}`, 'correct the threshold or the members');
    return Number(rule);
  }

  group(items) {
    this.require(items.length >= 3, 'group <name> <k | all | any> <member> …', 'write the line in that form');
    const [name, rule, ...members] = items;
    const threshold = this.threshold(rule, members.length);
    members.forEach((member) => {
      this.use(member);
      this.require(!this.members.has(member), 'each name to be a member once', `name ${member} in one group only`);
      this.members.add(member);
    });
    this.define(name);
    this.groups.push({ name, threshold, members });
  }

  readQuorum(items) {
    this.require(items.length === 1, 'quorum <name | none>', 'write the line in that form');
    this.require(this.quorum === undefined, 'one quorum line', 'remove one of them');
    if (items[0] !== 'none') this.use(items[0]);
    this.quorum = items[0];
  }

  read(line, number) {
    this.line = number;
    this.require(!BAD_OCTET.test(line), 'no control octets', 'remove them, and end lines with LF alone');
    const [word, ...items] = line.split(/[ \t]+/).filter((item) => item !== '');
    if (word === undefined || word.startsWith('#')) return;
    if (word === 'log') this.log(items);
    else if (word === 'witness') this.witness(items);
    else if (word === 'group') this.group(items);
    else if (word === 'quorum') this.readQuorum(items);
    else this.require(false, 'log, witness, group or quorum', 'correct the word, or put # in front of a comment');
  }
}

/** `logs`: verifier keys; `witnesses`: {name, key} under the policy's names; `quorum` null means none. */
export class Policy {
  constructor({ logs, witnesses, groups, quorum }) {
    this.logs = logs;
    this.witnesses = witnesses;
    this.groups = groups;
    this.quorum = quorum === 'none' ? null : quorum;
  }

  /** Throws PolicyError naming the line, what was expected and the remedy. */
  static parse(text) {
    const reader = new Reader();
    const lines = text.split('\n');
    reader.line = lines.length;
    reader.require(lines.pop() === '', 'a newline at the end of the file', 'end the line');
    lines.forEach((line, i) => reader.read(line, i + 1));
    if (reader.quorum === undefined) {
      throw new PolicyError('policy: expected a quorum line; add "quorum <name>", or "quorum none" to ask for none');
    }
    return new Policy(reader);
  }

  /** The keys of all logs and witnesses. */
  keys() {
    return [...this.logs, ...this.witnesses.map(({ key }) => key)];
  }

  /** This policy with one more log key. */
  withLog(key) {
    return Object.assign(Object.create(Policy.prototype), this, { logs: [...this.logs, key] });
  }

  /** Whether cosignatures by these witnesses (a Set of names) are enough; always under `none`. */
  isSatisfied(names) {
    if (this.quorum === null) return true;
    const satisfied = new Set(this.witnesses.map((witness) => witness.name).filter((name) => names.has(name)));
    // Members are defined before their group: one pass is enough.
    this.groups.forEach(({ name, threshold, members }) => {
      if (members.filter((member) => satisfied.has(member)).length >= threshold) satisfied.add(name);
    });
    return satisfied.has(this.quorum);
  }

  /**
   * The latest T such that cosignatures with time ≥ T reach the quorum; null when all together do not,
   * and under `none`. `times` is a Map of witness name to seconds.
   */
  latestTime(times) {
    if (this.quorum === null) return null;
    const falling = [...new Set(times.values())].sort((a, b) => (a < b ? 1 : -1));
    const named = (limit) => new Set([...times].filter(([, time]) => time >= limit).map(([name]) => name));
    const found = falling.find((limit) => this.isSatisfied(named(limit)));
    return found === undefined ? null : found;
  }
}
