"""The experiment, typed and frozen. Every key's meaning and default is written here, once.

Datasets, models and losses add options: `entry_type` reads them from the factory's signature and joins them
to the keys that all entries share.
"""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Annotated, Any, ClassVar, Literal, Self, cast

from annotated_types import Interval
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SerializeAsAny,
    create_model,
    model_serializer,
    model_validator,
)

from clsbench.config.options import is_single
from clsbench.config.values import (
    MAX_COUNT,
    AtLeastOneOrNull,
    AutoOrCount,
    AutoOrThreads,
    ClassNames,
    ClassWeight,
    Count,
    Device,
    Margin,
    NonNegative,
    Positive,
    PositiveOrMatch,
    PositiveOrNull,
    RunName,
    Seeds,
    Several,
    Share,
    ShareOrNull,
    SplitSeed,
    Sweep,
    SweptOption,
    Trials,
    mistake,
    without_nul,
)
from clsbench.config.yaml_text import is_text, shown
from clsbench.metrics.measures import by_class, headline, judged, margins, on_split
from clsbench.problems import NoiseKind, Posed, SingleLabel, posed_by
from clsbench.registry import ProblemName, Spec, suggestion
from clsbench.results import WARNINGS, Rules

FIRST_TUNING_SEED = 10_000
SCHEDULE_KEYS = ("warmup", "step", "gamma")


class Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


class Entry(Frozen):
    """A dataset, a model or a loss: its name, its label and its options."""

    name: str = Field(description="which one; `clsbench list` shows them")
    label: str | None = Field(None, description="its name in arms and legends; by default `name`")

    @model_validator(mode="before")
    @classmethod
    def _can_be_written(cls, data: Any) -> Any:
        for key, value in data.items() if isinstance(data, Mapping) else ():
            for part in _parts(value):
                if isinstance(part, str) and not is_text(part):
                    raise mistake(f"{key}: {shown(part)} contains an unpaired surrogate, which no file can hold")
        return data

    @property
    def title(self) -> str:
        return self.label if self.label is not None else self.name

    @property
    def key(self) -> str:
        """All its values as one text, for lookup."""
        return self.model_dump_json()

    @property
    def options(self) -> dict[str, Any]:
        """Its options, as keyword arguments for the factory."""
        (base,) = (kind for kind in ENTRY_TYPES.values() if isinstance(self, kind))
        return {name: getattr(self, name) for name in type(self).model_fields if name not in base.model_fields}

    @property
    def swept(self) -> dict[str, Several]:
        """The options that it sweeps, in the order of the signature."""
        return {name: value for name, value in self.options.items() if isinstance(value, Several)}

    @property
    def num_points(self) -> int:
        return math.prod(map(len, self.swept.values()))

    def points(self) -> Iterator[tuple[dict[str, Any], Self]]:
        """Each setting of the swept options, with the entry at it; one that sweeps none is its only point."""
        swept = self.swept
        for values in itertools.product(*swept.values()):
            setting = dict(zip(swept, values, strict=True))
            yield setting, self.model_copy(update=setting) if setting else self


def _parts(value: Any) -> Iterator[Any]:
    """A value and everything inside it."""
    yield value
    if isinstance(value, Mapping):
        for key, each in value.items():
            yield key
            yield from _parts(each)
    elif isinstance(value, list | tuple):
        for each in value:
            yield from _parts(each)


class DatasetEntry(Entry):
    val_fraction: Share = Field(0.2, description="fraction of the set (of its training part) used for validation")
    test_fraction: ShareOrNull = Field(
        0.2, description="fraction used for testing; null if the dataset has its own test set"
    )
    split_seed: SplitSeed = Field(
        "per_seed",
        description="seeds the split, the label noise and generated data; per_seed uses each trial's seed; it is 0 by "
        "default if the dataset has its own test set",
    )
    normalize: Literal["standard", "unit", "none"] = Field("standard", description="fitted on the training split")
    label_noise: Share = Field(0.0, description="fraction of the training labels replaced by another class")
    label_noise_kind: NoiseKind = Field(
        "symmetric", description="by which class: symmetric, any other equally likely; pairwise, the next one"
    )
    limit: Count | None = Field(None, description="keep at most this many samples")
    only_classes: ClassNames | None = Field(None, description="the classes to keep, by name; they stay in their order")
    imbalance: AtLeastOneOrNull = Field(
        None,
        description="thins the training split out to a long tail: how many times as many samples the first class has "
        "as the last, exponentially fewer from class to class; validation and test data stay as they are",
    )
    problem: Literal["auto", ProblemName] = Field(
        "auto", description="what the targets are taken for; auto: what they look like, which is said"
    )

    @property
    def asked_problem(self) -> ProblemName | None:
        """The kind of problem that is asked for; None for the data's own."""
        return None if self.problem == "auto" else self.problem

    @property
    def posed(self) -> Posed:
        """The problem that it poses, as far as it is known before the data are opened.

        Raises:
            ValueError: its options are impossible; the message gives the reason.
        """
        known = posed_by(self.name, self.options)
        if self.only_classes is not None:
            try:
                whole = known.problem or SingleLabel(len(self.only_classes))
                known = replace(known, problem=whole.only(self.only_classes))
            except ValueError as error:
                raise ValueError(f"only_classes: {error}") from error
        return known if self.asked_problem is None else known.taken_for(self.asked_problem)


class Init(Frozen):
    weights: Literal[
        "default", "normal", "uniform", "xavier_normal", "xavier_uniform", "kaiming_normal", "kaiming_uniform", "zeros"
    ] = Field("default", description="the distribution of the weights; default is PyTorch's")
    scale: Sweep[NonNegative] = Field(
        (1.0,), description="multiplies the weights; for normal, their standard deviation"
    )
    bias: Literal["default", "zeros", "normal"] = Field("default", description="normal has standard deviation 1")


class ModelEntry(Entry):
    init: Init = Field(Init(), description="initial weights")


class LossEntry(Entry):
    lr: PositiveOrNull = Field(None, description="replaces optimizer.lr for this loss")
    weight: PositiveOrMatch = Field(
        1.0, description="multiplies the loss; match gives its gradient the norm of the first loss's before training"
    )
    class_weight: ClassWeight = Field(
        None,
        description="multiplies the loss of each class's samples: {NAME: number} (others 1), or balanced: n / (C n_c), "
        "from the n training samples of C classes; null weighs nothing",
    )


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


ENTRY_TYPES: dict[str, type[Entry]] = {"dataset": DatasetEntry, "model": ModelEntry, "loss": LossEntry}
DEFAULT_ENTRIES: Mapping[str, Any] = {"dataset": "moons", "model": "mlp", "loss": ["mse_softmax", "cross_entropy"]}
DEFAULT_OPTIMIZER = "sgd"
DEFAULT_GRID: Mapping[str, Any] = {"lr": [0.01, 0.1, 1.0]}


@functools.cache  # entries of two types are never equal
def entry_type(spec: Spec) -> type[Entry]:
    """The keys that all specs of a kind share, and the options of this one; those of losses and models can sweep."""
    base, swept = ENTRY_TYPES[spec.kind], cast(Any, SweptOption)
    options: dict[str, Any] = {}
    for option in spec.options.values():
        kind: Any = Annotated[option.annotation, AfterValidator(without_nul)]
        if spec.kind != "dataset" and is_single(option.annotation):
            kind = swept[kind]
        options[option.name] = (kind, ... if option.required else option.default)
    return create_model(f"{spec.name} {spec.kind}", __base__=base, **options)
