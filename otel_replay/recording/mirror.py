"""A mirror of the recorded page's DOM: set by full snapshots, kept by mutations.

Everything comes from a browser and may be nonsense: unknown ids, cycles, wrong types, endless depth. Nothing here
raises, recurses or grows without bound. Serialized nodes and mutations: rrweb 2.2.2, ``packages/types/src/index.ts``.
"""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from otel_replay.recording.nodes import Node, forget_shown, kept, link, mapping, tag_of, unlink

MAX_NODES = 500_000
MAX_DEPTH = 1_000
"""Chromium's parser stops at 512 levels; scripts may nest deeper."""
MAX_CHARS = 32_000_000
"""Of text in one mirror; further text is not kept."""


class Addition(NamedTuple):
    """One checked entry of a mutation's ``adds``."""

    id: int
    parent: int
    next: int | None
    node: dict[str, Any]


@dataclass(slots=True)
class Changes:
    """What a mutation did to the mirror."""

    added: list[Node] = field(default_factory=list)
    """New nodes whose parent was there before."""
    emptied: set[int] = field(default_factory=set)
    """Ids of nodes that lost a child."""
    retold: list[Node] = field(default_factory=list)
    """Text nodes with another text."""


class Mirror:
    """The page as the recording knows it: nodes by rrweb id."""

    def __init__(self) -> None:
        self.root: Node | None = None
        self._nodes: dict[int, Node] = {}
        self._chars = 0

    def __len__(self) -> int:
        return len(self._nodes)

    def get(self, node_id: Any) -> Node | None:
        """The node with an id, whatever was given as one."""
        return self._nodes.get(node_id) if isinstance(node_id, int) else None

    def reset(self, serialized: Any = None) -> None:
        """Forgets the page and takes over that of a full snapshot, if there is one."""
        self.root = None
        self._nodes = {}
        self._chars = 0
        self.root = self._build(serialized, None, None)

    def apply(self, mutation: dict[str, Any]) -> Changes:
        """Follows the data of a Mutation event, in the order rrweb replays it: removes, adds, texts, attributes."""
        changes = Changes()
        for entry in entries(mutation, "removes"):
            node = self.get(entry.get("id"))
            if node is not None and node.parent is not None:
                changes.emptied.add(node.parent.id)
                self._remove(node)
        changes.added = self._add(list(additions(mutation)))
        for entry in entries(mutation, "texts"):
            node = self.get(entry.get("id"))
            if node is not None and node.tag == "#text":
                self._set_text(node, entry.get("value"))
                forget_shown(node)
                changes.retold.append(node)
        for entry in entries(mutation, "attributes"):
            node = self.get(entry.get("id"))
            if node is not None:
                node.attributes = kept({**node.attributes, **mapping(entry.get("attributes"))})
        return changes

    def ids_of(self, tag: str) -> set[int]:
        """The ids of all elements with a tag."""
        return {node.id for node in self._nodes.values() if node.tag == tag}

    def _add(self, wanted: list[Addition]) -> list[Node]:
        """Places additions, which are not in document order: each waits until its parent and its next sibling exist.

        A next sibling that neither exists nor comes is ignored, as are siblings that wait for each other.
        """
        coming = {addition.id for addition in wanted}
        waiting: defaultdict[int, list[Addition]] = defaultdict(list)
        added: list[Node] = []
        ready = deque(wanted)
        ordered = True
        while ready:
            addition = ready.popleft()
            missing = self._missing(addition, coming if ordered else frozenset())
            if missing is not None:
                waiting[missing].append(addition)
            else:
                node = self._build(addition.node, self._nodes[addition.parent], self.get(addition.next))
                if node is not None and addition.parent not in coming:
                    added.append(node)
                ready.extend(waiting.pop(addition.id, ()))
            if not ready and ordered:
                ordered = False
                ready.extend(late for group in waiting.values() for late in group)
                waiting.clear()
        return added

    def _missing(self, addition: Addition, coming: set[int] | frozenset[int]) -> int | None:
        if addition.parent not in self._nodes:
            return addition.parent
        if addition.next in coming and addition.next not in self._nodes:
            return addition.next
        return None

    def _build(self, serialized: Any, parent: Node | None, before: Node | None) -> Node | None:
        """Adds a serialized node with all under it; a loop, for how deep it nests is the sender's choice."""
        top = self._create(serialized, parent, before)
        if top is None:
            return None
        forget_shown(top)
        stack = [(top, serialized)]
        while stack:
            node, source = stack.pop()
            for child in entries(source, "childNodes"):
                made = self._create(child, node, None)
                if made is not None:
                    stack.append((made, child))
        return top

    def _create(self, serialized: Any, parent: Node | None, before: Node | None) -> Node | None:
        node_id = as_id(serialized.get("id")) if isinstance(serialized, dict) else None
        if node_id is None or len(self._nodes) >= MAX_NODES or (parent is not None and parent.depth >= MAX_DEPTH):
            return None
        known = self._nodes.get(node_id)
        if known is not None:
            self._remove(known)
        if parent is not None and self._nodes.get(parent.id) is not parent:
            return None  # it was inside what it would have contained
        node = Node(node_id, tag_of(serialized), kept(mapping(serialized.get("attributes"))), "", parent)
        self._nodes[node_id] = node
        if parent is not None:
            if node.tag == "#document":
                self._clear(parent)  # an iframe that loads another page
            link(node, parent, before if before is not None and before.parent is parent else None)
        self._set_text(node, serialized.get("textContent"))
        return node

    def _set_text(self, node: Node, text: Any) -> None:
        self._chars -= len(node.text)
        fits = isinstance(text, str) and node.tag == "#text" and self._chars + len(text) <= MAX_CHARS
        node.text = text if fits else ""
        self._chars += len(node.text)

    def _clear(self, parent: Node) -> None:
        for child in list(parent.children()):
            self._remove(child)

    def _remove(self, node: Node) -> None:
        forget_shown(node)
        unlink(node)
        if node is self.root:
            self.root = None
        stack = [node]
        while stack:
            gone = stack.pop()
            del self._nodes[gone.id]
            self._chars -= len(gone.text)
            stack.extend(gone.children())


def additions(mutation: dict[str, Any]) -> Iterator[Addition]:
    """The entries of ``adds`` that name a node and a parent."""
    for entry in entries(mutation, "adds"):
        node = mapping(entry.get("node"))
        node_id = as_id(node.get("id"))
        parent = as_id(entry.get("parentId"))
        if node_id is not None and parent is not None:
            yield Addition(node_id, parent, as_id(entry.get("nextId")), node)


def entries(source: Any, key: str) -> Iterable[dict[str, Any]]:
    """The objects in a list that should be there."""
    found = source.get(key) if isinstance(source, dict) else None
    return [entry for entry in found if isinstance(entry, dict)] if found and isinstance(found, list) else ()


def as_id(value: Any) -> int | None:
    """A node id that any JSON reader takes, or None."""
    return value if isinstance(value, int) and not isinstance(value, bool) and abs(value) < 2**53 else None
