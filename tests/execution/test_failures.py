"""A trial that goes to infinity, raises, leaves, or finds no memory ends alone."""

from __future__ import annotations

import errno
import io
import json
import os
import pickle
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
import torch

import clsbench
import clsbench.shown
from clsbench.errors import RunError, TrialError
from clsbench.execution import units
from clsbench.execution.failures import is_out_of_memory
from clsbench.registry import load_plugin

Config = dict[str, Any]
Run = Callable[..., clsbench.Result]

TRAIN = {"epochs": 3, "seeds": 5, "batch_size": 10, "device": "cpu", "threads": 1}
MOONS = {"name": "moons", "samples": 70, "split_seed": 0}
SMALL: Config = {"name": "small", "dataset": MOONS, "model": "linear", "loss": "bce"}
PLUGIN = """
import sys
import clsbench
import torch

@clsbench.loss("raises")
def raises(logits, targets):
    '''No good.'''
    raise ValueError("no <b>\\nway")

@clsbench.loss("leaves")
def leaves(logits, targets):
    '''Thinks that it is a script.'''
    sys.exit(0)

@clsbench.loss("starves")
def starves(logits, targets):
    '''Wants a petabyte.'''
    return torch.empty(2**50).sum()

def at_first(logits):
    return (logits - 3).square().sum(-1)

@clsbench.loss("nan_later")
def nan_later(logits, targets):
    '''Not a number once the logits have gone some way.'''
    return torch.where(logits.mean(-1) > 1.5, torch.nan, at_first(logits))

@clsbench.loss("steep_later")
def steep_later(logits, targets):
    '''Finite, with a gradient of 1e45, once the logits have gone some way.'''
    return torch.where(logits.mean(-1) > 1.5, 1e25 * (1e20 * logits).sin().sum(-1), at_first(logits))
"""

RAISES = r"""raise ValueError("no <b>\nway")"""


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """`run(loss=..., resume=..., epochs=..., ...)`: a small run without its figures, of the plugin's losses too."""
    monkeypatch.setattr(clsbench.shown, "figures", lambda *_: {})
    (tmp_path / "mine.py").write_text(PLUGIN)
    load_plugin(tmp_path / "mine.py")

    def small(
        loss: Any = "bce", resume: Path | None = None, lr: float = 0.1, tune: Config | None = None, **train: Any
    ) -> clsbench.Result:
        config = {**SMALL, "loss": loss, "optimizer": {"lr": lr}, "train": {**TRAIN, **train}, "tune": tune}
        return clsbench.run(config, output=tmp_path / "runs", resume=resume)

    return small


def untimed(result: clsbench.Result, *losses: str) -> list[Config]:
    """The records of some losses, without what depends on the company by design."""
    free = {"trial", "arm", "seconds"}
    found = [record for record in result.records if not losses or record["loss"] in losses]
    return [{key: value for key, value in record.items() if key not in free} for record in found]


def test_trials_that_raise_leave_or_starve_end_alone(run: Run, invoke: Callable[..., Any], tmp_path: Path) -> None:
    """5 with each reason, the trace in the log; the others' records are those they have alone."""
    alone = run(["bce", "hinge"], seeds=2)
    path = tmp_path / "c.yaml"
    names = ["bce", "raises", "leaves", "starves", "hinge"]
    path.write_text(json.dumps({**SMALL, "loss": names, "train": {**TRAIN, "seeds": 2}}))
    output, junit = tmp_path / "other", tmp_path / "junit.xml"
    answer = invoke("run", path, "--output", output, "--junit", junit)
    assert (5, 1) == (answer.exit_code, answer.stderr.count("\n")), answer.output
    (directory,) = (output / "small").iterdir()
    result = clsbench.load(directory)
    lines = {line.strip(): number for number, line in enumerate(PLUGIN.split("\n"), start=1)}
    reasons = {
        "raises": f"ValueError: no <b> way (mine.py:{lines[RAISES]})",
        "leaves": f"SystemExit: 0 (mine.py:{lines['sys.exit(0)']})",
        "starves": f"out of memory (mine.py:{lines['return torch.empty(2**50).sum()']})",
    }
    for name, reason in reasons.items():
        assert f"{name}: 2 of 2 seeds failed: {reason}" in answer.stderr
        assert {"0": reason, "1": reason} == result.arms[name]["failures"]
        assert ["failed"] * 2 == [record["status"] for record in result.records if record["loss"] == name]
    assert untimed(alone) == untimed(result, "bce", "hinge")
    assert ("failed", {0}) == (result.summary["status"], {arm["diverged"] for arm in result.arms.values()})
    log = (directory / "run.log").read_text("utf-8")
    assert RAISES in log
    (suite,) = ElementTree.parse(junit).getroot()
    assert ("1", "1") == (suite.get("tests"), suite.get("errors"))


