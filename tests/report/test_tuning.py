"""How tuning is shown: sensitivity, choice, warnings and cost, in the terminal and as a figure."""

from __future__ import annotations

import io
import re
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from clsbench.analysis.tuning import at_edge, choose
from clsbench.report.compose import figure_documents, run_document
from clsbench.report.renderers import figures
from clsbench.report.renderers.terminal import show

RATES = [0.01, 0.1, 1.0, 10.0]
CURVES = {"good": [0.7, 0.9, 0.95, 0.9], "bad": [0.2, 0.3, 0.4, 0.5]}


@pytest.fixture(autouse=True)
def _no_wishes_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("FORCE_COLOR", "NO_COLOR", "COLUMNS", "LINES", "TTY_COMPATIBLE", "TTY_INTERACTIVE"):
        monkeypatch.delenv(name, raising=False)


def row(settings: dict[str, Any], mean: float | None, diverged: int = 0) -> dict[str, Any]:
    values = [None] * diverged + ([] if mean is None else [mean] * (3 - diverged))
    known = [value for value in values if value is not None]
    return {
        "settings": settings,
        "mean": mean,
        "std": 0.0 if len(known) > 1 else None,
        "n": len(known),
        "values": values,
        "diverged": diverged,
    }


def tuned_run(rows: dict[str, list[dict[str, Any]]], grid: dict[str, list[Any]], **tuning: Any) -> dict[str, Any]:
    """The summary of a run of arms whose sensitivities are `rows`."""
    metric = tuning.get("metric", "val_accuracy")
    found = []
    for name, tried in rows.items():
        chosen = tried[choose([tried], metric)]["settings"]
        found.append({"name": name, "chosen": chosen, "at_edge": at_edge(chosen, grid), "sensitivity": tried})
    arms = [
        {
            "name": name,
            "loss": name,
            "label": name,
            "setting": "lr=1",
            "dataset": "moons",
            "model": "mlp",
            "lr": 1,
            "seeds": [0],
            "diverged": 0,
            "metrics": {},
        }
        for name in rows
    ]
    spent = {"seeds": [10000, 10001, 10002], "trials": 24, "seconds": 75.0}
    return {
        "name": "moons",
        "status": "finished",
        "device": "cpu",
        "seconds": 90.0,
        "verdicts": [],
        "arms": arms,
        "pairing": [{"arms": list(rows)}],
        "expectations": [],
        "tuning": {"protocol": "per_arm", "metric": metric, **spent, "grid": grid, "arms": found, **tuning},
    }


def usual(**tuning: Any) -> dict[str, Any]:
    rows = {
        name: [row({"lr": rate}, mean) for rate, mean in zip(RATES, means, strict=True)]
        for name, means in CURVES.items()
    }
    return tuned_run(rows, {"lr": RATES}, **tuning)


def shown(summary: dict[str, Any], width: int = 80, encoding: str = "utf-8") -> str:
    raw = io.BytesIO()
    file = io.TextIOWrapper(raw, encoding=encoding, newline="")
    show(run_document([], summary), Console(file=file, width=width))
    file.flush()
    return raw.getvalue().decode(encoding)


def squeezed(text: str) -> str:
    return re.sub(r"\s+", " ", text)


def test_every_value_of_the_grid_is_shown_and_the_chosen_one_marked() -> None:
    """The table has the metric at each rate, a star at each arm's choice, and the axis said in words."""
    text = squeezed(shown(usual()))
    assert "validation accuracy by lr, mean over 3 tuning seeds (log x axis)" in text
    assert "arm 0.01 0.1 1 10" in text
    assert "A good 0.700 0.900 0.950* 0.900" in text
    assert "B bad 0.200 0.300 0.400 0.500*" in text


def test_edge_is_warned_of_with_the_arm_and_the_value() -> None:
    """Only the arm whose best lies on the edge is warned of."""
    text = squeezed(shown(usual()))
    assert "Warning: the best lr for B bad lies on the edge of the grid (10): a better one may lie outside." in text
    assert 1 == text.count("Warning")


def test_loss_that_no_setting_saves_is_named() -> None:
    """An arm whose best stays five points behind the best arm's is a finding; by another metric it is not said."""
    finding = "No setting of the grid brings B bad (50.0%) within 5 points of A good (95.0%) in validation accuracy."
    assert finding in squeezed(shown(usual()))
    assert "No setting" not in shown(usual(metric="val_nll"))


