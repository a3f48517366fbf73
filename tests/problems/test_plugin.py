"""A loss of a user's own on many labels, in one file, from `check` to the verdict."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

PLUGIN = '''
import clsbench


@clsbench.loss("margin", link="sigmoid", problems=("multi_label",))
def margin(logits, targets, *, room: float = 1.0):
    """Hinge of every label at its side."""
    return (room - (2 * targets - 1) * logits).clamp_min(0).sum(-1)
'''


def test_a_loss_of_labels_in_one_file(tmp_path: Path, invoke: Callable[..., Any], fails: Callable[..., str]) -> None:
    """It is checked, trained, measured and judged as clsbench's own; data of one class a sample refuse it."""
    plugin, config = tmp_path / "mine.py", tmp_path / "labels.yaml"
    plugin.write_text(PLUGIN)
    config.write_text(
        "name: labels\ndataset: {name: multilabel, samples: 150}\nmodel: linear\nloss: [margin, bce]\nreport: off\n"
        'train: {epochs: 3, seeds: 3, device: cpu}\nexpect: ["verdict(margin, bce, test_micro_f1) != worse"]\n'
    )
    assert 0 == invoke("check", config, "--plugin", plugin).exit_code
    assert "it is for multi_label, and this is single_label" in fails(
        2, "check", config, "dataset=moons", "expect=[]", "--plugin", plugin
    )
    answer = invoke("run", config, "--plugin", plugin, "--output", tmp_path, "--json")
    summary = json.loads(answer.stdout)
    assert answer.exit_code in (0, 3), answer.output
    assert {"margin", "bce"} == {arm["name"] for arm in summary["arms"]}
    assert all(arm["metrics"]["test_micro_f1"]["n"] == 3 for arm in summary["arms"])
    assert "test_micro_f1" in {row["metric"] for row in summary["verdicts"]}
    assert "multi_label" == summary["data"]["multilabel"]["problem"]


def test_a_loss_of_labels_is_tried_first(tmp_path: Path, fails: Callable[..., str]) -> None:
    """On real targets, as a loss of classes is: one number for each label is refused before anything is trained."""
    plugin, config = tmp_path / "mine.py", tmp_path / "labels.yaml"
    plugin.write_text(PLUGIN.replace(".sum(-1)", ""))
    config.write_text("dataset: multilabel\nmodel: linear\nloss: margin\ntrain: {device: cpu}\n")
    said = fails(2, "run", config, "--plugin", plugin, "--output", tmp_path / "runs")
    assert "returns [8, 3] for logits [8, 3]; return [8] or []" in said


def test_tuning_cannot_choose_by_a_likelihood_that_a_loss_lacks(tmp_path: Path, fails: Callable[..., str]) -> None:
    """A loss of labels on raw logits has no NLL: the check says so, and what tuning can choose by instead."""
    plugin, config = tmp_path / "mine.py", tmp_path / "labels.yaml"
    plugin.write_text(PLUGIN.replace("sigmoid", "identity"))
    config.write_text("dataset: multilabel\nmodel: linear\nloss: [margin, bce]\ntune: {metric: val_nll}\n")
    said = fails(2, "check", config, "--plugin", plugin)
    assert "tune.metric: margin gives no probabilities, so no val_nll; use val_micro_f1 or" in said
    assert "val_nll or" not in said
