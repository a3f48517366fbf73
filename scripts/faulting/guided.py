"""`guided`: input that grows by what of the code it reaches (atheris), through everything that reads files of others.

Each reader may raise the error that it documents and nothing else, and answers within seconds. An input that does
otherwise is put into `tests/found/READER`, where the suite reads it from then on.
"""

from __future__ import annotations

import hashlib
import importlib.util
import itertools
import logging
import os
import random
import re
import subprocess
import sys
import tempfile
import traceback
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from clsbench.system import cores
from faulting.figures import Figure

COUNT = 600  # seconds for each reader
SECONDS_AN_INPUT = 10
MEGABYTES = 2048
MOST_BYTES = 4096
SCRIPTS = Path(__file__).resolve().parents[1]
FOUND = SCRIPTS.parent / "tests" / "found"


def measure(count: int) -> Figure:
    if importlib.util.find_spec("atheris") is None:
        return Figure("atheris is not installed: pip install '.[fuzz]' brings it, on Linux", reached=False, numbers={})
    from faulting.readers import READERS

    with ThreadPoolExecutor(cores()) as side_by_side:
        fuzzed = list(side_by_side.map(_fuzzed, READERS, itertools.repeat(count)))
    numbers: dict[str, Any] = dict(zip(READERS, (each for each, _ in fuzzed), strict=True))
    failures = [each for _, failed in fuzzed for each in failed]
    runs = sum(each["inputs"] for each in numbers.values())
    return Figure(
        f"{runs:,} inputs guided by coverage through {len(READERS)} readers, {count} s each: {len(failures)} that "
        "raise another error than the documented one, or take long",
        reached=not failures,
        numbers={**numbers, "failures": len(failures)},
        failures=failures,
    )


def _fuzzed(name: str, seconds: int) -> tuple[dict[str, int], list[str]]:
    """Fuzz one reader in a process of its own, which libFuzzer ends."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "faulting.guided", name, folder, str(seconds)]
        path = os.pathsep.join([str(SCRIPTS.parent), str(SCRIPTS), os.environ.get("PYTHONPATH", "")])
        environment = {**os.environ, "PYTHONPATH": path}
        ended = subprocess.run(command, env=environment, capture_output=True, text=True, errors="replace", check=False)
        found = sorted(Path(folder).glob("found-*.txt"))
        failures = [f"{name}: {each.read_text(encoding='utf-8')}" for each in found]
        for input_file in Path(folder).glob("found-*.bin"):
            (FOUND / name).mkdir(parents=True, exist_ok=True)
            (FOUND / name / input_file.name.removeprefix("found-")).write_bytes(input_file.read_bytes())
        hangs = [each.name for each in Path(folder).glob("artifact-*")]
    inputs = re.search(r"number_of_executed_units: (\d+)", ended.stderr)
    edges = re.findall(r"cov: (\d+)", ended.stderr)
    if hangs or not inputs or not edges:
        failures.append(f"{name}: it ended with {ended.returncode}, {hangs}: {ended.stderr[-300:]}")
    return {
        "inputs": int(inputs[1]) if inputs else 0,
        "edges_at_first": int(edges[0]) if edges else 0,
        "edges": int(edges[-1]) if edges else 0,
    }, failures


def _fuzz(name: str, folder: Path, seconds: int) -> None:
    """Fuzz one reader; what it raises is written down once for each place that raises it. Does not return."""
    import atheris

    with atheris.instrument_imports(include=["clsbench", "yaml"]):
        from faulting.readers import READERS, fault_of
    logging.disable()
    reader = READERS[name]
    corpus = folder / "corpus"
    corpus.mkdir()
    for number, example in enumerate(reader.examples):
        (corpus / str(number)).write_bytes(example)
    words = [re.sub(r'([\\"])', r"\\\1", word) for word in reader.words if word.isascii() and word.isprintable()]
    (folder / "words").write_text("".join(f'"{word}"\n' for word in words), encoding="ascii")
    seen = set()

    def one(data: bytes) -> None:
        error = fault_of(reader, data)
        if isinstance(error, KeyboardInterrupt):
            raise error
        if error is None:
            return
        frame = traceback.extract_tb(error.__traceback__)[-1]
        if (place := (type(error), frame.filename, frame.lineno)) not in seen:
            seen.add(place)
            key = hashlib.sha256(data).hexdigest()[:8]
            (folder / f"found-{key}.bin").write_bytes(data)
            found = f"{error!r} at {Path(frame.filename).name}:{frame.lineno} for {data[:200]!r}"
            (folder / f"found-{key}.txt").write_text(found, encoding="utf-8", errors="backslashreplace")

    options = {
        "max_total_time": seconds,
        "timeout": SECONDS_AN_INPUT,
        "rss_limit_mb": MEGABYTES,
        "max_len": MOST_BYTES,
        "dict": folder / "words",
        "artifact_prefix": folder / "artifact-",
        "print_final_stats": 1,
        "seed": 1,
    }
    # Of JSON, which compiled code reads, no coverage is seen: half of the mutations know its form.
    how = (
        {"custom_mutator": lambda data, most, seed: _mutated(data, most, random.Random(seed))} if reader.is_json else {}
    )
    atheris.Setup([name, *(f"-{key}={value}" for key, value in options.items()), str(corpus)], one, **how)
    atheris.Fuzz()


def _mutated(data: bytes, most: int, chance: random.Random) -> bytes:
    import atheris

    from faulting.seeds import json_mutated

    changed = json_mutated(data, chance) if chance.random() < 0.5 else None
    return changed if changed and len(changed) <= most else bytes(atheris.Mutate(data, len(data)))


if __name__ == "__main__":
    _fuzz(sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]))
