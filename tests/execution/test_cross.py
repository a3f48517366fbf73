"""Cross-evaluation, asked of whole runs: every network by every measure, each on its own terms."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from rich.console import Console
from torch.nn import functional as F

import clsbench
import clsbench.shown
from clsbench.config.plan import make_plan
from clsbench.data.splits import Splits
from clsbench.execution.opening import load_data
from clsbench.experiment import Result, read
from clsbench.report.compose import figure_documents, run_document
from clsbench.report.renderers import figures
from clsbench.report.renderers.terminal import show

Run = Callable[..., Result]

LOSSES = ["cross_entropy", "mse_softmax", "bce", "mse_logits", "mse_class_index"]
RULER = ("accuracy", "nll", "brier", "ece")
CONFIG: dict[str, Any] = {
    "dataset": {"name": "blobs", "samples": 300, "classes": 4, "noise": 3.0, "split_seed": 0},
    "model": "linear",
    "optimizer": {"lr": 0.05},
}


@pytest.fixture
def run(tmp_path: Path, undrawn: None) -> Run:

    def small(loss: Any = LOSSES, **rest: Any) -> Result:
        train = {"epochs": 3, "seeds": 3, "device": "cpu", **rest.pop("train", {})}
        return clsbench.run({**CONFIG, "loss": loss, "train": train, **rest}, output=tmp_path)

    return small


def splits_of(config: dict[str, Any]) -> Splits:
    trials = make_plan(read(config)).trials
    (splits,) = load_data(trials, torch.device("cpu")).values()
    return splits


def logits_of(result: Result, trial: int, x: torch.Tensor) -> torch.Tensor:
    module, _ = clsbench.load_model(result.directory, trial)
    with torch.no_grad():
        return module(x)


def test_ruler_of_the_cross_evaluation_is_that_of_the_last_record(run: Run) -> None:
    """Accuracy, NLL, Brier and ECE come out to the last bit as in the records, also of a trial that trained alone."""
    for train in ({}, {"seeds": [3]}, {"stack": 2}):
        for arm in run(train=train).summary["arms"]:
            for name in RULER:
                assert arm["metrics"][f"test_{name}"]["values"] == arm["cross"][name]["values"]


def test_losses_are_measured_on_the_arms_logits(run: Run) -> None:
    """Every network by PyTorch's own losses, on its logits; likelihood and margin by hand."""
    result, test = run(), splits_of(CONFIG).test
    y, one_hot = test.y, F.one_hot(test.y, 4).float()
    for place, arm in enumerate(result.summary["arms"][:4]):
        z = logits_of(result, 3 * place + 1, test.x)
        expected = {
            "cross_entropy": F.cross_entropy(z, y),
            "mse_softmax": F.mse_loss(z.softmax(1), one_hot, reduction="sum") / len(y),
            "bce": F.binary_cross_entropy_with_logits(z, one_hot, reduction="sum") / len(y),
            "mse_logits": F.mse_loss(z, one_hot, reduction="sum") / len(y),
        }
        for label, value in expected.items():
            assert value.item() == pytest.approx(arm["cross"]["losses"][label]["values"][1], rel=1e-5)
        others = z.masked_fill(one_hot.bool(), -math.inf).amax(1)
        margin = (z[torch.arange(len(y)), y] - others).mean().item()
        assert margin == pytest.approx(arm["cross"]["margin"]["values"][1], rel=1e-5)
    softmax = result.arms["cross_entropy"]["cross"]
    assert softmax["losses"]["cross_entropy"]["values"] == pytest.approx(softmax["nll"]["values"])
    assert [math.exp(-nll) for nll in softmax["nll"]["values"]] == softmax["likelihood"]["values"]


def test_what_a_loss_cannot_have_is_null(run: Run) -> None:
    """No likelihood and no bins without probabilities, no margin of one raw output, no loss of another output count."""
    arms = run().arms
    raw, index = arms["mse_logits"], arms["mse_class_index"]
    for arm in (raw, index):
        assert [None] * 4 == [arm["cross"][name]["mean"] for name in ("nll", "likelihood", "brier", "ece")]
        assert arm["reliability"] is None
    assert raw["cross"]["margin"]["mean"] is not None
    assert index["cross"]["margin"]["mean"] is None
    known = {label for label, column in index["cross"]["losses"].items() if column["n"]}
    assert {"mse_class_index"} == known
    assert arms["bce"]["cross"]["losses"]["mse_class_index"]["values"] == [None] * 3


def test_one_sigmoid_output_is_class_1_against_0(run: Run) -> None:
    """On two classes `outputs: 1` has a margin: the logit of the target over the other's, which is zero."""
    moons = {"name": "moons", "samples": 200, "split_seed": 0}
    result = run([{"name": "bce", "outputs": 1}], dataset=moons, train={"seeds": 1})
    cross, test = result.arms["bce"]["cross"], splits_of({"dataset": moons}).test
    z = logits_of(result, 0, test.x).squeeze(1)
    expected = torch.where(test.y == 1, z, -z).mean().item()
    assert expected == pytest.approx(cross["margin"]["mean"], rel=1e-5)
    assert cross["nll"]["values"] == pytest.approx(cross["losses"]["bce"]["values"])


