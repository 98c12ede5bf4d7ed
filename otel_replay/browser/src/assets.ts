// Images, fonts and style sheets that a replay would have to fetch are kept with the recording, once in each stream.
import { record } from "@rrweb/record";
import { canvases, type Style } from "./canvases";
import type { RrwebEvent } from "./dom";
import { fetcher, type Fetcher, type File } from "./fetching";
import { all, attempt } from "./guard";
import { randomHex } from "./ids";
import type { Recording } from "./recording";

/** rrweb's event types, and the sources of changes that hold rules of style sheets or fonts. */
const FULL_SNAPSHOT = 2;
const INCREMENTAL = 3;
const PLUGIN = 6;
const ASSET = 7;
const MUTATION = 0;
const WITH_CSS = [8, 10, 13, 15];
/** Of a page with more, what comes later is not kept. */
const MAX_ADDRESSES = 2_000;
/** Name of the rrweb plugin event that says which assets are where in the stream. */
const INDEX = "otel-replay/assets@1";
/** `url(...)`, its address in double quotes, single quotes or none. */
const CSS_ADDRESS = /url\(\s*(?:"([^"]*)"|'([^']*)'|([^\s"'()]*))\s*\)/gi;

type Attributes = Record<string, unknown>;

interface Node {
  readonly id: number;
  readonly tagName?: string;
  readonly attributes?: Attributes;
  readonly childNodes?: readonly Node[];
  readonly isStyle?: boolean;
  textContent?: string;
}

/** What is read of an event: a snapshot's node, and what changes. */
interface Data extends Attributes {
  readonly node: Node;
  readonly source: number;
  readonly adds?: readonly { node: Node }[];
  readonly attributes?: readonly Node[];
}

export interface AssetKeeper {
  /**
   * Looks at an event of rrweb for what the page shows, and has it fetched later. Queries go from those addresses, in
   * place; a name made by chance stands for one, so that a replay can tell them apart. Never throws.
   */
  take<E extends { readonly type: number; readonly data: unknown }>(event: E): E;
  stop(): void;
}

export function assets(recording: Recording): AssetKeeper {
  // What is told is ours: names stand in it already.
  let isTelling = false;
  const emit = (type: number, data: object): void => {
    isTelling = true;
    recording.emit({ type, data, timestamp: Date.now() } as RrwebEvent);
    isTelling = false;
  };
  const files = fetcher((address, url, kept) => {
    const failed = "message" in kept ? kept : undefined;
    const payload = failed ? undefined : payloadOf(kept as File, (css) => named.inCss(css, address));
    emit(ASSET, { url, failed, payload });
  });
  const named = namer(files);
  const tellLater = (node: Element, attributes: Attributes): void => {
    const change = { id: record.mirror.getId(node), attributes };
    emit(INCREMENTAL, { source: MUTATION, texts: [], removes: [], adds: [], attributes: [change] });
  };
  const drawings = canvases((canvas, style) => tellLater(canvas, { style }), files.spend);
  const look = looker(named, tellLater, drawings.style);
  return {
    take(event) {
      const data = event.data as Data;
      attempt(() => {
        if (isTelling) return;
        if (event.type === INCREMENTAL) return look.atChange(data);
        if (event.type !== FULL_SNAPSHOT) return;
        files.follow(recording.streamId());
        look.atNode(data.node);
        // Who reads from here on finds what was kept before: a name, and the time of its event.
        setTimeout(() => {
          const kept = Object.fromEntries(Object.values(files.done()));
          if (Object.keys(kept).length > 0) emit(PLUGIN, { plugin: INDEX, payload: { kept } });
        });
      });
      return event;
    },
    stop: all(files.stop, drawings.stop),
  };
}

/** Gives what stands for an address in the recording. */
interface Namer {
  /** The file will be fetched once the page has loaded it, or now if that `isThere`. */
  (address: string, isThere?: boolean, base?: string): string;
  inCss(css: string, base?: string): string;
}

