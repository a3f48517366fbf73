"""Tuning from the command line: what it will cost, what it found, and what it leaves."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from clsbench.config.plan import plans
from clsbench.execution.events import EpochDone, Event
from clsbench.experiment import read, run

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
