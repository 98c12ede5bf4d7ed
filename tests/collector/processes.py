"""The real Collector, receivers and rotel as processes, on the same ports when one is killed and started again."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import requests

from tests.bench.load.servers import connects, free_port
from tests.e2e.processes import Receiver

ROOT = Path(__file__).resolve().parents[2]
PRESETS = ROOT / "collector_config"
COLLECTOR = ROOT / ".build" / "collector" / "otelcol"
STARTS_WITHIN_S = 60.0
STOPS_WITHIN_S = 30.0

_SERIES = re.compile(r"^(\w+)(?:\{.*\})? (\S+)$", re.M)
_KEPT = ("PATH", "HOME", "LANG", "TMPDIR")


@dataclass
class Process:
    """A program that is started again on the same ports. What it writes goes to ``log``."""

    command: Sequence[str]
    log: Path
    is_ready: Callable[[], bool]
    environment: Mapping[str, str] = field(default_factory=dict)
    _popen: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Returns when it is ready."""
        environment = {name: os.environ[name] for name in _KEPT if name in os.environ} | dict(self.environment)
        with self.log.open("ab") as output:
            self._popen = subprocess.Popen(
                self.command, env=environment, stdout=output, stderr=output, cwd=self.log.parent
            )
        deadline = time.monotonic() + STARTS_WITHIN_S
        while not self.is_ready():
            assert self._popen.poll() is None, f"it ended by itself:\n{self.said()}"
            assert time.monotonic() < deadline, f"it does not get ready:\n{self.said()}"
            time.sleep(0.02)

    def kill(self) -> None:
        """SIGKILL: nothing is flushed, nothing is said."""
        if self._popen is not None:
            self._popen.kill()
            self._popen.wait()

    def stop(self) -> None:
        """SIGTERM, and its end; nothing where it was not started."""
        if self._popen is None:
            return
        self._popen.terminate()
        try:
            self._popen.wait(STOPS_WITHIN_S)
        except subprocess.TimeoutExpired:
            self.kill()
            raise

    def peak_mib(self) -> float:
        """The most memory that it has had so far: VmHWM of proc(5)."""
        assert self._popen is not None
        status = Path(f"/proc/{self._popen.pid}/status").read_text()
        return float(status.partition("VmHWM:")[2].split()[0]) / 1024

    def said(self) -> str:
        """The end of what it has written."""
        return self.log.read_text(errors="replace")[-4_000:]


@dataclass(frozen=True)
class Collector:
    """A Collector that runs: where it takes OTLP, and where it tells of itself."""

    process: Process
    grpc: str
    url: str
    metrics_url: str

    def as_receiver(self) -> Receiver:
        """For senders that know receivers; it has no file."""
        return Receiver(self.url, self.grpc, Path())

    def counted(self, name: str) -> float:
        """The sum of a counter of its own over all signals and exporters; 0 of one that nothing was counted in."""
        text = requests.get(self.metrics_url, timeout=10).text
        return sum(float(value) for series, value in _SERIES.findall(text) if series == f"otelcol_{name}_total")

    def lost(self) -> dict[str, float]:
        """What it has refused, could not queue, or gave up on: nothing of this may happen."""
        kinds = ("spans", "log_records", "metric_points")
        names = ("receiver_refused", "exporter_enqueue_failed", "exporter_send_failed")
        found = {f"{name}_{kind}": self.counted(f"{name}_{kind}") for name in names for kind in kinds}
        return {name: count for name, count in found.items() if count}


def built() -> Path:
    """The Collector that ``make collector`` builds."""
    if not COLLECTOR.exists():
        assert not os.environ.get("CI"), f"{COLLECTOR} is missing: make collector"
        pytest.skip("no Collector here: make collector")
    return COLLECTOR


def preset(name: str) -> Path:
    return PRESETS / f"{name}.yaml"


