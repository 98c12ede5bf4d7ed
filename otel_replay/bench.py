"""Finds the load generator: the wheel carries it as a package of its own, a checkout has it in tests/bench/load."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

from otel_replay.errors import ReplayError

PACKAGE = "otel_replay._bench"
IN_CHECKOUT = Path(__file__).resolve().parents[1] / "tests" / "bench" / "load" / "__init__.py"


def run_bench(form: str, **options: Any) -> None:
    """Runs ``otel-replay bench`` with its options and prints what it measured, as text or JSON."""
    load_generator()
    command = importlib.import_module(f"{PACKAGE}.command")
    command.run(command.Options(**options), form)


def load_generator() -> ModuleType:
    """The package :data:`PACKAGE`. Raises :class:`ReplayError` where this installation has none."""
    if importlib.util.find_spec(PACKAGE):
        return importlib.import_module(PACKAGE)
    if not IN_CHECKOUT.exists():
        raise ReplayError("this installation has no load generator", hint="pip install otel-replay brings it")
    spec = importlib.util.spec_from_file_location(PACKAGE, IN_CHECKOUT)
    assert spec is not None
    assert spec.loader is not None
    module = sys.modules[PACKAGE] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
