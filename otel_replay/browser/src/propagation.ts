// The page's requests: a client span each, and W3C trace context and session to the page's own servers.
import { idsOf, type Actions } from "./actions";
import { all, attempt, listen, replace } from "./guard";
import { nowUnixNano } from "./ids";
import type { Recording } from "./recording";
import { CLIENT, contextBelow, STATUS_ERROR, type Context } from "./spans";
import { budget, linkTo, serverContext } from "./timing";
import { carriesContext, isReceiver, withoutQuery } from "./urls";

/** Spans of requests that no action caused, such as polling, a minute. */
const MAX_WITHOUT_ACTION = 60;
/** A page that goes takes its requests with it, some of them before it says that it goes: they failed, it seems then. */
const GOING_MS = 100;
/** How a request is called that the page has given up. */
const ABORTED = "AbortError";

/** Headers and their values, for a request that may carry them. */
type Carried = readonly (readonly [name: string, value: string])[];

interface Call {
  /** Empty where the request's server gets none. */
  readonly headers: Carried;
  /** Sends the span, once: by status, or 0 and the name of the error; `serverTiming` is the answer's header. */
  end(status: number, error?: string, serverTiming?: string | null): void;
}

/** A call for a request that is to be followed; undefined for otel-replay's own and what is beyond the limits. */
type Begin = (method: string, address: string, mayCarry: boolean) => Call | undefined;

/** Whether the request that is being made is our own. */
let isOwn = false;

/** Makes a request that is not followed. */
export function untraced<T>(request: () => T): T {
  isOwn = true;
  try {
    return request();
  } finally {
    isOwn = false;
  }
}

/** Follows `fetch` and `XMLHttpRequest` until the returned function is called. */
export function observeRequests(recording: Recording, actions: Actions): () => void {
  const withoutAction = budget(recording, "requests without an action", MAX_WITHOUT_ACTION);
  const open = new Set<Call>();
  const { config } = recording;
  const begin: Begin = (method, address, mayCarry) => {
    const url = new URL(address, document.baseURI);
    if (isOwn || !recording.active() || !/^https?:$/.test(url.protocol) || isReceiver(url, config.endpoint)) return undefined;
    const action = actions.current;
    if (!(action ?? withoutAction.take())) return undefined;
    const call = follow(recording, action, method, url, mayCarry && carriesContext(url, config.propagateTo));
    const known: Call = {
      ...call,
      end(status, ...more) {
        const endUnixNano = nowUnixNano();
        const finish = (): void => void (open.delete(known) && call.end(endUnixNano, status, ...more));
        if (status || more[0] === ABORTED) finish();
        else setTimeout(finish, GOING_MS);
      },
    };
    open.add(known);
    return known;
  };
  const endAll = (): void => {
    // Of a request that is still under way nobody will know how it went.
    for (const call of open) call.end(0, ABORTED);
    withoutAction.tell();
  };
  return all(
    replace(window, "fetch", (original) => tracedFetch(original, begin)),
    ...traceXhr(begin),
    listen(["pagehide"], endAll),
    endAll,
  );
}

interface Followed {
  readonly headers: Carried;
  end(endUnixNano: bigint, ...outcome: Parameters<Call["end"]>): void;
}

function follow(recording: Recording, parent: Context | undefined, given: string, url: URL, isCarrier: boolean): Followed {
  const context = contextBelow(parent);
  const method = given.toUpperCase();
  const address = withoutQuery(url.href);
  const sessionId = recording.sessionId();
  const startUnixNano = nowUnixNano();
  const told = { ...idsOf(context), method, url: address };
  recording.custom("otel.fetch", told);
  return {
    headers: isCarrier
      ? [
          ["traceparent", `00-${context.traceId}-${context.spanId}-01`],
          ["baggage", `session.id=${encodeURIComponent(sessionId)}`],
        ]
      : [],
    end(endUnixNano, status, error = status >= 400 ? String(status) : undefined, serverTiming) {
      // What the page itself gave up is no failure.
      const failed = error !== undefined && error !== ABORTED;
      const server = isCarrier ? undefined : serverContext(serverTiming);
      recording.span({
        ...context,
        parentSpanId: parent?.spanId,
        name: method,
        kind: CLIENT,
        startUnixNano,
        endUnixNano,
        attributes: {
          "session.id": sessionId,
          "http.request.method": method,
          "url.full": address,
          "server.address": url.hostname,
          "server.port": Number(url.port) || (url.protocol === "https:" ? 443 : 80),
          "http.response.status_code": status || undefined,
          "error.type": error,
          ...linkTo(server),
        },
        ...(server && { links: [server] }),
        ...(failed && { statusCode: STATUS_ERROR }),
      });
      if (!failed) return;
      recording.custom("otel.error", { ...told, message: error });
      recording.failed();
    },
  };
}

