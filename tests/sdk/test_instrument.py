"""One line that records, and the same for programs that do not have it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest

import otel_replay
from otel_replay.examples.chat.serving import RunningServer
from otel_replay.examples.chat.stub import Delays, answer_to, create_stub
from otel_replay.sdk.backlog import is_sampled
from tests.outside.outside import Outside, running
from tests.sdk.programs import ROOT, needs_hook, offer, run, run_instrumented
from tests.sdk.receivers import Receiver, attributes_of, http_receiver, log_bodies

QUESTION = "May I return it?"
pytestmark = pytest.mark.slow  # a process for each, which imports the client and its instrumentation

CONTENT = "OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT"
NOWHERE = "http://127.0.0.1:9"

ASKING = f"""
from openai import OpenAI
OpenAI().chat.completions.create(model="gpt-4o-mini", messages=[{{"role": "user", "content": {QUESTION!r}}}])
"""


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with http_receiver() as running_receiver:
        yield running_receiver


@pytest.fixture(scope="module")
def outside(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Outside]:
    with running(tmp_path_factory.mktemp("receiver") / "replay.db") as found:
        yield found


@pytest.fixture(scope="module")
def model() -> Iterator[dict[str, str]]:
    """The variables that lead the official client to the stub."""
    server = RunningServer(create_stub(Delays(0, 0)))
    server.wait_until_started()
    yield {"OPENAI_BASE_URL": f"{server.url}/v1", "OPENAI_API_KEY": "x"}
    server.stop()


def interactions(outside: Outside, **wanted: str) -> list[dict[str, Any]]:
    (row,) = outside.document("/api/v1/sessions", **wanted)["sessions"]
    timeline = outside.timeline(f"/api/v1/sessions/{row['session_id']}/timeline")
    return [entry["detail"] for entry in timeline["entries"] if entry["kind"] == "interaction"]


def spans_of(receiver: Receiver) -> dict[str, dict[str, str]]:
    bodies = [request.body for request in receiver.received if request.path == "/v1/traces"]
    return {name: said for body in bodies for name, said in attributes_of(body).items()}


@pytest.mark.feature("C5")
def test_the_readme_records_a_call_with_its_session(outside: Outside, model: dict[str, str]) -> None:
    (example,) = re.findall(r"^```python\n(.+?instrument\(.+?)^```", (ROOT / "README.md").read_text(), re.M | re.S)
    assert len([line for line in example.splitlines() if line.strip()]) == 5
    run(example, variables={"OTEL_REPLAY_ENDPOINT": outside.url, **model})
    (call,) = interactions(outside, user="u1", feature="chat")
    assert call["request_model"] == "gpt-4o-mini"
    assert call["input_messages"][0]["parts"][0]["content"] == QUESTION
    assert call["output_messages"][0]["parts"][0]["content"] == answer_to(QUESTION)
    assert call["usage"]["input"] > 0


@pytest.mark.feature("C5")
@pytest.mark.parametrize(
    ("argument", "variable", "is_recorded"),
    [
        ("True", None, True),
        ("True", "", True),
        ("True", "NO_CONTENT", False),
        ("False", None, False),
        ("False", "SPAN_ONLY", False),
    ],
)
def test_messages_are_recorded_unless_somebody_says_no(
    receiver: Receiver, model: dict[str, str], argument: str, variable: str | None, is_recorded: bool
) -> None:
    program = f"import otel_replay; otel_replay.instrument({receiver.url!r}, capture_content={argument})\n{ASKING}"
    run(program, variables=model | ({} if variable is None else {CONTENT: variable}))
    said = spans_of(receiver)["chat gpt-4o-mini"]
    assert ("gen_ai.input.messages" in said) is is_recorded
    assert any(QUESTION in value for value in said.values()) is is_recorded


BY_HAND = """
import os, sys, otel_replay
from otel_replay.sdk import SessionManager

otel_replay.instrument(sys.argv[1], capture_content=sys.argv[2] == "True", instrumentors=[])
session = SessionManager(sys.argv[1]).create("u1")
session.create_chat(model="m")
with session.message("asked in a chat") as turn:
    turn.answer, turn.output_tokens = "answered in a chat", 7
with otel_replay.session("s1") as visit, visit.chat(system_prompt="told at first"):
    visit.record_interaction(model="m", prompt="asked by hand", response="answered by hand", input_tokens=5)
