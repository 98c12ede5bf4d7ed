"""The words a mutation put on the page, whichever way the page writes them.

Five styles are in use: a text node per token, ``node.data +=``, ``textContent =`` (the old text node is replaced), an
element per token, and ``innerHTML`` (everything is replaced). So the text of the block around a change is read before
and after it, and what was added is the difference.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from otel_replay.recording.mirror import Changes, Mirror, additions, entries
from otel_replay.recording.nodes import Node, Reading
from otel_replay.recording.text import added_text, block_text, collapse, visible_text
from otel_replay.recording.untrusted import storable

MAX_TEXT_CHARS = 8_000
READ_BUDGET = 64_000_000
"""Characters to read for one chunk, a node counting as ten: some 3,000 tokens into an answer of 20,000 characters."""
_NODE_COST = 10
_UNREAD = Reading("", complete=False, nodes=0)
_NOTHING = Reading("", complete=True, nodes=0)


@dataclass(frozen=True, slots=True)
class Rendered:
    """Text that one mutation added to one block of the page."""

    block: Node
    text: str
    """All text of the block after the event, at most 8,000 characters."""
    added: str
    """What the event added; a plain continuation keeps its leading space, so that pieces can be concatenated."""
    truncated: bool


class Reader:
    """Reads blocks, remembering what it read, until its budget is spent; from then on it reads nothing new."""

    def __init__(self) -> None:
        self.left = READ_BUDGET

    def refill(self) -> None:
        """Starts a new budget."""
        self.left = READ_BUDGET

    def read(self, block: Node) -> Reading:
        """The visible text of a block; an incomplete, empty reading when the budget is spent."""
        if block.shown is None:
            if self.left <= 0:
                return _UNREAD
            block.shown = block_text(block)
            self.left -= len(block.shown.text) + _NODE_COST * block.shown.nodes
        return block.shown


def render(mirror: Mirror, mutation: dict[str, Any], reader: Reader) -> list[Rendered]:
    """Applies the data of a Mutation event to the mirror; gives the text that this added, one entry per block.

    A block is the nearest ancestor that is block-like or has an id. A new element that alone is added to its parent is
    told of itself; where several are added, or old content is replaced, their common block is.
    """
    if not _brings_text(mutation):
        mirror.apply(mutation)
        return []
    homes = dict(_homes(mirror, mutation))
    before = {block: reader.read(block) for block in homes.values()}
    touched = _touched(mirror.apply(mutation), homes)
    rendered = (_difference(block, news, before.get(block, _NOTHING), reader) for block, news in touched.items())
    return [one for one in rendered if one.added]


def _brings_text(mutation: dict[str, Any]) -> bool:
    def has_text(node: Any) -> bool:
        return isinstance(node, dict) and (node.get("type") == 3 or bool(node.get("childNodes")))

    return bool(mutation.get("texts")) or any(has_text(entry.get("node")) for entry in entries(mutation, "adds"))


def _homes(mirror: Mirror, mutation: dict[str, Any]) -> Iterator[tuple[int, Node]]:
    """(id, block around it) of the nodes that are there before the event and get children or another text."""
    ids = [addition.parent for addition in additions(mutation)]
    nodes = map(mirror.get, [*ids, *(entry.get("id") for entry in entries(mutation, "texts"))])
    for node in dict.fromkeys(node for node in nodes if node is not None):
        block = node.block()
        if block is not None:
            yield node.id, block


def _touched(changes: Changes, homes: dict[int, Node]) -> dict[Node, list[Node]]:
    """Blocks that an event may have added text to, each with the new or changed nodes in it."""
    touched: defaultdict[Node, list[Node]] = defaultdict(list)
    groups: defaultdict[int, list[Node]] = defaultdict(list)
    for node in changes.added:
        if node.parent is not None and visible_text(node, max_chars=0).text:
            groups[node.parent.id].append(node)
    for parent_id, news in groups.items():
        alone = _content(news[0]) if len(news) == 1 and parent_id not in changes.emptied else None
        block = alone if alone is not None and alone.is_block else homes.get(parent_id)
        if block is not None:
            touched[block] += news
    for node in changes.retold:
        if node.id in homes:
            touched[homes[node.id]].append(node)
    return touched


def _content(node: Node) -> Node:
    """The element that shows a node's text: an iframe's document shows it in its root element."""
    if node.tag != "#document":
        return node
    return next((child for child in node.children() if child.is_block), node)


def _difference(block: Node, news: list[Node], old: Reading, reader: Reader) -> Rendered:
    new = reader.read(block)
    if old.complete and new.complete:
        added = added_text(old.text, new.text)
    else:
        added = collapse(" ".join(visible_text(node, max_chars=MAX_TEXT_CHARS).text for node in news))
    text = new.text if new.text else added
    return Rendered(
        block=block,
        text=storable(text[:MAX_TEXT_CHARS]),
        added=storable(added[:MAX_TEXT_CHARS]),
        truncated=not new.complete or len(text) > MAX_TEXT_CHARS,
    )
