// What an address may tell, and where trace context may go.

/** Scheme, host and path: queries and fragments carry tokens and what people typed, credentials are never needed. */
export function withoutQuery(address: string): string {
  try {
    const url = new URL(address, location.href);
    return url.origin === "null" ? url.protocol + url.pathname : url.origin + url.pathname;
  } catch {
    return "";
  }
}

/** Query or fragment of an address in running text; the line and column that a stack trace puts behind stay. */
const QUERY_IN_TEXT = /(\b[a-z][a-z\d+.-]{0,19}:\/\/[^\s"'`()<>?#]*)[?#][^\s"'`()<>]*?((?::\d+){0,2})(?=[\s"'`()<>]|$)/gi;

/** A message or stack trace without the queries of the addresses in it, at most `max` characters. */
export function withoutQueries(text: string, max: number): string {
  return text.slice(0, 2 * max).replace(QUERY_IN_TEXT, "$1$2").slice(0, max);
}

export type Allowed = readonly (string | RegExp)[];

/** Whether a request may carry context: the page's own origin, or an address in `allowed` (a string is a prefix). */
export function carriesContext(url: URL, allowed: Allowed): boolean {
  return url.origin === location.origin || allowed.some((rule) => matches(url.href, rule));
}

function matches(href: string, rule: string | RegExp): boolean {
  // An origin with the slash behind it: other hosts and ports begin alike.
  if (typeof rule === "string") return href.startsWith(rule.replace(/^\w+:\/\/[^/]*$/, "$&/"));
  rule.lastIndex = 0; // a /g pattern remembers where it stopped
  return rule.test(href);
}

/** Whether a request goes to otel-replay itself. */
export function isReceiver(url: URL, endpoint: string): boolean {
  if (!(url.href + "/").startsWith(endpoint + "/")) return false;
  // A receiver behind the application's own origin owns only its routes, not the application's.
  if (new URL(endpoint).origin !== location.origin) return true;
  return /^\/(v1\/(traces|logs|metrics)|api\/v1\/sessions)(\/|$)/.test(url.href.slice(endpoint.length).split(/[?#]/)[0]!);
}
