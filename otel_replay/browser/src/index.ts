// The recorder: rrweb events in numbered chunks, what people do and what goes wrong as spans and events.
import { complete, type Attributes, type RecordOptions } from "./options";
import { PageRecorder, type State } from "./recorder";

export { isSampled } from "./sampling";
export type { Attributes, BeforeSend, RecordOptions, Sent } from "./options";
export type { State } from "./recorder";

export interface Recorder {
  /** Changes when the session is over: nobody was there for 15 minutes, or it has lasted for four hours. */
  readonly sessionId: string;
  /** The recording of this tab in this session. */
  readonly streamId: string;
  readonly state: State;
  /** Who the user is, once that is known, and what else is to be said of the session. */
  identify(userId: string | undefined, attributes?: Attributes): void;
  /** More about the session; what was said under a name before is replaced. */
  set(attributes: Attributes): void;
  /** Records nothing until `resume()`, on the next pages of this tab as well. */
  pause(): void;
  /** Goes on, with a full snapshot. */
  resume(): void;
  /** Sends what was recorded so far; settles when it arrived, at the latest after 10 s (sending goes on). */
  flush(): Promise<void>;
  /** Stops the recording of this page, puts everything back as it was, and sends the rest. The session goes on. */
  stop(): Promise<void>;
  /** As `stop()`; the session is over, for all tabs. */
  end(): Promise<void>;
}

let running: Recorder | undefined;

/**
 * Records this page until `stop()`. A second call gives the recorder that runs already.
 *
 * Throws a TypeError for an endpoint that is missing or no http(s) address, and for a sample rate outside 0 to 1; later
 * failures never reach the page.
 */
export function record(options: RecordOptions): Recorder {
  running ??= start(options);
  return running;
}

function start(options: RecordOptions): Recorder {
  const recorder = new PageRecorder(complete(options));
  return {
    get sessionId() {
      return recorder.sessionId();
    },
    get streamId() {
      return recorder.streamId();
    },
    get state() {
      return recorder.state;
    },
    identify: (userId, attributes) => recorder.set({ ...attributes, "user.id": userId }),
    set: (attributes) => recorder.set(attributes),
    pause: () => recorder.pause(),
    resume: () => recorder.resume(),
    flush: () => recorder.flush(),
    stop: () => stopped(recorder.stop()),
    end: () => stopped(recorder.end()),
  };
}

function stopped(done: Promise<void>): Promise<void> {
  running = undefined;
  return done;
}
