"""The experiment, typed and frozen: the sections of a config, each key with its meaning and default.

Datasets, models and losses are entries, see `config.entries`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, ClassVar, Literal

from annotated_types import Interval
from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    SerializeAsAny,
    model_serializer,
    model_validator,
)

from clsbench.config.entries import DatasetEntry, Frozen, LossEntry, ModelEntry
from clsbench.config.values import (
    MAX_COUNT,
    AutoOrCount,
    AutoOrThreads,
    Count,
    Device,
    Margin,
    NonNegative,
    Positive,
    PositiveOrNull,
    RunName,
    Seeds,
    Sweep,
    Trials,
    mistake,
)
from clsbench.config.yaml_text import shown
from clsbench.metrics.measures import by_class, headline, judged, margins, on_split
from clsbench.problems import SingleLabel
from clsbench.registry import suggestion
from clsbench.results import WARNINGS, Rules

FIRST_TUNING_SEED = 10_000
MOST_EXTENDED = 2  # so many times the settings of its grid, an arm tries with those beyond the grid's edges
SCHEDULE_KEYS = ("warmup", "step", "gamma")


class Schedule(Frozen):
    name: Literal["constant", "step", "cosine"] = Field("constant", description="the learning rate after warm-up")
    warmup: Sweep[Annotated[int, Interval(ge=0, le=MAX_COUNT)]] = Field((0,), description="epochs of linear rise")
    step: Sweep[Count] = Field((10,), description="epochs between the drops of `step`")
    gamma: Sweep[Positive] = Field((0.1,), description="factor of each drop of `step`")


class Named(Frozen):
    name: str = Field(description="which optimizer; `clsbench list optimizers` shows them")


class OptimizerConfig(Named):
    """An optimizer: its name, its options (see `optimizer_type`) and those that all optimizers share."""

    own_numbers: ClassVar[tuple[str, ...]] = ()

    decay_biases: bool = Field(
        True, description="whether weight decay shrinks biases too; false spares them, the parameters named bias"
    )
    clip_norm: Sweep[PositiveOrNull] = Field((None,), description="largest L2 norm of a trial's gradient")
    schedule: Schedule = Field(Schedule(), description="learning-rate schedule")

    @property
    def options(self) -> dict[str, Any]:
        """Its options; numbers are tuples of the values to sweep over."""
        shared = OptimizerConfig.model_fields
        return {name: getattr(self, name) for name in type(self).model_fields if name not in shared}

    @property
    def swept(self) -> dict[str, tuple[Any, ...]]:
        """The values of every number, those of the schedule included, by the last part of its key."""
        own = {name: getattr(self, name) for name in (*self.own_numbers, "clip_norm")}
        return own | {name: getattr(self.schedule, name) for name in SCHEDULE_KEYS}

    def sweeping(self, values: Mapping[str, tuple[Any, ...]]) -> OptimizerConfig:
        """The same with other values of some numbers, by the keys of `swept`."""
        scheduled = {name: value for name, value in values.items() if name in SCHEDULE_KEYS}
        own = {name: value for name, value in values.items() if name not in scheduled}
        return self.model_copy(update={**own, "schedule": self.schedule.model_copy(update=scheduled)})


class WarmStart(Frozen):
    """Pre-training by cross-entropy and plain SGD, the same for every arm of a comparison."""

    labels: Literal["rotated", True] = Field(
        "rotated", description="rotated: each label is the next class, a confidently wrong start; true: the right ones"
    )
    epochs: Count = Field(30, description="epochs of the warm start")
    lr: Positive = Field(1.0, description="learning rate of the warm start")


class TrainConfig(Frozen):
    epochs: Count = Field(20, description="passes over the training data")
    batch_size: Sweep[Count] = Field((32,), description="samples in one step; the last, partial batch is kept")
    seeds: Seeds = Field(5, description="5 means 0..4; a list names them")
    device: Device = Field("auto", description="auto, cpu, cuda, cuda:N")
    precision: Literal["float32", "bfloat16"] = Field(
        "float32", description="precision of the layers in training; weights, losses and metrics are float32"
    )
    threads: AutoOrThreads = Field("auto", description="CPU cores: of a stack of dense trials, else of one operation")
    compile: Literal["auto", "on", "off"] = Field("auto", description="compiled steps; auto from 4,000 steps on")
    stack: AutoOrCount = Field(
        "auto", description="trials trained as one program; auto: as many as fit into 2 GiB, 256 at most"
    )
    warm_start: WarmStart | None = Field(None, description="pre-training of every trial")

    @property
    def seed_list(self) -> tuple[int, ...]:
        return tuple(range(self.seeds)) if isinstance(self.seeds, int) else self.seeds

    @property
    def num_seeds(self) -> int:
        return self.seeds if isinstance(self.seeds, int) else len(self.seeds)


class Grid(Frozen):
    """Values to try, by the last part of an optimizer's, a schedule's or a loss's key; empty if not tuned.

    `tune_type` adds the numbers of an optimizer, before these, and those of losses. `gamma` is the schedule's where
    that has one, else the losses'.
    """

    clip_norm: Trials[PositiveOrNull] = ()
    warmup: Trials[Annotated[int, Interval(ge=0, le=MAX_COUNT)]] = ()
    step: Trials[Count] = ()
    gamma: Trials[NonNegative] = ()
    class_weight: Trials[Literal["balanced"] | None] = ()

    @property
    def axes(self) -> dict[str, tuple[Any, ...]]:
        """The tuned keys, in the order of the fields above, not of the file."""
        return {key: values for key in type(self).model_fields if (values := getattr(self, key))}

    @model_serializer
    def _tuned_alone(self) -> dict[str, Any]:
        return {key: list(values) for key, values in self.axes.items()}


def _validated(metric: str) -> str:
    usual = [name for name, each in on_split("val", SingleLabel).items() if not each.by_class]
    if metric in by_class():
        raise mistake(f"{metric} has a number for each class; use val_balanced_accuracy, their mean recall")
    if metric not in on_split("val"):
        raise mistake(f"unknown validation metric {shown(metric)}; {suggestion(metric, usual)}")
    return metric


class TuneConfig(Frozen):
    """Every arm tries the grid on separate seeds, and is then trained again at the chosen setting.

    A key of losses is tried by those that have it: the others have fewer settings.

    No setting is chosen by samples that it is tested on. With `per_arm_per_seed` each seed of the experiment is tuned
    inside its own split. Otherwise one setting serves all seeds, and with `per_seed` splits tuning uses the samples
    that no seed tests.
    """

    grid: SerializeAsAny[Grid] = Field(description="settings to try: lists of values, or log(1e-3, 1, 7)")
    seeds: Count = Field(3, description="seeds of each setting, counted from 10000")
    metric: Annotated[str, AfterValidator(_validated)] = Field(
        headline(SingleLabel, "val"), description="validation metric that chooses the best setting"
    )
    protocol: Literal["per_arm", "shared", "per_arm_per_seed"] = Field(
        "per_arm",
        description="per_arm: each arm has its own best setting; shared: one for all arms of a comparison; "
        "per_arm_per_seed: each arm has its own at each seed, chosen inside its split, the default where a dataset "
        "that is not generated is split per_seed",
    )
    extend: bool = Field(
        False,
        description="whether a grid grows, for all arms alike, beyond an edge on which a best value lies, to "
        "twice its settings at most",
    )

    @property
    def most_times(self) -> int:
        """How many times the settings of the grid an arm tries at most."""
        return MOST_EXTENDED if self.extend else 1

    def at(self, axes: Mapping[str, tuple[Any, ...]]) -> TuneConfig:
        """The same with other values on some axes."""
        return self.model_copy(update={"grid": self.grid.model_copy(update=dict(axes))})

    @property
    def is_per_seed(self) -> bool:
        return self.protocol == "per_arm_per_seed"

    def seed_list(self, own: Sequence[int]) -> tuple[int, ...]:
        """Its seeds, in the order of those of the experiment that they serve: all of them, or each its own."""
        first = (FIRST_TUNING_SEED + seed for seed in own) if self.is_per_seed else (FIRST_TUNING_SEED,)
        step = FIRST_TUNING_SEED if self.is_per_seed else 1
        return tuple(seed + step * number for seed in first for number in range(self.seeds))


class StopConfig(Frozen):
    """A trial stops where a validation metric has not been better for some epochs."""

    metric: Annotated[str, AfterValidator(_validated)] = Field(
        f"val_{SingleLabel.second}", description="validation metric that must improve"
    )
    patience: Count = Field(5, description="epochs without a better value after which a trial stops")


def _of_judged(margin: Mapping[str, float]) -> Mapping[str, float]:
    known = [name.removeprefix("test_") for name in judged()]
    for name in margin:
        if name not in known:
            raise mistake(f"there are no verdicts by {shown(name)}; {suggestion(name, known)}")
    return margin


class VerdictConfig(Frozen):
    """When a difference between two arms counts, and which verdicts are corrected together."""

    margin: Annotated[Margin, AfterValidator(_of_judged)] = Field(
        default_factory=margins, description="the largest negligible difference, by metric; others keep their own"
    )
    family: Literal["comparison", "metric", "run"] = Field(
        "comparison",
        description="the verdicts of which at most one in twenty may be wrong by chance: all of a comparison, those by "
        "one metric in it, or all of the run",
    )
    baseline: str | None = Field(
        None, description="an arm, or the label of a loss: the others are compared with it alone; null compares all"
    )

    @property
    def rules(self) -> Rules:
        return {"margin": dict(self.margin), "family": self.family, "baseline": self.baseline}


class ReportConfig(Frozen):
    """What a run writes to be looked at, beside its records; `off` writes nothing of it."""

    figures: bool = Field(True, description="write the figures, as PNG and SVG")
    html: bool = Field(True, description="write report.html, and keep replay.npz for it while training")
    words: ClassVar[tuple[str, ...]] = ("off",)

    @model_validator(mode="before")
    @classmethod
    def _off(cls, value: Any) -> Any:
        if isinstance(value, Mapping | cls):
            return value
        if value != "off":
            raise mistake(f"must be off, or a mapping of figures and html, got {shown(value)}")
        return {"figures": False, "html": False}


def _known_warning(code: str) -> str:
    if code not in WARNINGS:
        raise mistake(f"unknown warning {shown(code)}; {suggestion(code, WARNINGS)}")
    return code


WarningCodes = Annotated[
    tuple[Annotated[str, AfterValidator(_known_warning)], ...],
    BeforeValidator(lambda value: tuple(value) if isinstance(value, list) else value),
]


class Experiment(Frozen):
    """One YAML file with its defaults filled in."""

    name: RunName = Field("moons", description="names the run's folder: runs/NAME/TIME")
    dataset: Sweep[SerializeAsAny[DatasetEntry]] = Field(
        description="what is learned from: a name, or one with options"
    )
    model: Sweep[SerializeAsAny[ModelEntry]] = Field(description="what learns: a name, or one with options")
    loss: Sweep[SerializeAsAny[LossEntry]] = Field(description="what is compared: names, or mappings with options")
    optimizer: SerializeAsAny[OptimizerConfig] = Field(description="how weights are updated; every number sweeps")
    train: TrainConfig = Field(TrainConfig(), description="how long, on which seeds and where every trial trains")
    tune: SerializeAsAny[TuneConfig] | None = Field(
        None, description="settings that every arm tries on validation data"
    )
    verdict: VerdictConfig = Field(
        default_factory=VerdictConfig, description="when a difference between two arms counts"
    )
    stop: StopConfig | None = Field(
        None, description="ends each trial where a validation metric no longer improves; its last epoch is its result"
    )
    report: ReportConfig = Field(
        ReportConfig(), description="what is written to be looked at; off: neither figures nor report.html"
    )
    expect: tuple[str, ...] = Field(
        (), description="what must come out, such as cross_entropy.test_nll <= 0.3; else the exit code is 3"
    )
    silence: WarningCodes = Field((), description="codes of warnings that are neither shown nor counted")

    def to_dict(self) -> dict[str, Any]:
        """The whole experiment as plain data, which reads back as itself."""
        return self.model_dump(mode="json")


DEFAULT_ENTRIES: Mapping[str, Any] = {"dataset": "moons", "model": "mlp", "loss": ["mse_softmax", "cross_entropy"]}
DEFAULT_OPTIMIZER = "sgd"
DEFAULT_GRID: Mapping[str, Any] = {"lr": [0.01, 0.1, 1.0]}
