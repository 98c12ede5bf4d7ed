// Sends items in order, one request in flight, until each was acknowledged.
import type { Depot, Keepable } from "./transports/depot";
import { byteLength, compressed, isRetryable, retryDelay, sleep } from "./transports/post";
import type { Destination, Parcel } from "./transports/post";

/** Items of one request, unless one alone is longer: about 40 KB in gzip. */
const MAX_OPEN_CHARS = 384 * 1024;
/** What may wait in the page's memory while the receiver cannot be reached. */
const MAX_WAITING_BYTES = 16 * 1024 * 1024;
const FLUSH_WAIT_MS = 10_000;
/** Of what may outlive the page, to be filled with items: the rest is for what goes around them. */
const ITEMS_SHARE = 0.7;
/** Nothing that follows would be taken either. */
const NOT_LET_IN = [401, 403];

interface Waiting extends Keepable {
  /** Once the parcel is compressed. */
  readonly ready: Promise<void>;
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
  /** It is time for what is open. */
  #isDue = false;
  /** The last attempt has failed: what is gathered meanwhile goes to the depot. */
  #isTroubled = false;

  constructor(options: OutboxOptions) {
    this.#options = options;
  }

  /** Adds one item (JSON text) to what will be sent. */
  push(item: string): void {
    this.#open.push(item);
    this.#openChars += item.length;
    this.#timer ??= setTimeout(() => this.#send(), this.#options.flushIntervalMs);
    if (this.#openChars < MAX_OPEN_CHARS) return;
    this.cut();
    this.#begin();
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
   * also stay; a number that is sent twice is stored once. Gives what waits.
   */
  flushOnExit(isGoing: boolean): readonly Keepable[] {
    this.#cutToFit();
    const { destination } = this.#options;
    for (const one of this.#waiting) {
      if (one.lasting || (one.isUnderWay && !isGoing) || byteLength(one.parcel.body) > destination.left) continue;
      one.lasting = destination.post(one.parcel, true);
    }
    this.#keep();
    this.#send();
    return this.#waiting;
  }

  #send(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#isDue = true;
    if (this.#isTroubled) this.cut();
    this.#begin();
  }

  #begin(): void {
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
    const pack = (body: Parcel["body"]): void => {
      one.parcel = { ...parcel, body };
      one.bytes = body.length;
      if (this.#isTroubled) this.#keep();
    };
    const ready = compressed(parcel.body as string).then(pack, () => undefined); // else the text goes as it is
    const one: Waiting = { parcel, bytes: parcel.body.length, ready };
    return one;
  }

  #makeRoom(): void {
    const bytes = this.#waiting.reduce((sum, one) => sum + one.bytes, 0);
    if (bytes <= MAX_WAITING_BYTES || this.#waiting.length < 2) return;
    // The first may be on its way. What follows is of no use without what goes, so all of it goes.
    this.#options.depot.remove(this.#waiting.splice(1));
    this.#lost();
  }

  #lost(): void {
    setTimeout(() => this.#options.onLoss?.());
  }

  /** What becomes due while a request is under way goes together in the next: on a slow network they are fewer. */
  async #drain(): Promise<void> {
    for (;;) {
      if (this.#waiting.length === 0 && this.#isDue) {
        this.#isDue = false;
        this.cut();
      }
      const one = this.#waiting[0];
      if (!one) return;
      await one.ready;
      const response = await this.#delivered(one);
      this.#waiting.shift();
      this.#options.depot.remove([one]);
      if (!response.ok) this.#refused(response);
    }
  }

  /** The answer to a request, which is tried until there is a final one. */
  async #delivered(one: Waiting): Promise<Response> {
    for (let attempt = 0; ; attempt++) {
      const response = await (one.lasting ?? this.#post(one));
      delete one.lasting;
      this.#isTroubled = isRetryable(response);
      if (response && !this.#isTroubled) return response;
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
    this.#options.depot.put(this.#waiting.filter(({ key }) => !key));
  }

  #refused(response: Response): void {
    console.warn(`otel-replay: ${response.url} answered ${response.status}; that part is lost`);
    if (!NOT_LET_IN.includes(response.status)) this.#lost();
  }
}
