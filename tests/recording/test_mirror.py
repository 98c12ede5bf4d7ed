from __future__ import annotations

from itertools import permutations
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from otel_replay.recording import mirror as limits
from otel_replay.recording.mirror import Mirror, Mutation
from otel_replay.recording.nodes import Node
from otel_replay.recording.text import added_text, visible_text
from tests.recording.pages import add, element, mutation, recorded, snapshot, text


def tree(node: Node | None) -> Any:
    """A page as nested tuples."""
    return node and (node.id, node.tag, node.attributes, node.text, [tree(child) for child in node.children()])


def page(*body: dict[str, Any]) -> Mirror:
    mirror = Mirror()
    mirror.reset(snapshot(*body)["data"]["node"])
    return mirror


def read(mirror: Mirror, node_id: int = 1) -> str:
    node = mirror.get(node_id)
    assert node is not None
    return visible_text(node).text


def follow(mirror: Mirror, data: dict[str, Any]) -> None:
    mirror.apply(Mutation.of(data))


def check(mirror: Mirror) -> None:
    """Every link in the tree has its counterpart, and nothing is known that is not in the tree."""
    found: list[Node] = [mirror.root] if mirror.root else []
    for node in found:
        children = list(node.children())
        assert all(child.parent is node and child.depth == node.depth + 1 for child in children)
        assert [child.previous for child in children] == [None, *children][: len(children)]
        assert node.last is (children[-1] if children else None)
        assert mirror.get(node.id) is node
        found += children
    assert len(found) == len(mirror)


def test_adds_come_in_any_order() -> None:
    adds = [
        add(3, element(10, "p"), before=11),
        add(3, element(11, "p"), before=16),
        add(10, text(12, "one")),
        add(11, text(14, "two")),
        add(3, element(16, "p")),
        add(16, text(17, "three")),
    ]
    for order in permutations(adds):
        mirror = page()
        follow(mirror, {"adds": list(order)})
        assert read(mirror) == "one two three"
        check(mirror)


def test_a_next_sibling_that_never_comes_is_ignored() -> None:
    mirror = page()
    follow(mirror, {"adds": [add(3, text(10, "a"), before=99), add(3, text(11, "b"), before=10)]})
    assert read(mirror) == "ba"


def test_siblings_that_wait_for_each_other_are_placed() -> None:
    mirror = page()
    follow(mirror, {"adds": [add(3, text(10, "a"), before=11), add(3, text(11, "b"), before=10)]})
    assert sorted(read(mirror)) == ["a", "b"]


def test_removes_texts_and_attributes() -> None:
    mirror = page(element(10, "p", text(11, "old"), class_="a b"), element(12, "p", text(13, "gone")))
    follow(
        mirror,
        {
            "removes": [{"parentId": 3, "id": 12}],
            "texts": [{"id": 11, "value": "new"}],
            "attributes": [{"id": 10, "attributes": {"class": None, "id": "x", "style": {"top": "1px"}}}],
        },
    )
    node = mirror.get(10)
    assert (read(mirror), mirror.get(13), node and node.attributes) == ("new", None, {"id": "x"})
    check(mirror)


def test_a_move_is_a_remove_and_an_add() -> None:
    mirror = page(element(10, "ul", element(11, "li", text(12, "a")), element(13, "li", text(14, "b"))))
    follow(
        mirror,
        {"removes": [{"parentId": 10, "id": 13}], "adds": [add(10, element(13, "li"), 11), add(13, text(14, "b"))]},
    )
    assert read(mirror) == "b a"


def test_a_node_inside_itself_is_refused() -> None:
    mirror = page(element(10, "div", element(11, "div")))
    follow(mirror, {"adds": [add(11, element(10, "div"))]})
    follow(mirror, {"adds": [add(20, element(21, "p")), add(21, element(20, "p"))]})
    assert mirror.get(20) is None
    check(mirror)


