"""Exact links between entries: those that ids say. What can only be inferred is not linked here."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from functools import partial
from typing import Any

from otel_replay.timeline.entry import Entry, Link
from otel_replay.timeline.spans import SpanKey, SpanNode, entry_id
from otel_replay.timeline.tree import SpanTree

ACTION_TAG = "otel.action"
"""Tag of the custom event in which a recorder names the action span it has started."""

ANNOUNCING_TAGS = (ACTION_TAG, "otel.page_view", "otel.navigation")
"""Tags of events that announce an action span; others that name one happened in its course."""

MAX_ACTION_DELAY_NS = 50_000_000
"""Between a recorded click and the custom event of its handler: 50 ms, the length of a long task."""

_CAUSED_KINDS = ("interaction", "tool", "agent", "retrieval")

Links = dict[str, list[Link]]
"""Entry id to the links that start there."""


def exact_links(
    nodes: Mapping[SpanKey, SpanNode], tree: SpanTree, dom: list[Entry], logs: Iterable[Entry] = ()
) -> Links:
    """Every exact link; ``dom`` in the order recorded, stream by stream."""
    links: Links = {}
    found = (
        *_child_of(tree),
        *_of_events(nodes, dom),
        *_of_logs(nodes, logs),
        *_caused_by_page(nodes),
        *_caused_by_action(nodes, tree, dom),
        *_caused_by_click(dom),
    )
    for source, link in found:
        if link not in links.setdefault(source, []):
            links[source].append(link)
    return links


def _child_of(tree: SpanTree) -> Iterator[tuple[str, Link]]:
    for child, parent in tree.parents.items():
        yield entry_id(child), Link("child_of", entry_id(parent))


def _of_events(nodes: Mapping[SpanKey, SpanNode], dom: Iterable[Entry]) -> Iterator[tuple[str, Link]]:
    """A recorded event is the call whose span it names, but for what only happened in the course of an action."""
    for event in dom:
        key = (event.trace_id, event.span_id)
        if event.span_id and key in nodes:
            is_within = nodes[key].entry.kind == "action" and event.detail.get("tag") not in ANNOUNCING_TAGS
            yield event.id, Link("caused_by" if is_within else "same_call", entry_id(key))


def _of_logs(nodes: Mapping[SpanKey, SpanNode], logs: Iterable[Entry]) -> Iterator[tuple[str, Link]]:
    """Errors, console messages and web vitals of a page name the action in whose course they came."""
    for log in logs:
        node = nodes.get((log.trace_id, log.span_id))
        if node and node.entry.kind == "action":
            yield log.id, Link("caused_by", node.entry.id)


def _caused_by_page(nodes: Mapping[SpanKey, SpanNode]) -> Iterator[tuple[str, Link]]:
    """From a server's span to the browser's that asked for it: the page has no trace before its first answer, whose
    ``Server-Timing`` names the server's, and browser SDKs write that down."""
    for node in nodes.values():
        attributes = node.entry.detail["attributes"]
        trace_id, span_id = attributes.get("link.traceId"), attributes.get("link.spanId")
        if isinstance(trace_id, str) and isinstance(span_id, str):
            named = nodes.get((trace_id, span_id))
            if named and named is not node:
                yield named.entry.id, Link("caused_by", node.entry.id)


def _caused_by_action(
    nodes: Mapping[SpanKey, SpanNode], tree: SpanTree, dom: Iterable[Entry]
) -> Iterator[tuple[str, Link]]:
    """From every AI and server span to the nearest user action above it: its span, or the event that announced it."""
    actions = _announced_actions(dom)
    actions |= {key: node.entry.id for key, node in nodes.items() if node.entry.kind == "action"}
    causes: dict[SpanKey, str] = {}
    for key in tree.top_down:
        parent = tree.parents.get(key) or tree.missing_parents.get(key)
        if parent and (cause := actions.get(parent) or causes.get(parent)):
            causes[key] = cause
            if _is_caused(nodes[key].entry):
                yield entry_id(key), Link("caused_by", cause)


def _is_caused(entry: Entry) -> bool:
    return entry.kind in _CAUSED_KINDS or entry.detail["span_kind"] == "SERVER"


def _announced_actions(dom: Iterable[Entry]) -> dict[SpanKey, str]:
    """Action spans that a custom event names: span to the id of the earliest such event."""
    actions = [event for event in dom if event.detail.get("tag") in ANNOUNCING_TAGS and event.span_id]
    actions.sort(key=lambda event: event.order_key, reverse=True)
    return {(event.trace_id, event.span_id): event.id for event in actions}


def _caused_by_click(dom: list[Entry]) -> Iterator[tuple[str, Link]]:
    """From an announced action to the click next to it; a recorder may write either first, as both handle one event."""
    for before, event, after in zip([None, *dom], dom, [*dom[1:], None], strict=False):
        if event.detail.get("tag") == ACTION_TAG:
            clicks = [click for click in (before, after) if click and _is_click_of(click, event)]
            if clicks:
                yield event.id, Link("caused_by", min(clicks, key=partial(_distance, event)).id)


def _is_click_of(click: Entry, action: Entry) -> bool:
    return (
        click.detail.get("type") == "click"
        and (click.session_id, click.stream_id) == (action.session_id, action.stream_id)
        and _distance(click, action) <= MAX_ACTION_DELAY_NS
        and bool(_targets(click.detail) & _targets(action.detail))
    )


def _distance(one: Entry, other: Entry) -> int:
    return abs(one.start_unix_nano - other.start_unix_nano)


def _targets(detail: Mapping[str, Any]) -> set[str]:
    """How an event names what it happened to: its target or selector, or the widget its payload names."""
    payload = detail.get("payload")
    sources = (detail, payload) if isinstance(payload, Mapping) else (detail,)
    named = [source.get(key) for source in sources for key in ("target", "selector")]
    widgets = [f"#{source['app.widget.id']}" for source in sources if source.get("app.widget.id")]
    return {name for name in (*named, *widgets) if isinstance(name, str) and name}
