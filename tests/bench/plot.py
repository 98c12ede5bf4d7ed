"""Draws the growth of a run, ``python -m tests.bench.plot RESULTS.json OUT.svg``: small multiples over spans stored."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple
from xml.sax.saxutils import escape

PANELS = (
    "spans/s",
    "bytes/span",
    "memory MB",
    "ready s",
    "trace p50 ms",
    "trace HTTP p50 ms",
    "session p50 ms",
    "scan GB/s",
)
COLUMNS, WIDTH, HEIGHT, MARGIN = 4, 240, 150, 34

Points = Sequence[tuple[float, float]]


class Frame(NamedTuple):
    """A panel's place and scales: x is logarithmic, y begins at 0."""

    left: float
    top: float
    least_x: float
    greatest_x: float
    greatest_y: float

    def x(self, value: float) -> float:
        span = math.log(self.greatest_x / self.least_x) or 1.0
        return self.left + MARGIN + math.log(value / self.least_x) / span * (WIDTH - 2 * MARGIN)

    def y(self, value: float) -> float:
        return self.top + HEIGHT - MARGIN - value / (self.greatest_y or 1.0) * (HEIGHT - 2 * MARGIN)


def draw(document: dict[str, list[dict[str, object]]]) -> str:
    """The picture of a report's rows of growth, as SVG."""
    rows = [row for row in document["rows"] if row["section"] == "growth"]
    drawn = [panel(number, name, points(rows, name)) for number, name in enumerate(PANELS)]
    width, height = COLUMNS * WIDTH, -(-len(PANELS) // COLUMNS) * HEIGHT
    view = f'viewBox="0 0 {width} {height}" font-family="sans-serif" font-size="11"'
    head = f'<svg xmlns="http://www.w3.org/2000/svg" {view}>'
    return "\n".join([head, f'<rect width="{width}" height="{height}" fill="#fff"/>', *drawn, "</svg>\n"])


def points(rows: Sequence[dict[str, object]], name: str) -> Points:
    """(million spans, figure) of every size."""
    found = []
    for row in rows:
        values = row["values"]
        assert isinstance(values, dict)
        found.append((float(str(row["subject"]).split()[0]), float(values[name])))
    return found


def panel(number: int, name: str, line: Points) -> str:
    place = ((number % COLUMNS) * WIDTH, (number // COLUMNS) * HEIGHT)
    frame = Frame(*place, line[0][0], line[-1][0], max(y for _, y in line))
    path = " ".join(f"{frame.x(x):.1f},{frame.y(y):.1f}" for x, y in line)
    dots = [
        f'<circle cx="{frame.x(x):.1f}" cy="{frame.y(y):.1f}" r="3" fill="#2563eb"/>'
        f'<text x="{frame.x(x):.1f}" y="{frame.y(y) - 7:.1f}" text-anchor="middle">{short(y)}</text>'
        f'<text x="{frame.x(x):.1f}" y="{frame.y(0) + 14:.1f}" text-anchor="middle" fill="#666">{x:g} M</text>'
        for x, y in line
    ]
    title = f'<text x="{place[0] + MARGIN}" y="{place[1] + 14}" font-weight="bold">{escape(name)}</text>'
    base = f'<path d="M{frame.x(line[0][0]):.1f} {frame.y(0):.1f}H{frame.x(line[-1][0]):.1f}" stroke="#ccc"/>'
    return "\n".join(
        [title, base, f'<polyline points="{path}" fill="none" stroke="#2563eb" stroke-width="1.5"/>', *dots]
    )


def short(value: float) -> str:
    """Three digits, thousands as k."""
    return f"{value / 1e3:.0f}k" if value >= 10_000 else f"{value:.3g}"


def main() -> None:
    results, picture = map(Path, sys.argv[1:3])
    picture.parent.mkdir(parents=True, exist_ok=True)
    picture.write_text(draw(json.loads(results.read_text())))


if __name__ == "__main__":
    main()
