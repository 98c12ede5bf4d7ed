"""The results of a run as Markdown and as JSON."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

from .load.client import BUSIEST_CLIENT
from .promises import Promise, promises
from .rows import Row, Rows

NOTES = """\
W1 is infrastructure spans, W2 has 10 % chat spans with messages, W2c the same as conversations of 20 turns that repeat
their history (tests/bench/load/workload.py). The ceiling is grpcio's synchronous server doing nothing. Acknowledged
means committed with an fsync; visible means counted by a query. Server CPU is counted until the server is idle again,
so it includes what is done after the answers. Bytes are those of the database files after the server has stopped.
"""


@dataclass
class Report:
    """What a run has found so far; written to `path` with the endings .md and .json."""

    conditions: dict[str, str]
    path: Path
    notes: str = NOTES
    rows: Rows = field(default_factory=Rows)

    def add(self, row: Row) -> None:
        self.rows.append(row)

    def write(self) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        document = {
            "conditions": self.conditions,
            "promises": [asdict(one) | {"verdict": one.verdict} for one in promises(self.rows)],
            "rows": [asdict(row) for row in self.rows],
        }
        self.path.with_suffix(".json").write_text(json.dumps(document, indent=2) + "\n")
        self.path.with_suffix(".md").write_text(self.markdown())

    def markdown(self) -> str:
        conditions = "\n".join(f"- {key}: {value}" for key, value in self.conditions.items())
        parts = ["# Benchmark", conditions, "## Against what was promised", table(promised(promises(self.rows)))]
        for section in dict.fromkeys(row.section for row in self.rows):
            rows = [row for row in self.rows if row.section == section]
            parts += [f"## {section.capitalize()}", table(cells(rows))]
        if max((row.values.get("client busy", 0.0) for row in self.rows), default=0.0) > BUSIEST_CLIENT:
            parts.append(f"INVALID where the client was busier than {BUSIEST_CLIENT:.0%}: that is what was measured.")
        return "\n\n".join([*parts, self.notes])


def promised(found: Sequence[Promise]) -> Iterator[Sequence[str]]:
    yield ("figure", "found", "must", "goal", "")
    for one in found:
        sign = ">=" if one.at_least else "<="
        value = "-" if one.found is None else number(one.found)
        yield (one.figure, value, f"{sign} {number(one.must)}", f"{sign} {number(one.goal)}", one.verdict)


def cells(rows: Sequence[Row]) -> Iterator[Sequence[str]]:
    """A heading and a line for each row; columns are the names that any of them has."""
    names = list(dict.fromkeys(name for row in rows for name in row.values))
    yield ("", "workload", *names)
    for row in rows:
        yield (row.subject, row.workload, *(number(row.values[n]) if n in row.values else "-" for n in names))


def table(lines: Iterator[Sequence[str]]) -> str:
    """Markdown; the first line is the heading, the first column is text."""
    heading = next(lines)
    drawn = [heading, ("---", *(["---:"] * (len(heading) - 1))), *lines]
    return "\n".join("| " + " | ".join(line) + " |" for line in drawn)


def number(value: float) -> str:
    """Three digits that count."""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"
