"""Secrets in a text: found, and replaced by markers. JSON in it is looked into, however deep it is quoted."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable
from functools import lru_cache
from typing import Any, NamedTuple

from otel_replay.privacy import keys
from otel_replay.privacy.cards import may_hold_card
from otel_replay.privacy.patterns import CARD, VALUE_PATTERNS
from otel_replay.privacy.policy import Action, Policy
from otel_replay.privacy.scan import TraceScan

SECRET_KEY = "secret-key"
"""The rule of what stands under a key that is known by default."""

_MARK = "[redacted:"
_KEPT_KEYS = 4_096
_MAX_QUOTED = 6
"""JSON in a string in JSON, and so on: so many levels are looked into."""

_JSON_START = re.compile(r'\s*(?:[{\[]|"\s*[{\[])')


class Finding(NamedTuple):
    """A rule that has found something, and what is to be done."""

    rule: str
    action: Action


class Dropped(str):
    """The marker of a value whose rule wants the attribute gone, for where there is none that could go."""

    __slots__ = ()


class _Value(NamedTuple):
    """A value pattern, ready to be used."""

    finding: Finding
    expression: re.Pattern[str]
    holds: Callable[[str], bool]


class TextRedactor:
    """Redacts texts by the rules of one project, and counts by rule what it has replaced. Safe to share by threads."""

    def __init__(self, policy: Policy, key: bytes, count: Callable[[str, int], None]) -> None:
        self._key = key
        self._count = count
        self._secrets = policy.secrets
        self._values: list[_Value] = []
        self._traces: list[str] = []
        self._of_trace: list[int] = []
        if policy.secrets:
            for pattern in VALUE_PATTERNS:
                self._of_trace += [len(self._values)] * len(pattern.traces)
                self._traces += pattern.traces
                self._add_value(pattern.rule, policy.secrets, pattern.expression, pattern.holds)
            self._card = len(self._values)
            self._add_value(CARD.rule, policy.secrets, CARD.expression, CARD.holds)
        first_key = len(self._traces)
        self._traces += [*(keys.KEY_TRACES if policy.secrets else ()), keys.ESCAPE_TRACE]
        self._key_globs = [(Finding(rule.name, rule.action), keys.glob_expression(rule.keys)) for rule in policy.rules]
        self._traces += [_glob_trace(glob) for rule in policy.rules for glob in rule.keys]
        self._scan = TraceScan(self._traces, caseless=range(first_key, len(self._traces)))
        # Expressions from outside may be anything: `re` looks for them in every request, as bytes and as text.
        self._own = []
        for rule in policy.rules:
            for expression in rule.values:
                self._own.append((len(self._values), re.compile(expression.encode(errors="surrogatepass"))))
                self._add_value(rule.name, rule.action, expression, lambda _text: True)
        self.finding_of = lru_cache(_KEPT_KEYS)(self._finding_of)

    def _add_value(self, rule: str, action: Action, expression: str, holds: Callable[[str], bool]) -> None:
        self._values.append(_Value(Finding(rule, action), re.compile(expression), holds))

    def touches(self, raw: bytes) -> bool:
        """Whether there may be something to find in bytes of any kind; False is certain."""
        return bool(
            self._scan.find(raw)
            or (self._secrets and may_hold_card(raw))
            or any(expression.search(raw) for _, expression in self._own)
        )

    def text(self, text: str) -> str:
        """The text without what was found: the same object when nothing was. :class:`Dropped` when it is to go."""
        return self._text(text, 0)

    def value(self, text: str, finding: Finding) -> str:
        """What stands for a whole value that a key gave away."""
        if text.startswith(_MARK) or not text.strip("*") or text == "REDACTED":
            return text
        return self._marker(text, finding)

    def _text(self, text: str, quoted: int) -> str:
        hits, by_key = self._hits(text.encode(errors="surrogatepass"))
        if not hits and not by_key:
            return text
        is_json, left = False, text
        if quoted < _MAX_QUOTED and _JSON_START.match(text):
            is_json, left = self._in_json(text, quoted)
        for number in hits:
            left = self._without(left, self._values[number])
        if by_key and not is_json:
            left = self._without_assignments(left)
        return text if left == text else left

    def _hits(self, raw: bytes) -> tuple[list[int], bool]:
        """Value patterns that may match, and whether there may be a secret key or an escape."""
        found = self._scan.find(raw)
        values = {self._of_trace[number] for number in found if number < len(self._of_trace)}
        if self._secrets and may_hold_card(raw):
            values.add(self._card)
        values.update(number for number, expression in self._own if expression.search(raw))
        return sorted(values), any(number >= len(self._of_trace) for number in found)

    def _without(self, text: str, value: _Value) -> str:
        if isinstance(text, Dropped):
            return text
        finding, expression, holds = value
        gone: list[str] = []

        def replaced(match: re.Match[str]) -> str:
            group = "secret" if "secret" in expression.groupindex else 0
            secret = match.group(group)
            if secret.startswith(_MARK) or not holds(secret):
                return match.group()
            gone.append(secret)
            start, end = match.start(group) - match.start(), match.end(group) - match.start()
            return match.group()[:start] + self._marker(secret, finding) + match.group()[end:]

        text = expression.sub(replaced, text)
        return self._marker(gone[0], finding) if gone and finding.action is Action.DROP else text

    def _without_assignments(self, text: str) -> str:
        if isinstance(text, Dropped):
            return text

        def replaced(match: re.Match[str]) -> str:
            key, sign, quoted, bare = match.group("key", "sign", "quoted", "bare")
            finding = self.finding_of(key)
            secret = bare if quoted is None else quoted
            if finding is None or not secret or _MARK in secret:
                return match.group()
            if bare is not None and not keys.is_assigned_secret(key, sign, bare):
                return match.group()
            start = match.start("bare" if quoted is None else "quoted") - match.start()
            return match.group()[:start] + str(self.value(secret, finding)) + match.group()[start + len(secret) :]

        return keys.ASSIGNMENT.sub(replaced, text)

    def _in_json(self, text: str, quoted: int) -> tuple[bool, str]:
        """Whether the text is JSON, and then what is left of it."""
        try:
            document = json.loads(text)
            changed = self._json(document, quoted + 1)
            if changed is document:
                return True, text
            spaces = (", ", ": ") if ": " in text[:200] else (",", ":")
            return True, json.dumps(changed, ensure_ascii=text.isascii(), separators=spaces)
        except (ValueError, RecursionError):
            return False, text

    def document(self, document: Any) -> Any:
        """JSON as Python values without what was found; the same object when nothing was."""
        return self._json(document, 1)

    def _json(self, value: Any, quoted: int) -> Any:
        if isinstance(value, str):
            return self._text(value, quoted)
        if isinstance(value, list):
            items = [self._json(item, quoted) for item in value]
            return value if all(map(_is, items, value)) else items
        if not isinstance(value, dict):
            return value
        hidden = self._finding_of_pair(value)
        members = {
            key: self._member(key, item, hidden if key in _PAIR_VALUES else None, quoted) for key, item in value.items()
        }
        if all(map(_is, members.values(), value.values())):
            return value
        return {key: item for key, item in members.items() if not isinstance(item, Dropped)}

    def _member(self, key: str, item: Any, hidden: Finding | None, quoted: int) -> Any:
        finding = hidden or self.finding_of(key)
        return self._json(item, quoted) if finding is None else self._leaves(item, finding, key)

    def _leaves(self, item: Any, finding: Finding, key: str) -> Any:
        """Everything under a secret key."""
        if isinstance(item, str):
            return self.value(item, finding)
        if isinstance(item, list):
            items = [self._leaves(one, finding, key) for one in item]
            return item if all(map(_is, items, item)) else items
        if isinstance(item, dict):
            return {name: self._leaves(one, finding, key) for name, one in item.items()}
        if isinstance(item, bool) or item is None or not self.takes_numbers(key, finding):
            return item
        return self._marker(str(item), finding)

    def _finding_of_pair(self, members: dict[str, Any]) -> Finding | None:
        """Of ``{"name": "Authorization", "value": ...}``, and of a form's field of type password."""
        if self._secrets and members.get("type") == "password":
            return Finding(SECRET_KEY, self._secrets)
        name = members.get("name", members.get("key"))
        return self.finding_of(name) if isinstance(name, str) and "value" in members else None

    def takes_numbers(self, key: str, finding: Finding) -> bool:
        return finding.rule != SECRET_KEY or keys.takes_numbers(key)

    def _finding_of(self, key: str) -> Finding | None:
        for finding, globs in self._key_globs:
            if globs.fullmatch(key):
                return finding
        return Finding(SECRET_KEY, self._secrets) if self._secrets and keys.is_secret_key(key) else None

    def _marker(self, secret: str, finding: Finding) -> str:
        self._count(finding.rule, 1)
        if finding.action is Action.HASH:
            raw = secret.encode(errors="surrogatepass")
            digest = hashlib.blake2b(raw, digest_size=8, key=self._key, person=b"redacted").hexdigest()
            return f"{_MARK}{finding.rule}:{digest}]"
        marker = f"{_MARK}{finding.rule}]"
        return Dropped(marker) if finding.action is Action.DROP else marker


_PAIR_VALUES = ("value",)


def _is(new: Any, old: Any) -> bool:
    return new is old


def _glob_trace(glob: str) -> str:
    """The longest piece of a glob without a star: it stands in every key that matches."""
    return "".join(rf"\x{byte:02x}" for byte in max(glob.split("*"), key=len).encode())
