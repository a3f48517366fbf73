"""Inject faults many times and count the outcomes: python scripts/faults.py [PART ...] [--count N] [--json FILE]

Each part prints one line, the figure, and says what fell short of it. Exit code 1 where a figure is missed.
"""

from __future__ import annotations

import argparse
import importlib
import json
import sys
import time
from pathlib import Path

PARTS = {
    "fuzz": "10,000 configs of every kind, each answered with 0 or 2",
    "guided": "10 minutes of input guided by coverage for each reader (atheris); N is seconds",
    "download": "8 processes 20 times on one empty data directory",
    "kill": "200 kill -9 at random moments: nothing lost, the same end",
    "resume": "a run with every loss, ended after each epoch in turn",
    "checkpoint": "300 cuts and 400 flipped bits of checkpoints: all detected",
    "flips": "400 flipped bits in each file of a finished and a stopped run: no wrong value is read",
    "io": "every write, fsync and rename fails in turn: never silently",
    "crash": "2,000 states in which a power failure could leave a run: no kept epoch lost",
    "mutations": "1,000 changes of values in each of five files of a run: 0 or 6",
    "sigterm": "50 SIGTERM at random moments: 143 within 5 s, nothing lost",
    "cluster": "20 kill -9 of workers, nodes and drivers of a Ray cluster: the same end",
    "cost": "the cost of checkpoints and fsync in a run of moons: under 5% of its time",
}
SHOWN_FAILURES = 5


def main() -> int:
    asked = arguments()
    known = {}
    for name in asked.parts or PARTS:
        part = importlib.import_module(f"faulting.{name}")
        start = time.monotonic()
        figure = part.measure(asked.count or part.COUNT)
        seconds = time.monotonic() - start
        print(f"{name:10} {'ok' if figure.reached else 'MISSED':6} {figure.text} ({seconds:.0f} s)", flush=True)
        for failure in figure.failures[:SHOWN_FAILURES]:
            print(f"           {failure[:500]}", flush=True)
        known[name] = {"text": figure.text, "reached": figure.reached, "seconds": round(seconds, 1), **figure.numbers}
        if asked.json:
            asked.json.write_text(json.dumps(known, indent=2) + "\n", encoding="utf-8")
    return 0 if all(each["reached"] for each in known.values()) else 1


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        formatter_class=argparse.RawDescriptionHelpFormatter,
        description=__doc__.partition("\n")[0].partition(":")[0] if __doc__ else None,
        epilog="\n".join(f"{name:10} {what}" for name, what in PARTS.items()),
    )
    parser.add_argument("parts", nargs="*", choices=[[], *PARTS], metavar="PART", help="by default every one")
    parser.add_argument("--count", type=int, metavar="N", help="how many, instead of the part's default")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the figures to FILE")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
