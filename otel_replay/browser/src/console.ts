// `console.error`, as the event `browser.console` of OpenTelemetry's browser instrumentations.
import { idsOf, type Actions } from "./actions";
import { ERROR, tell } from "./events";
import { all, attempt, replace } from "./guard";
import type { Recording } from "./recording";
import { budget, type Budget } from "./timing";
import { withoutQueries } from "./urls";

const MAX_PER_MINUTE = 60;
const MAX_CHARS = 1_000;
/** Of an object that is logged, so many values are read. */
const MAX_VALUES = 100;

export function observeConsole(recording: Recording, actions: Actions): () => void {
  const limit = budget(recording, "console errors", MAX_PER_MINUTE);
  const stop = replace(console, "error", (original) =>
    function (this: Console, ...said: unknown[]) {
      attempt(() => tellOf(said, recording, actions, limit));
      original.apply(this, said);
    },
  );
  return all(stop, limit.tell);
}

function tellOf(said: readonly unknown[], recording: Recording, actions: Actions, limit: Budget): void {
  if (!recording.active()) return;
  recording.failed();
  if (!limit.take()) return;
  const message = withoutQueries(formatted(said), MAX_CHARS);
  const context = actions.current;
  recording.custom("otel.console", { ...idsOf(context), level: "error", message });
  const attributes = { "browser.console.method": "error" };
  tell(recording, { name: "browser.console", context, severity: ERROR, body: message, attributes });
}

/** As the console shows it, with `%s` and its like filled in (https://console.spec.whatwg.org/#formatter). */
function formatted(said: readonly unknown[]): string {
  const rest = [...said];
  const first = rest.shift();
  if (typeof first !== "string") return said.map(shown).join(" ");
  const filled = first.replace(/%([sdifoOc%])/g, (whole, kind: string) => {
    if (kind === "%") return "%";
    if (rest.length === 0) return whole;
    const value = shown(rest.shift());
    return kind === "c" ? "" : value;
  });
  return [filled, ...rest.map(shown)].join(" ");
}

function shown(value: unknown): string {
  if (value instanceof Error) return `${value.name}: ${value.message}`;
  if (typeof value !== "object" || value === null) return String(value).slice(0, 2 * MAX_CHARS);
  let left = MAX_VALUES;
  try {
    return JSON.stringify(value, (_key, one: unknown) => {
      if (left-- <= 0) throw new RangeError("too large");
      return one;
    });
  } catch {
    return Object.prototype.toString.call(value);
  }
}
