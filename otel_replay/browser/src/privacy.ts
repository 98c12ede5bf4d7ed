// What never leaves the page: what is typed, and what queries of addresses carry.
import { eachNode, META, type Attributes, type Node, type RrwebEvent } from "./rrweb";
import { withoutQuery } from "./urls";

/** As long for every text, so that its length tells nothing. */
export const MASK = "******";
/** Texts of elements that are typed into as into a field. */
export const EDITABLE = '[contenteditable]:not([contenteditable="false"])';

/** Attributes that hold one address. */
const ADDRESSES = new Set(
  "href src action formaction poster data cite background ping xlink:href rr_src".split(" "),
);
/** Inputs whose value is a label or a choice, not typed. */
const NOT_TYPED = /^(submit|button|reset|image|checkbox|radio)$/i;

/** rrweb's `maskInputFn`: an empty field stays empty, labels of buttons stay. */
export function maskInput(text: string, element: HTMLElement): string {
  return text && !isLabel((element as HTMLInputElement).type) ? MASK : text;
}

/** rrweb's `maskTextFn`. White space between elements stays, or the page would look another. */
export function maskText(text: string): string {
  return text.trim() ? MASK : text;
}

/**
 * Takes queries, fragments and credentials out of the addresses in an event of rrweb, in place: a replay fetches
 * nothing, so it does not need them. Fragments stay where they name a part of a drawing; queries in text are text.
 * `see` is called for each node before: of addresses of what a page shows, in attributes and in styles, it has taken the
 * queries then (`assets.ts`).
 */
export function clean<E extends RrwebEvent>(event: E, masksInputs: boolean, see?: (node: Node) => void): E {
  if (event.type === META) {
    const page = event.data as { href: string };
    page.href = withoutQuery(page.href);
  }
  // Once over all nodes: of a list that is sorted there are thousands.
  eachNode(event, (node) => {
    see?.(node);
    cleanNode(node, masksInputs);
  });
  return event;
}

function cleanNode(node: Node, masksInputs: boolean): void {
  const { attributes, isSVG } = node;
  if (!attributes) return;
  delete attributes.srcdoc; // what a frame shows is recorded as nodes, masked; a replay would load it over them
  for (const name in attributes) {
    const value = attributes[name];
    if (typeof value === "string" && ADDRESSES.has(name)) attributes[name] = cleanAddress(value, isSVG);
  }
  emptyDefaults(node, attributes, masksInputs);
}

/** rrweb masks what a field holds; of an empty one it records what it held at first. */
function emptyDefaults({ tagName, childNodes }: Node, attributes: Attributes, masksInputs: boolean): void {
  if (tagName === "textarea" && masksInputs) childNodes?.splice(0);
  if (tagName !== "input" || !attributes.value || attributes.value === MASK) return;
  if (masksInputs ? !isLabel(attributes.type) : isSecret(attributes.type)) attributes.value = "";
}

function isLabel(type: unknown): boolean {
  return NOT_TYPED.test(String(type));
}

function isSecret(type: unknown): boolean {
  return type === "password" || type === "hidden";
}

function cleanAddress(address: string, keepsFragment = false): string {
  if (/^(data:|blob:|#)/i.test(address)) return address;
  const bare = address.replace(/^([\w+.-]+:\/\/)[^/?#]*@/, "$1");
  return keepsFragment ? bare.replace(/\?[^#]*/, "") : bare.replace(/[?#].*/s, "");
}
