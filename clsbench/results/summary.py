"""`summary.json`: the results of a run."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Annotated, Any, Literal, NotRequired

from pydantic import Field, TypeAdapter, with_config
from typing_extensions import TypedDict

from clsbench.results.consistency import require_consistent
from clsbench.results.reading import ADDED, STRICT, Bounds, Count, Probability, Seconds, Seed, parsed, validated
from clsbench.results.record import Origin
from clsbench.results.verdicts import OLD_WORDS, Across, Pairs, Rules, Verdict
from clsbench.results.warnings import RunWarning

Protocol = Literal["per_arm", "shared", "per_arm_per_seed"]
Settings = dict[str, int | float | str | None]
Extended = dict[str, list[int | float | str | None]]  # the values beyond the edges of a grid, by key
# Test samples of all seeds by their class and by the class that was predicted.
Confusion = dict[str, dict[str, Count]]


@with_config(STRICT)
class Statistic(TypedDict):
    """A number over seeds: `values` by seed, None where it has none, `n` of them known, `std` with n - 1."""

    mean: float | None
    std: float | None
    n: Count
    values: list[float | None]


@with_config(STRICT)
class Cross(TypedDict):
    """An arm's trained networks on test data, by every loss of the experiment, by its label.

    Beside `losses` stands every metric by its name, a `Statistic`; `cross_metrics` reads them.
    """

    losses: dict[str, Statistic]


@with_config(STRICT)
class Reliability(TypedDict):
    """By bin of confidence: the samples of all seeds, their mean confidence and accuracy, None where a bin is empty."""

    count: list[Count]
    confidence: list[Probability | None]
    accuracy: list[Probability | None]


@with_config(STRICT)
class TimeToTargetSummary(TypedDict):
    """When an arm reached `target`: by seed, None where it never did, and the median, None where half or more did not.

    It is counted in epochs.
    """

    metric: str
    target: float
    median: float | None
    reached: Count
    n: Count
    epochs: list[Count | None]


@with_config(STRICT)
class ArmSummary(TypedDict):
    """The trials that differ by seed alone; `metrics` of the last epoch. `failures` has the reason by seed.

    `own_test` says that the data have a test set of their own, which is the same at every seed; `lr` is None where
    tuning chose several.
    """

    name: str
    loss: str
    label: str
    setting: Annotated[str | None, ADDED]
    dataset: str
    split_seed: Annotated[Seed | Literal["per_seed"] | None, ADDED]
    own_test: Annotated[bool | None, ADDED]
    model: str
    batch_size: Annotated[Count | None, ADDED]
    lr: float | None
    seeds: Annotated[list[Seed], Field(min_length=1)]
    failures: Annotated[dict[str, str] | None, ADDED]
    diverged: Count
    metrics: dict[str, Statistic]
    seconds: Annotated[Seconds | None, ADDED]
    cross: Annotated[Cross | None, ADDED]
    reliability: Annotated[Reliability | None, ADDED]
    confusion: Annotated[Confusion | None, ADDED]
    time_to_target: Annotated[TimeToTargetSummary | None, ADDED]


@with_config(STRICT)
class ArmCross(TypedDict):
    """The part of an arm's summary that comes from measuring its trained networks by every loss."""

    cross: Cross | None
    reliability: Reliability | None
    confusion: Confusion | None


@with_config(STRICT)
class ExpectationResult(TypedDict):
    """An expectation and the values of its sides; `slack` is in standard deviations over seeds."""

    text: str
    met: bool
    left: int | float | str | None
    right: int | float | str | None
    slack: float | None


@with_config(STRICT)
class Pairing(TypedDict):
    """The evidence that the arms of a comparison were paired: hashes of their initial weights, batches and data."""

    arms: Annotated[list[str], Field(min_length=1)]
    weights: str | None
    batches: str
    data: NotRequired[str]


