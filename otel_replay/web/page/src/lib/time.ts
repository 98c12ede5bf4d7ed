// Unix nanoseconds for people. They stay BigInt until only milliseconds are asked for.

const NS_PER_MS = 1_000_000n;

/** Unix nanoseconds of a decimal string; 0 for anything else, since the text came from outside. */
export function nanos(text: string | null | undefined): bigint {
  return text && /^-?\d{1,20}$/.test(text) ? BigInt(text) : 0n;
}

/** Milliseconds with fractions of a difference: differences are small enough for a float. */
export function toMs(ns: bigint): number {
  return Number(ns / NS_PER_MS) + Number(ns % NS_PER_MS) / 1e6;
}

export function fromMs(ms: number): bigint {
  return BigInt(Math.round(ms)) * NS_PER_MS;
}

const dateAndTime = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "medium" });

export function formatTime(unixNano: bigint): string {
  const ms = Number(unixNano / NS_PER_MS);
  return unixNano > 0n && ms < 8.64e15 ? dateAndTime.format(ms) : "unknown time";
}

/** `163 ms`, `1.02 s`, `3 min 12 s`, `2 h 05 min`. */
export function formatDuration(ns: bigint): string {
  const ms = toMs(ns);
  if (ms < 1) return `${Math.round(ms * 1000)} µs`;
  if (ms < 1000) return `${ms < 10 ? ms.toFixed(1) : Math.round(ms)} ms`;
  const seconds = ms / 1000;
  if (seconds < 60) return `${seconds < 10 ? seconds.toFixed(2) : seconds.toFixed(1)} s`;
  const whole = Math.round(seconds);
  if (whole < 3600) return `${Math.floor(whole / 60)} min ${pad(whole % 60)} s`;
  return `${Math.floor(whole / 3600)} h ${pad(Math.floor((whole % 3600) / 60))} min`;
}

/** Time since the start of a timeline: `0:01.163`, `1:02:03.004`. */
export function formatOffset(ns: bigint): string {
  const sign = ns < 0n ? "−" : "";
  const ms = Math.floor(Math.abs(toMs(ns)));
  const minutes = Math.floor(ms / 60_000);
  const clock = minutes < 60 ? String(minutes) : `${Math.floor(minutes / 60)}:${pad(minutes % 60)}`;
  return `${sign}${clock}:${pad(Math.floor(ms / 1000) % 60)}.${String(ms % 1000).padStart(3, "0")}`;
}

function pad(value: number): string {
  return String(value).padStart(2, "0");
}
