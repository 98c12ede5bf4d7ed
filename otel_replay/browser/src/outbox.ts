// Sends items in order, one request in flight, until each was acknowledged.

/** Items of one request: about what compresses to a tenth of the receiver's block size. */
const MAX_BODY_CHARS = 512 * 1024;
/** What may wait in the page's memory while the receiver cannot be reached. */
const MAX_WAITING_CHARS = 16 * 1024 * 1024;
/** Browsers refuse more than 64 KB of requests that outlive their page. */
const KEEPALIVE_BYTES = 60 * 1024;
const FIRST_RETRY_MS = 500;
const MAX_RETRY_MS = 30_000;
/** A Retry-After is honoured up to here. */
const MAX_RETRY_AFTER_MS = 120_000;
const FLUSH_WAIT_MS = 10_000;
const RETRYABLE = new Set([429, 502, 503, 504]);

interface Batch {
  readonly seq: number;
  readonly items: readonly string[];
  readonly chars: number;
}

export interface OutboxOptions {
  readonly url: string;
  readonly key: string | undefined;
  /** The function that really sends: the page's own `fetch`, not our wrapper of it. */
  readonly fetch: typeof fetch;
  readonly flushIntervalMs: number;
  /** The request's body around JSON texts; `seq` counts batches from 0. */
  readonly wrap: (items: readonly string[], seq: number) => string;
  /** Called (in a task of its own) when waiting batches were thrown away for want of room; their numbers stay unused. */
  readonly onOverflow?: () => void;
}

export class Outbox {
  private open: string[] = [];
  private openChars = 0;
  private waiting: Batch[] = [];
  private nextSeq = 0;
  private timer: ReturnType<typeof setTimeout> | undefined;
  private sending: Promise<void> | undefined;

  constructor(private readonly options: OutboxOptions) {}

  /** Adds one item (JSON text) to what will be sent. */
  push(item: string): void {
    if (this.openChars > 0 && this.openChars + item.length > MAX_BODY_CHARS) this.cut();
    this.open.push(item);
    this.openChars += item.length;
    this.timer ??= setTimeout(() => this.send(), this.options.flushIntervalMs);
  }

  /** Sends what there is; settles when it was acknowledged or refused, at the latest after 10 s (sending goes on). */
  async flush(): Promise<void> {
    this.send();
    let timer: ReturnType<typeof setTimeout> | undefined;
    const patience = new Promise<void>((resolve) => (timer = setTimeout(resolve, FLUSH_WAIT_MS)));
    await Promise.race([this.sending, patience]);
    clearTimeout(timer);
  }

  /**
   * The page may be about to go: sends copies of what waits, as far as it fits, in requests that outlive the page.
   * Nothing is taken off the queue, since the page may also come back; a number sent twice is stored once.
   */
  flushOnExit(budget = KEEPALIVE_BYTES): number {
    this.cut();
    let left = budget;
    for (const batch of this.waiting) {
      const body = this.options.wrap(batch.items, batch.seq);
      const bytes = new TextEncoder().encode(body).length;
      if (bytes > left) continue;
      left -= bytes;
      this.post(body, true).catch(() => undefined);
    }
    return left;
  }

  private send(): void {
    clearTimeout(this.timer);
    this.timer = undefined;
    this.cut();
    this.sending ??= this.drain().finally(() => (this.sending = undefined));
  }

  private cut(): void {
    if (this.open.length === 0) return;
    this.waiting.push({ seq: this.nextSeq++, items: this.open, chars: this.openChars });
    this.open = [];
    this.openChars = 0;
    this.makeRoom();
  }

  private makeRoom(): void {
    const chars = this.waiting.reduce((sum, batch) => sum + batch.chars, 0);
    if (chars <= MAX_WAITING_CHARS || this.waiting.length < 2) return;
    // The first may be on its way. What follows is of no use without what goes, so all of it goes.
    this.waiting.length = 1;
    const { onOverflow } = this.options;
    if (onOverflow) setTimeout(onOverflow);
  }

  private async drain(): Promise<void> {
    for (let batch = this.waiting[0]; batch; batch = this.waiting[0]) {
      await this.deliver(batch);
      this.waiting.shift();
    }
  }

  private async deliver(batch: Batch): Promise<void> {
    for (let attempt = 0; ; attempt++) {
      const response = await this.post(this.options.wrap(batch.items, batch.seq), false).catch(() => undefined);
      if (response && !RETRYABLE.has(response.status)) return reportRefusal(response);
      await sleep(retryDelay(response, attempt));
    }
  }

  private post(body: string, keepalive: boolean): Promise<Response> {
    const { key } = this.options;
    const headers = { "content-type": "application/json", ...(key && { "x-api-key": key }) };
    return this.options.fetch.call(window, this.options.url, { method: "POST", headers, body, keepalive });
  }
}

function reportRefusal(response: Response): void {
  if (!response.ok) console.warn(`otel-replay: ${response.url} answered ${response.status}; that part is lost`);
}

/** Milliseconds before the next attempt: what the receiver asked for, else doubled each time, half of it by chance. */
function retryDelay(response: Response | undefined, attempt: number): number {
  const seconds = Number(response?.headers.get("retry-after") ?? NaN);
  if (Number.isFinite(seconds)) return Math.min(Math.max(seconds * 1000, FIRST_RETRY_MS), MAX_RETRY_AFTER_MS);
  const delay = Math.min(FIRST_RETRY_MS * 2 ** attempt, MAX_RETRY_MS);
  return delay * (0.5 + Math.random() / 2);
}

function sleep(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
