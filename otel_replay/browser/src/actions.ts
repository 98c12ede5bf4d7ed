// User actions: what a person clicked, submitted or opened is a span, and what follows from it belongs to that span.
import { all, listen } from "./guard";
import { nowUnixNano } from "./ids";
import type { Recording } from "./recording";
import { contextBelow, INTERNAL, type Attributes, type Context, type FinishedSpan } from "./spans";
import { withoutQuery } from "./urls";
import { describe, interactiveTarget } from "./widgets";

/** How long after an action a request counts as its consequence. */
const WINDOW_MS = 1000;
/** A submit that follows a click on the form's button this soon is that click's. */
const SAME_GESTURE_MS = 100;

export interface Action extends Context {
  readonly name: "click" | "submit" | "navigation" | "page_view";
  readonly parentSpanId: string | undefined;
  readonly startUnixNano: bigint;
  readonly attributes: Attributes;
}

/** What a custom event in the recording says to name a span. */
export function idsOf(context: Context | undefined): object {
  return context ? { trace_id: context.traceId, span_id: context.spanId } : {};
}

export interface Actions {
  /** The action that what happens now follows from: the latest one for a second, and while the page loads its view. */
  readonly current: Action | undefined;
  /** The page view that is going on. */
  readonly pageView: Action | undefined;
  /** Starts an action; `end()` sends its span, and so does the page's end. */
  begin(name: Action["name"], attributes: Attributes, parent?: Action): Action;
  end(action: Action, more?: Partial<FinishedSpan>): void;
  /** Tells of clicks and submits until the returned function is called. */
  listen(): () => void;
}

export function actionsOf(recording: Recording): Actions {
  let latest: { action: Action; at: number; element?: Element } | undefined;
  let page: Action | undefined;
  const open = new Set<Action>();
  const since = (): number => (latest ? performance.now() - latest.at : Infinity);
  const current = (): Action | undefined => {
    if (since() <= WINDOW_MS) return latest?.action;
    return document.readyState === "complete" ? undefined : page;
  };

  const begin: Actions["begin"] = (name, attributes, parent) => {
    const action = started(recording, name, attributes, parent);
    open.add(action);
    if (name === "page_view") page = action;
    if (!parent) latest = { action, at: performance.now() };
    return action;
  };
  const end: Actions["end"] = (action, more) => {
    if (!open.delete(action)) return;
    const attributes = { ...action.attributes, ...more?.attributes };
    recording.span({ ...action, kind: INTERNAL, endUnixNano: nowUnixNano(), ...more, attributes });
  };
  const endAll = (): void => open.forEach((action) => end(action));

  const act = (name: "click" | "submit", element: Element): void => {
    if (!recording.active()) return;
    const widget = describe(element, recording.config);
    const named = { "app.widget.id": widget.id, "app.widget.name": widget.name };
    const action = begin(name, named);
    latest = { action, at: performance.now(), element };
    recording.custom("otel.action", { ...idsOf(action), name, target: widget.selector, text: widget.name });
    const click = { name: "app.widget.click", timeUnixNano: action.startUnixNano, attributes: named };
    // In the next task, when the page's own handlers have run: their time is the action's.
    setTimeout(() => end(action, name === "click" ? { events: [click] } : {}));
  };
  /** A handler's own `button.click()` counts only when a key press or the like made it, and no action is open. */
  const isGesture = (event: Event): boolean => {
    const isFree = [undefined, page].includes(current());
    return event.isTrusted || (navigator.userActivation?.isActive === true && isFree);
  };
  const onClick = (event: Event): void => {
    const element = interactiveTarget(event);
    if (!element || !isGesture(event)) return;
    act(isImplicitSubmission(event as MouseEvent, element) ? "submit" : "click", element);
  };
  const onSubmit = (event: Event): void => {
    const form = event.target;
    if (!(form instanceof HTMLFormElement)) return;
    if (since() <= SAME_GESTURE_MS && formOf(latest?.element) === form) return;
    act("submit", (event as SubmitEvent).submitter ?? form);
  };
  return {
    get current() {
      return current();
    },
    get pageView() {
      return page;
    },
    begin,
    end,
    listen: () => all(listen(["click"], onClick), listen(["submit"], onSubmit), listen(["pagehide"], endAll), endAll),
  };
}

function started(recording: Recording, name: Action["name"], more: Attributes, parent: Action | undefined): Action {
  const attributes = {
    "session.id": recording.sessionId(),
    "user.id": recording.config.attributes["user.id"],
    "url.full": withoutQuery(location.href),
    "browser.action": name,
    ...more,
  };
  return { name, ...contextBelow(parent), parentSpanId: parent?.spanId, startUnixNano: nowUnixNano(), attributes };
}

/** Enter in a field makes the browser click the form's submit button, which does not have the focus. */
function isImplicitSubmission(event: MouseEvent, element: Element): boolean {
  const form = formOf(element);
  const focused = document.activeElement;
  return event.detail === 0 && form !== null && focused !== element && formOf(focused) === form;
}

function formOf(element: Element | null | undefined): HTMLFormElement | null {
  return (element as { form?: HTMLFormElement | null } | null | undefined)?.form ?? null;
}
