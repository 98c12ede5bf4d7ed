"""Redaction, erasure, retention and the audit trail, as senders and operators meet them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import requests

from otel_replay.config import Settings, read_config
from otel_replay.errors import InvalidRequest
from otel_replay.model import Signal
from otel_replay.privacy.policy import Action
from otel_replay.receiver.sink import SqliteSink
from tests.outside.outside import JSON, Outside, answered, command, eventually, running
from tests.outside.telemetry import page, span, traces
from tests.privacy.secrets import SECRETS
from tests.store.bytes_of import places_of

pytestmark = pytest.mark.slow

SECRET = SECRETS["anthropic-key"]
TRACE = "ab" * 16


def metrics_of(receiver: Outside) -> str:
    return receiver.http.get(receiver.url + "/metrics", timeout=20).text


@pytest.mark.feature("K15")
@pytest.mark.parametrize("together", [1, 3])
def test_no_secret_reaches_the_file_on_any_way_in(tmp_path: Path, together: int) -> None:
    database = tmp_path / "replay.db"
    body = traces(span(TRACE, 1, attributes={"note": f"my {SECRET}", "session.id": "s1"})).SerializeToString()
    attribute = {"key": "http.request.header.authorization", "value": {"stringValue": f"Bearer {SECRET}"}}
    log = {"timeUnixNano": "1763600000000000000", "body": {"stringValue": SECRET}, "attributes": [attribute]}
    bad = {"traceId": SECRET}
    with running(database) as receiver:
        for _ in range(together):
            receiver.export(Signal.TRACES, body)
        document = json.dumps({"resourceLogs": [{"scopeLogs": [{"logRecords": [log]}]}]}).encode()
        assert receiver.post("/v1/logs", document, JSON).status_code == 200
        rejected = json.dumps({"resourceSpans": [{"scopeSpans": [{"spans": [bad]}]}]}).encode()
        assert receiver.post("/v1/traces", rejected, JSON).status_code == 200
        events = [*page(), {"type": 3, "timestamp": 1_763_600_000_100, "data": {"source": 5, "text": SECRET, "id": 3}}]
        receiver.upload("s1", events)
        found = receiver.timeline(f"/api/v1/traces/{TRACE}/timeline")
        assert "[redacted:anthropic-key]" in json.dumps(found)
        counted = metrics_of(receiver)
    assert 'otel_replay_redacted_values_total{rule="anthropic-key"}' in counted
    assert places_of(database, [SECRET.encode()]) == set()


@pytest.mark.feature("K15")
def test_no_secret_reaches_the_file_without_a_server(tmp_path: Path) -> None:
    sink = SqliteSink(str(tmp_path / "replay.db"))
    sink.export_traces(traces(span(TRACE, 1, attributes={"note": f"my {SECRET}"})).SerializeToString())
    sink.close()
    assert places_of(tmp_path / "replay.db", [SECRET.encode()]) == set()


@pytest.mark.feature("K15")
def test_rules_of_a_file_hold(tmp_path: Path) -> None:
    config = tmp_path / "rules.toml"
    config.write_text(
        '[privacy]\nsecrets = "keep"\n[[privacy.rules]]\nname = "email"\naction = "hash"\nkeys = ["*.email"]\n'
    )
    body = traces(span(TRACE, 1, attributes={"enduser.email": "a@b.example", "note": SECRET})).SerializeToString()
    with running(tmp_path / "replay.db", config=config) as receiver:
        receiver.export(Signal.TRACES, body)
        text = json.dumps(receiver.document(f"/api/v1/traces/{TRACE}"))
    assert "[redacted:email:" in text
    assert "a@b.example" not in text
    assert SECRET in text


@pytest.mark.parametrize(
    ("text", "where"),
    [
        ("[privacy]\nsecrets = 'burn'", "privacy.secrets"),
        ("[[privacy.rules]]\nname = 'x'", "privacy.rules\\[0\\]: neither keys nor values"),
        ("[[privacy.rules]]\nname = 'x'\nkeys = ['*']", "every key"),
        ("[[privacy.rules]]\nname = 'x'\nvalues = ['(']", "no regular expression"),
        ("[[privacy.rules]]\nname = 'x'\nvalues = ['a*']", "matches an empty text"),
        ("[privacy]\nrule = 1", "privacy.rule: unknown"),
        ("[retention]\nmax_age = 30", "retention.max_age"),
        ("[retention]\nmax_bytes = '3 apples'", "retention.max_bytes"),
        ("[projects.shop]\nretain = {}", "projects.shop"),
        ("[retentions]", "'retentions' is unknown"),
        ("nonsense", "rules.toml"),
    ],
)
def test_a_wrong_file_is_refused_with_its_place(tmp_path: Path, text: str, where: str) -> None:
    path = tmp_path / "rules.toml"
    path.write_text(text)
    with pytest.raises(InvalidRequest, match=where):
        read_config(path)


def test_a_file_is_read_by_project(tmp_path: Path) -> None:
    path = tmp_path / "rules.toml"
    path.write_text(
        "[retention]\nmax_age = '30d'\nfeatures = {chat = '12h'}\n[projects.shop.retention]\nmax_bytes = '2GB'\n"
        "[projects.shop.privacy]\nsecrets = 'drop'\n"
    )
    rules = read_config(path)
    hour = 3600 * 10**9
    assert (rules.retentions.of("default").max_age_ns, rules.retentions.of("shop").max_bytes) == (720 * hour, 2 * 10**9)
    assert rules.retentions.of("default").features == {"chat": 12 * hour}
    assert (rules.policies.of("default").secrets, rules.policies.of("shop").secrets) == (Action.MASK, Action.DROP)


def store_something(receiver: Outside) -> None:
    told = {"session.id": "s-gone", "user.id": "u-gone"}
    receiver.export(Signal.TRACES, traces(span(TRACE, 1, attributes=told), span("cd" * 16, 2)).SerializeToString())
    receiver.upload("s-gone", page())


@pytest.mark.feature("K16")
def test_a_session_is_erased_by_a_running_server_and_stays_away(tmp_path: Path) -> None:
    database = tmp_path / "replay.db"
    with running(database) as receiver:
        store_something(receiver)
        answer = receiver.http.delete(receiver.url + "/api/v1/sessions/s-gone", timeout=20)
        assert answer.status_code == 200, answer.text
        assert (answer.json()["records"], answer.json()["chunks"]) == (1, 1)
        receiver.upload("s-gone", page())  # acknowledged, and not stored
        assert receiver.get("/api/v1/sessions/s-gone/timeline").status_code == 404
        assert receiver.get(f"/api/v1/traces/{'cd' * 16}").status_code == 200
        assert "otel_replay_erased_late_records 1.0" in metrics_of(receiver)
        assert places_of(database, [b"s-gone", b"u-gone", bytes.fromhex(TRACE)]) == set()
    assert places_of(database, [b"s-gone", b"u-gone", bytes.fromhex(TRACE)]) == set()


@pytest.mark.feature("K16")
@pytest.mark.parametrize("is_running", [True, False])
@pytest.mark.parametrize("subject", [("--session", "s-gone"), ("--user", "u-gone"), ("--trace", TRACE)])
def test_the_command_erases_through_the_server_or_on_the_file(
    tmp_path: Path, subject: tuple[str, str], is_running: bool
) -> None:
    database = tmp_path / "replay.db"
    with running(database) as receiver:
        store_something(receiver)
        if is_running:
            assert answered(receiver.command("erase", *subject, "--format", "json"))["records"] == 1
    if not is_running:
        assert answered(command("erase", *subject, "--format", "json", "--db", str(database)))["records"] == 1
    assert places_of(database, [bytes.fromhex(TRACE)]) == set()
    kind = subject[0].removeprefix("--")
    entries = answered(command("audit", *subject, "--format", "json", "--db", str(database)))["entries"]
    assert [(one["action"], one["kind"], one["outcome"]) for one in entries] == [
        ("erase", kind, "ok"),
        ("erase", kind, "begun"),
    ]
    assert subject[1].encode() not in json.dumps(entries).encode()


def test_erasing_takes_one_subject(tmp_path: Path) -> None:
    with running(tmp_path / "replay.db") as receiver:
        assert receiver.command("erase").exit_code == 2
        assert receiver.command("erase", "--session", "a", "--user", "b").exit_code == 2
        wrong = [{}, {"kind": "planet", "id": "x"}, {"kind": "trace", "id": "x"}, {"kind": "key", "id": "zz"}, {"x": 1}]
        for given in wrong:
            answer: requests.Response = receiver.post("/api/v1/erase", json.dumps(given).encode(), JSON)
            assert answer.status_code == 400, given


@pytest.mark.feature("K21")
def test_the_trail_is_read_page_by_page(tmp_path: Path) -> None:
    with running(tmp_path / "replay.db") as receiver:
        for number in range(3):
            receiver.http.delete(receiver.url + f"/api/v1/sessions/s{number}", timeout=20)
        first = receiver.document("/api/v1/audit", limit=4)
        assert len(first["entries"]) == 4
        rest = receiver.document("/api/v1/audit", limit=4, before=first["next_before"])
        assert (len(rest["entries"]), rest["next_before"]) == (2, None)
        assert len(receiver.document("/api/v1/audit", kind="session", id="s1")["entries"]) == 2
        assert receiver.get("/api/v1/audit", id="s1").status_code == 400


@pytest.mark.feature("K16")
def test_a_server_forgets_what_is_too_old(tmp_path: Path) -> None:
    config = tmp_path / "rules.toml"
    config.write_text("[retention]\nmax_age = '30d'\n")
    database = tmp_path / "replay.db"
    with running(database) as receiver:
        store_something(receiver)  # of 2025
        assert receiver.post("/api/v1/prune", b"{}", JSON).status_code == 400
    with running(database, config=config) as receiver:
        gone = eventually(lambda: receiver.get(f"/api/v1/traces/{TRACE}").status_code, lambda status: status == 404)
        assert gone == 404
        assert answered(receiver.command("prune", "--format", "json"))["blocks"] == 0
    pruned = command("prune", "--vacuum", "--config", str(config), "--db", str(database))
    assert pruned.exit_code == 0, pruned.output


def test_settings_name_the_file() -> None:
    assert Settings().config is None


@pytest.mark.parametrize(("kind", "shown"), [("sessions", "s1-to-be-erased"), ("traces", TRACE)])
def test_links_go_with_what_they_show(tmp_path: Path, kind: str, shown: str) -> None:
    database = tmp_path / "replay.db"
    with running(database) as receiver:
        told = {"session.id": "s1-to-be-erased"}
        receiver.export(Signal.TRACES, traces(span(TRACE, 1, attributes=told)).SerializeToString())
        at = f"{receiver.url}/api/v1/{kind}/{shown}"
        assert requests.post(f"{at}/share", json={}, timeout=20).status_code == 200
        assert requests.delete(at, timeout=20).status_code == 200
    assert places_of(database, [shown.encode()]) == set()
