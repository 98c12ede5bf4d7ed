// Sends items in order, one request in flight, until each was acknowledged.
import type { Depot, Key } from "./transports/depot";
import { byteLength, compressed, isRetryable, retryDelay, sleep } from "./transports/post";
import type { Destination, Parcel } from "./transports/post";

/** Items of one request, unless one alone is longer: about 15 KB in gzip. */
const MAX_OPEN_CHARS = 128 * 1024;
/** What may wait in the page's memory while the receiver cannot be reached. */
const MAX_WAITING_BYTES = 16 * 1024 * 1024;
const FLUSH_WAIT_MS = 10_000;
/** Of what may outlive the page, to be filled with items: the rest is for what goes around them. */
const ITEMS_SHARE = 0.7;
/** Nothing that follows would be taken either. */
const NOT_LET_IN = [401, 403];

interface Waiting {
  parcel: Parcel;
  bytes: number;
  /** Once the parcel is compressed. */
  ready: Promise<void>;
  /** Where it is in the depot. */
  key?: Key;
  /** An ordinary request is on its way. */
  isUnderWay?: boolean;
  /** A request is on its way that outlives the page. */
  lasting?: Promise<Response | undefined>;
}

export interface OutboxOptions {
  readonly destination: Destination;
  readonly depot: Depot;
  readonly flushIntervalMs: number;
  /** The requests for some JSON texts, called once for each text and in order. */
  readonly wrap: (items: readonly string[]) => readonly Parcel[];
  /** Called in a task of its own when a part is lost: refused, or thrown away for want of room. */
  readonly onLoss?: () => void;
}

export class Outbox {
  readonly #options: OutboxOptions;
  #open: string[] = [];
  #openChars = 0;
  #waiting: Waiting[] = [];
  #timer: ReturnType<typeof setTimeout> | undefined;
  #sending: Promise<void> | undefined;

  constructor(options: OutboxOptions) {
    this.#options = options;
  }

  /** Adds one item (JSON text) to what will be sent. */
  push(item: string): void {
    this.#open.push(item);
    this.#openChars += item.length;
    if (this.#openChars >= MAX_OPEN_CHARS) this.#send();
    else this.#timer ??= setTimeout(() => this.#send(), this.#options.flushIntervalMs);
  }

  /** Sends what there is; settles when it was acknowledged or refused, at the latest after 10 s (sending goes on). */
  async flush(): Promise<void> {
    this.#send();
    await Promise.race([this.#sending, sleep(FLUSH_WAIT_MS)]);
  }

  /** Makes requests of the first items, or of all. */
  cut(count = this.#open.length): void {
    const items = this.#open.splice(0, count);
    if (items.length === 0) return;
    this.#openChars -= items.reduce((sum, item) => sum + item.length, 0);
    for (const parcel of this.#options.wrap(items)) this.#waiting.push(this.#packed(parcel));
    this.#makeRoom();
  }

  /**
   * The page may be about to go (`isGoing`: it goes, or freezes): sends what waits, as far as it fits, in requests that
   * outlive it, and keeps all of it in the depot for the next page. Nothing is taken off the queue, since the page may
   * also stay; a number that is sent twice is stored once.
   */
  flushOnExit(isGoing: boolean): void {
    this.#cutToFit();
    const { destination } = this.#options;
    for (const one of this.#waiting) {
      if (one.lasting || (one.isUnderWay && !isGoing) || byteLength(one.parcel.body) > destination.left) continue;
      one.lasting = destination.post(one.parcel, true);
    }
    this.#keep();
    this.#send();
  }

  #send(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.cut();
    this.#sending ??= this.#drain().finally(() => (this.#sending = undefined));
  }

  /** Of what is open, as much as can still go for itself, and then the rest. */
  #cutToFit(): void {
    let room = this.#options.destination.left * ITEMS_SHARE;
    const tooMuch = this.#open.findIndex((item) => (room -= byteLength(item)) < 0);
    if (tooMuch > 0) this.cut(tooMuch);
    this.cut();
  }

  #packed(parcel: Parcel): Waiting {
    const one: Waiting = { parcel, bytes: parcel.body.length, ready: Promise.resolve() };
    const pack = async (): Promise<void> => {
      const body = await compressed(parcel.body as string);
      one.parcel = { ...parcel, body };
      one.bytes = body.length;
      if (this.#waiting[0]?.key) this.#keep(); // it could not be sent, so neither can this
    };
    one.ready = pack().catch(() => undefined); // the text goes as it is
    return one;
  }

  #makeRoom(): void {
    const bytes = this.#waiting.reduce((sum, one) => sum + one.bytes, 0);
    if (bytes <= MAX_WAITING_BYTES || this.#waiting.length < 2) return;
    // The first may be on its way. What follows is of no use without what goes, so all of it goes.
    this.#options.depot.remove(this.#waiting.splice(1).flatMap(({ key }) => (key ? [key] : [])));
    this.#lost();
  }

  #lost(): void {
    const { onLoss } = this.#options;
    if (onLoss) setTimeout(onLoss);
  }

  async #drain(): Promise<void> {
    for (let one = this.#waiting[0]; one; one = this.#waiting[0]) {
      await one.ready;
      const response = await this.#delivered(one);
      this.#waiting.shift();
      if (one.key) this.#options.depot.remove([one.key]);
      if (!response.ok) this.#refused(response);
    }
  }

  /** The answer to a request, which is tried until there is a final one. */
  async #delivered(one: Waiting): Promise<Response> {
    for (let attempt = 0; ; attempt++) {
      const response = await (one.lasting ?? this.#post(one));
      delete one.lasting;
      if (response && !isRetryable(response)) return response;
      this.#keep();
      await sleep(retryDelay(response, attempt));
    }
  }

  async #post(one: Waiting): Promise<Response | undefined> {
    const { destination } = this.#options;
    one.isUnderWay = true;
    try {
      // A page that is not seen may be ended without a word.
      const outlives = document.visibilityState === "hidden" && byteLength(one.parcel.body) <= destination.left;
      return await destination.post(one.parcel, outlives);
    } finally {
      one.isUnderWay = false;
    }
  }

  #keep(): void {
    const fresh = this.#waiting.filter(({ key }) => !key);
    if (fresh.length === 0) return;
    const keys = this.#options.depot.put(fresh.map(({ parcel }) => parcel), fresh.map(({ bytes }) => bytes));
    keys.forEach((key, i) => (fresh[i]!.key = key));
  }

  #refused(response: Response): void {
    console.warn(`otel-replay: ${response.url} answered ${response.status}; that part is lost`);
    if (!NOT_LET_IN.includes(response.status)) this.#lost();
  }
}
