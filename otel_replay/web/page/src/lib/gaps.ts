// Holes in a recording: what is said of them, and playing over them.
import type { eventWithTime } from "@rrweb/types";
import { formatDuration, nanos, toMs } from "./time";
import type { Entry, Gap } from "./types";

const FULL_SNAPSHOT = 2;
const INCREMENTAL = 3;
/** Of the spans of our recorder. */
const RECORDER = "otel_replay.browser";
const REASON = "otel_replay.gap.reason";
const REASONS: Record<string, string> = {
  sampled: "the session was not among the sampled ones until an error opened it",
};

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

/** One sentence about chunks that are not there. */
export function describeGap(gap: Gap): string {
  const number = gap.missing ?? 0;
  const chunks = `${number || "Some"} chunk${number === 1 ? "" : "s"}`;
  const what = gap.reason === "damaged" ? "cannot be read any more" : number === 1 ? "is missing" : "are missing";
  const where = (gap.after_seq ?? -1) < 0 ? "at the start" : `after chunk ${gap.after_seq}`;
  const on = gap.resumes_at === null || gap.resumes_at === undefined ? "" : `; playing goes on at chunk ${gap.resumes_at}`;
  return `${chunks} ${what} ${where}${on}.`;
}

/** One sentence for each time of which the recorder has kept nothing: it says so by a span. */
export function notKept(entries: readonly Entry[]): string[] {
  const told = entries.filter((entry) => entry.kind === "gap" && entry.detail?.scope === RECORDER);
  return told.map(({ detail, start_unix_nano, end_unix_nano }) => {
    const reason = String((detail?.attributes as Record<string, unknown> | undefined)?.[REASON]);
    const lasted = formatDuration(nanos(end_unix_nano) - nanos(start_unix_nano));
    const why = Object.hasOwn(REASONS, reason) ? REASONS[reason] : reason;
    return `Nothing was kept of ${lasted} before: ${why}.`;
  });
}
