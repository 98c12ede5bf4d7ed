"""Protobuf by hand: encodings that no library writes and every parser has to read."""

from __future__ import annotations

VARINT, FIXED64, LENGTH, FIXED32 = 0, 1, 2, 5


def varint(number: int, padding: int = 0) -> bytes:
    """``padding`` is how many bytes it is longer than it has to be."""
    groups = [number >> shift & 0x7F for shift in range(0, max(1, number.bit_length()), 7)] + [0] * padding
    return bytes([group | 0x80 for group in groups[:-1]] + groups[-1:])


def bytes_field(number: int, content: bytes, padding: int = 0) -> bytes:
    return varint(number << 3 | LENGTH, padding) + varint(len(content), padding) + content


def number_field(number: int, value: int, padding: int = 0) -> bytes:
    return varint(number << 3 | VARINT, padding) + varint(value, padding)


def fixed_field(number: int, value: int, padding: int = 0) -> bytes:
    return varint(number << 3 | FIXED64, padding) + value.to_bytes(8, "little")
