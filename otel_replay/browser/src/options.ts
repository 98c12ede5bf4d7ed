// What a page may ask for, and how it is completed.
import { randomHex } from "./ids";
import type { Allowed } from "./urls";

export interface RecordOptions {
  /** Where otel-replay listens, such as `https://replay.example.com`; may be relative to the page. */
  endpoint: string;
  /** A key for ingest alone, locked to this page's origin: everybody who sees the page can read it. */
  key?: string;
  /** Default: kept in this tab's sessionStorage, else a new one (32 hex digits). */
  sessionId?: string;
  userId?: string;
  feature?: string;
  label?: string;
  /** The `service.name` of the page; default `web`. */
  serviceName?: string;
  flushIntervalMs?: number;
  /** Other origins that may get `traceparent` and `baggage`: address prefixes or patterns. */
  propagateTo?: Allowed;
  /** Default true: what is typed is recorded as `*`. */
  maskAllInputs?: boolean;
}

export interface Config {
  readonly endpoint: string;
  readonly key: string | undefined;
  readonly sessionId: string;
  readonly streamId: string;
  readonly userId: string | undefined;
  readonly feature: string | undefined;
  readonly label: string | undefined;
  readonly serviceName: string;
  readonly flushIntervalMs: number;
  readonly propagateTo: Allowed;
  readonly maskAllInputs: boolean;
}

const STORAGE_KEY = "otel-replay.session";

/** Throws a TypeError for an endpoint that is missing or no http(s) address. */
export function complete(options: RecordOptions): Config {
  return {
    endpoint: absoluteEndpoint(options?.endpoint),
    key: options.key,
    sessionId: resolveSessionId(options.sessionId),
    streamId: randomHex(8),
    userId: options.userId,
    feature: options.feature,
    label: options.label,
    serviceName: options.serviceName ?? "web",
    flushIntervalMs: options.flushIntervalMs ?? 2000,
    propagateTo: options.propagateTo ?? [],
    maskAllInputs: options.maskAllInputs ?? true,
  };
}

function absoluteEndpoint(endpoint: unknown): string {
  if (typeof endpoint !== "string") throw new TypeError("otel-replay: record() needs {endpoint: 'http://host:4318'}");
  const url = new URL(endpoint, location.href);
  if (!/^https?:$/.test(url.protocol)) throw new TypeError(`otel-replay: endpoint ${url.href} is not http(s)`);
  return (url.origin + url.pathname).replace(/\/+$/, "");
}

function resolveSessionId(given: string | undefined): string {
  const id = given || storedSessionId() || randomHex(16);
  try {
    sessionStorage.setItem(STORAGE_KEY, id);
  } catch {
    // Storage may be blocked: then every page load is a session of its own.
  }
  return id;
}

function storedSessionId(): string | null {
  try {
    return sessionStorage.getItem(STORAGE_KEY);
  } catch {
    return null;
  }
}
