"""The answer of a run on one screen a comparison: the verdict first, then why, and where the rest is."""

from __future__ import annotations

import re

import pytest

from clsbench.report.compose import answer_document
from clsbench.report.sections.answer import in_a_word
from tests.report.runs import Records, Summary, compared, on_screen, plain, run_of, usual

CLASSES = [{"name": name, "train": 300, "val": 100, "test": 100} for name in ("upper moon", "lower moon")]
COUNTS = {"train": 600, "val": 200, "test": 200, "shape": [2], "classes": CLASSES, "columns": None}
DATA = {"problem": "single_label", **COUNTS, "majority": 0.5, "source": "moons", "sha256": ""}
FILES = ["runs/moons/1/summary.json", "runs/moons/1/curves.png"]


def screen(run: tuple[Records, Summary], width: int = 80, encoding: str = "utf-8") -> list[str]:
    return on_screen(*run, width, encoding, FILES, document=answer_document).splitlines()


def in_one_line(lines: list[str]) -> str:
    return " ".join(" ".join(lines).split())


def apart(a: float, b: float) -> tuple[Records, Summary]:
    return run_of(["a", "b"], seeds=10, finals={"a": {"test_accuracy": a}, "b": {"test_accuracy": b}})


@pytest.mark.parametrize(("width", "encoding"), [(80, "utf-8"), (80, "ascii"), (200, "utf-8")])
@pytest.mark.parametrize("num_arms", [1, 2, 3, 12, 60])
def test_a_comparison_fills_one_screen(num_arms: int, width: int, encoding: str) -> None:
    """However many arms there are, 24 lines hold the answer, and no line is wider than the terminal."""
    lines = screen(run_of([f"arm{number}" for number in range(num_arms)]), width, encoding)
    assert len(lines) <= 24
    assert max(map(len, lines)) <= width
    assert not any("\x1b" in line for line in lines)


@pytest.mark.parametrize("met", [[True] * 12, [True] * 5 + [False] * 7])
def test_expectations_share_the_screen(met: list[bool]) -> None:
    """Met ones are counted; of those in vain the first few are told, each by its own sides, and 24 lines hold all."""
    records, summary = run_of(["a", "b"])
    sides = {"left": 0.7, "right": 0.8, "slack": None}
    rows = [{"text": f"a.test_accuracy >= 0.{n}", "met": each, **sides} for n, each in enumerate(met, start=1)]
    data = {"moons": DATA}
    lines = screen((records, {**summary, "data": data, "expectations": rows}))
    assert len(lines) < 24
    assert "Data moons: 600 train, 200 val, 200 test samples of 2 numbers, 2 classes" == lines[0]
    told = in_one_line(lines)
    if all(met):
        assert "12 expectations met." in told
    else:
        assert "Expected a.test_accuracy >= 0.6: not met, 0.7 against 0.8" in told
        assert "5 of 12 expectations met." in told


def test_the_verdict_comes_before_curves_and_tables() -> None:
    """The sentence names the better arm, both values, the difference and its interval."""
    records, summary = apart(0.9, 0.6)
    (row,) = (row for row in summary["verdicts"] if row["metric"] == "test_accuracy")
    row.update(low=0.25, high=0.35, p=0.0001, p_holm=0.0001, verdict="better")
    told = in_one_line(screen((records, summary)))
    sentence = (
        "A a is better than B b: test accuracy 94.5% against 64.5%, 30.0 percentage points higher (95% "
        "interval 25.0 to 35.0)."
    )
    assert sentence in told
    assert told.index(sentence) < told.index("test accuracy by epoch") < told.index("verdict")


@pytest.mark.parametrize(("finals", "low", "high"), [((0.9, 0.6), -0.02, 0.62), ((0.6, 0.9), -0.62, 0.02)])
def test_an_interval_around_zero_keeps_its_sign(finals: tuple[float, float], low: float, high: float) -> None:
    """The test may decide where the interval does not: its far end is on the other arm's side."""
    records, summary = apart(*finals)
    (row,) = (row for row in summary["verdicts"] if row["metric"] == "test_accuracy")
    row.update(low=low, high=high, p=0.04, p_holm=0.04, verdict="better" if finals[0] > finals[1] else "worse")
    assert "30.0 percentage points higher (95% interval -2.0 to 62.0)" in in_one_line(screen((records, summary)))


@pytest.mark.parametrize("negligible", [False, True])
def test_what_another_metric_decides_is_told_unless_it_is_negligible(negligible: bool) -> None:
    """Equal by the headline, better by another metric, but maybe within its negligible difference."""
    records, summary = apart(0.9, 0.9)
    rows = {row["metric"]: row for row in summary["verdicts"]}
    rows["test_accuracy"].update(low=-0.001, high=0.001, verdict="equivalent", negligible=None)
    rows["test_nll"].update(low=-0.01, high=-0.001, verdict="better", negligible=negligible)
    told = in_one_line(screen((records, summary)))
    assert negligible != bool(re.search(r"By test NLL [AB] is (better|worse) than [AB]\.", told))


def test_equal_arms_are_told_as_such() -> None:
    """Without a difference no arm is called better, nor best in the table: it has the highest mean."""
    lines = screen(apart(0.8, 0.8))
    told = in_one_line(lines)
    assert "Equivalent in test accuracy: A a 84.5% and B b 84.5%." in told
    assert "No sample is stuck" not in told  # 6% are
    assert "better than" not in told
    (row,) = (line for line in lines if line.startswith("A  a"))
    assert row.rstrip().endswith("highest")


