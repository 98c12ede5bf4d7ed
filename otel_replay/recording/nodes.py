"""One node of the mirrored page, linked to its neighbours, and what counts as block-like or never shown."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

MAX_NODES = 500_000
"""Of one mirror."""
MAX_ATTRIBUTE_CHARS = 200
KEPT_ATTRIBUTES = frozenset({"id", "class", "type", "role", "aria-label", "title", "alt", "placeholder"})
"""What selectors and labels are made of; the rest of a page's attributes is not mirrored."""
_NO_ATTRIBUTES: Mapping[str, str] = MappingProxyType({})
_TAGS = {0: "#document", 1: "#doctype", 3: "#text", 4: "#cdata", 5: "#comment"}
_HIDDEN_TAGS = frozenset({"head", "script", "style", "noscript", "template"})
# fmt: off
_BLOCK_TAGS = frozenset(
    {
        "address", "article", "aside", "blockquote", "body", "button", "caption", "dd", "details",
        "dialog", "div", "dl", "dt", "fieldset", "figcaption", "figure", "footer", "form", "h1", "h2", "h3",
        "h4", "h5", "h6", "header", "hr", "html", "legend", "li", "main", "nav", "ol", "option", "p", "pre",
        "section", "select", "summary", "table", "tbody", "td", "tfoot", "th", "thead", "tr", "ul",
    }
)
# fmt: on


class Subtext(NamedTuple):
    """What can be read under a node, or under several in a row."""

    text: str
    """White space collapsed, none at the ends."""
    before: bool
    """Whether white space or a break stands before the text, or in its place."""
    after: bool
    chars: int
    """Characters before white space was collapsed."""
    nodes: int
    """Nodes that are shown."""
    last: int
    """Characters of the last of them."""


NOTHING = Subtext("", before=False, after=False, chars=0, nodes=0, last=0)


class Run:
    """Some children in a row, read together: of thousands a change has only its own run read again."""

    __slots__ = ("first", "settled", "size", "subtext")

    def __init__(self, first: Node) -> None:
        self.first: Node | None = first
        self.size = 0
        self.subtext: Subtext | None = None
        self.settled = False
        """Whether it is part of :attr:`Runs.head`."""


class Runs:
    """All children of a node: ``settled`` runs whose text is joined in ``head``, then others; some may be empty."""

    __slots__ = ("head", "rows", "settled")

    def __init__(self, rows: list[Run]) -> None:
        self.rows = rows
        self.head: Subtext | None = None
        self.settled = 0

    def forget(self, run: Run) -> None:
        """A run has changed."""
        run.subtext = None
        if run.settled:
            self.head, self.settled = None, 0
            for settled in self.rows:
                settled.settled = False

    def join(self, node: Node) -> None:
        """A node was linked."""
        neighbour = node.previous or node.next
        run = neighbour.run if neighbour is not None else None
        if run is None:
            run = Run(node)
            self.rows = [run]
            self.head, self.settled = None, 0
        elif run.first is node.next:
            run.first = node
        run.size += 1
        node.run = run
        self.forget(run)

    def leave(self, node: Node, run: Run) -> None:
        """A node will be unlinked."""
        run.size -= 1
        if run.first is node:
            run.first = node.next if run.size else None
        node.run = None
        self.forget(run)


