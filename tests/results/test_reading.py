"""Reading the files of a run: what is damaged is told in one line with its place, for every reader."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from clsbench.errors import RunError
from clsbench.results import Origin, Record, read_environment, read_summary, reader_of, require_sequence

FIXTURES = Path(__file__).parent.parent / "fixtures"
SUMMARY = json.loads((FIXTURES / "run_of_format_1_tuned" / "summary.json").read_text())
ENVIRONMENT = json.loads((FIXTURES / "run_of_format_1_tuned" / "environment.json").read_text())
RECORDS = [json.loads(line) for line in (FIXTURES / "run_of_format_1_plain" / "metrics.jsonl").read_text().splitlines()]
BOUNDS = {"test_accuracy": (0.0, 1.0), "test_nll": (0.0, None), "train_loss": (None, None)}
READER = reader_of(tuple(BOUNDS.items()))
ORIGINS = [Origin(loss, loss, "moons", "linear", seed) for loss in ("mse_softmax", "cross_entropy") for seed in (0, 1)]


def at(*path: Any, value: Any = None) -> Callable[[Any], None]:
    """A change of a document: the value at a path, which is deleted where the value is `del`."""

    def change(document: Any) -> None:
        for key in path[:-1]:
            document = document[key]
        if value == "del":
            del document[path[-1]]
        else:
            document[path[-1]] = value

    return change


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (at("arms", value="del"), "arms is missing"),
        (at("status", value="over"), "status should be 'finished' or 'failed'"),
        (at("arms", 0, "lr", value="0.1"), r"arms\[0\]\.lr should be a valid number"),
        (at("arms", 0, "diverged", value=True), r"arms\[0\]\.diverged should be a valid integer"),
        (at("arms", 0, "seeds", value=[0]), r"arms\[0\]\.metrics\.train_loss\.values has 2 values for 1 seeds"),
        (at("arms", 0, "seeds", value=[0, 0]), r"arms\[0\]\.seeds has 0 twice"),
        (at("arms", 0, "diverged", value=3), r"arms\[0\]\.diverged is 3 of 2 seeds"),
        (at("arms", 0, "failures", value={"7": "no"}), r"arms\[0\]\.failures names seed '7'"),
        (at("arms", 1, "name", value="mse_softmax"), "two arms are called 'mse_softmax'"),
        (at("arms", 0, "metrics", "test_accuracy", "n", value=1), r"metrics\.test_accuracy\.n is 1, and 2 values are"),
        (at("arms", 0, "metrics", "test_accuracy", "values", value=[0.5, 2.0]), "outside its values|above 1"),
        (
            at("arms", 0, "metrics", "test_nll", value={"mean": -1.0, "std": 0.0, "n": 2, "values": [-1.0, -1.0]}),
            "below 0",
        ),
        (
            at("arms", 0, "cross", "brier", "values", value="x"),
            r"arms\[0\]\.cross\.brier values should be a valid list",
        ),
        (at("arms", 1, "cross", "brier", value="del"), "cross has 'brier' for some arms of a comparison only"),
        (at("arms", 0, "reliability", "count", value=[1]), "columns of different lengths"),
        (at("pairing", 0, "arms", value=["mse_softmax"]), "pairing does not name every arm once"),
        (at("verdicts", 0, "a", value="nobody"), r"verdicts\[0\]\.a names 'nobody', which is not an arm"),
        (at("verdicts", 0, "b", value="mse_softmax"), r"verdicts\[0\] compares 'mse_softmax' with itself"),
        (at("verdicts", 0, "p", value=1.5), r"verdicts\[0\]\.p should be less than or equal to 1"),
        (
            at("tuning", "protocol", value="best"),
            r"tuning\.protocol should be 'per_arm', 'shared' or 'per_arm_per_seed'",
        ),
        (at("tuning", "protocol", value="per_arm_per_seed"), r"\.chosen and \.by_seed do not fit per_arm_per_seed"),
        (at("tuning", "grid", "lr", value=[0.1]), r"tuning\.arms\[0\]\.sensitivity does not have the settings"),
        (at("tuning", "arms", 0, "chosen", "lr", value=7.0), r"tuning\.arms\[0\]\.chosen is not a setting of the grid"),
        (at("tuning", "arms", 0, "name", value="nobody"), r"tuning\.arms does not name every arm once"),
        (at("format_version", value=0), "format_version should be greater than or equal to 1"),
    ],
)
def test_summary_that_contradicts_itself_is_named(change: Callable[[Any], None], told: str) -> None:
    """Types, lengths, ranges and names: the first that is wrong is told with its place."""
    document = copy.deepcopy(SUMMARY)
    read_summary("run/summary.json", json.dumps(document), BOUNDS)
    change(document)
    with pytest.raises(RunError, match=rf"^run/summary\.json is damaged: .*({told})") as caught:
        read_summary("run/summary.json", json.dumps(document), BOUNDS)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("text", ["", "[]", "{", '{"a": NaN}', '{"a": 1e999}', '{"name": "\\ud800"}', "[" * 10_000])
def test_what_is_not_strict_json_is_damaged(text: str) -> None:
    """Torn, not a mapping, numbers that are not finite, unpaired surrogates, endless nesting."""
    for read in (read_environment, lambda name, text: read_summary(name, text, BOUNDS)):
        with pytest.raises(RunError, match=r"^a is damaged: "):
            read("a", text)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (at("versions", "torch", value="del"), "versions.torch is missing"),
        (at("machine", value={}), "machine.processor is missing"),
        (at("device", "threads", value=2), "device.threads should be a valid list"),
        (at("datasets", "moons", "shape", value=[0]), r"datasets\.moons\.shape\[0\] should be greater"),
        (at("datasets", "moons", "shape", value=[10**7, 10**7]), "datasets.moons.shape has 10{14} numbers"),
        (at("datasets", "moons", "num_classes", value=10**12), "datasets.moons.num_classes should be less than"),
        (at("resumed", value=[{}]), r"resumed\[0\]\.versions is missing"),
    ],
)
def test_environment_with_wrong_content_is_named(change: Callable[[Any], None], told: str) -> None:
    """What is read of it later has the type that it must have, and no size that cannot be allocated."""
    document = copy.deepcopy(ENVIRONMENT)
    read_environment("environment.json", json.dumps(document))
    change(document)
    with pytest.raises(RunError, match=rf"^environment\.json is damaged: {told}"):
        read_environment("environment.json", json.dumps(document))


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"trial": "0"}, "trial should be a valid integer"),
        ({"trial": -1}, "trial should be greater than or equal to 0"),
        ({"epoch": 1.5}, "epoch should be a valid integer"),
        ({"seconds": -0.1}, "seconds should be greater"),
        ({"step": -1}, "step should be greater"),
        ({"seed": 2**32}, "seed should be less than"),
        ({"status": "done"}, "status should be 'running', 'finished', 'diverged' or 'failed'"),
        ({"test_accuracy": 1.5}, "test_accuracy should be less than or equal to 1"),
        ({"test_nll": -0.5}, "test_nll should be greater than or equal to"),
        ({"test_nll": "low"}, "test_nll should be a valid number"),
        ({"train_loss": True}, "train_loss should be a valid number"),
        ({"test_nll": float("nan")}, ""),
        ({"weather": float("nan")}, ""),
    ],
)
def test_record_with_wrong_content_is_named(changes: dict[str, Any], told: str) -> None:
    """Types, and the bounds of each metric; a key that is not known must be strict JSON, too."""
    with pytest.raises(RunError, match=rf"^metrics\.jsonl:3 is damaged: {told}"):
        READER.read("metrics.jsonl:3", json.dumps({**RECORDS[0], **changes}))


def test_mean_that_rounding_moves_past_a_bound_is_no_damage() -> None:
    """The mean of probabilities of 1 may come out a bit above it."""
    assert 1 + 1e-12 == READER.read("a", json.dumps({**RECORDS[0], "test_accuracy": 1 + 1e-12}))["test_accuracy"]


@pytest.mark.parametrize("key", ["trial", "arm", "loss", "dataset", "model", "lr", "seed", "epoch", "step", "seconds"])
def test_record_without_what_every_version_wrote_is_damaged(key: str) -> None:
    """Only what a later version added may be missing."""
    with pytest.raises(RunError, match=f"is damaged: {key} is missing"):
        READER.read("a", json.dumps({name: value for name, value in RECORDS[0].items() if name != key}))


def sequence(*changes: tuple[int, dict[str, Any]], without: int | None = None) -> list[Record]:
    records: Any = copy.deepcopy(RECORDS)
    for place, change in changes:
        records[place].update(change)
    if without is not None:
        del records[without]
    return records


@pytest.mark.parametrize(
    ("records", "told"),
    [
        (sequence((5, {"trial": 4})), r":6 is damaged: trial 4 is not a trial of the run, which are numbered 0 to 3"),
        (sequence((5, {"arm": "hinge"})), r":6 is damaged: arm of trial 1 is 'mse_softmax', not 'hinge'"),
        (sequence((5, {"seed": 7})), r":6 is damaged: seed of trial 1 is 1, not 7"),
        (sequence((5, {"loss": "hinge"})), r":6 is damaged: loss of trial 1 is"),
        (sequence((5, {"epoch": 0})), r":6 is damaged: epoch 0 of trial 1 occurs twice"),
        (sequence((5, {"epoch": 2})), r":6 is damaged: epoch 2 of trial 1 is in the place of epoch 1"),
        (sequence((9, {"epoch": 3})), r":10 is damaged: epoch 3 of trial 1 is in the place of epoch 2"),
        (sequence((5, {"status": "diverged"})), r":10 is damaged: trial 1 had diverged at epoch 1"),
        (sequence(without=5), r":9 is damaged: epoch 2 of trial 1 is in the place of epoch 1"),
        (sequence(without=11), r" is damaged: the last records of trial 3 are missing"),
    ],
)
def test_records_of_other_trials_or_epochs_are_named(records: list[Record], told: str) -> None:
    """Foreign trials, doubled lines, epochs out of order, and ends that are missing are told with their line."""
    require_sequence("m", sequence(), ORIGINS, epochs=2, ended=True)
    with pytest.raises(RunError, match=f"^m{told}"):
        require_sequence("m", records, ORIGINS, epochs=2, ended=True)


def test_epoch_beyond_the_last_is_damage_where_their_number_is_known() -> None:
    """A run that goes on knows how many epochs it was asked for."""
    with pytest.raises(RunError, match=r"^m:9 is damaged: epoch 2 of trial 0 is beyond the last, 1"):
        require_sequence("m", sequence(), ORIGINS, epochs=1)
