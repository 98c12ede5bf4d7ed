// The recording of one page: what is observed goes through the gate of its session to the outboxes.
import { assets, type AssetKeeper } from "./assets";
import { checkouts } from "./checkouts";
import { observePage, type PageObserver } from "./dom";
import { encodeEvent, INFO, type LogEvent } from "./events";
import { attempt, listen, whenIdle } from "./guard";
import { unixNano } from "./ids";
import { observers } from "./observers";
import type { Attributes, Config, Sent } from "./options";
import type { Outbox } from "./outbox";
import { clean } from "./privacy";
import type { Recording } from "./recording";
import { CUSTOM, FULL_SNAPSHOT, INCREMENTAL, META, type RrwebEvent } from "./rrweb";
import { Gate, gapSpan, isSampled } from "./sampling";
import { Session, type SessionListener, type Visit } from "./session";
import { encodeSpan, type FinishedSpan } from "./spans";
import { Stream } from "./stream";
import { Shipping } from "./transports/shipping";

/** What a person does with the page, and scripts cannot. */
const GESTURES = ["pointerdown", "pointermove", "keydown", "wheel", "touchmove"];
/** After a loss the page is recorded as a whole, but not more often than this. */
const RESNAPSHOT_MS = 30_000;

export type State = "recording" | "paused" | "stopped";

export class PageRecorder implements Recording, SessionListener {
  #now: State = "recording";
  /**
   * A page that was told to go may run on for a moment. Nobody sees it then, and its numbers would be those of the next
   * page of the tab, too.
   */
  #isGone = false;
  #id = "";
  #page: PageObserver | undefined;
  /** Changes of the page are of no use until the next full snapshot. */
  #awaitsSnapshot = false;
  #snapshotTimer: ReturnType<typeof setTimeout> | undefined;
  #snapshotMs = 0;
  #hasSnapshot = false;
  /** The full snapshot that is made now is one more of a page whose recording is whole. */
  #isRepeating = false;
  readonly #isSnapshotDue = checkouts();
  readonly #gate = new Gate(() => this.#onLoss());
  readonly #stream = new Stream();
  readonly #session: Session;
  readonly #shipping: Shipping;
  #assets: AssetKeeper | undefined;
  readonly #undo: (() => void)[];
  readonly #undoExit: () => void;

