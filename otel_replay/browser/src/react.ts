"use client";
// The recorder as a React hook: `const { state, start, stop } = useSessionRecording({ endpoint, userId, feature })`.
import { useCallback, useEffect, useRef, useState } from "react";
import { record, type Recorder, type RecordOptions, type State } from "./index";

export interface SessionRecordingOptions extends RecordOptions {
  /** Default true: the recording begins with the component; else with `start()`. */
  autoStart?: boolean;
}

export interface SessionRecording {
  readonly state: State;
  /** Undefined before the recording has begun. */
  readonly sessionId: string | undefined;
  /** For `flush()`, `set()` and the rest; undefined while stopped. */
  readonly recorder: Recorder | undefined;
  /** Why it could not begin. */
  readonly error: Error | undefined;
  start(): void;
  /** Settles when the rest was sent. */
  stop(): Promise<void>;
  pause(): void;
  resume(): void;
}

interface Seen {
  readonly recorder?: Recorder | undefined;
  readonly state: State;
  readonly sessionId?: string | undefined;
  readonly error?: Error;
}

/** Components that use the page's one recorder: it stops with the last of them. */
let users = 0;

/**
 * Records the page for as long as the component is there. `userId`, `feature` and `label` may change: the session
 * follows. Other options count when the recording begins. On a server nothing happens.
 */
export function useSessionRecording(options: SessionRecordingOptions): SessionRecording {
  const { autoStart = true, userId, feature, label } = options;
  const latest = useRef(options);
  const recorder = useRef<Recorder>(undefined);
  const [seen, setSeen] = useState<Seen>({ state: "stopped" });
  useEffect(() => {
    latest.current = options;
  });

  const start = useCallback(() => {
    try {
      if (recorder.current?.state === "stopped") {
        recorder.current = undefined; // by itself, as with `end()` when the user logs out
        users--;
      }
      recorder.current ??= begin(latest.current);
      setSeen(look(recorder.current));
    } catch (error) {
      // A wrong option must not take down the page.
      console.error(error);
      setSeen({ state: "stopped", error: error as Error });
    }
  }, []);
  const stop = useCallback(async () => {
    const running = recorder.current;
    recorder.current = undefined;
    setSeen((before) => ({ state: "stopped", sessionId: before.sessionId }));
    if (running && --users === 0) await running.stop();
  }, []);
  const change = useCallback((how: "pause" | "resume") => {
    recorder.current?.[how]();
    if (recorder.current) setSeen(look(recorder.current));
  }, []);

  useEffect(() => {
    if (autoStart) start();
    return () => void stop();
  }, [autoStart, start, stop]);
  const isFirst = useRef(true);
  useEffect(() => {
    // What it began with is known.
    if (!isFirst.current) recorder.current?.identify(userId, { feature, label });
    isFirst.current = false;
  }, [userId, feature, label]);

  const pause = useCallback(() => change("pause"), [change]);
  const resume = useCallback(() => change("resume"), [change]);
  const { state, sessionId, error } = seen;
  return { state, sessionId, recorder: seen.recorder, error, start, stop, pause, resume };
}

function begin(options: RecordOptions): Recorder {
  const recorder = record(options);
  users++;
  return recorder;
}

function look(recorder: Recorder): Seen {
  const { state, sessionId } = recorder;
  return { recorder, state, sessionId };
}
