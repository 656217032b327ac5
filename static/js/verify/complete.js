/**
 * Complete: steps 12 to 20 of docs/formats.md section 10. Does the map say that each subject has
 * exactly this history, or none, and does its newest link stand in the log?
 */

import { equal } from './bytes.js';
import { mapValue, subjectKey } from './chain.js';
import { RefusedError } from './errors.js';
import { requireThat } from './form.js';
import { canonicalIdentifier } from './identifier.js';
import { verifyAbsence, verifyPresence } from './keymap.js';
import { rootOf, verifyInclusion } from './merkle.js';
import { orRefuse } from './published.js';

/** Steps 14 to 17 for link j of a chain. */
function checkLink(link, j, before, key, place) {
  const refuseUnless = (condition, reason) => {
    if (!condition) throw new RefusedError(reason, `${place}.links[${j}]`);
  };
  refuseUnless(equal(link.key, key), 'link-foreign');
  refuseUnless(link.seq === j, 'link-order');
  refuseUnless(link.prev === (before ? before.hashText : null), 'link-broken');
  refuseUnless(!before || link.time >= before.time, 'link-time');
}

/** Steps 18 and 19: the links are all that the map counts, and they are the ones it commits to. */
function checkHistory({ links, value }, place) {
  if (links.length !== value.count) throw new RefusedError('history-incomplete', place);
  const hashes = links.map((link) => link.hash);
  if (!equal(hashes[hashes.length - 1], value.head) || !equal(rootOf(hashes), value.root)) {
    throw new RefusedError('history-altered', place);
  }
}

/** Steps 12 to 20 for one subject. */
function checkSubject(subject, place, mapRoot, checkpoint) {
  const key = subjectKey(subject.uri);
  if (!subject.present) {
    orRefuse('map-absence', place, () => {
      // Histories stand under canonical identifiers: that another spelling has none says nothing.
      requireThat(canonicalIdentifier(subject.uri) === subject.uri, 'a canonical identifier');
      verifyAbsence(mapRoot, key, subject.absence);
    });
    return;
  }
  const { links, value } = subject;
  orRefuse('map-presence', place, () => verifyPresence(mapRoot, key, mapValue(value), subject.map));
  links.forEach((link, j) => checkLink(link, j, links[j - 1], key, place));
  checkHistory(subject, place);
  orRefuse('link-inclusion', place, () => {
    verifyInclusion(value.head, value.index, checkpoint.size, subject.inclusion, checkpoint.root);
  });
}

/** Every subject in order; returns nothing. */
export function checkComplete(subjects, mapRoot, checkpoint) {
  subjects.forEach((subject, i) => checkSubject(subject, `subjects[${i}]`, mapRoot, checkpoint));
}