def test_arm_without_a_trial_left_raises_when_the_run_is_written(run: Run) -> None:
    """From Python the error names the arm, the reason and the line; the run that it names has the other arm."""
    with pytest.raises(TrialError) as caught:
        run(["bce", "raises"], seeds=2)
    error = pickle.loads(pickle.dumps(caught.value))
    result = clsbench.load(error.directory)
    reason = result.arms["raises"]["failures"]["0"]
    assert str(error).startswith(f"raises: 2 of 2 seeds failed: {reason}; the trace is in {error.directory}")
    assert untimed(run(seeds=2)) == untimed(result, "bce")


def test_a_loss_that_raises_while_tuning_fails_alone(run: Run) -> None:
    """Also where it is the first that is trained, before tuning has a record: the other is tuned as without it."""
    tune = {"grid": {"lr": [0.1, 1.0]}, "seeds": 2}
    with pytest.raises(TrialError, match="raises: 2 of 2 seeds failed: ValueError: no <b> way") as caught:
        run(["raises", "bce"], seeds=2, tune=tune)
    assert caught.value.directory is not None
    result, alone = clsbench.load(caught.value.directory), run("bce", seeds=2, tune=tune)
    assert untimed(alone) == untimed(result, "bce")
    assert alone.summary["tuning"]["arms"] == result.summary["tuning"]["arms"][1:]


def broken(monkeypatch: pytest.MonkeyPatch, breaks: Callable[[list[int], int], Exception | None]) -> list[list[int]]:
    """From now on `breaks(seeds, epoch)` says what a stack raises; the sizes of batches that it was given come back."""
    sizes: list[list[int]] = []
    real = units.train

    def train(stack: Any, trials: Any, loss: Any, data: Any, settings: Any, since: Any) -> Iterator[Any]:
        seeds = [each.seed for each in trials]
        sizes.append([settings.batch_size, len(seeds)])
        for result in real(stack, trials, loss, data, settings, since):
            if error := breaks(seeds, result.epoch):
                raise error
            yield result

    monkeypatch.setattr(units, "train", train)
    return sizes


