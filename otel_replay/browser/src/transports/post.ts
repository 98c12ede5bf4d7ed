// One request to the receiver, and when to try it again.
import { listen } from "../guard";

/** Browsers refuse requests that outlive their page beyond 64 KiB in flight; some are left for the page's own. */
export const KEEPALIVE_BYTES = 56 * 1024;
const FIRST_RETRY_MS = 500;
const MAX_RETRY_MS = 30_000;
/** A Retry-After is honoured up to here. */
const MAX_RETRY_AFTER_MS = 120_000;
/** A network that swallows requests. */
const TIMEOUT_MS = 60_000;
/** Below this, compressing gains nothing. */
const MIN_GZIP_CHARS = 256;

/** What is sent in one request. */
export interface Parcel {
  /** Behind the endpoint. */
  readonly path: string;
  readonly contentType: string;
  /** JSON, or that in gzip. */
  readonly body: string | Uint8Array<ArrayBuffer>;
  /** The receiver wants to know when it was sent, by the clock of the page. */
  readonly isTimed?: boolean;
}

/** The receiver, and what is on its way there from this page. */
export class Destination {
  readonly #endpoint: string;
  readonly #key: string | undefined;
  readonly #send: typeof fetch;
  #inFlight = 0;

  /** `send` is the page's own `fetch`, not our wrapper of it. */
  constructor(endpoint: string, key: string | undefined, send: typeof fetch) {
    this.#endpoint = endpoint;
    this.#key = key;
    this.#send = send;
  }

  /** Bytes that may still outlive the page. */
  get left(): number {
    return KEEPALIVE_BYTES - this.#inFlight;
  }

  /** The answer; undefined where there is none. `outlives`: it goes on when the page goes. */
  async post(parcel: Parcel, outlives: boolean): Promise<Response | undefined> {
    const bytes = outlives ? byteLength(parcel.body) : 0;
    this.#inFlight += bytes;
    const signal = outlives ? null : AbortSignal.timeout(TIMEOUT_MS);
    try {
      const init = { method: "POST", headers: this.#headers(parcel), body: parcel.body, keepalive: outlives, signal };
      return await this.#send.call(window, this.#endpoint + parcel.path, init);
    } catch {
      return undefined;
    } finally {
      this.#inFlight -= bytes;
    }
  }

  #headers({ contentType, body, isTimed }: Parcel): Record<string, string> {
    const headers: Record<string, string> = { "content-type": contentType };
    if (this.#key) headers["x-api-key"] = this.#key;
    if (typeof body !== "string") headers["content-encoding"] = "gzip";
    // Without these two it goes to another origin without asking there before, for which a last request has no time.
    if (isTimed && Object.keys(headers).length > 1) headers["x-otel-replay-sent-at"] = `${Date.now()}`;
    return headers;
  }
}

export function byteLength(body: Parcel["body"]): number {
  return typeof body === "string" ? new TextEncoder().encode(body).length : body.length;
}

/** gzip; the text itself where it is short or the browser cannot. Written at once: a Blob's stream takes a third more. */
export async function compressed(text: string): Promise<Parcel["body"]> {
  if (text.length < MIN_GZIP_CHARS || typeof CompressionStream === "undefined") return text;
  const { readable, writable } = new CompressionStream("gzip");
  const writer = writable.getWriter();
  writer.write(new TextEncoder().encode(text)).then(() => writer.close()).catch(() => undefined); // the reader is told
  return new Uint8Array(await new Response(readable).arrayBuffer());
}

/** No answer, or that of somebody in trouble: the receiver, or a proxy before it, which may have numbers of its own. */
export function isRetryable(response: Response | undefined): boolean {
  const status = response?.status ?? 599;
  return status === 408 || status === 429 || status > 501;
}

/** Milliseconds before the next attempt: what the receiver asked for, else doubled each time, half of it by chance. */
export function retryDelay(response: Response | undefined, attempt: number): number {
  const seconds = Number(response?.headers.get("retry-after") ?? NaN);
  if (Number.isFinite(seconds)) return Math.min(Math.max(seconds * 1000, FIRST_RETRY_MS), MAX_RETRY_AFTER_MS);
  const delay = Math.min(FIRST_RETRY_MS * 2 ** attempt, MAX_RETRY_MS);
  return delay * (0.5 + Math.random() / 2);
}

/** Waits, but not beyond the moment when the machine is online again. */
export function sleep(ms: number): Promise<void> {
  return new Promise((resolve) => {
    const done = (): void => {
      clearTimeout(timer);
      unlisten();
      resolve();
    };
    const timer = setTimeout(done, ms);
    const unlisten = listen(["online"], done);
  });
}
