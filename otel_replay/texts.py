"""Texts from outside, made fit to keep."""

from __future__ import annotations


def storable(text: str) -> str:
    """The text with lone surrogates (JSON can escape them, UTF-8 cannot hold them) as U+FFFD."""
    if text.isascii():
        return text
    try:
        text.encode("utf-16")  # as strict as UTF-8, and much faster for what is not ASCII
    except UnicodeEncodeError:
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return text
