"""The few things in a recording that a timeline tells: clicks, input, words appearing, navigation, console, network.

What only several events tell together, such as clicks that do nothing, is in :mod:`behaviour`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

from otel_replay.model import Chunk, DomEvent
from otel_replay.recording.behaviour import Behaviour, Click, button
from otel_replay.recording.custom import MAX_TITLE_CHARS, Draft, console_line, custom_event, plugin_event
from otel_replay.recording.events import Event, EventType, event_unix_nano
from otel_replay.recording.mirror import Mirror, Mutation
from otel_replay.recording.nodes import Node, mapping
from otel_replay.recording.reading import Reader
from otel_replay.recording.rendered import Rendered, render
from otel_replay.recording.selectors import Place, Places, interactive, label
from otel_replay.recording.streams import join_pieces
from otel_replay.recording.untrusted import clip, number, one_line
from otel_replay.recording.uploads import each_event

INDEXES_PER_EVENT = 1_000
MAX_REMEMBERED = 16_000_000
"""Characters that reading one page may remember; a page has its text once for each level."""
MAX_LABEL_CHARS = 80
MAX_INPUT_CHARS = 200
MAX_URL_CHARS = 2_000
_MUTATION, _MOUSE_INTERACTION, _SCROLL, _INPUT, _LOG = 0, 2, 3, 5, 11
_CLICKS = {2: "click", 4: "dblclick"}
_PRESSES = frozenset({1, 7})
"""Mouse button down, touch."""

Drafts = Iterable[Draft]


class StreamDistiller:
    """Follows one stream of a recording in sequence order and tells what happened in it.

    It keeps the page's mirror, which is right only while nothing is missing: before the first full snapshot and after
    ``gap()`` it is empty, so that selectors are None and no text is told until the next full snapshot. From a full
    snapshot on, results do not depend on what came before it, except that a Meta event with the address of the last
    one tells nothing.
    """

    def __init__(self) -> None:
        self.next_seq: int | None = None
        """The number that follows what ``distill_stream`` has fed; None before it has."""
        self._mirror = Mirror()
        self._reader = Reader()
        self._places = Places(self._mirror)
        self._behaviour = Behaviour()
        self._now = 0
        self._href: str | None = None
        self._empty_iframes: set[int] = set()
        self._by_type: dict[int, Callable[[dict[str, Any]], Drafts]] = {
            EventType.DOM_CONTENT_LOADED: self._loaded,
            EventType.FULL_SNAPSHOT: self._full_snapshot,
            EventType.INCREMENTAL_SNAPSHOT: self._incremental,
            EventType.META: self._meta,
            EventType.CUSTOM: lambda data: [custom_event(data)],
            EventType.PLUGIN: plugin_event,
        }
        self._by_source: dict[int, Callable[[dict[str, Any]], Drafts]] = {
            _MUTATION: self._mutation,
            _MOUSE_INTERACTION: self._mouse_interaction,
            _SCROLL: self._scroll,
            _INPUT: self._input,
            _LOG: lambda data: [console_line(data)],
        }

    @property
    def size(self) -> int:
        """About the bytes that keeping it takes."""
        return self._mirror.size + self._reader.remembered

    def feed(self, seq: int, events: Iterable[Event]) -> list[DomEvent]:
        """What happened in the events of the chunk ``seq``; never raises, whatever the events hold.

        ``DomEvent.index`` is the event's position in the chunk times 1,000, plus the place among what was distilled
        from that event.
        """
        self._reader.refill()
        found: list[DomEvent] = []
        for position, event in enumerate(events):
            handler = _handler(self._by_type, event.get("type")) if isinstance(event, dict) else None
            if handler is None:
                continue
            time_unix_nano = event_unix_nano(event)
            if time_unix_nano is not None:
                self._now = time_unix_nano
                drafts = [*self._behaviour.passed(time_unix_nano), *handler(mapping(event.get("data")))]
                found += _placed(seq, position * INDEXES_PER_EVENT, time_unix_nano, drafts)
                if self._reader.remembered > MAX_REMEMBERED:
                    self._reader.remembered = self._mirror.trim_readings(MAX_REMEMBERED // 2)
        return found

    def gap(self) -> None:
        """Events are missing here: the mirror is no longer the page's and is emptied."""
        self._behaviour.reset()
        self._empty_iframes = set()
        self._mirror.reset()

    def _loaded(self, data: dict[str, Any]) -> Drafts:
        """The page was loaded, perhaps again: the next Meta event tells of it even at the same address."""
        self._href = None
        return ()

    def _full_snapshot(self, data: dict[str, Any]) -> Drafts:
        self._reader.refill()
        self._behaviour.reset()
        self._mirror.reset(data.get("node"))
        self._empty_iframes = self._mirror.ids_of("iframe")
        return ()

    def _incremental(self, data: dict[str, Any]) -> Drafts:
        source = data.get("source")
        if not isinstance(source, int):
            return ()
        self._behaviour.answered(source, self._now)
        handler = self._by_source.get(source)
        return handler(data) if handler is not None else ()

    def _mutation(self, data: dict[str, Any]) -> Drafts:
        mutation = Mutation.of(data)
        if data.get("isAttachIframe") and self._fills_iframe(mutation):
            self._mirror.apply(mutation)
            return ()
        rendered = render(self._mirror, mutation, self._reader)
        texts = [_text_draft(one, self._places.of(one.block)) for one in rendered]
        return [*self._behaviour.changed(sum(map(len, mutation)), self._now), *texts]

    def _fills_iframe(self, mutation: Mutation) -> bool:
        """Whether a full snapshot goes on in this mutation: rrweb sends the documents of iframes after it."""
        filled = self._empty_iframes.intersection(addition.parent for addition in mutation.adds)
        self._empty_iframes -= filled
        return bool(filled)

    def _mouse_interaction(self, data: dict[str, Any]) -> Drafts:
        kind = data.get("type")
        if not isinstance(kind, int):
            return ()
        if kind in _PRESSES:
            self._behaviour.pressed()
        act = _CLICKS.get(kind)
        return self._click(act, data) if act is not None else ()

    def _click(self, act: str, data: dict[str, Any]) -> Drafts:
        node = self._mirror.get(data.get("id"))
        target = interactive(node) if node is not None else None
        named = self._places.of(target).selector if target is not None else None
        text = label(target, MAX_LABEL_CHARS) if target is not None else ""
        x, y = number(data.get("x")), number(data.get("y"))
        detail = {"type": act, "selector": named, "text": text, "x": x, "y": y}
        told = Draft("dom", _title(act, "on", named, text), detail)
        if act != "click":
            return [told]
        meant = button(target) if target is not None else None
        return [told, *self._behaviour.clicked(Click(self._now, data.get("id"), x, y, told, meant))]

    def _scroll(self, data: dict[str, Any]) -> Drafts:
        node, x, y = self._mirror.get(data.get("id")), number(data.get("x")), number(data.get("y"))
        if node is None or x is None or y is None:
            return ()
        return self._behaviour.scrolled(node.id, x, y, self._now, lambda: self._scroll_draft(node, x, y))

    def _scroll_draft(self, node: Node, x: float, y: float) -> Draft:
        """A page scrolls by its document."""
        named = None if node.tag.startswith("#") else self._places.of(node).selector
        title = f"{_title('scroll', 'of', named, '')} to {round(y) if y or not x else f'{round(x)} across'}"
        return Draft("dom", title, {"type": "scroll", "selector": named, "x": x, "y": y})

    def _input(self, data: dict[str, Any]) -> Drafts:
        node = self._mirror.get(data.get("id"))
        named = self._places.of(node).selector if node is not None else None
        text = data.get("text")
        shown = clip(text, MAX_INPUT_CHARS) if isinstance(text, str) else ""
        checked = data.get("isChecked") is True
        if node is not None and node.attributes.get("type") in ("checkbox", "radio"):
            title = _title("checked" if checked else "unchecked", "", named, "")
        else:
            title = _title("input", "in", named, one_line(shown, MAX_LABEL_CHARS))
        return [Draft("dom", title, {"type": "input", "selector": named, "text": shown, "checked": checked})]

    def _meta(self, data: dict[str, Any]) -> Drafts:
        """A navigation, unless it only opens another full snapshot of the same page."""
        href = one_line(data.get("href"), MAX_URL_CHARS)
        if href == self._href:
            return ()
        self._href = href
        size = {"width": number(data.get("width")), "height": number(data.get("height"))}
        title = one_line(f"navigated to {href}", MAX_TITLE_CHARS)
        return [Draft("navigation", title, {"type": "navigation", "href": href, **size})]


