// One document, views after the `#`: the server needs no knowledge of them.

export type Route =
  | { readonly view: "sessions" }
  | { readonly view: "replay"; readonly of: "sessions" | "traces"; readonly id: string }
  | { readonly view: "unknown" };

export const router = $state<{ route: Route }>({ route: parse(location.hash) });

addEventListener("hashchange", () => (router.route = parse(location.hash)));

export function sessionHref(id: string): string {
  return `#/sessions/${encodeURIComponent(id)}`;
}

export function traceHref(id: string): string {
  return `#/traces/${encodeURIComponent(id)}`;
}

function parse(hash: string): Route {
  const path = hash.replace(/^#/, "").split("?")[0]!;
  if (path === "" || path === "/") return { view: "sessions" };
  const found = /^\/(sessions|traces)\/([^/]+)$/.exec(path);
  const id = found && decode(found[2]!);
  return id ? { view: "replay", of: found[1] as "sessions" | "traces", id } : { view: "unknown" };
}

function decode(text: string): string | undefined {
  try {
    return decodeURIComponent(text);
  } catch {
    return undefined;
  }
}
