// The recording of one tab in one session, and its numbering, which goes on over page loads.
import { randomHex } from "./ids";
import { read, write } from "./storage";

const KEY = "otel-replay.stream";

interface Kept {
  readonly sessionId: string;
  readonly id: string;
  readonly next: number;
  readonly isPaused: boolean;
}

/**
 * While the page is there, sessionStorage does not hold the stream: it is put there when the page goes, and taken out
 * by the next page of the tab. So a duplicated tab or a window that the page opens, which start with a copy of
 * sessionStorage, have streams of their own.
 */
export class Stream {
  id = "";
  /** Somebody has paused the recording of this tab: it stays so on its next page. */
  isPaused = false;
  #sessionId = "";
  #next = 0;

  /** Goes on where the page before has ended, if that was in the same session; with a new stream otherwise. */
  resume(sessionId: string): void {
    const kept = read<Kept>("sessionStorage", KEY);
    this.isPaused = kept?.isPaused === true;
    const goesOn = kept?.sessionId === sessionId && typeof kept.id === "string" && kept.next >= 0;
    this.renew(sessionId);
    if (goesOn) [this.id, this.#next] = [kept.id, kept.next];
  }

  /** Begins a stream. */
  renew(sessionId: string): void {
    write("sessionStorage", KEY, undefined);
    [this.#sessionId, this.id, this.#next] = [sessionId, randomHex(8), 0];
  }

  /** The next free number. */
  number(): number {
    return this.#next++;
  }

  /** The page goes, perhaps to come back. */
  keep(): void {
    const kept: Kept = { sessionId: this.#sessionId, id: this.id, next: this.#next, isPaused: this.isPaused };
    write("sessionStorage", KEY, kept);
  }
}
