// Requests that follow a user action: a client span each, and W3C trace context to the page's own servers.
import type { Action } from "./actions";
import { nowUnixNano, randomHex } from "./ids";
import { carriesContext, withoutQuery, type Allowed } from "./urls";

export interface FetchCall {
  readonly action: Action;
  readonly spanId: string;
  readonly method: string;
  /** Without query and fragment. */
  readonly url: string;
  readonly startUnixNano: bigint;
}

export interface PropagationOptions {
  readonly endpoint: string;
  readonly sessionId: string;
  readonly propagateTo: Allowed;
  readonly currentAction: () => Action | undefined;
  readonly onStart: (call: FetchCall) => void;
  /** `status` is 0 when there was no answer. */
  readonly onEnd: (call: FetchCall, status: number) => void;
}

type FetchArguments = Parameters<typeof fetch>;

/** Wraps `window.fetch`; the returned function puts the former one back. */
export function wrapFetch(options: PropagationOptions): () => void {
  const original = window.fetch;
  const wrapped: typeof fetch = function (this: unknown, ...args: FetchArguments) {
    const traced = attempt(() => trace(args, options));
    if (!traced) return original.apply(window, args);
    const answer = original.apply(window, traced.args);
    answer.then(
      (response) => attempt(() => options.onEnd(traced.call, response.status)),
      () => attempt(() => options.onEnd(traced.call, 0)),
    );
    return answer;
  };
  window.fetch = wrapped;
  return () => {
    // Someone may have wrapped us since: then ours stays in place and passes everything through.
    if (window.fetch === wrapped) window.fetch = original;
  };
}

function trace(args: FetchArguments, options: PropagationOptions): { args: FetchArguments; call: FetchCall } | undefined {
  const [input, init] = args;
  const action = options.currentAction();
  const request = input instanceof Request ? input : undefined;
  const address = request ? request.url : String(input);
  if (!action || !isPlain(init) || !carriesContext(address, options.endpoint, options.propagateTo)) return undefined;
  const headers = new Headers(init?.headers ?? request?.headers);
  // Another tracer of the page was first: its span is the request's parent, not ours.
  if (headers.has("traceparent") || (init?.mode ?? request?.mode) === "no-cors") return undefined;
  const call: FetchCall = {
    action,
    spanId: randomHex(8),
    method: (init?.method ?? request?.method ?? "GET").toUpperCase(),
    url: withoutQuery(address),
    startUnixNano: nowUnixNano(),
  };
  headers.set("traceparent", `00-${action.traceId}-${call.spanId}-01`);
  headers.append("baggage", `session.id=${encodeURIComponent(options.sessionId)}`);
  options.onStart(call);
  return { args: [input, { ...init, headers }], call };
}

/** Only a plain object can be copied: the members of a Request given as `init`, say, are getters. */
function isPlain(init: RequestInit | undefined): boolean {
  return init === undefined || init === null || Object.getPrototypeOf(init) === Object.prototype;
}

function attempt<T>(work: () => T): T | undefined {
  try {
    return work();
  } catch (error) {
    console.warn("otel-replay: request not traced", error);
    return undefined;
  }
}
