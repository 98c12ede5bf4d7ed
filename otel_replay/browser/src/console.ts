// What is written to the console, as one line of text.

const MAX_VALUE_CHARS = 2_000;
/** Of an object that is logged, so many values are read. */
const MAX_VALUES = 100;

/** As the console shows it, with `%s` and its like filled in (https://console.spec.whatwg.org/#formatter). */
export function formatted(said: readonly unknown[]): string {
  const [first, ...rest] = said;
  if (typeof first !== "string") return said.map(shown).join(" ");
  const filled = first.replace(/%[sdifoOc]/g, (directive) => {
    const value = rest.length > 0 ? shown(rest.shift()) : directive;
    return directive === "%c" ? "" : value;
  });
  return [filled, ...rest.map(shown)].join(" ");
}

/** A value as text, without what it holds: that may be anybody's. */
export function textOf(value: unknown): string {
  return Object(value) === value ? Object.prototype.toString.call(value) : String(value).slice(0, MAX_VALUE_CHARS);
}

function shown(value: unknown): string {
  if (value instanceof Error) return `${value.name}: ${value.message}`;
  if (typeof value !== "object" || value === null) return textOf(value);
  let left = MAX_VALUES;
  try {
    return JSON.stringify(value, (_key, one: unknown) => {
      if (left-- <= 0) throw new RangeError("too large");
      return one;
    });
  } catch {
    return textOf(value);
  }
}
