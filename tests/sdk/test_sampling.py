"""Whole sessions are recorded or not, by their ids; what led to an error is recorded always."""

from __future__ import annotations

import hashlib
import logging
import os
import threading
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry._logs import SeverityNumber
from opentelemetry.sdk._logs import LoggerProvider, ReadableLogRecord
from opentelemetry.sdk._logs.export import (
    InMemoryLogRecordExporter,
    LogRecordExportResult,
    SimpleLogRecordProcessor,
)
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor, SpanExportResult
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import Status, StatusCode

from otel_replay.errors import InvalidRequest
from otel_replay.sdk import SessionLogProcessor, SessionSampler, SessionSpanProcessor, session
from otel_replay.sdk.backlog import is_sampled
from otel_replay.sdk.sampling import Sampling, rate_of

SECOND = 10**9


def named(prefix: str, sampled: bool, rate: float = 0.5) -> str:
    return next(name for number in range(1_000) if is_sampled(name := f"{prefix}-{number}", rate) is sampled)


class Sampled:
    """An application that records half of its sessions, with a clock that a test moves."""

    def __init__(self, rate: float = 0.5, **options: Any) -> None:
        self.now = 0
        self.exporter, self.log_exporter = InMemorySpanExporter(), InMemoryLogRecordExporter()  # type: ignore[no-untyped-call]
        self.sampler = SessionSampler(self.exporter, rate, clock=lambda: self.now, **options)
        self.tracer_provider, self.logger_provider = TracerProvider(), LoggerProvider()
        self.tracer_provider.add_span_processor(SessionSpanProcessor())
        self.tracer_provider.add_span_processor(SimpleSpanProcessor(self.sampler))
        self.logger_provider.add_log_record_processor(SessionLogProcessor())
        self.logger_provider.add_log_record_processor(SimpleLogRecordProcessor(self.sampler.logs(self.log_exporter)))
        self.tracer, self.logger = self.tracer_provider.get_tracer("t"), self.logger_provider.get_logger("t")

    def span(self, name: str, *, failed: bool = False, at: int = 0) -> None:
        span = self.tracer.start_span(name, start_time=at)
        if failed:
            span.set_status(Status(StatusCode.ERROR))
        span.end(at + 1)

    @property
    def names(self) -> list[str]:
        return [span.name for span in self.exporter.get_finished_spans()]

    @property
    def bodies(self) -> list[Any]:
        return [record.log_record.body for record in self.log_exporter.get_finished_logs()]

    def gap(self) -> ReadableSpan:
        (found,) = [span for span in self.exporter.get_finished_spans() if span.name == "not recorded"]
        return found


def test_the_formula_is_the_one_that_is_written_down() -> None:
    """A browser decides the same: other code computes this from the same words."""
    assert hashlib.sha256(b"abc").hexdigest().startswith("ba7816bf")
    share = 0xBA7816BF / 2**32
    assert is_sampled("abc", share + 1e-9)
    assert not is_sampled("abc", share)


@given(st.text(), st.floats(0, 1), st.floats(0, 1))
def test_who_is_in_at_a_low_rate_is_in_at_a_higher_one(key: str, one: float, other: float) -> None:
    low, high = sorted((one, other))
    assert is_sampled(key, high) or not is_sampled(key, low)
    assert is_sampled(key, 1)
    assert not is_sampled(key, 0)


def test_the_share_is_the_rate() -> None:
    kept = sum(is_sampled(f"session {number}", 0.2) for number in range(10_000))
    assert 1_850 < kept < 2_150


def test_whole_sessions_are_recorded_or_not() -> None:
    app = Sampled()
    for name in (named("in", True), named("out", False)):
        with session(name):
            for _ in range(5):
                app.span(name.split("-")[0])
            app.logger.emit(body=name.split("-")[0])
    assert app.names == ["in"] * 5
    assert app.bodies == ["in"]


def test_what_belongs_to_no_session_is_decided_by_its_trace() -> None:
    app = Sampled()
    for _ in range(200):
        with app.tracer.start_as_current_span("around"):
            app.span("below")
    by_trace: dict[int, int] = {}
    for span in app.exporter.get_finished_spans():
        by_trace[span.context.trace_id] = by_trace.get(span.context.trace_id, 0) + 1
    assert set(by_trace.values()) == {2}
    assert all(is_sampled(f"{trace_id:032x}", 0.5) for trace_id in by_trace)
    assert 60 < len(by_trace) < 140