@pytest.mark.parametrize(
    ("protocol", "words"),
    [("per_arm", "each loss at its own best setting"), ("shared", "one setting for all losses of a comparison")],
)
def test_protocol_and_cost_are_said(protocol: str, words: str) -> None:
    """What was asked, how many trials that took and how long."""
    text = squeezed(shown(usual(protocol=protocol)))
    assert f"Tuned by validation accuracy: {words}" in text
    cost = "Tuning cost 24 trials (2 arms x 4 settings x 3 seeds, from 10000) and 1:15 of training"
    assert f"{cost}; test data took no part." in text


def test_test_data_are_said_to_take_no_part_only_where_they_did_not() -> None:
    """An older run that split anew at every seed is not told to be blind; a newer one says what it held out."""
    summary = usual()
    arms = [{**arm, "split_seed": "per_seed"} for arm in summary["arms"]]
    older = squeezed(shown({**summary, "arms": arms}))
    assert "1:15 of training." in older
    assert "took no part" not in older
    data = {"moons": {"train": 37, "val": 12, "held_out": 101}}
    newer = squeezed(shown({**summary, "arms": arms, "tuning": {**summary["tuning"], "data": data}}))
    assert "test data took no part." in newer
    assert "101 samples that some seed tests were held out, and tuning trained on 37 and validated on 12." in newer


def test_diverged_seeds_stand_in_the_table() -> None:
    """A setting that lost seeds shows how many instead of a mean; a choice that did is warned of."""
    rows = {
        "lost": [row({"lr": 1}, None, 3), row({"lr": 9}, 0.8, 1)],
        "kept": [row({"lr": 1}, 0.5), row({"lr": 9}, 0.9, 2)],
    }
    text = squeezed(shown(tuned_run(rows, {"lr": [1, 9]})))
    assert "A lost 3/3 div. 1/3 div.*" in text
    assert "B kept 0.500* 2/3 div." in text
    assert "Warning: even at the setting chosen for A lost, 1 of 3 tuning seeds diverged." in text
    assert "for B kept, " not in text


def test_each_key_is_shown_at_its_best_over_the_others() -> None:
    """Of two keys each gets a table of its own, with null beside numbers."""
    means = {(0.1, None): 0.6, (0.1, 1): 0.5, (1.0, None): 0.4, (1.0, 1): 0.7}
    tried = [row({"lr": lr, "clip_norm": clip}, mean) for (lr, clip), mean in means.items()]
    text = squeezed(shown(tuned_run({"only": tried}, {"lr": [0.1, 1.0], "clip_norm": [None, 1]})))
    assert "by lr, mean over 3 tuning seeds, best over the other keys arm" not in text
    assert "arm 0.1 1" in text
    assert "A only 0.600 0.700*" in text
    assert "by clip_norm, mean over 3 tuning seeds, best over the other keys arm null 1" in text
    assert "lr=1, clip_norm=1: 0.700" in text


@pytest.mark.parametrize("width", [30, 80])
def test_it_fits_the_width_in_ascii(width: int) -> None:
    """No line is wider than the console, and where only ASCII can be shown nothing else is."""
    text = shown(usual(), width, "ascii")
    assert "Tuned by" in text
    assert max(map(len, text.splitlines())) <= width


def test_untuned_run_says_nothing_of_tuning() -> None:
    """Without `tune`, and in the summary of an older run, there is no such part."""
    summary = usual()
    assert "uned" not in shown({**summary, "tuning": None})
    del summary["tuning"]
    assert "uned" not in shown(summary)


def test_figure_is_written_as_png_and_svg(tmp_path: Path) -> None:
    """Every arm is a line over the rates, on a log axis labelled in plain numbers."""
    paths = figures.save(figures.draw(figure_documents([], usual())["tuning"]), tmp_path, "tuning")
    assert ["tuning.png", "tuning.svg"] == [path.name for path in paths]
    text = paths[1].read_text(encoding="utf-8")
    for part in ("validation accuracy", ">lr<", "good (lr=1)", ">0.01<", ">10<", "over 3 tuning seeds"):
        assert part in text
