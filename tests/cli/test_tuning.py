"""Tuning from the command line: what it will cost, what it found, and what it leaves."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from clsbench.config.plan import plans
from clsbench.execution.events import EpochDone, Event
from clsbench.experiment import read, run
from clsbench.report.progress import watcher

Invoke = Callable[..., Any]

TUNE = "tune={grid: {lr: [0.1, 1]}, seeds: 4, protocol: shared}"


def test_check_says_how_many_trials_tuning_will_take(here: Path, invoke: Invoke) -> None:
    """Beside the experiment's own trials stand those of tuning, the metric and the protocol."""
    answer = invoke("check", "tiny.yaml", TUNE, "loss=[bce,hinge]")
    assert 0 == answer.exit_code
    text = " ".join(answer.stdout.split())
    assert "2 trials = 2 arms x 1 seed" in text
    cost = "before them 16 trials of tuning = 2 arms x 2 settings x 4 tuning seeds, judged by val_accuracy; shared"
    assert cost in text
    assert "lr=tuned" in text
    by_seed = TUNE.replace("shared", "per_arm_per_seed")
    answer = invoke("check", "tiny.yaml", by_seed, "loss=[bce,hinge]", "train.seeds=3")
    text = " ".join(answer.stdout.split())
    assert "48 trials of tuning = 2 arms x 2 settings x 3 seeds x 4 tuning seeds, judged by val_accuracy" in text
    assert "per_arm_per_seed: each loss at its own best setting at each seed" in text


def test_check_says_what_extending_may_cost(here: Path, invoke: Invoke) -> None:
    """As many trials again at most, and from what to what it takes then; nothing where grids are not extended."""
    plain, extending = (
        " ".join(invoke("check", "tiny.yaml", TUNE, f"tune.extend={given}", "train.epochs=500").stdout.split())
        for given in ("false", "true")
    )
    assert "edge of the grid, all arms try values beyond it: up to 16 more trials" in extending
    assert "edge" not in plain
    of_plain, of_extending = (re.search(r"about (.*) of training on one core", text) for text in (plain, extending))
    assert of_plain is not None
    assert of_extending is not None
    assert of_extending[1].startswith(f"{of_plain[1]} to ")


def test_progress_of_an_extended_grid_comes_to_its_end(here: Path) -> None:
    """What is tried beyond the grid is added to what there is to do, and told; it is never more than all."""
    asked = [TUNE.replace("[0.1, 1]", "[0.001, 0.01]"), "tune.extend=true", "tune.metric=val_nll"]
    experiment = read(here / "tiny.yaml", asked)
    done: list[tuple[int, int]] = []

    class Counted:
        def __init__(self) -> None:
            self.total, self.done, self.said = sum(plan.num_trial_epochs for plan in plans(experiment)), 0, list[str]()

        def advance(self, trial_epochs: int, text: str) -> None:
            self.done += trial_epochs
            done.append((self.done, self.total))

        def expect(self, trial_epochs: int) -> None:
            self.total += trial_epochs

        def grow(self, growing: object) -> None: ...

        def say(self, text: str) -> None:
            self.said.append(text)

        warn = say

    counted = Counted()
    run(experiment, output=here, watch=watcher(counted))
    assert "tuning goes on beyond the edge of its grid: lr 0.1" == counted.said[0]
    assert counted.total == counted.done > sum(plan.num_trial_epochs for plan in plans(experiment))
    assert all(so_far <= total for so_far, total in done)


def test_tuned_run_shows_and_keeps_what_tuning_found(here: Path, invoke: Invoke) -> None:
    """The page has the sensitivities, the directory their records and figure, and `report --png` draws them again."""
    answer = invoke("run", "tiny.yaml", TUNE, "report={figures: true}", "--details")
    assert 0 == answer.exit_code, answer.output
    assert "Tuned by validation accuracy" in answer.stdout
    (directory,) = (here / "runs" / "moons").iterdir()
    assert "tuning.jsonl" in answer.stdout
    assert all((directory / name).stat().st_size for name in ("tuning.jsonl", "tuning.png", "tuning.svg"))
    assert 0 == invoke("report", directory, "--png", "plots").exit_code
    assert (here / "plots" / "tuning.png").exists()


def test_progress_counts_what_tuning_trains(here: Path) -> None:
    """The epochs that a run tells of are as many as its plans, tuning's with the experiment's own, foresee."""
    experiment = read(here / "tiny.yaml", [TUNE])
    told = 0

    def watch(plan: object, event: Event) -> None:
        nonlocal told
        told += len(event.batches) if isinstance(event, EpochDone) and event.epoch else 0

    run(experiment, output=here, watch=watch)
    assert sum(plan.num_trial_epochs for plan in plans(experiment)) == told == 2 * 2 * 4 + 2
