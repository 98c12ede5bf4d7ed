// What goes wrong on a page: uncaught errors and rejections as OpenTelemetry's event `exception`, and `console.error` as
// the event `browser.console` of its browser instrumentations.
import { idsOf, type Actions } from "./actions";
import { formatted, textOf } from "./console";
import { ERROR, tell, type LogEvent } from "./events";
import { all, attempt, listen, replace } from "./guard";
import type { Recording } from "./recording";
import { budget } from "./timing";
import { withoutQueries, withoutQuery } from "./urls";

const MAX_PER_MINUTE = 60;
const MAX_MESSAGE_CHARS = 1_000;
const MAX_STACK_CHARS = 8_000;

export function observeErrors(recording: Recording, actions: Actions): () => void {
  const tellException = teller(recording, actions, "otel.error", "exception");
  const stop = listen(["error", "unhandledrejection"], (event) => {
    const isRejection = event instanceof PromiseRejectionEvent;
    // An element that could not be loaded has an event of the same name.
    if (!isRejection && !(event instanceof ErrorEvent)) return;
    const thrown: unknown = isRejection ? event.reason : event.error;
    const error = thrown instanceof Error ? thrown : undefined;
    // Of an error in another origin's script the browser tells no more than "Script error.".
    const name = error?.name ?? (isRejection ? "UnhandledRejection" : "Error");
    const message = withoutQueries(error?.message ?? (isRejection ? textOf(thrown) : event.message), MAX_MESSAGE_CHARS);
    tellException({ name, message }, () => ({
      attributes: {
        "exception.type": name,
        "exception.message": message,
        "exception.stacktrace": withoutQueries(error?.stack ?? "", MAX_STACK_CHARS),
        "url.full": withoutQuery(location.href),
      },
    }));
  });
  return all(stop, tellException.stop);
}

export function observeConsole(recording: Recording, actions: Actions): () => void {
  const tellSaid = teller(recording, actions, "otel.console", "browser.console");
  const stop = replace(console, "error", (original) =>
    function (this: Console, ...said: unknown[]) {
      attempt(() => {
        const body = withoutQueries(formatted(said), MAX_MESSAGE_CHARS);
        tellSaid({ level: "error", message: body }, () => ({ body, attributes: { "browser.console.method": "error" } }));
      });
      original.apply(this, said);
    },
  );
  return all(stop, tellSaid.stop);
}

type Said = Pick<LogEvent, "attributes" | "body">;

/** Tells an error in the recording and as an event, of the action in which it happens, within a limit. */
function teller(recording: Recording, actions: Actions, tag: string, name: string) {
  const limit = budget(recording, tag, MAX_PER_MINUTE);
  const tellError = (payload: object, event: () => Said): void => {
    if (!recording.active()) return;
    recording.failed();
    if (!limit.take()) return;
    const context = actions.current;
    recording.custom(tag, { ...idsOf(context), ...payload });
    tell(recording, { name, context, severity: ERROR, ...event() });
  };
  return Object.assign(tellError, { stop: limit.tell });
}