def test_an_iframe_shows_its_last_document() -> None:
    mirror = page(element(10, "iframe"))
    for start in (20, 30):
        document = {
            "type": 0,
            "id": start,
            "childNodes": [element(start + 1, "html", text(start + 2, f"page {start}"))],
        }
        follow(mirror, {"adds": [add(10, document)], "isAttachIframe": True})
    assert read(mirror) == "page 30"
    assert mirror.get(20) is None


def test_the_mirror_equals_the_next_full_snapshot_of_a_real_page() -> None:
    events = recorded()["events"]
    first, second = [position for position, event in enumerate(events) if event["type"] == 2]
    followed, fresh = Mirror(), Mirror()
    followed.reset(events[first]["data"]["node"])
    for event in events[first + 1 : second]:
        if event["type"] == 3 and event["data"]["source"] == 0:
            follow(followed, event["data"])
    fresh.reset(events[second]["data"]["node"])
    follow(fresh, events[second + 1]["data"])  # the iframe's document
    assert tree(followed.root) == tree(fresh.root)
    check(followed)


def test_the_mirror_reads_as_the_browser_did() -> None:
    mirror = Mirror()
    for event in recorded()["events"]:
        if event["type"] == 2:
            mirror.reset(event["data"]["node"])
        elif event["type"] == 3 and event["data"]["source"] == 0:
            follow(mirror, event["data"])
    for name, shown in recorded()["texts"].items():
        assert " ".join(shown.split()) in read(mirror), name
    assert "script text" not in read(mirror)
    assert "color" not in read(mirror)
    assert "no script" not in read(mirror)


@pytest.mark.parametrize(("limit", "value"), [("MAX_NODES", 50), ("MAX_DEPTH", 10), ("MAX_CHARS", 100)])
def test_memory_is_bounded(monkeypatch: pytest.MonkeyPatch, limit: str, value: int) -> None:
    monkeypatch.setattr(limits, limit, value)
    mirror = page()
    for node_id in range(10, 200):
        follow(mirror, {"adds": [add(node_id - 1 if node_id > 10 else 3, element(node_id, "div"))]})
        follow(mirror, {"adds": [add(3, text(1_000 + node_id, "ten chars."))]})
    depth = max(node.depth for node in map(mirror.get, range(200)) if node is not None)
    reached = {"MAX_NODES": len(mirror), "MAX_DEPTH": depth, "MAX_CHARS": len(read(mirror))}[limit]
    assert reached == value
    check(mirror)


def test_depth_needs_no_recursion() -> None:
    deep = element(5_000, "b", text(6_000, "deepest"))
    for node_id in range(4_999, 4_100, -1):
        deep = element(node_id, "b", deep)
    assert read(page(deep)) == "deepest"


IDS = st.integers(0, 14)
NODES = st.recursive(
    st.builds(text, IDS, st.text(max_size=3)),
    lambda inner: st.builds(element, IDS, st.sampled_from(["p", "b", "script"]), inner, inner),
    max_leaves=5,
)
SOME_IDS = IDS | st.none() | st.sampled_from(["1", 2.5, True, [], 10**30])
MUTATIONS = st.fixed_dictionaries(
    {
        "adds": st.lists(st.builds(add, SOME_IDS, NODES, SOME_IDS) | st.none(), max_size=5),
        "removes": st.lists(st.fixed_dictionaries({"id": SOME_IDS}), max_size=2),
        "texts": st.lists(
            st.fixed_dictionaries({"id": SOME_IDS, "value": st.text(max_size=3) | st.none()}), max_size=2
        ),
        "attributes": st.lists(st.fixed_dictionaries({"id": SOME_IDS, "attributes": st.none() | st.just({"id": 4})})),
    }
)


@pytest.mark.slow
@settings(max_examples=300)
@given(st.lists(MUTATIONS, max_size=6))
def test_nonsense_leaves_a_sound_tree(mutations: list[dict[str, Any]]) -> None:
    mirror = page(element(4, "p", text(5, "a")), element(6, "div"))
    for changes in mutations:
        follow(mirror, mutation(**changes)["data"])
        check(mirror)


