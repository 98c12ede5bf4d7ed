// Which element a person acted on, and how to name it.

const INTERACTIVE =
  'button, a, [role="button"], input[type="submit"], input[type="button"], input[type="image"]';
/** rrweb's classes for what must not be recorded. */
const PRIVATE = ".rr-block, .rr-mask, .rr-ignore";
const MAX_NAME_CHARS = 80;

export interface Widget {
  readonly element: Element;
  readonly id: string;
  /** Visible text, at most 80 characters; empty for an element that must not be recorded. */
  readonly name: string;
  /** A short selector such as `#send`. */
  readonly selector: string;
}

/** The button or link that an event went through, shadow roots included. */
export function interactiveTarget(event: Event): Element | undefined {
  const first = event.composedPath()[0];
  const element = first instanceof Element ? first : first instanceof Node ? first.parentElement : null;
  return element?.closest(INTERACTIVE) ?? undefined;
}

export function describe(element: Element): Widget {
  const selector = shortSelector(element);
  return { element, id: element.id || selector, name: visibleName(element), selector };
}

function shortSelector(element: Element): string {
  const tag = element.localName;
  if (element.id) return "#" + CSS.escape(element.id);
  const testId = element.getAttribute("data-testid");
  if (testId) return `${tag}[data-testid="${CSS.escape(testId)}"]`;
  const name = element.getAttribute("name");
  if (name) return `${tag}[name="${CSS.escape(name)}"]`;
  const first = element.classList[0];
  return first ? `${tag}.${CSS.escape(first)}` : tag;
}

function visibleName(element: Element): string {
  if (element.closest(PRIVATE) || element.querySelector(PRIVATE)) return "";
  const text = element.getAttribute("aria-label") || innerText(element);
  return text.replace(/\s+/g, " ").trim().slice(0, MAX_NAME_CHARS);
}

function innerText(element: Element): string {
  if (element instanceof HTMLInputElement) return element.value || element.alt;
  // A form is named by the button that would have been pressed, not by everything in it.
  if (element instanceof HTMLFormElement) return element.getAttribute("name") ?? "";
  return element instanceof HTMLElement ? element.innerText : (element.textContent ?? "");
}
