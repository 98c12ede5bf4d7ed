"""What an operator asks for: which rules hold for which project, and what becomes of what they find. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from otel_replay.errors import InvalidRequest

DEFAULT = "default"
"""The rules of projects that have none of their own."""


class Action(StrEnum):
    """What becomes of a value that was found."""

    MASK = "mask"
    """A marker of fixed length stands in its place."""
    HASH = "hash"
    """A marker with a keyed hash: equal values stay equal, and cannot be guessed."""
    DROP = "drop"
    """The attribute that holds it goes, and is counted in ``dropped_attributes_count``."""


@dataclass(frozen=True, slots=True)
class Rule:
    """Values under keys (globs), and texts that match expressions, wherever they stand."""

    name: str
    action: Action = Action.MASK
    keys: tuple[str, ...] = ()
    values: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Policy:
    """The rules of one project; ``secrets`` says what becomes of secrets known by default, None: nothing."""

    secrets: Action | None = Action.MASK
    rules: tuple[Rule, ...] = ()


@dataclass(frozen=True, slots=True)
class Policies:
    """Policies by name of project; others have the default one."""

    default: Policy = Policy()
    projects: Mapping[str, Policy] = field(default_factory=dict)

    def of(self, project: str) -> Policy:
        return self.projects.get(project, self.default)


_NAME = re.compile(r"[a-z0-9][a-z0-9_.-]{0,39}")


def read_policy(document: Mapping[str, Any], where: str) -> Policy:
    """From a TOML table: ``secrets = "mask"|"hash"|"drop"|"keep"`` and ``[[rules]]``; ``where`` names it in errors."""
    _refuse_unknown(document, "secrets rules", where)
    told = document.get("secrets", Action.MASK.value)
    secrets = None if told == "keep" else _action(told, f"{where}.secrets", "keep")
    rules = document.get("rules", [])
    if not isinstance(rules, list) or not all(isinstance(rule, dict) for rule in rules):
        raise InvalidRequest(f"{where}.rules: expected [[{where}.rules]] tables")
    return Policy(secrets, tuple(_rule(rule, f"{where}.rules[{place}]") for place, rule in enumerate(rules)))


def _rule(document: Mapping[str, Any], where: str) -> Rule:
    _refuse_unknown(document, "name action keys values", where)
    name = document.get("name")
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise InvalidRequest(f"{where}.name: expected a short name of a-z, 0-9, '.', '_' and '-'")
    keys, values = (_strings(document.get(part, []), f"{where}.{part}") for part in ("keys", "values"))
    if not keys and not values:
        raise InvalidRequest(f"{where}: neither keys nor values say what to look for")
    if short := [key for key in keys if len(max(key.split("*"), key=len)) < 2]:
        raise InvalidRequest(f"{where}.keys: {short[0]!r} would be every key", hint="write two letters beside the *")
    for value in values:
        _check_expression(value, f"{where}.values")
    return Rule(name, _action(document.get("action", Action.MASK.value), f"{where}.action"), keys, values)


def _check_expression(text: str, where: str) -> None:
    try:
        if re.compile(text).match(""):
            raise InvalidRequest(f"{where}: {text!r} matches an empty text")
    except re.error as error:
        raise InvalidRequest(f"{where}: {text!r} is no regular expression: {error}") from error


def _action(told: Any, where: str, *others: str) -> Action:
    try:
        return Action(told)
    except ValueError:
        known = ", ".join((*Action, *others))
        raise InvalidRequest(f"{where}: {str(told)[:40]!r} is none of {known}") from None


def _strings(told: Any, where: str) -> tuple[str, ...]:
    if isinstance(told, str) or not isinstance(told, Sequence) or not all(isinstance(one, str) and one for one in told):
        raise InvalidRequest(f"{where}: expected an array of strings")
    return tuple(told)


def _refuse_unknown(document: Mapping[str, Any], known: str, where: str) -> None:
    unknown = sorted(set(document) - set(known.split()))
    if unknown:
        raise InvalidRequest(f"{where}.{unknown[0]}: unknown", hint=f"known here: {known}")
