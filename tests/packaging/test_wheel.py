"""What `pip install otel-replay` installs."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
UV = Path(sys.executable).with_name("uv")
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def names(tmp_path_factory: pytest.TempPathFactory) -> set[str]:
    """Paths inside the wheel built from this tree."""
    assert (ROOT / "otel_replay/web/static/index.html").exists(), "the page is not built: run `make page`"
    out = tmp_path_factory.mktemp("dist")
    command = [str(UV), "build", "--quiet", "--wheel", "--build-constraint", "requirements.lock", "--out-dir", str(out)]
    subprocess.run(command, cwd=ROOT, check=True)
    (wheel,) = out.glob("otel_replay-*-py3-none-any.whl")
    return set(zipfile.ZipFile(wheel).namelist())


def test_holds_every_module_of_the_tree(names: set[str]) -> None:
    modules = {str(path.relative_to(ROOT)) for path in (ROOT / "otel_replay").rglob("*.py")}
    modules = {path for path in modules if "/node_modules/" not in path}
    assert modules - names == set()


def test_holds_the_built_page_and_recorder(names: set[str]) -> None:
    static = {str(path.relative_to(ROOT)) for path in (ROOT / "otel_replay/web/static").rglob("*") if path.is_file()}
    assert {"otel_replay/web/static/index.html", "otel_replay/web/static/otel-replay.js"} <= static
    assert static - names == set()


def test_holds_types_licence_and_sample(names: set[str]) -> None:
    assert "otel_replay/py.typed" in names
    assert any(name.endswith(".dist-info/licenses/LICENSE") for name in names)
    assert "otel_replay/examples/sample_session.json.gz" in names


def test_holds_the_load_generator_with_its_client(names: set[str]) -> None:
    sources = [path for path in (ROOT / "tests/bench/load").rglob("*") if path.suffix in {".py", ".c", ".h"}]
    assert len(sources) > 10
    wanted = {f"otel_replay/_bench/{path.relative_to(ROOT / 'tests/bench/load').as_posix()}" for path in sources}
    assert wanted - names == set()
    assert not any(name.startswith("otel_replay/_bench/") and name.endswith(".pyc") for name in names)


def test_holds_nothing_else(names: set[str]) -> None:
    assert {name.split("/")[0].partition("-")[0] for name in names} == {"otel_replay"}
    sources = ("otel_replay/browser/", "otel_replay/web/page/")
    assert {name for name in names if name.startswith(sources) or "node_modules" in name} == set()