type FetchArguments = Parameters<typeof fetch>;

function tracedFetch(original: typeof fetch, begin: Begin): typeof fetch {
  return function (this: unknown, ...args: FetchArguments) {
    const traced = attempt(() => traceFetch(args, begin));
    if (!traced) return original.apply(window, args);
    const [call, carrying] = traced;
    const answer = original.apply(window, carrying);
    answer.then(
      ({ status, headers }) => attempt(() => call.end(status, undefined, headers.get("server-timing"))),
      (error: unknown) => attempt(() => call.end(0, nameOf(error))),
    );
    return answer;
  };
}

function traceFetch(args: FetchArguments, begin: Begin): [Call, FetchArguments] | undefined {
  const [input, init] = args;
  if (!isPlain(init)) return undefined;
  const request = input instanceof Request ? input : undefined;
  const headers = new Headers(init?.headers ?? request?.headers);
  // Another tracer of the page was first: its span is the request's parent, not ours.
  if (headers.has("traceparent")) return undefined;
  const mayCarry = (init?.mode ?? request?.mode) !== "no-cors";
  const call = begin(init?.method ?? request?.method ?? "GET", request?.url ?? String(input), mayCarry);
  if (!call?.headers.length) return call && [call, args];
  // The page's own baggage stays.
  for (const [name, value] of call.headers) headers.append(name, value);
  // A request in which something is changed forgets where it comes from, and whether it may say so.
  const isAsItWas = request && Object.keys(init ?? {}).length === 0;
  const origin = isAsItWas && { referrer: request.referrer, referrerPolicy: request.referrerPolicy };
  return [call, [input, { ...origin, ...init, headers }]];
}

/**
 * Only a plain object can be copied: the members of a Request given as `init`, say, are getters. And headers that are an
 * iterator can be read only once.
 */
function isPlain(init: RequestInit | undefined): boolean {
  return !init || (Object.getPrototypeOf(init) === Object.prototype && !("next" in Object(init.headers)));
}

function nameOf(error: unknown): string {
  return error instanceof Error ? error.name : "Error";
}

/** What is known of a request between `open()` and `send()`. */
interface Opened {
  readonly method: string;
  readonly address: string;
  hasContext?: boolean;
}

function traceXhr(begin: Begin): (() => void)[] {
  const { prototype } = XMLHttpRequest;
  const opened = new WeakMap<XMLHttpRequest, Opened>();
  return [
    replace(prototype, "open", (original) => function (this: XMLHttpRequest, ...args: unknown[]) {
      original.apply(this, args as Parameters<typeof original>);
      opened.set(this, { method: String(args[0]), address: String(args[1]) });
    } as typeof original),
    replace(prototype, "setRequestHeader", (original) => function (this: XMLHttpRequest, name, value) {
      original.call(this, name, value);
      const request = opened.get(this);
      if (request && String(name).toLowerCase() === "traceparent") request.hasContext = true;
    }),
    replace(prototype, "send", (original) => function (this: XMLHttpRequest, body) {
      const request = opened.get(this);
      const send = (): void => original.call(this, body);
      const traced = request && !request.hasContext && attempt(() => begin(request.method, request.address, true));
      if (traced) sendTraced(this, traced, send);
      else send();
    }),
  ];
}

/** Sends, and ends the call: by an event, or for a synchronous request by its return or its exception. */
function sendTraced(xhr: XMLHttpRequest, call: Call, send: () => void): void {
  // A header that the page has set, too, is appended to.
  attempt(() => call.headers.forEach(([name, value]) => xhr.setRequestHeader(name, value)));
  const end = (error?: string): void => void attempt(() => call.end(xhr.status, error, serverTimingOf(xhr)));
  const outcomes = { load: undefined, error: "NetworkError", timeout: "TimeoutError", abort: ABORTED };
  for (const [type, error] of Object.entries(outcomes)) xhr.addEventListener(type, () => end(error), { once: true });
  try {
    send();
  } catch (error) {
    end(nameOf(error));
    throw error;
  }
  if (xhr.readyState === XMLHttpRequest.DONE) end();
}

/** Only what the server lets the page see: asking for one header by name writes an error into the console otherwise. */
function serverTimingOf(xhr: XMLHttpRequest): string | undefined {
  return /^server-timing:(.*)$/im.exec(xhr.getAllResponseHeaders())?.[1];
}
