"""`mutations`: files of a run with valid syntax and wrong content; each reader must exit with 0 or with 6 and one line.

A value is deleted, replaced, swapped, doubled or nested. In most cases the checksums of the run are updated to match,
so that only the checks of the content itself can notice the change.
"""

from __future__ import annotations

import copy
import json
import random
import shutil
import signal
import tempfile
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from typer.testing import CliRunner

import clsbench
from clsbench import experiment, shown
from clsbench.cli import app
from clsbench.errors import ClsbenchError
from clsbench.runs.manifest import ManifestFile
from clsbench.runs.seal import sealed, sha256_of, unsealed
from clsbench.runs.sums import Sums
from faulting.children import replaced
from faulting.figures import Figure
from faulting.runs import checkpoints_each_epoch, cut_run, no_figures, one_line

COUNT = 5_000  # 1,000 of each file
FILES = ("metrics.jsonl", "summary.json", "environment.json", "config.yaml", "checkpoints/manifest.json")
ALLOWED = (0, 6)
DRAWN = 7  # one in so many has its figures drawn, which takes longest
SECONDS_EACH = 60  # a hang; a resume trains what is left
CONFIG = {
    "name": "mutated",
    "dataset": {"name": "moons", "samples": 60},
    "model": "linear",
    "loss": ["cross_entropy", "hinge"],
    "train": {"epochs": 2, "seeds": 2, "device": "cpu", "threads": 1},
    "tune": {"grid": {"lr": [0.1, 1.0]}, "seeds": 1},
    "expect": ["hinge.test_accuracy >= 0.1"],
}
JUNK: tuple[Any, ...] = (
    *(None, True, False, "", "junk", "\ud800", "é交\x00\n", "a" * 5_000, "hinge", "cross_entropy", "finished"),
    *(0, 1, -1, 3, 10**6, 2**53 + 1, 10**400, 0.5, -0.5, 1e308, -1e308, 5e-324, float("nan"), float("inf")),
    *([], {}, [[]], {"": {}}, [0, 1], ["hinge"], {"mean": None}, {"a": [1, {"b": None}]}),
)

_drawn = shown.figures  # which is replaced while a run is made or resumed


class Hang(BaseException):
    """A command took too long; nothing catches this."""


def measure(count: int) -> Figure:
    failures: list[str] = []
    codes: Counter[str] = Counter()
    with tempfile.TemporaryDirectory() as name, replaced(shown, "figures", no_figures), _time_limit():
        runs = {True: _finished(Path(name)), False: _stopped(Path(name))}
        for number in range(count):
            case = Case(number, Path(name))
            for how, code, problem in case.outcomes(runs[case.is_finished]):
                codes[f"{how} {code}"] += 1
                if problem:
                    failures.append(f"{case}, {how}: {problem}")
    counted = ", ".join(f"{how}: {number}" for how, number in sorted(codes.items()))
    return Figure(
        f"{count} mutated files, exit codes by reader: {counted}; {len(failures)} other answers",
        reached=not failures,
        numbers={"mutations": count, "codes": dict(codes), "failures": len(failures)},
        failures=failures,
    )


