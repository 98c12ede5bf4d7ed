// Reads again what the page itself has loaded, one file after the other and while the page has nothing to do.
import { all, attempt, listen, whenIdle } from "./guard";
import { untraced } from "./propagation";
import { read, write } from "./storage";

export const MAX_BYTES = 256 * 1024;
/** Of all that is kept in a stream. */
const MAX_TOTAL_BYTES = 4 * 1024 * 1024;
/** An origin that let us read nothing so often is not asked again: each time the browser complains in the console. */
const MAX_REFUSALS = 2;
/** The browser remembers so many loaded files of a page. */
const TIMING_BUFFER = 250;
const KEY = "otel-replay.assets";

/** The text or the bytes of a file. */
export type File = { readonly css: string } | { readonly type: string; readonly base64: string };

/** What became of one: itself, or why there is nothing. */
export type Kept = File | { readonly message: string; readonly status?: number };


/** For CORS or the page's policy: which, the browser does not say. */
const NOT_READABLE: Kept = { message: "not readable" };

/** Address to its name, and the Unix milliseconds of its event. */
type Done = Record<string, readonly [name: string, atMs: number]>;

interface Memory {
  stream: string;
  bytes: number;
  done: Done;
}

export interface Fetcher {
  /** What was kept in this stream by now. */
  done(): Done;
  /** Keeps a file once: now if the page has it, else as soon as it has loaded it. */
  want(address: string, name: string, isThere: boolean): void;
  /** Whether so many bytes more may be kept; they count. */
  spend(bytes: number): boolean;
  /** Of another stream nothing is kept yet. */
  follow(stream: string): void;
  stop(): void;
}

/** `tell` is called with each file that was wanted and that the page has loaded. */
export function fetcher(tell: (address: string, name: string, kept: Kept) => void): Fetcher {
  // The list is taken out of the storage while the page is there, as the stream is: a copy of the tab has none.
  let memory = read<Memory>("sessionStorage", KEY) ?? nothing("");
  write("sessionStorage", KEY, undefined);
  const queue = new Map<string, string>();
  const wanted = new Map<string, string>();
  const refusals = new Map<string, number>();
  let isBusy = false;
  let isStopped = false;

  const enqueue = (address: string, name: string): void => {
    wanted.delete(address);
    queue.set(address, name);
    if (!isBusy) whenIdle(() => void drain());
    isBusy = true;
  };
  const drain = async (): Promise<void> => {
    const [next] = queue;
    isBusy = next !== undefined && !isStopped;
    if (!next || !isBusy) return;
    const [address, name] = next;
    queue.delete(address);
    const kept = await readFile(address, memory, refusals);
    if (!isStopped) {
      memory.done[address] = [name, Date.now()];
      attempt(() => tell(address, name, kept));
    }
    whenIdle(() => void drain());
  };
  const loaded = (list: PerformanceObserverEntryList): void => {
    for (const { name: address } of list.getEntries()) {
      const name = wanted.get(address.replace(/#.*/, ""));
      if (name !== undefined) enqueue(address, name);
    }
  };
  const observer = new PerformanceObserver((list) => attempt(() => loaded(list)));
  observer.observe({ type: "resource", buffered: true });
  const stop = all(
    () => void (isStopped = true),
    () => observer.disconnect(),
    listen(["pageshow"], () => write("sessionStorage", KEY, undefined)),
    listen(["pagehide"], () => write("sessionStorage", KEY, memory)),
  );
  return {
    done: () => memory.done,
    want(address, name, isThere) {
      if (address in memory.done || isStopped) return;
      if (isThere || hasLoaded(address)) enqueue(address, name);
      else wanted.set(address, name);
    },
    spend: (bytes) => spend(memory, bytes),
    follow(stream) {
      if (stream !== memory.stream) memory = nothing(stream);
    },
    stop,
  };
}

function nothing(stream: string): Memory {
  return { stream, bytes: 0, done: {} };
}

async function readFile(address: string, memory: Memory, refusals: Map<string, number>): Promise<Kept> {
  const { origin } = new URL(address);
  const refused = refusals.get(origin) ?? 0;
  if (refused >= MAX_REFUSALS) return NOT_READABLE;
  try {
    // Low and from the cache: it was loaded a moment ago, and nothing waits for it.
    const response = await untraced(() => fetch(address, { cache: "force-cache", priority: "low" }));
    const { ok, status } = response;
    refusals.delete(origin);
    return ok ? await contents(response, memory) : { message: `status ${status}`, status };
  } catch {
    refusals.set(origin, refused + 1);
    return NOT_READABLE;
  }
}

async function contents(response: Response, memory: Memory): Promise<Kept> {
  const isLarge = Number(response.headers.get("content-length")) > MAX_BYTES;
  if (isLarge) void response.body?.cancel();
  const blob = isLarge ? undefined : await response.blob();
  if (!blob || blob.size > MAX_BYTES) return { message: `larger than ${MAX_BYTES / 1024} KB` };
  const type = typeOf(blob, response.url);
  if (!type) return { message: "neither image, font nor style sheet" };
  if (!spend(memory, blob.size)) return { message: "the recording has enough files" };
  return type === "text/css" ? { css: await blob.text() } : { type, base64: (await dataUrl(blob)).split(",")[1] ?? "" };
}

function spend(memory: Memory, bytes: number): boolean {
  const isWithin = memory.bytes + bytes <= MAX_TOTAL_BYTES;
  if (isWithin) memory.bytes += bytes;
  return isWithin;
}

function hasLoaded(address: string): boolean {
  return (
    address.startsWith("blob:") ||
    performance.getEntriesByName(address, "resource").length > 0 ||
    performance.getEntriesByType("resource").length >= TIMING_BUFFER
  );
}

/** Many servers do not know the types of fonts. */
function typeOf(blob: Blob, address: string): string | undefined {
  const [type = ""] = blob.type.split(";");
  if (/^(image\/|font\/|text\/css$)/.test(type)) return type;
  const extension = /\.(woff2?|ttf|otf)([?#]|$)/i.exec(address)?.[1];
  return extension && `font/${extension.toLowerCase()}`;
}

/** A `data:` address with what is in it, made by the browser, off the page's thread. */
export function dataUrl(blob: Blob): Promise<string> {
  return new Promise((resolve) => {
    const reader = new FileReader();
    reader.onloadend = () => resolve(String(reader.result));
    reader.readAsDataURL(blob);
  });
}
