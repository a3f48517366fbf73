"""Verdicts on trained records: seldom wrong where there is nothing to find, seldom blind where there is."""

from __future__ import annotations

import json
import math
import random
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

import clsbench
import clsbench.shown
import null_experiments
from clsbench.analysis import verdicts
from clsbench.experiment import Result

EXPERIMENTS = 300
MOST_FALSE = 0.082  # 5%, and 2.5 deviations of a share of 5% among 300


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Result:
    """The script's own trials, on fewer seeds."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(clsbench.shown, "figures", lambda *_: {})
        config = {**null_experiments.CONFIG, "train": {**null_experiments.CONFIG["train"], "seeds": 300}}
        return clsbench.run(config, output=tmp_path_factory.mktemp("runs"))


@pytest.fixture(scope="module")
def figures(trained: Result) -> dict[str, Any]:
    return null_experiments.measure(null_experiments.pool_of(trained), EXPERIMENTS)


def test_one_loss_is_seldom_called_better_than_itself(figures: dict[str, Any]) -> None:
    """Two disjoint sets of ten seeds differ by a verdict in at most 5% of comparisons, and of runs after Holm."""
    assert (300, 900) == (figures["experiments"], figures["comparisons"])
    assert 0.0 < figures["false_single"] <= MOST_FALSE
    assert 0.0 <= figures["false_holm"] <= MOST_FALSE
    assert {"collapsing", "diverging"} == figures["false_spoiled"].keys()
    assert max(figures["false_spoiled"].values()) <= MOST_FALSE


def test_a_difference_of_one_deviation_is_found(figures: dict[str, Any]) -> None:
    """With twenty seeds, in at least 95 of 100 comparisons, in every metric."""
    assert 0.95 <= min(each["single"] for each in figures["found"].values())
    assert all(each["holm"] <= each["single"] for each in figures["found"].values())


def test_too_generous_verdicts_would_be_noticed(trained: Result, monkeypatch: pytest.MonkeyPatch) -> None:
    """At another level than the stated one the figure is missed."""
    monkeypatch.setattr(verdicts, "LEVEL", 0.2)
    figures = null_experiments.measure(null_experiments.pool_of(trained), EXPERIMENTS)
    assert figures["false_single"] > MOST_FALSE
    assert not figures["reached"]


def test_script_draws_from_a_run(
    trained: Result, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """`--run` trains nothing; the figures are printed and written; the exit code says whether they are reached."""
    monkeypatch.setattr(clsbench, "run", None)
    command = ["null", "--run", str(trained.directory), "--experiments", "40", "--json", str(tmp_path / "figures.json")]
    monkeypatch.setattr("sys.argv", ["null_experiments.py", *command])
    code = null_experiments.main()
    figures = json.loads((tmp_path / "figures.json").read_text())["null"]
    assert (0 if figures["reached"] else 1) == code
    assert f"{figures['false_single']:.1%} of 120 comparisons" in capsys.readouterr().out


def drawn(num_seeds: int, shift: float, seed: int) -> Any:
    """By metric, normal values that share nothing with those of another seed."""
    chance = random.Random(seed)
    return {metric: [chance.gauss(shift, 1.0) for _ in range(num_seeds)] for metric in null_experiments.METRICS}


def test_intervals_of_normal_values_cover_what_they_say() -> None:
    """95 of 100 intervals over ten of a thousand seeds hold the difference over all, to the luck of 400 draws."""
    pools = [drawn(1000, shift, seed) for seed, shift in enumerate((0.0, 0.7))]
    for share in null_experiments.covered(pools, 10, 400).values():
        assert 0.95 == pytest.approx(share, abs=2.5 * math.sqrt(0.05 * 0.95 / 400))


def test_sets_that_disagree_are_counted_by_word() -> None:
    """Of three sets that find better, worse and nothing, each metric has one of each word."""
    values = {metric: [0.5 + step / 1000 for step in range(10)] for metric in null_experiments.METRICS}
    noise = {metric: [0.5 + (-1) ** step * step / 10 for step in range(10)] for metric in null_experiments.METRICS}
    moved = {metric: [value + 0.2 + value / 100 for value in column] for metric, column in values.items()}
    words = null_experiments.words_of([(moved, values), (values, moved), (noise, values)])
    assert [{"better": 1, "worse": 1, "undecided": 1}] * 3 == list(words.values())


def test_seeds_that_one_arm_lost_are_left_out_of_both() -> None:
    """What is compared at a place is of one seed."""
    columns = {"a": [0.1, None, 0.3], "b": [1.1, 1.2, 1.3]}
    arms = {
        name: {"metrics": {m: {"values": values} for m in null_experiments.METRICS}} for name, values in columns.items()
    }
    found = null_experiments.pools_of(SimpleNamespace(arms=arms), ["a", "b"])
    assert [(0.1, 0.3), (1.1, 1.3)] == [pool[null_experiments.METRICS[-1]] for pool in found]
    assert [[*null_experiments.METRICS]] * 2 == [[*pool] for pool in found]