class Node:
    """One node of the page; siblings are linked, so that inserting and removing cost the same at any place."""

    __slots__ = (
        "attributes",
        "breaks_line",
        "depth",
        "first",
        "hidden",
        "id",
        "last",
        "name",
        "next",
        "parent",
        "place",
        "previous",
        "reorders",
        "run",
        "runs",
        "subtext",
        "tag",
        "text",
    )

    def __init__(self, node_id: int, tag: str, attributes: Mapping[str, str], parent: Node | None) -> None:
        self.id = node_id
        self.tag = tag
        """Lower-case tag name, or ``#text``, ``#document``, ``#comment``, ..."""
        self.attributes = attributes
        self.text = ""
        self.parent = parent
        self.previous: Node | None = None
        self.next: Node | None = None
        self.first: Node | None = None
        self.last: Node | None = None
        self.breaks_line: bool = tag == "br" or tag in _BLOCK_TAGS
        """Whether it sets the text before it and after it apart."""
        self.hidden: bool = tag in _HIDDEN_TAGS
        self.depth = 0
        if parent is not None:
            self.depth = parent.depth + 1
            self.hidden = self.hidden or parent.hidden
        self.subtext: Subtext | None = NOTHING if self.hidden else None
        """What was last read under this node; None when anything under it changed, and then above it as well."""
        self.run: Run | None = None
        """The run of its parent's children that it belongs to, where there are runs."""
        self.runs: Runs | None = None
        """All children in runs; None where they are few or were never read."""
        self.name: str | None = None
        """Its own part of a selector, for :mod:`selectors`; None where its attributes changed."""
        self.place: tuple[int, int, int] | None = None
        """(its parent's ``reorders``, siblings before it, those with its tag), for :mod:`selectors`."""
        self.reorders = 0
        """How often a child was inserted or removed before another."""

    @property
    def is_block(self) -> bool:
        """Whether text is told of this element rather than of one around it: block-like, or it has an id."""
        return is_block(self.tag, self.attributes)

    def children(self) -> Iterator[Node]:
        """Child nodes in document order."""
        child = self.first
        while child is not None:
            yield child
            child = child.next

    def ancestors(self) -> Iterator[Node]:
        """The node itself, its parent, and so on to the root."""
        node: Node | None = self
        while node is not None:
            yield node
            node = node.parent

    def block(self) -> Node | None:
        """The nearest block at or around this node; None in a part of the page that is never shown."""
        node: Node | None = None if self.hidden else self
        while node is not None and not is_block(node.tag, node.attributes):
            node = node.parent
        return node

    def take_attributes(self, changed: Mapping[str, Any]) -> None:
        """Follows a change of attributes; None takes one away."""
        self.attributes = kept({**self.attributes, **changed})
        self.name = None


def is_block(tag: str, attributes: Mapping[str, Any]) -> bool:
    return tag in _BLOCK_TAGS or "id" in attributes


def tag_of(serialized: dict[str, Any]) -> str:
    kind = serialized.get("type")
    if kind == 3:
        return "#text"
    tag = serialized.get("tagName")
    if kind == 2 and isinstance(tag, str) and tag:
        return tag[:MAX_ATTRIBUTE_CHARS].lower()
    return _TAGS.get(kind, "#unknown") if isinstance(kind, int) else "#unknown"


def mapping(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def kept(attributes: Any) -> Mapping[str, str]:
    if not attributes or not isinstance(attributes, dict):
        return _NO_ATTRIBUTES
    return {
        key: value[:MAX_ATTRIBUTE_CHARS]
        for key, value in attributes.items()
        if key in KEPT_ATTRIBUTES and value and isinstance(value, str)
    }


def link(node: Node, parent: Node, before: Node | None) -> None:
    previous = before.previous if before is not None else parent.last
    node.next, node.previous = before, previous
    if previous is not None:
        previous.next = node
    else:
        parent.first = node
    if before is not None:
        before.previous = node
        parent.reorders += 1
    else:
        parent.last = node
    if parent.runs is not None:
        parent.runs.join(node)


def unlink(node: Node) -> None:
    parent = node.parent
    if parent is None:
        return
    if parent.runs is not None and node.run is not None:
        parent.runs.leave(node, node.run)
    if node.previous is not None:
        node.previous.next = node.next
    else:
        parent.first = node.next
    if node.next is not None:
        node.next.previous = node.previous
        parent.reorders += 1
    else:
        parent.last = node.previous
    node.parent = node.previous = node.next = None


def forget_subtext(node: Node) -> None:
    """What was read under a node and around it holds no longer; above what is not read nothing is."""
    changed = None if node.hidden else node
    while changed is not None:
        changed.subtext = None
        parent = changed.parent
        if parent is not None and parent.runs is not None and changed.run is not None:
            parent.runs.forget(changed.run)
        changed = parent if parent is not None and parent.subtext is not None else None
