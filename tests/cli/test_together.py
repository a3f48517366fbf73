"""`clsbench report RUN RUN`: arms of several runs on one ruler, or the reason why they cannot be."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import clsbench

Invoke = Callable[..., Any]
Fails = Callable[..., str]
Run = Callable[..., Path]

OLD = Path(__file__).parents[1] / "fixtures" / "run_of_format_1_plain"


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """`run("loss=[bce]", ...)`: a small run with these overrides, each trained once."""
    output, known = tmp_path_factory.mktemp("runs"), dict[tuple[str, ...], Path]()
    base = {
        "name": "small",
        "dataset": {"name": "moons", "samples": 60},
        "model": "linear",
        "loss": ["cross_entropy", "mse_softmax"],
        "train": {"epochs": 2, "seeds": 3, "device": "cpu", "compile": "off"},
        "report": {"figures": False},
    }
    (output / "small.yaml").write_text(json.dumps(base))

    def trained(*overrides: str) -> Path:
        if overrides not in known:
            known[overrides] = clsbench.run(output / "small.yaml", list(overrides), output=output).directory
        return known[overrides]

    return trained


def together(invoke: Invoke, *runs: Path) -> Any:
    answer = invoke("report", "--json", *runs)
    assert 0 == answer.exit_code, answer.stderr
    return json.loads(answer.stdout)


def numbers(summary: Any) -> dict[str, Any]:
    """What is measured of each arm, by its name."""
    return {arm["name"]: (arm["metrics"], arm["diverged"], arm["time_to_target"]) for arm in summary["arms"]}


def test_the_error_of_the_test_set_is_known_inside_a_run(run: Run, invoke: Invoke) -> None:
    """Pairs that a run judged keep it; arms of two runs were not compared sample by sample."""
    both = run("dataset.split_seed=0"), run("dataset.split_seed=0", "loss=[bce, mse_sigmoid]")
    inside = [row for path in both for row in clsbench.load(path).summary["verdicts"] if row["metric"] == "test_brier"]
    rows = [row for row in together(invoke, *both)["verdicts"] if row["metric"] == "test_brier"]
    known = {(row["a"], row["b"]): row["test_set"] for row in rows}
    assert 6 == len(known)
    assert {(row["a"], row["b"]) for row in inside} == {pair for pair, found in known.items() if found is not None}
    assert all(row["test_set"]["std"] == known[row["a"], row["b"]]["std"] for row in inside)


def test_together_is_as_if_one_run_had_trained_them(run: Run, invoke: Invoke) -> None:
    """Metrics, epochs to the target, verdicts and pairing of two runs are those of one run with all arms.

    An arm that both have, with the same records, is shown once.
    """
    found = together(invoke, run(), run("loss=[mse_softmax, bce]"))
    whole = clsbench.load(run("loss=[cross_entropy, mse_softmax, bce]")).summary
    assert numbers(whole) == numbers(found)
    assert (whole["verdicts"], whole["pairing"]) == (found["verdicts"], found["pairing"])
    assert [["cross_entropy", "mse_softmax"], ["bce"]] == [each["arms"] for each in found["runs"]]
    assert ["mse_softmax"] == found["runs"][1]["repeated"]


def test_arms_of_one_name_are_told_apart(run: Run, invoke: Invoke) -> None:
    """By the number of their run; the settings in which the runs differ are named."""
    found = together(invoke, run(), run("optimizer.lr=0.5", "train.epochs=3", "loss=cross_entropy"))
    assert {"cross_entropy run=1": 0.1, "mse_softmax": 0.1, "cross_entropy run=2": 0.5} == {
        arm["name"]: arm["lr"] for arm in found["arms"]
    }
    expected = [{"optimizer.lr": 0.1, "train.epochs": 2}, {"optimizer.lr": 0.5, "train.epochs": 3}]
    assert expected == [each["settings"] for each in found["runs"]]
    shown = invoke("report", run(), run("optimizer.lr=0.5", "train.epochs=3", "loss=cross_entropy")).stdout
    assert "cross_entropy run=2; optimizer.lr=0.5, train.epochs=3" in " ".join(shown.split())


def test_settings_that_are_lists_are_told(run: Run, invoke: Invoke) -> None:
    """Numbers of a sweep as they are, seeds in a row as a range."""
    swept = run("optimizer.lr=[0.1, 0.3]", "train.seeds=[0, 1]")
    shown = " ".join(invoke("report", run(), swept).stdout.split())
    assert "optimizer.lr=[0.1, 0.3], train.seeds=0..1" in shown


def test_verdicts_are_paired_by_the_seeds_in_common(run: Run, invoke: Invoke) -> None:
    """Two seeds of three and four are in both runs: the verdict between their arms has n = 2, and those inside, 3.

    The report says so: a mean is over other seeds than a verdict.
    """
    runs = run(), run("loss=bce", "train.seeds=[1, 2, 3, 4]")
    found = together(invoke, *runs)
    shown = " ".join(invoke("report", *map(str, runs)).stdout.split())
    assert "3 to 4 seeds on a split each, 2 epochs, each mean is over its arm's seeds" in shown
    assert {("cross_entropy", "mse_softmax"): 3, ("cross_entropy", "bce"): 2, ("mse_softmax", "bce"): 2} == {
        (row["a"], row["b"]): row["n"] for row in found["verdicts"] if row["metric"] == "test_accuracy"
    }


def test_seeds_of_one_arm_alone_are_not_called_lost(run: Run, invoke: Invoke) -> None:
    """No trial diverged: of the seeds that two arms share, none is missing from their verdict."""
    runs = run("loss=cross_entropy"), run("loss=bce", "train.seeds=[2, 3, 4, 5]")
    shown = invoke("report", "--details", *map(str, runs)).stdout
    assert "divergence" not in shown
    assert "of 4" not in shown[shown.index("Verdicts") :]


def test_comparisons_that_one_run_has_stand_beside(run: Run, invoke: Invoke) -> None:
    """Of a sweep over models, the comparison that the other run has too takes its arms; the others are as they were."""
    found = together(invoke, run(), run("model=[linear, mlp]", "loss=bce"))
    assert [["cross_entropy", "mse_softmax", "bce model=linear"], ["bce model=mlp"]] == [
        entry["arms"] for entry in found["pairing"]
    ]


@pytest.mark.parametrize(
    ("overrides", "reason"),
    [
        (("dataset.noise=0.4",), "the training split of moons differs at seed 0; noise is 0.2 and 0.4"),
        (("dataset.split_seed=1",), 'the training split of moons differs at seed 0; split_seed is "per_seed" and 1'),
        (("dataset=circles",), "their data are moons and circles"),
        (("model=mlp",), 'their models differ, name is "linear" and "mlp"'),
        (("model.init.weights=zeros",), "their models differ, init is "),
        (("train.batch_size=16",), "(batch size 32 and 16)"),
    ],
)
def test_what_cannot_be_compared_is_refused(run: Run, fails: Fails, overrides: tuple[str, ...], reason: str) -> None:
    """Other data, other splits, another model: with the reason, and nothing is shown."""
    message = fails(2, "report", run(), run(*overrides))
    assert f"{run(*overrides)} cannot be compared with {run()}: " in message
    assert reason in message


def test_splits_of_their_own_need_a_seed_in_common(run: Run, fails: Fails) -> None:
    """Where each seed has its own splits, runs without a seed in common were tested on other samples."""
    runs = [run("dataset.split_seed=per_seed", f"train.seeds={seeds}") for seeds in ("[0, 1]", "[2, 3]")]
    assert "no seed in common, and each seed has splits of its own of moons" in fails(2, "report", *runs)


def test_other_beginnings_are_refused(run: Run, fails: Fails, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Runs whose evidence says that a seed began from other weights are not paired."""
    from clsbench.runs.evidence import Evidence

    moved = Evidence.moved

    def other(self: Evidence, numbers: Any) -> Evidence:
        found = moved(self, numbers)
        return Evidence(
            {trial: dict.fromkeys(of, "other") for trial, of in found.weights.items()}, found.batches, found.data
        )

    monkeypatch.setattr(Evidence, "moved", other)
    assert "at seed 0 their initial weights differ" in fails(2, "report", run(), run("loss=bce"))


