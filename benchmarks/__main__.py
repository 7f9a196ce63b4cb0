"""``python -m benchmarks [--only NAME] [--runs N]``: measure and print the figures."""

from __future__ import annotations

import argparse
import os
import platform
import sys

from benchmarks.figures import ALL
from benchmarks.report import render


def main() -> int:
    """Exit status 0 if everything could be measured, whether or not the goals are met."""
    names = [figure.NAME for figure in ALL]
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--only", action="append", choices=names, help="measure only this figure; may be given several times")
    parser.add_argument("--runs", type=int, default=5, help="runs per figure; the median is shown (default: 5)")
    options = parser.parse_args()
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)  # it would have every process compile its own programs anew, peers' and ours
    print(f"Python {platform.python_version()}, {os.cpu_count()} cores, {platform.system()} {platform.machine()}")
    for figure in ALL:
        if not options.only or figure.NAME in options.only:
            for table in figure.measure(options.runs):
                print()
                print(render(table), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
