// A small panel with which a person starts, pauses and stops the recording of their visit.
import { record, type Recorder, type RecordOptions } from "./index";
import { read, write } from "./storage";

export interface PanelOptions extends RecordOptions {
  /** Where it is put; default the end of the page's body, in its lower right corner. */
  parent?: Element;
}

export interface Panel {
  readonly element: HTMLElement;
  /** Undefined while nothing is recorded. */
  readonly recorder: Recorder | undefined;
  /** Takes it off the page; a recording goes on. */
  remove(): void;
}

/** That the person has started it: then the next page of the tab goes on. */
const KEY = "otel-replay.panel";
const STATES = { recording: "Recording", paused: "Paused", stopped: "Not recorded" };

/**
 * Puts the panel on the page. The recording begins with a click on Start, and goes on over page loads until Stop.
 *
 * Needs nothing of the page's content security policy: its style is a constructed style sheet in a shadow root. It is
 * left out of the recording. Throws as `record()` does, when the recording begins.
 */
export function panel(options: PanelOptions): Panel {
  const element = document.createElement("div");
  element.className = "rr-block"; // rrweb leaves it out, and its clicks have no names
  const root = element.attachShadow({ mode: "open" });
  root.adoptedStyleSheets = [styleSheet(options.parent ? "" : CORNER)];
  const group = add(root, "div", { role: "group", "aria-label": "Session recording" });
  const status = add(group, "span", { role: "status" });
  let recorder: Recorder | undefined;

  const toggle = (isOn: boolean): void => {
    if (isOn) recorder = record(options);
    else void recorder?.stop();
    if (isOn) recorder?.resume();
    else recorder = undefined;
    write("sessionStorage", KEY, isOn || undefined);
    show();
  };
  const main = button(group, () => toggle(!recorder));
  const pause = button(group, () => {
    if (recorder?.state === "paused") recorder.resume();
    else recorder?.pause();
    show();
  });
  const show = (): void => {
    if (recorder?.state === "stopped") recorder = undefined;
    const state = recorder?.state ?? "stopped";
    group.dataset.state = state;
    setText(status, STATES[state]);
    setText(main, recorder ? "Stop" : "Start");
    setText(pause, state === "paused" ? "Resume" : "Pause");
    pause.hidden = !recorder;
  };
  if (read<boolean>("sessionStorage", KEY)) recorder = record(options);
  show();
  const timer = setInterval(show, 1000); // the page may stop it, too
  (options.parent ?? document.body).append(element);
  return {
    element,
    get recorder() {
      return recorder;
    },
    remove() {
      clearInterval(timer);
      element.remove();
    },
  };
}

function add(parent: Node, tag: string, attributes: Record<string, string>): HTMLElement {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  return parent.appendChild(made);
}

function button(parent: Node, act: () => void): HTMLElement {
  const made = add(parent, "button", { type: "button" });
  made.addEventListener("click", act);
  return made;
}

/** A screen reader hears the status when it changes, not every second. */
function setText(element: HTMLElement, text: string): void {
  if (element.textContent !== text) element.textContent = text;
}

function styleSheet(more: string): CSSStyleSheet {
  const sheet = new CSSStyleSheet();
  sheet.replaceSync(STYLE + more);
  return sheet;
}

const STYLE = `
:host { all: initial; display: inline-block; color-scheme: light dark; font: 14px/1.4 system-ui, sans-serif; }
div { display: flex; gap: 8px; align-items: center; padding: 6px 10px; border: 1px solid; border-radius: 8px;
  background: Canvas; color: CanvasText; }
span::before { content: ""; display: inline-block; width: 8px; height: 8px; margin-right: 6px; border-radius: 50%;
  background: GrayText; }
[data-state="recording"] span::before { background: #c62828; }
button { font: inherit; cursor: pointer; }
`;
const CORNER = ":host { position: fixed; right: 12px; bottom: 12px; z-index: 2147483647; }";
