// Spans as OTLP/HTTP JSON (https://opentelemetry.io/docs/specs/otlp/#json-protobuf-encoding).
import type { Config } from "./options";
import { Outbox } from "./outbox";

export type AttributeValue = string | number;
export type Attributes = Readonly<Record<string, AttributeValue | undefined>>;

/** OTLP's `SpanKind` and `StatusCode` numbers that the recorder uses. */
export const INTERNAL = 1;
export const CLIENT = 3;
export const STATUS_ERROR = 2;

export interface FinishedSpan {
  readonly traceId: string;
  readonly spanId: string;
  readonly parentSpanId?: string;
  readonly name: string;
  readonly kind: number;
  readonly startUnixNano: bigint;
  readonly endUnixNano: bigint;
  readonly attributes: Attributes;
  readonly statusCode?: number;
}

/** An outbox that sends spans to `{endpoint}/v1/traces` under the page's resource. */
export function spanOutbox(config: Config, send: typeof fetch): Outbox {
  const resource = JSON.stringify({
    attributes: keyValues({
      "service.name": config.serviceName,
      "session.id": config.sessionId,
      "browser.language": navigator.language,
    }),
  });
  return new Outbox({
    url: `${config.endpoint}/v1/traces`,
    key: config.key,
    fetch: send,
    flushIntervalMs: Math.min(config.flushIntervalMs, 500),
    wrap: (spans) =>
      `{"resourceSpans":[{"resource":${resource},"scopeSpans":[` +
      `{"scope":{"name":"otel_replay.browser"},"spans":[${spans.join(",")}]}]}]}`,
  });
}

/** One span as OTLP/JSON text: 64-bit integers are decimal strings. */
export function encodeSpan(span: FinishedSpan): string {
  return JSON.stringify({
    traceId: span.traceId,
    spanId: span.spanId,
    parentSpanId: span.parentSpanId,
    name: span.name,
    kind: span.kind,
    startTimeUnixNano: span.startUnixNano.toString(),
    endTimeUnixNano: span.endUnixNano.toString(),
    attributes: keyValues(span.attributes),
    status: span.statusCode ? { code: span.statusCode } : undefined,
  });
}

function keyValues(attributes: Attributes): unknown[] {
  return Object.entries(attributes)
    .filter(([, value]) => value !== undefined && value !== "")
    .map(([key, value]) => ({ key, value: anyValue(value!) }));
}

function anyValue(value: AttributeValue): unknown {
  return typeof value === "number" ? { intValue: value.toString() } : { stringValue: value };
}
