/**
 * The errors of the phone's verifier. One base class, so that a page can tell "this code said no
 * on purpose" from a defect of ours.
 *
 * A refused *bundle* is never an error: it is a verdict (docs/formats.md section 11). Errors are for
 * what the caller gave beside the bundle (policy, engine) and, inside this folder, for one piece of
 * evidence that failed; verdict.js turns the latter into reasons and places.
 */

/** Base of every error that this folder throws on purpose. */
export class VerifyError extends Error {
  constructor(message) {
    super(message);
    this.name = new.target.name;
  }
}

/** The browser can check no Ed25519 signature: only "checked by the server" can be said. */
export class NoEngineError extends VerifyError {}

/** The reader's policy file cannot be used; the message names the line and the remedy. */
export class PolicyError extends VerifyError {}

/** What the reader knows of a log from elsewhere (docs/formats.md, `known`) cannot be read. */
export class KnownError extends VerifyError {}

/** A piece of evidence is malformed or does not prove what it claims. */
export class ProofError extends VerifyError {}

/** JSON refused by docs/formats.md section 1; `code` is one of its codes. */
export class MalformedJsonError extends VerifyError {
  constructor(code, message) {
    super(message);
    this.code = code;
  }
}

/** The first failed step of docs/formats.md section 10: the `reason` and the `place` of a verdict. */
export class RefusedError extends VerifyError {
  constructor(reason, place) {
    super(`${reason} at ${place}`);
    this.reason = reason;
    this.place = place;
  }
}
