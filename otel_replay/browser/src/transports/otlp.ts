// OTLP/HTTP in JSON: spans, log events, and recordings as log records, which pass through any Collector.
import type { Config } from "../options";
import { keyValues, type Attributes } from "../spans";
import type { Stream } from "../stream";
import type { Parcel } from "./post";

/** An event that is longer is sent in slices of at most three bytes a character, below the limits of Collectors. */
const MAX_SLICE_CHARS = 300 * 1024;
/** Log records of one request, in characters. */
const MAX_REQUEST_CHARS = 1024 * 1024;

type Wrap = (items: readonly string[]) => Parcel[];

export function spans(config: Config, sessionId: () => string): Wrap {
  return enveloped(config, sessionId, "traces", ["resourceSpans", "scopeSpans", "spans"]);
}

export function logs(config: Config, sessionId: () => string): Wrap {
  return enveloped(config, sessionId, "logs", ["resourceLogs", "scopeLogs", "logRecords"]);
}

/** Items under this page's resource and scope; `names` are those of OTLP's three lists, from the outside in. */
function enveloped(config: Config, sessionId: () => string, signal: string, names: readonly string[]): Wrap {
  const [resources, scopes, list] = names;
  return (items) => {
    const scope = `{"scope":{"name":"otel_replay.browser"},"${list}":[${items.join(",")}]}`;
    const body = `{"${resources}":[{"resource":${resource(config, sessionId())},"${scopes}":[${scope}]}]}`;
    return [{ path: `/v1/${signal}`, contentType: "application/json", body }];
  };
}

/**
 * A log record for each event of rrweb, or for each slice of one that is long, with the `rr-web.*` attributes of
 * Splunk's and HyperDX's recorders; `rr-web.offset` counts the records of a stream from 1.
 */
export function recordings(config: Config, sessionId: () => string, stream: Stream): Wrap {
  const asLogs = logs(config, sessionId);
  return (events) => {
    const records = events.flatMap((event) => slicedRecords(event, sessionId(), stream));
    return grouped(records).flatMap(asLogs);
  };
}

function slicedRecords(event: string, sessionId: string, stream: Stream): string[] {
  const slices = sliced(event);
  const timeUnixNano = `${eventMs(event)}000000`;
  let first: number | undefined;
  return slices.map((slice, i) => {
    const offset = stream.number() + 1;
    first ??= offset;
    return record(timeUnixNano, slice, {
      "session.id": sessionId,
      "rr-web.stream": stream.id,
      "rr-web.offset": offset,
      "rr-web.event": first,
      "rr-web.chunk": i + 1,
      "rr-web.total-chunks": slices.length,
    });
  });
}

function record(timeUnixNano: string, body: string, attributes: Attributes): string {
  return JSON.stringify({ timeUnixNano, body: { stringValue: body }, attributes: keyValues(attributes) });
}

/** No slice ends within a character: half of one would become another on the way. */
function sliced(text: string): string[] {
  const slices: string[] = [];
  for (let start = 0; start < text.length; ) {
    let end = Math.min(start + MAX_SLICE_CHARS, text.length);
    if (end < text.length && (text.charCodeAt(end - 1) & 0xfc00) === 0xd800) end--;
    slices.push(text.slice(start, end));
    start = end;
  }
  return slices;
}

/** The time stands at the end of what rrweb makes; else it is now. */
function eventMs(event: string): number {
  return Number(/"timestamp":(\d+)[^{}]*\}$/.exec(event.slice(-100))?.[1] ?? Date.now());
}

function grouped(records: readonly string[]): string[][] {
  const groups: string[][] = [];
  let chars = Infinity;
  for (const one of records) {
    if (chars + one.length > MAX_REQUEST_CHARS) {
      groups.push([]);
      chars = 0;
    }
    groups.at(-1)!.push(one);
    chars += one.length;
  }
  return groups;
}

function resource(config: Config, sessionId: string): string {
  const { language } = navigator;
  const about = { "service.name": config.serviceName, "session.id": sessionId, "browser.language": language };
  return JSON.stringify({ attributes: keyValues(about) });
}
