// Images, fonts and style sheets that a replay would have to fetch are kept with the recording, once in each stream.
import { record } from "@rrweb/record";
import { canvases, type Style } from "./canvases";
import { fetcher, type Fetcher, type File } from "./fetching";
import { all, attempt } from "./guard";
import { randomHex } from "./ids";
import type { Recording } from "./recording";
import { ASSET, FULL_SNAPSHOT, INCREMENTAL, MUTATION, PLUGIN } from "./rrweb";
import type { Attributes, Data, Node, RrwebEvent } from "./rrweb";

/** The sources of changes that hold rules of style sheets or fonts. */
const WITH_CSS = [8, 10, 13, 15];
/** Of a page with more, what comes later is not kept. */
const MAX_ADDRESSES = 2_000;
/** Name of the rrweb plugin event that says which assets are where in the stream. */
const INDEX = "otel-replay/assets@1";
/** `url(...)`, its address in double quotes, single quotes or none. */
const CSS_ADDRESS = /url\(\s*(?:"([^"]*)"|'([^']*)'|([^\s"'()]*))\s*\)/gi;

export interface AssetKeeper {
  /**
   * Gives what looks at each node of an event of rrweb for what the page shows, and has it fetched later. Queries go from
   * those addresses, in place; a name made by chance stands for one, so that a replay can tell them apart. Neither throws.
   */
  look(event: RrwebEvent): ((node: Node) => void) | undefined;
  stop(): void;
}

export function assets(recording: Recording): AssetKeeper {
  const { config } = recording;
  // What is told is ours: names stand in it already.
  let isTelling = false;
  const emit = (type: number, data: object): void => {
    isTelling = true;
    recording.emit({ type, data, timestamp: Date.now() });
    isTelling = false;
  };
  const files = fetcher((address, url, kept) => {
    const failed = "message" in kept ? kept : undefined;
    const payload = failed ? undefined : payloadOf(kept as File, (css) => named.inCss(css, address));
    emit(ASSET, { url, failed, payload });
  });
  const named = namer(files, config.assets);
  const tellLater = (node: Element, attributes: Attributes): void => {
    const change = { id: record.mirror.getId(node), attributes };
    emit(INCREMENTAL, { source: MUTATION, texts: [], removes: [], adds: [], attributes: [change] });
  };
  const drawings = canvases((canvas, style) => tellLater(canvas, { style }), files.spend, config.canvases);
  const look = looker(named, tellLater, drawings.style);
  /** Who reads from here on finds what was kept before: a name, and the time of its event. */
  const tellKept = (): void => {
    const kept = Object.fromEntries(Object.values(files.done()));
    if (Object.keys(kept).length > 0) emit(PLUGIN, { plugin: INDEX, payload: { kept } });
  };
  return {
    look({ type, data }) {
      if (isTelling) return undefined;
      if (type === INCREMENTAL) attempt(() => look.atChange(data as Data));
      if (type !== FULL_SNAPSHOT) return look.atNode;
      files.follow(recording.streamId());
      setTimeout(tellKept);
      return look.atNode;
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

function namer(files: Fetcher, isKeeping: boolean): Namer {
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
    if (isKeeping) files.want(url.href, name, isThere);
    return name;
  };
  const inCss = (css: string, base?: string): string =>
    css.replace(CSS_ADDRESS, (_whole, quoted?: string, single?: string, bare?: string) => {
      return `url("${named(quoted ?? single ?? bare ?? "", false, base)}")`;
    });
  return Object.assign(named, { inCss });
}

interface Looker {
  /** A node, or a change of one. */
  atNode(node: Node): void;
  /** A change of rules of style sheets, or of fonts. */
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
  const atElement = ({ id, tagName }: Node, attributes: Attributes): void => {
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
  const atNode = (node: Node): void => {
    const { attributes, textContent } = node;
    if (attributes) attempt(() => atElement(node, attributes));
    if (node.isStyle && textContent) node.textContent = named.inCss(textContent);
  };
  const atChange = (data: Data): void => {
    if (WITH_CSS.includes(data.source)) atRules(data);
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
