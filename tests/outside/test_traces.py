"""Trace search, services and operations: the same answers by HTTP, in Python and on the command line."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

import pytest
from opentelemetry.proto.trace.v1.trace_pb2 import Status

import otel_replay
from otel_replay.errors import InvalidRequest
from otel_replay.model import Signal
from tests.outside.outside import PROBLEM, Outside, answered, command
from tests.outside.telemetry import MS, START, span, span_id, traces

Document = dict[str, Any]

CART, HOME = "c0" * 16, "40" * 16
ERROR = Status(code=Status.STATUS_CODE_ERROR)


@pytest.fixture(scope="module")
def told(receiver: Outside) -> Outside:
    """Two traces of a shop: a cart that fails in its database, and the home page, later."""
    cart = span(CART, 1, name="GET /cart", attributes={"http.route": "/cart", "http.response.status_code": 500})
    query = span(CART, 2, 1, name="SELECT", attributes={"rows": 0}, status=ERROR, end_time_unix_nano=START + 902 * MS)
    home = span(HOME, 5, name="GET /", attributes={"http.route": "/", "session.id": "visit 1", "n": "500"})
    for request in (traces(cart, service="shop"), traces(query, service="db"), traces(home, service="shop")):
        receiver.export(Signal.TRACES, request.SerializeToString())
    return receiver


# Ways to ask. The names are those of the HTTP interface, durations in milliseconds.

Asking = Callable[[Outside, Mapping[str, Any]], Document]


def over_http(receiver: Outside, wanted: Mapping[str, Any]) -> Document:
    texts = {name: f"{value}ms" if name.endswith("duration") else value for name, value in wanted.items()}
    return receiver.document("/api/v1/traces", **texts)


def in_python(target: Any, wanted: Mapping[str, Any]) -> Document:
    names = {"attr": "attributes", "since": "since_unix_nano", "until": "until_unix_nano"}
    given = {names.get(name, name): value for name, value in wanted.items() if not name.endswith("duration")}
    given |= {f"{name}_ns": value * MS for name, value in wanted.items() if name.endswith("duration")}
    replay = otel_replay.open(target)
    try:
        found: Document = replay.traces(**given)
        return found
    finally:
        replay.close()


def from_the_file(receiver: Outside, wanted: Mapping[str, Any]) -> Document:
    return in_python(receiver.database, wanted)


def from_the_url(receiver: Outside, wanted: Mapping[str, Any]) -> Document:
    return in_python(receiver.url, wanted)


def arguments(wanted: Mapping[str, Any]) -> list[str]:
    given = []
    for name, value in wanted.items():
        for one in value if isinstance(value, list) else [value]:
            unit = "ms" if name.endswith("duration") else ""
            given += ["--" + name.replace("_", "-"), f"{one}{unit}"]
    return ["traces", *given, "--format", "json"]


def by_command_on_the_file(receiver: Outside, wanted: Mapping[str, Any]) -> Document:
    found: Document = answered(receiver.command(*arguments(wanted)))
    return found


def by_command_on_the_url(receiver: Outside, wanted: Mapping[str, Any]) -> Document:
    found: Document = answered(command(*arguments(wanted), "--url", receiver.url))
    return found


WAYS = [over_http, from_the_file, from_the_url, by_command_on_the_file, by_command_on_the_url]

QUESTIONS: list[tuple[Mapping[str, Any], list[str]]] = [
    ({}, [HOME, CART]),
    ({"service": "shop"}, [HOME, CART]),
    ({"service": "db"}, [CART]),
    ({"service": "nobody"}, []),
    ({"operation": "SELECT"}, [CART]),
    ({"service": "shop", "operation": "SELECT"}, []),
    ({"status": "error"}, [CART]),
    ({"status": "unset", "service": "db"}, []),
    ({"attr": ["http.route=/cart"]}, [CART]),
    ({"attr": ["http.response.status_code=500"]}, [CART]),
    ({"attr": ["http.response.status_code=500", "http.route=/"]}, []),
    ({"attr": ['n="500"']}, [HOME]),
    ({"attr": ["n=500"]}, []),
    ({"attr": ["http.route=*"]}, [HOME, CART]),
    ({"attr": ["resource.service.name=db", "span.rows=0"]}, [CART]),
    ({"min_duration": 900}, [CART]),
    ({"max_duration": 10}, [HOME, CART]),
    ({"max_duration": 9}, []),
    ({"since": START + 3 * MS}, [HOME]),
    ({"until": START + 5 * MS}, [CART]),
    ({"limit": 1}, [HOME]),
]


@pytest.mark.feature("K8")
@pytest.mark.parametrize("way", WAYS, ids=lambda way: str(way.__name__))
@pytest.mark.parametrize(("wanted", "expected"), QUESTIONS, ids=lambda part: json.dumps(part))
def test_filters(told: Outside, way: Asking, wanted: Mapping[str, Any], expected: list[str]) -> None:
    found = way(told, wanted)
    assert [one["trace_id"] for one in found["traces"]] == expected
    assert found == over_http(told, wanted)


@pytest.mark.feature("K8")
def test_what_is_said_of_a_trace(told: Outside) -> None:
    home, cart = told.document("/api/v1/traces")["traces"]
    assert cart == {
        "trace_id": CART,
        "root_service": "shop",
        "root_name": "GET /cart",
        "start_unix_nano": str(START + 1 * MS),
        "duration_ns": str(901 * MS),
        "spans": 2,
        "errors": 1,
        "session_id": "",
        "matched_span_ids": [span_id(1), span_id(2)],
    }
    assert (home["session_id"], home["errors"]) == ("visit 1", 0)
    [failed] = told.document("/api/v1/traces", status="error")["traces"]
    assert failed["matched_span_ids"] == [span_id(2)]


@pytest.mark.feature("K8")
@pytest.mark.parametrize("way", WAYS, ids=lambda way: str(way.__name__))
def test_pages(told: Outside, way: Asking) -> None:
    first = way(told, {"limit": 1})
    second = way(told, {"limit": 1, "cursor": first["next_cursor"]})
    assert [one["trace_id"] for page in (first, second) for one in page["traces"]] == [HOME, CART]
    assert second["next_cursor"] is None


def test_attributes_in_python(told: Outside) -> None:
    for target in (told.database, told.url):
        replay = otel_replay.open(target)
        for attributes, expected in (
            ({"http.route": "/cart", "http.response.status_code": 500}, [CART]),
            ({"http.response.status_code": "500"}, []),
            ({"n": "500"}, [HOME]),
            ({"span.http.route": None}, [HOME, CART]),
            ("http.route=/", [HOME]),
        ):
            found = replay.traces(attributes=attributes)["traces"]
            assert [one["trace_id"] for one in found] == expected
        replay.close()


@pytest.mark.feature("K8")
def test_services_and_operations(told: Outside) -> None:
    assert told.document("/api/v1/services") == {"services": ["db", "shop"]}
    assert told.document("/api/v1/services/shop/operations") == {"operations": ["GET /", "GET /cart"]}
    assert told.document("/api/v1/services/a/slash/operations") == {"operations": []}
    for target in (told.database, told.url):
        replay = otel_replay.open(target)
        assert replay.services() == ["db", "shop"]
        assert replay.operations("db") == ["SELECT"]
        assert replay.operations("\ud800") == []
        replay.close()


def test_as_text(told: Outside) -> None:
    shown = told.command("traces", "--limit", "1")
    assert HOME in shown.stdout
    assert "GET /" in shown.stdout
    assert "10.000" in shown.stdout, "milliseconds"
    assert "more with --cursor" in shown.stderr
    assert CART not in shown.stdout
    assert told.command("traces", "--service", "nobody").stdout == "no traces\n"


def test_names_that_a_terminal_would_obey(told: Outside) -> None:
    request = traces(span("e5" * 16, 1, name="\x1b[2J"), service="\x1b[31mred")
    told.export(Signal.TRACES, request.SerializeToString())
    shown = told.command("traces", "--service", "\x1b[31mred").stdout
    assert "?[2J" in shown
    assert "\x1b" not in shown
    told.document("/api/v1/traces", service="\x1b[31mred")


# Wrong questions

WRONG: list[tuple[Mapping[str, Any], str]] = [
    ({"attr": ["http.route"]}, "'http.route' is not an attribute filter (write key=value"),
    ({"attr": ["a=1", "=5"]}, "'' is not the key of an attribute filter"),
    ({"attr": ["span.=5"]}, "'span.' is not the key"),
    ({"attr": ["n=1e999"]}, "'n' cannot equal"),
    ({"attr": ["a=1"] * 101}, "at most 100"),
    ({"limit": 0}, "limit is 0"),
    ({"cursor": "x"}, "the cursor is not one"),
    ({"min_duration": 5, "max_duration": 4}, "exchange the two"),
]


@pytest.mark.parametrize(("wanted", "words"), WRONG)
def test_wrong_filters(told: Outside, wanted: Mapping[str, Any], words: str) -> None:
    texts = {name: f"{value}ms" if name.endswith("duration") else value for name, value in wanted.items()}
    answer = told.get("/api/v1/traces", **texts)
    assert (answer.status_code, answer.headers["content-type"]) == (400, PROBLEM)
    assert words in answer.json()["detail"]
    for target in (told.database, told.url):
        with pytest.raises(InvalidRequest) as refused:
            in_python(target, wanted)
        assert words in str(refused.value)


@pytest.mark.parametrize(
    ("parameters", "words"),
    [
        ({"status": "bad"}, "status 'bad' is not one (ask for ok, error or unset)"),
        ({"min_duration": "5"}, "'5' is not a duration"),
        ({"min_duration": "999999999999h"}, "no span takes"),
        ({"since": "yesterday"}, "'yesterday' is not a time"),
        ({"limit": "many"}, "limit 'many' is not a whole number"),
        ({"attribute": "a=1"}, "unknown parameter 'attribute'"),
    ],
)
def test_wrong_parameters(told: Outside, parameters: Mapping[str, str], words: str) -> None:
    answer = told.get("/api/v1/traces", **parameters)
    assert (answer.status_code, answer.headers["content-type"]) == (400, PROBLEM)
    assert words in answer.json()["detail"]


def test_wrong_options(told: Outside) -> None:
    for given, kind in (
        (("--attr", "http.route"), InvalidRequest),
        (("--min-duration", "5"), SystemExit),
        (("--status", "bad"), SystemExit),
        (("--limit", "0"), SystemExit),
    ):
        refused = told.command("traces", *given)
        assert refused.exit_code != 0
        assert isinstance(refused.exception, kind)


def test_strange_text_finds_nothing(told: Outside) -> None:
    for text in ("\ud800", "a\0b", "x" * 10_000, "'; DROP TABLE blocks; --", '["', "%", "ä&service=shop"):
        for target in (told.database, told.url):
            for name in ("service", "operation"):
                assert in_python(target, {name: text})["traces"] == []
            assert in_python(target, {"attr": [f"k={text}", f"k{text}=*"]})["traces"] == []