@with_config(STRICT)
class SettingResult(Statistic):
    """An arm's tuning metric at one setting of the grid, by tuning seed.

    `second` is the mean of the validation metric that decides between equal settings. A seed that did not try the
    setting, which is beyond an edge of the grid, has no value.
    """

    settings: Settings
    diverged: Count
    second: Annotated[float | None, ADDED]


@with_config(STRICT)
class SeedChoice(TypedDict):
    """What tuning inside one seed's split chose: the setting, and what was measured there over its tuning seeds.

    `extended` as in `ArmTuning`.
    """

    seed: Seed
    chosen: Settings
    at_edge: list[str]
    extended: Annotated[Extended | None, ADDED]
    mean: float | None
    diverged: Count


@with_config(STRICT)
class ArmTuning(TypedDict):
    """An arm at every setting of the grid that its loss takes, in the grid's order.

    `chosen` is for all seeds, or None, and `by_seed` has the choice of each; then `at_edge` has the keys that are at an
    edge of the grid at half of the seeds or more. `extended` has the values that were tried beyond the edges of the
    grid, at some seed if each was tuned by itself; None where grids are not extended.
    """

    name: str
    chosen: Settings | None
    by_seed: Annotated[list[SeedChoice] | None, ADDED]
    at_edge: list[str]
    extended: Annotated[Extended | None, ADDED]
    sensitivity: list[SettingResult]


@with_config(STRICT)
class TuningSizes(TypedDict):
    """The samples that tuning trained and validated on, and those held out because they are tested."""

    train: Count
    val: Count
    held_out: Count


@with_config(STRICT)
class Tuning(TypedDict):
    """The results and the cost of tuning.

    Of `per_arm_per_seed`, `seeds` has as many for each seed of the experiment, one after the other.
    """

    protocol: Protocol
    metric: str
    seeds: Annotated[list[Seed], Field(min_length=1)]
    grid: Annotated[dict[str, list[int | float | str | None]], Field(min_length=1)]
    data: Annotated[dict[str, TuningSizes] | None, ADDED]
    trials: Count
    seconds: Seconds
    arms: list[ArmTuning]


@with_config(STRICT)
class ClassCounts(TypedDict):
    """A class by name, and its samples in each split."""

    name: str
    train: Count
    val: Count
    test: Count


@with_config(STRICT)
class TargetSummary(TypedDict):
    """A value to predict by name: its range, mean and deviation (with n) over the training split, in its own units.

    `standardised` says that it is trained shifted by that mean and divided by that deviation, unless it never varies.
    """

    name: str
    min: float
    max: float
    mean: float
    std: Annotated[float, Field(ge=0)]
    standardised: bool


@with_config(STRICT)
class DataSummary(TypedDict):
    """What was read of a dataset: samples by split, the shape of one, classes, columns by kind, where it is from.

    With `per_seed` splits it describes the first seed's. `classes` counts the samples of classes or labels, `targets`
    describes values and probabilities; the other one is None. `majority` is the test accuracy of always answering the
    most frequent class of the training split, None unless each sample is of one class; `columns` is None if they have
    no names; `sha256` covers every split.
    """

    problem: str
    train: Count
    val: Count
    test: Count
    shape: list[Count]
    classes: list[ClassCounts] | None
    majority: Probability | None
    columns: dict[str, Count] | None
    targets: Annotated[list[TargetSummary] | None, ADDED]
    source: str
    sha256: str


@with_config(STRICT)
class WarmStart(TypedDict):
    """The pre-training of every trial; `labels` is `rotated` or true."""

    labels: Literal["rotated"] | bool
    epochs: Count
    lr: float


@with_config(STRICT)
class JoinedRun(TypedDict):
    """One of several runs that are shown together.

    It has the names of the arms that are shown of it, its arms that a run before has with the same records, and the
    `settings` in which the runs differ, by dotted key.
    """

    directory: str
    arms: list[str]
    repeated: list[str]
    settings: dict[str, Any]


