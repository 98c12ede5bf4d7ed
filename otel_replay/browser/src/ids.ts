// Ids and times as OTLP/JSON wants them: lower-case hex, Unix nanoseconds as decimal strings.

/** `bytes` random bytes as lower-case hex. */
export function randomHex(bytes: number): string {
  const values = crypto.getRandomValues(new Uint8Array(bytes));
  return Array.from(values, (value) => value.toString(16).padStart(2, "0")).join("");
}

/**
 * Now, in Unix nanoseconds.
 *
 * The page's monotonic clock has microseconds where `Date.now()` has milliseconds, but it stands still while the
 * machine sleeps: when the two are more than a second apart, the wall clock (rrweb's) is the truer one. Milliseconds
 * with fractions fit a float to the microsecond; the nanoseconds are made with BigInt.
 */
export function nowUnixNano(): bigint {
  const wallMs = Date.now();
  const { timeOrigin } = performance;
  const elapsed = performance.now();
  if (Math.abs(timeOrigin + elapsed - wallMs) > 1000) return BigInt(wallMs) * 1_000_000n;
  return (BigInt(Math.round(timeOrigin * 1000)) + BigInt(Math.round(elapsed * 1000))) * 1000n;
}
