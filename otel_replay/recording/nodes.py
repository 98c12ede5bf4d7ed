"""One node of the mirrored page, linked to its neighbours, and what counts as block-like or never shown."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

MAX_ATTRIBUTE_CHARS = 200
KEPT_ATTRIBUTES = ("id", "class", "type", "role", "aria-label", "title", "alt", "placeholder")
"""What selectors and labels are made of; the rest of a page's attributes is not mirrored."""
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


@dataclass(frozen=True, slots=True)
class Reading:
    """The visible text under a node, white space collapsed, and how many nodes were walked for it."""

    text: str
    complete: bool
    """False where a limit ended the reading."""
    nodes: int


class Subtext(NamedTuple):
    """The text under a node with a space where it is apart from its neighbours; its characters before white space was
    collapsed, and the nodes that were walked for it."""

    text: str
    chars: int
    nodes: int


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
        "next",
        "parent",
        "previous",
        "shown",
        "subtext",
        "tag",
        "text",
    )

    def __init__(self, node_id: int, tag: str, attributes: dict[str, str], text: str, parent: Node | None) -> None:
        self.id = node_id
        self.tag = tag
        """Lower-case tag name, or ``#text``, ``#document``, ``#comment``, ..."""
        self.attributes = attributes
        self.text = text
        self.parent = parent
        self.previous: Node | None = None
        self.next: Node | None = None
        self.first: Node | None = None
        self.last: Node | None = None
        self.depth: int = parent.depth + 1 if parent else 0
        self.breaks_line: bool = tag == "br" or tag in _BLOCK_TAGS
        """Whether it sets the text before it and after it apart."""
        self.hidden: bool = tag in _HIDDEN_TAGS or (parent is not None and parent.hidden)
        self.shown: Reading | None = None
        """What was last read under this node; forgotten when anything under it changes."""
        self.subtext: Subtext | None = None
        """The same as a part of what is read of its parent."""

    @property
    def is_block(self) -> bool:
        """Whether text is told of this element rather than of one around it: block-like, or it has an id."""
        return self.tag in _BLOCK_TAGS or "id" in self.attributes

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
        return None if self.hidden else next((node for node in self.ancestors() if node.is_block), None)


def tag_of(serialized: dict[str, Any]) -> str:
    kind = serialized.get("type")
    tag = serialized.get("tagName")
    if kind == 2 and isinstance(tag, str) and tag:
        return tag[:MAX_ATTRIBUTE_CHARS].lower()
    return _TAGS.get(kind, "#unknown") if isinstance(kind, int) else "#unknown"


def mapping(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def kept(attributes: dict[str, Any]) -> dict[str, str]:
    if not attributes:
        return {}
    found = [(key, attributes[key]) for key in KEPT_ATTRIBUTES if key in attributes]
    return {key: value[:MAX_ATTRIBUTE_CHARS] for key, value in found if isinstance(value, str) and value}


def link(node: Node, parent: Node, before: Node | None) -> None:
    node.next = before
    node.previous = before.previous if before is not None else parent.last
    if node.previous is not None:
        node.previous.next = node
    else:
        parent.first = node
    if before is not None:
        before.previous = node
    else:
        parent.last = node


def unlink(node: Node) -> None:
    parent = node.parent
    if parent is None:
        return
    if node.previous is not None:
        node.previous.next = node.next
    else:
        parent.first = node.next
    if node.next is not None:
        node.next.previous = node.previous
    else:
        parent.last = node.previous
    node.parent = node.previous = node.next = None


def forget_shown(node: Node) -> None:
    for ancestor in node.ancestors():
        ancestor.shown = ancestor.subtext = None
