"""Who may call what: every route and RPC with every scope, and the ways in that need no key."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import grpc
import pytest
from google.protobuf.descriptor_pb2 import FileDescriptorProto
from google.rpc.status_pb2 import Status
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from otel_replay._pb.v1 import replay_pb2
from otel_replay.access.scopes import ROUTES, RPCS
from otel_replay.model import Signal, Source
from otel_replay.web.guarding import rules_of
from tests.outside.access import SCOPES, ask, bearer, cookies_of, make_key
from tests.outside.outside import JSON, METHODS, PROBLEM, PROTOBUF, Outside, command, refusal, running
from tests.outside.telemetry import page, span, traces

pytestmark = [pytest.mark.slow, pytest.mark.feature("R6")]

TRACE = "ab" * 16
BODY = traces(span(TRACE, 1)).SerializeToString()
APP = "https://app.example.com"
ROWS = [tuple(row.split(" ", 1)) for row in ROUTES]


class Keyed(NamedTuple):
    receiver: Outside
    keys: dict[str, str]


@pytest.fixture(scope="module")
def keyed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Keyed]:
    """A receiver that needs keys, with one for each scope alone, and one session and trace."""
    with running(tmp_path_factory.mktemp("keyed") / "replay.db") as receiver:
        receiver.export(Signal.TRACES, BODY)
        receiver.upload("s1", page())
        yield Keyed(receiver, {scope: make_key(receiver, scope) for scope in SCOPES})


@pytest.fixture
def fresh(tmp_path: Path) -> Iterator[Outside]:
    with running(tmp_path / "replay.db") as receiver:
        yield receiver


def filled(path: str, *, session: str = "s1", trace: str = TRACE, other: str = "77") -> str:
    """A path of the table with ids: ``session`` and ``trace`` where it names these, else ``other``."""
    known = {"/sessions/{": session, "/traces/{": trace}
    name = next((value for part, value in known.items() if part in path), other)
    for placeholder in ("{session_id:any}", "{id:any}", "{id}", "{token}"):
        path = path.replace(placeholder, name)
    return path


def body_of(path: str) -> dict[str, Any]:
    return {"data": BODY, "headers": {"content-type": PROTOBUF}} if path.startswith("/v1/") else {"json": {}}


# The table


def test_every_route_is_in_the_table_and_the_other_way_round(keyed: Keyed) -> None:
    served = {f"{method} {route.path}" for route in keyed.receiver.server.routes for method in rules_of(route)}  # type: ignore[attr-defined]
    assert served == set(ROUTES)


def test_every_rpc_is_in_the_table_and_the_other_way_round(keyed: Keyed) -> None:
    served = set()
    with grpc.insecure_channel(keyed.receiver.server.grpc_address) as channel:
        stub: Any = reflection_pb2_grpc.ServerReflectionStub(channel)
        asked = stub.ServerReflectionInfo

        def reflected(**question: Any) -> Any:
            request = reflection_pb2.ServerReflectionRequest(**question)
            return next(asked(iter([request]), metadata=[*bearer(keyed.keys["read"]).items()], timeout=20))

        for service in reflected(list_services="").list_services_response.service:
            answer = reflected(file_containing_symbol=service.name)
            file = FileDescriptorProto.FromString(answer.file_descriptor_response.file_descriptor_proto[0])
            methods = {f"{file.package}.{one.name}": one.method for one in file.service}[service.name]
            served |= {f"/{service.name}/{method.name}" for method in methods}
    assert served == set(RPCS)


@pytest.mark.feature("X6")
@pytest.mark.parametrize(("method", "path"), ROWS, ids=ROUTES)
def test_routes_take_their_scope_and_no_other(keyed: Keyed, method: str, path: str) -> None:
    rule = ROUTES[f"{method} {path}"]
    for name in (*SCOPES, None):
        key = keyed.keys[name] if name else None
        answer = ask(keyed.receiver, method, filled(path), key, **body_of(path))
        let_in = answer.status_code not in (401, 403)
        assert let_in == (rule.scope is None or rule.scope == name), (name, answer.status_code, answer.text)
        if not let_in:
            assert answer.status_code == (403 if name else 401)
            assert ("www-authenticate" in answer.headers) == (name is None)
            assert answer.headers["content-type"] == (PROTOBUF if path.startswith("/v1/") else PROBLEM)


@pytest.mark.parametrize("method", RPCS)
def test_rpcs_take_their_scope_and_no_other(keyed: Keyed, method: str) -> None:
    rule = RPCS[method]
    for name in (*SCOPES, None):
        code = rpc_code(keyed.receiver, method, keyed.keys[name] if name else None)
        refused = grpc.StatusCode.PERMISSION_DENIED if name else grpc.StatusCode.UNAUTHENTICATED
        let_in = code not in (grpc.StatusCode.PERMISSION_DENIED, grpc.StatusCode.UNAUTHENTICATED)
        assert let_in == (rule.scope is None or rule.scope == name), (name, code)
        assert let_in or code is refused


def rpc_code(receiver: Outside, method: str, key: str | None) -> grpc.StatusCode:
    """How an RPC with one empty message ends; every kind of RPC is a stream of messages on the wire."""
    call: Any = receiver.channel.stream_stream(method)
    answers = call(iter([b""]), metadata=[*bearer(key).items()], timeout=20)
    try:
        next(answers, None)
    except grpc.RpcError as error:
        code: grpc.StatusCode = error.code()
        return code
    answers.cancel()
    return grpc.StatusCode.OK


def test_what_speaks_of_all_projects_takes_an_admin_of_the_default_one(keyed: Keyed) -> None:
    other = make_key(keyed.receiver, "admin", project="other")
    assert ask(keyed.receiver, "GET", "/metrics", other).status_code == 403
    assert ask(keyed.receiver, "GET", "/metrics", keyed.keys["admin"]).status_code == 200


def test_head_is_let_in_like_get_and_other_methods_are_not_served(keyed: Keyed) -> None:
    assert ask(keyed.receiver, "HEAD", "/api/v1/sessions").status_code == 401
    assert ask(keyed.receiver, "HEAD", "/api/v1/sessions", keyed.keys["read"]).status_code == 200
    assert ask(keyed.receiver, "PUT", "/api/v1/sessions", keyed.keys["read"]).status_code == 405
    assert ask(keyed.receiver, "POST", "/assets/x", keyed.keys["read"]).status_code == 405


# How a key comes


@pytest.mark.parametrize(
    "headers",
    [{"authorization": "Bearer {}"}, {"authorization": "bearer {}"}, {"authorization": "{}"}, {"x-api-key": "{}"}],
)
def test_the_ways_to_send_a_key(keyed: Keyed, headers: dict[str, str]) -> None:
    given = {name: value.format(keyed.keys["ingest"]) for name, value in headers.items()}
    answer = ask(keyed.receiver, "POST", "/v1/traces", data=BODY, headers={**given, "content-type": PROTOBUF})
    assert answer.status_code == 200
    call: Any = keyed.receiver.channel.unary_unary(METHODS[Signal.TRACES])
    assert call(BODY, metadata=[*given.items()], timeout=20) == b""


def test_an_address_carries_only_keys_that_could_stand_in_a_page(keyed: Keyed) -> None:
    def sent(key: str, path: str = "/v1/traces") -> int:
        headers = {"content-type": PROTOBUF}
        return ask(keyed.receiver, "POST", f"{path}?auth={key}", data=BODY, headers=headers).status_code

    assert sent(keyed.keys["ingest"]) == 200
    assert sent(make_key(keyed.receiver, "ingest", "read")) == 403
    assert sent("orpl_00000001_" + "A" * 43) == 401
    for path in ("/api/v1/sessions", "/metrics", "/api/v1/keys"):
        for scope in ("read", "admin"):
            assert ask(keyed.receiver, "GET", f"{path}?auth={keyed.keys[scope]}").status_code == 401


def test_an_otlp_refusal_is_a_status_in_the_request_s_encoding(keyed: Keyed) -> None:
    answer = ask(keyed.receiver, "POST", "/v1/traces", data=BODY, headers={"content-type": PROTOBUF})
    assert Status.FromString(answer.content).code == 16
    assert ask(keyed.receiver, "POST", "/v1/logs", data="{}", headers={"content-type": JSON}).json()["code"] == 16


def test_no_key_is_ever_written_to_a_log_or_an_answer(keyed: Keyed, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    key = keyed.keys["ingest"]
    wrong = f"{key[:-4]}AAAA"
    said = []
    for one in (key, wrong, keyed.keys["read"]):
        for path in ("/v1/traces", "/api/v1/sessions", "/nonsense"):
            said.append(ask(keyed.receiver, "POST", f"{path}?auth={one}", one, data=b"\xff").text)
            said.append(ask(keyed.receiver, "GET", path, one).text)
        said.append(ask(keyed.receiver, "POST", "/api/v1/login", json={"key": one}).text)
        said.append(rpc_code(keyed.receiver, METHODS[Signal.TRACES], one).name)
    records = [record for record in caplog.records if not record.name.startswith("urllib3")]  # the test's own client
    logged = " ".join([*said, *(record.getMessage() for record in records)])
    assert [one for one in (key, wrong, keyed.keys["read"]) if one[-43:] in logged] == []


# Without a key


@pytest.mark.parametrize(
    "headers",
    [
        {"host": "evil.example"},
        {"host": "127.0.0.1.evil.example"},
        {"host": "169.254.169.254"},
        {"forwarded": "for=192.0.2.1"},
        {"x-forwarded-for": "127.0.0.1"},
        {"x-forwarded-host": "localhost"},
        {"X-Forwarded-Anything": "1"},
        {"x-real-ip": "127.0.0.1"},
        {"via": "1.1 proxy"},
    ],
    ids=str,
)
def test_without_a_key_nothing_comes_from_elsewhere(fresh: Outside, headers: dict[str, str]) -> None:
    """A DNS name of an attacker's own that points to 127.0.0.1, and a proxy that serves others."""
    for path, rule in ((filled(path), ROUTES[f"{method} {path}"]) for method, path in ROWS if method == "GET"):
        assert (ask(fresh, "GET", path, headers=headers).status_code == 401) == (rule.scope is not None), path
    sent = ask(fresh, "POST", "/v1/traces", data=BODY, headers={"content-type": PROTOBUF, **headers})
    assert sent.status_code == 401
    metadata = [(name.lower(), value) for name, value in headers.items() if name != "host"]
    if metadata:
        call: Any = fresh.channel.unary_unary(METHODS[Signal.TRACES])
        assert refusal(lambda: call(BODY, metadata=metadata)).code is grpc.StatusCode.UNAUTHENTICATED
    assert fresh.document("/api/v1/traces")["traces"] == []