def prepared_collector(config: Path, folder: Path, **environment: str) -> Collector:
    """A Collector that is not started yet, on free ports; ``environment`` are further variables of the preset."""
    grpc, http, metrics, health = (f"127.0.0.1:{free_port()}" for _ in range(4))
    host, port = metrics.split(":")
    own = folder / "telemetry.yaml"
    own.write_text(_TELEMETRY.format(host=host, port=port))
    variables = {
        "COLLECTOR_GRPC": grpc,
        "COLLECTOR_HTTP": http,
        "COLLECTOR_HEALTH": health,
        "COLLECTOR_QUEUE": str(folder / "queue"),
        **environment,
    }
    command = [str(built()), "--config", str(config), "--config", str(own)]
    log = folder / "collector.log"
    ports = [int(address.split(":")[1]) for address in (grpc, http, metrics)]
    process = Process(command, log, lambda: all(map(connects, ports)), variables)
    return Collector(process, grpc, f"http://{http}", f"http://{metrics}/metrics")


@contextmanager
def collector(config: Path, folder: Path, **environment: str) -> Iterator[Collector]:
    """A Collector for the length of the block; it has to end by itself when it is asked to."""
    folder.mkdir(parents=True, exist_ok=True)
    made = prepared_collector(config, folder, **environment)
    made.process.start()
    try:
        yield made
    finally:
        made.process.stop()


def prepared_receiver(database: Path, *options: str) -> tuple[Process, Receiver]:
    """``otel-replay serve`` that is not started yet, on free ports."""
    grpc, http = free_port(), free_port()
    command = [sys.executable, "-m", "otel_replay", "serve", "--db", str(database), *options]
    command += ["--grpc-port", str(grpc), "--http-port", str(http)]
    url = f"http://127.0.0.1:{http}"
    log = database.with_suffix(".log")
    process = Process(command, log, lambda: _answers(f"{url}/readyz") and connects(grpc), {"PYTHONPATH": str(ROOT)})
    return process, Receiver(url, f"127.0.0.1:{grpc}", database)


@contextmanager
def receivers(folder: Path, count: int = 1, *options: str) -> Iterator[list[Receiver]]:
    """So many receivers, each with a file of its own, for the length of the block."""
    with ExitStack() as stack:
        made = [prepared_receiver(folder / f"replay-{number}.db", *options) for number in range(count)]
        for process, _ in made:
            process.start()
            stack.callback(process.stop)
        yield [receiver for _, receiver in made]


@contextmanager
def rotel(to: Receiver, folder: Path) -> Iterator[Receiver]:
    """The agent rotel, which sends on over OTLP/gRPC."""
    agents = list((ROOT / ".build" / "peers").glob("rotel/lib/python3*/site-packages/rotel/rotel-agent"))
    if not agents:
        assert not os.environ.get("CI"), "rotel is missing: make collector"
        pytest.skip("no rotel here: make collector")
    grpc, http = free_port(), free_port()
    command = [str(agents[0]), "start", "--pid-file", str(folder / "rotel.pid")]
    command += ["--otlp-grpc-endpoint", f"127.0.0.1:{grpc}", "--otlp-http-endpoint", f"127.0.0.1:{http}"]
    command += ["--exporter", "otlp", "--otlp-exporter-endpoint", f"http://{to.grpc}"]
    process = Process(command, folder / "rotel.log", lambda: connects(grpc) and connects(http))
    process.start()
    try:
        yield Receiver(f"http://127.0.0.1:{http}", f"127.0.0.1:{grpc}", Path())
    finally:
        process.stop()


def _answers(url: str) -> bool:
    try:
        return requests.get(url, timeout=2).status_code == requests.codes.ok
    except requests.RequestException:
        return False


_TELEMETRY = """\
service:
  telemetry:
    metrics:
      level: detailed
      readers:
        - pull:
            exporter:
              prometheus:
                host: {host}
                port: {port}
"""
