// Where events of rrweb hold addresses of files that a page shows.

/** How an address is used: what a browser would make of the file there. */
export type Use = "image" | "css" | "sheet";

/** Gives what is to stand in place of an address; undefined leaves it. */
export type Visit = (address: string, use: Use) => string | undefined;

type Attributes = Record<string, unknown>;

interface Node {
  tagName?: unknown;
  attributes?: Attributes | null;
  childNodes?: unknown;
  textContent?: unknown;
  isStyle?: unknown;
}

const INCREMENTAL = 3;
const MUTATION = 0;
/** Changes of rules, declarations and fonts. */
const WITH_CSS = new Set([8, 10, 13, 15]);
/** Of other elements these name documents, scripts, sounds and films. */
const WITH_IMAGES: Record<string, string[]> = {
  img: ["src"],
  input: ["src"],
  video: ["poster"],
  image: ["href", "xlink:href"],
  body: ["background"],
  table: ["background"],
  td: ["background"],
  th: ["background"],
};
const CSS_ADDRESS = /url\(\s*(?:"([^"]*)"|'([^']*)'|([^\s"'()]*))\s*\)/gi;

/** Puts what `visit` gives in place of every address of a file in an event; addresses with the file in them stay. */
export function replaceAddresses(event: { type: number; data: unknown }, visit: Visit): void {
  const data = (event.data ?? {}) as { source?: unknown; node?: unknown; adds?: unknown; attributes?: unknown };
  if (event.type === INCREMENTAL && WITH_CSS.has(Number(data.source))) return inRules(data as Attributes, visit);
  if (event.type === INCREMENTAL && data.source !== MUTATION) return;
  for (const change of list<Node>(data.attributes)) inElement(change, visit);
  const waiting = [data.node as Node, ...list<{ node?: Node }>(data.adds).map((one) => one.node)];
  while (waiting.length > 0) {
    const node = waiting.pop();
    if (!node || typeof node !== "object") continue;
    inElement(node, visit);
    if (node.isStyle && typeof node.textContent === "string") node.textContent = inCss(node.textContent, visit);
    for (const child of list<Node>(node.childNodes)) waiting.push(child);
  }
}

/** A style sheet's text with what `visit` gives in place of the addresses in it. */
export function inCss(css: string, visit: Visit): string {
  return css.replace(CSS_ADDRESS, (whole, quoted?: string, single?: string, bare?: string) => {
    const address = quoted ?? single ?? bare ?? "";
    const instead = isFetched(address) ? visit(address, "css") : undefined;
    return instead === undefined ? whole : `url("${instead}")`;
  });
}

/** A change of attributes does not say of which element: there only an image's names are looked for. */
function inElement({ attributes, tagName }: Node, visit: Visit): void {
  if (!attributes || typeof attributes !== "object") return;
  const tag = typeof tagName === "string" ? tagName.toLowerCase() : undefined;
  const names = tag === undefined ? ["src", "poster"] : (WITH_IMAGES[tag] ?? []);
  for (const name of names) inAttribute(attributes, name, visit);
  if (tag === "img" || tag === undefined) inSourceSet(attributes, visit);
  if (tag === "link") inLink(attributes, visit);
  for (const name of ["_cssText", "style"]) {
    const value = attributes[name];
    if (typeof value === "string") attributes[name] = inCss(value, visit);
    else if (typeof value === "object" && value) inRules(value as Attributes, visit);
  }
}

function inAttribute(attributes: Attributes, name: string, visit: Visit): void {
  const address = attributes[name];
  if (typeof address === "string" && isFetched(address)) attributes[name] = visit(address, "image") ?? address;
}

/** Our recorder leaves the one that the browser has chosen. */
function inSourceSet(attributes: Attributes, visit: Visit): void {
  if (typeof attributes.srcset !== "string") return;
  const [, address, density] = /^\s*([^\s,]+)(\s+[\d.]+x)\s*$/.exec(attributes.srcset) ?? [];
  const instead = address && isFetched(address) ? visit(address, "image") : undefined;
  if (instead !== undefined) attributes.srcset = instead + density;
}

/** A style sheet whose rules nobody could read is put in as text, as rrweb does with those it reads. */
function inLink(attributes: Attributes, visit: Visit): void {
  const { href, rel } = attributes;
  if (typeof href !== "string" || attributes._cssText || !/(^|\s)stylesheet(\s|$)/i.test(String(rel))) return;
  const text = visit(href, "sheet");
  if (text === undefined) return;
  attributes._cssText = text;
  delete attributes.href;
  delete attributes.rel;
}

/** Rules and properties stand at several depths. A loop: how deep, the sender chose. */
function inRules(top: Attributes, visit: Visit): void {
  const waiting = [top];
  for (let holder = waiting.pop(); holder; holder = waiting.pop()) {
    for (const [name, value] of Object.entries(holder)) {
      if (typeof value === "string") holder[name] = inCss(value, visit);
      else if (typeof value === "object" && value) waiting.push(value as Attributes);
    }
  }
}

function isFetched(address: string): boolean {
  return address !== "" && !/^\s*(data:|about:|#)/i.test(address);
}

function list<T extends object>(value: unknown): T[] {
  return Array.isArray(value) ? value.filter((one): one is T => typeof one === "object" && one !== null) : [];
}
