"""What a person can read of the mirrored page, and what an event added to it."""

from __future__ import annotations

from typing import NamedTuple

from otel_replay.recording.nodes import Node

MAX_READ_CHARS = 100_000
MAX_READ_NODES = 20_000


class Reading(NamedTuple):
    """The visible text under a node, white space collapsed."""

    text: str
    complete: bool
    """False where a limit ended the reading."""


def visible_text(top: Node, max_chars: int = MAX_READ_CHARS, max_nodes: int = MAX_READ_NODES) -> Reading:
    """The text under ``top`` in document order, blocks apart from each other, without script, style and head."""
    parts, complete = _walk(top, max_chars, max_nodes)
    return Reading(collapse("".join(parts)), complete)


def collapse(text: str) -> str:
    """The text with every run of white space as one space, none at its ends."""
    if not text.isprintable():
        return " ".join(text.split())
    while "  " in text:  # of white space only the space prints; replacing is three times faster than splitting
        text = text.replace("  ", " ")
    return text.strip(" ")


def added_text(old: str, new: str) -> str:
    """What ``new`` shows that ``old`` did not: its end where it only grew, else the words that differ.

    Empty where nothing was added. Both texts have their white space collapsed.
    """
    if new.startswith(old):
        return new[len(old) :]
    if old.startswith(new):
        return ""
    start = _common_words(old, new)
    end = _common_words(old[start:][::-1], new[start:][::-1])
    return new[start : len(new) - end].strip()


def _walk(top: Node, max_chars: int, max_nodes: int) -> tuple[list[str], bool]:
    """The pieces of the text under ``top``, and whether these were all."""
    parts: list[str] = []
    chars = nodes = 0
    node: Node | None = None if top.hidden else top
    while node is not None and chars <= max_chars and nodes < max_nodes:
        nodes += 1
        if node.text:
            parts.append(node.text)
            chars += len(node.text)
        elif node.breaks_line:
            parts.append(" ")
        following = node.first or (node.next if node is not top else None)
        node = _following(node, top, parts) if following is None or following.hidden else following
    return parts, node is None


def _following(node: Node, top: Node, parts: list[str]) -> Node | None:
    """The next node in document order that is shown, with a space noted for each block left behind."""
    if node.first is not None and not node.first.hidden:
        return node.first
    candidate: Node | None = node.first or node
    while candidate is not None and candidate is not top:
        if candidate.breaks_line:
            parts.append(" ")
        following = candidate.next
        while following is not None and following.hidden:
            following = following.next
        if following is not None:
            return following
        candidate = candidate.parent
    return None


def _common_words(a: str, b: str) -> int:
    """How many characters both texts share at the beginning, back to the last space where a word differs."""
    low, high = 0, min(len(a), len(b))
    while low < high:
        middle = (low + high + 1) // 2
        if a[low:middle] == b[low:middle]:
            low = middle
        else:
            high = middle - 1
    at_boundary = a[low : low + 1] in ("", " ") and b[low : low + 1] in ("", " ")
    return low if at_boundary else a.rfind(" ", 0, low) + 1
