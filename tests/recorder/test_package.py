"""The recorder as a package: its size, what is in it, and that it can be imported and type-checked by others."""

from __future__ import annotations

import gzip
import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest

pytestmark = [pytest.mark.browser, pytest.mark.feature("S4")]

SOURCE = Path(__file__).parents[2] / "otel_replay" / "browser"
CONSUMER = """
import { isSampled, record, type Recorder, type RecordOptions } from "otel-replay-browser";
import { panel } from "otel-replay-browser/panel";
import { useSessionRecording } from "otel-replay-browser/react";
const options: RecordOptions = {
  endpoint: "/",
  sampleRate: 0.5,
  assets: false,
  canvases: false,
  beforeSend: (event, kind) => (kind === "dom" ? event : null),
};
export const recorder: Recorder = record(options);
recorder.identify("u1", { plan: "pro" });
export const sampled: boolean = isSampled("s1", 0.5);
export const shown = panel(options).element;
export const state = (): string => useSessionRecording(options).state;
// @ts-expect-error: an endpoint is needed
record({});
"""


@pytest.fixture(scope="module")
def bundled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The script-tag file without rrweb."""
    bundle = tmp_path_factory.mktemp("bundle") / "own.js"
    esbuild = SOURCE / "node_modules" / ".bin" / "esbuild"
    options = ["--bundle", "--minify", "--format=esm", "--external:@rrweb/record", f"--outfile={bundle}"]
    subprocess.run([esbuild, "src/global.ts", *options], cwd=SOURCE, check=True, capture_output=True)
    terser = SOURCE / "node_modules" / ".bin" / "terser"  # as build.mjs does
    options = ["--module", "--ecma", "2020", "--compress", "passes=3", "--mangle", "--output", str(bundle)]
    subprocess.run([terser, bundle, *options], cwd=SOURCE, check=True, capture_output=True)
    return bundle


def test_our_own_code_is_small(bundled: Path) -> None:
    """Everything but rrweb, minified: less than 15 KB gzipped."""
    assert 1000 < len(gzip.compress(bundled.read_bytes())) < 15 * 1024


def test_nothing_else_is_installed_with_it() -> None:
    """rrweb is in it; React is needed only for its own hook."""
    package = json.loads((SOURCE / "package.json").read_bytes())
    assert "dependencies" not in package
    assert package["peerDependencies"].keys() == package["peerDependenciesMeta"].keys() == {"react"}


def test_the_readme_names_every_option() -> None:
    declared = (SOURCE / "src" / "options.ts").read_text("utf-8").partition("export interface RecordOptions {")[2]
    options = set(re.findall(r"^  (\w+)\??: ", declared.partition("\n}")[0], re.MULTILINE))
    assert {"endpoint", "sampleRate", "assets", "beforeSend"} <= options
    table = (SOURCE / "README.md").read_text("utf-8").partition("## Options")[2].partition("## ")[0]
    names = "".join(line.split("|")[1] for line in table.splitlines() if line.startswith("|"))
    assert set(re.findall(r"`(\w+)", names)) == options


def test_nothing_is_made_of_text_that_a_strict_policy_forbids(bundled: Path) -> None:
    code = bundled.read_text()
    assert not any(word in code for word in ("eval(", "new Function", "new Worker", "innerHTML", "insertAdjacentHTML"))


@pytest.mark.slow
def test_the_package_works_for_others(tmp_path: Path) -> None:
    """As npm packs it: imported by Node.js, where there is no page, and type-checked by Node's way of finding types."""
    browser = tmp_path / "otel_replay" / "browser"
    shutil.copytree(SOURCE, browser, ignore=shutil.ignore_patterns("node_modules", "dist"))
    (browser / "node_modules").symlink_to(SOURCE / "node_modules")
    subprocess.run(["npm", "run", "build"], cwd=browser, check=True, capture_output=True)
    packed = subprocess.run(
        ["npm", "pack", "--json", "--ignore-scripts"], cwd=browser, check=True, capture_output=True, text=True
    )
    (told,) = json.loads(packed.stdout)
    files = {file["path"] for file in told["files"]}
    assert {
        "package.json",
        "README.md",
        "dist/index.js",
        "dist/react.js",
        "dist/panel.js",
        "dist/otel-replay.js",
        "dist/types/index.d.ts",
    } <= files
    assert all(path.startswith("dist/") for path in files - {"package.json", "README.md"})

    user = tmp_path / "user"
    installed = user / "node_modules" / "otel-replay-browser"
    installed.mkdir(parents=True)
    shutil.unpack_archive(browser / told["filename"], tmp_path / "unpacked", "gztar")
    shutil.copytree(tmp_path / "unpacked" / "package", installed, dirs_exist_ok=True)
    for name in (SOURCE / "node_modules").iterdir():
        if not name.name.startswith("."):
            (user / "node_modules" / name.name).symlink_to(name)
    (user / "package.json").write_text('{"type": "module"}')
    (user / "main.ts").write_text(CONSUMER)
    checked = [str(SOURCE / "node_modules/.bin/tsc"), "--noEmit", "--strict", "--module", "nodenext", "--skipLibCheck"]
    subprocess.run([*checked, "--lib", "es2022,dom,dom.iterable", "main.ts"], cwd=user, check=True)
    imported = 'import("otel-replay-browser").then(m => console.log(Object.keys(m).join()))'
    done = subprocess.run(["node", "-e", imported], cwd=user, check=True, capture_output=True, text=True)
    assert done.stdout == "isSampled,record\n"
