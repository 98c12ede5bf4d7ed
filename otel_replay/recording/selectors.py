"""Naming an element for a person: a short CSS selector and a label."""

from __future__ import annotations

import re
from typing import NamedTuple

from otel_replay.recording.mirror import Mirror
from otel_replay.recording.nodes import Node
from otel_replay.recording.text import visible_text
from otel_replay.recording.untrusted import one_line

MAX_LEVELS = 4
MAX_WITHIN = 8
_MAX_NAME_CHARS = 64
MAX_SIBLINGS = 200
"""Beyond so many siblings of one element its place is not counted: nobody reads it, and each would be walked past."""
_NOT_IN_A_NAME = re.compile(r"[^\w-]")
_INTERACTIVE_TAGS = frozenset({"a", "button", "input", "label", "option", "select", "summary", "textarea"})
_INTERACTIVE_ROLES = frozenset({"button", "link", "menuitem", "option", "radio", "switch", "tab", "checkbox"})
_LABELS = ("aria-label", "alt", "title", "placeholder")


class Place(NamedTuple):
    """Where a node is."""

    selector: str
    """``#id``, else up to four levels of ``tag.class.class:nth-of-type(n)`` joined by `` > ``, beginning at an id."""
    within: list[int]
    """Ids of the nearest blocks around it: an answer of several paragraphs is joined by what holds them all."""


class Places:
    """Places of the nodes of a page, remembered while its elements stay what and where they are."""

    def __init__(self, mirror: Mirror) -> None:
        self._mirror = mirror
        self._rearranged = mirror.rearranged
        self._known: dict[int, Place] = {}

    def of(self, node: Node) -> Place:
        if self._rearranged != self._mirror.rearranged:
            self._rearranged = self._mirror.rearranged
            self._known.clear()
        known = self._known.get(node.id)
        if known is None:
            known = self._known[node.id] = Place(_selector(node), _within(node))
        return known


def interactive(node: Node) -> Node:
    """The control that a click on ``node`` was meant for: the nearest link, button or the like, or the node itself."""
    for ancestor in node.ancestors():
        if ancestor.tag in _INTERACTIVE_TAGS or ancestor.attributes.get("role") in _INTERACTIVE_ROLES:
            return ancestor
    return node


def label(node: Node, limit: int) -> str:
    """What the element says: its visible text, else a label, alternative text, title or placeholder."""
    text = visible_text(node, max_chars=4 * limit, max_nodes=1_000).text
    said = [text, *(node.attributes.get(key, "") for key in _LABELS)]
    return one_line(next(filter(None, said), ""), limit)


def _selector(node: Node) -> str:
    levels: list[str] = []
    ancestor: Node | None = node
    while ancestor is not None and not ancestor.tag.startswith("#"):
        levels.append(_level(ancestor))
        if levels[-1].startswith("#") or len(levels) == MAX_LEVELS:
            break
        ancestor = ancestor.parent
    return " > ".join(reversed(levels))


def _within(node: Node) -> list[int]:
    found: list[int] = []
    ancestor = node.parent
    while ancestor is not None and len(found) < MAX_WITHIN:
        if ancestor.is_block:
            found.append(ancestor.id)
        ancestor = ancestor.parent
    return found


def _level(node: Node) -> str:
    if node.name is None:
        node.name = _own_name(node)
    place = None if node.name.startswith("#") else _place(node)
    return f"{node.name}:nth-of-type({place})" if place else node.name


def _own_name(node: Node) -> str:
    """``#id``, else the tag with up to two classes."""
    if "id" in node.attributes:
        return "#" + _name(node.attributes["id"])
    classes = node.attributes.get("class", "").split()[:2]
    return ".".join([_name(node.tag), *map(_name, classes)])


def _name(text: str) -> str:
    """A CSS identifier on one line: anything that is not part of one escaped."""
    name = one_line(text, _MAX_NAME_CHARS)
    if not name.replace("-", "").isalnum():
        name = _NOT_IN_A_NAME.sub(lambda found: "\\" + found[0], name)
    return f"\\3{name[0]} {name[1:]}" if name[:1].isdecimal() and name.isascii() else name


def _place(node: Node) -> int | None:
    """The 1-based place among siblings with the same tag, None for an only one or beyond the limit."""
    siblings, alike = _before(node)
    if siblings > MAX_SIBLINGS:
        return None
    return alike + 1 if alike or _has_alike_after(node) else None


def _before(node: Node) -> tuple[int, int]:
    """How many siblings stand before a node, and how many of them have its tag.

    Counted from the nearest one of its tag that was asked for and that still stands where it stood.
    """
    order = node.parent.reorders if node.parent is not None else 0
    if node.place is not None and node.place[0] == order:
        return node.place[1:]
    siblings = alike = 0
    sibling = node.previous
    while sibling is not None and siblings <= MAX_SIBLINGS:
        siblings += 1
        if sibling.tag == node.tag:
            alike += 1
            if sibling.place is not None and sibling.place[0] == order:
                siblings += sibling.place[1]
                alike += sibling.place[2]
                break
        sibling = sibling.previous
    node.place = order, siblings, alike
    return siblings, alike


def _has_alike_after(node: Node) -> bool:
    sibling = node.next
    for _ in range(MAX_SIBLINGS):
        if sibling is None:
            return False
        if sibling.tag == node.tag:
            return True
        sibling = sibling.next
    return False
