// What a page may ask for, and how it is completed.
import type { LogEvent } from "./events";
import { sha256Hex } from "./ids";
import type { RrwebEvent } from "./rrweb";
import type { Attributes, FinishedSpan } from "./spans";
import type { Allowed } from "./urls";

/** What `beforeSend` is asked about, by its kind. */
export interface Sent {
  /** An event of rrweb, such as a change of the page. */
  readonly dom: RrwebEvent;
  readonly span: FinishedSpan;
  readonly log: LogEvent;
}

/** Gives the event back, as it is or changed; null drops it. An event for which it throws is dropped. */
export type BeforeSend = <K extends keyof Sent>(event: Sent[K], kind: K) => Sent[K] | null;

export type { Attributes };

export interface RecordOptions {
  /** Where otel-replay listens, such as `https://replay.example.com`; may be relative to the page. */
  endpoint: string;
  /**
   * A key for ingest alone, locked to this page's origin: everybody who sees the page can read it. It belongs to a
   * project, and so does what is sent with it.
   */
  key?: string;
  /** Default: the session that the tabs of this origin share, else a new one (32 hex digits). */
  sessionId?: string;
  userId?: string;
  feature?: string;
  label?: string;
  /** More about the session, under names of your own or of OpenTelemetry. */
  attributes?: Attributes;
  /** The `service.name` of the page; default `web`. */
  serviceName?: string;
  /** The share of the sessions that is sent, 0 to 1; of others what led to an error, and all after it. Default 1. */
  sampleRate?: number;
  /** `otlp` sends the recording as log records, so that it passes any Collector. Default `chunks`, which is smaller. */
  transport?: "chunks" | "otlp";
  /** Default 5 s. */
  flushIntervalMs?: number;
  /** A session ends after this time without the person; default 15 minutes. */
  idleMs?: number;
  /** And after this time in any case; default 4 hours. */
  maxSessionMs?: number;
  /** Playing goes on at the next full snapshot after a loss; default one every 5 minutes, and more of a busy page. */
  checkoutMs?: number;
  /** Other origins that may get `traceparent` and `baggage`: address prefixes or patterns. */
  propagateTo?: Allowed;
  /** Default true: what is typed is recorded as six `*`, however long it is. */
  maskAllInputs?: boolean;
  /** Texts to mask beside those under `rr-mask`, as a CSS selector. */
  maskTextSelector?: string;
  /** Elements to leave out beside those of class `rr-block`, as a CSS selector. */
  blockSelector?: string;
  /** Default true: images, fonts and style sheets that the page has loaded are kept, so that a replay can show them. */
  assets?: boolean;
  /** Default true: what canvases show is kept as pictures, looked at every second. */
  canvases?: boolean;
  beforeSend?: BeforeSend;
}

/** What is used of options that are not given. */
const DEFAULTS = {
  serviceName: "web",
  sampleRate: 1,
  transport: "chunks",
  flushIntervalMs: 5000,
  idleMs: 15 * 60_000,
  maxSessionMs: 240 * 60_000,
  checkoutMs: 5 * 60_000,
  propagateTo: [],
  maskAllInputs: true,
  assets: true,
  canvases: true,
} satisfies Partial<RecordOptions>;

type Defaulted = Required<Pick<RecordOptions, keyof typeof DEFAULTS>>;

export interface Config extends Readonly<Omit<RecordOptions, keyof Defaulted>>, Readonly<Defaulted> {
  /** Absolute, without a slash at its end. */
  readonly endpoint: string;
  /** Digits that stand for endpoint and key: another application of this origin may record into another project. */
  readonly place: string;
  /** What is known of the session by now: `user.id`, `feature`, `label` and others. */
  readonly attributes: Attributes;
}

/** Throws a TypeError for an endpoint that is missing or no http(s) address, and for a sample rate outside 0 to 1. */
export function complete(options: RecordOptions): Config {
  const endpoint = absoluteEndpoint(options?.endpoint);
  const given = Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined));
  const { userId, feature, label } = options;
  const attributes = { ...options.attributes, "user.id": userId, feature, label };
  const place = sha256Hex(`${endpoint} ${options.key}`).slice(0, 8);
  const config: Config = { ...DEFAULTS, ...given, endpoint, place, attributes };
  if (config.sampleRate >= 0 && config.sampleRate <= 1) return config;
  throw new TypeError(`otel-replay: sampleRate ${config.sampleRate} is not in 0 to 1`);
}

function absoluteEndpoint(endpoint: unknown): string {
  const url = new URL(typeof endpoint === "string" ? endpoint : "none:", location.href);
  if (/^https?:$/.test(url.protocol)) return (url.origin + url.pathname).replace(/\/+$/, "");
  throw new TypeError("otel-replay: endpoint must be an address such as http://host:4318");
}