def test_one_seed_gives_no_verdict() -> None:
    """The sentence says what to do about it."""
    told = in_one_line(screen(run_of(["a", "b"], seeds=1)))
    assert "One seed gives no verdict: train more (train.seeds)." in told


def test_a_plateau_is_the_reason() -> None:
    """Of an arm that is stuck the share of such samples is told, and under which arms no sample is."""
    records, summary = usual()
    told = in_one_line(screen((records, summary)))
    assert "Why: B bad lies on a plateau: the loss stays large but is almost flat. " in told
    assert "31% of the samples (mean of 3 seeds) are stuck: wrong, with almost no gradient." in told
    assert "Under" not in told  # 3% are
    free = next(arm for arm in summary["arms"] if arm["name"] == "hinge")
    free["metrics"]["stuck_share"].update(mean=0.0)
    assert "no gradient. Under C what is wrong keeps its gradient." in in_one_line(screen((records, summary)))


@pytest.mark.parametrize(
    ("word", "told"),
    [
        ("better", "Why: No sample is stuck; "),
        ("equivalent", "Why no clear difference in test accuracy: no sample is stuck; "),
        ("undecided", "Why no clear difference in test accuracy: no sample is stuck; "),
    ],
)
def test_what_is_explained_is_the_verdict(word: str, told: str) -> None:
    """That no sample is stuck is the reason of a difference that is not there."""
    records, summary = apart(0.9, 0.8)
    for arm in summary["arms"]:
        arm["metrics"]["stuck_share"].update(mean=0.0)
    (row,) = (row for row in summary["verdicts"] if row["metric"] == "test_accuracy")
    row.update(low=0.05, high=0.15, verdict=word, negligible=False)
    assert f"{told}what is wrong keeps its gradient." in in_one_line(screen((records, summary)))


@pytest.mark.parametrize(
    ("word", "told"), [("better", "a best"), ("equivalent", "equivalent"), ("undecided", "undecided"), (None, "")]
)
def test_the_verdict_in_a_word(word: str | None, told: str) -> None:
    """The best arm by its name, or that there is none; nothing without verdicts."""
    records, summary = apart(0.9, 0.8)
    rows = [row for row in summary["verdicts"] if row["metric"] == "test_accuracy"]
    for row in rows:
        row.update(verdict=word)
    summary = {**summary, "verdicts": rows if word else []}
    assert told == plain(in_a_word(*compared(records, summary), summary))


def test_arms_that_differ_by_their_loss_are_told_to_be_losses() -> None:
    """Once, where the comparison begins; arms of one loss under several settings are not."""
    assert "moons, mlp; 2 losses train the same network " in in_one_line(screen(run_of(["a", "b"])))
    records, summary = run_of(["a lr=0.1", "a lr=1.0"])
    for arm in summary["arms"]:
        arm["label"] = "a"
    assert "same network" not in in_one_line(screen((records, summary)))


@pytest.mark.parametrize(
    ("right", "excess", "told"),
    [(0.1, 0.8, "10% right, 90% sure"), (0.45, 0.6, "45% right, 100% sure"), (0.1, 0.4, None), (0.55, 0.6, None)],
)
def test_a_confidently_wrong_start_is_told(right: float, excess: float, told: str | None) -> None:
    """By the first arm with probabilities, before the verdict; a start that is unsure, or mostly right, is not."""
    finals = {"test_accuracy": 2 * right, "test_ece": 2 * excess}  # of which the first record has half
    run = run_of(["hinge", "a"], seeds=1, finals={"hinge": finals, "a": finals}, no_probabilities=["hinge"])
    shown = in_one_line(screen(run))
    sentence = "Before training the networks are confidently wrong: "
    in_full = in_one_line(on_screen(*run, width=100).splitlines())
    assert [told is not None] * 2 == [sentence in shown, sentence in in_full]
    if told is not None:
        assert f"{sentence}{told}." in shown
        assert shown.index(sentence) < shown.index("test accuracy by epoch")


def test_the_rest_is_one_command_away() -> None:
    """The last lines name `--details` and the files to look at."""
    *_, rest, files = screen(usual())
    assert rest.endswith("Every table and curve: clsbench report --details")
    assert "runs/moons/1/  summary.json, curves.png" == files


def test_what_arms_share_is_said_once() -> None:
    """A setting of all arms stands above them, not in each name."""
    records, summary = run_of(["a lr=0.5", "b lr=0.5"])
    for arm, label in zip(summary["arms"], "ab", strict=True):
        arm["label"] = label
    lines = screen((records, summary))
    assert 1 == sum("lr=0.5" in line for line in lines)
    assert {"A  a", "B  b"} <= {line[:4] for line in lines}


@pytest.mark.parametrize(
    ("folder", "hint"), [("runs/moons/1", "clsbench report"), ("my runs/moons/1", "clsbench report 'my runs/moons/1'")]
)
def test_the_hint_names_a_run_that_is_not_where_the_newest_is_looked_for(folder: str, hint: str) -> None:
    """Without a RUN, `report` shows the newest in runs/."""
    text = on_screen(*usual(), width=100, files=[f"{folder}/summary.json"], document=answer_document)
    assert f"{hint} --details" in text