def distill_stream(chunks: Iterable[Chunk], distiller: StreamDistiller | None = None) -> Iterator[DomEvent]:
    """The distilled events of one stream's chunks, which come in sequence order; missing numbers are gaps.

    The result depends on the set of chunks alone. With a ``distiller`` that has been fed the chunks before, it goes
    on from there. To go on from a chunk with a full snapshot instead, start a new one at that chunk: from its snapshot
    on, selectors and text are those of a run from the beginning.
    """
    distiller = distiller or StreamDistiller()
    for piece in join_pieces(chunks, each_event):
        if distiller.next_seq not in (None, piece.first_seq):
            distiller.gap()
        distiller.next_seq = piece.last_seq + 1
        yield from distiller.feed(piece.first_seq, piece.events)


def _placed(seq: int, first_index: int, time_unix_nano: int, drafts: Drafts) -> list[DomEvent]:
    """What was distilled from one event, with its place in the recording."""
    return [
        DomEvent(
            seq=seq,
            index=index,
            kind=draft.kind,
            time_unix_nano=time_unix_nano if draft.unix_nano is None else draft.unix_nano,
            title=draft.title,
            detail=draft.detail,
            trace_id=draft.trace_id,
            span_id=draft.span_id,
        )
        for index, draft in zip(range(first_index, first_index + INDEXES_PER_EVENT), drafts, strict=False)
    ]


def _handler(
    table: dict[int, Callable[[dict[str, Any]], Drafts]], key: Any
) -> Callable[[dict[str, Any]], Drafts] | None:
    return table.get(key) if isinstance(key, int) else None


def _text_draft(rendered: Rendered, place: Place) -> Draft:
    detail: dict[str, Any] = {
        "type": "text",
        "selector": place.selector,
        "text": rendered.text,
        "added": rendered.added,
        "node_id": rendered.block.id,
        "within": place.within,
    }
    if rendered.truncated:
        detail["truncated"] = True
    end = rendered.text if len(rendered.text) <= MAX_LABEL_CHARS else "…" + rendered.text[-MAX_LABEL_CHARS:]
    return Draft("dom", _title("text", "in", place.selector, one_line(end, MAX_LABEL_CHARS + 1)), detail)


def _title(act: str, preposition: str, named: str | None, text: str) -> str:
    """One line; ``text`` is one already, and short enough."""
    where = one_line(named, MAX_TITLE_CHARS - MAX_LABEL_CHARS - 20) if named else "the page"
    begin = f"{act} {preposition} {where}" if preposition else f"{act} {where}"
    if not text:
        return begin
    return f"{begin}: “{text}”" if act == "text" else f"{begin} “{text}”"
