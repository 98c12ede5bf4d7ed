// The page's policy stops whatever a recorded page would fetch, but Chromium opens the connection first for a frame's
// address, and no policy stops <link rel=preconnect>: both tell a stranger that somebody looks. Replaying needs neither:
// rrweb records the text of style sheets, and what frames show as nodes of their own.

interface Node {
  tagName?: unknown;
  attributes?: Record<string, unknown> | null;
  childNodes?: unknown;
}

interface Data {
  node?: Node;
  adds?: unknown;
  attributes?: unknown;
}

/** Of an rrweb event every link becomes an element without meaning, and addresses of frames go, in place. */
export function disarm(event: { data: unknown }): void {
  const data = (event.data ?? {}) as Data;
  for (const change of list<Node>(data.attributes)) withoutAddress(change);
  const waiting = [data.node, ...list<{ node?: Node }>(data.adds).map((one) => one.node)];
  while (waiting.length > 0) {
    const node = waiting.pop();
    if (!node || typeof node !== "object") continue;
    withoutAddress(node);
    if (isLink(node)) node.tagName = "x-link";
    for (const child of list<Node>(node.childNodes)) waiting.push(child);
  }
}

/** An image's address goes, too, where it is not the image itself: the policy would not let it be fetched. */
function withoutAddress(node: Node): void {
  const attributes = node.attributes;
  if (!attributes || typeof attributes !== "object") return;
  for (const name of Object.keys(attributes)) {
    if (/^(src|srcset|data)$/i.test(name) && !/^(data|blob):/i.test(String(attributes[name]))) delete attributes[name];
  }
}

/** One with its style sheet's text becomes a style. */
function isLink(node: Node): boolean {
  return String(node.tagName).toLowerCase() === "link" && !node.attributes?._cssText;
}

function list<T extends object>(value: unknown): T[] {
  return Array.isArray(value) ? value.filter((one): one is T => typeof one === "object" && one !== null) : [];
}
