// The way out: an outbox for each kind of request, and what happens to them as the page comes and goes.
import { listen } from "../guard";
import type { Config } from "../options";
import { Outbox, type OutboxOptions } from "../outbox";
import { CUSTOM } from "../rrweb";
import type { Stream } from "../stream";
import { chunks } from "./chunks";
import { Depot, type Keepable } from "./depot";
import { logs, recordings, spans } from "./otlp";
import { Destination, isRetryable, type Parcel } from "./post";

/** What other pages have left is looked for when this page has loaded, and this often. */
const FIRST_LOOK_MS = 1000;
const LOOK_MS = 60_000;

export class Shipping {
  readonly spans: Outbox;
  readonly logs: Outbox;
  readonly dom: Outbox;
  readonly #depot: Depot;
  readonly #destination: Destination;
  /** Of the recording. */
  readonly #wrap: OutboxOptions["wrap"];

  /** `sessionId` is asked when requests are made of what was gathered; `onLoss` is told when a part is lost. */
  constructor(config: Config, sessionId: () => string, stream: Stream, onLoss: () => void) {
    const destination = (this.#destination = new Destination(config.endpoint, config.key, window.fetch));
    const depot = (this.#depot = new Depot(config.place));
    const common = { destination, depot, flushIntervalMs: config.flushIntervalMs };
    // They are few: half as many requests, whose headers are as long as what they bring.
    const seldom = { ...common, flushIntervalMs: 2 * config.flushIntervalMs };
    this.spans = new Outbox({ ...seldom, wrap: spans(config, sessionId) });
    this.logs = new Outbox({ ...seldom, wrap: logs(config, sessionId) });
    this.#wrap = config.transport === "otlp" ? recordings(config, sessionId, stream) : chunks(stream, sessionId);
    this.dom = new Outbox({ ...common, wrap: this.#wrap, onLoss });
  }

  /** Begins to look for what other pages have left, until the returned function is called. */
  begin(): () => void {
    void this.#depot.open();
    const look = (): void => void this.#sendLeft();
    const timers = [setTimeout(look, FIRST_LOOK_MS), setInterval(look, LOOK_MS)];
    const unlisten = listen(["online"], look);
    return () => {
      timers.forEach(clearTimeout); // ends intervals, too
      unlisten();
    };
  }

  /** Makes requests of what was gathered: what comes next belongs to another session. */
  cut(): void {
    for (const outbox of this.#outboxes) outbox.cut();
  }

  async flush(): Promise<void> {
    await Promise.all(this.#outboxes.map((outbox) => outbox.flush()));
  }

  /** The page may be about to go; `isGoing`: it goes, or is put aside by the browser. */
  leave(isGoing: boolean): void {
    const waiting = this.#outboxes.flatMap((outbox) => outbox.flushOnExit(isGoing));
    if (!isGoing) return;
    if (!this.#depot.note(waiting)) this.#depot.note([this.#end(), ...waiting]);
    this.#depot.close();
  }

  /** The page that was put aside is back. */
  comeBack(): void {
    void this.#depot.open();
  }

  /** Spans and events go first: they are small, and they say what the recording is of. */
  get #outboxes(): readonly Outbox[] {
    return [this.spans, this.logs, this.dom];
  }

  /** What comes behind all others of the page: by its number, what does not arrive before it is a gap. */
  #end(): Keepable {
    const [parcel] = this.#wrap([`{"type":${CUSTOM},"data":{"tag":"otel.end"},"timestamp":${Date.now()}}`]);
    const end = { parcel: parcel!, bytes: 0 };
    this.#depot.put([end]);
    return end;
  }

  async #sendLeft(): Promise<void> {
    await this.#depot.open();
    await this.#depot.empty(async (parcel: Parcel) => !isRetryable(await this.#destination.post(parcel, false)));
  }
}
