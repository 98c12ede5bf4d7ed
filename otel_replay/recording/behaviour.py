"""What several events of a page tell together: scrolling, bursts of changes, clicks in rage, clicks that do nothing.

Everything starts anew with each full snapshot and behind each gap, so that a stream that is read again from there tells
the same; and nothing is told of what follows: a click is dead once an event comes after its time, not at the end of a
stream, where nobody knows.

=============  ============================================================================================
told as        when
=============  ============================================================================================
``scroll``     an element begins to scroll, and again every ``SCROLL_STEP_PX``
``mutations``  ``BURST_CHANGES`` nodes or attributes change within ``BURST_NS``; once for as long as it goes on
``rage_click`` ``RAGE_CLICKS`` clicks within ``RAGE_PX`` of each other, at most ``RAGE_NS`` between two
``dead_click`` a click on a button after which nothing changes for ``DEAD_NS``
=============  ============================================================================================
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from otel_replay.recording.custom import Draft
from otel_replay.recording.nodes import Node

_SECOND = 1_000_000_000

RAGE_CLICKS, RAGE_PX, RAGE_NS = 3, 30, 1 * _SECOND
"""PostHog's (posthog-js, ``extensions/rageclick.ts``): |dx| + |dy| to the click before, and the time to it."""

DEAD_NS = 7 * _SECOND
"""Sentry's ("Rage and Dead Clicks": no activity on the page within 7 seconds)."""
MAX_WAITING = 100
"""Buttons that are watched at a time."""

SOON_NS = 300_000_000
"""Sentry's: a scroll counts as the answer to a click this soon; later the person scrolls."""

BURST_CHANGES = 750
"""Sentry's ``mutationBreadcrumbLimit``, from which on it notes how much a page changes."""
BURST_NS = 1 * _SECOND

SCROLL_PAUSE_NS = 1 * _SECOND
SCROLL_STEP_PX = 1_000
"""About what a screen shows."""
MAX_SCROLLED = 200
"""Elements whose scrolling is followed."""

_ANSWERS = frozenset({0, 4, 7, 8, 9, 13, 15})
"""Sources of events that change what is seen: DOM, size, media, style rules, canvas, declarations, adopted sheets."""
_SOON_ANSWERS = frozenset({3, 5, 14})
"""Scroll, input, selection: a person's as often as the page's."""
_BUTTON_TYPES = frozenset({"button", "submit", "reset", "image"})
_BUTTON_ROLES = frozenset({"button", "menuitem", "switch", "tab"})


class Click(NamedTuple):
    """A click that was told; ``button`` is the id of the button that it was meant for, None for anything else."""

    unix_nano: int
    node_id: Any
    x: int | float | None
    y: int | float | None
    draft: Draft
    button: int | None


class Behaviour:
    """Follows one stream in sequence order, as :class:`~otel_replay.recording.distill.StreamDistiller` does."""

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Forgets all that was going on."""
        self._waiting: dict[int, tuple[Click, int]] = {}
        self._last: Click | None = None
        self._in_a_row = 0
        self._pressed = self._press_answered = False
        self._scrolled: dict[int, _Scrolled] = {}
        self._burst = _Burst(0, 0, going_on=False)

    def passed(self, unix_nano: int) -> list[Draft]:
        """The clicks that were not answered in their time; to be asked before each event."""
        late = [button for button, (click, _) in self._waiting.items() if unix_nano - click.unix_nano > DEAD_NS]
        return [_dead(*self._waiting.pop(button)) for button in late]

    def pressed(self) -> None:
        """A mouse button or a finger went down: many controls answer to that, before the click."""
        self._pressed, self._press_answered = True, False

    def clicked(self, click: Click) -> list[Draft]:
        """A click in rage where this is one; and it is watched whether anything answers."""
        answered, self._pressed, self._press_answered = self._press_answered, False, False
        if click.button is not None and not answered and len(self._waiting) < MAX_WAITING:
            first, clicks = self._waiting.get(click.button, (click, 0))
            self._waiting[click.button] = first, clicks + 1
        goes_on = self._last is not None and _goes_on(self._last, click)
        self._last, self._in_a_row = click, (self._in_a_row + 1 if goes_on else 1)
        return [_rage(click)] if self._in_a_row == RAGE_CLICKS else []

    def answered(self, source: Any, unix_nano: int) -> None:
        """An incremental event: it may be what a click has done."""
        if source in _ANSWERS:
            self._press_answered = self._pressed
            self._waiting.clear()
        elif source in _SOON_ANSWERS:
            self._waiting = {
                button: one for button, one in self._waiting.items() if unix_nano - one[0].unix_nano > SOON_NS
            }

    def changed(self, changes: int, unix_nano: int) -> list[Draft]:
        """So many nodes were added or removed, or got another text or attribute."""
        since, count, going_on = self._burst
        if unix_nano - since > BURST_NS:
            since, count, going_on = unix_nano, 0, going_on and count >= BURST_CHANGES
        count += changes
        begins = count >= BURST_CHANGES and not going_on
        self._burst = _Burst(since, count, going_on or begins)
        if not begins:
            return []
        title = f"burst of changes: {count} within {(unix_nano - since) / _SECOND:.1f} s"
        return [Draft("dom", title, {"type": "mutations", "changes": count, "duration_ns": unix_nano - since})]

    def scrolled(self, node_id: int, x: float, y: float, unix_nano: int, draft: Callable[[], Draft]) -> list[Draft]:
        """``draft`` makes what is told of it, where something is."""
        known = self._scrolled.get(node_id)
        far = known is not None and max(abs(x - known.x), abs(y - known.y)) >= SCROLL_STEP_PX
        if known is None or far or unix_nano - known.unix_nano > SCROLL_PAUSE_NS:
            if len(self._scrolled) >= MAX_SCROLLED:
                self._scrolled.clear()
            self._scrolled[node_id] = _Scrolled(unix_nano, x, y)
            return [draft()]
        self._scrolled[node_id] = known._replace(unix_nano=unix_nano)
        return []


class _Scrolled(NamedTuple):
    """When an element was last scrolled, and to where when that was told."""

    unix_nano: int
    x: float
    y: float


class _Burst(NamedTuple):
    """Changes since a time; whether it was told that there are many."""

    since: int
    changes: int
    going_on: bool


def button(node: Node) -> int | None:
    """The id of a button, for which something should happen; None for anything else.

    Links are none: they may open another tab or a download, which no recording shows (PostHog leaves them out since
    posthog-js 1.374, Sentry those with a target).
    """
    kind, role = node.attributes.get("type"), node.attributes.get("role")
    is_button = node.tag in ("button", "summary") or role in _BUTTON_ROLES
    is_button = is_button or (node.tag == "input" and kind in _BUTTON_TYPES)
    return node.id if is_button and all(one.tag != "a" for one in node.ancestors()) else None


def _goes_on(before: Click, click: Click) -> bool:
    if not 0 <= click.unix_nano - before.unix_nano < RAGE_NS:
        return False
    if before.x is None or before.y is None or click.x is None or click.y is None:
        return bool(before.node_id == click.node_id)
    return abs(click.x - before.x) + abs(click.y - before.y) < RAGE_PX


def _rage(click: Click) -> Draft:
    detail = {**click.draft.detail, "type": "rage_click", "clicks": RAGE_CLICKS}
    return click.draft._replace(title=f"rage {click.draft.title}", detail=detail)


def _dead(click: Click, clicks: int) -> Draft:
    detail = {**click.draft.detail, "type": "dead_click", "clicks": clicks}
    return click.draft._replace(title=f"dead {click.draft.title}", detail=detail, unix_nano=click.unix_nano)