def test_runs_without_evidence_are_refused(run: Run, fails: Fails, tmp_path: Path) -> None:
    """A run of an earlier version kept no hashes of its data."""
    old = Path(shutil.copytree(OLD, tmp_path / "old"))
    assert "kept no hashes of its data to compare it by" in fails(6, "report", old, run())


def test_files_of_several_runs(
    run: Run, invoke: Invoke, fails: Fails, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One set of figures, one table, one page with the arms of all; the page replaces no file of another kind."""
    runs = [run(), run("loss=[mse_softmax, bce]")]
    before = [(each / "report.html").read_bytes() for each in runs]
    monkeypatch.chdir(tmp_path)
    assert "several runs have none; give --html too" in fails(6, "report", *runs, "--open")
    answer = invoke("report", *runs, "--html", "--png", "figures", "--csv", "all.csv")
    assert "wrote report.html" in answer.stderr.splitlines()
    assert "bce" in (tmp_path / "figures" / "curves.svg").read_text()
    assert {str(each) for each in runs} == {
        line.split(",")[0] for line in (tmp_path / "all.csv").read_text().splitlines()[1:]
    }
    page = (tmp_path / "report.html").read_text()
    assert all(f">{name}</span>" in page for name in ("cross_entropy", "mse_softmax", "bce"))
    assert 3 == page.count('"marbles":{')
    assert before == [(each / "report.html").read_bytes() for each in runs]
    assert 0 == invoke("report", *runs, "--html").exit_code
    (tmp_path / "report.html").write_text("mine")
    assert "report.html exists and is not a page of clsbench" in fails(2, "report", *runs, "--html")
