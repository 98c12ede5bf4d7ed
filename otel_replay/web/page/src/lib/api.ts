// Reading the server. Addresses are relative to the document, so that any path prefix works.
import type { eventWithTime } from "@rrweb/types";
import { disarm } from "./disarm";
import { withFiles } from "./files";
import { fromMs } from "./time";
import type { Away, RecordingPage, SessionPage, Stream, Timeline } from "./types";

/** An answer that is not the data: `title` and `detail` of its problem+json, or what the browser says. */
export class ApiError extends Error {
  constructor(
    readonly status: number,
    readonly title: string,
    readonly detail: string,
  ) {
    super(title);
  }
}

type Query = Record<string, string | undefined | null>;

export function listSessions(query: Query, signal: AbortSignal): Promise<SessionPage> {
  return get("api/v1/sessions", { limit: "50", ...query }, signal);
}

export function loadTimeline(of: "sessions" | "traces", id: string, query: Query, signal: AbortSignal): Promise<Timeline> {
  return get(`api/v1/${of}/${encodeURIComponent(id)}/timeline`, query, signal);
}

/** A whole recording, and who could not add his part. */
export interface Recorded {
  streams: Stream[];
  missing: Away[];
}

/** The whole recording, page after page; parts of one stream are joined. `range` holds Unix nanoseconds. */
export async function loadRecording(
  sessionId: string,
  range: { from?: string; to?: string },
  signal: AbortSignal,
  onProgress: (events: number) => void,
): Promise<Recorded> {
  const streams = new Map<string, Stream>();
  const missing: Away[] = [];
  const seen = new Set<string>();
  let events = 0;
  for (let cursor: string | undefined; ; ) {
    const page = await getRecordingPage(sessionId, { ...range, cursor }, signal);
    for (const part of page.streams) events += join(streams, part);
    onProgress(events);
    missing.push(...(page.missing ?? []));
    const next = page.next_cursor;
    // A cursor that comes twice would never end.
    if (!next || seen.has(next)) break;
    seen.add(next);
    cursor = next;
  }
  const found = [...streams.values()];
  for (const stream of found) await complete(sessionId, stream, signal);
  return { streams: found, missing };
}

/** Puts the files of the recording in place, and takes out what would fetch anything. */
async function complete(sessionId: string, stream: Stream, signal: AbortSignal): Promise<void> {
  const readMore = async (from: number, to: number): Promise<eventWithTime[]> => {
    const range = { stream: stream.stream_id, from: String(fromMs(from)), to: String(fromMs(to)) };
    const page = await getRecordingPage(sessionId, range, signal);
    return page.streams.flatMap((part) => (part.events ?? []).filter(isEvent));
  };
  Object.assign(stream, await withFiles(stream.events, readMore));
  stream.events.forEach(disarm);
}

async function getRecordingPage(sessionId: string, query: Query, signal: AbortSignal): Promise<RecordingPage> {
  try {
    return await get(`api/v1/sessions/${encodeURIComponent(sessionId)}/recording`, query, signal);
  } catch (error) {
    // The session is known (its timeline is shown); it only has no recording, or none that a shared trace shows.
    if (error instanceof ApiError && [403, 404].includes(error.status)) return { streams: [] };
    throw error;
  }
}

export interface Visitor {
  logged_in: boolean;
  scopes: string[];
  shared: { session_id?: string; trace_id?: string } | null;
}

/** What may be offered to whoever looks at the page. */
export function whoIsHere(signal: AbortSignal): Promise<Visitor> {
  return get("api/v1/visitor", {}, signal);
}

/** The cookie it gets is out of reach for scripts. */
export async function logIn(key: string): Promise<void> {
  await post("api/v1/login", { key });
}

export async function logOut(): Promise<void> {
  await post("api/v1/logout", {});
}

export interface Share {
  id: string;
  path: string;
  expires_unix_nano: string;
}

export function share(of: "sessions" | "traces", id: string): Promise<Share> {
  return post(`api/v1/${of}/${encodeURIComponent(id)}/share`, {});
}

export async function takeBack(share: Share): Promise<void> {
  await send("DELETE", `api/v1/shares/${share.id}`);
}

function join(streams: Map<string, Stream>, part: Stream): number {
  const events = (part.events ?? []).filter(isEvent);
  const known = streams.get(part.stream_id);
  if (!known) {
    streams.set(part.stream_id, { ...part, events, gaps: part.gaps ?? [] });
    return events.length;
  }
  for (const event of events) known.events.push(event);
  known.to_seq = part.to_seq;
  const gaps = [...(known.gaps ?? []), ...(part.gaps ?? [])];
  known.gaps = [...new Map(gaps.map((gap) => [gap.after_seq, gap])).values()];
  return events.length;
}

/** Recordings are whatever someone sent: what is no rrweb event would take the player down. */
function isEvent(event: unknown): boolean {
  const { type, timestamp, data } = (event ?? {}) as Record<string, unknown>;
  return typeof type === "number" && typeof timestamp === "number" && (type < 2 || typeof data === "object");
}

async function get<T>(path: string, query: Query, signal: AbortSignal): Promise<T> {
  const given = Object.entries(query).filter((entry): entry is [string, string] => Boolean(entry[1]));
  const address = given.length ? `${path}?${new URLSearchParams(given)}` : path;
  return send("GET", address, undefined, signal);
}

function post<T>(path: string, body: unknown): Promise<T> {
  return send("POST", path, JSON.stringify(body));
}

async function send<T>(method: string, address: string, body?: string, signal?: AbortSignal): Promise<T> {
  const headers = { accept: "application/json", "content-type": "application/json" };
  const response = await fetch(address, { method, body, signal, headers }).catch((error: Error) => {
    if (signal?.aborted) throw error;
    throw new ApiError(0, "The server cannot be reached", error.message);
  });
  if (!response.ok) throw await problem(response);
  return response.json() as Promise<T>;
}

async function problem(response: Response): Promise<ApiError> {
  const body = (await response.json().catch(() => ({}))) as Record<string, unknown>;
  const title = typeof body.title === "string" ? body.title : `The server answered ${response.status}`;
  return new ApiError(response.status, title, typeof body.detail === "string" ? body.detail : "");
}
