// Many entries that are one thing for a person: text that streams into an element, keys typed into a field, ASGI's send
// and receive spans.
import type { Entry } from "./types";

export interface Row {
  /** The entry that stands for all. */
  readonly head: Entry;
  /** All entries of the row in order; the row can be opened when there is more than one. */
  readonly entries: Entry[];
  /** Plumbing: shown, but pale. */
  readonly muted: boolean;
}

/**
 * Rows in the order of their first entry. Streamed text and the spans that carry it alternate, so a row stays open
 * until something comes that is neither.
 */
export function foldEntries(entries: readonly Entry[]): Row[] {
  const rows: Row[] = [];
  const open = new Map<string, Row>();
  for (const entry of entries) {
    const key = foldKey(entry);
    const row = key === undefined ? undefined : open.get(key);
    if (row) {
      row.entries.push(entry);
      continue;
    }
    const added = { head: entry, entries: [entry], muted: isTransport(entry) || isEcho(entry) };
    rows.push(added);
    if (key === undefined) open.clear();
    else open.set(key, added);
  }
  return rows;
}

/** What may share a row with others of the same key; undefined for an entry that stands alone. */
function foldKey(entry: Entry): string | undefined {
  if (isTransport(entry)) return `asgi:${entry.trace_id}:${entry.parent_span_id}`;
  const detail = entry.detail ?? {};
  if (entry.kind !== "dom" || (detail.type !== "text" && detail.type !== "input")) return undefined;
  return `${detail.type}:${entry.stream_id}:${detail.selector}`;
}

/** What the recorder noted in the recording about a span, or about the session: it says nothing new. */
function isEcho(entry: Entry): boolean {
  if (!entry.stream_id) return false;
  return entry.detail?.type === "session" || (entry.links ?? []).some((link) => link.rel === "same_call");
}

/** A span that instrumentation makes for each ASGI message: 36 of them for a streamed answer of 29 tokens. */
function isTransport(entry: Entry): boolean {
  if (entry.kind !== "span") return false;
  const detail = entry.detail ?? {};
  return detail.noise === true || / http (send|receive)$/.test(entry.title);
}
