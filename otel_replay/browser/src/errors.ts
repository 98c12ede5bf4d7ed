// Uncaught errors and rejections, as OpenTelemetry's event `exception`.
import { idsOf, type Actions } from "./actions";
import { ERROR, tell } from "./events";
import { all, listen } from "./guard";
import type { Recording } from "./recording";
import { budget } from "./timing";
import { withoutQueries, withoutQuery } from "./urls";

const MAX_PER_MINUTE = 60;
const MAX_MESSAGE_CHARS = 1_000;
const MAX_STACK_CHARS = 8_000;

interface Thrown {
  readonly type: string;
  readonly message: string;
  readonly stack: string;
}

export function observeErrors(recording: Recording, actions: Actions): () => void {
  const limit = budget(recording, "errors", MAX_PER_MINUTE);
  const stop = listen(["error", "unhandledrejection"], (event) => {
    const thrown = thrownBy(event);
    if (!thrown || !recording.active()) return;
    recording.failed();
    if (limit.take()) tellOf(thrown, recording, actions);
  });
  return all(stop, limit.tell);
}

function tellOf({ type, message, stack }: Thrown, recording: Recording, actions: Actions): void {
  const context = actions.current;
  recording.custom("otel.error", { ...idsOf(context), name: type, message });
  const attributes = {
    "exception.type": type,
    "exception.message": message,
    "exception.stacktrace": stack,
    "url.full": withoutQuery(location.href),
  };
  tell(recording, { name: "exception", context, severity: ERROR, attributes });
}

/** Undefined for an element that could not be loaded, whose event has the same name. */
function thrownBy(event: Event): Thrown | undefined {
  const isRejection = event instanceof PromiseRejectionEvent;
  if (!isRejection && !(event instanceof ErrorEvent)) return undefined;
  const thrown: unknown = isRejection ? event.reason : event.error;
  // Of an error in another origin's script the browser tells no more than "Script error.".
  const message = thrown instanceof Error ? thrown.message : isRejection ? textOf(thrown) : event.message;
  return {
    type: thrown instanceof Error ? thrown.name : isRejection ? "UnhandledRejection" : "Error",
    message: withoutQueries(message, MAX_MESSAGE_CHARS),
    stack: withoutQueries(thrown instanceof Error ? (thrown.stack ?? "") : "", MAX_STACK_CHARS),
  };
}

/** A value as one line, without what it holds: that may be anybody's. */
function textOf(value: unknown): string {
  return typeof value === "object" && value !== null ? Object.prototype.toString.call(value) : String(value);
}
