"""What is found in texts and what is not: by look, by key, in JSON however it is quoted."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue

from otel_replay.privacy.patterns import CARD, VALUE_PATTERNS
from otel_replay.privacy.policy import Action, Policy, Rule
from otel_replay.privacy.texts import Dropped, TextRedactor
from tests.privacy.secrets import HARMLESS, IN_CONTEXT, SECRETS

pytestmark = pytest.mark.feature("K15")

SECRET = SECRETS["anthropic-key"]


USUAL = Policy()


def redactor(policy: Policy = USUAL, counts: Counter[str] | None = None) -> TextRedactor:
    counted: Counter[str] = Counter() if counts is None else counts
    return TextRedactor(policy, b"k" * 32, lambda rule, values: counted.update({rule: values}))


DEFAULT = redactor()
COUNTED: Counter[str] = Counter()
COUNTING = redactor(counts=COUNTED)
"""One for all: its patterns take 50 ms to compile."""


@pytest.mark.parametrize("form", ["{}", "use {} here", "é{}", "({}).", '"{}"', "a={}&b", "a\n{}\n"])
@pytest.mark.parametrize("rule", SECRETS)
def test_a_known_secret_is_replaced_wherever_it_stands(rule: str, form: str) -> None:
    COUNTED.clear()
    left = COUNTING.text(form.format(SECRETS[rule]))
    assert left == form.format(f"[redacted:{rule}]")
    assert dict(COUNTED) == {rule: 1}


@pytest.mark.parametrize(("rule", "form", "secret"), IN_CONTEXT)
def test_only_the_secret_of_a_text_is_replaced(rule: str, form: str, secret: str) -> None:
    assert DEFAULT.text(form.format(secret)) == form.format(f"[redacted:{rule}]")


@pytest.mark.parametrize("text", HARMLESS)
def test_what_is_no_secret_stays_the_same_object(text: str) -> None:
    assert DEFAULT.text(text) is text


@pytest.mark.parametrize("levels", range(1, 6))
@pytest.mark.parametrize("key", ["password", "clientSecret", "x-api-key", "db.password", "Authorization", "set-cookie"])
def test_json_is_looked_into_however_often_it_is_quoted(key: str, levels: int) -> None:
    def quoted(secret: str) -> str:
        text = json.dumps({key: secret, "n": 1.5, "tokens": 12})
        for _ in range(levels - 1):
            text = json.dumps({"body": text})
        return text

    assert DEFAULT.text(quoted("hunter2")) == quoted("[redacted:secret-key]")


@pytest.mark.parametrize(
    ("document", "left"),
    [
        ({"cookie": ["a=b", "c=d"]}, {"cookie": ["[redacted:secret-key]"] * 2}),
        ({"credentials": {"pin": [1234]}}, {"credentials": {"pin": ["[redacted:secret-key]"]}}),
        ([{"name": "X-Api-Key", "value": "v"}], [{"name": "X-Api-Key", "value": "[redacted:secret-key]"}]),
        ({"type": "password", "value": "v"}, {"type": "password", "value": "[redacted:secret-key]"}),
        ({"password": None, "has_password": True}, None),
    ],
)  # fmt: skip
def test_everything_under_a_secret_key_goes(document: Any, left: Any) -> None:
    text = json.dumps(document)
    assert json.loads(DEFAULT.text(text)) == (document if left is None else left)


def test_escapes_hide_nothing() -> None:
    hidden = "".join(rf"\u{ord(character):04x}" for character in SECRET)
    assert DEFAULT.text(f'{{"note": "{hidden}"}}') == '{"note": "[redacted:anthropic-key]"}'
    assert "hunter2" not in DEFAULT.text(r'{"pass\u0077ord": "hunter2"}')


def test_a_name_given_twice_hides_nothing() -> None:
    assert SECRET not in DEFAULT.text(f'{{"a": "{SECRET}", "a": "harmless"}}')


def test_equal_values_have_equal_hashes_under_one_key_only() -> None:
    one, other = redactor(Policy(Action.HASH)), TextRedactor(Policy(Action.HASH), b"other", lambda *_: None)
    assert one.text(f"a {SECRET}") == f"a {one.text(SECRET)}"
    assert one.text(SECRET) != other.text(SECRET)
    assert one.text(SECRET).startswith("[redacted:anthropic-key:")


def test_what_is_to_be_dropped_takes_the_text_with_it() -> None:
    left = redactor(Policy(Action.DROP)).text(f"some {SECRET} of mine")
    assert isinstance(left, Dropped)
    assert left == "[redacted:anthropic-key]"
    assert redactor(Policy(Action.DROP)).text(json.dumps({"a": 1, "b": SECRET})) == '{"a": 1}'


def test_secrets_can_be_kept() -> None:
    assert redactor(Policy(secrets=None)).text(f"password={SECRET}") == f"password={SECRET}"


def test_own_rules_find_values_and_keys() -> None:
    rules = (Rule("email", Action.HASH, values=(r"[a-z.]+@[a-z.]+",)), Rule("person", keys=("user.*", "*.ssn")))
    mine = redactor(Policy(secrets=None, rules=rules))
    assert mine.text("ask a.b@example.org now").startswith("ask [redacted:email:")
    assert mine.text('{"user.name": "Ada", "tax.SSN": 12, "other": "Ada"}') == (
        '{"user.name": "[redacted:person]", "tax.SSN": "[redacted:person]", "other": "Ada"}'
    )


PIECES = st.sampled_from(
    [*SECRETS.values(), *(form.format(secret) for _, form, secret in IN_CONTEXT), *HARMLESS, "", " ", "\0", "é", "\\"]
)


@given(st.lists(PIECES | st.text(max_size=30), max_size=6), st.integers(0, 40), st.binary(max_size=4))
def test_the_quick_look_misses_nothing_that_an_expression_finds(pieces: list[str], cut: int, before: bytes) -> None:
    text = "".join(pieces)[cut:]
    found = any(value.expression.search(text) for value in DEFAULT._values if value.finding.rule != CARD.rule)
    assert len(DEFAULT._values) == len(VALUE_PATTERNS) + 1
    if found or DEFAULT.text(text) is not text:
        assert DEFAULT.touches(before + text.encode(errors="surrogatepass"))


@given(
    st.text(alphabet="0123456789", min_size=12, max_size=12),
    st.binary(max_size=20),
    st.sampled_from(["", " ", "-"]),
    st.integers(0, 300),
    st.sampled_from([" .", " 12345"]),
)
def test_a_card_is_found_at_any_place(digits: str, before: bytes, gap: str, further: int, after: str) -> None:
    """Also where the text's length, which stands before it in protobuf, looks like a digit, and among other numbers."""
    number = f"4{digits}00"
    card = next(number + str(check) for check in range(10) if CARD.holds(number + str(check)))
    text = gap.join(card[at : at + 4] for at in range(0, 16, 4)) + after * further
    encoded = KeyValue(key="k", value=AnyValue(string_value=text)).SerializeToString()
    assert DEFAULT.touches(before + encoded + b"Jb")
    assert DEFAULT.text(text) == "[redacted:credit-card]" + after * further


@given(st.text() | st.recursive(st.text(), st.lists).map(json.dumps))
def test_any_text_is_taken(text: str) -> None:
    left = DEFAULT.text(text)
    assert DEFAULT.text(left) == left