def test_a_span_around_its_session_goes_with_it() -> None:
    app = Sampled()
    for name in (named("in", True), named("out", False)):
        with app.tracer.start_as_current_span(f"server {name.split('-')[0]}"), session(name):
            app.span("below")
    assert app.names == ["below", "server in"]


@pytest.mark.feature("K17")
def test_an_error_brings_back_the_last_minute_and_all_that_follows() -> None:
    app = Sampled()
    with session(named("out", False)) as visit:
        for second in (0, 30, 70, 100):
            app.now = second * SECOND
            app.span(f"at {second}", at=second * SECOND)
        app.logger.emit(body="before")
        assert app.names == []
        app.now = 120 * SECOND
        app.span("failed", failed=True, at=120 * SECOND)
        app.span("after")
    assert app.names == ["not recorded", "at 70", "at 100", "failed", "after"]
    assert app.bodies == ["before"]
    gap = app.gap()
    assert dict(gap.attributes or {}) == {
        "session.id": visit.session_id,
        "otel_replay.gap.reason": "sampled",
        "otel_replay.gap.records": 2,
    }
    assert (gap.start_time, gap.end_time) == (0, 30 * SECOND + 1)


def test_a_log_record_of_an_error_brings_its_session_back_too() -> None:
    app = Sampled()
    with session(named("out", False)):
        app.span("before")
        app.logger.emit(body="failed", severity_number=SeverityNumber.ERROR)
    assert app.names == ["before"]
    assert app.bodies == ["failed"]


def test_an_exception_that_was_handled_counts() -> None:
    app = Sampled()
    with session(named("out", False)), app.tracer.start_as_current_span("handled") as span:
        span.record_exception(KeyError("x"))
    assert app.names == ["handled"]


def test_other_sessions_stay_out() -> None:
    app = Sampled()
    with session(named("out", False)):
        app.span("other")
    with session(named("other", False)):
        app.span("failed", failed=True)
    assert app.names == ["failed"]


def test_an_error_without_a_session_leaves_its_gap_in_its_trace() -> None:
    app = Sampled(rate=0.0)
    with app.tracer.start_as_current_span("around") as around:
        app.span("early", at=5)
        app.now = 61 * SECOND
        app.span("late")
        app.span("failed", failed=True)
    assert app.names == ["not recorded", "late", "failed", "around"]
    assert app.gap().context.trace_id == around.get_span_context().trace_id
    assert "session.id" not in (app.gap().attributes or {})


def test_memory_is_bounded_and_the_oldest_goes_first() -> None:
    app = Sampled(kept_bytes=100_000)
    with session(named("out", False)):
        for number in range(1_000):
            app.span(f"{number}")
        assert app.sampler.sampling.held_bytes <= 100_000
        app.span("failed", failed=True)
    kept = [int(name) for name in app.names[1:-1]]
    assert kept == list(range(kept[0], 1_000))
    assert 20 < len(kept) < 100
    assert dict(app.gap().attributes or {})["otel_replay.gap.records"] == kept[0]


@given(st.lists(st.tuples(st.sampled_from("abcd"), st.booleans(), st.integers(0, 40)), max_size=60))
def test_every_record_is_sent_or_counted_and_never_twice(steps: list[tuple[str, bool, int]]) -> None:
    """Whatever is thrown away of a session that has failed is in its gap."""
    app = Sampled(rate=0.0, kept_bytes=12_000)
    ended: dict[str, list[str]] = {}
    for number, (name, failed, seconds) in enumerate(steps):
        app.now += seconds * SECOND
        with session(name):
            app.span(f"{name} {number}", failed=failed, at=number)
        ended.setdefault(name, []).append(f"{name} {number}")
    opened = {name for name, failed, _ in steps if failed}
    for name in opened:
        sent = [one for one in app.names if one.startswith(f"{name} ")]
        missing = [
            int(str(dict(span.attributes or {})["otel_replay.gap.records"]))
            for span in app.exporter.get_finished_spans()
            if span.name == "not recorded" and (span.attributes or {}).get("session.id") == name
        ]
        assert sent == ended[name][sum(missing) :]
    assert {one.split(" ")[0] for one in app.names if one != "not recorded"} == opened


@pytest.mark.feature("B6")
def test_what_began_while_its_session_was_paused_goes_nowhere() -> None:
    app = Sampled(rate=1.0)
    visit = session("paused-1", tracer_provider=app.tracer_provider, logger_provider=app.logger_provider)
    with visit:
        app.tracer.start_span("before").end()
        visit.pause()
        app.tracer.start_span("meanwhile").end()
        app.logger.emit(body="meanwhile")
        with session("another"):
            app.tracer.start_span("another").end()
        visit.resume()
        app.tracer.start_span("after").end()
    assert app.names == ["before", "another", "after"]
    events = [record.log_record.event_name for record in app.log_exporter.get_finished_logs()]
    assert events == ["session.pause", "session.resume"]


