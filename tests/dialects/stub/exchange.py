"""One request to the stub and what answers it, before any API gives it a shape."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from zlib import crc32

from tests.dialects.conversation import ANSWERING, REPLIES, Reply, Tokens, counting

Json = dict[str, Any]

TOO_MANY = 429
"""The status of a request that is refused because there were too many."""

MAX_COUNTED = 10_000
"""The endless reply's end, should nobody ever abandon it."""


@dataclass(frozen=True, slots=True)
class Turn:
    """One turn of a request's history: what a user said, or (``is_result``) what a tool answered."""

    text: str = ""
    is_result: bool = False


@dataclass(frozen=True, slots=True)
class Exchange:
    """A request, the reply to it, and who asks for which time, from which ids are made."""

    caller: str
    number: int
    body: Mapping[str, Any]
    reply: Reply

    @property
    def model(self) -> str:
        """The model that answers."""
        asked = str(self.body.get("model", ""))
        return ANSWERING.get(asked, asked)

    def id(self, prefix: str) -> str:
        return f"{prefix}{crc32(self.caller.encode()):08x}{self.number:08d}"

    def pieces(self) -> Iterator[str]:
        """The text as it is streamed: word by word, spaces kept."""
        if self.reply.endless:
            yield from (counting(number) for number in range(1, MAX_COUNTED))
        else:
            yield from self.reply.text.replace(" ", " \0").split("\0")

    def arguments(self) -> str:
        """Those of the tool call, as JSON."""
        assert self.reply.call is not None
        return json.dumps(self.reply.call.arguments)


@dataclass(frozen=True, slots=True)
class Event:
    """One server-sent event; ``told`` are the tokens it reports of the whole answer so far."""

    data: str
    name: str = ""
    told: Tokens | None = None

    def encoded(self) -> str:
        named = f"event: {self.name}\n" if self.name else ""
        return f"{named}data: {self.data}\n\n"


def event(payload: Mapping[str, Any], name: str = "", told: Tokens | None = None) -> Event:
    return Event(json.dumps(payload), name, told)


def reply_to(turns: Sequence[Turn]) -> Reply | None:
    """By what the user said last, and whether a tool has answered since; None for what nobody asks here."""
    said = [place for place, turn in enumerate(turns) if turn.text and not turn.is_result]
    if not said:
        return None
    text, after = turns[said[-1]].text, turns[said[-1] + 1 :]
    key = any(turn.is_result for turn in after)
    return next((reply for reply in REPLIES if reply.question in text and reply.after_result == key), None)


def texts(content: Any) -> str:
    """What a message says in words: a string, or parts with a ``text``."""
    if isinstance(content, str):
        return content
    parts = content if isinstance(content, list) else []
    return " ".join(part["text"] for part in parts if isinstance(part, Mapping) and "text" in part)
