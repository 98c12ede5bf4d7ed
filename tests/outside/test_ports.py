"""TLS on both ports, certificates of clients, and a port of its own for page and API."""

from __future__ import annotations

import gc
import subprocess
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import grpc
import pytest
import requests

import otel_replay
from otel_replay.access.scopes import ROUTES
from otel_replay.config import Settings
from otel_replay.errors import ReplayError, RetryableError, Unauthenticated
from otel_replay.model import Signal
from otel_replay.server import Server
from tests.outside.access import ask, make_key
from tests.outside.outside import METHODS, PROTOBUF, command, running
from tests.outside.telemetry import span, traces
from tests.outside.test_access import filled

pytestmark = pytest.mark.slow

BODY = traces(span("ab" * 16, 1)).SerializeToString()


class Certificates(NamedTuple):
    """PEM files of an authority, of a server and of a client that it vouches for."""

    authority: Path
    server: Path
    server_key: Path
    client: Path
    client_key: Path


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    here = tmp_path_factory.mktemp("certificates")

    def openssl(*words: str) -> None:
        subprocess.run(["openssl", *words], cwd=here, check=True, capture_output=True)

    key = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2")
    openssl("req", "-x509", *key, "-keyout", "ca.key", "-out", "ca.pem", "-subj", "/CN=authority")
    for name in ("server", "client"):
        told = here / f"{name}.ext"
        told.write_text("subjectAltName=DNS:localhost,IP:127.0.0.1\n")
        openssl("req", *key, "-keyout", f"{name}.key", "-out", f"{name}.csr", "-subj", f"/CN={name}")
        signed = ("-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-days", "2", "-extfile", told.name)
        openssl("x509", "-req", "-in", f"{name}.csr", *signed, "-out", f"{name}.pem")
    names = ("ca.pem", "server.pem", "server.key", "client.pem", "client.key")
    return Certificates(*(here / name for name in names))


@contextmanager
def channel(address: str, certificates: Certificates, *, with_client: bool) -> Iterator[grpc.Channel]:
    pair = (certificates.client_key.read_bytes(), certificates.client.read_bytes()) if with_client else (None, None)
    credentials = grpc.ssl_channel_credentials(certificates.authority.read_bytes(), *pair)
    with grpc.secure_channel(address, credentials) as opened:
        yield opened


def export(opened: grpc.Channel, **options: Any) -> bytes:
    call: Any = opened.unary_unary(METHODS[Signal.TRACES])
    answer: bytes = call(BODY, timeout=20, **options)
    return answer


@pytest.fixture(autouse=True)
def refused_connections() -> Iterator[None]:
    """asyncio leaves connections whose handshake failed to the collector, which says so: here, not in a later test."""
    yield
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        gc.collect()


def test_tls_on_both_ports(tmp_path: Path, certificates: Certificates) -> None:
    files = {"tls_cert": certificates.server, "tls_key": certificates.server_key}
    with running(tmp_path / "replay.db", **files) as receiver:
        assert receiver.url.startswith("https://127.0.0.1:")
        with channel(receiver.server.grpc_address, certificates, with_client=False) as opened:
            assert export(opened) == b""
        trusted = str(certificates.authority)
        assert ask(receiver, "GET", "/api/v1/traces", verify=trusted).status_code == 200
        with pytest.raises(requests.exceptions.SSLError):
            ask(receiver, "GET", "/healthz", verify=True)
        with pytest.raises(grpc.RpcError), grpc.insecure_channel(receiver.server.grpc_address) as plain:
            export(plain)
        assert len(otel_replay.open(receiver.url, ca=trusted).traces()["traces"]) == 1
        with pytest.raises(RetryableError):
            otel_replay.open(receiver.url).traces()
        at = ("--url", receiver.url, "--tls-ca", trusted)
        for words in (("erase", "--trace", "ab" * 16), ("audit",), ("sessions",)):
            assert command(*words, *at).exit_code == 0, words
        told = command("keys", "create", "k", "--scope", "read", *at)
        assert told.stdout.startswith("orpl_"), told.output
        answer = ask(receiver, "POST", "/api/v1/login", verify=trusted, json={"key": told.stdout.strip()})
        assert "secure" in answer.headers["set-cookie"].lower()