def test_a_rate_that_is_none_is_refused() -> None:
    for rate in (-0.1, 1.1, float("nan")):
        with pytest.raises(InvalidRequest, match="sample rate"):
            SessionSampler(InMemorySpanExporter(), rate)


@pytest.mark.parametrize(("told", "rate"), [("0.25", 0.25), (" 0 ", 0.0), ("", 1.0), ("many", 1.0), ("nan", 1.0)])
def test_the_variable_says_the_rate_unless_an_argument_does(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, told: str, rate: float
) -> None:
    monkeypatch.setenv("OTEL_REPLAY_SAMPLE_RATE", told)
    assert rate_of(None) == rate
    assert rate_of(0.75) == 0.75
    assert ("OTEL_REPLAY_SAMPLE_RATE is" in caplog.text) is (told in ("many", "nan"))


def test_log_records_alone_are_sampled_too() -> None:
    sent: list[Any] = []
    sampling = Sampling(0.0, kept_bytes=0)
    sampling.send_with("logs", sent.extend)
    provider = LoggerProvider()
    provider.add_log_record_processor(SimpleLogRecordProcessor(Handing(sampling)))
    with session("s1"):  # without a processor: the record's context says it
        provider.get_logger("t").emit(body="thrown away")
        provider.get_logger("t").emit(body="failed", severity_number=SeverityNumber.ERROR)
        provider.get_logger("t").emit(body="after")
    assert [record.log_record.body for record in sent] == ["failed", "after"]


class Handing(InMemoryLogRecordExporter):
    """Hands log records to a sampling."""

    def __init__(self, sampling: Sampling) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._sampling = sampling

    def export(self, batch: Sequence[ReadableLogRecord]) -> LogRecordExportResult:
        self._sampling.take("logs", batch)
        return LogRecordExportResult.SUCCESS


class Slow(InMemorySpanExporter):
    """Says when two threads are in it at once, and what it was given."""

    def __init__(self) -> None:
        super().__init__()
        self._inside = threading.Lock()
        self.overlaps = 0

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        if not self._inside.acquire(blocking=False):
            self.overlaps += 1
            return SpanExportResult.FAILURE
        try:
            return super().export(spans)
        finally:
            self._inside.release()


def test_an_exporter_is_never_entered_twice_at_once() -> None:
    exporter = Slow()
    sampler = SessionSampler(exporter, 1.0)
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(sampler))
    tracer = provider.get_tracer("t")
    threads = [threading.Thread(target=lambda: [tracer.start_span("s").end() for _ in range(200)]) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert exporter.overlaps == 0
    assert len(exporter.get_finished_spans()) == 800


def test_a_failing_log_exporter_costs_no_span(caplog: pytest.LogCaptureFixture) -> None:
    class Failing(InMemoryLogRecordExporter):
        def export(self, batch: Any) -> Any:
            raise OSError("away")

    spans = InMemorySpanExporter()
    sampler = SessionSampler(spans, 0.0)
    failing = sampler.logs(Failing())  # type: ignore[no-untyped-call]
    tracer_provider, logger_provider = TracerProvider(), LoggerProvider()
    tracer_provider.add_span_processor(SimpleSpanProcessor(sampler))
    logger_provider.add_log_record_processor(SimpleLogRecordProcessor(failing))
    logger_provider.get_logger("t").emit(body="held", attributes={"session.id": "s1"})
    span = tracer_provider.get_tracer("t").start_span("failed", attributes={"session.id": "s1"})
    span.set_status(Status(StatusCode.ERROR))
    with caplog.at_level(logging.ERROR):
        span.end()
    assert [one.name for one in spans.get_finished_spans()] == ["failed"]
    assert "were not sent" in caplog.text


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork")
def test_a_child_of_a_fork_exports_although_its_parent_was_at_it() -> None:
    sampler = SessionSampler(InMemorySpanExporter(), 1.0)
    with sampler.sampling._deciding, sampler.sampling._sending["traces"]:
        child = os.fork()
        if child == 0:  # pragma: no cover - another process
            os._exit(0 if sampler.export([]) is SpanExportResult.SUCCESS else 1)
        _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) == 0
