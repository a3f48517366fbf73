"""The sections of a report, as data: legend, curves, tables, outcome, and what a run has once."""

from __future__ import annotations

import pytest

from clsbench.report.compose import run_document
from clsbench.report.document import ArmList, ArmRef, Curves, Files, Paragraph, Table
from clsbench.report.sections import metrics, run
from clsbench.report.sections.arms import MAX_DRAWN, MAX_ROWS, arms, drawn, shared
from clsbench.report.sections.convergence import convergence
from clsbench.report.sections.cross import cross
from clsbench.report.sections.curves import by_epoch, curves
from clsbench.report.sections.outcome import outcome, stuck
from clsbench.report.values import EpochsToTarget, MeanStd, Proportion, Seconds
from tests.report.runs import arm_of, blocks, compared, plain, run_of, summary_of, usual

GOOD, BAD, HINGE = ArmRef("good", 0), ArmRef("bad", 1), ArmRef("hinge", 2)


def close(mean: float, std: float | None = 0.01) -> MeanStd:
    return MeanStd(pytest.approx(mean), pytest.approx(std))


def test_the_legend_has_each_setting_and_the_loss_behind_a_label() -> None:
    """Reduction, weight and learning rate of each arm; the loss, where the label does not say it."""
    records, summary = run_of(["cross_entropy", "mine"])
    summary["arms"][0]["label"] = "cross_entropy"
    (legend,) = blocks(arms(*compared(records, summary)), ArmList)
    setting = "reduction=sum, weight=1, lr=0.1"
    expected = ((ArmRef("cross_entropy", 0), setting), (ArmRef("mine", 1), f"loss=cross_entropy, {setting}"))
    assert expected == legend.entries
    assert legend.heads is None


def test_defaults_that_all_arms_share_are_not_told() -> None:
    """A weight of 1 weighs nothing, and a shared option at its default asks for nothing; the reduction is told."""
    records, summary = run_of(["one", "other"])

    def told(setting: str) -> list[str]:
        for arm in summary["arms"]:
            arm |= {"loss": "focal", "setting": setting}
        comparison, _ = compared(records, summary)
        return shared(comparison)

    assert ["lr=0.1"] == told("gamma=2.0, weight=1.0, lr=0.1")
    assert ["gamma=1.0", "weight=2.0", "lr=0.1"] == told("gamma=1.0, weight=2.0, lr=0.1")
    assert ["reduction=sum", "lr=0.1"] == told("reduction=sum, weight=1.0, lr=0.1")


def test_of_many_arms_the_best_are_drawn_and_in_tables() -> None:
    """The arms with the highest final accuracy are marked, in their order; the legend says how many are left out."""
    names = [f"arm{number:02}" for number in range(MAX_ROWS + 2)]
    finals = {name: {"test_accuracy": 0.3 + number / 100} for number, name in enumerate(names)}
    comparison, refs = compared(*run_of(names, finals=finals))
    assert names[-MAX_DRAWN:] == list(drawn(refs))
    assert list(range(MAX_DRAWN)) == [ref.mark for ref in drawn(refs).values()]
    section = arms(comparison, refs)
    assert names[-MAX_ROWS:] == [ref.name for ref, _ in blocks(section, ArmList)[0].entries]
    assert [
        "The plots show 8 of 32 arms, those with the best final test accuracy.",
        "The tables show the first 30 by the same measure; summary.json holds all 32.",
    ] == [plain(paragraph.text) for paragraph in blocks(section, Paragraph)]
    (table,) = blocks(metrics.test(comparison, refs), Table)
    assert (names[-MAX_ROWS:], 2) == ([row[0].name for row in table.rows], table.omitted)


def test_curves_are_means_with_bands_over_seeds() -> None:
    """Each drawn arm has the mean, minimum and maximum of every epoch."""
    found = by_epoch(*compared(*usual()), "test_accuracy")
    assert ("test_accuracy", "test accuracy by epoch, mean over seeds") == (found.metric, found.title)
    assert [GOOD, BAD, HINGE] == [line.arm for line in found.series]
    good = found.series[0]
    assert (0, 1, 2, 3, 4) == good.x
    growth = [0.5, 0.625, 0.75, 0.875, 1.0]
    for seed, values in ((1, good.y), (0, good.low), (2, good.high)):
        assert pytest.approx([(0.9 + 0.01 * seed) * share for share in growth]) == values