def test_two_host_headers_are_no_name_of_loopback(fresh: Outside) -> None:
    import socket

    port = int(fresh.url.rsplit(":", 1)[1])
    for hosts in (("evil.example", "localhost"), ("localhost", "evil.example")):
        with socket.create_connection(("127.0.0.1", port), timeout=20) as connection:
            lines = "".join(f"host: {host}\r\n" for host in hosts)
            connection.sendall(f"GET /api/v1/sessions HTTP/1.1\r\n{lines}connection: close\r\n\r\n".encode())
            assert connection.recv(1000).split()[1] in (b"400", b"401")


def test_a_key_opens_what_a_proxy_forwards(fresh: Outside) -> None:
    key = make_key(fresh, "read")
    headers = {"host": "replay.example.com", "x-forwarded-for": "192.0.2.1", "x-forwarded-proto": "https"}
    assert ask(fresh, "GET", "/api/v1/sessions", key, headers=headers).status_code == 200


def test_the_first_admin_key_closes_the_server(fresh: Outside) -> None:
    make_key(fresh, "ingest")
    make_key(fresh, "read")
    assert ask(fresh, "GET", "/api/v1/sessions").status_code == 200
    admin = make_key(fresh, "admin")
    assert ask(fresh, "GET", "/api/v1/sessions").status_code == 401
    assert refusal(lambda: fresh.export(Signal.TRACES, BODY)).code is grpc.StatusCode.UNAUTHENTICATED
    [boss] = [one["id"] for one in ask(fresh, "GET", "/api/v1/keys", admin).json()["keys"] if one["name"] == "admin"]
    assert ask(fresh, "DELETE", f"/api/v1/keys/{boss}", admin).json()["state"] == "revoked"
    assert ask(fresh, "GET", "/api/v1/sessions").status_code == 401


