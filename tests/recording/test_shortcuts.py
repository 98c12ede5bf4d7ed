"""Where the reading of a recording takes a shortcut, the long way gives the same."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from otel_replay.errors import InvalidRequest
from otel_replay.recording import reading
from otel_replay.recording.events import parse_events, raw_events, summarise
from otel_replay.recording.mirror import Mirror, Mutation
from otel_replay.recording.nodes import Node
from otel_replay.recording.reading import RUN_CHILDREN, Reader, is_complete
from otel_replay.recording.selectors import MAX_SIBLINGS, Places
from otel_replay.recording.text import Reading, collapse, visible_text
from otel_replay.recording.untrusted import one_line
from otel_replay.recording.uploads import Document, custom_data, each_event, event_texts
from otel_replay.texts import storable
from tests.recording.pages import add, element, event, text

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


def read(block: Node) -> Reading:
    found = Reader().read(block)
    return Reading(found.text, is_complete(found))


@given(tree=TREES, changed=st.lists(st.tuples(st.integers(1, 40), WORDS), max_size=4))
def test_a_block_put_together_reads_as_when_walked(tree: Any, changed: list[tuple[int, str]]) -> None:
    mirror = page(tree)
    for number, value in [(0, ""), *changed]:
        mirror.apply(Mutation.of({"texts": [{"id": number, "value": value}]}))
        for block in nodes(mirror):
            assert read(block) == visible_text(block)


PLACES = st.floats(0, 1, exclude_max=True)
STEPS = st.lists(st.tuples(st.sampled_from(["insert", "append", "remove", "change"]), PLACES, WORDS), max_size=80)


@given(size=st.integers(0, 5 * RUN_CHILDREN), steps=STEPS)
def test_a_long_row_of_children_reads_as_when_walked(size: int, steps: list[tuple[str, float, str]]) -> None:
    """Rows are read in runs, which split, empty and settle as children come and go."""
    mirror = page(("div", ["word "] * size))
    block, children = mirror.get(1), list(range(2, size + 2))
    assert block is not None
    for number, (act, place, said) in enumerate(steps, start=1_000):
        at = children[int(place * len(children))] if children else None
        if act in ("insert", "append") or at is None:
            before = at if act == "insert" else None
            mirror.apply(Mutation.of({"adds": [add(1, text(number, said), before)]}))
            children.insert(children.index(before) if before else len(children), number)
        elif act == "remove":
            mirror.apply(Mutation.of({"removes": [{"id": at}]}))
            children.remove(at)
        else:
            mirror.apply(Mutation.of({"texts": [{"id": at, "value": said}]}))
        if number % 2:
            assert read(block) == visible_text(block)
    assert [child.id for child in block.children()] == children


@given(tree=TREES, chars=st.integers(0, 20), most=st.integers(1, 12))
def test_limits_end_both_readings_at_the_same_place(tree: Any, chars: int, most: int) -> None:
    mirror = page(tree)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(reading, "MAX_READ_CHARS", chars)
        patch.setattr(reading, "MAX_READ_NODES", most)
        for block in nodes(mirror):
            put_together, walked = read(block), visible_text(block, chars, most)
            assert put_together.complete == walked.complete
            assert put_together.text.startswith(walked.text)


def cost_of_one_more(size: int, act: str) -> int:
    """What reading a row costs after the last of many changes, in parts that were put together."""
    mirror, reader = page(("div", [("b", [])] * size)), Reader()
    block = mirror.get(1)
    assert block is not None
    for number in range(100):
        new = add(1, element(10_000 + number, "b"), before=100 + number if act == "insert" else None)
        gone = [{"id": 2 + number}] if act == "remove and append" else []
        mirror.apply(Mutation.of({"adds": [new], "removes": gone}))
        reader.refill()
        reader.read(block)
    return (reading.READ_BUDGET - reader.left) // 10


def test_what_is_appended_costs_the_same_in_a_row_of_any_length() -> None:
    assert cost_of_one_more(4_000, "append") <= cost_of_one_more(100, "append") <= 4 * RUN_CHILDREN


@pytest.mark.parametrize("act", ["insert", "remove and append"])
def test_elsewhere_a_change_costs_a_part_for_each_run(act: str) -> None:
    assert cost_of_one_more(4_000, act) <= 4_000 / RUN_CHILDREN + 4 * RUN_CHILDREN


@given(st.lists(st.tuples(st.sampled_from(["div", "p", "b"]), PLACES, st.integers(0, 3)), max_size=40))
def test_selectors_are_those_of_the_page_as_it_is(steps: list[tuple[str, float, int]]) -> None:
    mirror = page(("div", [("p", [])] * (MAX_SIBLINGS - 10)))
    block, places = mirror.get(1), Places(mirror)
    assert block is not None
    for number, (tag, place, act) in enumerate(steps, start=1_000):
        children = list(block.children())
        at = children[int(place * len(children))]
        changes = {"removes": [{"id": at.id}]} if act == 0 else {"adds": [add(1, element(number, tag), at.id)]}
        mirror.apply(Mutation.of(changes if act < 2 else {"adds": [add(1, element(number, tag))]}))
        for node in (block.first, block.last, at if mirror.get(at.id) is at else None):
            assert node is None or places.of(node).selector == _counted(block, node)


def _counted(block: Node, node: Node) -> str:
    row = list(block.children())
    at = row.index(node)
    before = [one for one in row[:at] if one.tag == node.tag]
    after = [one for one in row[at + 1 : at + 1 + MAX_SIBLINGS] if one.tag == node.tag]
    counts = at <= MAX_SIBLINGS and (before or after)
    return f"div > {node.tag}" + (f":nth-of-type({len(before) + 1})" if counts else "")


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


JSON = st.recursive(
    st.none() | st.booleans() | NUMBERS | st.text(st.characters(), max_size=5),
    lambda one: st.lists(one, max_size=4) | st.dictionaries(st.text(max_size=3), one, max_size=3),
    max_leaves=8,
)


@given(st.recursive(NUMBERS | st.text("0123456789,: -", max_size=30), lambda one: st.lists(one, max_size=6)))
def test_integers_of_any_size_are_exact(value: Any) -> None:
    sent = [event(5, {"payload": value})]
    payload = json.dumps(sent).encode()
    assert parse_events(payload) == sent
    assert parse_events(json.dumps(sent, separators=(",", ":")).encode()) == sent


EVENT = st.fixed_dictionaries(
    {"type": st.integers(0, 6), "timestamp": st.integers(0, 10**13)}, optional={"data": JSON, "delay": NUMBERS}
)
UNUSUAL = EVENT | st.fixed_dictionaries({"type": JSON, "timestamp": JSON}) | JSON


@given(st.lists(EVENT) | st.lists(UNUSUAL), st.sampled_from(["array", "object", "one event"]), st.booleans())
def test_a_payload_says_of_itself_what_parsing_all_of_it_says(events: list[Any], form: str, is_ascii: bool) -> None:
    whole: Any = {"array": events, "object": {"seq": 4, "events": events}, "one event": [*events, None][0]}[form]
    payload = json.dumps(whole, ensure_ascii=is_ascii).encode(errors="surrogatepass")
    assert said(lambda: Document(payload).summary) == said(lambda: summarise(parse_events(payload)))
    if isinstance(said(lambda: parse_events(payload)), list):
        parsed = parse_events(payload)
        assert list(custom_data(payload)) == [event.get("data") for event in parsed if event["type"] == 5]
    assert Document(payload).told.get("seq") == (whole.get("seq") if isinstance(whole, dict) else None)


def said(ask: Callable[[], Any]) -> Any:
    """What is told, or how it is refused."""
    try:
        return ask()
    except InvalidRequest as error:
        return error.message
    except ValueError:
        return "events: the array is empty"


@given(st.binary(max_size=12), st.integers(0, 60))
def test_broken_bytes_are_refused_as_when_parsed(bad: bytes, at: int) -> None:
    payload = b'[{"type": 3, "timestamp": 12, "data": {"text": "as it is"}}]'
    payload = payload[:at] + bad + payload[at:]
    assert said(lambda: Document(payload).summary) == said(lambda: summarise(parse_events(payload)))


@pytest.mark.parametrize("pad", range(3))
def test_a_long_integer_is_found_wherever_it_stands(pad: int) -> None:
    payload = b'[{"type":5,"timestamp":1,"data":{"n":%s18446744073709551617}}]' % (b" " * pad)
    assert parse_events(payload)[0]["data"]["n"] == 2**64 + 1


@given(st.text(st.characters(), max_size=8))
def test_what_is_storable_can_be_written(said: str) -> None:
    expected = said.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    assert storable(said) == expected
    storable(said).encode()


@given(st.lists(EVENT), st.sampled_from(["array", "object", "one event"]), st.booleans())
def test_events_one_by_one_are_those_of_the_whole(events: list[Any], form: str, is_ascii: bool) -> None:
    whole: Any = {"array": events, "object": {"seq": 4, "events": events}, "one event": [*events, None][0]}[form]
    payload = json.dumps(whole, ensure_ascii=is_ascii).encode(errors="surrogatepass")
    assert said(lambda: list(each_event(payload))) == said(lambda: raw_events(payload))
    texts = said(lambda: event_texts(payload))
    if isinstance(texts, list):
        assert [json.loads(one) for one in texts] == raw_events(payload)
        assert all(one.isascii() for one in texts)
    else:
        assert texts == said(lambda: raw_events(payload))


@given(st.binary(max_size=12), st.integers(0, 60))
def test_what_is_no_json_is_refused_before_its_first_event(bad: bytes, at: int) -> None:
    payload = b'[{"type": 3, "timestamp": 12, "data": {"text": "as it is"}}]'
    payload = payload[:at] + bad + payload[at:]
    assert said(lambda: isinstance(each_event(payload), Iterator)) == said(lambda: bool(raw_events(payload)) or True)


@pytest.mark.parametrize("letter", ["é", "€", "😀"])
def test_letters_on_the_border_of_a_step_are_whole(letter: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("otel_replay.recording.uploads._UTF8_STEP_BYTES", 7)
    payload = json.dumps([event(5, {"payload": letter * 30})], ensure_ascii=False).encode()
    assert Document(payload).summary.events == 1
    last = payload.rindex(letter.encode())
    cut = payload[: last + 1] + payload[last + 2 :]
    assert "not UTF-8" in str(said(lambda: Document(cut).summary))
