"""Ids and names in as few bytes as they need: packed session ids, and strings that are written once."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

KEPT_STRINGS = 50_000
"""Strings remembered by the writer: a name of a service or model comes with every row, one of a user with many."""

ID_TEXT = "CASE typeof({0}) WHEN 'blob' THEN lower(hex({0})) ELSE {0} END"
"""SQL: what :func:`unpack_id` does, for sorting."""


def pack_id(text: str) -> bytes | str:
    """16 bytes for an id of 32 lower-case hexadecimal digits, as most are; any other id as it is."""
    if len(text) == 32:
        try:
            packed = bytes.fromhex(text)
        except ValueError:
            return text
        if packed.hex() == text:  # upper case and spaces are read as well
            return packed
    return text


def unpack_id(packed: bytes | str) -> str:
    return packed if isinstance(packed, str) else packed.hex()


class Strings:
    """Ids of strings, for the writer: found in memory, in the table, or given now."""

    def __init__(self, connection: Any) -> None:
        self._connection = connection
        self._known: dict[tuple[int, str], int] = {}

    def forget(self) -> None:
        """Something was deleted from the table."""
        self._known.clear()

    def ids(self, project: int, texts: Iterable[str]) -> dict[str, int]:
        """The id of each text; 0 for the empty one. Part of the caller's transaction, once for each project.

        Only what was found is remembered: what is given now may be rolled back.
        """
        if len(self._known) > KEPT_STRINGS:
            self._known.clear()
        found = {"": 0}
        unknown = []
        for text in texts:
            number = self._known.get((project, text)) or find_string(self._connection, project, text)
            if number:
                found[text] = self._known[project, text] = number
            elif text:
                unknown.append(text)
        for text in unknown:
            insert = "INSERT INTO strings (project, text) VALUES (?, ?)"
            found[text] = self._connection.execute(insert, (project, text)).lastrowid
        return found


def find_string(connection: Any, project: int, text: str) -> int:
    """The id of a string; 0 for one that no row has."""
    query = "SELECT id FROM strings WHERE project = ? AND text = ?"
    row = connection.execute(query, (project, text)).fetchone()
    return row[0] if row else 0


def texts_of(connection: Any, ids: Iterable[int]) -> dict[int, str]:
    """The strings with these ids; empty for 0."""
    wanted = sorted(set(ids) - {0})
    texts = {0: ""}
    for at in range(0, len(wanted), 500):
        part = wanted[at : at + 500]
        query = f"SELECT id, text FROM strings WHERE id IN ({', '.join('?' * len(part))})"
        texts.update(connection.execute(query, part))
    return texts
