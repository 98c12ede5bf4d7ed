// JSON in the browser's storages. They may be blocked or full: then nothing is found and nothing kept, and no error.

/** What stands under a key; undefined where there is nothing, or something that is no JSON. */
export function read<T>(kind: "localStorage" | "sessionStorage", key: string): T | undefined {
  try {
    return JSON.parse(window[kind].getItem(key) ?? "") as T;
  } catch {
    return undefined;
  }
}

/** The keys that there are. */
export function keys(kind: "localStorage"): string[] {
  try {
    return Object.keys(window[kind]);
  } catch {
    return [];
  }
}

/** Keeps a value; undefined removes it. */
export function write(kind: "localStorage" | "sessionStorage", key: string, value: unknown): void {
  try {
    if (value === undefined) window[kind].removeItem(key);
    else window[kind].setItem(key, JSON.stringify(value));
  } catch {
    // Nothing depends on it: what cannot be kept is made anew.
  }
}
