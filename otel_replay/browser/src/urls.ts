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

export type Allowed = readonly (string | RegExp)[];

/**
 * Whether a request to `address` belongs to the user's action: the page's own origin or an address in `allowed`
 * (a string is a prefix), and never the receiver itself.
 */
export function carriesContext(address: string, endpoint: string, allowed: Allowed): boolean {
  const url = new URL(address, location.href);
  if (isReceiver(url, endpoint)) return false;
  if (url.origin === location.origin) return true;
  return allowed.some((rule) => matches(url.href, rule));
}

function matches(href: string, rule: string | RegExp): boolean {
  if (typeof rule === "string") return href.startsWith(rule);
  rule.lastIndex = 0; // a /g pattern remembers where it stopped
  return rule.test(href);
}

function isReceiver(url: URL, endpoint: string): boolean {
  if (!(url.href + "/").startsWith(endpoint + "/")) return false;
  // A receiver behind the application's own origin owns only its routes, not the application's.
  if (new URL(endpoint).origin !== location.origin) return true;
  return /^\/(v1\/(traces|logs|metrics)|api\/v1\/sessions)(\/|$)/.test(url.href.slice(endpoint.length).split(/[?#]/)[0]!);
}
