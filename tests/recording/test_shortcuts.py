"""Where the reading of a recording takes a shortcut, the long way gives the same."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from otel_replay.recording import text as reading
from otel_replay.recording.events import Document, parse_events
from otel_replay.recording.mirror import Mirror
from otel_replay.recording.nodes import Node
from otel_replay.recording.text import block_text, collapse, visible_text
from otel_replay.recording.untrusted import one_line
from tests.recording.pages import element, event, mutation, text

WORDS = st.text(st.sampled_from("ab \n\t\u00a0\u2028\u3000é😀\u200d"), max_size=6)
TAGS = st.sampled_from(["div", "span", "p", "br", "script", "style", "b", "li"])


def trees(children: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.tuples(TAGS, st.lists(children, max_size=5))


TREES = st.tuples(st.just("div"), st.lists(st.recursive(WORDS, trees, max_leaves=30), max_size=6))


def page(tree: Any) -> Mirror:
    """The page of a drawn tree, its ids in document order from 1."""
    ids = iter(range(1, 10_000))

    def serialized(part: Any) -> dict[str, Any]:
        number = next(ids)
        return text(number, part) if isinstance(part, str) else element(number, part[0], *map(serialized, part[1]))

    mirror = Mirror()
    mirror.reset(serialized(tree))
    return mirror


def nodes(mirror: Mirror) -> list[Node]:
    return [node for number in range(1, len(mirror) + 1) if (node := mirror.get(number)) is not None]


@given(tree=TREES, changed=st.lists(st.tuples(st.integers(1, 40), WORDS), max_size=4))
def test_a_block_put_together_reads_as_when_walked(tree: Any, changed: list[tuple[int, str]]) -> None:
    mirror = page(tree)
    for number, value in [(0, ""), *changed]:
        mirror.apply(mutation(texts=[{"id": number, "value": value}])["data"])
        for block in nodes(mirror):
            assert block_text(block) == visible_text(block)


@given(tree=TREES, chars=st.integers(0, 20), most=st.integers(1, 12))
def test_limits_end_both_readings_at_the_same_place(tree: Any, chars: int, most: int) -> None:
    mirror = page(tree)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(reading, "MAX_READ_CHARS", chars)
        patch.setattr(reading, "MAX_READ_NODES", most)
        for block in nodes(mirror):
            put_together, walked = block_text(block), visible_text(block, chars, most)
            # At the very end of a block the walk may stop one step before it knows that nothing follows.
            assert put_together == walked or (put_together.complete and not walked.complete)


@given(st.text())
def test_white_space_collapses_to_single_spaces(said: str) -> None:
    assert collapse(said) == " ".join(said.split())


UNREADABLE = re.compile(r"[\x00-\x1f\x7f-\x9f\s\u2028\u2029\u200e\u200f\u202a-\u202e\u2066-\u2069]+")


@given(st.text(st.characters(codec="utf-8"), max_size=50))
def test_one_line_is_what_the_expression_makes(said: str) -> None:
    assert one_line(said, 50) == UNREADABLE.sub(" ", said).strip()


NUMBERS = st.one_of(
    st.integers(-(10**25), 10**25), st.integers(0, 10**13), st.floats(allow_nan=False, allow_infinity=False)
)


@given(st.recursive(NUMBERS | st.text("0123456789,: -", max_size=30), lambda one: st.lists(one, max_size=6)))
def test_integers_of_any_size_are_exact(value: Any) -> None:
    sent = [event(5, {"payload": value})]
    payload = json.dumps(sent).encode()
    assert parse_events(payload) == parse_events(Document(payload)) == sent
    assert parse_events(json.dumps(sent, separators=(",", ":")).encode()) == sent


@pytest.mark.parametrize("pad", range(3))
def test_a_long_integer_is_found_wherever_it_stands(pad: int) -> None:
    payload = b'[{"type":5,"timestamp":1,"data":{"n":%s18446744073709551617}}]' % (b" " * pad)
    assert parse_events(payload)[0]["data"]["n"] == 2**64 + 1