def serialized(node: Node) -> dict[str, Any]:
    kinds = {"#text": 3, "#document": 0}
    children = [serialized(child) for child in node.children()]
    return {
        **element(node.id, node.tag, *children, **node.attributes),
        "type": kinds.get(node.tag, 2),
        "textContent": node.text,
    }


@given(st.lists(MUTATIONS, max_size=4))
def test_a_followed_mirror_equals_one_built_from_its_page(mutations: list[dict[str, Any]]) -> None:
    mirror = page(element(4, "p", text(5, "a")), element(6, "div"))
    for changes in mutations:
        follow(mirror, changes)
    fresh = Mirror()
    fresh.reset(serialized(mirror.root) if mirror.root else None)
    assert tree(fresh.root) == tree(mirror.root)
    for node_id in range(15):
        followed, built = mirror.get(node_id), fresh.get(node_id)
        assert (followed is None) == (built is None)
        if followed and built:
            blocks = [block and block.id for block in (followed.block(), built.block())]
            assert (followed.hidden, blocks[0]) == (built.hidden, blocks[1])


def test_blocks_stand_apart_and_words_stay_together() -> None:
    mirror = page(
        element(10, "p", element(11, "span", text(12, "to")), element(13, "span", text(14, "ken "))),
        element(15, "p", text(16, "two"), element(17, "br"), text(18, "lines ")),
        element(19, "style", text(20, "hidden")),
        element(21, "script"),
    )
    assert read(mirror) == "token two lines"


@pytest.mark.parametrize(
    ("children", "shown"),
    [
        ((text(11, "a"), element(12, "p", text(13, "b")), text(14, "c")), "a b c"),
        (
            (element(12, "style", text(13, "x")), text(14, "a"), element(15, "script", text(16, "y")), text(17, "b")),
            "ab",
        ),
        ((element(12, "b", element(13, "script", text(14, "x"))), element(15, "style"), element(16, "noscript")), ""),
        ((element(12, "script", element(13, "p", text(14, "x"))), text(15, "a"), element(16, "p")), "a"),
        ((text(11, "a"), element(12, "style", text(13, "x"), text(14, "y")), text(15, "b")), "ab"),
    ],
)
def test_what_is_shown(children: tuple[dict[str, Any], ...], shown: str) -> None:
    assert read(page(element(10, "div", *children)), 10) == shown


def test_reading_stops_at_its_limits() -> None:
    node = page(*(text(10 + i, "word ") for i in range(10))).get(3)
    assert node is not None
    assert visible_text(node).complete
    assert (visible_text(node, max_nodes=3).text, visible_text(node, max_nodes=3).complete) == ("word word", False)
    assert (visible_text(node, max_chars=9).text, visible_text(node, max_chars=9).complete) == ("word word", False)


def test_removed_text_makes_room(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "MAX_CHARS", 15)
    mirror = page()
    for node_id in range(10, 20):
        follow(mirror, {"removes": [{"id": node_id - 1}], "adds": [add(3, text(node_id, "ten chars."))]})
    assert read(mirror) == "ten chars."


@pytest.mark.parametrize(
    ("old", "new", "added"),
    [
        ("", "all", "all"),
        ("The", "The end", " end"),
        ("na", "naive", "ive"),
        ("a c", "a b c", "b"),
        ("The **qui", "The quick", "quick"),
        ("Thinking", "The answer", "The answer"),
        ("The end first", "The end of it first", "of it"),
        ("gone and left", "left", ""),
        ("left and gone", "left", ""),
        ("same", "same", ""),
        ("a b b c", "a b c", ""),
    ],
)
def test_added_text(old: str, new: str, added: str) -> None:
    assert added_text(old, new) == added


WORDS = st.lists(st.sampled_from(["a", "b", "cc", "ca"]), max_size=6).map(" ".join)


@given(WORDS, WORDS)
def test_added_text_is_part_of_the_new_text(old: str, new: str) -> None:
    added = added_text(old, new)
    assert added in new
    assert old + added == new or not new.startswith(old)
