"""What a run has found: figures of one subject, and looking them up."""

from __future__ import annotations

from collections import UserList
from dataclasses import dataclass


@dataclass(frozen=True)
class Row:
    """Figures of one subject (a server, a stage, a size) by their names."""

    section: str
    subject: str
    workload: str
    values: dict[str, float]


class Rows(UserList[Row]):
    """The rows of a run, in the order in which they were measured."""

    def value(self, section: str, subject: str, workload: str, name: str) -> float | None:
        """One figure, the newest of its kind; None where it was not measured."""
        for row in reversed(self.data):
            if (row.section, row.subject, row.workload) == (section, subject, workload):
                return row.values.get(name)
        return None
