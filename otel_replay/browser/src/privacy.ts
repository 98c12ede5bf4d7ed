// What never leaves the page: what is typed, and what queries of addresses carry.
import type { RrwebEvent } from "./dom";
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
const NOT_TYPED = new Set(["submit", "button", "reset", "image", "checkbox", "radio"]);
const META = 4;
const FULL_SNAPSHOT = 2;
const INCREMENTAL = 3;
/** The source of incremental events that change nodes. */
const MUTATION = 0;

type Attributes = Record<string, unknown>;

interface Node {
  readonly tagName?: string;
  readonly isSVG?: boolean;
  readonly attributes?: Attributes;
  childNodes?: Node[];
}

/** What changes nodes: attributes, and nodes that are added. */
interface Change {
  readonly source: number;
  readonly attributes?: readonly { readonly attributes: Attributes }[];
  readonly adds?: readonly { readonly node: Node }[];
}

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
 * Addresses of what a page shows, in attributes and in styles, have lost theirs before (`assets.ts`).
 */
export function clean(event: RrwebEvent, masksInputs: boolean): RrwebEvent {
  const data = event.data as { href: string; node: Node } & Change;
  if (event.type === META) data.href = withoutQuery(data.href);
  if (event.type === FULL_SNAPSHOT) cleanNode(data.node, masksInputs);
  if (event.type === INCREMENTAL) cleanChange(data, masksInputs);
  return event;
}

function cleanChange(change: Change, masksInputs: boolean): void {
  if (change.source !== MUTATION) return;
  for (const { attributes } of change.attributes ?? []) cleanAttributes(attributes);
  for (const { node } of change.adds ?? []) cleanNode(node, masksInputs);
}

/** A loop: how deep a page is nested is its own choice. */
function cleanNode(top: Node, masksInputs: boolean): void {
  const stack = [top];
  for (let node = stack.pop(); node; node = stack.pop()) {
    if (node.attributes) cleanAttributes(node.attributes, node.isSVG);
    emptyDefaults(node, masksInputs);
    for (const child of node.childNodes ?? []) stack.push(child);
  }
}

/** rrweb masks what a field holds; of an empty one it records what it held at first. */
function emptyDefaults(node: Node, masksInputs: boolean): void {
  const { tagName, attributes } = node;
  if (tagName === "textarea" && masksInputs) node.childNodes?.splice(0);
  if (tagName !== "input" || !attributes?.value || attributes.value === MASK) return;
  if (masksInputs ? !isLabel(attributes.type) : isSecret(attributes.type)) attributes.value = "";
}

function isLabel(type: unknown): boolean {
  return typeof type === "string" && NOT_TYPED.has(type.toLowerCase());
}

function isSecret(type: unknown): boolean {
  return type === "password" || type === "hidden";
}

function cleanAttributes(attributes: Attributes, isSvg = false): void {
  for (const name in attributes) {
    const value = attributes[name];
    if (typeof value === "string" && ADDRESSES.has(name)) attributes[name] = cleanAddress(value, isSvg);
  }
}

function cleanAddress(address: string, keepsFragment: boolean): string {
  if (/^(data:|blob:|#)/i.test(address)) return address;
  const bare = address.replace(/^([\w+.-]+:\/\/)[^/?#]*@/, "$1");
  return keepsFragment ? bare.replace(/\?[^#]*/, "") : bare.replace(/[?#].*/s, "");
}
