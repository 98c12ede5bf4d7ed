"""What was recorded last is sent at the end of a program, and what did not fit is told."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.sdk.programs import needs_hook, run, run_instrumented
from tests.sdk.receivers import Answer, Receiver, http_receiver, log_bodies

pytestmark = pytest.mark.slow  # a process for each
NOWHERE = "http://127.0.0.1:9"


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with http_receiver() as running_receiver:
        yield running_receiver


def test_the_end_of_the_program_sends_what_is_left(receiver: Receiver) -> None:
    run(
        """
        import sys, otel_replay
        from opentelemetry import trace
        otel_replay.instrument(sys.argv[1])
        for number in range(3_000):
            trace.get_tracer("test").start_span(str(number)).end()
        """,
        receiver.url,
    )
    assert sorted(map(int, receiver.names())) == list(range(3_000))


CHILDREN = """
import multiprocessing, sys
from concurrent.futures import ProcessPoolExecutor
import otel_replay
from opentelemetry import trace

def work(name):
    if name == "set up by itself":
        otel_replay.instrument(sys.argv[1])
    trace.get_tracer("test").start_span(name).end()

forking = multiprocessing.get_context("fork")
if sys.argv[2] == "itself":
    child = forking.Process(target=work, args=("set up by itself",))
    child.start(), child.join()
else:
    otel_replay.instrument(sys.argv[1])
    child = forking.Process(target=work, args=("forked",))
    child.start(), child.join()
    with ProcessPoolExecutor(1, forking) as pool:
        pool.submit(work, "of a pool").result()
"""


@pytest.mark.parametrize(("who", "expected"), [("parent", ["forked", "of a pool"]), ("itself", ["set up by itself"])])
def test_a_child_process_sends_what_is_left_at_its_end(receiver: Receiver, who: str, expected: list[str]) -> None:
    """``multiprocessing`` ends a child that it has forked without ``atexit``."""
    run(CHILDREN, receiver.url, who, variables={"OTEL_BSP_SCHEDULE_DELAY": "3600000"})
    assert receiver.names() == expected


def test_what_did_not_fit_into_the_queue_is_counted() -> None:
    queues = {
        f"OTEL_{signal}_{name}": value
        for signal in ("BSP", "BLRP")
        for name, value in (("SCHEDULE_DELAY", "3600000"), ("MAX_QUEUE_SIZE", "50"), ("MAX_EXPORT_BATCH_SIZE", "50"))
    }
    with http_receiver(*(Answer(200, after_s=0.5) for _ in range(20))) as slow:
        told = run(
            """
            import logging, sys, otel_replay
            from opentelemetry import trace
            logging.basicConfig(format="%(levelname)s %(message)s")
            handle = otel_replay.instrument(sys.argv[1])
            for number in range(1_000):
                trace.get_tracer("test").start_span(str(number)).end()
            print("spans:", handle.force_flush(), handle.lost)
            for number in range(1_000):
                otel_replay.session("s1").record_code_context("a.py", line=number)
            print("events:", handle.force_flush(), handle.force_flush(), handle.lost)
            """,
            slow.url,
            variables=queues,
        )
        spans = len(slow.names())
        events = sum(len(log_bodies(one.body)) for one in slow.received if one.path == "/v1/logs")
    assert f"spans: False {1_000 - spans}\nevents: False True {2_000 - spans - events}\n" in told
    assert 0 < spans < 1_000
    assert 0 < events < 1_000
    assert "OTEL_BSP_MAX_QUEUE_SIZE makes it longer" in told
    assert "OTEL_BLRP_MAX_QUEUE_SIZE makes it longer" in told


def test_flush_and_shutdown_mean_it(spool: Path) -> None:
    told = run(
        """
        import sys, time, otel_replay
        from opentelemetry import trace
        handle = otel_replay.instrument(sys.argv[1])
        trace.get_tracer("test").start_span("one").end()
        began = time.monotonic()
        print(handle.force_flush(300), handle.spooled, time.monotonic() - began < 5)
        trace.get_tracer("test").start_span("two").end()
        print(handle.shutdown(), handle.spooled, handle.lost)
        """,
        NOWHERE,
    )
    assert "False 1 True\nTrue 2 0\n" in told
    assert len(list(spool.glob("*/*/*"))) == 2


@needs_hook
def test_what_did_not_fit_is_told_of_a_program_that_knows_nothing(tmp_path: Path) -> None:
    app = tmp_path / "app.py"
    app.write_text(
        "from opentelemetry import trace\n"
        "for number in range(1_000): trace.get_tracer('test').start_span(str(number)).end()\n"
    )
    queue = {"OTEL_BSP_MAX_QUEUE_SIZE": "50", "OTEL_BSP_MAX_EXPORT_BATCH_SIZE": "50"}
    with http_receiver(*(Answer(200, after_s=0.5) for _ in range(20))) as slow:
        told = run_instrumented(["--traces_exporter", "otel_replay"], app, {"OTEL_REPLAY_ENDPOINT": slow.url, **queue})
        came = len(slow.names())
    assert 0 < came < 1_000
    assert f"{1_000 - came} items are lost: they were more at once than the queue holds" in told
