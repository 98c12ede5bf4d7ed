"""Where and on what something was measured: the head of every file in docs/results. Run it to see this machine's."""

from __future__ import annotations

import os
import platform
import sqlite3
import subprocess
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

from otel_replay.store.sqlite.database import PAGE_CACHE_KIB

ROOT = Path(__file__).resolve().parents[3]
MEASURED_PACKAGES = ("grpcio", "protobuf", "zstandard")


def describe() -> dict[str, str]:
    """Date, commit, machine and versions, in words."""
    packages = ", ".join(f"{name} {version(name)}" for name in MEASURED_PACKAGES)
    return {
        "Date": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "Commit": commit(),
        "Machine": f"{os.cpu_count()} x {processor()}, {memory_gib()} GiB, {platform.system()} {platform.release()}",
        "Load average": f"{os.getloadavg()[0]:.2f} before",
        "Versions": f"Python {platform.python_version()}, SQLite {sqlite3.sqlite_version}, {packages}",
    }


def store_settings() -> dict[str, str]:
    """How this version's store is configured, as far as figures depend on it."""
    cache = f"page cache {PAGE_CACHE_KIB >> 10} MiB"
    return {"Store": f"acknowledged after commit with synchronous=FULL, {cache}, everything on as shipped"}


def today() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%d")


def commit() -> str:
    """The checked-out commit, with what git says about changes on top of it."""
    command = ["git", "-C", str(ROOT), "describe", "--always", "--dirty=, with uncommitted changes"]
    done = subprocess.run(command, capture_output=True, text=True)
    return done.stdout.strip() or "none"


def processor() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text().splitlines() if cpuinfo.exists() else []
    models = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(models, platform.machine())


def memory_gib() -> int:
    return round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / (1 << 30))


def main() -> None:
    for key, value in describe().items():
        print(f"{key}: {value}")


if __name__ == "__main__":
    main()
