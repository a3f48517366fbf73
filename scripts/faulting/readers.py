"""Readers of files that others may have written: each as a function of bytes, with its errors.

A reader takes any bytes whatever and raises nothing but the error that it documents.
"""

from __future__ import annotations

import functools
import json
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import clsbench.experiment  # noqa: F401 - registers all that there is
from clsbench.config.expectations import read_expectations
from clsbench.config.reader import read_file
from clsbench.data.tables import csv
from clsbench.errors import ClsbenchError, ConfigError, DataError, RunError
from clsbench.execution.events import fields
from clsbench.metrics.measures import by_class
from clsbench.problems import SingleLabel
from clsbench.results import Origin
from clsbench.runs.directory import METRICS, RunDirectory
from clsbench.runs.names import MANIFEST
from faulting.seeds import CONFIGS, EXPECTATIONS, OVERRIDES, TABLES, WORDS


@dataclass(frozen=True)
class Reader:
    """How bytes are read, the error that may be raised, examples to start from, and words that mean something."""

    read: Callable[[bytes], object]
    error: type[ClsbenchError]
    examples: Sequence[bytes]
    words: Sequence[str]
    is_json: bool = False


@functools.cache
def _folder() -> Path:
    """A folder of this process's own, removed at its end."""
    kept = tempfile.TemporaryDirectory(prefix="readers-")
    _kept.append(kept)
    return Path(kept.name)


_kept: list[tempfile.TemporaryDirectory[str]] = []


def _file(name: str, content: bytes) -> Path:
    path = _folder() / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def config(data: bytes) -> None:
    read_file(_file("a.yaml", data), ())


def overrides(data: bytes) -> None:
    """One override a line."""
    lines = data.decode("utf-8", "surrogateescape").split("\n")
    read_file(_file("small.yaml", b"loss: [bce, hinge]\n"), lines)


def expectations(data: bytes) -> None:
    """One expectation a line; what is wrong with them is returned, not raised."""
    read_expectations(data.decode("utf-8", "surrogateescape").split("\n"), [])


def records(data: bytes) -> None:
    """As records are read after a crash, and at the end."""
    _file("run/checkpoints/lock", b"")
    _file(f"run/{METRICS}.jsonl", data)
    run = RunDirectory(_folder() / "run")
    try:
        run.writer(METRICS, None, exact=True).records.reopen()
    except RunError:
        run.records([Origin("bce", "bce", "moons", "mlp", 0)], ended=True)
        raise


def manifest(data: bytes) -> None:
    _file(f"run/checkpoints/{MANIFEST}", data)
    list(RunDirectory(_folder() / "run").checkpoints(METRICS).newest())


def summary(data: bytes) -> None:
    _file("run/summary.json", data)
    RunDirectory(_folder() / "run").summary()


def environment(data: bytes) -> None:
    _file("run/environment.json", data)
    RunDirectory(_folder() / "run").environment()


def table(data: bytes) -> None:
    csv(0, path=str(_file("a.csv", data)))


def _json_reader(read: Callable[[bytes], object], *lines: object) -> Reader:
    example = b"".join(json.dumps(line).encode() + b"\n" for line in lines)
    return Reader(read, RunError, [example], ["null", "true", "NaN", "1e999", "-1", "{}", "[]"], is_json=True)


_NAMES = {"arm": "bce", "loss": "bce", "dataset": "moons", "model": "mlp"}
_NUMBERS = {"trial": 0, "lr": 0.1, "seed": 0, "epoch": 0, "step": 0}
_BY_CLASS = {name: {"upper moon": 0.5, "lower moon": None} for name in by_class()}
_RECORD = dict.fromkeys(fields(SingleLabel(2)), 0.5) | _BY_CLASS | _NAMES | _NUMBERS | {"status": "running"}
_FILE = {"file": f"{METRICS}-00000-epoch-00001-0123abcd.pt", "sha256": "0" * 64}
_ENTRY = {**_FILE, "phase": METRICS, "trials": [0, 1], "finished": False}
_STATISTIC = {"mean": 0.5, "std": None, "n": 1, "values": [0.5]}
_ARM = {**_NAMES, "name": "bce", "label": "bce", "lr": 0.1, "seeds": [0], "diverged": 0, "metrics": {"m": _STATISTIC}}
_PAIRED = {"arms": [_ARM], "pairing": [{"arms": ["bce"], "weights": None, "batches": "0"}], "verdicts": []}
_SUMMARY = {"name": "a", "status": "finished", "device": "cpu", "expectations": [], **_PAIRED}
_DEVICE = {"device": {"kind": "cpu", "threads": [1]}, "datasets": {}}
_MACHINE = {"versions": {"torch": "2.10"}, "machine": {"processor": "a", "cores": 2}, **_DEVICE}

READERS = {
    "config": Reader(config, ConfigError, CONFIGS, WORDS),
    "overrides": Reader(overrides, ConfigError, OVERRIDES, WORDS),
    "expectations": Reader(expectations, ConfigError, EXPECTATIONS, WORDS),
    "table": Reader(table, DataError, TABLES, ["nan", "inf", "1e999", ",", '"', "\r", "1_0"]),
    "records": _json_reader(records, _RECORD, {**_RECORD, "epoch": 1}),
    "manifest": _json_reader(manifest, [_ENTRY]),
    "summary": _json_reader(summary, {**_SUMMARY, "seconds": 1.5}),
    "environment": _json_reader(environment, {**_MACHINE, "resumed": [_MACHINE]}),
}


def fault_of(reader: Reader, data: bytes) -> BaseException | None:
    """What reading raises that it must not, if anything."""
    try:
        reader.read(data)
    except reader.error:
        return None
    except BaseException as error:
        return error
    return None
