// Ids and times as OTLP/JSON wants them: lower-case hex, Unix nanoseconds as decimal strings.

/** `bytes` random bytes as lower-case hex. */
export function randomHex(bytes: number): string {
  const values = crypto.getRandomValues(new Uint8Array(bytes));
  return Array.from(values, (value) => value.toString(16).padStart(2, "0")).join("");
}

/** Unix nanoseconds of whole milliseconds. */
export function unixNano(ms: number): bigint {
  return BigInt(ms) * 1_000_000n;
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
  if (Math.abs(timeOrigin + elapsed - wallMs) > 1000) return unixNano(wallMs);
  return microseconds(timeOrigin) + microseconds(elapsed);
}

/** The nanoseconds of milliseconds with fractions, to the microsecond. */
export function microseconds(ms: number): bigint {
  return BigInt(Math.round(ms * 1000)) * 1000n;
}

/**
 * SHA-256 (FIPS 180-4) of a text in UTF-8, as lower-case hex. The browser's own works only over HTTPS, and only
 * asynchronously, when what the page does first would be past.
 */
export function sha256Hex(text: string): string {
  const message = padded(new TextEncoder().encode(text));
  const [hash, constants] = shaConstants();
  const w = new Int32Array(64);
  for (let block = 0; block < message.byteLength; block += 64) {
    for (let i = 0; i < 64; i++) w[i] = i < 16 ? message.getInt32(block + i * 4) : expanded(w, i);
    const s = hash.slice();
    for (let i = 0; i < 64; i++) {
      const [a, b, c, d, e, f, g, h] = s as unknown as [number, number, number, number, number, number, number, number];
      const one = h + rotated(e, 6, 11, 25) + ((e & f) ^ (~e & g)) + constants[i]! + w[i]!;
      const two = rotated(a, 2, 13, 22) + ((a & b) ^ (a & c) ^ (b & c));
      s.set([one + two, a, b, c, d + one, e, f, g]);
    }
    s.forEach((value, i) => (hash[i]! += value));
  }
  return Array.from(hash, (value) => (value >>> 0).toString(16).padStart(8, "0")).join("");
}

function padded(bytes: Uint8Array): DataView {
  const view = new DataView(new ArrayBuffer((((bytes.length + 8) >> 6) + 1) << 6));
  bytes.forEach((byte, i) => view.setUint8(i, byte));
  view.setUint8(bytes.length, 0x80);
  view.setUint32(view.byteLength - 4, bytes.length * 8);
  return view;
}

/** The first 32 bits behind the point of the square roots of 8 primes, and of the cube roots of 64. */
function shaConstants(): [Int32Array, Int32Array] {
  const primes: number[] = [];
  for (let n = 2; primes.length < 64; n++) if (primes.every((prime) => n % prime)) primes.push(n);
  const bits = (root: number): number => (root % 1) * 2 ** 32;
  const start = Int32Array.from(primes.slice(0, 8), (n) => bits(Math.sqrt(n)));
  return [start, Int32Array.from(primes, (n) => bits(Math.cbrt(n)))];
}

function expanded(w: Int32Array, i: number): number {
  const [early, late] = [w[i - 15]!, w[i - 2]!];
  const mixed = rotated(early, 7, 18) ^ (early >>> 3);
  return w[i - 16]! + mixed + w[i - 7]! + (rotated(late, 17, 19) ^ (late >>> 10));
}

function rotated(value: number, ...by: number[]): number {
  return by.reduce((sum, bits) => sum ^ ((value >>> bits) | (value << (32 - bits))), 0);
}
