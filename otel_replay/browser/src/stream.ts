// The recording of one tab in one session, and its numbering, which goes on over page loads.
import { randomHex } from "./ids";
import { read, write } from "./storage";

const KEY = "otel-replay.stream";

type Kept = readonly [of: string, id: string, next: number, isPaused: boolean, missedMs: number | undefined];

/**
 * While the page is there, sessionStorage does not hold the stream: it is put there when the page goes, and taken out
 * by the next page of the tab. So a duplicated tab or a window that the page opens, which start with a copy of
 * sessionStorage, have streams of their own.
 */
export class Stream {
  id = "";
  /** Somebody has paused the recording of this tab: it stays so on its next page. */
  isPaused = false;
  /** Since when pages before have kept nothing of it; Unix milliseconds. */
  missedMs: number | undefined;
  #of = "";
  #next = 0;

  /** Goes on where the page before has ended, if that was `of` the same session and place; with a new stream otherwise. */
  resume(of: string): void {
    const found = read<Kept>("sessionStorage", KEY);
    const [keptOf, id, next, isPaused, missedMs] = Array.isArray(found) ? (found as Kept) : [];
    this.isPaused = isPaused === true;
    this.renew(of);
    if (keptOf === of && typeof id === "string" && next! >= 0) [this.id, this.#next, this.missedMs] = [id, next!, missedMs];
  }

  /** Begins a stream. */
  renew(of = this.#of): void {
    write("sessionStorage", KEY, undefined);
    [this.#of, this.id, this.#next, this.missedMs] = [of, randomHex(8), 0, undefined];
  }

  /** The next free number. */
  number(): number {
    return this.#next++;
  }

  /** The page goes, perhaps to come back. */
  keep(missedMs: number | undefined): void {
    const kept: Kept = [this.#of, this.id, this.#next, this.isPaused, missedMs];
    write("sessionStorage", KEY, kept);
  }
}
