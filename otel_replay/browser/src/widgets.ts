// Which element a person acted on, and how to name it.
import { attempt } from "./guard";
import type { Config } from "./options";

const INTERACTIVE =
  "button,a,summary," +
  "button,link,tab,menuitem,option,switch,checkbox,radio".replace(/\w+/g, "[role=$&]") +
  ",submit,button,reset,image,checkbox,radio".replace(/\w+/g, "input[type=$&]");
/** rrweb's classes for what must not be recorded. */
const PRIVATE = ".rr-block, .rr-mask, .rr-ignore";
const MAX_NAME_CHARS = 80;

/** What a person chose as private, beside rrweb's classes. */
export type Privacy = Pick<Config, "blockSelector" | "maskTextSelector">;

export interface Widget {
  /** Its id, else its selector; empty where that is its tag alone. */
  readonly id: string;
  /** Visible text, at most 80 characters; empty for an element that must not be recorded. */
  readonly name: string;
  /** A short selector such as `#send`. */
  readonly selector: string;
}

/** The button or link that an event went through, into shadow roots and out of them: an icon may have one of its own. */
export function interactiveTarget(event: Event): Element | undefined {
  return event.composedPath().find((one): one is Element => one instanceof Element && one.matches(INTERACTIVE));
}

export function describe(element: Element, privacy: Privacy): Widget {
  const selector = shortSelector(element);
  // A selector that cannot be read hides everything.
  const hidden = attempt(() => isPrivate(element, privacy)) ?? true;
  // A bare tag is no name: what reads it goes by the text then.
  const id = element.getAttribute("id") || (selector === element.localName ? "" : selector);
  return { id, name: hidden ? "" : visibleName(element), selector };
}

function shortSelector(element: Element): string {
  const tag = element.localName;
  const id = element.getAttribute("id"); // under `form.id` a form has its field of that name, if there is one
  if (id) return "#" + CSS.escape(id);
  const testId = element.getAttribute("data-testid");
  if (testId) return `${tag}[data-testid="${CSS.escape(testId)}"]`;
  const name = element.getAttribute("name");
  if (name) return `${tag}[name="${CSS.escape(name)}"]`;
  const first = element.classList[0];
  return first ? `${tag}.${CSS.escape(first)}` : tag;
}

/** Whether the element, what it stands in or anything in it is private; across shadow roots, whose hosts count. */
function isPrivate(element: Element, privacy: Privacy): boolean {
  const selector = [PRIVATE, privacy.blockSelector, privacy.maskTextSelector].filter(Boolean).join(", ");
  for (let place: Element | null = element; place; place = hostOf(place)) if (place.closest(selector)) return true;
  return element.querySelector(selector) !== null;
}

function hostOf(element: Element): Element | null {
  const root = element.getRootNode();
  return root instanceof ShadowRoot ? root.host : null;
}

function visibleName(element: Element): string {
  const text = element.getAttribute("aria-label") || innerText(element);
  return text.replace(/\s+/g, " ").trim().slice(0, MAX_NAME_CHARS);
}

function innerText(element: Element): string {
  // What was typed or chosen is not what a field is called.
  if (element instanceof HTMLInputElement) return /^(button|submit|reset)$/.test(element.type) ? element.value : element.alt;
  // A form is named by the button that would have been pressed, not by everything in it.
  if (element instanceof HTMLFormElement) return element.getAttribute("name") ?? "";
  return element instanceof HTMLElement ? element.innerText : (element.textContent ?? "");
}