@with_config(STRICT)
class TimeSpent(TypedDict):
    """Where the time of a run went, by the wall clock, in seconds; `figures` is None until they are drawn.

    Processes that train side by side share its time in proportion to what each spent on compiling, training and
    measuring.
    """

    imports: Seconds
    data: Seconds
    compiling: Seconds
    training: Seconds
    measuring: Seconds
    figures: Seconds | None


@with_config(STRICT)
class Summary(TypedDict):
    """`summary.json` as a whole; `runs` only where several are shown together.

    `directory` is where the run was written, as that was said; None of several runs.

    `seconds` is what training cost, added up over stacks that may have trained side by side. `wall_seconds` is what
    the run took by the clock until its answer was known, figures not included; of a resumed run, the process that
    finished it.
    """

    format_version: Annotated[Annotated[int, Field(ge=1)] | None, ADDED]
    name: str
    directory: Annotated[str | None, ADDED]
    status: Literal["finished", "failed"]
    device: str
    engine: Annotated[dict[str, Any] | None, ADDED]
    data: Annotated[dict[str, DataSummary] | None, ADDED]
    warnings: Annotated[list[RunWarning] | None, ADDED]
    warm_start: Annotated[WarmStart | None, ADDED]
    arms: Annotated[list[ArmSummary], Field(min_length=1)]
    rules: Annotated[Rules | None, ADDED]
    pairs: Annotated[Pairs | None, ADDED]
    verdicts: list[Verdict]
    across: Annotated[Across | None, ADDED]
    expectations: list[ExpectationResult]
    pairing: list[Pairing]
    tuning: Annotated[Tuning | None, ADDED]
    seconds: Annotated[Seconds | None, ADDED]
    wall_seconds: Annotated[Seconds | None, ADDED]
    clock: Annotated[TimeSpent | None, ADDED]
    runs: NotRequired[list[JoinedRun]]


class Compared(TypedDict):
    """The part of a summary with the data, the arms and their pairing."""

    data: dict[str, DataSummary] | None
    warnings: list[RunWarning] | None
    arms: list[ArmSummary]
    pairing: list[Pairing]


class Judged(Compared):
    """The same, with the verdicts on the arms, and the rules by which they were reached."""

    rules: Rules | None
    pairs: Pairs | None
    verdicts: list[Verdict]


@cache
def _adapter() -> TypeAdapter[Summary]:
    """Built when it is first needed: that takes as long as reading many summaries."""
    return TypeAdapter(Summary)


@cache
def _statistic() -> TypeAdapter[Statistic]:
    return TypeAdapter(Statistic)


def read_summary(path: str, text: str, metrics: Mapping[str, Bounds]) -> Summary:
    """`summary.json`; what an older version lacks is None.

    Args:
        path: where the text is from, for messages.
        text: the content of the file.
        metrics: the bounds of every metric that is known.

    Raises:
        RunError: it is damaged, or of a newer version.
    """
    summary = validated(path, _adapter(), parsed(path, text))
    for place, arm in enumerate(summary["arms"]):
        for name, value in cross_metrics(arm["cross"]).items() if arm["cross"] else ():
            validated(path, _statistic(), value, f"arms[{place}].cross.{name}")
    require_consistent(path, summary, metrics)
    for row in summary["verdicts"]:
        row["verdict"] = OLD_WORDS.get(row["verdict"], row["verdict"])
    return summary


def cross_metrics(cross: Cross) -> dict[str, Statistic]:
    """The metrics of trained networks on test data, by name."""
    found: Mapping[str, Any] = cross
    return {name: statistic for name, statistic in found.items() if name != "losses"}


def origins(summary: Summary) -> list[Origin]:
    """The origin of each trial of a run, by its number: arm by arm, seed by seed."""
    return [
        Origin(arm["name"], arm["loss"], arm["dataset"], arm["model"], seed)
        for arm in summary["arms"]
        for seed in arm["seeds"]
    ]
