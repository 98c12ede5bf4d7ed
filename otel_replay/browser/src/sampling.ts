// Which sessions are sent, and what is kept of the others until something goes wrong in them.
import { sha256Hex } from "./ids";

/** Characters of JSON; half as many bytes in most browsers' memory. */
const MAX_HELD_CHARS = 8 * 1024 * 1024;

/**
 * Whether a session is among the share `rate` (0 to 1) that is sent. It follows from the id alone, by the rule of
 * `otel_replay/sdk/backlog.py`, so that page and servers decide alike.
 */
export function isSampled(sessionId: string, rate: number): boolean {
  const utf8 = sessionId.replace(/\p{Surrogate}/gu, "?"); // what Python makes of half a pair
  return parseInt(sha256Hex(utf8).slice(0, 8), 16) < rate * 2 ** 32;
}

export interface Lane {
  push(item: string): void;
}

interface Held {
  readonly lane: Lane;
  readonly item: string;
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

  /** `onFull` is told that all was thrown away: what comes next is of use from a new full snapshot on. */
  constructor(onFull: () => void) {
    this.#onFull = onFull;
  }

  push(lane: Lane, item: string): void {
    if (this.isOpen) return lane.push(item);
    this.#generations[1]!.push({ lane, item });
    this.#chars += item.length;
    if (this.#chars <= MAX_HELD_CHARS) return;
    this.#forget();
    this.#onFull();
  }

  /** A full snapshot comes next: playing can start there. */
  nextGeneration(): void {
    const past = this.#generations.shift()!;
    this.#generations.push([]);
    for (const { item } of past) this.#chars -= item.length;
  }

  open(): void {
    this.isOpen = true;
    for (const { lane, item } of this.#generations.flat()) lane.push(item);
    this.#forget();
  }

  /** Throws away what is held. */
  close(): void {
    this.isOpen = false;
    this.#forget();
  }

  #forget(): void {
    this.#generations = [[], []];
    this.#chars = 0;
  }
}