class Case:
    """One mutation of one file, which its number decides: of a finished run or a stopped one, its sums fitting or not.

    A stopped run has no summary to mutate.
    """

    def __init__(self, number: int, folder: Path) -> None:
        self.rng = random.Random(number)
        self.number = number
        self.file = FILES[number % len(FILES)]
        self.fits = bool(number // len(FILES) % 4)  # every fourth as it is
        self.is_finished = self.file == "summary.json" or bool(number // len(FILES) % 2)
        self.run = folder / "case"
        self.what = ""

    def __str__(self) -> str:
        whose = "a finished run" if self.is_finished else "a stopped run"
        sums = "its sums fit" if self.fits else "its sums are as they were"
        return f"case {self.number}: {self.file} of {whose}, {sums}, {self.what}"

    def outcomes(self, run: Path) -> Iterator[tuple[str, int, str | None]]:
        """By reader its exit code, and what is wrong with it, if anything."""
        for how, read in READERS.items():
            if how == "figures" and self.number % DRAWN:
                continue
            shutil.rmtree(self.run, ignore_errors=True)
            shutil.copytree(run, self.run)
            self.rng.seed(self.number)  # the same mutation for each
            self.mutate()
            signal.alarm(SECONDS_EACH)
            try:
                code, problem = read(self.run)
            except Hang:
                code, problem = -1, "it hangs"
            finally:
                signal.alarm(0)
            yield how, code, problem

    def mutate(self) -> None:
        """Change the file, and where the sums are to fit, them."""
        path = self.run / self.file
        if self.file == "metrics.jsonl":
            content = self._lines(path.read_text("utf-8"))
        elif self.file == "config.yaml":
            content = _text(self._changed(_plain(path.read_text("utf-8")))).encode()
        else:
            document = unsealed(path.read_bytes()) if self.file != "summary.json" else json.loads(path.read_bytes())
            changed = self._changed(document)
            fits = self.fits and self.file != "summary.json" and isinstance(changed, dict)
            content = sealed_anyhow(changed) if fits else _text(changed).encode()
        path.write_bytes(content)
        if self.fits and self.file != "checkpoints/manifest.json":
            _refresh(self.run, self.file, content)

    def _lines(self, text: str) -> bytes:
        lines = text.removesuffix("\n").split("\n")
        place = self.rng.randrange(len(lines))
        kind = self.rng.choice(("delete", "double", "swap", "value", "value", "value", "value"))
        if kind == "delete":
            del lines[place]
        elif kind == "double":
            lines.insert(self.rng.randrange(len(lines)), lines[place])
        elif kind == "swap":
            other = self.rng.randrange(len(lines))
            lines[place], lines[other] = lines[other], lines[place]
        else:
            lines[place] = _text(self._changed(json.loads(lines[place])), indent=None)
        self.what = f"line {place + 1}: {kind} {self.what}"
        return "".join(f"{line}\n" for line in lines).encode()

    def _changed(self, document: Any) -> Any:
        """A copy of a document in which one place is changed."""
        document = copy.deepcopy(document)
        places = list(_places(document))
        if not places:
            return document
        holder, key = self.rng.choice(places)
        kind = self.rng.choice(("delete", "junk", "junk", "junk", "swap", "double", "nest", "deep", "scale"))
        value = holder[key]
        self.what = f"{kind} of {key!r}"
        if kind == "delete":
            del holder[key]
        elif kind == "junk":
            holder[key] = copy.deepcopy(self.rng.choice(JUNK))
        elif kind == "swap":
            other, its = self.rng.choice(places)
            holder[key], other[its] = copy.deepcopy(other[its]), copy.deepcopy(value)
        elif kind == "double":
            holder.insert(key, copy.deepcopy(value)) if isinstance(holder, list) else holder.update({f"{key}2": value})
        elif kind == "nest":
            holder[key] = self.rng.choice(([value], {"value": value}))
        elif kind == "deep":
            for _ in range(self.rng.choice((50, 300))):
                value = [value]
            holder[key] = value
        elif isinstance(value, int | float) and not isinstance(value, bool):
            holder[key] = value * self.rng.choice((-1, 2, 1.5, 1e6))
        return document


def _places(value: Any) -> Iterator[tuple[Any, Any]]:
    """Each value in a document, as what holds it and its key."""
    for key, inner in list(value.items() if isinstance(value, dict) else enumerate(value)):
        yield value, key
        if isinstance(inner, dict | list):
            yield from _places(inner)


def _text(value: Any, indent: int | None = 2) -> str:
    return json.dumps(value, indent=indent)  # NaN and unpaired surrogates are written too


def sealed_anyhow(document: dict[str, Any]) -> bytes:
    """A document with its sum, whatever is in it."""
    try:
        return sealed(document)
    except (ValueError, RecursionError):  # what only a mutation can hold
        text = _text(document).removesuffix("\n}").encode()
        return text + b',\n  "sum": "' + sha256_of(text).encode() + b'"\n}\n'


def _plain(text: str) -> Any:
    import yaml

    return yaml.safe_load(text)


def _refresh(run: Path, name: str, content: bytes) -> None:
    """Make the sums of a run those of a file as it is now."""
    file = ManifestFile(run)
    manifest = file.written()
    files = {**manifest.files, name: [sha256_of(content)]}
    if name == "metrics.jsonl" and Sums(run / name).path.exists():
        Sums(run / name).restart(len(content), sha256_of(content))
        files = dict(manifest.files)
    file.write(manifest.model_copy(update={"files": files}))


def _finished(folder: Path) -> Path:
    return experiment.run(CONFIG, output=folder / "finished").directory


def _stopped(folder: Path) -> Path:
    """A run that ended like a kill while it trained, after tuning."""
    with checkpoints_each_epoch():
        return cut_run(CONFIG, folder / "stopped", 9, jobs=1)


@contextmanager
def _time_limit() -> Iterator[None]:
    def stop(number: int, frame: object) -> None:
        raise Hang

    before = signal.signal(signal.SIGALRM, stop)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        signal.signal(signal.SIGALRM, before)


def _command(*arguments: str) -> tuple[int, str | None]:
    answer = CliRunner().invoke(app, arguments)
    if answer.exit_code not in ALLOWED:
        return answer.exit_code, f"{answer.exit_code}: {answer.stderr.strip()[-300:]}"
    if answer.exit_code == 6 and not one_line(answer.stderr):
        return 6, f"more than a line: {answer.stderr.strip()[-300:]}"
    return answer.exit_code, None


def _load_model(run: Path) -> tuple[int, str | None]:
    try:
        clsbench.load_model(run, 3)
    except ClsbenchError as error:
        return error.exit_code, None if error.exit_code in ALLOWED else str(error)[:300]
    except Exception as error:
        return 1, f"{type(error).__name__}: {error}"[:300]
    return 0, None


def _figures(run: Path) -> tuple[int, str | None]:
    with replaced(shown, "figures", _drawn):
        return _command("report", str(run), "--png", str(run.parent / "figures"))


READERS: dict[str, Callable[[Path], tuple[int, str | None]]] = {
    "report": lambda run: _command("report", str(run)),
    "report --json --csv": lambda run: _command("report", str(run), "--json", "--csv", str(run.parent / "a.csv")),
    "figures": _figures,
    "resume": lambda run: _command("run", "--resume", str(run), "-q", "--json"),
    "load_model": _load_model,
}
