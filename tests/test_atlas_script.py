"""The atlas: a small run of its kind becomes a page that says what holds and what does not."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

import atlas
import clsbench
from clsbench.config.plan import make_plan
from clsbench.config.reader import read_file

SMALL: dict[str, Any] = {
    "name": "atlas",
    "dataset": [{"name": "moons", "label": f"m{number}", "samples": 60, "split_seed": number} for number in range(3)],
    "model": ["linear", {"name": "mlp", "hidden": [4]}],
    "loss": ["cross_entropy", "bce", {"name": "cross_entropy", "label": "slow", "lr": 1e-9}],
    "optimizer": {"lr": 0.5},
    "train": {"epochs": 4, "seeds": 2, "device": "cpu", "threads": 1},
    "report": {"html": False},
}


def test_a_run_becomes_a_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ranks, matrix, every comparison and each model are those of the summary; the picture stands beside."""
    result = clsbench.run(SMALL, output=tmp_path)
    page = tmp_path / "docs" / "atlas.md"
    monkeypatch.setattr("sys.argv", ["atlas.py", "--run", str(result.directory), "--output", str(page)])
    page.parent.mkdir()
    assert 0 == atlas.main()
    text, found = page.read_text(), result.summary["across"]
    assert found is not None
    assert (page.parent / "images" / "atlas.svg").read_text().lstrip().startswith("<")
    for arm in found["arms"]:
        assert f"| {arm['name']} | {arm['mean_rank']:.2f} |" in text
    pair = next(pair for pair in found["pairs"] if (pair["a"], pair["b"]) == ("cross_entropy", "slow"))
    cells = {f"{pair['win']}/{pair['tie']}/{pair['loss']}", f"{pair['loss']}/{pair['tie']}/{pair['win']}"}
    assert cells <= set(re.findall(r"\d/\d/\d", text))
    assert all(f"| {block} |" in text for block in found["blocks"])
    assert "With model linear alone" in text
    assert "With model mlp alone" in text


def test_the_atlas_compares_every_loss_of_one_class_a_sample() -> None:
    """Twelve data sets or more, two models, twenty seeds, the same tuning for each inside every split."""
    experiment = read_file(atlas.CONFIG, [])
    from clsbench.registry import catalogue

    losses = {loss.name for loss in catalogue.losses() if "single_label" in loss.problems}
    named = {loss.name for loss in experiment.loss}
    assert losses - named <= {"mse_class_index"}  # which needs classes with an order
    assert len(experiment.dataset) >= 12
    assert (2, 20) == (len(experiment.model), experiment.train.num_seeds)
    plan = make_plan(experiment)
    assert 2 * len(experiment.dataset) == len(plan.comparisons)
    assert experiment.tune is not None
    assert "per_arm_per_seed" == experiment.tune.protocol
