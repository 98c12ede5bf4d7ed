// The page's clock, what a server says of its own trace, and how often something may be told.
import { microseconds, nowUnixNano } from "./ids";
import type { Recording } from "./recording";
import type { Context } from "./spans";

/** The Unix nanoseconds of a time on the page's own clock, as in performance entries. */
export function unixNanoAt(performanceMs: number): bigint {
  return nowUnixNano() - microseconds(performance.now() - performanceMs);
}

/** The W3C trace context that a `Server-Timing: traceparent;desc="00-..."` header, or its description alone, names. */
export function serverContext(header: string | null | undefined): Context | undefined {
  const lower = (header ?? "").toLowerCase();
  const [, traceId, spanId] = /(?:^|traceparent\s*;\s*desc="?)00-([\da-f]{32})-([\da-f]{16})-/.exec(lower) ?? [];
  return traceId && spanId ? { traceId, spanId } : undefined;
}

/** What a span says of the server's span that it belongs to (the names are those of Splunk's and HyperDX's SDKs). */
export function linkTo(server: Context | undefined): object {
  return { "link.traceId": server?.traceId, "link.spanId": server?.spanId };
}

const MINUTE_MS = 60_000;

export interface Budget {
  /** Whether one more is within the limit. */
  take(): boolean;
  /** Says in the recording how many there were beyond the limit since it was last said. */
  tell(): void;
}

/** A limit a minute. What is beyond it is counted, and the recording says how much it was. */
export function budget(recording: Recording, name: string, perMinute: number): Budget {
  let [since, used, dropped] = [-Infinity, 0, 0];
  let timer: ReturnType<typeof setTimeout> | undefined;
  const tell = (): void => {
    clearTimeout(timer);
    timer = undefined;
    if (dropped > 0) recording.custom("otel.dropped", { name, dropped, per_minute: perMinute });
    dropped = 0;
  };
  return {
    take() {
      const now = performance.now();
      if (now - since >= MINUTE_MS) [since, used] = [now, 0];
      if (used++ < perMinute) return true;
      dropped++;
      timer ??= setTimeout(tell, since + MINUTE_MS - now);
      return false;
    },
    tell,
  };
}
