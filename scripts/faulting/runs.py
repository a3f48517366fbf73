"""Small runs in processes forked from this warm one, and whether what a run left is what it should have."""

from __future__ import annotations

import functools
import json
import os
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import torch

import clsbench
import clsbench.cli  # every child needs it
from clsbench import experiment, shown
from clsbench.config.plan import Plan
from clsbench.execution import units
from clsbench.execution.events import EpochDone, Event
from clsbench.runs.directory import METRICS, RunDirectory
from faulting.children import exit_code, forked, replaced

Config = Mapping[str, Any]
Finished = set[tuple[int, int]]  # trial and epoch
TIMES = ("seconds", "compile_seconds", "wall_seconds", "clock", "directory")  # of a summary; its place goes with them

_SMALL = {
    "dataset": {"name": "moons", "samples": 120},
    "model": {"name": "mlp", "hidden": [8]},
    "optimizer": {"name": "sgd", "lr": 0.1, "momentum": 0.9},
}


def small(losses: int = 3, epochs: int = 6, *, compiled: bool = False) -> Config:
    """A run of several stacks, one for each loss, that takes a fraction of a second."""
    train = {"epochs": epochs, "batch_size": 16, "seeds": 2, "device": "cpu", "threads": 1}
    names = ["mse_softmax", "cross_entropy", "hinge"][:losses]
    return {**_SMALL, "name": "small", "loss": names, "train": {**train, "compile": "on" if compiled else "off"}}


def every_loss(epochs: int) -> Config:
    """All losses that fit two classes, with all that training carries from one epoch to the next."""
    from clsbench.registry import catalogue

    losses = [loss.name for loss in catalogue.losses() if "single_label" in loss.problems]
    model = {"name": "mlp", "hidden": [8], "batch_norm": True, "dropout": 0.2}
    optimizer = {"name": "adamw", "lr": 0.01, "weight_decay": 0.01, "schedule": {"name": "cosine", "warmup": 1}}
    return {**small(epochs=epochs), "name": "all", "loss": losses, "model": model, "optimizer": optimizer}


_warmed: set[str] = set()


def no_figures(*_: object) -> dict[str, bytes]:
    return {}


def warm(*configs: Config) -> None:
    """Be ready to fork children that run these: with all that a run imports, and never more than one thread."""
    torch.set_num_threads(1)
    os.environ["TORCHINDUCTOR_COMPILE_THREADS"] = "1"
    with tempfile.TemporaryDirectory() as folder:
        for config in configs:
            if (key := repr(config)) not in _warmed:
                with replaced(shown, "figures", no_figures if _warmed else shown.figures):
                    experiment.run(config, output=folder)
                _warmed.add(key)


@contextmanager
def checkpoints_each_epoch(wanted: bool = True) -> Iterator[None]:
    """While it holds, a checkpoint is due after every epoch, not every five seconds."""
    with ExitStack() as both:
        for name in ("SECONDS_BETWEEN_CHECKPOINTS", "SPARING") if wanted else ():
            both.enter_context(replaced(units, name, 0.0))
        yield


