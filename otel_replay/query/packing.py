"""Typed data as JSON and back: what receivers give each other.

Fields go by name, so that a reader leaves out those it does not know and takes defaults for those that are not there.
Bytes and protobuf messages are base64. Nothing is made of a name that the data gives, and what does not fit the type is
a :class:`ValueError`.
"""

from __future__ import annotations

import base64
import enum
from collections.abc import Callable, Collection, Mapping
from dataclasses import fields, is_dataclass
from functools import cache
from types import NoneType, UnionType
from typing import Any, Literal, NamedTuple, Union, get_args, get_origin, get_type_hints

from google.protobuf.message import DecodeError, Message

_SCALARS = (str, int, float, bool, NoneType)


class Codec(NamedTuple):
    """``pack`` gives what JSON can say, ``unpack`` the same value again."""

    pack: Callable[[Any], Any]
    unpack: Callable[[Any], Any]


@cache
def codec(kind: Any) -> Codec:
    """Of a type made of scalars, bytes, messages, enumerations, named tuples, dataclasses and collections of them."""
    origin, arguments = get_origin(kind), get_args(kind)
    if kind is Any:
        return Codec(_same, _same)
    if origin in (Union, UnionType):
        return _optional(arguments)
    if origin is Literal:
        return Codec(_same, _checked(lambda value: value in arguments, kind))
    if origin is tuple and arguments[-1] is not Ellipsis:
        return _fixed(arguments)
    if origin is not None and issubclass(origin, Mapping):
        return _mapping(*map(codec, arguments), is_object=arguments[0] is str)
    if origin is not None and issubclass(origin, Collection):
        return _collection(origin if origin in (tuple, frozenset) else list, arguments)
    return _plain(kind)


def _plain(kind: Any) -> Codec:
    if kind is bytes:
        return Codec(lambda value: base64.b64encode(value).decode(), _bytes)
    if kind in _SCALARS:
        return Codec(_same, _checked(lambda value: type(value) is kind, kind))
    if issubclass(kind, enum.Enum):
        return Codec(lambda value: value.value, kind)
    if issubclass(kind, Message):
        return Codec(_packed_message, lambda data: _message(kind, data))
    return _record(kind)


def _same(value: Any) -> Any:
    return value


def _checked(fits: Callable[[Any], bool], kind: Any) -> Callable[[Any], Any]:
    def unpack(data: Any) -> Any:
        if not fits(data):
            raise ValueError(f"{str(data)[:80]!r} is no {kind}")
        return data

    return unpack


def _bytes(data: Any) -> bytes:
    if not isinstance(data, str):
        raise ValueError(f"{str(data)[:80]!r} is no text")
    return base64.b64decode(data, validate=True)


def _packed_message(value: Any) -> str:
    return base64.b64encode(value.SerializeToString()).decode()


def _message(kind: Any, data: Any) -> Any:
    try:
        return kind.FromString(_bytes(data))
    except DecodeError as error:
        raise ValueError(f"no {kind.__name__}: {error}") from error


def _optional(arguments: tuple[Any, ...]) -> Codec:
    """One kind or None, or one of several scalars."""
    others = [one for one in arguments if one is not NoneType]
    if len(others) > 1:
        return Codec(_same, _checked(lambda value: type(value) in arguments, arguments))
    inner = codec(others[0])
    return Codec(
        lambda value: None if value is None else inner.pack(value),
        lambda data: None if data is None else inner.unpack(data),
    )


def _fixed(arguments: tuple[Any, ...]) -> Codec:
    parts = [codec(one) for one in arguments]
    is_one = _checked(lambda data: isinstance(data, list) and len(data) == len(parts), f"list of {len(parts)}")
    return Codec(
        lambda value: [part.pack(item) for part, item in zip(parts, value, strict=True)],
        lambda data: tuple(part.unpack(item) for part, item in zip(parts, is_one(data), strict=True)),
    )


_is_list = _checked(lambda data: isinstance(data, list), list)
_is_object = _checked(lambda data: isinstance(data, dict), dict)


def _collection(make: Callable[[Any], Any], arguments: tuple[Any, ...]) -> Codec:
    inner = codec(arguments[0])
    return Codec(
        lambda value: [inner.pack(item) for item in value],
        lambda data: make(inner.unpack(item) for item in _is_list(data)),
    )


def _mapping(key: Codec, value: Codec, *, is_object: bool) -> Codec:
    """With keys that are no texts a list of pairs."""
    if is_object:
        return Codec(
            lambda found: {name: value.pack(item) for name, item in found.items()},
            lambda data: {name: value.unpack(item) for name, item in _is_object(data).items()},
        )
    pairs = _collection(dict, (Any,))
    return Codec(
        lambda found: [[key.pack(name), value.pack(item)] for name, item in found.items()],
        lambda data: pairs.unpack([(key.unpack(name), value.unpack(item)) for name, item in _is_list(data)]),
    )


def _record(kind: Any) -> Codec:
    """Of a named tuple or a dataclass."""
    names = [one.name for one in fields(kind)] if is_dataclass(kind) else list(kind._fields)
    hints = get_type_hints(kind)
    parts = {name: codec(hints[name]) for name in names}

    def unpack(data: Any) -> Any:
        told = {name: part.unpack(data[name]) for name, part in parts.items() if name in _is_object(data)}
        try:
            return kind(**told)
        except TypeError as error:
            raise ValueError(str(error)) from error

    return Codec(lambda value: {name: part.pack(getattr(value, name)) for name, part in parts.items()}, unpack)
