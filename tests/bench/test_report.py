"""What a run found is held against what was promised; what it did not measure is not claimed."""

from __future__ import annotations

import json
from pathlib import Path
from xml.etree import ElementTree

import pytest

from tests.bench.plot import PANELS, draw
from tests.bench.promises import Promise, promises
from tests.bench.report import Report
from tests.bench.rows import Row, Rows


def verdict(rows: list[Row], figure: str) -> str:
    (found,) = (one for one in promises(Rows(rows)) if one.figure == figure)
    return found.verdict


def ingest(subject: str, rate: float) -> Row:
    return Row("ingest", subject, "w1", {"spans/s": rate})


@pytest.mark.parametrize(("own", "said"), [(15.9, "MISSED"), (16, "must"), (24.9, "must"), (25, "goal")])
def test_a_ratio_to_the_ceiling(own: float, said: str) -> None:
    rows = [ingest("otel-replay", own), ingest("gRPC no-op", 100)]
    assert verdict(rows, "W1 against no-op gRPC") == said


def test_less_is_better_where_it_is() -> None:
    assert Promise("bytes", 80, 65, 64, at_least=False).verdict == "goal"
    assert Promise("bytes", 80, 65, 81, at_least=False).verdict == "MISSED"


def test_nothing_is_claimed_of_an_empty_run() -> None:
    assert {one.verdict for one in promises(Rows())} == {"not measured"}


@pytest.mark.parametrize(("seconds", "said"), [(19.0, "not measured"), (20.0, "goal")])
def test_lag_counts_only_after_twenty_seconds(seconds: float, said: str) -> None:
    values = {"search lag max s": 1.0, "seconds": seconds}
    assert verdict([Row("sustained", "otel-replay", "w2", values)], "search lag while W2 is sustained, s") == said


def test_a_smaller_file_is_not_ten_million_spans() -> None:
    figure = "ready, s, at 10 M spans"
    assert verdict([Row("growth", "1 M", "w1", {"ready s": 0.2})], figure) == "not measured"
    assert verdict([Row("growth", "10 M", "w1", {"ready s": 0.2})], figure) == "goal"


def test_a_report_is_written_for_people_and_for_programs(tmp_path: Path) -> None:
    report = Report({"Machine": "two cores"}, tmp_path / "results" / "bench")
    report.add(Row("ingest", "otel-replay", "w1", {"spans/s": 123_456.7, "client busy": 0.9}))
    report.write()
    text = (tmp_path / "results" / "bench.md").read_text()
    assert "| otel-replay | w1 | 123,457 | 0.9 |" in text
    assert "INVALID" in text
    document = json.loads((tmp_path / "results" / "bench.json").read_text())
    assert document["rows"][0]["values"]["spans/s"] == 123_456.7


def test_growth_is_drawn() -> None:
    rows: list[dict[str, object]] = [
        {"section": "growth", "subject": f"{size} M", "workload": "w1", "values": dict.fromkeys(PANELS, size)}
        for size in (0.1, 1, 10)
    ]
    picture = ElementTree.fromstring(draw({"rows": rows}))
    assert len(picture.findall("{*}polyline")) == len(PANELS)
    assert len(picture.findall("{*}circle")) == 3 * len(PANELS)
