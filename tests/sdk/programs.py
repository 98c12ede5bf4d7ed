"""Programs that record, each in a process of its own: what ``instrument()`` sets up is set up once for a process."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib.metadata import entry_points
from pathlib import Path
from types import MappingProxyType

import pytest
import requests

ROOT = Path(__file__).resolve().parents[2]
TIMEOUT_S = 60
OPENTELEMETRY_INSTRUMENT = str(Path(sys.executable).with_name("opentelemetry-instrument"))

needs_hook = pytest.mark.skipif(
    not entry_points(group="opentelemetry_pre_instrument", name="otel_replay") and not os.environ.get("CI"),
    reason="installed before pyproject.toml named the hook: `make test` installs it again",
)


def run(
    program: str, *arguments: str, path: Path | None = None, variables: Mapping[str, str] = MappingProxyType({})
) -> str:
    """What a program prints; it must end well. ``path`` is where it finds more modules."""
    command = [sys.executable, "-c", textwrap.dedent(program), *arguments]
    return finished(command, with_path(variables, path))


def run_instrumented(
    options: list[str],
    file: Path,
    variables: Mapping[str, str],
    path: Path | None = None,
    arguments: Sequence[str] = (),
) -> str:
    """The same for a file under ``opentelemetry-instrument``."""
    command = [OPENTELEMETRY_INSTRUMENT, *options, sys.executable, str(file), *arguments]
    return finished(command, with_path(variables, path))


def finished(command: list[str], environment: Mapping[str, str]) -> str:
    # What a test set up in this process says nothing to the program.
    around = {name: value for name, value in os.environ.items() if not name.startswith("OTEL_INSTRUMENTATION")}
    done = subprocess.run(
        command, cwd=ROOT, env={**around, **environment}, capture_output=True, text=True, timeout=TIMEOUT_S
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def with_path(variables: Mapping[str, str], path: Path | None) -> dict[str, str]:
    return {**variables, **({"PYTHONPATH": str(path)} if path else {})}


@contextmanager
def serving(url: str, *command: str, **environment: str) -> Iterator[subprocess.Popen[str]]:
    """A program that serves at ``url``, from the first answer on; asked to stop at the end."""
    merged = {**os.environ, **environment}
    process = subprocess.Popen(
        command, cwd=ROOT, env=merged, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    try:
        wait_until_serving(process, url)
        yield process
    finally:
        process.terminate()
        process.communicate(timeout=TIMEOUT_S)


def wait_until_serving(process: subprocess.Popen[str], url: str) -> None:
    deadline = time.monotonic() + TIMEOUT_S
    while True:
        try:
            requests.get(url, timeout=1)
        except requests.RequestException:
            if process.poll() is None and time.monotonic() < deadline:
                time.sleep(0.05)
                continue
            process.kill()
            raise AssertionError(process.communicate()[0]) from None
        return


def offer(
    folder: Path, distribution: str, name: str, body: str = "fakes.ON.append(NAME)", instruments: str = ""
) -> None:
    """Puts a distribution with an instrumentor of that entry point name into a folder for ``PYTHONPATH``.

    ``instruments`` is the requirement of the library that it is for. ``fakes.ON`` in the process holds the
    distributions whose instrumentor was switched on.
    """
    module = distribution.replace("-", "_")
    (folder / "fakes.py").write_text("ON = []\n")
    (folder / f"{module}.py").write_text(
        textwrap.dedent(f"""
            import fakes
            from opentelemetry.instrumentation.instrumentor import BaseInstrumentor
            NAME = {distribution!r}
            class Instrumentor(BaseInstrumentor):
                def instrumentation_dependencies(self):
                    return ()
                def _instrument(self, **options):
                    {body}
                def _uninstrument(self, **options):
                    fakes.ON.remove(NAME)
        """)
    )
    metadata = folder / f"{module}-1.0.dist-info"
    metadata.mkdir(exist_ok=True)
    library = (
        f"Provides-Extra: instruments\nRequires-Dist: {instruments}; extra == 'instruments'\n" if instruments else ""
    )
    (metadata / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {distribution}\nVersion: 1.0\n{library}")
    (metadata / "entry_points.txt").write_text(f"[opentelemetry_instrumentor]\n{name} = {module}:Instrumentor\n")
