"""Measure clsbench side by side with the alternatives, on the same work.

python scripts/bench.py [PART ...] [--repeats N] [--quick] [--data-dir DIR] [--json FILE]

Lightning, skorch and JAX take part where they are installed: pip install lightning skorch jax
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
from dataclasses import replace
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from benchmark.figures import Options, RefusedError, Result

PARTS = {
    "process": "whole commands, cold and warm, beside scripts: quickstart, moons, MNIST, a thousand trials",
    "startup": "clsbench --help, and from the command to the first training step",
    "small": "an MLP 2-32-32-2 on moons, per trial and step",
    "splits": "the same, a split for every seed beside one that all share",
    "mnist_mlp": "an MLP 784-128-10 on MNIST, per trial and epoch",
    "mnist_cnn": "a small convolutional network on MNIST, per step",
    "growth": "how cost grows with trials, width and samples",
}


def main(arguments: list[str]) -> int:
    """0: measured, whatever the result; 1: a contender did other work, and the part is not reported."""
    asked = _parser().parse_args(arguments)
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)  # an installed package is compiled once, not in every command
    options = Options(repeats=asked.repeats, quick=asked.quick, data_dir=asked.data_dir)
    report: dict[str, Any] = {"machine": _machine(), **options.to_dict(), "parts": {}}
    refused = False
    for part in asked.parts or PARTS:
        print(f"\n{part}: {PARTS[part]}", flush=True)
        try:
            result: Result = import_module(f"benchmark.{part}").measure(options)
        except RefusedError as error:
            print(f"  refused: {error}", flush=True)
            refused = True
            continue
        if options.quick:
            result = replace(result, targets=())  # tiny sizes say nothing about speed
        print("\n".join(result.lines()), flush=True)
        report["parts"][part] = result.to_dict()
        if asked.json is not None:
            asked.json.write_text(json.dumps(report, indent=1) + "\n")
    return int(refused)


def _parser() -> argparse.ArgumentParser:
    text, _, install = (__doc__ or "").partition("\n\npython")
    listed = "\n".join(f"  {name:<10} {what}" for name, what in PARTS.items())
    parser = argparse.ArgumentParser(
        description=text,
        epilog=f"parts:\n{listed}\n\n{install.partition(chr(10) * 2)[2]}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("parts", nargs="*", metavar="PART", help="what to measure; everything by default")
    parser.add_argument("--repeats", type=int, default=5, help="turns of every contender (default 5)")
    parser.add_argument("--quick", action="store_true", help="tiny sizes: whether it works, not how fast")
    parser.add_argument("--data-dir", help="torchvision's root with MNIST; without it MNIST is left out")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every figure there")
    return parser


def _machine() -> dict[str, Any]:
    versions: dict[str, str | None] = {}
    for package in ("torch", "scikit-learn", "lightning", "skorch", "jax"):
        try:
            versions[package] = version(package)
        except PackageNotFoundError:
            versions[package] = None
    return {"processor": _processor(), "cores": os.cpu_count(), "python": platform.python_version(), **versions}


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "")


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # this tree is what is measured
    sys.exit(main(sys.argv[1:]))
