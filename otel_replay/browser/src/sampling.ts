// Which sessions are sent, and what is kept of the others until something goes wrong in them.
import { sha256Hex, unixNano } from "./ids";
import { contextBelow, INTERNAL, type FinishedSpan } from "./spans";

/** Characters of JSON; half as many bytes in most browsers' memory. */
const MAX_HELD_CHARS = 8 * 1024 * 1024;

/**
 * Whether a session is among the share `rate` (0 to 1) that is sent. It follows from the id alone, by the rule of
 * `otel_replay/sdk/backlog.py`, so that page and servers decide alike.
 */
export function isSampled(sessionId: string, rate: number): boolean {
  if (rate >= 1) return true;
  const utf8 = sessionId.replace(/\p{Surrogate}/gu, "?"); // what Python makes of half a pair
  return parseInt(sha256Hex(utf8).slice(0, 8), 16) < rate * 2 ** 32;
}

export interface Lane {
  push(item: string): void;
}

interface Held {
  readonly lane: Lane;
  readonly item: string;
  readonly atMs: number;
}

/**
 * What goes to a lane passes while the gate is open. While it is closed the gate holds what came since the full
 * snapshot before the last one, up to 8 M characters; opening it lets that go first.
 */
export class Gate {
  isOpen = false;
  readonly #onFull: () => void;
  #generations: Held[][] = [[], []];
  #chars = 0;
  /** Since when something was thrown away, Unix milliseconds. */
  #missedMs: number | undefined;

  /** `onFull` is told that all was thrown away: what comes next is of use from a new full snapshot on. */
  constructor(onFull: () => void) {
    this.#onFull = onFull;
  }

  /** Since when (Unix milliseconds) all is lost where the gate is not opened any more. */
  get unsentMs(): number | undefined {
    return this.#missedMs ?? this.#generations.flat()[0]?.atMs;
  }

  push(lane: Lane, item: string): void {
    if (this.isOpen) return lane.push(item);
    this.#generations[1]!.push({ lane, item, atMs: Date.now() });
    this.#chars += item.length;
    if (this.#chars <= MAX_HELD_CHARS) return;
    this.close(this.unsentMs);
    this.#onFull();
  }

  /** A full snapshot comes next: playing can start there. */
  nextGeneration(): void {
    const past = this.#generations.shift()!;
    this.#generations.push([]);
    this.#missedMs ??= past[0]?.atMs;
    for (const { item } of past) this.#chars -= item.length;
  }

  /** Gives the time of which everything was thrown away, from and to in Unix milliseconds; undefined where nothing was. */
  open(): [fromMs: number, toMs: number] | undefined {
    const missedMs = this.#missedMs;
    const held = this.#generations.flat();
    this.close();
    this.isOpen = true;
    for (const { lane, item } of held) lane.push(item);
    return missedMs === undefined ? undefined : [missedMs, held[0]?.atMs ?? Date.now()];
  }

  /** Throws away what is held. `missedMs`: since when pages before have thrown away what was of the same session. */
  close(missedMs?: number): void {
    this.isOpen = false;
    this.#generations = [[], []];
    this.#chars = 0;
    this.#missedMs = missedMs;
  }
}

/** What stands for a time of which nothing was kept, under the names of `otel_replay/events.py`. */
export function gapSpan(sessionId: string, [fromMs, toMs]: readonly [number, number]): FinishedSpan {
  return {
    ...contextBelow(undefined),
    name: "not recorded",
    kind: INTERNAL,
    startUnixNano: unixNano(fromMs),
    endUnixNano: unixNano(toMs),
    attributes: { "session.id": sessionId, "otel_replay.gap.reason": "sampled" },
  };
}
