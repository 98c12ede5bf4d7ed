"""What is erased or too old, by project and by feature, through a server and on its file; and links to it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result

from otel_replay.errors import InvalidRequest, NotFound
from otel_replay.model import Signal
from otel_replay.store.sqlite import SqliteReader
from tests.outside.access import SCOPES, ask, bearer, cookies_of, make_key
from tests.outside.outside import JSON, METHODS, Outside, answered, command, eventually, running
from tests.outside.telemetry import CHAT, page, span, traces

pytestmark = [pytest.mark.feature("K16"), pytest.mark.slow]

TRACE = "ab" * 16


def store_session(receiver: Outside, session: str, key: str = "", **told: Any) -> None:
    """One span of a chat, in a trace of the project of ``key``, and a page."""
    body = traces(span(TRACE, 1, attributes={**CHAT, "session.id": session, **told})).SerializeToString()
    call: Any = receiver.channel.unary_unary(METHODS[Signal.TRACES])
    call(body, metadata=[*bearer(key).items()], timeout=20)
    sent = ask(receiver, "POST", f"/api/v1/sessions/{session}/events", key, json=page())
    assert sent.status_code == 200, sent.text


class Shop:
    """A file with a session of one name in each of two projects: ``default`` and ``shop``."""

    def __init__(self, database: Path) -> None:
        self.database = database
        self.keys: dict[str, str] = {}

    def fill(self, receiver: Outside) -> None:
        for project in ("default", "shop"):
            self.keys[project] = make_key(receiver, "ingest", "read", "admin", project=project)
            store_session(receiver, "s1", self.keys[project])

    def left(self) -> list[str]:
        """Projects in which the trace is left."""
        reader = SqliteReader(self.database)
        try:
            found = [reader.trace(number, TRACE) for number in (1, 2)]
        finally:
            reader.close()
        return [project for project, is_there in zip(self.keys, found, strict=True) if is_there]


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    return Shop(tmp_path / "replay.db")


@pytest.fixture(params=["through the server", "on the file"])
def ran(request: pytest.FixtureRequest, shop: Shop) -> Iterator[Any]:
    """Runs a command while the server runs, or after it has ended."""

    def run(*words: str) -> Result:
        arguments = ("--db", str(shop.database), "--format", "json")
        return command(*words, *arguments, OTEL_REPLAY_KEY=shop.keys["default"])

    with running(shop.database) as receiver:
        shop.fill(receiver)
        if request.param == "through the server":
            yield run
    if request.param == "on the file":
        yield run


# By project


@pytest.mark.parametrize("words", [("--session", "s1"), ("--trace", TRACE)])
def test_erasing_in_one_project_leaves_the_others(shop: Shop, ran: Any, words: tuple[str, str]) -> None:
    assert answered(ran("erase", *words, "--project", "shop"))["records"] == 1
    trail = answered(ran("audit", *words, "--project", "shop"))["entries"]
    assert [one["outcome"] for one in trail] == ["ok", "begun"]
    assert answered(ran("audit", *words))["entries"] == []
    assert shop.left() == ["default"]


def test_what_a_key_wrote_is_erased_where_it_wrote_it(shop: Shop, ran: Any) -> None:
    assert answered(ran("erase", "--key", shop.keys["shop"].split("_")[1]))["chunks"] == 1
    assert shop.left() == ["default"]


@pytest.mark.parametrize("words", [("erase", "--session", "s1"), ("prune",), ("audit",)])
def test_an_unknown_project_is_refused_with_those_there_are(shop: Shop, ran: Any, words: tuple[str, ...]) -> None:
    error = ran(*words, "--project", "shoe").exception
    assert isinstance(error, NotFound)
    assert "no project 'shoe'" in str(error)
    assert "there are default, shop" in f"{error} {error.hint}"
    assert shop.left() == ["default", "shop"]


def test_pruning_takes_the_rules_of_each_project(shop: Shop, tmp_path: Path) -> None:
    rules = tmp_path / "rules.toml"
    rules.write_text("[projects.shop.retention]\nmax_age = '30d'\n")
    with running(shop.database) as receiver:
        shop.fill(receiver)
    words = ("prune", "--db", str(shop.database), "--config", str(rules), "--format", "json")
    assert isinstance(command(*words).exception, InvalidRequest), "nothing is said of the default project"
    assert isinstance(command(*words, "--project", "shop", "--all-projects").exception, InvalidRequest)
    assert answered(command(*words, "--all-projects"))["sessions"] == 1
    assert shop.left() == ["default"]
    assert answered(command(*words, "--project", "shop"))["sessions"] == 0


def test_another_projects_admin_speaks_of_that_project_alone(shop: Shop) -> None:
    with running(shop.database) as receiver:
        shop.fill(receiver)
        asked: list[tuple[str, str, dict[str, Any]]] = [
            ("POST", "/api/v1/erase", {"json": {"kind": "session", "id": "s1", "project": "default"}}),
            ("POST", "/api/v1/prune", {"json": {"project": "default"}}),
            ("POST", "/api/v1/prune", {"json": {"all_projects": True}}),
            ("GET", "/api/v1/audit", {"params": {"project": "default"}}),
            ("GET", "/api/v1/audit", {"params": {"project": "nowhere"}}),
        ]
        codes = [ask(receiver, method, path, shop.keys["shop"], **more).status_code for method, path, more in asked]
        assert codes == [403] * len(asked)
        default_key = shop.keys["default"].split("_")[1]
        told = {"kind": "key", "id": default_key}
        assert ask(receiver, "POST", "/api/v1/erase", shop.keys["shop"], json=told).status_code == 404
        told = {"kind": "session", "id": "s1", "project": "shop"}
        assert ask(receiver, "POST", "/api/v1/erase", shop.keys["shop"], json=told).json()["records"] == 1
    assert shop.left() == ["default"]


# By feature, at compaction


def test_a_server_forgets_features_as_it_compacts(tmp_path: Path) -> None:
    rules = tmp_path / "rules.toml"
    rules.write_text("[retention]\nfeatures = {chat = '12h', other = '1000w'}\n")
    database = tmp_path / "replay.db"
    with running(database) as receiver:
        for number, feature in enumerate(("chat", "other", "chat")):
            told = {"session.id": f"s{number}", "feature": feature}
            body = traces(span(f"{number + 1:032x}", 1, attributes=CHAT | told), span(f"{number + 1:032x}", 2))
            receiver.export(Signal.TRACES, body.SerializeToString())
            receiver.upload(f"s{number}", page())
    with running(database, config=rules) as receiver:
        left = eventually(lambda: sessions_of(receiver), lambda found: len(found) == 1)
        assert left == ["s1"]
        assert [receiver.get(f"/api/v1/traces/{number:032x}").status_code for number in (1, 2, 3)] == [404, 200, 404]
        assert receiver.document("/api/v1/stats", wait="5s")["total"]["interactions"] == 1


def sessions_of(receiver: Outside) -> list[str]:
    return sorted(one["session_id"] for one in receiver.document("/api/v1/sessions")["sessions"])


# Links


AGE, FEATURE = "[retention]\nmax_age = '30d'\n", "[retention]\nfeatures = {chat = '30d'}\n"


@pytest.mark.feature("K11")
@pytest.mark.parametrize(
    ("gone_by", "path"),
    [
        ("erase", "/api/v1/sessions/s1"),
        ("erase", f"/api/v1/traces/{TRACE}"),
        (AGE, "/api/v1/sessions/s1"),
        (FEATURE, "/api/v1/sessions/s1"),
    ],
)
def test_a_running_server_knows_no_links_to_what_is_gone(tmp_path: Path, gone_by: str, path: str) -> None:
    """Nor the visits they led to: should it come again, in a week, they would show it."""
    rules = tmp_path / "rules.toml"
    rules.write_text("" if gone_by == "erase" else gone_by)
    with running(tmp_path / "replay.db") as receiver:
        key = make_key(receiver, *SCOPES)
        store_session(receiver, "s1", key, feature="chat")
        link = ask(receiver, "POST", f"{path}/share", key, json={}).json()["path"]
        cookies = cookies_of(ask(receiver, "GET", link))
        assert ask(receiver, "GET", f"{path}/timeline", cookies=cookies).status_code == 200
    with running(tmp_path / "replay.db", config=rules) as receiver:
        if gone_by == "erase":
            assert ask(receiver, "DELETE", path, key).status_code == 200

        def shares() -> list[Any]:
            return list(ask(receiver, "GET", "/api/v1/shares", key).json()["shares"])

        assert eventually(shares, lambda found: not found) == []
        assert ask(receiver, "GET", f"{path}/timeline", cookies=cookies).status_code == 401
        assert ask(receiver, "GET", link).status_code == 404


# What is told of it


def test_answers_have_the_fields_that_the_contract_tells(tmp_path: Path) -> None:
    rules = tmp_path / "rules.toml"
    rules.write_text(AGE)
    with running(tmp_path / "replay.db", config=rules) as receiver:
        paths = receiver.document("/openapi.json")["paths"]
        told = {"kind": "session", "id": "s2"}
        for session in ("s1", "s2"):
            receiver.upload(session, page())
        answers = {
            ("post", "/api/v1/erase"): ask(receiver, "POST", "/api/v1/erase", json=told),
            ("delete", "/api/v1/sessions/{id}"): ask(receiver, "DELETE", "/api/v1/sessions/s1"),
            ("post", "/api/v1/prune"): ask(receiver, "POST", "/api/v1/prune", json={}),
            ("get", "/api/v1/audit"): ask(receiver, "GET", "/api/v1/audit"),
        }
    for (method, path), answer in answers.items():
        schema = paths[path][method]["responses"]["200"]["content"][JSON]["schema"]
        document = answer.json()
        assert set(document) == set(schema["properties"]) == set(schema["required"]), path
        if path == "/api/v1/audit":
            assert len(document["entries"]) == 6
            entry = schema["properties"]["entries"]["items"]
            assert all(set(one) == set(entry["properties"]) for one in document["entries"])
