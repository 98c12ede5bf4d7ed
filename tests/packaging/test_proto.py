"""The generated code is what proto/ generates, byte for byte."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
GENERATED = sorted(ROOT.glob("otel_replay/_pb/v1/replay_pb2*"))


@pytest.fixture(scope="module")
def regenerated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the output of ``make proto``; the generator is installed first where it is missing."""
    out = tmp_path_factory.mktemp("proto")
    done = subprocess.run(["make", "proto", f"PROTO_OUT={out}"], cwd=ROOT, capture_output=True, text=True)
    if done.returncode != 0:
        give_up = pytest.fail if os.environ.get("CI") else pytest.skip
        give_up(f"cannot generate here: {done.stderr}")
    return out


@pytest.mark.slow
@pytest.mark.parametrize("committed", GENERATED, ids=lambda path: path.name)
def test_generated_code_is_up_to_date(regenerated: Path, committed: Path) -> None:
    fresh = regenerated / committed.relative_to(ROOT)
    assert fresh.read_text() == committed.read_text(), "proto/ has changed: run `make proto`"


def test_every_generated_file_is_compared() -> None:
    assert [path.name for path in GENERATED] == ["replay_pb2.py", "replay_pb2.pyi", "replay_pb2_grpc.py"]
