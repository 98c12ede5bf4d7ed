"""Baggage reaches hosts of one's own, and nobody else's."""

from __future__ import annotations

from collections import UserDict
from typing import Any

import pytest
from opentelemetry import trace
from opentelemetry.baggage.propagation import W3CBaggagePropagator
from opentelemetry.propagators.composite import CompositePropagator
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF
from opentelemetry.trace import SpanKind
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from otel_replay.sdk import OwnHosts, OwnHostsPropagator, chat, session
from otel_replay.sdk.propagation import own_hosts

TRACER = TracerProvider().get_tracer("test")
PLAIN = CompositePropagator([TraceContextTextMapPropagator(), W3CBaggagePropagator()])
BAGGAGE = "session.id=s1,user.id=u1"

OWN = ["localhost", "LOCALHOST.", "127.0.0.1", "127.8.9.1", "::1", "10.1.2.3", "172.16.0.9", "192.168.1.1", "fd00::1"]
OWN += ["169.254.7.7", "fe80::1", "::ffff:10.0.0.1", "backend", "order_service", "b", "app.localhost", "printer.local"]
OWN += ["db.prod.internal"]
FOREIGN = ["api.openai.com", "8.8.8.8", "2001:4860:4860::8888", "::ffff:8.8.8.8", "134744072", "0x08080808", "8.8"]
FOREIGN += ["localhost.evil.com", "internal.com", "xn--80ak6aa92e.com", "", "a b", "-x", "evil.com\\"]
FOREIGN += ["api.partner.example"]


@pytest.mark.parametrize("host", OWN)
def test_own_hosts(host: str) -> None:
    assert host in OwnHosts()


@pytest.mark.parametrize("host", [*FOREIGN, None])
def test_other_hosts(host: str | None) -> None:
    assert host not in OwnHosts()


def test_hosts_are_named_one_by_one_or_by_their_domain(monkeypatch: pytest.MonkeyPatch) -> None:
    hosts = OwnHosts(["API.partner.example", ".shop.example", "*.svc.cluster.net"])
    wanted = ["api.partner.example", "a.shop.example", "a.b.shop.example", "orders.svc.cluster.net"]
    assert [host for host in wanted if host not in hosts] == []
    others = ["partner.example", "x.api.partner.example", "shop.example", "evilshop.example", "api.partner.example.com"]
    assert [host for host in others if host in hosts] == []


def test_names_of_hosts_are_taken_as_people_write_them(caplog: pytest.LogCaptureFixture) -> None:
    told = ["api.example.:8443", "https://Web.example/path", "2620:FE:0::7", "[2620:0:2D0::0:1]:80", "8.8.8.8"]
    hosts = OwnHosts([*told, "", "http://", "*", "*."])
    wanted = ["api.example", "API.example.", "web.example", "2620:fe::7", "2620:0:2d0::1", "2620:0:2d0:0::1", "8.8.8.8"]
    assert [host for host in wanted if host not in hosts] == []
    others = ["2620:0:2d0::2", "2620", "example", "anything.example", "8.8.4.4"]
    assert [host for host in others if host in hosts] == ["example"]  # no dot
    assert caplog.text.count("names no host") == 3


def test_hosts_are_named_by_the_environment_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_REPLAY_PROPAGATE_TO", "one.example, two.example")
    hosts = own_hosts(["three.example"])
    assert [host for host in ("one.example", "two.example", "three.example") if host not in hosts] == []
    assert "four.example" not in own_hosts([])


def test_one_host_is_a_text_too() -> None:
    hosts = own_hosts("api.example.com, .shop.example")
    wanted = ["api.example.com", "a.shop.example"]
    assert [host for host in wanted if host not in hosts or host not in OwnHosts(",".join(wanted))] == []
    assert "example.com" not in hosts


def test_a_user_who_became_known_goes_along() -> None:
    carrier: dict[str, str] = {}
    with (
        session("s1") as visit,
        TRACER.start_as_current_span("GET", kind=SpanKind.CLIENT, attributes={"url.full": "http://orders/"}),
    ):
        visit.update(user_id="ada")
        OwnHostsPropagator(PLAIN, OwnHosts()).inject(carrier)
    assert carrier["baggage"] == "session.id=s1,user.id=ada"