def test_seed_that_raises_in_mid_training_is_found_and_resumed(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a stack of five one fails at its epoch, the rest is bit-equal; --resume ends as if it never had."""
    whole = run()
    with monkeypatch.context() as patch:
        broken(patch, lambda seeds, epoch: ValueError("no") if 3 in seeds and epoch == 2 else None)
        result = run()
    (reason,) = result.arms["bce"]["failures"].values()
    assert re.fullmatch(r"ValueError: no \(test_failures\.py:\d+\)", reason)
    before, after = ([r for r in untimed(each) if r["seed"] != 3] for each in (whole, result))
    assert before == after
    failed = [(r["epoch"], r["step"], r["status"]) for r in result.records if r["seed"] == 3]
    assert [(0, 0, "running"), (1, 5, "running"), (2, 5, "failed")] == failed
    *_, newest, last = (r["seconds"] for r in result.records if r["seed"] == 3)
    assert 0 < newest == last
    resumed = run(resume=result.directory)
    assert ("finished", untimed(whole)) == (resumed.summary["status"], untimed(resumed))
    assert whole.summary["pairing"] == resumed.summary["pairing"]


def test_memory_that_suffices_for_a_few_is_enough(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """A stack that does not fit is trained in parts, on the same batches and with the same bits."""
    whole = run()
    sizes = broken(monkeypatch, lambda seeds, epoch: torch.OutOfMemoryError("no") if len(seeds) > 2 else None)
    parts = run()
    assert ("finished", untimed(whole)) == (parts.summary["status"], untimed(parts))
    assert whole.summary["pairing"] == parts.summary["pairing"]
    assert [[10, 5], [10, 2], [10, 3], [10, 2], [10, 2]] == sizes


def test_trial_that_finds_no_memory_says_so(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where one alone does not fit either, it has failed, with that reason and its batch size."""
    sizes = broken(monkeypatch, lambda seeds, epoch: torch.OutOfMemoryError("no") if epoch == 1 else None)
    with pytest.raises(TrialError, match=r"^bce: 2 of 2 seeds failed: out of memory ") as caught:
        run(seeds=2)
    assert "failed" == clsbench.load(caught.value.directory).summary["status"]
    assert {10} == {size for size, _ in sizes}


@pytest.mark.parametrize("where", ["torch.save", "clsbench.execution.cross.cross_evaluations"])
def test_no_memory_between_trials_is_told(run: Run, monkeypatch: pytest.MonkeyPatch, where: str) -> None:
    """Where it lacks for a checkpoint or for what comes after training, 6; --resume ends as if it had not."""

    def starved(*_: Any, **__: Any) -> None:
        try:
            raise MemoryError
        finally:
            raise RuntimeError("unexpected pos")  # as torch.save does

    whole = run()
    with monkeypatch.context() as patch:
        patch.setattr(where, starved)
        with pytest.raises(
            RunError, match=r"out of memory between trials; .* resume it with clsbench run --resume "
        ) as caught:
            run()
    resumed = run(resume=Path(str(caught.value).rpartition(" ")[2]))
    assert untimed(whole) == untimed(resumed)


class Starved(io.BytesIO):
    """Finds no memory after a few pieces."""

    def write(self, piece: Any) -> int:
        if self.tell() > 100:
            raise MemoryError
        return super().write(piece)


def starved_by_torch() -> None:
    torch.save(torch.zeros(1000), Starved())


def starved_and_handled() -> None:
    try:
        raise MemoryError
    except MemoryError:
        raise ValueError("no such loss") from None


def starved_by_the_system() -> None:
    raise OSError(errno.ENOMEM, os.strerror(errno.ENOMEM))


def full() -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


@pytest.mark.parametrize(
    ("raises", "expected"),
    [(starved_by_torch, True), (starved_by_the_system, True), (starved_and_handled, False), (full, False)],
)
def test_what_counts_as_no_memory(raises: Callable[[], None], expected: bool) -> None:
    """Python's own, the system's, and what `torch.save` makes of it; not one that was handled before."""
    with pytest.raises(Exception) as caught:  # noqa: PT011 - it is asked what it is
        raises()
    assert expected == is_out_of_memory(caught.value)


@pytest.mark.parametrize("loss", ["nan_later", "steep_later"])
def test_step_that_would_be_infinite_is_not_taken(run: Run, loss: str) -> None:
    """A NaN loss or an infinite gradient at step k: frozen before it, named at the epoch's end, all finite."""
    result = run([loss, "hinge"], lr=0.03, epochs=8, seeds=2)
    for seed in (0, 1):
        *before, last = [r for r in result.records if (r["loss"], r["seed"]) == (loss, seed)]
        assert {"running"} == {record["status"] for record in before}
        assert "diverged" == last["status"]
        assert before[-1]["step"] < last["step"] < before[-1]["step"] + 5  # in the midst of an epoch of five
        assert {None} == {last[key] for key in last if key.startswith(("train_", "val_", "test_", "logit", "stuck"))}
        told = f"'{loss}' seed {seed} diverged after step {last['step']}"
        assert told in (result.directory / "run.log").read_text("utf-8")
    kept = torch.load(next((result.directory / "checkpoints").glob("metrics-00000-*.pt")), weights_only=True)
    assert all(tensor.isfinite().all() for tensor in kept["tensors"].values())
    assert [2, 0] == [arm["diverged"] for arm in result.arms.values()]
