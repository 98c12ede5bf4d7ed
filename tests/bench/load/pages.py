"""Recordings as rrweb makes them: a full snapshot of a page of 1,600 elements, then chunks of what happens on it.

What happens is what a chat application's recording holds: pointer moves, scrolling, typing, clicks, an answer that
grows token by token, cards that are added and taken away, classes that change. The form of the events is that of the
recorded page in tests/recording/data. Sessions and times are fresh, the pages are the same: many people visit one site.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import random
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from .words import text

PAGES = 4
SESSIONS_AT_ONCE = 16
CHUNKS_PER_SESSION = 24
CHUNK_MS = 5_000
CARDS = 400
STYLE_SHEET_RULES = 900
START_MS = 1_700_000_000_000
TIMESTAMP = re.compile(rb'(?<="timestamp": )\d{13}(?=})')

Json = dict[str, Any]


def chunks(seed: str, start_ms: int) -> Iterator[tuple[str, bytes]]:
    """(path, body) of uploads without end; the chunks of 16 sessions alternate, each session's in sequence."""
    for group in itertools.count():
        begins_ms = start_ms + group * CHUNKS_PER_SESSION * CHUNK_MS
        for seq in range(CHUNKS_PER_SESSION):
            for number in range(SESSIONS_AT_ONCE):
                session = hashlib.blake2b(f"{seed}:{group}:{number}".encode(), digest_size=16).hexdigest()
                head = json.dumps({"stream_id": session[:16], "seq": seq})[:-1].encode()
                events = page(number % PAGES)[seq].at(begins_ms)
                yield f"/api/v1/sessions/{session}/events", head + b', "events": ' + events + b"}"


@dataclass(frozen=True)
class Events:
    """Serialized events, cut where their times stand."""

    pieces: list[bytes]
    offsets_ms: list[int]

    @classmethod
    def of(cls, events: list[Json]) -> Events:
        raw = json.dumps(events).encode()
        return cls(TIMESTAMP.split(raw), [int(found) - START_MS for found in TIMESTAMP.findall(raw)])

    def at(self, begins_ms: int) -> bytes:
        """The array, with its times counted from `begins_ms`."""
        times = [b"%d" % (begins_ms + offset) for offset in self.offsets_ms]
        return b"".join(itertools.chain(*zip(self.pieces, times, strict=False), self.pieces[-1:]))


@cache
def page(number: int) -> list[Events]:
    """The chunks of one session."""
    visit = Visit(random.Random(f"page {number}"))
    return [visit.first_chunk(), *(visit.chunk() for _ in range(CHUNKS_PER_SESSION - 1))]


@dataclass
class Visit:
    """A page while it is recorded: the next free node id, the time, what was added."""

    rng: random.Random
    node_id: int = 1
    clock_ms: int = START_MS
    containers: list[int] = field(default_factory=list)
    added: list[tuple[int, int]] = field(default_factory=list)
    """(parent, id) of elements that were added since."""

    def first_chunk(self) -> Events:
        href = "https://shop.example.com/assistant"
        return Events.of(
            [
                self.event(4, {"href": href, "width": 1280, "height": 800}),
                self.event(2, {"node": self.document(), "initialOffset": {"left": 0, "top": 0}}),
            ]
        )

    def chunk(self) -> Events:
        """Five seconds: 20 to 60 KB of events."""
        goal, size, events = self.rng.randint(20_000, 60_000), 0, []
        while size < goal:
            for event in self.rng.choice((self.move, self.move, self.answer, self.answer, self.cards, self.typing))():
                events.append(event)
                size += len(json.dumps(event))
        return Events.of(events)

    def document(self) -> Json:
        rules = (
            f".card-{n} > .{text(self.rng, 9).strip().replace(' ', '-')} {{ padding: {n % 16}px; color: #{n:06x}; }}"
            for n in range(STYLE_SHEET_RULES)
        )
        style = self.element("style", {"_cssText": "\n".join(rules)})
        cards = [self.card() for _ in range(CARDS)]
        body = self.element("body", {"class": "light"}, self.element("main", {"id": "app"}, *cards))
        self.containers.append(body["childNodes"][0]["id"])
        html = self.element("html", {"lang": "en"}, self.element("head", {}, style), body)
        return {"type": 0, "id": self.next_id(), "childNodes": [html]}

    def card(self) -> Json:
        rng = self.rng
        heading = self.element("h3", {"class": "card-title"}, self.text_node(rng.randint(10, 40)))
        paragraph = self.element("p", {"class": "card-text"}, self.text_node(rng.randint(60, 240)))
        button = self.element("button", {"type": "button", "aria-label": text(rng, 20)}, self.text_node(8))
        return self.element("div", {"class": f"card card-{rng.randrange(900)}"}, heading, paragraph, button)

    def element(self, tag: str, attributes: dict[str, str], *children: Json) -> Json:
        named = {"type": 2, "tagName": tag, "attributes": attributes}
        return {**named, "childNodes": list(children), "id": self.next_id()}

    def text_node(self, length: int) -> Json:
        return {"type": 3, "textContent": text(self.rng, length), "id": self.next_id()}

    def next_id(self) -> int:
        self.node_id += 1
        return self.node_id

    def event(self, kind: int, data: Json) -> Json:
        self.clock_ms += self.rng.randrange(1, 30)
        return {"type": kind, "data": data, "timestamp": self.clock_ms}

    def mutation(self, **changes: list[Json]) -> Json:
        return self.event(3, {"source": 0, "texts": [], "attributes": [], "removes": [], "adds": [], **changes})

    def any_node(self) -> int:
        return self.rng.randrange(2, self.node_id)

    def move(self) -> Iterator[Json]:
        """Half a second of the pointer, and where it scrolled to."""
        rng, (x, y) = self.rng, (self.rng.randrange(1280), self.rng.randrange(800))
        positions = [
            {"x": x + n * 7, "y": y + n * 3, "id": self.any_node(), "timeOffset": -50 * n} for n in range(10, 0, -1)
        ]
        yield self.event(3, {"source": 1, "positions": positions})
        yield self.event(3, {"source": 3, "id": self.containers[0], "x": 0, "y": rng.randrange(4_000)})

    def typing(self) -> Iterator[Json]:
        """A question, letter by letter, and the click that sends it."""
        field_id, question = self.any_node(), text(self.rng, 40)
        for length in range(1, len(question) + 1):
            yield self.event(3, {"source": 5, "text": question[:length], "isChecked": False, "id": field_id})
        yield self.event(3, {"source": 2, "type": 2, "id": self.any_node(), "x": 640, "y": 720})

    def answer(self) -> Iterator[Json]:
        """Forty tokens that are appended to a new paragraph."""
        paragraph = self.element("p", {"class": "answer"})
        yield self.add(self.containers[0], paragraph)
        for _ in range(40):
            yield self.mutation(
                adds=[{"parentId": paragraph["id"], "nextId": None, "node": self.text_node(self.rng.randint(2, 12))}]
            )

    def cards(self) -> Iterator[Json]:
        """Some cards come, older ones go, and a class changes."""
        for _ in range(3):
            yield self.add(self.containers[0], self.card())
        if len(self.added) > 20:
            parent, gone = self.added.pop(0)
            yield self.mutation(removes=[{"parentId": parent, "id": gone}])
        yield self.mutation(attributes=[{"id": self.any_node(), "attributes": {"class": f"card seen-{self.node_id}"}}])

    def add(self, parent: int, node: Json) -> Json:
        self.added.append((parent, node["id"]))
        return self.mutation(adds=[{"parentId": parent, "nextId": None, "node": node}])
