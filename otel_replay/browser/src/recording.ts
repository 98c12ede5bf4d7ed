// The seam between the recorder's core and what it observes.
import type { LogEvent } from "./events";
import type { Config } from "./options";
import type { RrwebEvent } from "./rrweb";
import type { FinishedSpan } from "./spans";

/** What an observer may use. Nothing here throws. */
export interface Recording {
  readonly config: Config;
  /** The session of this moment: it changes after a time without the person, and after four hours. */
  sessionId(): string;
  /** The recording of this tab in this session. */
  streamId(): string;
  /** False while paused or stopped; what is told then goes nowhere. */
  active(): boolean;
  /** Sends a span to `/v1/traces`. */
  span(span: FinishedSpan): void;
  /** Sends a log event to `/v1/logs`. */
  event(event: LogEvent): void;
  /** Puts a custom event into the recording of the page, by the clock of its other events. */
  custom(tag: string, payload: object): void;
  /** Puts another event of rrweb into it. */
  emit(event: RrwebEvent): void;
  /** Something went wrong: a session that is not among the sampled ones is sent from here on, with what led to it. */
  failed(): void;
  /** The person did something: the time until the session is over starts again. */
  busy(): void;
}

/** Starts to observe; returns what undoes it. */
export type Observer = (recording: Recording) => () => void;
