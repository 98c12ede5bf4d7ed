// The recorder: rrweb events in numbered chunks, user actions and their requests as spans.
import { record as recordDom } from "@rrweb/record";
import type { eventWithTime } from "@rrweb/types";
import { ActionTracker, type Action } from "./actions";
import { nowUnixNano } from "./ids";
import { complete, type Config, type RecordOptions } from "./options";
import { Outbox } from "./outbox";
import { wrapFetch, type FetchCall } from "./propagation";
import { CLIENT, encodeSpan, INTERNAL, spanOutbox, STATUS_ERROR, type FinishedSpan } from "./spans";
import { withoutQuery } from "./urls";

export type { RecordOptions } from "./options";

export interface Recorder {
  readonly sessionId: string;
  readonly streamId: string;
  /** Sends what was recorded so far; settles when it arrived, at the latest after 10 s (sending goes on). */
  flush(): Promise<void>;
  /** Ends the recording, puts `fetch` back and sends the rest. */
  stop(): Promise<void>;
}

/** rrweb's event types that the recorder looks at or makes. */
const FULL_SNAPSHOT = 2;
const META = 4;
const CUSTOM = 5;
/** A full snapshot this often: playing goes on there after a lost chunk. */
const CHECKOUT_MS = 5 * 60_000;

let running: Recorder | undefined;

/**
 * Records this page until `stop()`. A second call gives the recorder that runs already.
 *
 * Throws a TypeError for an endpoint that is missing or no http(s) address; later failures never reach the page.
 */
export function record(options: RecordOptions): Recorder {
  running ??= start(complete(options));
  return running;
}

function start(config: Config): Recorder {
  const send = window.fetch;
  const spans = spanOutbox(config, send);
  const chunks = new Outbox({
    url: `${config.endpoint}/api/v1/sessions/${encodeURIComponent(config.sessionId)}/events`,
    key: config.key,
    fetch: send,
    flushIntervalMs: config.flushIntervalMs,
    wrap: (events, seq) =>
      `{"stream_id":"${config.streamId}","seq":${seq},"sent_at":${Date.now()},"events":[${events.join(",")}]}`,
    onOverflow: () => running && recordDom.takeFullSnapshot(true),
  });
  const stops = [
    ...observeActions(config, chunks, spans),
    observeExit(() => spans.flushOnExit(chunks.flushOnExit())),
    observeDom(config, chunks),
  ];
  const flush = async (): Promise<void> => {
    await Promise.all([chunks.flush(), spans.flush()]);
  };
  const stop = (): Promise<void> => {
    for (const undo of stops.splice(0)) undo();
    running = undefined;
    return flush();
  };
  return { sessionId: config.sessionId, streamId: config.streamId, flush, stop };
}

function observeDom(config: Config, chunks: Outbox): () => void {
  let announced = false;
  const stop = recordDom({
    emit: (event) => {
      chunks.push(JSON.stringify(cleaned(event)));
      if (announced || event.type !== FULL_SNAPSHOT) return;
      announced = true;
      chunks.push(customEvent("otel.session", { attributes: sessionAttributes(config) }));
    },
    maskAllInputs: config.maskAllInputs,
    slimDOMOptions: true, // no scripts, comments or icons: none of them is seen, and a replay would try to fetch the icon
    checkoutEveryNms: CHECKOUT_MS,
    recordAfter: "DOMContentLoaded",
    errorHandler: () => true,
  });
  return stop ?? (() => undefined);
}

function observeActions(config: Config, chunks: Outbox, spans: Outbox): (() => void)[] {
  const actions = new ActionTracker((action) => {
    chunks.push(customEvent("otel.action", actionPayload(action)));
    // In the next task, when the page's own handlers have run: their time is the action's.
    setTimeout(() => spans.push(encodeSpan(actionSpan(action, config))));
  });
  const restoreFetch = wrapFetch({
    endpoint: config.endpoint,
    sessionId: config.sessionId,
    propagateTo: config.propagateTo,
    currentAction: () => (running ? actions.current : undefined),
    onStart: (call) => chunks.push(customEvent("otel.fetch", fetchPayload(call))),
    onEnd: (call, status) => spans.push(encodeSpan(fetchSpan(call, status, config))),
  });
  return [actions.listen(), restoreFetch];
}

function observeExit(flush: () => void): () => void {
  window.addEventListener("pagehide", flush);
  return () => window.removeEventListener("pagehide", flush);
}

/** The page's address without its query and fragment. */
function cleaned(event: eventWithTime): eventWithTime {
  if (event.type !== META) return event;
  return { ...event, data: { ...event.data, href: withoutQuery(event.data.href) } };
}

function customEvent(tag: string, payload: object): string {
  return JSON.stringify({ type: CUSTOM, data: { tag, payload }, timestamp: Date.now() });
}

function sessionAttributes(config: Config): object {
  return {
    "user.id": config.userId,
    feature: config.feature,
    label: config.label,
    "service.name": config.serviceName,
  };
}

function actionPayload(action: Action): object {
  const { traceId, spanId, name, widget } = action;
  return { trace_id: traceId, span_id: spanId, name, target: widget.selector, text: widget.name };
}

function fetchPayload(call: FetchCall): object {
  return { trace_id: call.action.traceId, span_id: call.spanId, method: call.method, url: call.url };
}

function actionSpan(action: Action, config: Config): FinishedSpan {
  return {
    traceId: action.traceId,
    spanId: action.spanId,
    name: action.name,
    kind: INTERNAL,
    startUnixNano: action.startUnixNano,
    endUnixNano: nowUnixNano(),
    attributes: {
      "session.id": config.sessionId,
      "user.id": config.userId,
      "app.widget.id": action.widget.id,
      "app.widget.name": action.widget.name,
      "url.full": withoutQuery(location.href),
      "browser.action": action.name,
    },
  };
}

function fetchSpan(call: FetchCall, status: number, config: Config): FinishedSpan {
  return {
    traceId: call.action.traceId,
    spanId: call.spanId,
    parentSpanId: call.action.spanId,
    name: call.method,
    kind: CLIENT,
    startUnixNano: call.startUnixNano,
    endUnixNano: nowUnixNano(),
    attributes: {
      "http.request.method": call.method,
      "url.full": call.url,
      "http.response.status_code": status || undefined,
      "session.id": config.sessionId,
    },
    ...(status === 0 || status >= 400 ? { statusCode: STATUS_ERROR } : {}),
  };
}