print("hidden:", os.environ.get("OPENINFERENCE_HIDE_INPUTS"), os.environ.get("TRACELOOP_TRACE_CONTENT"))
"""


@pytest.mark.feature("K2")
@pytest.mark.parametrize(
    ("argument", "variable", "is_recorded"),
    [
        ("True", None, True),
        ("True", "", True),
        ("True", "NO_CONTENT", False),
        ("True", "false", False),
        ("False", None, False),
    ],
)
def test_who_wants_no_messages_gets_none_by_hand_either(
    receiver: Receiver, argument: str, variable: str | None, is_recorded: bool
) -> None:
    told = run(BY_HAND, receiver.url, argument, variables={} if variable is None else {CONTENT: variable})
    assert ("hidden: None None" if is_recorded else "hidden: true false") in told, "by instrumentors of other families"
    sent = b"".join(request.body for request in receiver.received)
    said = [b"asked in a chat", b"answered in a chat", b"told at first", b"asked by hand", b"answered by hand"]
    assert [text in sent for text in said] == [is_recorded] * 5
    assert (sent.count(b"gen_ai.usage.output_tokens"), sent.count(b"gen_ai.usage.input_tokens")) == (1, 1)


def test_a_second_call_changes_nothing(receiver: Receiver) -> None:
    told = run(
        """
        import sys, otel_replay
        from opentelemetry import trace
        first = otel_replay.instrument(sys.argv[1], service_name="once")
        assert otel_replay.instrument("http://127.0.0.1:9") is first
        with trace.get_tracer("test").start_as_current_span("one"): pass
        print(first.force_flush(), first.shutdown(), first.shutdown(), first.spooled, first.lost)
        with trace.get_tracer("test").start_as_current_span("not recorded"): pass
        again = otel_replay.instrument(sys.argv[1])
        assert again is not first
        with trace.get_tracer("test").start_as_current_span("two"): pass
        print(again.shutdown())
        """,
        receiver.url,
    )
    assert "True True True 0 0\n" in told
    assert receiver.names() == ["one", "two"]


def test_providers_that_the_application_has_set_are_used(receiver: Receiver) -> None:
    run(
        """
        import sys, otel_replay
        from opentelemetry import _logs, trace
        from opentelemetry.sdk._logs import LoggerProvider
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        resource = Resource({"service.name": "own"})
        tracers = TracerProvider(resource=resource, shutdown_on_exit=False)
        loggers = LoggerProvider(resource, shutdown_on_exit=False)
        trace.set_tracer_provider(tracers), _logs.set_logger_provider(loggers)
        otel_replay.instrument(sys.argv[1], "not taken")
        assert (trace.get_tracer_provider(), _logs.get_logger_provider()) == (tracers, loggers)
        with otel_replay.session("s1"), trace.get_tracer("test").start_as_current_span("one"):
            _logs.get_logger("test").emit(_logs.LogRecord(body="said"))
        """,
        receiver.url,
    )
    assert spans_of(receiver) == {"one": {"session.id": "s1"}}
    (logs,) = (request.body for request in receiver.received if request.path == "/v1/logs")
    assert "said" in log_bodies(logs)
    assert b"session.id" in logs
    assert b"own" in logs
    assert b"not taken" not in logs


def test_a_span_with_many_attributes_keeps_its_session(receiver: Receiver) -> None:
    run(
        """
        import sys, otel_replay
        from opentelemetry import trace
        otel_replay.instrument(sys.argv[1])
        with otel_replay.session("s1"), trace.get_tracer("test").start_as_current_span("long") as span:
            for number in range(1_000):
                span.set_attribute(f"llm.input_messages.{number}", "x")
        """,
        receiver.url,
    )
    said = spans_of(receiver)["long"]
    assert (said["session.id"], len(said)) == ("s1", 1_001)


def test_a_disabled_sdk_stays_disabled(tmp_path: Path) -> None:
    offer(tmp_path, "opentelemetry-instrumentation-fake", "fake")
    told = run(
        """
        import fakes, otel_replay
        handle = otel_replay.instrument("http://127.0.0.1:9")
        print(fakes.ON, handle.force_flush(), handle.shutdown())
        """,
        path=tmp_path,
        variables={"OTEL_SDK_DISABLED": "true"},
    )
    assert "[] True True" in told


def test_an_endpoint_that_is_not_understood_leaves_nothing_behind() -> None:
    told = run(
        """
        import os, otel_replay
        from opentelemetry import propagate, trace
        before = propagate.get_global_textmap()
        try:
            otel_replay.instrument("localhost:4318")
        except otel_replay.ReplayError as error:
            print(error)
        print(type(trace.get_tracer_provider()).__name__, propagate.get_global_textmap() is before)
        print("OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT" in os.environ)
        """
    )
    assert "'localhost:4318' is not understood (http://HOST:4318" in told
    assert "ProxyTracerProvider True\nFalse\n" in told


SWITCHING_ON = f"""
import fakes, logging, sys, otel_replay
logging.basicConfig(format="%(levelname)s %(message)s")
handle = otel_replay.instrument({NOWHERE!r}, instrumentors=["fake-lib"], spool=False)
print("on:", sorted(fakes.ON))
handle.shutdown()
print("then:", fakes.ON)
"""
OTEL_OWNED = "opentelemetry-instrumentation-genai-fakelib"
OTHERS = ["openinference-instrumentation-fakelib", "opentelemetry-instrumentation-fakelib", "a-fakelib-instrumentor"]


def test_of_several_for_one_library_one_is_switched_on(tmp_path: Path) -> None:
    for distribution, name in zip([*OTHERS, OTEL_OWNED], ["fakelib", "fake_lib", "fakelib", "fake-lib"], strict=True):
        offer(tmp_path, distribution, name)
    told = run(SWITCHING_ON, path=tmp_path)
    assert f"on: ['{OTEL_OWNED}']\nthen: []\n" in told
    assert f"WARNING fakelib is instrumented by {OTEL_OWNED}; left off: {', '.join(sorted(OTHERS))}" in told


def test_without_opentelemetrys_own_the_order_is_that_of_the_families(tmp_path: Path) -> None:
    for distribution in OTHERS:
        offer(tmp_path, distribution, "fakelib")
    assert f"on: ['{OTHERS[0]}']\n" in run(SWITCHING_ON, path=tmp_path)


def test_one_that_is_broken_is_logged_and_the_next_one_is_taken(tmp_path: Path) -> None:
    offer(tmp_path, OTEL_OWNED, "fakelib", body="raise RuntimeError('does not fit')")
    offer(tmp_path, OTHERS[1], "fakelib")
    told = run(SWITCHING_ON, path=tmp_path)
    assert f"on: ['{OTHERS[1]}']\n" in told
    assert f"ERROR fakelib of {OTEL_OWNED} cannot be switched on" in told
    assert "does not fit" in told


def test_what_is_disabled_or_not_there_stays_off(tmp_path: Path) -> None:
    offer(tmp_path, OTEL_OWNED, "fakelib")
    disabled = {"OTEL_PYTHON_DISABLED_INSTRUMENTATIONS": "other, fakelib"}
    assert "on: []" in run(SWITCHING_ON, path=tmp_path, variables=disabled)
    (tmp_path / "opentelemetry_instrumentation_genai_fakelib.py").unlink()
    assert "on: []" in run(SWITCHING_ON, path=tmp_path)
    told = run(SWITCHING_ON.replace('["fake-lib"]', '"nothing"'), path=tmp_path)
    assert "WARNING no instrumentor for nothing is installed" in told


@pytest.mark.parametrize(("instruments", "is_told"), [("click<1", True), ("there-is-no-such-library", False)])
def test_a_library_in_another_version_is_told_and_one_that_is_not_there_is_not(
    tmp_path: Path, instruments: str, is_told: bool
) -> None:
    offer(tmp_path, OTEL_OWNED, "fakelib", instruments=instruments)
    told = run(SWITCHING_ON, path=tmp_path)
    assert "on: []" in told
    assert (f"WARNING fakelib of {OTEL_OWNED} stays off: " in told) is is_told
    assert (f"click {version('click')}" in told) is is_told


def test_a_library_that_the_application_has_instrumented_is_left_alone(tmp_path: Path) -> None:
    offer(tmp_path, OTEL_OWNED, "fakelib")
    offer(tmp_path, OTHERS[0], "fakelib")
    own = f"import {OTHERS[0].replace('-', '_')} as own; own.Instrumentor().instrument()"
    told = run(f"{own}\n{SWITCHING_ON}", path=tmp_path)
    assert f"on: ['{OTHERS[0]}']\nthen: ['{OTHERS[0]}']\n" in told


STOCK = """
from opentelemetry.sdk._configuration import _OTelSDKConfigurator

