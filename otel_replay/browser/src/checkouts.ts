// When a busy page is recorded as a whole again, so that whoever seeks in its recording need not read minutes of it.
import { INCREMENTAL, META } from "./rrweb";

/** An ordinary page has fewer changes in a minute, a busy one as many in ten seconds. */
const MIN_CHANGES = 1500;
/**
 * Changes are as many times as long as the snapshot: snapshots add no more than 1/WEIGHT. Of 100,000 events in ten minutes
 * (tests/bench/heavy.py), 4.5 MB, a player of 20 s is sent 3.1 % then; at 1.5 it is 3.6 % of 4.1 MB, at 1 2.7 % of 5.3 MB,
 * and with a snapshot every five minutes 27 % of 2 MB.
 */
const WEIGHT = 1.25;

/** Gives what counts an event that is sent, of a type and a length in JSON: true, once, when a full snapshot is due. */
export function checkouts(): (type: number, chars: number) => boolean {
  let [snapshotChars, changedChars, changes] = [0, 0, 0];
  return (type, chars) => {
    if (type === META) snapshotChars = changedChars = changes = 0;
    if (type !== INCREMENTAL) {
      snapshotChars += chars;
      return false;
    }
    changedChars += chars;
    const isDue = ++changes >= MIN_CHANGES && changedChars > WEIGHT * snapshotChars;
    if (isDue) changes = 0;
    return isDue;
  };
}
