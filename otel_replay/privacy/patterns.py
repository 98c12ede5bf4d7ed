"""The secrets that are known by default: by what they look like, and by the key they stand under. Pure data.

A value pattern has two forms. ``trace`` is what hyperscan looks for in every request: of fixed length, cheap, and in
every text that ``expression`` matches. ``expression`` decides, on the few records that hold a trace.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple


class ValuePattern(NamedTuple):
    """A secret known by its look. The group ``secret`` of ``expression``, where there is one, is what is taken out."""

    rule: str
    traces: tuple[str, ...]
    expression: str
    holds: Callable[[str], bool] = lambda _text: True


def passes_luhn(text: str) -> bool:
    """Whether the digits of a text end with their right check digit (ISO/IEC 7812-1)."""
    digits = [int(character) for character in reversed(text) if character.isdigit()]
    doubled = [sum(divmod(2 * digit, 10)) for digit in digits[1::2]]
    return (sum(digits[::2]) + sum(doubled)) % 10 == 0 and len(set(digits)) > 1


def _has_digit(text: str) -> bool:
    return any(map(str.isdigit, text))


def _token(rule: str, start: str, alphabet: str, least: int, *, most: int | None = None) -> ValuePattern:
    """A key that starts with some letters and goes on with at least ``least`` of an alphabet."""
    count = f"{{{least}}}" if most == least else f"{{{least},{most or ''}}}"
    return ValuePattern(
        rule, (f"{start}[{alphabet}]{{{min(least, 8)}}}",), rf"(?<![A-Za-z0-9]){start}[{alphabet}]{count}"
    )


_WORD, _DASHED, _BASE64 = "A-Za-z0-9_", r"A-Za-z0-9_\-", r"A-Za-z0-9+/_\-"

VALUE_PATTERNS = (
    ValuePattern("otel-replay-key", ("orpl_[0-9a-f]{8}_",), rf"orpl_[0-9a-f]{{8}}_[{_DASHED}]{{20,}}"),
    _token("anthropic-key", "sk-ant-", _DASHED, 20),
    _token("openai-key", "sk-(?:proj|svcacct|admin|None)-", _DASHED, 20),
    _token("api-key", "sk-(?:or|lf)-", _DASHED, 20),  # OpenRouter, Langfuse
    _token("api-key", "sk-", "A-Za-z0-9", 20)._replace(traces=("sk-[A-Za-z0-9]{20}",)),  # OpenAI before 2024, others
    _token("aws-key-id", "(?:AKIA|ASIA|ABIA|ACCA)", "A-Z0-9", 16, most=16),
    _token("github-token", "gh[pousr]_", "A-Za-z0-9", 36),
    _token("github-token", "github_pat_", _WORD, 40),
    _token("gitlab-token", "glpat-", _DASHED, 20),
    _token("slack-token", "xox[abeoprs]-", r"A-Za-z0-9\-", 10),
    _token("slack-token", "xapp-", r"A-Za-z0-9\-", 20),
    ValuePattern(
        "slack-webhook",
        (r"hooks\.slack\.com/",),
        r"hooks\.slack\.com/(?:services|workflows|triggers)/(?P<secret>[A-Za-z0-9/]{20,})",
    ),
    _token("google-key", "AIza", _DASHED, 35),
    _token("google-token", r"ya29\.", _DASHED, 20),
    _token("stripe-key", "(?:sk|rk)_(?:live|test)_", "A-Za-z0-9", 16),
    _token("webhook-secret", "whsec_", _BASE64, 20),
    _token("huggingface-token", "hf_", "A-Za-z0-9", 30),
    _token("groq-key", "gsk_", "A-Za-z0-9", 30),
    _token("xai-key", "xai-", "A-Za-z0-9", 40),
    _token("perplexity-key", "pplx-", "A-Za-z0-9", 30),
    _token("nvidia-key", "nvapi-", _DASHED, 30),
    _token("tavily-key", "tvly-", _DASHED, 20),
    _token("pinecone-key", "pcsk_", _WORD, 30),
    _token("replicate-token", "r8_", "A-Za-z0-9", 30),
    _token("databricks-token", "dapi", "0-9a-f", 32),
    _token("npm-token", "npm_", "A-Za-z0-9", 36),
    _token("pypi-token", "pypi-AgE", _DASHED, 40),
    _token("sendgrid-key", r"SG\.", r"A-Za-z0-9_.\-", 40),
    _token("digitalocean-token", "do[opr]_v1_", "0-9a-f", 40),
    ValuePattern(
        "azure-key",
        ("AccountKey=", "SharedAccessKey="),
        r"(?:AccountKey|SharedAccessKey)=(?P<secret>[^;\s\"'\\]{10,})",
    ),
    ValuePattern(
        "private-key",
        ("-----BEGIN ",),
        r"-----BEGIN (?:[A-Z0-9]+ )*PRIVATE KEY(?: BLOCK)?-----"
        r"(?:[\s\S]*?-----END (?:[A-Z0-9]+ )*PRIVATE KEY(?: BLOCK)?-----|[A-Za-z0-9+/=\\\s]*)",
    ),
    _token("jwt", "eyJ", _DASHED, 8)._replace(
        expression=r"(?<![A-Za-z0-9_\-])eyJ[A-Za-z0-9_\-]{8,}\.eyJ[A-Za-z0-9_\-]{8,}(?:\.[A-Za-z0-9_\-]*)?"
    ),
    ValuePattern(
        "bearer-token",
        (r"[Bb][Ee][Aa][Rr][Ee][Rr] [A-Za-z0-9._~+/\-]{12}",),
        r"(?i:\bbearer) (?P<secret>[A-Za-z0-9._~+/\-]{12,}=*)",
        _has_digit,
    ),
    ValuePattern(
        "basic-auth",
        ("[Bb][Aa][Ss][Ii][Cc] [A-Za-z0-9+/]{8}",),
        r"(?i:\bauthorization\W{1,8}basic|^basic) (?P<secret>[A-Za-z0-9+/]{8,}=*)",
    ),
    ValuePattern(
        "url-password",
        (r"//[\x21\x23-\x2e\x30-\x3b\x3d\x3f\x41-\x5b\x5d-\x7e]{1,100}@",),
        r"//[^\s/@\"<>\\]{0,100}?:(?P<secret>[^\s/@\"<>\\]{1,100})@",
    ),
)  # fmt: skip

CARD = ValuePattern(
    "credit-card",
    (),  # found by its digits: privacy/cards.py
    r"(?<![A-Za-z0-9_.\-])(?:"
    r"(?:4[0-9]{3}|5[1-5][0-9]{2}|2[2-7][0-9]{2}|6(?:011|5[0-9]{2}))"
    r"(?P<gap>[ \-]?)[0-9]{4}(?P=gap)[0-9]{4}(?P=gap)[0-9]{4}"
    r"|3[47][0-9]{2}(?P<short>[ \-]?)[0-9]{6}(?P=short)[0-9]{5})(?![A-Za-z0-9_\-]|\.[0-9])",
    passes_luhn,
)
"""Visa, Mastercard, Discover of 16 digits, American Express of 15; together, or in groups."""
