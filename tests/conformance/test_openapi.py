"""``/openapi.json`` is the contract: Schemathesis asks whatever it allows, and no answer lies outside of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from otel_replay.access.scopes import ROUTES, Scope
from otel_replay.model import Signal
from otel_replay.web.openapi import OPERATIONS, document
from tests.outside.outside import JSON, Outside, running
from tests.outside.telemetry import CHAT, page, span, traces

CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
    response_headers_conformance,
]
TRACE, SESSION, CONVERSATION = "0a" * 16, "s1", "c1"
KNOWN_IDS = [TRACE, SESSION, CONVERSATION, "api", "1", "00000001"]
OPERATION_NAMES = [
    (method, path)
    for path, operations in document()["paths"].items()
    for method in operations
    if method != "parameters"
]
EXAMPLES = max(10, settings().max_examples // 5)


def test_every_route_is_described() -> None:
    """Of the page only what has an address that anybody would ask for."""
    told = {name for name, rule in ROUTES.items() if rule.scope is not Scope.INGEST}
    assert told - set(OPERATIONS) == {"GET /assets", "GET /s/{token}"}
    assert set(OPERATIONS) <= told


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Outside]:
    with running(tmp_path_factory.mktemp("contract") / "replay.db") as outside:
        call = {**CHAT, "session.id": SESSION, "gen_ai.conversation.id": CONVERSATION}
        outside.export(Signal.TRACES, traces(span(TRACE, 1, attributes=call)).SerializeToString())
        outside.upload(SESSION, page())
        spare = outside.post("/api/v1/keys", b'{"name": "spare", "scopes": ["ingest"]}', JSON)
        assert spare.json()["id"] in KNOWN_IDS, "to be revoked instead of the one that asks"
        made = outside.post("/api/v1/keys", b'{"name": "all", "scopes": ["ingest", "read", "share", "admin"]}', JSON)
        assert made.status_code == 200, made.text
        outside.http.headers["x-api-key"] = made.json()["key"]
        yield outside


@pytest.mark.slow
@pytest.mark.parametrize(("method", "path"), OPERATION_NAMES, ids=lambda part: part)
def test_no_answer_lies_outside_the_contract(filled: Outside, method: str, path: str) -> None:
    schema = schemathesis.openapi.from_dict(filled.document("/openapi.json"))
    schema.config.update(base_url=filled.url)
    seen: Counter[int] = Counter()

    @settings(max_examples=EXAMPLES, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @given(case=schema[path][method.upper()].as_strategy(), known=st.none() | st.sampled_from(KNOWN_IDS))
    def ask(case: Any, known: str | None) -> None:
        if known is not None:
            case.path_parameters = dict.fromkeys(case.path_parameters or {}, known)
        answer = case.call(session=filled.http, timeout=20)
        seen[answer.status_code] += 1
        case.validate_response(answer, checks=CHECKS)

    ask()
    assert sum(seen.values()) > 0
    assert not {status for status in seen if status >= 500}, seen
    assert 401 not in seen or "log" in path, seen


def test_the_document_is_served(filled: Outside) -> None:
    assert filled.document("/openapi.json") == document()