@pytest.mark.parametrize(
    ("metric", "scale"), [("test_nll", "log"), ("logit_grad_norm", "log"), ("test_accuracy", "linear")]
)
def test_a_metric_over_decades_is_on_a_log_scale_unless_it_is_a_share(metric: str, scale: str) -> None:
    """The title says so; a share is read on a linear axis, however small it begins."""
    records, summary = run_of(["a", "b"], finals={"a": {metric: 0.001}, "b": {metric: 100.0}})
    found = by_epoch(*compared(records, summary), metric)
    assert scale == found.y.scale
    assert (scale == "log") == found.title.endswith(", log scale")


def test_final_values_say_how_many_seeds_are_left() -> None:
    """Below the curves: mean and range at the last epoch, with the seeds if some diverged."""
    section = curves(*compared(*usual(diverged=[("bad", 1)])), "test_accuracy")
    (ends,) = blocks(section, ArmList)
    assert (
        (GOOD, "0.910 [0.900, 0.920]"),
        (BAD, "0.710 [0.700, 0.720] 2 of 3 seeds"),
        (HINGE, "0.510 [0.500, 0.520]"),
    ) == ends.entries


def test_an_arm_that_diverged_whole_says_when() -> None:
    """The last epoch with a number is named."""
    section = curves(*compared(*run_of(["a", "b"], seeds=1, diverged=[("a", 0)])), "test_accuracy")
    assert "no seeds left after epoch 1" == blocks(section, ArmList)[0].entries[0][1]


def test_arms_without_a_number_are_named() -> None:
    """The NLL curves say which arm has none, and why; where no arm has any there is no section."""
    section = curves(*compared(*usual()), "test_nll")
    assert [GOOD, BAD] == [ref for ref, _ in blocks(section, ArmList)[0].entries]
    assert ["No probabilities, so no NLL: hinge."] == [plain(block.text) for block in blocks(section, Paragraph)]
    assert curves(*compared(*run_of(["hinge"], no_probabilities=["hinge"])), "test_nll") is None


def test_one_odd_seed_moves_the_mean_alone() -> None:
    """Beside the mean of each compared metric stand the median and the mean of the middle half of the seeds."""
    values = {"one": [0.9, 0.91, 0.92, 0.93, 0.1], "two": [0.8, 0.8, 0.8, None, None]}
    summary = summary_of([arm_of(name, {"test_accuracy": each}) for name, each in values.items()], [list(values)])
    (table,) = blocks(metrics.robust(*compared([], summary)), Table)
    assert ["metric", "arm", "mean ± std", "median", "IQM"] == [column.header[0] for column in table.columns]
    assert [
        ("test accuracy", "one", "0.752 ± 0.365", "0.910", "0.910"),
        ("test accuracy", "two", "0.800 ± 0.000", "0.800", "0.800"),
    ] == [(str(row[0]), getattr(row[1], "name", ""), *map(str, row[2:])) for row in table.rows]
    assert metrics.robust(*compared(*run_of(["a", "b"], seeds=2))) is None


def test_tables_hold_mean_and_standard_deviation() -> None:
    """A row for each arm, a value for each metric, None for what a loss cannot have."""
    section = metrics.test(*compared(*usual()))
    assert "Test, last epoch: mean ± standard deviation over seeds" == plain(section.title)
    (table,) = blocks(section, Table)
    headers = [("arm",), ("test accuracy",), ("test NLL",), ("test Brier",), ("test ECE",)]
    assert headers == [column.header for column in table.columns]
    assert (GOOD, close(0.91), close(0.41), close(0.21), close(0.06)) == table.rows[0]
    assert (HINGE, close(0.51), None, None, None) == table.rows[2]