  constructor(readonly config: Config) {
    this.#shipping = new Shipping(config, () => this.#id, this.#stream, () => this.#onLoss());
    this.#session = new Session(config, this);
    this.#undo = [this.#session.begin(), this.#shipping.begin(), () => this.#assets?.stop()];
    this.#keepAssets();
    if (this.#stream.isPaused) this.#now = "paused";
    this.#observePage();
    for (const observe of observers) this.#undo.push(attempt(() => observe(this)) ?? (() => undefined));
    this.#undo.push(listen(GESTURES, (event) => event.isTrusted && this.busy()));
    this.#undoExit = this.#observeExit(); // behind the observers, which have last things to tell
  }

  get state(): State {
    return this.#now;
  }

  sessionId(): string {
    this.#session.goesOn();
    return this.#id;
  }

  streamId(): string {
    return this.#stream.id;
  }

  active(): boolean {
    return this.#now === "recording" && !this.#isGone;
  }

  span(span: FinishedSpan): void {
    this.#pass("span", span, encodeSpan, this.#shipping.spans);
  }

  event(event: LogEvent): void {
    this.#pass("log", event, encodeEvent, this.#shipping.logs);
  }

  custom(tag: string, payload: object): void {
    this.emit({ type: CUSTOM, data: { tag, payload }, timestamp: Date.now() });
  }

  emit(event: RrwebEvent): void {
    if (!this.active() || !this.#session.goesOn()) return;
    if (event.type === META) {
      this.#awaitsSnapshot = false;
      this.#gate.nextGeneration();
      // Chunks begin with it, so that who seeks reads from there; the first of a page may bring what came before.
      if (this.#hasSnapshot) this.#shipping.dom.cut();
      this.#hasSnapshot = true;
    }
    if (this.#awaitsSnapshot && event.type === INCREMENTAL) return;
    const isRepeat = this.#isRepeating && event.type === FULL_SNAPSHOT;
    const told = isRepeat ? { ...event, repeats: true as const } : event;
    const cleaned = attempt(() => clean(told, this.config.maskAllInputs, this.#assets?.look(told)));
    const chars = cleaned ? this.#pass("dom", cleaned, JSON.stringify, this.#shipping.dom) : 0;
    if (isRepeat) this.#shipping.dom.cut(); // a chunk for itself: who starts before it is not sent it
    if (event.type === FULL_SNAPSHOT) this.#announce();
    // What is held of a session that is not sent begins with the last snapshot but one: more of them would shorten it.
    if (this.#isSnapshotDue(event.type, chars) && this.#gate.isOpen) whenIdle(() => this.#repeat());
  }

  failed(): void {
    if (this.#gate.isOpen || !this.active()) return;
    this.#session.open();
    this.onOpened();
  }

  busy(): void {
    if (this.active()) this.#session.busy();
  }

  /** More about the session; what is undefined is no longer told. */
  set(attributes: Attributes): void {
    Object.assign(this.config.attributes, attributes);
    this.#announce();
  }

  pause(): void {
    if (!this.active()) return;
    this.#tell("session.pause");
    this.#stopPage();
    this.#now = "paused";
    this.#stream.isPaused = true;
  }

  resume(): void {
    if (this.#now !== "paused") return;
    this.#now = "recording";
    this.#stream.isPaused = false;
    this.busy();
    this.#tell("session.resume");
    this.#observePage();
  }

  flush(): Promise<void> {
    return this.#shipping.flush();
  }

  stop(): Promise<void> {
    if (this.#now === "stopped") return this.flush();
    this.#stopPage();
    for (const undo of this.#undo.splice(0)) attempt(undo);
    this.#now = "stopped";
    clearTimeout(this.#snapshotTimer);
    // Whoever logs out leaves at once: until the rest has arrived, it goes as it goes when the page does.
    return this.flush().finally(this.#undoExit);
  }

  end(): Promise<void> {
    if (this.#now === "stopped") return this.flush();
    this.#tell("session.end");
    this.#session.end();
    return this.stop();
  }

  onChange(visit: Visit, isNew: boolean, ended: Visit | undefined): void {
    const isFirst = !this.#id;
    if (isNew && ended) {
      if (this.#isSent(ended)) this.#gate.open();
      this.event(sessionEvent("session.end", ended.endedMs ?? ended.activeMs, { "session.id": ended.id }));
    }
    this.#shipping.cut();
    this.#id = visit.id;
    const of = this.config.place + visit.id;
    if (isFirst) this.#stream.resume(of);
    else this.#stream.renew(of);
    this.#gate.close(this.#stream.missedMs);
    if (this.#isSent(visit)) this.#open();
    if (isNew) this.#tell("session.start", { "session.previous_id": visit.previousId });
    if (isFirst) return;
    this.#keepAssets();
    this.#resnapshot();
  }

  onOpened(): void {
    this.#open();
    if (this.#awaitsSnapshot) this.#resnapshot();
  }

  #open(): void {
    const missed = this.#gate.open();
    if (missed) attempt(() => this.span(gapSpan(this.#id, missed)));
  }

  /** Once in each stream. */
  #keepAssets(): void {
    attempt(() => this.#assets?.stop());
    this.#assets = attempt(() => assets(this));
  }

  #isSent(visit: Visit): boolean {
    return visit.opened === true || isSampled(visit.id, this.config.sampleRate);
  }

  #observePage(): void {
    if (this.active()) this.#page = attempt(() => observePage(this.config, (event) => this.emit(event)));
  }

  #stopPage(): void {
    const page = this.#page;
    this.#page = undefined;
    if (page) attempt(() => page.stop());
  }

  /** What the session is, in the recording: it describes the session where the recording goes alone. */
  #announce(): void {
    this.custom("otel.session", { attributes: { ...this.config.attributes, "service.name": this.config.serviceName } });
  }

  #tell(name: string, attributes: Attributes = {}): void {
    const about = { "session.id": this.#id, ...this.config.attributes, ...attributes };
    this.event(sessionEvent(name, Date.now(), about));
  }

  /** Gives the characters that it takes; 0 where it goes nowhere. */
  #pass<K extends keyof Sent>(kind: K, event: Sent[K], encode: (event: Sent[K]) => string, lane: Outbox): number {
    if (!this.active()) return 0;
    const sent = attempt(() => {
      const { beforeSend } = this.config;
      const kept = beforeSend ? beforeSend(event, kind) : event;
      const text = kept ? encode(kept) : "";
      if (text) this.#gate.push(lane, text);
      return text.length;
    });
    return sent ?? 0;
  }

  /** rrweb's ids of nodes stay the same: what follows changes the page of this snapshot and of those before alike. */
  #repeat(): void {
    this.#isRepeating = !this.#awaitsSnapshot;
    attempt(() => this.#page?.snapshot());
    this.#isRepeating = false;
  }

  #onLoss(): void {
    this.#resnapshot(this.#snapshotMs + RESNAPSHOT_MS - Date.now());
  }

  /** In a task of its own: rrweb may be in the middle of something. */
  #resnapshot(inMs = 0): void {
    this.#awaitsSnapshot = true;
    clearTimeout(this.#snapshotTimer);
    this.#snapshotTimer = setTimeout(() => {
      this.#snapshotMs = Date.now();
      if (this.#awaitsSnapshot) attempt(() => this.#page?.snapshot());
    }, inMs);
  }

  #observeExit(): () => void {
    const leave = (isGoing: boolean): void => {
      attempt(() => this.#shipping.leave(isGoing));
      if (!isGoing) return;
      this.#isGone = true;
      if (this.#now !== "stopped") this.#stream.keep(this.#gate.unsentMs);
    };
    return listen(["pagehide", "visibilitychange", "pageshow"], (event) => {
      if (event.type === "pagehide") leave(true);
      else if ((event as PageTransitionEvent).persisted) this.#comeBack();
      else if (document.visibilityState === "hidden") leave(false);
    });
  }

  /**
   * Out of the browser's cache of pages. Another page of the tab may have gone on with the stream, and how far can be
   * known here later than this: so it goes on in a new one.
   */
  #comeBack(): void {
    this.#isGone = false;
    this.#shipping.comeBack();
    if (this.#now === "stopped") return;
    this.#stream.renew();
    this.#keepAssets();
    this.#resnapshot();
  }
}

function sessionEvent(name: string, timeMs: number, attributes: Attributes): LogEvent {
  return { name, timeUnixNano: unixNano(timeMs), severity: INFO, attributes };
}
