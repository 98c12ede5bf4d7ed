// rrweb's events, as far as they are looked into.

/** rrweb's `eventWithTime`, as far as everybody needs it who does not look into the page. */
export interface RrwebEvent {
  readonly type: number;
  readonly data: unknown;
  /** Milliseconds since 1970. */
  readonly timestamp: number;
  /** Of a full snapshot: it says nothing that is not told already, to be where a player can start. */
  readonly repeats?: true;
}

/** Its event types that the recorder looks at or makes. */
export const FULL_SNAPSHOT = 2;
export const INCREMENTAL = 3;
export const META = 4;
export const CUSTOM = 5;
export const PLUGIN = 6;
export const ASSET = 7;
/** The source of incremental events that change nodes. */
export const MUTATION = 0;

export type Attributes = Record<string, unknown>;

/** A node as it is recorded; a change of attributes has no tag. */
export interface Node {
  readonly id: number;
  readonly tagName?: string;
  readonly isSVG?: boolean;
  readonly isStyle?: boolean;
  readonly attributes?: Attributes;
  readonly childNodes?: Node[];
  textContent?: string;
}

/** What an event of a page, a snapshot or a change says, as far as it is read. */
export interface Data extends Attributes {
  href: string;
  readonly node: Node;
  readonly source: number;
  readonly adds?: readonly { readonly node: Node }[];
  readonly attributes?: readonly Node[];
}

/** Calls `see` for every node that an event brings, and for every change of attributes. */
export function eachNode({ type, data }: RrwebEvent, see: (node: Node) => void): void {
  const { node, source, adds, attributes } = data as Data;
  if (type === FULL_SNAPSHOT) eachBelow(node, see);
  if (type !== INCREMENTAL || source !== MUTATION) return;
  for (const added of adds ?? []) eachBelow(added.node, see);
  attributes?.forEach(see);
}

/** A loop: how deep a page is nested is its own choice. */
function eachBelow(top: Node, see: (node: Node) => void): void {
  const stack = [top];
  for (let node = stack.pop(); node; node = stack.pop()) {
    see(node);
    for (const child of node.childNodes ?? []) stack.push(child);
  }
}