def test_clients_show_a_certificate(tmp_path: Path, certificates: Certificates) -> None:
    """It says who may connect; what they may do is up to their keys."""
    files = {
        "tls_cert": certificates.server,
        "tls_key": certificates.server_key,
        "tls_client_ca": certificates.authority,
    }
    with running(tmp_path / "replay.db", **files) as receiver:
        make_key(receiver, "admin")
        trusted, pair = str(certificates.authority), (str(certificates.client), str(certificates.client_key))
        with pytest.raises(requests.exceptions.ConnectionError):
            ask(receiver, "GET", "/healthz", verify=trusted)
        assert ask(receiver, "GET", "/healthz", verify=trusted, cert=pair).status_code == 200
        assert ask(receiver, "GET", "/api/v1/sessions", verify=trusted, cert=pair).status_code == 401
        for with_client, code in ((False, grpc.StatusCode.UNAVAILABLE), (True, grpc.StatusCode.UNAUTHENTICATED)):
            with channel(receiver.server.grpc_address, certificates, with_client=with_client) as opened:
                with pytest.raises(grpc.RpcError) as refused:
                    export(opened)
                error: Any = refused.value
                assert error.code() is code


@pytest.mark.parametrize("wrong", ["cert", "key", "client_ca", "no key", "other key"])
def test_files_that_cannot_be_used_are_named_at_start(tmp_path: Path, certificates: Certificates, wrong: str) -> None:
    nonsense = tmp_path / "nonsense.pem"
    nonsense.write_text("nonsense")
    good = Settings(
        database=tmp_path / "replay.db",
        grpc_port=0,
        http_port=0,
        tls_cert=certificates.server,
        tls_key=certificates.server_key,
    )
    changed: dict[str, Any] = {
        "cert": {"tls_cert": nonsense},
        "key": {"tls_key": nonsense},
        "client_ca": {"tls_client_ca": nonsense},
        "no key": {"tls_key": None},
        "other key": {"tls_key": certificates.client_key},
    }
    with pytest.raises(ReplayError, match="--tls-cert") as refused:
        Server(replace(good, **changed[wrong])).start()
    assert refused.value.hint
    with running(tmp_path / "replay.db"):
        pass  # nothing holds on to the file


def test_with_a_port_of_its_own_page_and_api_leave_that_of_telemetry(tmp_path: Path) -> None:
    with running(tmp_path / "replay.db", ui_port=0) as receiver:
        ui, telemetry = receiver.server.ui_url, receiver.server.http_url
        assert ui != telemetry
        for row, rule in ROUTES.items():
            method, path = row.split(" ", 1)
            headers = {"content-type": PROTOBUF} if path.startswith("/v1/") else {}
            answer = ask(receiver, method, filled(path), data=b"" if headers else "{}", headers=headers)
            # The router's own answers have no detail; of a session that is not there the route itself says so.
            is_router_s = answer.status_code in (404, 405) and "detail" not in answer.json()
            assert is_router_s != rule.everywhere, (row, answer.text)
        with requests.Session() as http:
            http.trust_env = False
            assert http.get(f"{ui}/api/v1/sessions", timeout=20).status_code == 200
            assert http.get(f"{ui}/healthz", timeout=20).status_code == 200
        listed = command("keys", "list", "--db", str(receiver.database), "--format", "json")
        assert listed.exit_code == 0, listed.output


# The command line, through a running server


def test_keys_are_made_through_the_running_server(tmp_path: Path) -> None:
    with running(tmp_path / "replay.db") as receiver:
        file = ("--db", str(receiver.database))
        boss = command("keys", "create", "boss", "--scope", "admin", "--scope", "read", *file)
        key = boss.stdout.strip()
        assert "shown this once" in boss.stderr
        with pytest.raises(Unauthenticated):
            raise command("keys", "list", *file).exception or AssertionError
        listed = command("keys", "list", *file, OTEL_REPLAY_KEY=key).stdout
        assert "boss" in listed
        assert key[-43:] not in listed
        assert command("sessions", "--url", receiver.url, "--key", key).exit_code == 0
        rotated = command("keys", "rotate", "1", "--overlap", "0s", *file, "--key", key).stdout.strip()
        assert ask(receiver, "GET", "/api/v1/sessions", key).status_code == 401
        assert ask(receiver, "GET", "/api/v1/sessions", rotated).status_code == 200
        linked = command("keys", "link", *file, "--key", rotated).stdout.strip()
        assert ask(receiver, "GET", linked.removeprefix(receiver.url)).status_code == 303
        assert "00000002 is revoked" in command("keys", "revoke", "2", *file, "--key", rotated).stdout
        assert ask(receiver, "GET", "/api/v1/sessions", rotated).status_code == 401
