// Playing over a hole in a recording.
import type { eventWithTime } from "@rrweb/types";
import { nanos, toMs } from "./time";
import type { Gap } from "./types";

const FULL_SNAPSHOT = 2;
const INCREMENTAL = 3;

/**
 * The events that can be played: changes between a gap and the next full snapshot belong to a page that nobody has,
 * and the library would apply them to the wrong one. Events of other types stay, so that time goes on.
 */
export function withoutOrphans(events: eventWithTime[], gaps: readonly Gap[]): eventWithTime[] {
  const ends = gaps.map((gap) => toMs(nanos(gap.to_unix_nano))).filter((ms) => ms > 0).sort((a, b) => a - b);
  let passed = 0;
  let orphaned = false;
  return events.filter((event) => {
    for (; passed < ends.length && event.timestamp >= ends[passed]!; passed++) orphaned = true;
    if (event.type === FULL_SNAPSHOT) orphaned = false;
    return !orphaned || event.type !== INCREMENTAL;
  });
}
