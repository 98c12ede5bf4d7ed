"""What a search asks for, and where a text says it."""

from __future__ import annotations

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from otel_replay.errors import InvalidRequest
from otel_replay.store.text_query import MAX_CHARACTERS, MAX_WORDS, SNIPPET_CHARACTERS, TextQuery, fold


def found(query: str, text: str) -> list[str] | None:
    """The highlighted parts; None when the text does not match."""
    snippet = TextQuery(query).find(text)
    return snippet and [snippet.text[start:end] for start, end in snippet.highlights]


@pytest.mark.parametrize(
    ("query", "text", "wanted"),
    [
        ("refund", "Please REFUND me", ["REFUND"]),
        ("refund", "refunds, prerefund", None),
        ("refund me", "me? a refund!", ["me", "refund"]),
        ("refund you", "a refund for me", None),
        ('"refund me"', "me refund, refund\nme", ["refund me"]),
        ('"a b"', "ba a b", ["a b"]),
        ("refun*", "refuns and refunds", ["refuns", "refunds"]),
        ('"we re*"', "we re refund", ["we re"]),
        ("get_weather", "call get_weather now", ["get_weather"]),
        ("weather get", "get_weather", ["get", "weather"]),
        ("get_weather", "get the weather", None),
        ("AND OR NOT NEAR text:", "text and or not near", ["text", "and", "or", "not", "near"]),
        ("cafe", "un CAFÉ noir", ["CAFÉ"]),
        ("café", "un cafe\u0301 noir", ["cafe\u0301"]),
        ("strasse", "die Straße 5", ["Straße"]),
        ("5", "die Straße 5", ["5"]),
        ("“quoted”", "he “quoted” it", ["quoted"]),
        ("日*", "日本語", ["日"]),
        ("本語", "これは日本語です", ["本語"]),
        ("語本", "これは日本語です", None),
        ("gpt4", "我用GPT4写代码", ["GPT4"]),
        ("が", "か\u3099", ["か\u3099"]),
        ("हिन्दी", "यह हिन्दी है", ["हिन्दी"]),
        ('"unclosed quote', "an unclosed quote", ["unclosed quote"]),
    ],
)
def test_what_matches(query: str, text: str, wanted: list[str] | None) -> None:
    assert found(query, text) == wanted


@pytest.mark.parametrize(
    ("query", "reason"),
    [
        ("", "no word"),
        (' " * ', "no word"),
        ("\ud800 \0", "no word"),
        ("ab*", "too short"),
        ("x" * (MAX_CHARACTERS + 1), "characters"),
        (" ".join(f"w{number}" for number in range(MAX_WORDS + 1)), "words"),
    ],
)
def test_what_is_no_query(query: str, reason: str) -> None:
    with pytest.raises(InvalidRequest, match=reason):
        TextQuery(query)


def test_a_snippet_shows_the_words_round_the_match() -> None:
    snippet = TextQuery("needle").find("hay " * 500 + "the needle\n\n in " + "straw " * 500)
    assert snippet is not None
    assert snippet.text.startswith("…hay hay")
    assert snippet.text.endswith("straw…")
    assert "the needle in straw" in snippet.text
    assert len(snippet.text) <= SNIPPET_CHARACTERS + 2
    [(start, end)] = snippet.highlights
    assert snippet.text[start:end] == "needle"


words = st.lists(st.text("abcé ߁½ﬁ-", min_size=1, max_size=6), min_size=1, max_size=8).map(" ".join)


@given(words, words)
def test_words_decide(query: str, text: str) -> None:
    """Without quotes, prefixes and words grown together a text matches that has all the words."""
    wanted = fold(query).replace("-", " ").split()
    if not wanted or len(query.replace("-", " ").split()) != len(wanted):
        return
    snippet = TextQuery(query.replace("-", " ")).find(text)
    assert (snippet is not None) == (set(wanted) <= set(fold(text).replace("-", " ").split()))


@given(st.text(max_size=80), st.text(string.printable, max_size=80), st.text(max_size=300))
def test_no_query_fails_otherwise(query: str, printable: str, text: str) -> None:
    for one in (query, printable):
        try:
            snippet = TextQuery(one).find(text + one)
        except InvalidRequest:
            continue
        for start, end in snippet.highlights if snippet else ():
            assert 0 <= start < end <= len(snippet.text if snippet else "")
