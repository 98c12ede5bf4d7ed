"""Which of the installed instrumentors are switched on: one for each library.

``openai`` is offered by four distributions. With all of them on, a call would be recorded four times over. The order in
which they are asked is ``FAMILIES``, then the distribution's name.
"""

from __future__ import annotations

import logging
import os
import re
import sys
from collections import defaultdict
from collections.abc import Collection, Iterator
from importlib.metadata import Distribution, EntryPoint, entry_points
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from opentelemetry.instrumentation.dependencies import DependencyConflict

_log = logging.getLogger(__name__)

GROUP = "opentelemetry_instrumentor"
DISABLED = "OTEL_PYTHON_DISABLED_INSTRUMENTATIONS"

FAMILIES = (
    # OpenTelemetry's own for LLM clients: one dialect, content switched by the standard variable, streams ended right.
    # -v2 are their older form, which genai- comes before by its name.
    r"opentelemetry-instrumentation-(genai-.+|google-genai|.+-v2)",
    r"openinference-instrumentation-.+",
    # OpenTelemetry's own for everything else; under the names of LLM clients, OpenLLMetry's.
    r"opentelemetry-instrumentation-.+",
    r".+",
)
"""Patterns of distribution names; the first that has an instrumentor that works for a library provides it."""

_SAME = {
    "boto3": "bedrock",
    "googlegenerativeai": "googlegenai",
    "haystackai": "haystack",
    "googlecloudaiplatform": "vertexai",
}
"""Libraries that OpenLLMetry names differently, once dashes and underscores are gone."""


def switch_on(names: Collection[str] | None = None) -> list[Any]:
    """Switches on one instrumentor for each library (None: all that are installed); gives those that were off before.

    A name that ``OTEL_PYTHON_DISABLED_INSTRUMENTATIONS`` lists stays off, and so does a library that the application
    has instrumented itself. An instrumentor that fails is logged, and the next one for the same library is tried.
    """
    switched_on = []
    for library, offered in _offered(names).items():
        if any(map(_is_on, offered)):
            continue
        for number, entry in enumerate(offered):
            if instrumentor := _switched_on(entry):
                switched_on.append(instrumentor)
                _tell_left_off(library, entry, offered[number + 1 :])
                break
    return switched_on


def leave_off_duplicates() -> None:
    """For ``opentelemetry-instrument``, which switches on whatever is installed: marks all but one as on already."""
    for library, offered in _offered(None).items():
        working = [entry for entry in offered if not _conflict(entry)]
        for entry in working[1:]:
            try:
                instrumentor = entry.load()()
                instrumentor._is_instrumented_by_opentelemetry = True
            except Exception:  # noqa: BLE001 - whoever loads it next will say so
                _log.debug("%s of %s cannot be loaded", entry.name, _distribution(entry), exc_info=True)
        if working:
            _tell_left_off(library, working[0], working[1:])


def _offered(names: Collection[str] | None) -> dict[str, list[EntryPoint]]:
    """Entry points by library, in the order in which they are to be tried."""
    disabled = {name.strip() for name in os.environ.get(DISABLED, "").split(",")}
    wanted = None if names is None else {_library(name) for name in ([names] if isinstance(names, str) else names)}
    offered: dict[str, list[EntryPoint]] = defaultdict(list)
    for entry in _installed():
        library = _library(entry.name)
        if "*" not in disabled and entry.name not in disabled and (wanted is None or library in wanted):
            offered[library].append(entry)
    for missing in sorted((wanted or set()) - set(offered)):
        _log.warning("no instrumentor for %s is installed", missing)
    return {library: sorted(entries, key=_rank) for library, entries in sorted(offered.items())}


def _installed() -> Iterator[EntryPoint]:
    """Each once: a distribution that is found twice on the path has its entry points twice."""
    seen = set()
    for entry in entry_points(group=GROUP):
        if (entry.name, entry.value) not in seen:
            seen.add((entry.name, entry.value))
            yield entry


def _library(name: str) -> str:
    plain = re.sub(r"[-_. ]", "", name.lower())
    return _SAME.get(plain, plain)


def _distribution(entry: EntryPoint) -> str:
    return re.sub(r"[-_.]+", "-", entry.dist.name).lower() if entry.dist else ""


def _rank(entry: EntryPoint) -> tuple[int, str]:
    name = _distribution(entry)
    family = next((rank for rank, pattern in enumerate(FAMILIES) if re.fullmatch(pattern, name)), len(FAMILIES))
    return family, name


def _switched_on(entry: EntryPoint) -> Any | None:
    """The instrumentor, if it is on after this; None when its library is missing, does not fit, or it fails.

    A library that is there in another version is told aloud: whoever installed both expects it to be recorded.
    """
    try:
        if conflict := _conflict(entry):
            is_there = conflict.found or conflict.found_any
            level = logging.WARNING if is_there else logging.DEBUG
            _log.log(level, "%s of %s stays off: %s", entry.name, _distribution(entry), conflict)
            return None
        instrumentor = entry.load()()
        instrumentor.instrument(skip_dep_check=True)
        return instrumentor
    except ModuleNotFoundError as error:
        _log.debug("%s stays off: %s", entry.name, error)
    except Exception:  # noqa: BLE001 - an instrumentor that is broken must not stop the application
        _log.exception("%s of %s cannot be switched on", entry.name, _distribution(entry))
    return None


def _is_on(entry: EntryPoint) -> bool:
    """Looked for among loaded modules only: what nobody has loaded nobody has switched on."""
    if entry.module not in sys.modules:
        return False
    try:
        return bool(entry.load()().is_instrumented_by_opentelemetry)
    except Exception:  # noqa: BLE001 - one that is broken is not on
        return False


def _conflict(entry: EntryPoint) -> DependencyConflict | None:
    """Why its library cannot be instrumented: it is not installed, or in another version."""
    from opentelemetry.instrumentation.dependencies import get_dist_dependency_conflicts

    dist: Distribution | None = entry.dist
    return get_dist_dependency_conflicts(dist) if dist else None


def _tell_left_off(library: str, chosen: EntryPoint, others: list[EntryPoint]) -> None:
    if left_off := ", ".join(sorted({_distribution(entry) for entry in others} - {_distribution(chosen)})):
        _log.warning("%s is instrumented by %s; left off: %s", library, _distribution(chosen), left_off)
