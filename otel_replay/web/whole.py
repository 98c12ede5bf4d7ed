"""Documents of any size as JSON, made piece by piece while they are sent: recordings are large."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from starlette.responses import StreamingResponse

from otel_replay.query.recordings import RecordingPage
from otel_replay.timeline.entry import gap_dict

PIECE_BYTES = 256 * 1024


def streamed(pieces: Iterable[str], filename: str = "") -> StreamingResponse:
    """The pieces of one JSON document; with a name it is saved as a file of it."""
    headers = {"content-disposition": f'attachment; filename="{filename}"'} if filename else {}
    return StreamingResponse(pieces, media_type="application/json", headers=headers)


def page_text(page: RecordingPage) -> str:
    """The JSON of a page whose events were read as texts: they are put in as they are."""
    document = page.to_dict()
    streams = [_with_events(stream.pop("events"), stream) for stream in document.pop("streams")]
    return f'{json.dumps(document)[:-1]}, "streams": [{", ".join(streams)}]}}'


def _with_events(texts: Iterable[str], stream: Mapping[str, Any]) -> str:
    return f'{json.dumps(stream)[:-1]}, "events": [{", ".join(texts)}]}}'


def recording_pieces(about: Mapping[str, Any], pages: Iterable[RecordingPage]) -> Iterator[str]:
    """``about`` with ``events``, those of all streams one after the other, and ``streams``: how many of each.

    ::

        {..., "events": [...], "streams": [{"stream_id", "from_seq", "to_seq", "events": 12, "gaps": [...]}]}
    """
    yield f'{json.dumps(dict(about))[:-1]}, "events": ['
    streams: dict[str, dict[str, Any]] = {}
    before = ""
    for page in pages:
        for part in page.streams:
            for text in _texts(part.events):
                yield before + text
                before = ", "
            told = streams.setdefault(part.stream_id, {"stream_id": part.stream_id, "from_seq": part.from_seq})
            told["to_seq"] = part.to_seq
            told["events"] = told.get("events", 0) + len(part.events)
            told["gaps"] = [*told.get("gaps", []), *map(gap_dict, part.gaps)]
    yield f'], "streams": {json.dumps([*streams.values()])}}}'


def _texts(events: Iterable[Any]) -> Iterator[str]:
    """Events of JSON with commas between, about :data:`PIECE_BYTES` at a time: a chunk may be of any size."""
    piece: list[str] = []
    size = 0
    for event in events:
        text = json.dumps(event)
        piece.append(text)
        size += len(text)
        if size >= PIECE_BYTES:
            yield ", ".join(piece)
            piece, size = [], 0
    if piece:
        yield ", ".join(piece)
