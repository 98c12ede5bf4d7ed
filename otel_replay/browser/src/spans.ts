// Spans as OTLP/HTTP JSON (https://opentelemetry.io/docs/specs/otlp/#json-protobuf-encoding).
import { randomHex } from "./ids";

export type AttributeValue = string | number | boolean;
export type Attributes = Readonly<Record<string, AttributeValue | undefined>>;

/** OTLP's `SpanKind` and `StatusCode` numbers that the recorder uses. */
export const INTERNAL = 1;
export const CLIENT = 3;
export const STATUS_ERROR = 2;

/** A span's place: 32 and 16 lower-case hex digits. */
export interface Context {
  readonly traceId: string;
  readonly spanId: string;
}

/** A new span's place: below another, or the first of a new trace. */
export function contextBelow(parent: Context | undefined): Context {
  return { traceId: parent?.traceId ?? randomHex(16), spanId: randomHex(8) };
}

export interface FinishedSpan extends Context {
  readonly parentSpanId?: string | undefined;
  readonly name: string;
  readonly kind: number;
  readonly startUnixNano: bigint;
  readonly endUnixNano: bigint;
  readonly attributes: Attributes;
  readonly events?: readonly SpanEvent[];
  /** Spans of other traces that belong to it, such as the server's of a page load. */
  readonly links?: readonly Context[];
  readonly statusCode?: number;
}

export interface SpanEvent {
  readonly name: string;
  readonly timeUnixNano: bigint;
  readonly attributes: Attributes;
}

/** One span as OTLP/JSON text: 64-bit integers are decimal strings. */
export function encodeSpan({ startUnixNano, endUnixNano, attributes, events, statusCode, ...same }: FinishedSpan): string {
  return JSON.stringify({
    ...same,
    startTimeUnixNano: String(startUnixNano),
    endTimeUnixNano: String(endUnixNano),
    attributes: keyValues(attributes),
    events: events?.map(({ timeUnixNano, attributes, name }) => ({
      name,
      timeUnixNano: String(timeUnixNano),
      attributes: keyValues(attributes),
    })),
    status: statusCode ? { code: statusCode } : undefined,
  });
}

/** Attributes as OTLP's list; those without a value are left out. */
export function keyValues(attributes: Attributes): unknown[] {
  return Object.entries(attributes)
    .filter(([, value]) => value != null && value !== "")
    .map(([key, value]) => ({ key, value: anyValue(value!) }));
}

function anyValue(value: AttributeValue): unknown {
  if (typeof value === "string") return { stringValue: value };
  if (typeof value === "boolean") return { boolValue: value };
  // Not every page is written in TypeScript.
  if (typeof value !== "number") return { stringValue: JSON.stringify(value) };
  return Number.isSafeInteger(value) ? { intValue: value.toString() } : { doubleValue: value };
}
