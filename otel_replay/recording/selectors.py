"""Naming an element for a person: a short CSS selector and a label."""

from __future__ import annotations

import re

from otel_replay.recording.nodes import Node
from otel_replay.recording.text import visible_text
from otel_replay.recording.untrusted import one_line

MAX_LEVELS = 4
_MAX_NAME_CHARS = 64
_MAX_SIBLINGS = 200
"""Beyond so many siblings of one element its place is not counted: in a long feed that took a sixth of distilling."""
_NOT_IN_A_NAME = re.compile(r"[^\w-]")
_INTERACTIVE_TAGS = frozenset({"a", "button", "input", "label", "option", "select", "summary", "textarea"})
_INTERACTIVE_ROLES = frozenset({"button", "link", "menuitem", "option", "radio", "switch", "tab", "checkbox"})
_LABELS = ("aria-label", "alt", "title", "placeholder")


def selector(node: Node) -> str:
    """``#id``, else up to four levels of ``tag.class.class:nth-of-type(n)`` joined by `` > ``, beginning at an id."""
    levels: list[str] = []
    for ancestor in node.ancestors():
        if ancestor.tag.startswith("#"):
            break
        levels.append(_level(ancestor))
        if levels[-1].startswith("#") or len(levels) == MAX_LEVELS:
            break
    return " > ".join(reversed(levels))


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


def _level(node: Node) -> str:
    if "id" in node.attributes:
        return "#" + _name(node.attributes["id"])
    classes = node.attributes.get("class", "").split()[:2]
    named = ".".join([_name(node.tag), *map(_name, classes)])
    place = _place(node)
    return f"{named}:nth-of-type({place})" if place else named


def _name(text: str) -> str:
    """A CSS identifier on one line: anything that is not part of one escaped."""
    name = one_line(text, _MAX_NAME_CHARS)
    if not name.replace("-", "").isalnum():
        name = _NOT_IN_A_NAME.sub(lambda found: "\\" + found[0], name)
    return f"\\3{name[0]} {name[1:]}" if name[:1].isdecimal() and name.isascii() else name


def _place(node: Node) -> int | None:
    """The 1-based place among siblings with the same tag, None for an only one or beyond the limit."""
    before = after = 0
    seen = 0
    sibling = node.previous
    while sibling is not None and seen < _MAX_SIBLINGS:
        seen += 1
        before += sibling.tag == node.tag
        sibling = sibling.previous
    if sibling is not None:
        return None
    sibling = node.next
    while sibling is not None and seen < _MAX_SIBLINGS and not (before or after):
        seen += 1
        after += sibling.tag == node.tag
        sibling = sibling.next
    return before + 1 if before or after else None
