"""What many arms and large tables cost: python scripts/costs.py [arms] [tables] [images] [--quick] [--json FILE]

`arms` runs the command line with more and more losses, then with more and more arms of one loss (its learning rate
swept), two seeds each. `start` is the time until training begins, `training` that from the first stack to the ordered
records, checkpoints included, and `after` the rest: measuring networks, verdicts, figures, tables.
`tables` reads CSV files and says how long that takes beside NumPy, and how much memory it takes in all, splits
included, over the size of the file.
`images` reads a folder of 2,000 photographs, first and again, beside Pillow's draft and resize in as many threads.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import yaml

Figures = dict[str, float]

# Only Linux reports, and can reset, the peak memory of a process.
READ = """
import sys, time
from pathlib import Path
from clsbench.data.tables import csv
from clsbench.data.raw import as_raw
from clsbench.data.splits import split

def peak():
    (line,) = [line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM")]
    return int(line.split()[1]) * 1024

split(as_raw(csv(0, path=sys.argv[2])), test_fraction=0.2)
Path("/proc/self/clear_refs").write_text("5")
before, started = peak(), time.process_time()
raw = as_raw(csv(0, path=sys.argv[1]))
seconds = time.process_time() - started
split(raw, test_fraction=0.2)
print(seconds, peak() - before)
"""


def main() -> int:
    parser = argparse.ArgumentParser(description="What many arms and large tables cost.")
    parser.add_argument("parts", nargs="*", metavar="PART", help="arms, tables, images; by default all")
    parser.add_argument("--quick", action="store_true", help="a tenth of the arms and of the rows")
    parser.add_argument("--json", type=Path, metavar="FILE")
    asked = parser.parse_args()
    parts: dict[str, Callable[[Path, bool], dict[str, Figures]]] = {"arms": arms, "tables": tables, "images": images}
    with tempfile.TemporaryDirectory() as folder:
        found = {part: parts[part](Path(folder), asked.quick) for part in asked.parts or parts}
    if asked.json:
        asked.json.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")
    return 0


def arms(folder: Path, quick: bool) -> dict[str, Figures]:
    """Runs of more and more losses, and of more and more rates of one loss."""
    found: dict[str, Figures] = {}
    for kind, numbers in (("losses", (2, 75, 150, 300)), ("rates", (2, 250, 500, 1000))):
        for number in (max(2, number // 10) if quick else number for number in numbers):
            found[f"{number} {kind}"] = figures = _run(folder, _config(kind, number))
            shown = ", ".join(f"{name} {value:,.2f}" for name, value in figures.items())
            print(f"{number:>5} {kind}: {shown}", flush=True)
    return found


def _config(kind: str, number: int) -> dict[str, Any]:
    smoothed = [{"name": "cross_entropy", "label": f"c{n}", "label_smoothing": n / (2 * number)} for n in range(number)]
    focal = [{"name": "focal", "label": f"f{n}", "gamma": 1 + n / number} for n in range(number)]
    rates = [float(f"{0.001 * 1.005**n:.8f}") for n in range(number)]
    return {
        "name": f"{kind}{number}",
        "dataset": {"name": "moons", "samples": 1000},
        "model": "mlp",
        "loss": (smoothed[::2] + focal[1::2]) if kind == "losses" else "cross_entropy",
        "optimizer": {"lr": 0.1 if kind == "losses" else rates},
        "train": {"epochs": 10, "seeds": 2, "device": "cpu"},
    }


def _run(folder: Path, config: dict[str, Any]) -> Figures:
    path = folder / f"{config['name']}.yaml"
    path.write_text(yaml.safe_dump(config), encoding="utf-8")
    started, spent = time.time(), _processor_seconds()
    command = [sys.executable, "-m", "clsbench", "run", str(path), "--output", str(folder)]
    shown = subprocess.run(command, check=True, capture_output=True, text=True, env={**os.environ, "COLUMNS": "80"})
    ended = time.time()
    (run,) = (folder / config["name"]).iterdir()
    begun = next(_times(run / "run.log"))
    trained = (run / "metrics.jsonl").stat().st_mtime
    summary = json.loads((run / "summary.json").read_text(encoding="utf-8"))
    return {
        "start": begun - started,
        "training": trained - begun,
        "after": ended - trained,
        "command over training": (ended - started) / (trained - begun),
        "processor": _processor_seconds() - spent,
        "seconds of the summary": summary["seconds"],
        "summary MB": (run / "summary.json").stat().st_size / 1e6,
        "lines shown": shown.stdout.count("\n"),
    }


def _times(log: Path) -> Iterator[float]:
    for line in log.read_text(encoding="utf-8").splitlines():
        yield datetime.strptime(line[:23], "%Y-%m-%d %H:%M:%S,%f").timestamp()


def _processor_seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def tables(folder: Path, quick: bool) -> dict[str, Figures]:
    """Tables of pixels, of decimals, of many columns: time beside NumPy, memory beside the file's size."""
    rng, scale = np.random.default_rng(0), 10 if quick else 1
    contents: dict[str, Callable[[], np.ndarray[Any, Any]]] = {
        "42,000 x 785 pixels": lambda: rng.integers(0, 256, (42_000 // scale, 784)) * (rng.random(784) < 0.5),
        "20,000 x 201 decimals": lambda: rng.random((20_000 // scale, 200)),
        "20 x 50,001 decimals": lambda: rng.random((20, 50_000 // scale)),
    }
    small = folder / "small.csv"
    _write(small, np.arange(20.0).reshape(10, 2))
    found: dict[str, Figures] = {}
    for name, content in contents.items():
        path = folder / "table.csv"
        _write(path, content())
        command = [sys.executable, "-c", READ, str(path), str(small)]
        seconds, memory = map(float, subprocess.run(command, check=True, capture_output=True, text=True).stdout.split())
        started = time.process_time()
        np.loadtxt(path, delimiter=",", skiprows=1)
        in_numpy = time.process_time() - started
        size = path.stat().st_size
        found[name] = {
            "seconds": seconds,
            "of NumPy": in_numpy,
            "file MB": size / 1e6,
            "memory over file": memory / size,
        }
        print(f"{name}: " + ", ".join(f"{key} {value:.2f}" for key, value in found[name].items()), flush=True)
    return found


def _write(path: Path, features: np.ndarray[Any, Any]) -> None:
    with path.open("w") as file:
        file.write(",".join([*(f"x{n}" for n in range(features.shape[1])), "kind"]) + "\n")
        for n, row in enumerate(features.tolist()):
            file.write(",".join([*map(repr, row), str(n % 2)]) + "\n")


def images(folder: Path, quick: bool) -> dict[str, Figures]:
    """Photographs of 1500 x 1000 pixels to squares of 64: seconds by the clock, without what is kept and with it."""
    from PIL import Image

    from clsbench.data.folders import image_folder
    from clsbench.system import cores

    number, rng = 200 if quick else 2000, np.random.default_rng(0)
    photographs = folder / "photographs"
    for n in range(number):
        path = photographs / "ab"[n % 2] / f"{n}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(0, 256, (50, 75, 3), np.uint8)).resize((1500, 1000)).save(path)
    os.environ["XDG_CACHE_HOME"] = str(folder / "cache")  # on Linux, where nothing is kept yet

    def plain(path: Path) -> np.ndarray[Any, Any]:
        with Image.open(path) as image:
            image.draft("RGB", (64, 64))
            return np.asarray(image.convert("RGB").resize((64, 64), Image.Resampling.BILINEAR))

    files = sorted(photographs.rglob("*.jpg"))
    found = {}
    with ThreadPoolExecutor(cores()) as pool:
        found["of Pillow"] = _seconds(lambda: list(pool.map(plain, files)))
    found["seconds"] = _seconds(lambda: image_folder(0, path=str(photographs)))
    found["seconds again"] = _seconds(lambda: image_folder(0, path=str(photographs)))
    found["over Pillow"] = found["seconds"] / found["of Pillow"]
    print(f"{number:,} photographs: " + ", ".join(f"{key} {value:.2f}" for key, value in found.items()), flush=True)
    return {f"{number} photographs": found}


def _seconds(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


if __name__ == "__main__":
    sys.exit(main())
