"""``make bench``: what this store takes a second, against its ceilings and against other receivers, in one run.

Server on core 0, client on core 1, medians of the rounds, in which all cases take turns. After every round of ingest
the file holds exactly what was sent, and samples that are read back are byte for byte what they were. Linux only.
"""

from __future__ import annotations

import argparse
import os
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from . import peers
from .collected import collected
from .costs import costs
from .disturbed import beside
from .following import recordings, sustained
from .growth import growth, questions
from .heavy import recording
from .ingest import compared, ingest
from .load import machine
from .load.client import Client, build_client
from .load.measure import Bench, sync_p50_ms
from .report import Report
from .rows import Row
from .setup import CLIENT_CORE, SERVER_CORE, Setup

Section = Callable[[Setup], Iterator[Row]]
SECTIONS: tuple[Section, ...] = (ingest, recordings, recording, sustained, beside, costs, compared, collected)
LONG_SECTIONS: tuple[Section, ...] = (growth, questions)
BY_NAME = {section.__name__: section for section in (*SECTIONS, *LONG_SECTIONS)}


def conditions(setup: Setup) -> dict[str, str]:
    """What the figures depend on; taken before anything is measured."""
    sync_ms = sync_p50_ms(setup.bench.directory)
    found = machine.describe() | machine.store_settings()
    found |= {
        "Disk": f"write and fdatasync of 256 KiB p50 {sync_ms:.2f} ms, in the same directory",
        "Load": f"16 requests in flight; server on one core, client on another; medians of {setup.repeat}",
        "Peers": ", ".join(map(peers.version, peers.installed())) or "none; make bench-peers installs them",
    }
    if setup.scale != 1:
        found["Scale"] = f"{setup.scale:g} of the usual amount: a trial, nothing to compare"
    return found


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__)
    names, long_names = (", ".join(one.__name__ for one in some) for some in (SECTIONS, LONG_SECTIONS))
    parser.add_argument("sections", nargs="*", metavar="SECTION", help=f"of {names} (all of these); {long_names}")
    parser.add_argument("--work-dir", type=Path, required=True, help="for requests and databases, removed after use")
    parser.add_argument(
        "--results", type=Path, default=machine.ROOT / "docs" / "results", help="the folder for reports"
    )
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--scale", type=float, default=1.0, help="times the usual number of requests")
    args = parser.parse_args()
    if unknown := sorted(set(args.sections) - set(BY_NAME)):
        parser.error(f"no section {', '.join(unknown)}")
    return args


def main() -> None:
    args = arguments()
    if (os.cpu_count() or 1) < 2 or not shutil.which("taskset"):
        raise SystemExit("bench: needs Linux with two cores and taskset (util-linux)")
    args.work_dir.mkdir(parents=True, exist_ok=True)
    bench = Bench(Client(build_client(args.work_dir), CLIENT_CORE), args.work_dir.resolve(), SERVER_CORE)
    setup = Setup(bench, args.repeat, args.scale, str(time.time_ns()))
    name = "-".join(args.sections) or "bench"
    report = Report(conditions(setup), args.results / f"{name}-{machine.today()}")
    for section in [BY_NAME[name] for name in args.sections] or SECTIONS:
        for row in section(setup):
            report.add(row)
        report.write()  # so far: a whole run takes half an hour
    print(report.markdown())


if __name__ == "__main__":
    main()
