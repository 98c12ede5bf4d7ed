/** Each once, in order: a list on the page needs its keys to be distinct, and what arrives need not be. */
export function distinct<T>(items: readonly T[], key: (item: T) => unknown = (item) => item): T[] {
  const seen = new Set<unknown>();
  return items.filter((item) => !seen.has(key(item)) && seen.add(key(item)));
}
