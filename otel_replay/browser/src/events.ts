// Events as OTLP/HTTP JSON: log records with an `event_name`, under OpenTelemetry's names where it has them.
import { nowUnixNano } from "./ids";
import type { Recording } from "./recording";
import { keyValues, type Attributes, type Context } from "./spans";

/** OTLP's `SeverityNumber`s that the recorder uses. */
export const INFO = 9;
export const ERROR = 17;

export interface LogEvent {
  /** `event_name`, such as `exception`. */
  readonly name: string;
  readonly timeUnixNano: bigint;
  /** The span in which it happened. */
  readonly context?: Context | undefined;
  /** `INFO` or `ERROR`. */
  readonly severity: number;
  /** One line for a person. */
  readonly body?: string;
  readonly attributes: Attributes;
}

/** Sends an event of this moment, of the session of this moment. */
export function tell(recording: Recording, event: Omit<LogEvent, "timeUnixNano">): void {
  const attributes = { "session.id": recording.sessionId(), ...event.attributes };
  recording.event({ ...event, timeUnixNano: nowUnixNano(), attributes });
}

/** One log record as OTLP/JSON text. */
export function encodeEvent(event: LogEvent): string {
  return JSON.stringify({
    timeUnixNano: event.timeUnixNano.toString(),
    severityNumber: event.severity,
    severityText: event.severity === ERROR ? "ERROR" : "INFO",
    eventName: event.name,
    body: event.body && { stringValue: event.body },
    attributes: keyValues(event.attributes),
    traceId: event.context?.traceId,
    spanId: event.context?.spanId,
  });
}
