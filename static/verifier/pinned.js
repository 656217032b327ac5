/**
 * The policy that this file was built with (`provenance build-verifier --policy FILE`), or null. The
 * builder replaces the value below; the page uses it until its reader gives another.
 */

export const PINNED_POLICY = null;