function namer(files: Fetcher): Namer {
  const names = new Map(Object.entries(files.done()).map(([address, [name]]) => [address, name]));
  const named = (address: string, isThere = false, base = document.baseURI): string => {
    if (!/^(?!data:|about:|#)./i.test(address)) return address;
    const url = attempt(() => new URL(address, base));
    if (!url || !/^(https?|blob):$/.test(url.protocol)) return address;
    url.hash = "";
    const known = names.get(url.href);
    const name = known ?? nameOf(url);
    if (known === undefined && names.size >= MAX_ADDRESSES) return name;
    names.set(url.href, name);
    files.want(url.href, name, isThere);
    return name;
  };
  const inCss = (css: string, base?: string): string =>
    css.replace(CSS_ADDRESS, (_whole, quoted?: string, single?: string, bare?: string) => {
      return `url("${named(quoted ?? single ?? bare ?? "", false, base)}")`;
    });
  return Object.assign(named, { inCss });
}

interface Looker {
  atNode(top: Node): void;
  atChange(data: Data): void;
}

/** `tellLater` is given attributes of an image that are known only when it has loaded; `drawn` gives a canvas' style. */
function looker(
  named: Namer,
  tellLater: (node: Element, attributes: Attributes) => void,
  drawn: (canvas: HTMLCanvasElement) => Style,
): Looker {
  const rename = (attributes: Attributes, attribute: string, isThere?: boolean): void => {
    const address = attributes[attribute];
    if (typeof address === "string") attributes[attribute] = named(address, isThere);
  };
  /** Rules and properties stand at several depths. */
  const atRules = (holder: Attributes, keys = Object.keys(holder)): void => {
    for (const key of keys) {
      const value = holder[key];
      if (typeof value === "string") holder[key] = named.inCss(value);
      else if (typeof value === "object" && value) atRules(value as Attributes);
    }
  };
  /** Of several files the browser has chosen one, or will have when it is loaded: only that one is named. */
  const atImage = (attributes: Attributes, image: HTMLImageElement, isChange: boolean): void => {
    const isThere = image.complete && image.naturalWidth > 0;
    const chosen = (): Attributes => ({ srcset: `${named(image.currentSrc, true)} ${densityOf(image)}x`, src: null });
    if ("srcset" in attributes || (!isChange && image.closest("picture"))) {
      delete attributes.srcset;
      delete attributes.sizes;
      if (isThere && !isChange) Object.assign(attributes, chosen());
      else image.addEventListener("load", () => attempt(() => tellLater(image, chosen())), { once: true });
    }
    rename(attributes, "src", isThere && image.currentSrc === attributes.src);
  };
  /** rrweb has read the rules of those it can; others may still be readable as a file. */
  const atLink = (attributes: Attributes, link: HTMLLinkElement): void => {
    const isSheet = /(^|\s)stylesheet(\s|$)/i.test(String(attributes.rel ?? link.rel));
    if (isSheet && !attributes._cssText) rename(attributes, "href", link.sheet != null);
  };
  const atCanvas = (attributes: Attributes, canvas: HTMLCanvasElement, isChange: boolean): void => {
    const { style = "" } = attributes;
    if (attributes.rr_width || typeof style !== "string" || (isChange && !style)) return; // blocked, or not its style
    const more = Object.entries(drawn(canvas)).map((one) => one.join(":"));
    attributes.style = [style, ...more].join(";");
  };
  const atElement = ({ id, attributes = {}, tagName }: Node): void => {
    const isChange = tagName === undefined;
    // Most elements show no file. Those of a frame have other classes, so tags are compared.
    const element = isChange || /^(img|canvas|link)$/.test(tagName) ? (record.mirror.getNode(id) as Element | null) : null;
    const tag = tagName ?? element?.localName ?? "";
    if (tag === "img" && element) atImage(attributes, element as HTMLImageElement, isChange);
    else if (tag === "canvas" && element) atCanvas(attributes, element as HTMLCanvasElement, isChange);
    else if (tag === "link" && element) atLink(attributes, element as HTMLLinkElement);
    // In a <picture> the image says which of the sources the browser chose.
    else if (tag === "source") delete attributes.srcset;
    else if (tag === "video") rename(attributes, "poster");
    else if (tag === "image") for (const name of ["href", "xlink:href"]) rename(attributes, name);
    atRules(attributes, ["_cssText", "style"]);
  };
  /** A loop: how deep a page is nested is its own choice. */
  const atNode = (top: Node): void => {
    const stack = [top];
    for (let node = stack.pop(); node; node = stack.pop()) {
      if (node.attributes) atElement(node);
      if (node.isStyle && node.textContent) node.textContent = named.inCss(node.textContent);
      for (const child of node.childNodes ?? []) stack.push(child);
    }
  };
  const atChange = (data: Data): void => {
    if (WITH_CSS.includes(data.source)) atRules(data);
    if (data.source !== MUTATION) return;
    for (const { node } of data.adds ?? []) atNode(node);
    data.attributes?.forEach(atElement);
  };
  return { atNode, atChange };
}

/** As rrweb's own types have it. */
function payloadOf(file: File, withNames: (css: string) => string): object {
  if ("css" in file) return { rr_type: "CssText", cssTexts: [withNames(file.css)] };
  return { rr_type: "Blob", type: file.type, data: [{ rr_type: "ArrayBuffer", base64: file.base64 }] };
}

/** The address without what may be secret in it. */
function nameOf(url: URL): string {
  const bare = url.protocol === "blob:" ? url.href : url.origin + url.pathname;
  return url.search ? `${bare};${randomHex(4)}` : bare;
}

/** Pixels of the file for one of the page: an image that was chosen from several is not always as large as its file. */
function densityOf(image: HTMLImageElement): number {
  const offers = [image, ...(image.closest("picture")?.querySelectorAll("source") ?? [])].map(({ srcset }) => srcset);
  const [, behind = ""] = offers.join().split(image.currentSrc.replace(/.*\//, ""));
  const size = parseFloat(behind) || 1;
  return /^\s*[\d.]+w/.test(behind) ? size / (image.naturalWidth || size) : size;
}
