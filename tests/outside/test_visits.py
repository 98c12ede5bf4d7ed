"""Logging in, links that work once, and shares of one session or one trace."""

from __future__ import annotations

from collections.abc import Iterator
from http.cookies import SimpleCookie
from typing import Any, NamedTuple
from urllib.parse import quote

import pytest

from otel_replay.access.scopes import ROUTES, Kind
from otel_replay.model import Signal
from tests.outside.access import ask, cookies_of, make_key
from tests.outside.outside import Outside, running
from tests.outside.telemetry import page, span, traces
from tests.outside.test_access import filled

pytestmark = pytest.mark.feature("K11")

TRACE, OTHER_TRACE = "ab" * 16, "cd" * 16


class Keyed(NamedTuple):
    receiver: Outside
    key: str


@pytest.fixture(scope="module")
def keyed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Keyed]:
    with running(tmp_path_factory.mktemp("visits") / "replay.db") as receiver:
        for trace, session in ((TRACE, "s/1 ö"), (OTHER_TRACE, "s2")):
            request = traces(span(trace, 1, attributes={"session.id": session}))
            receiver.export(Signal.TRACES, request.SerializeToString())
            receiver.upload(quote(session, safe=""), page())
        yield Keyed(receiver, make_key(receiver, "read", "share", "admin"))


def shared(keyed: Keyed, path: str, **given: Any) -> dict[str, Any]:
    answer = ask(keyed.receiver, "POST", f"/api/v1/{path}/share", keyed.key, json=given)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def visit(keyed: Keyed, path: str) -> dict[str, str]:
    """The cookies that an address gives."""
    answer = ask(keyed.receiver, "GET", path)
    assert answer.status_code == 303, answer.text
    return cookies_of(answer)


def status(keyed: Keyed, path: str, cookies: dict[str, str]) -> int:
    return ask(keyed.receiver, "GET", path, cookies=cookies).status_code


# Logging in and out


def test_a_login_s_cookie_is_out_of_reach(keyed: Keyed) -> None:
    answer = ask(keyed.receiver, "POST", "/api/v1/login", json={"key": keyed.key})
    [cookie] = SimpleCookie(answer.headers["set-cookie"]).values()
    assert (cookie["httponly"], cookie["samesite"].lower(), cookie["path"]) == (True, "strict", "/")
    assert 0 < int(cookie["max-age"]) <= 12 * 3600
    assert keyed.key[-43:] not in answer.headers["set-cookie"]
    assert answer.headers["cache-control"] == "no-store"


def test_a_login_reads_and_a_logout_ends_it(keyed: Keyed) -> None:
    answer = ask(keyed.receiver, "POST", "/api/v1/login", json={"key": keyed.key})
    cookies = cookies_of(answer)
    assert status(keyed, "/api/v1/sessions", cookies) == 200
    assert status(keyed, "/api/v1/keys", cookies) == 403, "a cookie manages no keys"
    assert ask(keyed.receiver, "POST", "/v1/traces", cookies=cookies).status_code == 401, "and writes nothing"
    told = ask(keyed.receiver, "GET", "/api/v1/visitor", cookies=cookies).json()
    assert told == {"logged_in": True, "scopes": ["read", "share"], "shared": None}
    assert ask(keyed.receiver, "POST", "/api/v1/logout", json={}, cookies=cookies).status_code == 200
    assert status(keyed, "/api/v1/sessions", cookies) == 401


def test_who_has_not_logged_in_is_offered_nothing(keyed: Keyed) -> None:
    nobody = {"logged_in": False, "scopes": [], "shared": None}
    assert ask(keyed.receiver, "GET", "/api/v1/visitor").json() == nobody
    assert ask(keyed.receiver, "GET", "/api/v1/visitor", cookies={"otel_replay_login": "x"}).json() == nobody


@pytest.mark.parametrize("given", [{}, {"key": 5}, {"key": ""}, {"key": "orpl_00000001_" + "A" * 43}, []])
def test_what_logs_nobody_in(keyed: Keyed, given: Any) -> None:
    answer = ask(keyed.receiver, "POST", "/api/v1/login", json=given)
    assert answer.status_code in (400, 401)
    assert "set-cookie" not in answer.headers


def test_a_key_that_reads_nothing_logs_nobody_in(keyed: Keyed) -> None:
    for scope in ("ingest", "share", "admin"):
        answer = ask(keyed.receiver, "POST", "/api/v1/login", json={"key": make_key(keyed.receiver, scope)})
        assert answer.status_code == 401


def test_a_link_works_once_and_only_when_a_person_opens_it(keyed: Keyed) -> None:
    path = ask(keyed.receiver, "POST", "/api/v1/links", keyed.key, json={}).json()["path"]
    for headers in ({"sec-fetch-dest": "image"}, {"sec-fetch-dest": "iframe"}, {"sec-purpose": "prefetch"}):
        assert ask(keyed.receiver, "GET", path, headers=headers).status_code == 204
    assert ask(keyed.receiver, "HEAD", path).status_code == 204
    answer = ask(keyed.receiver, "GET", path, headers={"sec-fetch-dest": "document"})
    assert (answer.status_code, answer.headers["location"]) == (303, "../#/")
    assert answer.headers["referrer-policy"] == "no-referrer"
    assert answer.headers["cache-control"] == "no-store"
    cookies = cookies_of(answer)
    assert status(keyed, "/api/v1/sessions", cookies) == 200
    again = ask(keyed.receiver, "GET", path)
    assert (again.status_code, "set-cookie" in again.headers) == (404, False)