def test_one_seed_has_no_deviation() -> None:
    """The value of a single seed stands alone."""
    (table,) = blocks(metrics.test(*compared(*run_of(["only"], seeds=1))), Table)
    assert MeanStd(pytest.approx(0.5), None) == table.rows[0][1]


def test_further_test_metrics_are_columns_too() -> None:
    """What another kind of problem records about test data follows."""
    records, summary = run_of(["a"])
    summary["arms"][0]["metrics"]["test_of_another_plugin"] = summary["arms"][0]["metrics"]["test_accuracy"]
    (table,) = blocks(metrics.test(*compared(records, summary)), Table)
    assert ("test of another plugin",) == table.columns[-1].header


def test_without_validation_data_training_logits_are_measured() -> None:
    """There is no validation section, and the gradients say where they were taken."""
    comparison, refs = compared(*usual())
    assert metrics.validation(comparison, refs) is None
    assert plain(metrics.gradients(comparison, refs).title).startswith("Logit gradients (training, last epoch)")
    assert (BAD, None, close(0.51), close(0.31)) == blocks(metrics.training(comparison, refs), Table)[0].rows[1]
    records, summary = usual()
    summary["arms"][0]["metrics"]["val_accuracy"] = summary["arms"][0]["metrics"]["test_accuracy"]
    comparison, refs = compared(records, summary)
    assert (GOOD, close(0.91), None, None, None) == blocks(metrics.validation(comparison, refs), Table)[0].rows[0]
    assert plain(metrics.gradients(comparison, refs).title).startswith("Logit gradients (validation, last epoch)")


def test_convergence_has_epochs_to_the_target_lost_seeds_and_time() -> None:
    """Epochs to 95% of the best, diverged seeds, seconds; failed seeds only where there are any."""
    records, summary = usual(diverged=[("bad", 1)])
    section = convergence(*compared(records, summary))
    assert "Convergence (95% of the best mean test accuracy is 0.864; median over seeds)" == plain(section.title)
    (table,) = blocks(section, Table)
    assert (
        (GOOD, EpochsToTarget(4, 4, 3, 3), Proportion(0, 3), Seconds(2.0)),
        (BAD, EpochsToTarget(None, 4, 0, 3), Proportion(1, 3), Seconds(2.0)),
    ) == table.rows[:2]
    summary["arms"][0]["failures"] = {"1": "out of memory"}
    (table,) = blocks(convergence(*compared(records, summary)), Table)
    assert ("failed", "seeds") == table.columns[3].header
    assert [Proportion(1, 3), Proportion(0, 3), Proportion(0, 3)] == [row[3] for row in table.rows]


def test_cross_evaluation_has_a_column_for_each_measure_and_shared_loss() -> None:
    """Measures first, then the losses that every arm was measured by; nothing for a run that kept none."""
    records, summary = run_of(["a", "b"])
    assert cross(*compared(records, summary)) is None
    measures = ("accuracy", "nll", "likelihood", "brier", "ece", "margin")
    for number, arm in enumerate(summary["arms"]):
        losses = {"a": {"mean": 0.5 + number}, arm["name"]: {"mean": 0.5 + number}}
        arm["cross"] = {name: {"mean": number} for name in measures} | {"losses": losses}
    (table,) = blocks(cross(*compared(records, summary)), Table)
    assert ("loss", "a") == table.columns[-1].header
    assert (ArmRef("b", 1), *[1] * 6, 1.5) == table.rows[1]


@pytest.mark.parametrize(
    ("finals", "lead"),
    [
        ((0.9, 0.7), "91.0%, 20.0 percentage points above two (71.0%)"),
        ((0.9, 0.8999), "91.0%, less than 0.1 percentage points above two (91.0%)"),
        ((0.9, 0.9), "91.0%, equal to two (91.0%)"),
    ],
)
def test_the_outcome_is_the_best_arm_and_its_lead(finals: tuple[float, float], lead: str) -> None:
    """One sentence says which arm is best, and by how many percentage points."""
    accuracies = {name: {"test_accuracy": value} for name, value in zip(("one", "two"), finals, strict=True)}
    found = outcome(*compared(*run_of(["one", "two"], finals=accuracies)))
    assert [f"one has the highest final test accuracy: {lead}."] == list(map(plain, found))


