"""How the table of differences is written: an application, what records it, and what that says otherwise."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from tests.dialects.conversation import LOOK, OPENAI, Vendor
from tests.dialects.expected import LOST, STEPS, Facts, expected

USUAL = ("tools", "stream", "error", "abandoned", "image")
WITH_EMBEDDING = (*USUAL, "embedding")
WITH_REFUSAL = (*USUAL, "refused", "retried")
EVERYTHING = (*WITH_REFUSAL, "embedding")


class But(NamedTuple):
    """The value heard instead, and the reason."""

    value: Any
    because: str


Differences = dict[str, But]
"""``call.field`` (``*`` for every call, a call alone for all of it) to what is heard instead."""


@dataclass(frozen=True, slots=True)
class Dialect:
    """An application and what records it."""

    client: str
    recorders: tuple[str, ...]
    vendor: Vendor = OPENAI
    environment: str = "python"
    steps: tuple[str, ...] = USUAL
    differs: Mapping[str, But] = field(default_factory=dict)
    tools: tuple[Mapping[str, Any], ...] = ()
    """One item for each tool run that is told, with what it says otherwise."""
    agents: frozenset[str | None] = frozenset()
    repeated: frozenset[str] = frozenset()
    """Calls whose tokens another one says as well: sums are without theirs."""
    span: str = ""
    """Of several spans for one call, the name of the one that is compared."""

    def __str__(self) -> str:
        return "-".join((self.client, *self.recorders))


def of(calls: str, fields: str, value: Any, because: str) -> Differences:
    """The same difference in several calls or fields, each list with spaces between."""
    return {f"{call}.{name}": But(value, because) for call in calls.split() for name in fields.split()}


def picture(part: Mapping[str, Any] | None, because: str) -> Differences:
    """The part that stands for the picture; None when there is none."""
    parts = [{"type": "text", "content": LOOK}, *([part] if part else [])]
    return {"image.input": But([{"role": "user", "parts": parts}], because)}


def lost(call: str, because: str) -> Differences:
    return {call: But(LOST, because)}


def history(message: int, instead: list[Facts], because: str) -> Differences:
    """Other messages instead of one of the history, which two calls repeat."""
    calls = expected(OPENAI)
    return {
        f"{call}.input": But([*said[:message], *instead, *said[message + 1 :]], because)
        for call in ("answer", "stream")
        for said in (calls[call]["input"],)
    }


def differences(dialect: Dialect, steps: Mapping[str, list[Facts]]) -> dict[str, Any]:
    """``call.field`` to what was heard instead of what was wanted; ``call`` for one too few or too many."""
    wanted = expected(dialect.vendor)
    found: dict[str, Any] = {}
    for step in dialect.steps:
        names, calls = STEPS[step], steps.get(step, [])
        for name, facts in zip(names, calls, strict=False):
            found |= {f"{name}.{key}": facts[key] for key in facts if facts[key] != wanted[name][key]}
        found |= dict.fromkeys(names[len(calls) :], LOST)
        if len(calls) > len(names):
            found[f"{step}, more"] = len(calls) - len(names)
    found |= {step: steps[step] for step in steps.keys() - set(dialect.steps)}
    return found


def allowed(dialect: Dialect) -> dict[str, Any]:
    """The dialect's table, ``*`` standing for every call where the expected value is another one.

    A row that allows what is expected anyway is an error, unless it takes a call out of a ``*``. What is said of a call
    that fails holds for one that is refused.
    """
    wanted = expected(dialect.vendor)
    calls = [name for step in dialect.steps for name in STEPS[step] if dialect.differs.get(name, ("",))[0] != LOST]
    found: dict[str, Any] = {}
    told = dict(dialect.differs)
    if "refused" in dialect.steps:
        told |= {key.replace("error", "refused", 1): but for key, but in told.items() if key.startswith("error.")}
    for key, (value, _) in sorted(told.items(), key=lambda item: not item[0].startswith("*.")):
        call, _, fact = key.partition(".")
        if call == "*":
            found |= {f"{name}.{fact}": value for name in calls if wanted[name][fact] != value}
        elif fact and wanted[call][fact] == value:
            del found[key]
        else:
            found[key] = value
    return found