def test_bins_give_back_the_calibration_error(run: Run) -> None:
    """Every test sample of every seed is in one bin; with one seed the bins' gaps are the ECE."""
    num_samples = len(splits_of(CONFIG).test)
    for seeds in (1, 3):
        arm = run("cross_entropy", train={"seeds": seeds}).arms["cross_entropy"]
        bins = arm["reliability"]
        assert 15 == len(bins["count"]) == len(bins["confidence"]) == len(bins["accuracy"])
        assert seeds * num_samples == sum(bins["count"])
        filled = [(n, c, a) for n, c, a in zip(*bins.values(), strict=True) if n]
        assert sum(n * a for n, _, a in filled) == pytest.approx(
            arm["metrics"]["test_accuracy"]["mean"] * sum(bins["count"])
        )
        for place, (n, confidence) in enumerate(zip(bins["count"], bins["confidence"], strict=True)):
            assert n == 0 or place / 15 - 1e-6 <= confidence <= (place + 1) / 15 + 1e-6
    one = run("cross_entropy", train={"seeds": 1}).arms["cross_entropy"]
    gaps = [n * abs(c - a) for n, c, a in zip(*one["reliability"].values(), strict=True) if n]
    assert sum(gaps) / num_samples == pytest.approx(one["metrics"]["test_ece"]["mean"])


def test_diverged_trial_has_no_cross_evaluation(run: Run) -> None:
    """Its frozen weights are not an end: null, and the others stand."""
    arm = run("mse_logits", optimizer={"lr": 1e30}).arms["mse_logits"]
    assert [None] * 3 == arm["cross"]["accuracy"]["values"]
    assert arm["reliability"] is None


def test_losses_of_the_users_own_take_part(run: Run) -> None:
    """A plain function of a batch is measured by the sample, on the others' logits too."""
    clsbench.loss("absolute_of_batch")(lambda logits, targets: F.l1_loss(logits, F.one_hot(targets, 4).float()))
    result, test = run(["cross_entropy", "absolute_of_batch"]), splits_of(CONFIG).test
    z = logits_of(result, 0, test.x)
    expected = F.l1_loss(z, F.one_hot(test.y, 4).float()).item()
    column = result.arms["cross_entropy"]["cross"]["losses"]["absolute_of_batch"]
    assert expected == pytest.approx(column["values"][0], rel=1e-5)


@pytest.mark.parametrize("width", [80, 39])
def test_table_fits_the_terminal(run: Run, width: int, tmp_path: Path) -> None:
    """Every label and number whole, no line over the width, whatever the labels are."""
    losses = [
        {"name": "cross_entropy", "label": label} for label in ("交" * 30, "a_very_long_label_of_the_users_own " * 3)
    ]
    result = run([*losses, "mse_class_index"])
    with (tmp_path / "page").open("w+", encoding="utf-8") as page:
        show(run_document(result.records, result.summary), Console(file=page, width=width))
        page.seek(0)
        lines = page.read().splitlines()
    assert any("Test metrics under every loss" in line for line in lines)
    start = next(i for i, line in enumerate(lines) if line.startswith("Test metrics under"))
    assert max(Console().measure(line).maximum for line in lines[start : start + 30]) <= width


def test_reliability_is_drawn_where_there_are_probabilities(run: Run) -> None:
    """A panel for each arm with its points and bars; one without probabilities says so; without any, no figure."""
    summary = run(["cross_entropy", "mse_logits"]).summary
    figure = figures.draw(figure_documents([], summary)["reliability"])
    panels = [axes for axes in figure.axes if axes.get_visible()]
    error = summary["arms"][0]["metrics"]["test_ece"]["mean"]
    assert [f"cross_entropy\nECE {error:.3f}", "mse_logits"] == [axes.get_title() for axes in panels]
    drawn = summary["arms"][0]["reliability"]
    (points,) = panels[0].collections
    filled = [(c, a) for n, c, a in zip(*drawn.values(), strict=True) if n]
    assert [pytest.approx(pair) for pair in filled] == [tuple(pair) for pair in points.get_offsets().tolist()]
    assert 15 == len(panels[0].patches)
    assert "no probabilities" in [text.get_text() for text in panels[1].texts]
    assert "reliability" not in figure_documents([], run("hinge").summary)


def test_run_and_report_write_the_figure(tmp_path: Path) -> None:
    """`reliability.png` and `.svg` lie in the run directory, and `draw` puts them elsewhere."""
    config = {"dataset": {"name": "moons", "samples": 60}, "model": "linear", "train": {"epochs": 1, "seeds": 1}}
    result = clsbench.run(config, output=tmp_path)
    assert (result.directory / "reliability.png").read_bytes().startswith(b"\x89PNG")
    (tmp_path / "elsewhere").mkdir()
    names = {path.name for path in clsbench.shown.draw(clsbench.load(result.directory), tmp_path / "elsewhere")}
    assert {"reliability.png", "reliability.svg"} <= names
    json.dumps(result.summary, allow_nan=False)
