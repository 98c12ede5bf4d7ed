"""Keys that secrets stand under: of attributes, of headers, of objects in JSON, of assignments in a text. Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence

_CAMEL = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")
_LAST_PART = re.compile(r"[^./:\[\]]*$")

_ANYWHERE_LAST = (
    "password",
    "passwd",
    "passphrase",
    "secret",
    "api_key",
    "apikey",
    "private_key",
    "secret_key",
    "secret_access_key",
    "encryption_key",
    "signing_key",
    "authorization",
    "cookie",
    "credentials",
    "credential",
    "card_number",
    "cvv",
    "cvc",
)
"""The last words of a key: ``db.password``, ``smtp_password``, ``clientSecret``, ``x-api-key``."""

_TOKENS = ("access", "refresh", "id", "auth", "session", "bearer", "api", "csrf", "xsrf", "security", "oauth", "secret")
"""What a token is called that lets somebody in. ``max_token`` and ``eos_token`` are none, ``input_tokens`` neither."""

_ENDS = tuple(f"_{name}" for name in (*_ANYWHERE_LAST, *(f"{kind}_token" for kind in _TOKENS)))

_STEMS = (
    "passw(?:or)?d",
    "passphrase",
    "secret",
    "api[_-]?key",
    "(?:private|secret|access|encryption|signing)[_-]?key",
    "authorization",
    "cookie",
    "token",
    "credentials?",
    "card[_-]?number",
    "cvv",
    "cvc",
)

_KEY_ENDS = r"(?:[\x12=:]|\\{0,40}[\x22'] ?:)"
"""Behind a key: the value's tag in protobuf, an assignment, or the end of a name in JSON, in a string or by itself."""

KEY_TRACES = (
    *(stem + _KEY_ENDS for stem in _STEMS),
    r"(?:authorization|cookie|api[_-]key)\\{0,40}\x22, ?\\{0,40}\x22value",
    r"type\\{0,40}\x22: ?\\{0,40}\x22password",
)
"""One of them stands in every text with a secret key and its value. Caseless."""

ESCAPE_TRACE = r"\\u00[2-7]"
"""ASCII written as escapes in JSON: whatever else is to be found may be hidden so."""

ASSIGNMENT = re.compile(
    rf"(?i)(?P<key>[\w.\-]{{0,40}}?(?:{'|'.join(_STEMS)}))(?:\\*[\"'])?\s{{0,4}}(?P<sign>[:=])\s{{0,4}}"
    r"(?:(?P<quote>\\*[\"'])(?P<quoted>(?:(?!(?P=quote))[\s\S]){0,4096})|(?P<bare>[^\s\"'&,;<>\\(){}\[\]]{4,}))"
)
"""A key and its value in text that is no JSON, or JSON that was cut off."""

_NO_NUMBER = re.compile(r"[^0-9.]")
_WORDS = frozenset({"null", "none", "true", "false", "undefined", "string", "bearer", "basic", "required", "optional"})


def is_secret_key(key: str) -> bool:
    """Whether what stands under a key is secret."""
    name = key if len(key) <= 200 else key[-200:]
    match = _LAST_PART.search(name)
    last = _CAMEL.sub("_", match.group() if match else name).lower().replace("-", "_").replace(" ", "_")
    return last == "token" or f"_{last}".endswith(_ENDS)


def takes_numbers(key: str) -> bool:
    """Whether a number under a secret key is a secret, too: of tokens it is a count."""
    return "token" not in key.lower()


def is_assigned_secret(key: str, sign: str, bare: str) -> bool:
    """Whether a word behind a key in plain text is a value: ``password: hunter2``, and not ``secret: yes``."""
    if bare.lower() in _WORDS or not is_secret_key(key) or not (takes_numbers(key) or _NO_NUMBER.search(bare)):
        return False
    return sign == "=" or any(map(str.isdigit, bare))


def glob_expression(globs: Sequence[str]) -> re.Pattern[str]:
    """Keys that match one of some patterns, in which ``*`` stands for anything; case does not matter."""
    parts = (".*".join(map(re.escape, glob.split("*"))) for glob in globs)
    return re.compile("|".join(parts) or r"(?!)", re.IGNORECASE)
