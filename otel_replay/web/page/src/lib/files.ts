// The images, fonts and style sheets that a recording brings with it: they take the place of their addresses.
import type { eventWithTime } from "@rrweb/types";
import { inCss, replaceAddresses, type Use } from "./addresses";

const PLUGIN = 6;
const ASSET = 7;
/** The plugin event in which our recorder says where in the stream it has put which file. */
const INDEX = "otel-replay/assets@1";
/** Times of files that lie this close are read in one piece. */
const CLOSE_MS = 60_000;
const IMAGE = /^image\/[\w.+-]+$/;
const FONT = /^(font\/[\w.+-]+|application\/(x-)?font[\w.-]*|application\/vnd\.ms-fontobject)$/;
/** So many pieces of the stream are read for files at most. */
const MAX_PIECES = 20;
const BASE64 = /^[\w+/]*={0,2}$/;
/** A style sheet that nobody has. Not empty, or the link would stay one. */
const NO_RULES = "/* not recorded */";

interface File {
  readonly type: string;
  /** `data:`, or the text of a style sheet. */
  readonly value: string;
}

/** Reads part of the stream: files that were kept before the part that is played. */
export type ReadMore = (fromMs: number, toMs: number) => Promise<eventWithTime[]>;

/** Of what is not in a recording: how many files for which reason. */
export type Missing = Record<string, number>;

/**
 * Puts the files of a stream's events in place of their addresses, in the events themselves. What is not there becomes a
 * labelled placeholder, and is counted. Gives the events that are played, without those that held the files.
 */
export async function withFiles(
  events: eventWithTime[],
  readMore: ReadMore,
): Promise<{ events: eventWithTime[]; missing: Missing }> {
  const files = new Files();
  const played = files.take(events);
  const wanted = new Set<string>();
  for (const event of played) replaceAddresses(event, (address) => void wanted.add(address));
  for (const [fromMs, toMs] of files.elsewhere(wanted)) files.take(await readMore(fromMs, toMs));
  for (const event of played) replaceAddresses(event, (address, use) => files.instead(address, use));
  return { events: played, missing: files.missing() };
}

class Files {
  /** By the name that stands in the recording. */
  private readonly files = new Map<string, File>();
  private readonly reasons = new Map<string, string>();
  private readonly times = new Map<string, number>();
  private readonly missed = new Set<string>();

  /** Keeps the files among the events; gives the others. */
  take(events: readonly eventWithTime[]): eventWithTime[] {
    return events.filter((event) => {
      const data = (event.data ?? {}) as Record<string, unknown>;
      if ((event.type as number) === ASSET) this.keep(data);
      else if ((event.type as number) === PLUGIN && data.plugin === INDEX) this.note(data.payload);
      else return true;
      return false;
    });
  }

  /** Where in the stream the wanted files are that are not here: spans of Unix milliseconds. */
  elsewhere(wanted: ReadonlySet<string>): [fromMs: number, toMs: number][] {
    const isUnknown = (name: string): boolean => !this.files.has(name) && !this.reasons.has(name);
    const times = [...wanted].filter(isUnknown).map((name) => this.times.get(name));
    const spans: [number, number][] = [];
    for (const time of times.filter((one) => one !== undefined).sort((one, other) => one - other)) {
      const last = spans.at(-1);
      if (last && time - last[1] <= CLOSE_MS) last[1] = time;
      else spans.push([time, time]);
    }
    return spans.slice(0, MAX_PIECES);
  }

  instead(address: string, use: Use): string {
    const file = this.files.get(address);
    if (use === "sheet") {
      if (file?.type === "text/css") return inCss(file.value, (inner, innerUse) => this.instead(inner, innerUse));
    } else if (file && (IMAGE.test(file.type) || (use === "css" && FONT.test(file.type)))) return file.value;
    const reason = this.reasons.get(address);
    // Of what a style sheet names, a page loads only what it shows.
    if (use !== "css" || reason) this.missed.add(address);
    if (use === "image") return placeholder(reason ? `not recorded: ${reason}` : "not recorded");
    return use === "sheet" ? NO_RULES : "data:,";
  }

  missing(): Missing {
    const counts: Missing = {};
    for (const address of this.missed) {
      const reason = this.reasons.get(address) ?? "not loaded, or by a recorder that keeps no files";
      counts[reason] = (counts[reason] ?? 0) + 1;
    }
    return counts;
  }

  /** As rrweb writes an asset: `{url, payload}`, or `{url, failed}`. Whatever else it may be, nothing is kept of it. */
  private keep({ url, payload, failed }: Record<string, unknown>): void {
    if (typeof url !== "string") return;
    const file = fileOf(payload);
    const { message } = (failed ?? {}) as { message?: unknown };
    if (file) this.files.set(url, file);
    else this.reasons.set(url, typeof message === "string" ? message.slice(0, 100) : "not readable");
  }

  private note(payload: unknown): void {
    const { kept } = (payload ?? {}) as { kept?: unknown };
    if (typeof kept !== "object" || !kept) return;
    for (const [name, ms] of Object.entries(kept)) if (Number.isSafeInteger(ms)) this.times.set(name, ms as number);
  }
}

/** A file of a type that shows something and runs nothing: a recording is whatever someone sent. */
function fileOf(payload: unknown): File | undefined {
  const { rr_type: kind, type, data, cssTexts } = (payload ?? {}) as Record<string, unknown>;
  if (kind === "CssText" && Array.isArray(cssTexts)) return { type: "text/css", value: cssTexts.map(String).join("\n") };
  const { base64 } = ((Array.isArray(data) ? data[0] : undefined) ?? {}) as { base64?: unknown };
  if (kind !== "Blob" || typeof type !== "string" || typeof base64 !== "string" || !BASE64.test(base64)) return undefined;
  return IMAGE.test(type) || FONT.test(type) ? { type, value: `data:${type};base64,${base64}` } : undefined;
}

/** In place of an image: grey, with a line of text. */
function placeholder(label: string): string {
  const svg =
    `<svg xmlns="http://www.w3.org/2000/svg" width="240" height="80"><rect width="100%" height="100%" fill="#8884"/>` +
    `<text x="50%" y="50%" text-anchor="middle" dominant-baseline="middle" font-family="sans-serif" font-size="12"` +
    ` fill="#555">${label.replace(/[&<>"]/g, "")}</text></svg>`;
  return `data:image/svg+xml,${encodeURIComponent(svg)}`;
}