class Configurator(_OTelSDKConfigurator):
    pass
"""
"""The stock distribution's whole configurator."""

KNOWING_NOTHING = f"""
import fakes
from opentelemetry import baggage, context, _logs
context.attach(baggage.set_baggage("session.id", "s1"))
{ASKING}
_logs.get_logger("app").emit(_logs.LogRecord(body="said"))
print("on:", fakes.ON)
"""


@needs_hook
@pytest.mark.feature("C5")
@pytest.mark.parametrize("configured_by", ["the stock distribution", "nobody"])
def test_a_program_that_knows_nothing_is_recorded(
    receiver: Receiver, model: dict[str, str], tmp_path: Path, configured_by: str
) -> None:
    app = tmp_path / "app.py"
    app.write_text(KNOWING_NOTHING)
    offer(tmp_path, OTEL_OWNED, "fakelib")
    offer(tmp_path, OTHERS[0], "fakelib")
    if configured_by != "nobody":
        metadata = tmp_path / "stock-1.0.dist-info"
        metadata.mkdir()
        (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: stock\nVersion: 1.0\n")
        (metadata / "entry_points.txt").write_text("[opentelemetry_configurator]\nstock = stock:Configurator\n")
        (tmp_path / "stock.py").write_text(STOCK)
    options = ["--traces_exporter", "otel_replay", "--logs_exporter", "otel_replay", "--service_name", "plain"]
    told = run_instrumented(options, app, {"OTEL_REPLAY_ENDPOINT": receiver.url, **model}, tmp_path)
    said = spans_of(receiver)["chat gpt-4o-mini"]
    assert said["session.id"] == "s1"
    assert QUESTION in said["gen_ai.input.messages"]
    assert any("said" in log_bodies(request.body) for request in receiver.received if request.path == "/v1/logs")
    assert f"on: ['{OTEL_OWNED}']" in told
    assert len([name for name in receiver.names() if name == "chat gpt-4o-mini"]) == 1


SAMPLED = """
import sys, otel_replay
from opentelemetry import trace

tracer = trace.get_tracer("app")
for name in sys.argv[1:]:
    with otel_replay.session(name) as visit:
        for number in range(20 if name.startswith("long") else 1):
            tracer.start_span(f"{name} {number}", attributes={"text": "x" * 1_000_000}).end()
        if name.startswith("long"):
            visit.record_error(TimeoutError("late"))
        tracer.start_span(f"{name} last").end()
"""
"""Sessions as their names say: ``in`` and ``out``, and ``long``, which fails after more than is kept in memory."""


@needs_hook
@pytest.mark.feature("K17")
def test_a_program_that_knows_nothing_is_sampled(outside: Outside, tmp_path: Path) -> None:
    app = tmp_path / "app.py"
    app.write_text(SAMPLED)
    rate = 0.5
    inside = next(name for number in range(100) if is_sampled(name := f"in-{number}", rate))
    out, long = (
        next(name for number in range(100) if not is_sampled(name := f"{word}-{number}", rate))
        for word in ("out", "long")
    )
    variables = {"OTEL_REPLAY_ENDPOINT": outside.url, "OTEL_REPLAY_SAMPLE_RATE": str(rate)}
    options = ["--traces_exporter", "otel_replay", "--logs_exporter", "otel_replay"]
    run_instrumented(options, app, variables, arguments=[inside, out, long])

    assert titles(outside, inside) == [f"{inside} 0", f"{inside} last"]
    assert outside.get(f"/api/v1/sessions/{out}/timeline").status_code == 404
    gap, *kept = titles(outside, long)
    assert re.fullmatch(r"\d+ records were not kept: sampled", gap)
    missing = int(gap.split(" ")[0])
    assert missing > 0
    assert kept == [f"{long} {number}" for number in range(missing, 20)] + ["TimeoutError: late", f"{long} last"]


def titles(outside: Outside, session_id: str) -> list[str]:
    """Of a session's entries, without those that say that it begins."""
    found = outside.timeline(f"/api/v1/sessions/{session_id}/timeline")["entries"]
    return [entry["title"] for entry in found if not entry["title"].startswith("session")]


PAUSING = """
import otel_replay
from opentelemetry import trace, _logs

with otel_replay.session("pausing") as visit:
    for name in ("before", "meanwhile", "after"):
        if name == "meanwhile":
            visit.pause()
        trace.get_tracer("app").start_span(name).end()
        _logs.get_logger("app").emit(_logs.LogRecord(body=f"said {name}"))
        if name == "meanwhile":
            visit.resume()
"""


@needs_hook
@pytest.mark.feature("B6")
def test_a_session_of_an_instrumented_program_is_paused(receiver: Receiver, tmp_path: Path) -> None:
    app = tmp_path / "app.py"
    app.write_text(PAUSING)
    options = ["--traces_exporter", "otel_replay", "--logs_exporter", "otel_replay"]
    run_instrumented(options, app, {"OTEL_REPLAY_ENDPOINT": receiver.url})
    assert receiver.names() == ["before", "after"]
    bodies = [body for request in receiver.received if request.path == "/v1/logs" for body in log_bodies(request.body)]
    assert [body for body in bodies if body] == ["said before", "said after"]


@needs_hook
def test_another_exporters_program_is_left_alone(tmp_path: Path) -> None:
    app = tmp_path / "app.py"
    app.write_text("import sys; print(*(name for name in sys.modules if name.startswith('otel_replay')))")
    told = run_instrumented(["--traces_exporter", "console"], app, {"OTEL_REPLAY_ENDPOINT": NOWHERE})
    assert "otel_replay.sdk.hook" in told
    assert "otel_replay.sdk.instrument" not in told
    assert "otel_replay.sdk.exporter" not in told


@needs_hook
def test_both_ways_at_once_record_once(receiver: Receiver, model: dict[str, str], tmp_path: Path) -> None:
    app = tmp_path / "app.py"
    setting_up = f"import otel_replay\nhandle = otel_replay.instrument({NOWHERE!r})"
    app.write_text(f"{setting_up}\n{ASKING}\nprint(handle.shutdown())")
    options = ["--traces_exporter", "otel_replay"]
    told = run_instrumented(options, app, {"OTEL_REPLAY_ENDPOINT": receiver.url, **model})
    assert "True\n" in told
    assert receiver.names().count("chat gpt-4o-mini") == 1


@needs_hook
def test_setting_up_by_opentelemetry_afterwards_changes_nothing(receiver: Receiver) -> None:
    told = run(
        """
        import sys, otel_replay
        from opentelemetry.instrumentation.auto_instrumentation import initialize
        first = otel_replay.instrument(sys.argv[1])
        initialize(swallow_exceptions=False)
        print(otel_replay.instrument() is first)
        """,
        receiver.url,
        variables={"OTEL_TRACES_EXPORTER": "otel_replay"},
    )
    assert "True\n" in told


@pytest.mark.parametrize(
    ("offered", "chosen"),
    [
        # By the names that these distributions give their entry points (November 2026).
        (
            {
                "opentelemetry-instrumentation-bedrock": "boto3",
                "openinference-instrumentation-bedrock": "bedrock",
                "opentelemetry-instrumentation-genai-bedrock": "bedrock",
            },
            "opentelemetry-instrumentation-genai-bedrock",
        ),
        (
            {
                "opentelemetry-instrumentation-google-generativeai": "google_generativeai",
                "openinference-instrumentation-google-genai": "google_genai",
                "opentelemetry-instrumentation-google-genai": "google-genai",
            },
            "opentelemetry-instrumentation-google-genai",
        ),
        (
            {
                "opentelemetry-instrumentation-fake": "fake",
                "openinference-instrumentation-fake": "fake",
                "opentelemetry-instrumentation-fake-v2": "fake",
            },
            "opentelemetry-instrumentation-fake-v2",
        ),
        (
            {
                "opentelemetry-instrumentation-llamaindex": "llama-index",
                "openinference-instrumentation-llama-index": "llama_index",
            },
            "openinference-instrumentation-llama-index",
        ),
    ],
)
def test_the_order_of_the_families(tmp_path: Path, offered: dict[str, str], chosen: str) -> None:
    for distribution, name in offered.items():
        offer(tmp_path, distribution, name)
    name = offered[chosen]
    assert f"on: ['{chosen}']" in run(SWITCHING_ON.replace("fake-lib", name), path=tmp_path)


@pytest.mark.feature("C6")
def test_without_a_server_spans_and_events_go_to_one_file(tmp_path: Path, model: dict[str, str]) -> None:
    file = tmp_path / "replay.db"
    run(
        f"""
import sys, otel_replay
from opentelemetry import _logs
handle = otel_replay.instrument("sqlite:///" + sys.argv[1])
with otel_replay.session("s1", user_id="u1"):
    _logs.get_logger("app").emit(_logs.LogRecord(body="it was said"))
    {ASKING.strip().splitlines()[0]}
    {ASKING.strip().splitlines()[1]}
assert handle.shutdown()
""",
        str(file),
        variables=model,
    )
    replay = otel_replay.open(str(file))
    entries = replay.timeline(session_id="s1").entries
    replay.close()
    kinds = {entry.kind: entry for entry in entries}
    assert kinds["interaction"].detail["usage"]["output"] > 0
    assert "it was said" in str(kinds["log"])
