"""Where the packages of ``package.json`` are installed, once for all runs: other people's SDKs, as npm has them."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

SOURCE = Path(__file__).parent
ROOT = SOURCE.parents[1]
FILES = ("package.json", "package-lock.json", "splunk.mjs")


def installed() -> Path:
    """The folder with ``node_modules``, and ``splunk.js`` built from :data:`SOURCE`. Skips where npm cannot install."""
    folder = ROOT / ".build" / "vendors"
    folder.mkdir(parents=True, exist_ok=True)
    done = folder / "built"
    wanted = b"".join((SOURCE / name).read_bytes() for name in FILES)
    if done.is_file() and done.read_bytes() == wanted:
        return folder
    for name in FILES:
        shutil.copy(SOURCE / name, folder / name)
    for arguments in (("ci", "--ignore-scripts", "--no-audit", "--no-fund"), ("run", "--silent", "build")):
        ran = subprocess.run(
            [str(ROOT / ".ci" / "npm"), *arguments],
            cwd=folder,
            capture_output=True,
            text=True,
            timeout=600,
            check=False,
        )
        if ran.returncode and not os.environ.get("CI"):
            pytest.skip("npm cannot install the vendors' packages here")
        assert ran.returncode == 0, ran.stderr
    done.write_bytes(wanted)
    return folder
