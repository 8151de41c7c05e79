"""Measure this device, PennyLane's ``qiskit.remote`` and hand-written Qiskit side by side.

python -m benchmarks                          everything; about five minutes on an idle machine
python -m benchmarks --only gradient start    some of the works
python -m benchmarks --quick                  small sizes, to see that it runs; the numbers mean nothing
python -m benchmarks --json numbers.json      also write every sample

All contenders of a work take turns in one run, because a machine's speed changes from minute to minute. Each
number is the smallest of its samples.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
import warnings
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

from . import decode, gradient, many, progress, service, start, vqe
from .report import Work, as_json, show
from .timing import Effort

WORKS: dict[str, Callable[[Effort], Work]] = {
    "start": start.run,
    "gradient": gradient.run_small,
    "gradient8": gradient.run_large,
    "many": many.run,
    "decode": decode.run,
    "vqe": vqe.run,
    "progress": progress.run,
    "service": service.run,
}

PACKAGES = ("pennylane", "pennylane-qiskit", "qiskit", "qiskit-aer", "qiskit-ibm-runtime", "numpy")


def main(argv: list[str] | None = None) -> int:
    """Run the works, print a table for each, and say which targets were reached."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", nargs="+", choices=WORKS, metavar="WORK", help=", ".join(WORKS))
    parser.add_argument("--quick", action="store_true", help="small sizes; the numbers mean nothing")
    parser.add_argument(
        "--full", action="store_true", help="no part of qiskit.remote's long works is reckoned"
    )
    parser.add_argument(
        "--rounds", type=int, default=3, help="turns of each contender (default: %(default)s)"
    )
    parser.add_argument("--json", type=Path, help="file for all samples")
    args = parser.parse_args(argv)
    if args.rounds < 1:
        parser.error(f"argument --rounds: at least 1, got {args.rounds}")
    # what the contenders' libraries say about themselves is not what is measured
    warnings.filterwarnings("ignore")
    effort = Effort(rounds=1 if args.quick else args.rounds, quick=args.quick, full=args.full)
    machine = describe_machine()
    print(machine)
    works: list[Work] = []
    for name in args.only or WORKS:
        print(f"\n{name} ...", flush=True, file=sys.stderr)
        works.append(WORKS[name](effort))
        show(works[-1])
    if args.json:
        args.json.write_text(json.dumps(as_json(works, machine), indent=2), encoding="utf-8")
    return 0


def describe_machine() -> str:
    """One line: what the numbers depend on."""
    packages = ", ".join(f"{name} {version(name)}" for name in PACKAGES)
    return f"Python {platform.python_version()}, {os.cpu_count()} cores, {packages}"


if __name__ == "__main__":
    sys.exit(main())