def test_a_server_stays_closed_when_it_starts_again(tmp_path: Path) -> None:
    with running(tmp_path / "replay.db") as first:
        key = make_key(first, "admin", "read")
    with running(tmp_path / "replay.db") as second:
        assert ask(second, "GET", "/api/v1/sessions").status_code == 401
        assert ask(second, "GET", "/api/v1/sessions", key).status_code == 200


def test_where_no_key_is_needed_others_credentials_are_passed_over_and_ours_are_not(fresh: Outside) -> None:
    """HyperDX's SDK, for one, always sends some."""
    assert ask(fresh, "GET", "/api/v1/sessions", "b1946ac9-2bd3").status_code == 200
    assert ask(fresh, "GET", "/api/v1/sessions", "orpl_00000009_" + "A" * 43).status_code == 401


def test_beyond_loopback_a_server_starts_with_keys_and_lets_in_nobody_else(tmp_path: Path) -> None:
    assert command("keys", "create", "k", "--scope", "ingest", "--db", str(tmp_path / "replay.db")).exit_code == 0
    with running(tmp_path / "replay.db", host="0.0.0.0") as receiver:
        assert ask(receiver, "GET", "/healthz").status_code == 200
        assert ask(receiver, "GET", "/api/v1/sessions", headers={"host": "localhost"}).status_code == 401
        assert refusal(lambda: receiver.export(Signal.TRACES, BODY)).code is grpc.StatusCode.UNAUTHENTICATED