# Shares

SHARES = [
    ("sessions/s%2F1%20%C3%B6", Kind.SESSION, "../#/sessions/s%2F1%20%C3%B6"),
    (f"traces/{TRACE.upper()}", Kind.TRACE, f"../#/traces/{TRACE}"),
]


@pytest.mark.parametrize(("path", "kind", "view"), SHARES, ids=["session", "trace"])
def test_a_share_shows_one_thing_and_nothing_else(keyed: Keyed, path: str, kind: Kind, view: str) -> None:
    """Asked at every route of the table: its own thing at those that show it, 403 or 401 everywhere else."""
    made = shared(keyed, path)
    assert len(made["path"]) == len("/s/") + 22
    assert ask(keyed.receiver, "GET", made["path"]).headers["location"] == view
    cookies = visit(keyed, made["path"])
    for row, rule in ROUTES.items():
        method, route = row.split(" ", 1)
        if rule.scope is None:
            continue
        own = {Kind.SESSION: "s%2F1%20%C3%B6", Kind.TRACE: TRACE}[kind]
        own = filled(route, session=own, trace=own, other=own)
        let_in = ask(keyed.receiver, method, own, json={}, cookies=cookies).status_code == 200
        assert let_in == (rule.shared is kind), row
        if rule.shared:
            other = filled(route, session="s2", trace=OTHER_TRACE)
            assert status(keyed, other, cookies) == 403, row


def test_a_share_does_not_end_a_login(keyed: Keyed) -> None:
    login = ask(keyed.receiver, "POST", "/api/v1/login", json={"key": keyed.key})
    both = cookies_of(login) | visit(keyed, shared(keyed, "sessions/s2")["path"])
    assert len(both) == 2
    assert status(keyed, "/api/v1/sessions", both) == 200
    assert status(keyed, "/api/v1/sessions/s2/timeline", both) == 200


def test_shares_are_listed_and_taken_back(keyed: Keyed) -> None:
    made = shared(keyed, "sessions/s2", expires_in_ns=60 * 10**9)
    cookies = visit(keyed, made["path"])
    listed = ask(keyed.receiver, "GET", "/api/v1/shares", keyed.key).json()["shares"]
    [one] = [share for share in listed if share["id"] == made["id"]]
    assert (one["session_id"], "path" in one) == ("s2", False)
    assert int(one["expires_unix_nano"]) - int(one["created_unix_nano"]) == 60 * 10**9
    assert ask(keyed.receiver, "DELETE", f"/api/v1/shares/{made['id']}", keyed.key).status_code == 200
    assert status(keyed, "/api/v1/sessions/s2/timeline", cookies) == 401
    assert ask(keyed.receiver, "GET", made["path"]).status_code == 404
    assert ask(keyed.receiver, "DELETE", f"/api/v1/shares/{made['id']}", keyed.key).status_code == 404


def test_what_is_not_there_is_not_shared(keyed: Keyed) -> None:
    for path in ("sessions/nobody", f"traces/{'ef' * 16}"):
        assert ask(keyed.receiver, "POST", f"/api/v1/{path}/share", keyed.key, json={}).status_code == 404
    assert ask(keyed.receiver, "POST", "/api/v1/traces/xyz/share", keyed.key, json={}).status_code == 400


# What answers say to browsers


def test_what_takes_a_scope_is_kept_by_no_cache_and_shown_in_no_frame(keyed: Keyed) -> None:
    for path in ("/api/v1/sessions", "/metrics", "/api/v1/keys"):
        for key in (keyed.key, None):
            headers = ask(keyed.receiver, "GET", path, key).headers
            assert headers["cache-control"] == "no-store"
            assert headers["x-content-type-options"] == "nosniff"
            assert headers["referrer-policy"] == "no-referrer"
            assert "default-src 'none'" in headers["content-security-policy"]
            assert headers["cross-origin-resource-policy"] == "same-origin"


def test_the_page_s_policy_lets_nothing_in_or_out(keyed: Keyed) -> None:
    headers = ask(keyed.receiver, "GET", "/").headers
    policy = dict(part.strip().partition(" ")[::2] for part in headers["content-security-policy"].split(";"))
    assert policy == {
        "default-src": "'none'",
        "script-src": "'self'",
        "style-src": "'unsafe-inline'",
        "img-src": "data: blob:",
        "font-src": "data:",
        "media-src": "data: blob:",
        "connect-src": "'self'",
        "base-uri": "'none'",
        "form-action": "'none'",
        "frame-ancestors": "'none'",
    }
    assert (headers["x-content-type-options"], headers["referrer-policy"]) == ("nosniff", "no-referrer")
    assert headers["x-dns-prefetch-control"] == "off"
