// Our failure must not become the page's.

/** The result of `work`; undefined, and a line in the console, when it fails. */
export function attempt<T>(work: () => T): T | undefined {
  try {
    return work();
  } catch (error) {
    console.warn("otel-replay: not recorded", error);
    return undefined;
  }
}

/** Listens on the window, before the page's own handlers, whether or not they stop the event; returns what ends it. */
export function listen(types: readonly string[], listener: (event: Event) => void): () => void {
  const guarded = (event: Event): void => void attempt(() => listener(event));
  for (const type of types) window.addEventListener(type, guarded, true);
  return () => {
    for (const type of types) window.removeEventListener(type, guarded, true);
  };
}

/** What calls all of them. */
export function all(...stops: readonly (() => void)[]): () => void {
  return () => stops.forEach((stop) => stop());
}

/** Puts `make(original)` in an object's place; returns what puts the original back, unless someone else came since. */
export function replace<T extends object, K extends keyof T>(owner: T, name: K, make: (original: T[K]) => T[K]): () => void {
  const original = owner[name];
  const made = make(original);
  owner[name] = made;
  return () => {
    if (owner[name] === made) owner[name] = original;
  };
}

const IDLE_WAIT_MS = 2000;

/** When the page has nothing to do. Safari has no idle time to ask for. */
export function whenIdle(work: () => void): void {
  const wait: (work: () => void, options: object) => void = window.requestIdleCallback ?? setTimeout;
  wait(() => attempt(work), { timeout: IDLE_WAIT_MS });
}