def sent(attributes: dict[str, Any], kind: SpanKind = SpanKind.CLIENT, **headers: str) -> dict[str, str]:
    """The headers of a request from inside a session, with a span like that of an HTTP instrumentation."""
    carrier: UserDict[str, str] = UserDict(headers)
    propagator = OwnHostsPropagator(PLAIN, OwnHosts([".partner.example"]))
    with session("s1", user_id="u1"), TRACER.start_as_current_span("GET", kind=kind, attributes=attributes):
        propagator.inject(carrier)
    return dict(carrier)


@pytest.mark.feature("K1")
@pytest.mark.parametrize(
    "attributes",
    [
        {"http.url": "http://orders:8080/x"},
        {"url.full": "http://10.0.0.7/x", "server.address": "10.0.0.7"},
        {"server.address": "127.0.0.1"},
        {"net.peer.name": "orders"},
        {"http.host": "orders:8080"},
        {"url.full": "https://api.partner.example/"},
        {"url.full": "http://[::1]:8080/"},
    ],
)
def test_hosts_of_ones_own_are_told_the_session(attributes: dict[str, str]) -> None:
    headers = sent(attributes)
    assert headers["baggage"] == BAGGAGE
    assert "traceparent" in headers


@pytest.mark.parametrize(
    "attributes",
    [
        {"url.full": "https://api.openai.com/v1/chat/completions"},
        {"http.url": "http://localhost@api.openai.com/"},
        {"http.url": "http://api.openai.com/", "net.peer.name": "localhost"},
        {"url.full": "http://[::1/"},
        {"url.full": "http://api.openai.com\\@localhost/"},
        {"url.full": "http://localhost\\.evil.com/"},
        {"url.full": "//api.openai.com#@localhost/"},
        {"url.full": "HTTPS://API.OPENAI.COM:443"},
        {"url.full": "http://127.0.0.1.nip.io/"},
        {"url.full": "http://[::ffff:8.8.8.8]:80/"},
        {"url.full": "http://api。openai。com/"},
        {"rpc.system": "grpc", "rpc.service": "Model", "rpc.method": "Ask"},
        {"url.full": 7, "server.address": 7},
        {"server.address": "8.8.8.8"},
        {},
    ],
)
def test_others_are_told_the_trace_at_most(attributes: dict[str, str]) -> None:
    headers = sent(attributes)
    assert set(headers) == {"traceparent"}


def test_the_conversation_goes_along() -> None:
    carrier: dict[str, str] = {}
    request = TRACER.start_as_current_span("GET", kind=SpanKind.CLIENT, attributes={"http.url": "http://orders/"})
    with session("s1"), chat(conversation_id="c1"), request:
        OwnHostsPropagator(PLAIN, OwnHosts()).inject(carrier)
    assert carrier["baggage"] == "session.id=s1,gen_ai.conversation.id=c1"


def test_the_address_of_ones_own_server_is_not_where_a_request_goes() -> None:
    assert "baggage" not in sent({"server.address": "localhost", "http.host": "localhost"}, SpanKind.SERVER)


def test_a_redirect_does_not_take_it_along() -> None:
    followed = {"Baggage": BAGGAGE, "uberctx-user.id": "u1", "Ot-Baggage-user.id": "u1"}
    headers = sent({"http.url": "https://api.openai.com/"}, SpanKind.CLIENT, **followed, accept="*/*")
    assert set(headers) == {"traceparent", "accept"}


def test_without_a_recorded_span_nothing_is_told() -> None:
    tracer = TracerProvider(sampler=ALWAYS_OFF).get_tracer("test")
    carrier: dict[str, str] = {}
    with session("s1"), tracer.start_as_current_span("GET", kind=SpanKind.CLIENT, attributes={"http.url": "http://b/"}):
        OwnHostsPropagator(PLAIN, OwnHosts()).inject(carrier)
    assert set(carrier) == {"traceparent"}


def test_what_comes_in_is_read_as_before() -> None:
    propagator = OwnHostsPropagator(PLAIN, OwnHosts())
    assert propagator.fields == PLAIN.fields
    incoming = {"traceparent": f"00-{'a' * 32}-{'b' * 16}-01", "baggage": BAGGAGE}
    context = propagator.extract(incoming)
    assert trace.get_current_span(context).get_span_context().trace_id == int("a" * 32, 16)
    carrier: dict[str, str] = {}
    W3CBaggagePropagator().inject(carrier, context)
    assert carrier == {"baggage": BAGGAGE}
