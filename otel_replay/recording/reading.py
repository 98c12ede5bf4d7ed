"""Reading the blocks of a page that changes with every event: only what changed is read again.

What is shown under a node is put together from what is shown under its children, which is remembered; children beyond
some dozens are read in runs. So a token that is appended to an answer of thousands costs one run, not all of them.
"""

from __future__ import annotations

from collections.abc import Iterable

from otel_replay.recording.nodes import MAX_NODES, NOTHING, Node, Run, Runs, Subtext
from otel_replay.recording.text import MAX_READ_CHARS, MAX_READ_NODES, collapse

RUN_CHILDREN = 8
"""Children in a run that was just made; it is split when they are twice as many."""
READ_BUDGET = 64_000_000
"""Characters to put together for one chunk, a part counting as ten: some 3,000 tokens into an answer of 20,000."""
OVERDRAFT = 16_000_000
"""For what is new on the page when the budget is spent. Without an end 100 KB of text below 900 levels take 90 MB."""
_PART_COST = 10
_BREAK = NOTHING._replace(before=True, after=True, nodes=1)
_INLINE = NOTHING._replace(nodes=1)
UNREAD = NOTHING._replace(nodes=MAX_READ_NODES + 1)


class Reader:
    """Reads blocks until its budget is spent; from then on only those that are remembered."""

    def __init__(self) -> None:
        self.left = READ_BUDGET
        self.remembered = 0
        """Characters that nodes remember of it, at most: those that were forgotten since count until somebody looks."""

    def refill(self) -> None:
        """Starts a new budget."""
        self.left = READ_BUDGET

    def read(self, block: Node) -> Subtext:
        """What is shown under a block; incomplete and without text when the budget is spent."""
        if block.subtext is not None:
            return block.subtext
        return self.read_new(block) if self.left > 0 else UNREAD

    def read_new(self, top: Node) -> Subtext:
        """What is shown under a node, when the budget is spent as well, but not without end.

        A loop: how deep it is was the sender's choice. And each level remembers what is under it.
        """
        stack = [top]
        while (found := top.subtext) is None:
            if self.left < -OVERDRAFT:
                return UNREAD
            node = stack[-1]
            unread: list[Node] = []
            parts = self._parts(node, unread)
            if unread:
                stack += unread
                continue
            node.subtext = self._joined(parts, _own(node), node.breaks_line) if parts else _own(node)
            stack.pop()
        return found

    def _parts(self, node: Node, unread: list[Node]) -> list[Subtext]:
        """What the children of a node show, many of them in runs; adds to ``unread`` those to be read before."""
        if node.runs is None:
            row = _row(node.first, MAX_NODES, unread)
            if len(row) <= 2 * RUN_CHILDREN:
                return row
            node.runs = Runs(_in_runs(node.first, len(list(node.children()))))
        return self._read_runs(node.runs, unread)

    def _read_runs(self, runs: Runs, unread: list[Node]) -> list[Subtext]:
        """The text of settled runs at once; those that changed are split where they are long, and read."""
        changing = [part for run in runs.rows[runs.settled :] for part in _split(run)]
        runs.rows[runs.settled :] = changing
        first = next((place for place, run in enumerate(changing) if run.subtext is None), len(changing))
        for run in changing[first:]:
            if run.subtext is None:
                row = _row(run.first, run.size, unread)
                if not unread:
                    run.subtext = self._joined(row)
        if first:
            self._settle(runs, changing[:first])
        rest = [run.subtext for run in changing[first:] if run.subtext is not None]
        return rest if runs.head is None else [runs.head, *rest]

    def _settle(self, runs: Runs, clean: list[Run]) -> None:
        """Adds runs that did not change to those that are joined already."""
        runs.head = self._joined([run.subtext for run in clean if run.subtext is not None], runs.head or NOTHING)
        runs.settled += len(clean)
        for run in clean:
            run.settled = True

    def _joined(self, parts: list[Subtext], start: Subtext = NOTHING, breaks: bool = False) -> Subtext:
        found = joined(parts, start, breaks)
        self.left -= len(found.text) + _PART_COST * len(parts)
        self.remembered += len(found.text)
        return found


def is_complete(found: Subtext) -> bool:
    """Whether a reading that is limited comes to the end: it may cross the limit of characters with the last node."""
    return found.nodes <= MAX_READ_NODES and found.chars - found.last <= MAX_READ_CHARS


def joined(parts: Iterable[Subtext], start: Subtext = NOTHING, breaks: bool = False) -> Subtext:
    """What several parts in a row show after ``start``; no two spaces meet.

    ``breaks``: all of it is apart from what is around it. Text beyond the limits of reading is counted and left out.
    """
    text, before, gap, chars, nodes, last = start
    pieces = [text] if text else []
    for text, space_before, space_after, part_chars, part_nodes, part_last in parts:
        if text and chars <= MAX_READ_CHARS:
            if not pieces:
                before = gap or space_before
            elif gap or space_before:
                pieces.append(" ")
            pieces.append(text)
            gap = space_after
        elif space_before:
            gap = True
        if part_nodes:
            chars += part_chars
            nodes += part_nodes
            last = part_last
    return Subtext("".join(pieces), before if pieces else gap, gap or breaks, chars, nodes, last)


def _row(first: Node | None, size: int, unread: list[Node]) -> list[Subtext]:
    """What up to ``size`` siblings show, without those that it adds to ``unread``."""
    found: list[Subtext] = []
    child = first
    while child is not None and size:
        shown = child.subtext
        if shown is None and child.first is None:
            shown = child.subtext = _own(child)
        if shown is None:
            unread.append(child)
        else:
            found.append(shown)
        child = child.next
        size -= 1
    return found


def _own(node: Node) -> Subtext:
    """What a node shows without its children."""
    text = node.text
    if not text:
        return _BREAK if node.breaks_line else _INLINE
    return Subtext(collapse(text), text[0].isspace(), text[-1].isspace(), len(text), 1, len(text))


def _split(run: Run) -> list[Run]:
    """A run that has become long as several; none for an empty one."""
    return [run] if 0 < run.size <= 2 * RUN_CHILDREN else _in_runs(run.first, run.size)


def _in_runs(first: Node | None, size: int) -> list[Run]:
    """New runs of ``size`` siblings."""
    runs: list[Run] = []
    child = first
    for number in range(size):
        if child is None:
            break
        if number % RUN_CHILDREN == 0:
            runs.append(Run(child))
        child.run = runs[-1]
        child.run.size += 1
        child = child.next
    return runs
