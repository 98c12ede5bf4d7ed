"""A mirror of the recorded page's DOM: set by full snapshots, kept by mutations.

Everything comes from a browser and may be nonsense: unknown ids, cycles, wrong types, endless depth. Nothing here
raises, recurses or grows without bound. Serialized nodes and mutations: rrweb 2.2.2, ``packages/types/src/index.ts``.
"""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from otel_replay.recording.nodes import MAX_NODES, NOTHING, Node, forget_subtext, kept, link, mapping, tag_of, unlink

MAX_DEPTH = 1_000
"""Chromium's parser stops at 512 levels; scripts may nest deeper."""
NODE_BYTES = 350
"""Measured of elements with a class and an id."""
MAX_CHARS = 32_000_000
"""Of text in one mirror; further text is not kept."""


class Addition(NamedTuple):
    """One checked entry of a mutation's ``adds``."""

    id: int
    parent: int
    next: int | None
    node: dict[str, Any]


class Mutation(NamedTuple):
    """The data of a Mutation event, checked for its form; entries that name no node are left out."""

    removes: list[Any]
    """Ids, whatever was given as one; those of ``texts`` and ``attributes`` too."""
    adds: list[Addition]
    texts: list[tuple[Any, Any]]
    attributes: list[tuple[Any, dict[str, Any]]]

    @classmethod
    def of(cls, data: dict[str, Any]) -> Mutation:
        return cls(
            [entry.get("id") for entry in entries(data, "removes")],
            [addition for entry in entries(data, "adds") if (addition := _addition(entry)) is not None],
            [(entry.get("id"), entry.get("value")) for entry in entries(data, "texts")],
            [(entry.get("id"), mapping(entry.get("attributes"))) for entry in entries(data, "attributes")],
        )


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
        self.rearranged = 0
        """How often the page was loaded, or elements were added, removed, or given other attributes."""

    def __len__(self) -> int:
        return len(self._nodes)

    @property
    def size(self) -> int:
        """About the bytes that it takes, without what reading remembers."""
        return len(self._nodes) * NODE_BYTES + self._chars

    def get(self, node_id: Any) -> Node | None:
        """The node with an id, whatever was given as one."""
        return self._nodes.get(node_id) if isinstance(node_id, int) else None

    def reset(self, serialized: Any = None) -> None:
        """Forgets the page and takes over that of a full snapshot, if there is one."""
        self.root = None
        self._nodes = {}
        self._chars = 0
        self.rearranged += 1
        self.root = self._build(serialized, None, None)

    def apply(self, mutation: Mutation) -> Changes:
        """Follows a mutation in the order rrweb replays it: removes, adds, texts, attributes."""
        changes = Changes()
        for node_id in mutation.removes:
            node = self.get(node_id)
            if node is not None and node.parent is not None:
                changes.emptied.add(node.parent.id)
                self._remove(node)
        changes.added = self._add(mutation.adds)
        for node_id, text in mutation.texts:
            node = self.get(node_id)
            if node is not None and node.tag == "#text":
                self._set_text(node, text)
                forget_subtext(node)
                changes.retold.append(node)
        for node_id, attributes in mutation.attributes:
            node = self.get(node_id)
            if node is not None:
                node.take_attributes(attributes)
                self.rearranged += 1
        return changes

    def trim_readings(self, limit: int) -> int:
        """How many characters :mod:`reading` remembers; where they are more than ``limit``, it has to read again."""
        chars = sum(len(node.subtext.text) for node in self._nodes.values() if node.subtext is not None)
        if chars <= limit:
            return chars
        for node in self._nodes.values():
            node.subtext = NOTHING if node.hidden else None
            node.run = node.runs = None
        return 0

    def ids_of(self, tag: str) -> set[int]:
        """The ids of all elements with a tag."""
        return {node.id for node in self._nodes.values() if node.tag == tag}

    def _add(self, wanted: list[Addition]) -> list[Node]:
        """Places additions; gives the new nodes whose parent was there before."""
        if len(wanted) > 1:
            return self._add_in_turn(wanted)
        added: list[Node] = []
        for addition in wanted:
            parent = self._nodes.get(addition.parent)
            node = self._build(addition.node, parent, self.get(addition.next)) if parent is not None else None
            if node is not None:
                added.append(node)
        return added

    def _add_in_turn(self, wanted: list[Addition]) -> list[Node]:
        """Additions are not in document order: each waits until its parent and its next sibling exist.

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
        forget_subtext(top)
        stack = [(top, serialized)] if serialized.get("childNodes") else []
        while stack:
            node, source = stack.pop()
            for child in entries(source, "childNodes"):
                made = self._create(child, node, None)
                if made is not None and child.get("childNodes"):
                    stack.append((made, child))
        return top

    def _create(self, serialized: Any, parent: Node | None, before: Node | None) -> Node | None:
        node_id = as_id(serialized.get("id")) if isinstance(serialized, dict) else None
        if node_id is None or len(self._nodes) >= MAX_NODES or (parent is not None and parent.depth >= MAX_DEPTH):
            return None
        if node_id in self._nodes:
            self._remove(self._nodes[node_id])
        if parent is not None and self._nodes.get(parent.id) is not parent:
            return None  # it was inside what it would have contained
        node = Node(node_id, tag_of(serialized), kept(serialized.get("attributes")), parent)
        self._nodes[node_id] = node
        if parent is not None:
            if node.tag == "#document":
                self._clear(parent)  # an iframe that loads another page
            link(node, parent, before if before is not None and before.parent is parent else None)
        if node.tag == "#text":
            self._set_text(node, serialized.get("textContent"))
        else:
            self.rearranged += 1
        return node

    def _set_text(self, node: Node, text: Any) -> None:
        """The text of a text node, where there is room for it."""
        self._chars -= len(node.text)
        fits = isinstance(text, str) and self._chars + len(text) <= MAX_CHARS
        node.text = text if fits else ""
        self._chars += len(node.text)

    def _clear(self, parent: Node) -> None:
        for child in list(parent.children()):
            self._remove(child)

    def _remove(self, node: Node) -> None:
        self.rearranged += node.tag != "#text"
        forget_subtext(node)
        unlink(node)
        if node is self.root:
            self.root = None
        stack = [node]
        while stack:
            gone = stack.pop()
            del self._nodes[gone.id]
            self._chars -= len(gone.text)
            stack.extend(gone.children())


def entries(source: Any, key: str) -> Sequence[dict[str, Any]]:
    """The objects in a list that should be there."""
    found = source.get(key) if isinstance(source, dict) else None
    if not found or not isinstance(found, list):
        return ()
    return [entry for entry in found if isinstance(entry, dict)]


def as_id(value: Any) -> int | None:
    """A node id that any JSON reader takes, or None."""
    return value if type(value) is int and -(2**53) < value < 2**53 else None


def _addition(entry: dict[str, Any]) -> Addition | None:
    """An entry of ``adds`` that names a node and a parent."""
    node = mapping(entry.get("node"))
    node_id, parent = as_id(node.get("id")), as_id(entry.get("parentId"))
    if node_id is None or parent is None:
        return None
    return Addition(node_id, parent, as_id(entry.get("nextId")), node)
