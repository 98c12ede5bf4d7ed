"""The words a mutation put on the page, whichever way the page writes them.

Five styles are in use: a text node per token, ``node.data +=``, ``textContent =`` (the old text node is replaced), an
element per token, and ``innerHTML`` (everything is replaced). So the text of the block around a change is read before
and after it, and what was added is the difference.
"""

from __future__ import annotations

from itertools import chain
from typing import NamedTuple

from otel_replay.recording.mirror import Changes, Mirror, Mutation
from otel_replay.recording.nodes import NOTHING, Node, Subtext, is_block, kept, tag_of
from otel_replay.recording.reading import Reader, is_complete
from otel_replay.recording.text import added_text
from otel_replay.texts import storable

MAX_TEXT_CHARS = 8_000


class Rendered(NamedTuple):
    """Text that one mutation added to one block of the page."""

    block: Node
    text: str
    """All text of the block after the event, at most 8,000 characters."""
    added: str
    """What the event added; a plain continuation keeps its leading space, so that pieces can be concatenated."""
    truncated: bool


def render(mirror: Mirror, mutation: Mutation, reader: Reader) -> list[Rendered]:
    """Applies a mutation to the mirror; gives the text that this added, one entry per block.

    A block is the nearest ancestor that is block-like or has an id. A new element that alone is added to its parent is
    told of itself; where several are added, or old content is replaced, their common block is.
    """
    if not _brings_text(mutation):
        mirror.apply(mutation)
        return []
    homes = _homes(mirror, mutation)
    alone = _alone(mutation, homes)
    before = {block: reader.read(block) for node_id, block in homes.items() if node_id != alone}
    touched = _touched(mirror.apply(mutation), homes, reader)
    rendered = [_difference(block, news, before.get(block, NOTHING), reader) for block, news in touched.items()]
    return [one for one in rendered if one.added]


def _brings_text(mutation: Mutation) -> bool:
    if mutation.texts:
        return True
    return any(addition.node.get("type") == 3 or addition.node.get("childNodes") for addition in mutation.adds)


def _homes(mirror: Mirror, mutation: Mutation) -> dict[int, Node]:
    """The block around each node that is there before the event and gets children or another text, by its id."""
    homes: dict[int, Node] = {}
    for node_id in chain((addition.parent for addition in mutation.adds), (text[0] for text in mutation.texts)):
        node = mirror.get(node_id) if node_id not in homes else None
        block = node.block() if node is not None else None
        if node is not None and block is not None:
            homes[node.id] = block
    return homes


def _alone(mutation: Mutation, homes: dict[int, Node]) -> int | None:
    """The id of a parent that only gets one new block, which will be told of itself: what was before is not asked for.

    A feed of thousands is not read for every row that it gets.
    """
    if mutation.removes or mutation.texts or len(homes) != 1:
        return None
    tops = [addition for addition in mutation.adds if addition.parent in homes]
    node = tops[0].node
    return tops[0].parent if len(tops) == 1 and is_block(tag_of(node), kept(node.get("attributes"))) else None


def _touched(changes: Changes, homes: dict[int, Node], reader: Reader) -> dict[Node, list[Node]]:
    """Blocks that an event may have added text to, each with the new or changed nodes in it."""
    touched: dict[Node, list[Node]] = {}
    groups: dict[int, list[Node]] = {}
    for node in changes.added:
        if node.parent is not None and reader.read_new(node).text:
            groups.setdefault(node.parent.id, []).append(node)
    for parent_id, news in groups.items():
        alone = _content(news[0]) if len(news) == 1 and parent_id not in changes.emptied else None
        block = alone if alone is not None and alone.is_block else homes.get(parent_id)
        if block is not None:
            touched.setdefault(block, []).extend(news)
    for node in changes.retold:
        if node.id in homes:
            touched.setdefault(homes[node.id], []).append(node)
    return touched


def _content(node: Node) -> Node:
    """The element that shows a node's text: an iframe's document shows it in its root element."""
    if node.tag != "#document":
        return node
    return next((child for child in node.children() if child.is_block), node)


def _difference(block: Node, news: list[Node], old: Subtext, reader: Reader) -> Rendered:
    new = reader.read(block)
    is_whole = is_complete(new)
    if is_whole and is_complete(old):
        added = added_text(old.text, new.text)
    else:
        added = " ".join(filter(None, (reader.read_new(node).text[:MAX_TEXT_CHARS] for node in news)))
    text = new.text or added
    return Rendered(
        block=block,
        text=storable(text[:MAX_TEXT_CHARS]),
        added=storable(added[:MAX_TEXT_CHARS]),
        truncated=not is_whole or len(text) > MAX_TEXT_CHARS,
    )
