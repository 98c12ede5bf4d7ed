"""Keys and tokens on their own: text, hashes, origins, states, rates, and what the file keeps of them."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from otel_replay.access.administration import DAY_NS, Administration
from otel_replay.access.allowance import Allowance
from otel_replay.access.guard import KEYLESS
from otel_replay.access.keys import (
    Shared,
    TokenKind,
    check_origins,
    hashed,
    key_text,
    origin_matches,
    read_key_text,
    secret_text,
)
from otel_replay.access.registry import LINK_NS, LOGIN_NS, Registry
from otel_replay.access.scopes import Kind
from otel_replay.errors import InvalidRequest, NotFound, RateLimited, Unauthenticated
from otel_replay.store.sqlite import SqliteStore

SECOND = 10**9


class Clock:
    """Nanoseconds that a test moves."""

    def __init__(self) -> None:
        self.now = 1_763_600_000 * SECOND

    def __call__(self) -> int:
        return self.now

    def pass_(self, nanoseconds: int) -> None:
        self.now += nanoseconds


class Desk:
    """A registry on a real file, with a clock that a test moves and secrets that it can foretell."""

    def __init__(self, store: SqliteStore, clock: Clock) -> None:
        numbers = itertools.count(1)
        self.clock = clock
        self.registry = Registry(store.access, clock, lambda size: next(numbers).to_bytes(size, "big"))
        self.desk = Administration(self.registry, clock)

    def create(self, *scopes: str, **given: object) -> str:
        """The text of a new key."""
        return str(self.desk.create_key(KEYLESS, {"name": "k", "scopes": list(scopes), **given})["key"])


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    with opened(tmp_path / "replay.db", Clock()) as desk:
        yield desk


@contextmanager
def opened(path: Path, clock: Clock) -> Iterator[Desk]:
    store = SqliteStore(path)
    try:
        yield Desk(store, clock)
    finally:
        store.close()


def tokens(desk: Desk) -> int:
    """How many the file holds."""
    table: Any = desk.registry._table
    with table._reading.snapshot() as connection:
        return int(connection.execute("SELECT count(*) FROM tokens").fetchone()[0])


# Texts


def test_a_key_says_its_id_and_holds_256_bits() -> None:
    text = key_text(255, secret_text(bytes(range(32))))
    assert re.fullmatch(r"orpl_000000ff_[A-Za-z0-9_-]{43}", text)
    assert read_key_text(text) == (255, secret_text(bytes(range(32))))


@pytest.mark.parametrize("text", ["", "orpl_", "orpl_000000ff_short", "orpl_000000FF_" + "a" * 43, "x" * 57, "ö" * 57])
def test_what_is_not_written_like_a_key(text: str) -> None:
    assert read_key_text(text) is None


@pytest.mark.parametrize(
    ("origin", "allowed", "matches"),
    [
        ("https://app.example.com", "https://app.example.com", True),
        ("https://app.example.com:8443", "https://app.example.com", False),
        ("http://app.example.com", "https://app.example.com", False),
        ("https://a.b.example.com", "https://*.example.com", True),
        ("https://example.com", "https://*.example.com", False),
        ("https://.example.com", "https://*.example.com", False),
        ("https://evilexample.com", "https://*.example.com", False),
        ("https://a.example.com.evil.net", "https://*.example.com", False),
        ("http://a.example.com", "https://*.example.com", False),
        ("null", "https://*.example.com", False),
    ],
)
def test_origins(origin: str, allowed: str, matches: bool) -> None:
    assert origin_matches(origin, ["https://other.example", allowed]) is matches


@pytest.mark.parametrize("origin", ["*", "app.example.com", "https://a.example/", "https://*", "https://", "null", 5])
def test_what_is_no_origin(origin: object) -> None:
    with pytest.raises(InvalidRequest, match="is not an origin"):
        check_origins([origin])


# Keys


def test_a_key_is_known_by_its_text_alone(desk: Desk) -> None:
    text = desk.create("ingest", "read")
    found = desk.registry.key(text)
    assert (sorted(found.scopes), found.project) == (["ingest", "read"], 1)
    wrong = text[:-1] + ("A" if text[-1] != "A" else "B")
    for other in (wrong, text.replace("00000001", "00000002"), "Bearer", ""):
        with pytest.raises(Unauthenticated, match="not known here") as refused:
            desk.registry.key(other)
        assert text not in str(refused.value)


def test_the_file_holds_no_secret(tmp_path: Path) -> None:
    path = tmp_path / "replay.db"
    with opened(path, Clock()) as desk:
        texts = [desk.create("ingest"), desk.create("admin")]
        key = desk.registry.key(texts[1])
        secrets = [text[-43:] for text in texts]
        secrets += [desk.registry.link(1, key.id)[1], desk.registry.share(1, key.id, Shared(Kind.SESSION, "s1"), 10)[1]]
        held = b"".join(one.read_bytes() for one in tmp_path.iterdir())
        assert b"s1" in held
        assert hashed(secrets[0]) in held
        assert [secret for secret in secrets if secret.encode() in held] == []


def test_keys_expire(desk: Desk) -> None:
    text = desk.create("read", expires_in_ns=10)
    desk.clock.pass_(9)
    assert desk.registry.key(text)
    desk.clock.pass_(1)
    with pytest.raises(Unauthenticated, match="is expired"):
        desk.registry.key(text)


def test_a_replaced_key_holds_for_the_overlap(desk: Desk) -> None:
    old = desk.create("read", name="dashboards")
    new = desk.desk.rotate_key(KEYLESS, "00000001", {"overlap_ns": 100})
    assert (new["name"], new["replaces"], new["scopes"]) == ("dashboards", "00000001", ["read"])
    assert desk.registry.key(old)
    assert desk.registry.key(new["key"])
    desk.clock.pass_(100)
    with pytest.raises(Unauthenticated, match="is expired"):
        desk.registry.key(old)
    assert desk.registry.key(new["key"])


def test_an_overlap_makes_no_key_last_longer(desk: Desk) -> None:
    desk.create("read", expires_in_ns=50)
    desk.desk.rotate_key(KEYLESS, "1", {"overlap_ns": 100})
    assert desk.registry.key_by_id(1).expires_unix_nano == desk.clock.now + 50


def test_revoked_keys_end_at_once_and_stay_on_the_list(tmp_path: Path) -> None:
    clock = Clock()
    with opened(tmp_path / "replay.db", clock) as desk:
        text = desk.create("read")
        assert desk.desk.revoke_key(KEYLESS, "00000001")["state"] == "revoked"
    with opened(tmp_path / "replay.db", clock) as again:
        assert [key["state"] for key in again.desk.keys(KEYLESS)["keys"]] == ["revoked"]
        with pytest.raises(Unauthenticated, match="is revoked"):
            again.registry.key(text)


def test_a_lapse_does_not_open_the_server_again(desk: Desk) -> None:
    desk.create("ingest")
    needs = [desk.registry.needs_key]
    desk.create("admin", expires_in_ns=10)
    needs.append(desk.registry.needs_key)
    desk.clock.pass_(10)
    desk.desk.revoke_key(KEYLESS, "2")
    assert [*needs, desk.registry.needs_key] == [False, True, True]


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"scopes": []}, "scopes are missing"),
        ({"scopes": ["root"]}, "no such scope: 'root'"),
        ({"name": ""}, "name is no line"),
        ({"name": "a\nb"}, "name is no line"),
        ({"origins": ["https://a.example"], "scopes": ["ingest", "read"]}, "can be read by anybody"),
        ({"requests_per_second": 0}, "requests_per_second is not a whole number"),
        ({"bytes_per_second": True}, "bytes_per_second is not a whole number"),
        ({"expires_in_ns": "1d"}, "expires_in_ns is not a whole number"),
        ({"expires": 1}, "unknown field 'expires'"),
    ],
)
def test_wrong_keys(desk: Desk, given: dict[str, object], words: str) -> None:
    with pytest.raises(InvalidRequest, match=words):
        desk.desk.create_key(KEYLESS, {"name": "k", "scopes": ["ingest"], **given})
    assert desk.desk.keys(KEYLESS) == {"keys": []}


def test_keys_for_browsers_are_limited_unless_they_say_how(desk: Desk) -> None:
    desk.create("ingest", origins=["https://a.example"])
    desk.create("ingest", origins=["https://a.example"], requests_per_second=7)
    desk.create("ingest")
    rates = [(key["requests_per_second"], key["bytes_per_second"]) for key in desk.desk.keys(KEYLESS)["keys"]]
    assert rates == [(200, 16 * 2**20), (7, 16 * 2**20), (None, None)]


# Links and logins


def test_a_link_logs_in_once(desk: Desk) -> None:
    _, secret = desk.registry.link(1, 0)
    token, login = desk.registry.exchange(secret)
    assert (sorted(token.scopes), token.shared) == (["read", "share"], None)
    assert desk.registry.token(login, TokenKind.LOGIN) == token
    with pytest.raises(NotFound):
        desk.registry.exchange(secret)
    assert desk.registry.token(login, TokenKind.SHARE) is None


def test_links_and_logins_expire(desk: Desk) -> None:
    _, secret = desk.registry.link(1, 0)
    _, other = desk.registry.link(1, 0)
    _, login = desk.registry.exchange(other)
    desk.clock.pass_(LINK_NS)
    with pytest.raises(NotFound):
        desk.registry.exchange(secret)
    assert desk.registry.token(login, TokenKind.LOGIN)
    desk.clock.pass_(LOGIN_NS - LINK_NS)
    assert desk.registry.token(login, TokenKind.LOGIN) is None


def test_a_login_ends_with_its_key(desk: Desk) -> None:
    text = desk.create("read", "admin")
    token, login = desk.registry.log_in(desk.registry.key(text))
    assert token.scopes == {"read"}, "a cookie never manages keys"
    desk.desk.revoke_key(KEYLESS, "1")
    assert desk.registry.token(login, TokenKind.LOGIN) is None
    with pytest.raises(Unauthenticated):
        desk.registry.key(text)


def test_a_visit_ends_with_its_share(desk: Desk) -> None:
    share, secret = desk.registry.share(1, 0, Shared(Kind.SESSION, "s1"), DAY_NS)
    assert len(secret) == 22, "128 bits"
    visits = [desk.registry.exchange(secret)[1] for _ in range(2)]
    assert all(desk.registry.token(visit, TokenKind.LOGIN) for visit in visits)
    desk.registry.remove_share(1, share.id)
    assert not any(desk.registry.token(visit, TokenKind.LOGIN) for visit in visits)
    with pytest.raises(NotFound):
        desk.registry.exchange(secret)


def test_a_visit_lasts_no_longer_than_its_share(desk: Desk) -> None:
    _, secret = desk.registry.share(1, 0, Shared(Kind.TRACE, "ab" * 16), 50)
    token, _ = desk.registry.exchange(secret)
    assert token.expires_unix_nano == desk.clock.now + 50


def test_shares_stay_when_their_key_is_replaced_and_go_when_it_is_revoked(desk: Desk) -> None:
    desk.create("share")
    desk.registry.share(1, 1, Shared(Kind.SESSION, "s1"), DAY_NS)
    desk.desk.rotate_key(KEYLESS, "1", {"overlap_ns": 0})
    assert len(desk.registry.shares(1)) == 1
    desk.desk.revoke_key(KEYLESS, "2")
    assert desk.registry.shares(1) == []
    assert tokens(desk) == 0


def test_the_first_admin_key_ends_what_was_made_without(desk: Desk) -> None:
    _, secret = desk.registry.link(1, 0)
    _, login = desk.registry.exchange(secret)
    desk.create("ingest")
    assert desk.registry.token(login, TokenKind.LOGIN)
    desk.create("admin")
    assert desk.registry.token(login, TokenKind.LOGIN) is None
    _, later = desk.registry.link(1, 0)  # by who may write the file
    assert desk.registry.exchange(later)


def test_what_has_expired_leaves_the_file(tmp_path: Path) -> None:
    clock = Clock()
    with opened(tmp_path / "replay.db", clock) as desk:
        desk.registry.link(1, 0)
        clock.pass_(LINK_NS)
        desk.registry.link(1, 0)
        assert tokens(desk) == 1


# Rates


def test_requests_a_second() -> None:
    clock = Clock()
    allowance = Allowance(5, None, clock)
    for _ in range(10):  # two seconds' worth, saved up
        allowance.admit()
    with pytest.raises(RateLimited) as refused:
        allowance.admit()
    assert refused.value.retry_after_s == 1
    clock.pass_(SECOND // 5)
    allowance.admit()
    with pytest.raises(RateLimited):
        allowance.admit()


def test_bytes_are_owed_until_they_are_worked_off() -> None:
    clock = Clock()
    allowance = Allowance(None, 1_000, clock)
    allowance.admit()
    allowance.charge(12_000)  # how large it is was not known before it came
    with pytest.raises(RateLimited) as refused:
        allowance.admit()
    assert refused.value.retry_after_s == 11
    clock.pass_(11 * SECOND)
    allowance.admit()


def test_a_clock_that_goes_back_takes_nothing_away() -> None:
    clock = Clock()
    allowance = Allowance(5, None, clock)
    clock.pass_(-1000 * SECOND)
    for _ in range(10):
        allowance.admit()
