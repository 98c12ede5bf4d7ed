// User actions: what a person clicked or submitted starts a trace.
import { nowUnixNano, randomHex } from "./ids";
import { describe, interactiveTarget, type Widget } from "./widgets";

/** How long after an action a request counts as its consequence. */
const WINDOW_MS = 1000;
/** A submit that follows a click on the form's button this soon is that click's. */
const SAME_GESTURE_MS = 100;

export interface Action {
  readonly name: "click" | "submit";
  readonly traceId: string;
  readonly spanId: string;
  readonly widget: Widget;
  readonly startUnixNano: bigint;
}

export class ActionTracker {
  private latest: { action: Action; at: number } | undefined;

  /** `onAction` is called as soon as an action starts, before the page's own handlers run. */
  constructor(private readonly onAction: (action: Action) => void) {}

  /** The action whose window is open. */
  get current(): Action | undefined {
    return this.since() <= WINDOW_MS ? this.latest?.action : undefined;
  }

  /** Listens on `document` until the returned function is called. */
  listen(): () => void {
    const click = guarded((event) => this.onClick(event as MouseEvent));
    const submit = guarded((event) => this.onSubmit(event));
    // On the window and capturing: before any handler of the page, whether or not it stops the event.
    window.addEventListener("click", click, true);
    window.addEventListener("submit", submit, true);
    return () => {
      window.removeEventListener("click", click, true);
      window.removeEventListener("submit", submit, true);
    };
  }

  private onClick(event: MouseEvent): void {
    const element = interactiveTarget(event);
    if (!element || !this.isGesture(event)) return;
    this.start(isImplicitSubmission(event, element) ? "submit" : "click", element);
  }

  private onSubmit(event: Event): void {
    const form = event.target;
    if (!(form instanceof HTMLFormElement)) return;
    if (this.since() <= SAME_GESTURE_MS && formOf(this.latest?.action.widget.element) === form) return;
    this.start("submit", (event as SubmitEvent).submitter ?? form);
  }

  /** A handler's own `button.click()` counts only when a key press or the like made it, and no action is open. */
  private isGesture(event: Event): boolean {
    return event.isTrusted || (navigator.userActivation?.isActive === true && !this.current);
  }

  private since(): number {
    return this.latest ? performance.now() - this.latest.at : Infinity;
  }

  private start(name: Action["name"], element: Element): void {
    const action: Action = {
      name,
      traceId: randomHex(16),
      spanId: randomHex(8),
      widget: describe(element),
      startUnixNano: nowUnixNano(),
    };
    this.latest = { action, at: performance.now() };
    this.onAction(action);
  }
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

/** Our failure must not become the page's. */
function guarded(listener: (event: Event) => void): (event: Event) => void {
  return (event) => {
    try {
      listener(event);
    } catch (error) {
      console.warn("otel-replay: user action not recorded", error);
    }
  };
}