class Started:
    """A run in a child process, as `clsbench run` or `--resume`; `finished` is what it has reported."""

    def __init__(
        self, config: Config, folder: Path, *, before: Callable[[], object] | None = None, drawn: bool = True
    ) -> None:
        """`before` is called in the child when it is ready; its faults start there."""
        self.folder = folder
        self.drawn = drawn  # drawing takes longer than the training of these runs
        folder.mkdir(parents=True, exist_ok=True)
        self._reports, reporting = os.pipe()
        self.pid = forked(lambda: self._run(config, reporting, before))
        os.close(reporting)
        assert os.read(self._reports, 1) == b"r", "the child did not get ready"

    def ended(self) -> tuple[int, Finished]:
        """Wait for it: the exit code, or minus the signal, and the epochs that it said were finished."""
        with open(self._reports, encoding="ascii") as reports:
            lines = reports.read().split("\n")[:-1]
        code = exit_code(self.pid)
        return code, {(int(trial), int(epoch)) for trial, epoch in (line.split() for line in lines)}

    @property
    def stderr(self) -> str:
        return (self.folder / "stderr").read_text("utf-8")

    def _run(self, config: Config, reporting: int, before: Callable[[], object] | None) -> None:
        from clsbench.runs.signals import obey_signals

        for stream, name in ((1, "stdout"), (2, "stderr")):
            file = os.open(self.folder / name, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
            os.dup2(file, stream)
            os.close(file)

        def report(plan: Plan, event: Event) -> None:
            if isinstance(event, EpochDone):
                lines = "".join(f"{record['trial']} {event.epoch}\n" for record in event.records)
                os.write(reporting, lines.encode())

        obey_signals()
        resume = run_in(self.folder)
        os.write(reporting, b"r")
        if not self.drawn:
            vars(shown)["figures"] = no_figures
        if before is not None:
            before()
        run_reporting = functools.partial(experiment.train, watch=report)
        # The command line passes its progress bar as `watch`; it is replaced by `report`.
        with replaced(experiment, "train", lambda *args, watch, **kwargs: run_reporting(*args, **kwargs)):
            arguments = ["--resume", str(resume)] if resume else [_written(config, self.folder)]
            arguments += [] if self.drawn else ["--json"]
            clsbench.cli.app(["run", "-q", "--output", str(self.folder / "runs"), *arguments])


def _written(config: Config, folder: Path) -> str:
    from clsbench.config.dump import as_yaml

    path = folder / "config.yaml"
    path.write_text(as_yaml(experiment.read(config).to_dict()), encoding="utf-8")
    return str(path)


def run_in(folder: Path) -> Path | None:
    """The run directory under a folder, if there is one yet."""
    runs = list(folder.glob("runs/[!.]*/[!.]*"))
    assert len(runs) <= 1
    return runs[0] if runs else None


def recorded(run: Path | None) -> Finished:
    """The epochs whose records a run holds, be it finished or not; a torn line is none."""
    if run is None:
        return set()
    lines = (run / f"{METRICS}.jsonl").read_text("utf-8", "replace").split("\n")[:-1]
    return {(record["trial"], record["epoch"]) for record in map(json.loads, lines)}


def uninterrupted(config: Config, folder: Path) -> dict[str, Any]:
    """What a run that nothing happens to ends with."""
    run = Started(config, folder, drawn=False)
    code, _ = run.ended()
    assert code == 0, run.stderr
    return outcome(folder)


def outcome(folder: Path) -> dict[str, Any]:
    """All that must be the same however often a run was stopped: records, summary and weights, without times."""
    path = run_in(folder)
    assert path is not None
    result = clsbench.load(path)
    records, summary = _untimed(list(result.records)), _untimed(dict(result.summary))
    states = {n: state for n, (state, _) in RunDirectory(path).checkpoints(METRICS).ended().items()}
    weights = {n: {name: _bytes(tensor) for name, tensor in state.items()} for n, state in states.items()}
    return {"records": records, "summary": summary, "weights": weights}


def _untimed(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _untimed(each) for key, each in value.items() if key not in TIMES}
    return [_untimed(each) for each in value] if isinstance(value, list) else value


def _bytes(tensor: torch.Tensor) -> bytes:
    return bytes(tensor.contiguous().numpy().tobytes())


def goes_on(config: Config, folder: Path, expected: Mapping[str, Any], finished: Finished) -> str | None:
    """Go on with a stopped run to its end; what is wrong with it, if anything is."""
    lost = finished - recorded(run_in(folder))
    if lost:
        return f"{len(lost)} finished epochs are lost, {sorted(lost)[0]} first"
    again = Started(config, folder, drawn=False)
    code, _ = again.ended()
    if code != 0:
        return f"it cannot go on: {code}, {again.stderr.strip()}"
    return differs(folder, expected)


def differs(folder: Path, expected: Mapping[str, Any]) -> str | None:
    """What of a finished run is not that of an uninterrupted one, if anything is."""
    came = outcome(folder)
    different = [key for key in expected if came[key] != expected[key]]
    return f"{' and '.join(different)} are not those of an uninterrupted run" if different else None


class Cut(BaseException):
    """Ends a run of this process like a kill: nothing catches it."""


def cut_after(epochs: int) -> Callable[[Plan, Event], None]:
    """A `watch` that ends a run after so many epochs of stacks."""
    left = epochs

    def watch(plan: Plan, event: Event) -> None:
        nonlocal left
        left -= isinstance(event, EpochDone)
        if not left:
            raise Cut

    return watch


def cut_run(config: Config, output: Path, epochs: int, **options: Any) -> Path:
    """The directory of a run in this process that ended after so many epochs of stacks."""
    try:
        experiment.run(config, output=output, watch=cut_after(epochs), **options)
    except Cut:
        path: Path
        (path,) = (output / config["name"]).iterdir()
        return path
    raise AssertionError(f"the run ended before {epochs} epochs of stacks")


def one_line(stderr: str) -> bool:
    """Whether an error has the form of every error."""
    return stderr.startswith("error: ") and stderr.count("\n") == 1 and "Traceback" not in stderr
