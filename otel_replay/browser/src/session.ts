// Whose visit it is: one session for all tabs of an origin, until nobody was there for a time, or for four hours.
import { listen } from "./guard";
import { randomHex, sha256Hex } from "./ids";
import { read, write } from "./storage";

const KEY = "otel-replay.session";
/** Activity is written down so often in the time that a session is idle at most: every 15 s. */
const WRITES = 60;

export interface Visit {
  /** The id that was given for the first of its sessions; empty where that was made. */
  readonly given: string;
  readonly id: string;
  readonly previousId?: string;
  readonly startMs: number;
  readonly activeMs: number;
  readonly endedMs?: number;
  /** Something went wrong in it: it is sent although it is not among the sampled ones. */
  readonly opened?: boolean;
}

export interface Limits {
  readonly sessionId?: string;
  readonly idleMs: number;
  readonly maxSessionMs: number;
}

/** What the recorder is told. */
export interface SessionListener {
  /** Another session goes on from here. `isNew`: this tab has begun it, since `ended` was over. */
  onChange(now: Visit, isNew: boolean, ended: Visit | undefined): void;
  onOpened(): void;
}

/**
 * The session of this page. Tabs agree through localStorage; where it is blocked, each page has a session of its own.
 *
 * An id that was given names the first session; when that is over, those that follow it are made from it, in every tab
 * alike, and stay until another id is given.
 */
export class Session {
  #visit: Visit | undefined;
  #writtenMs = 0;
  readonly #limits: Limits;
  readonly #listener: SessionListener;
  readonly #given: string;
  readonly #key: string;

  constructor(limits: Limits, listener: SessionListener) {
    this.#limits = limits;
    this.#listener = listener;
    this.#given = limits.sessionId || "";
    this.#key = this.#given ? `${KEY}.given` : KEY;
  }

  /** Goes on with the session there is, or begins one; follows the other tabs until the returned function is called. */
  begin(): () => void {
    this.busy();
    return listen(["storage"], () => this.#follow());
  }

  /** The person did something. */
  busy(): void {
    const now = Date.now();
    if (this.#visit && !this.#isOver(this.#visit, now) && now - this.#writtenMs < this.#limits.idleMs / WRITES) return;
    const stored = this.#stored() ?? this.#visit;
    const goesOn = stored !== undefined && !this.#isOver(stored, now);
    if (goesOn) this.#take({ ...stored, activeMs: now }, false);
    else this.#take(this.#next(stored, now), true, stored);
    this.#keep();
  }

  /** Something happened on the page; false when nobody has been there for so long that it belongs to no session. */
  goesOn(): boolean {
    const now = Date.now();
    if (!this.#isOver(this.#visit!, now)) return true;
    this.#follow();
    if (this.#isIdle(this.#visit!, now)) return false;
    if (this.#isOver(this.#visit!, now)) this.busy();
    return true;
  }

  /** From here on it is sent, in every tab. */
  open(): void {
    this.#follow();
    this.#visit = { ...this.#visit!, opened: true };
    this.#keep();
  }

  /** What comes next is another session, in every tab. */
  end(): void {
    this.#visit = { ...this.#visit!, endedMs: Date.now() };
    this.#keep();
  }

  #follow(): void {
    const stored = this.#stored();
    if (stored) this.#take(stored, false);
  }

  #take(visit: Visit, isNew: boolean, ended?: Visit): void {
    const before = this.#visit;
    this.#visit = visit;
    if (before?.id !== visit.id) this.#listener.onChange(visit, isNew, ended);
    else if (visit.opened && !before.opened) this.#listener.onOpened();
  }

  #next(before: Visit | undefined, now: number): Visit {
    const given = this.#given;
    const fresh = { given, startMs: now, activeMs: now };
    if (!before) return { ...fresh, id: given || randomHex(16) };
    // Made from the one before: two tabs that find it over at once go on with the same.
    const id = sha256Hex(`${before.id} ${before.startMs}`).slice(0, 32);
    return { ...fresh, id, previousId: before.id };
  }

  #isOver(visit: Visit, now: number): boolean {
    return this.#isIdle(visit, now) || now - visit.startMs >= this.#limits.maxSessionMs;
  }

  #isIdle(visit: Visit, now: number): boolean {
    return visit.endedMs !== undefined || now - visit.activeMs >= this.#limits.idleMs;
  }

  #stored(): Visit | undefined {
    const visit = read<Visit>("localStorage", this.#key);
    const isOurs = visit?.given === this.#given && typeof visit.id === "string";
    return isOurs && visit.startMs > 0 && visit.activeMs > 0 ? visit : undefined;
  }

  #keep(): void {
    this.#writtenMs = Date.now();
    write("localStorage", this.#key, this.#visit);
  }
}