def test_the_outcome_says_when_seeds_are_missing() -> None:
    """A mean over the seeds that finished is not taken for one over all."""
    found = list(map(plain, outcome(*compared(*usual(diverged=[("good", 0)])))))
    assert "Final means leave out seeds that did not finish: good has 2 of 3 left." == found[1]
    lost = run_of(["a", "b"], seeds=1, diverged=[("a", 0), ("b", 0)])
    expected = ["No arm has a final test accuracy: no seed reached the last epoch."]
    assert expected == list(map(plain, outcome(*compared(*lost))))


def test_a_large_stuck_share_is_explained() -> None:
    """An arm that is stuck on more than a tenth of the samples is named, another is not."""
    expected = ["Stuck samples (wrong, with a gradient under 1% of that at zero logits): bad 31%."]
    assert expected == list(map(plain, stuck(*compared(*usual()))))
    assert [] == list(stuck(*compared(*run_of(["good"]))))


def test_files_are_grouped_by_their_directory() -> None:
    """The time that the run took, and where it went, then each directory with the names in it."""
    spent = {"imports": 1.25, "data": 0.01, "compiling": 0.0, "training": 6.0, "measuring": 2.0, "figures": 3.0}
    summary = {"seconds": 20.0, "wall_seconds": 12.0, "clock": spent}
    section = run.kept(summary, ["runs/a/curves.png", "runs/a/summary.json", "other/curves.png"])
    assert (
        Paragraph(("Took 12 s. Of that: imports 1.2 s, training 6.0 s, measuring 2.0 s. Then figures: 3.0 s.",)),
        Files("runs/a", ("curves.png", "summary.json")),
        Files("other", ("curves.png",)),
    ) == section.blocks


def test_a_run_is_a_section_for_each_comparison_and_what_it_has_once() -> None:
    """Sections are named, so that another reader of the document can choose among them and order them."""
    records, summary = usual(pairing=[["good", "hinge"], ["bad"]])
    summary |= {"status": "failed", "warm_start": {"labels": "rotated", "epochs": 30, "lr": 1.0}}
    row = {"text": "good.test_accuracy > 0.5", "met": True, "left": 0.91, "right": 0.5, "slack": 41.0}
    document = run_document(records, {**summary, "expectations": [row]})
    assert "moons" == document.title
    assert ["comparison", "comparison", "expectations", "kept"] == [section.name for section in document.sections]
    first, second, expected, _ = document.sections
    assert ("moons (1 of 2) - failed",) == first.title
    assert ["moons", "moons"] == [plain(section.title).split()[0] for section in (first, second)]
    assert [
        "dataset moons, model mlp, 3 seeds, 4 epochs, on cpu",
        "every trial starts from 30 epochs of cross-entropy on rotated labels, lr=1.0",
    ] == [plain(block.text) for block in first.blocks if isinstance(block, Paragraph)]
    curve_names = ["curves.test_accuracy", "curves.test_nll", "curves.train_nll"]
    tables = ["test", "robust", "training", "gradients", "convergence", "verdicts", "outcome"]
    names = [block.name for block in first.blocks if not isinstance(block, Paragraph)]
    assert ["arms", *curve_names, *tables] == names
    assert 3 == len(blocks(first, Curves))
    text = "good.test_accuracy > 0.5: met, 0.91 against 0.5 (41.0 standard deviations)"
    assert (Paragraph((text,)),) == expected.blocks


def test_a_sentence_on_many_arms_names_the_worst_and_counts_the_others() -> None:
    """Five of ten stuck arms are named, those with the most stuck samples first."""
    names = [f"l{number}" for number in range(10)]
    finals = {name: {"stuck_share": 0.2 + 0.05 * number} for number, name in enumerate(names)}
    (sentence,) = map(plain, stuck(*compared(*run_of(names, seeds=1, finals=finals))))
    assert sentence.endswith(": l9 65%, l8 60%, l7 55%, l6 50%, l5 45%, 5 more arms.")
