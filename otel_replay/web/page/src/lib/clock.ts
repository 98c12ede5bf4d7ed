// From the timeline's corrected time to the recording's own clock and back.
import { nanos } from "./time";
import type { ClockOffset, Entry, Timeline } from "./types";

/** Corrected Unix nanoseconds of what the stream's clock called `raw`. Offsets are added to raw times. */
export function correctedTime(timeline: Timeline, streamId: string, raw: bigint): bigint {
  return raw + offsetAt(timeline, streamId, (from, to) => raw >= from && raw <= to);
}

/** What the stream's clock showed at an entry. */
export function timeInStream(timeline: Timeline, streamId: string, entry: Entry): bigint {
  if (entry.stream_id === streamId && entry.raw_start_unix_nano) return nanos(entry.raw_start_unix_nano);
  const corrected = nanos(entry.start_unix_nano);
  return corrected - offsetAt(timeline, streamId, (from, to, offset) => {
    const raw = corrected - offset;
    return raw >= from && raw <= to;
  });
}

type Within = (from: bigint, to: bigint, offset: bigint) => boolean;

/** A clock that was set while the page ran has several offsets, each for a span of raw time. */
function offsetAt(timeline: Timeline, streamId: string, within: Within): bigint {
  const known = (timeline.clock ?? []).filter((item) => item.source === "stream" && item.id === streamId);
  const exact = known.find((item) => within(nanos(item.from_unix_nano), endOf(item), nanos(item.offset_ns)));
  return nanos((exact ?? known[0])?.offset_ns);
}

function endOf(item: ClockOffset): bigint {
  return item.to_unix_nano ? nanos(item.to_unix_nano) : 1n << 63n;
}
