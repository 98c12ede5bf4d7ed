// Which streams of a recording can be played, which of them is shown first, and what they are called.
import type { eventWithTime } from "@rrweb/types";
import { correctedTime } from "./clock";
import { formatDuration, fromMs, nanos, toMs } from "./time";
import type { Stream, Timeline } from "./types";

const FULL_SNAPSHOT = 2;
const CUSTOM = 5;
/** The tag of what Splunk's recorder sends from 1.0 on. */
const SEGMENT = "splunk.segment";
/** The receiver puts it behind the name of a stream: what its page counted before its count began again. */
const EARLIER = " (before)";

/** Why the library would throw, or show an empty frame; empty for what can be played. */
export function unplayable(events: readonly eventWithTime[]): string {
  if (events.some((event) => event.type === CUSTOM && event.data?.tag === SEGMENT)) {
    return "It is in Splunk's own format, which only Splunk plays. It is kept, and downloads give it back as it came.";
  }
  if (events.length < 2) return `It holds ${events.length === 1 ? "one event" : "no event"}; playing needs at least two.`;
  if (!events.some((event) => event.type === FULL_SNAPSHOT)) {
    return "It holds changes, but no full snapshot of the page they belong to.";
  }
  return "";
}

/**
 * The stream to show first: of those that can be played, the one that covers most of the timeline; of equal ones the one
 * that `named` knows, the streams that the timeline's entries come from.
 */
export function firstShown(streams: readonly Stream[], timeline: Timeline, named: ReadonlySet<string>): Stream | undefined {
  const covers = new Map(streams.map((stream) => [stream, unplayable(stream.events) ? -1 : covered(stream, timeline)]));
  const isNamed = (stream: Stream): number => Number(named.has(stream.stream_id));
  return [...streams].sort((one, other) => covers.get(other)! - covers.get(one)! || isNamed(other) - isNamed(one))[0];
}

/** `Tab 1`, `Tab 2`, `Before tab 2`: each with how long it is, or that it cannot be played. */
export function tabNames(streams: readonly Stream[]): string[] {
  const pages = streams.map((stream) => stream.stream_id).filter((id) => !isEarlier(id, streams));
  return streams.map(({ stream_id: id, events }) => {
    const name = isEarlier(id, streams) ? `Before tab ${pages.indexOf(id.slice(0, -EARLIER.length)) + 1}` : `Tab ${pages.indexOf(id) + 1}`;
    return `${name} · ${unplayable(events) ? "not playable" : formatDuration(fromMs(lastOf(events) - firstOf(events)))}`;
  });
}

function isEarlier(id: string, streams: readonly Stream[]): boolean {
  return id.endsWith(EARLIER) && streams.some((stream) => stream.stream_id + EARLIER === id);
}

/** Milliseconds of the timeline in which the stream has events. */
function covered({ stream_id: id, events }: Stream, timeline: Timeline): number {
  const [start, end] = [firstOf(events), lastOf(events)].map((ms) => correctedTime(timeline, id, fromMs(ms))) as [bigint, bigint];
  const [from, to] = [nanos(timeline.start_unix_nano), nanos(timeline.end_unix_nano)];
  return Math.max(toMs((end < to ? end : to) - (start > from ? start : from)), 0);
}

function firstOf(events: readonly eventWithTime[]): number {
  return events[0]?.timestamp ?? 0;
}

function lastOf(events: readonly eventWithTime[]): number {
  return events.at(-1)?.timestamp ?? 0;
}