def test_the_override_serves_whoever_asks_until_there_is_an_admin_key(tmp_path: Path) -> None:
    with running(tmp_path / "replay.db", host="0.0.0.0", allow_unauthenticated=True) as receiver:
        assert ask(receiver, "GET", "/api/v1/sessions", headers={"via": "1.1 proxy"}).status_code == 200
        make_key(receiver, "admin")
        assert ask(receiver, "GET", "/api/v1/sessions").status_code == 401


# Pages elsewhere


def cookie_of(receiver: Outside, key: str) -> dict[str, str]:
    answer = ask(receiver, "POST", "/api/v1/login", json={"key": key})
    assert answer.status_code == 200, answer.text
    return cookies_of(answer)


CHANGES = [(method, path) for method, path in ROWS if method != "GET" and ROUTES[f"{method} {path}"].scope != "ingest"]


@pytest.mark.parametrize(
    "headers",
    [
        {"origin": "https://evil.example"},
        {"origin": "null"},
        {"origin": "http://localhost:9"},
        {"sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "same-site"},
    ],
    ids=str,
)
@pytest.mark.parametrize(("method", "path"), CHANGES, ids=str)
def test_a_page_elsewhere_changes_nothing(
    keyed: Keyed, fresh: Outside, method: str, path: str, headers: dict[str, str]
) -> None:
    """Neither with the visitor's cookie, nor on a server that needs no key."""
    every_scope = make_key(keyed.receiver, "read", "share")
    cookies = cookie_of(keyed.receiver, every_scope)
    for receiver, with_cookies in ((keyed.receiver, cookies), (fresh, {})):
        answer = ask(receiver, method, filled(path), json={}, headers=headers, cookies=with_cookies)
        assert answer.status_code == 403, answer.text
        assert "another origin" in answer.text
        assert "access-control-allow-origin" not in answer.headers


@pytest.mark.parametrize(("method", "path"), [row for row in CHANGES if row[0] == "POST"], ids=str)
def test_what_a_form_can_send_changes_nothing(fresh: Outside, method: str, path: str) -> None:
    for kind in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data", ""):
        answer = ask(fresh, method, filled(path), data="{}", headers={"content-type": kind})
        assert answer.status_code == 415


def test_only_ingest_routes_answer_preflights(keyed: Keyed) -> None:
    asked = {"origin": "http://localhost:3000", "access-control-request-method": "POST"}
    sent_to = {filled(path) for method, path in ROWS if ROUTES[f"{method} {path}"].scope == "ingest"}
    for _, path in ROWS:
        answer = ask(keyed.receiver, "OPTIONS", filled(path), headers=asked)
        allowed = answer.headers.get("access-control-allow-origin")
        assert (allowed is not None) == (filled(path) in sent_to), path
        assert answer.headers.get("access-control-allow-methods", "POST") == "POST", "what can be read there cannot be"


# Keys for browsers


def test_a_key_for_browsers_is_locked_to_its_origins(fresh: Outside) -> None:
    key = make_key(fresh, "ingest", origins=[APP], project="shop")

    def sent(**headers: str) -> Any:
        return ask(fresh, "POST", "/v1/traces", key, data=BODY, headers={"content-type": PROTOBUF, **headers})

    preflight = {"origin": APP, "access-control-request-method": "POST", "access-control-request-headers": "x-api-key"}
    assert ask(fresh, "OPTIONS", "/v1/traces", headers=preflight).headers["access-control-allow-origin"] == APP
    answer = sent(origin=APP)
    assert (answer.status_code, answer.headers["access-control-allow-origin"]) == (200, APP)
    assert sent(origin="https://evil.example").status_code == 403
    assert sent(origin="http://localhost:3000").status_code == 403
    assert sent().status_code == 403
    assert ask(fresh, "POST", "/v1/traces", headers={"origin": APP}).status_code == 403, "without the key"


def test_a_refusal_can_be_read_by_the_page_that_caused_it(fresh: Outside) -> None:
    make_key(fresh, "ingest", origins=[APP])
    make_key(fresh, "admin")
    answer = ask(fresh, "POST", "/v1/traces", data=BODY, headers={"content-type": PROTOBUF, "origin": APP})
    assert (answer.status_code, answer.headers["access-control-allow-origin"]) == (403, APP)


def test_a_beacon_carries_its_key_in_the_address(fresh: Outside) -> None:
    key = make_key(fresh, "ingest", origins=[APP])
    make_key(fresh, "admin")
    headers = {"origin": APP, "content-type": "text/plain"}
    for path, data in (("/v1/traces", "{}"), ("/api/v1/sessions/b1/events", json.dumps(page()))):
        assert ask(fresh, "POST", f"{path}?auth={key}", data=data, headers=headers).status_code == 200
        assert ask(fresh, "POST", path, data=data, headers=headers).status_code in (401, 403)


def test_what_a_key_wrote_names_it_and_where_it_came_from(fresh: Outside) -> None:
    keys = [make_key(fresh, "ingest", origins=[APP]), make_key(fresh, "ingest")]
    for number, (key, origin) in enumerate(zip(keys, ({"origin": APP}, {}), strict=True)):
        body = traces(span(TRACE, number + 1)).SerializeToString()
        headers = {"content-type": PROTOBUF, **origin}
        assert ask(fresh, "POST", "/v1/traces", key, data=body, headers=headers).status_code == 200
    call: Any = fresh.channel.unary_unary(METHODS[Signal.TRACES])
    call(traces(span(TRACE, 3)).SerializeToString(), metadata=[("x-api-key", keys[1])], timeout=20)
    reader: Any = fresh.server.replay._reader
    with reader._connections.snapshot() as connection:
        rows = connection.execute("SELECT source, requests FROM blocks ORDER BY id").fetchall()
    assert [(source, {key for key, _ in json.loads(requests)}) for source, requests in rows] == [
        (Source.BROWSER, {1}),
        (Source.SERVER, {2}),
        (Source.SERVER, {2}),
    ]


# Rates


def test_more_than_a_key_may_send_is_to_be_sent_later(fresh: Outside) -> None:
    key = make_key(fresh, "ingest", requests_per_second=1)
    headers = {"content-type": PROTOBUF}
    codes = [ask(fresh, "POST", "/v1/traces", key, data=BODY, headers=headers).status_code for _ in range(3)]
    assert codes == [200, 200, 429]
    answer = ask(fresh, "POST", "/v1/traces", key, data=BODY, headers=headers)
    assert int(answer.headers["retry-after"]) >= 1
    assert Status.FromString(answer.content).details[0].type_url.endswith("RetryInfo")
    call: Any = fresh.channel.unary_unary(METHODS[Signal.TRACES])
    refused = refusal(lambda: call(BODY, metadata=[("x-api-key", key)], timeout=20))
    assert refused.code is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert "google.rpc.retryinfo-bin" in refused.trailers
    assert fresh.post("/v1/traces", BODY).status_code == 200, "others are not held up"


def test_bytes_a_second(fresh: Outside) -> None:
    key = make_key(fresh, "ingest", bytes_per_second=1_000)
    events = json.dumps(page()).encode() + b" " * 3_000
    codes = [
        ask(fresh, "POST", f"/api/v1/sessions/{number}/events", key, data=events).status_code for number in range(2)
    ]
    assert codes == [200, 429]


def test_bytes_of_a_stream_count_message_by_message(fresh: Outside) -> None:
    key = make_key(fresh, "ingest", bytes_per_second=1_000)
    chunk = json.dumps(page()).encode() + b" " * 3_000

    def messages() -> Iterator[Any]:
        for number in range(5):
            yield replay_pb2.UploadChunkRequest(session_id="s1", events_json=chunk, seq=number)

    stub = fresh.replay_service
    refused = refusal(lambda: stub.UploadChunks(messages(), metadata=[("x-api-key", key)], timeout=20))
    assert refused.code is grpc.StatusCode.RESOURCE_EXHAUSTED
    [stream] = fresh.document("/api/v1/sessions/s1/recording")["streams"]
    assert (stream["from_seq"], stream["to_seq"]) == (0, 0)


def test_a_sender_that_is_held_back_does_not_fill_the_log(fresh: Outside, caplog: pytest.LogCaptureFixture) -> None:
    key = make_key(fresh, "ingest", requests_per_second=1)
    for _ in range(5):
        ask(fresh, "POST", "/v1/traces", key, data=BODY, headers={"content-type": PROTOBUF})
    assert [record for record in caplog.records if record.levelno >= logging.WARNING] == []
