"""The experiment, typed and frozen. Every key's meaning and default stands here, once.

Datasets, models and losses add options of their own: `entry_type` joins them, read from the factory's
signature, to the keys that all entries share.
"""

from __future__ import annotations

import functools
import math
import re
import sys
from collections.abc import Callable, Mapping
from typing import Annotated, Any, Literal, TypeVar

from annotated_types import Interval
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    PlainValidator,
    SerializeAsAny,
    create_model,
    model_validator,
)
from pydantic_core import PydanticCustomError

from clsbench.config.yaml_text import is_text, shown
from clsbench.registry import Component

MAX_SEED = 2**32 - 1
MAX_COUNT = 10**9
MAX_THREADS = 1024
LARGEST = sys.float_info.max

T = TypeVar("T")


def _mistake(text: str) -> PydanticCustomError:
    return PydanticCustomError("clsbench", "{text}", {"text": text})


def _number(
    *, above: float = -math.inf, least: float = -math.inf, below: float = math.inf, nullable: bool = False
) -> Callable[[Any], int | float | None]:
    """A check for a finite number, kept as it was written: `10` stays 10 and an arm is named so."""
    bounds = [f"{word} {bound:g}" for word, bound in (("above", above), ("at least", least), ("below", below))]
    allowed = "a number " + " and ".join(text for text in bounds if "inf" not in text) + " or null" * nullable

    def check(value: Any) -> int | float | None:
        if value is None and nullable:
            return None
        is_number = isinstance(value, int | float) and not isinstance(value, bool) and abs(value) <= LARGEST
        if not is_number or not (above < value < below and value >= least):
            raise _mistake(f"must be {allowed}, got {shown(value)}")
        number: int | float = value
        return number

    return check


def _auto_or_count(most: int) -> Callable[[Any], int | str]:
    def check(value: Any) -> int | str:
        is_count = isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= most
        if not is_count and value != "auto":
            raise _mistake(f"must be auto or a whole number from 1 to {most}, got {shown(value)}")
        chosen: int | str = value
        return chosen

    return check


def _betas(value: Any) -> tuple[float, float]:
    if not isinstance(value, list | tuple) or len(value) != 2:
        raise _mistake(f"must be a list of two numbers, got {shown(value)}")
    check = _number(least=0, below=1)
    return float(check(value[0]) or 0), float(check(value[1]) or 0)


def _device(value: Any) -> str:
    if isinstance(value, str) and re.fullmatch(r"auto|cpu|cuda(:\d{1,4})?", value):
        return value
    raise _mistake(f"must be auto, cpu, cuda or cuda:N, got {shown(value)}")


def _run_name(value: str) -> str:
    if not re.fullmatch(r"[a-z0-9][a-z0-9._-]{0,99}", value):
        rule = "must begin with a-z or 0-9 and go on with those, '.', '_' and '-', 100 characters at most"
        raise _mistake(f"{rule}, got {shown(value)}")
    return value


Positive = Annotated[int | float, PlainValidator(_number(above=0))]
NonNegative = Annotated[int | float, PlainValidator(_number(least=0))]
Share = Annotated[int | float, PlainValidator(_number(least=0, below=1))]
ShareOrNull = Annotated[int | float | None, PlainValidator(_number(least=0, below=1, nullable=True))]
PositiveOrNull = Annotated[int | float | None, PlainValidator(_number(above=0, nullable=True))]
Count = Annotated[int, Interval(ge=1, le=MAX_COUNT)]
Betas = Annotated[tuple[float, float], BeforeValidator(_betas)]
Device = Annotated[str, PlainValidator(_device)]


def _listed(value: Any) -> Any:
    if isinstance(value, list | tuple):
        if not value:
            raise _mistake("an empty list; give at least one value")
        return tuple(value)
    return (value,)


def _unlisted(values: tuple[Any, ...]) -> Any:
    return values[0] if len(values) == 1 else list(values)


# A value, or a list of values to sweep over.
Sweep = Annotated[tuple[T, ...], BeforeValidator(_listed), PlainSerializer(_unlisted)]


def _seeds(value: Any) -> Any:
    if isinstance(value, int) and not isinstance(value, bool):
        if value < 1 or value > MAX_SEED:
            raise _mistake(f"must be a number of seeds of at least 1, or a list of seeds, got {shown(value)}")
        return value
    if not isinstance(value, list | tuple) or not value:
        raise _mistake(f"must be a number of seeds, or a list of seeds, got {shown(value)}")
    for seed in value:
        if not isinstance(seed, int) or isinstance(seed, bool) or not 0 <= seed <= MAX_SEED:
            raise _mistake(f"a seed must be a whole number from 0 to {MAX_SEED}, got {shown(seed)}")
    if len(set(value)) < len(value):
        raise _mistake("a seed is listed twice")
    return tuple(value)


class Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


class Entry(Frozen):
    """A dataset, a model or a loss: its name, its label, and the options of its own."""

    name: str
    label: str | None = Field(None, description="what it is called in names and legends; by default its name")

    @model_validator(mode="before")
    @classmethod
    def _can_be_written(cls, data: Any) -> Any:
        for key, value in data.items() if isinstance(data, Mapping) else ():
            if isinstance(value, str) and not is_text(value):
                raise _mistake(f"{key}: {shown(value)} is no text: it holds half a character")
        return data

    @property
    def title(self) -> str:
        return self.label if self.label is not None else self.name

    @property
    def key(self) -> str:
        """All that it says, as text to look it up by."""
        return self.model_dump_json()

    @property
    def options(self) -> dict[str, Any]:
        """The options of its own, as the factory's keyword arguments."""
        (base,) = (kind for kind in ENTRY_TYPES.values() if isinstance(self, kind))
        return {name: getattr(self, name) for name in type(self).model_fields if name not in base.model_fields}


class DatasetEntry(Entry):
    val_fraction: Share = Field(0.2, description="share of the set (of its training part) kept for validation")
    test_fraction: ShareOrNull = Field(0.2, description="share kept for testing; null where a test set comes along")
    split_seed: Annotated[int, Interval(ge=0, le=MAX_SEED)] = Field(
        0, description="seeds split, noise and generated data"
    )
    normalize: Literal["standard", "unit", "none"] = Field("standard", description="fitted on the training split")
    label_noise: Share = Field(0.0, description="share of the training labels replaced by another class")
    limit: Count | None = Field(None, description="keep at most this many samples")


class Init(Frozen):
    weights: Literal[
        "default", "normal", "uniform", "xavier_normal", "xavier_uniform", "kaiming_normal", "kaiming_uniform", "zeros"
    ] = Field("default", description="the distribution of the weights; default is PyTorch's")
    scale: Sweep[NonNegative] = Field((1.0,), description="multiplies the weights; for normal, their deviation")
    bias: Literal["default", "zeros", "normal"] = Field("default", description="normal has deviation 1")


class ModelEntry(Entry):
    init: Init = Field(Init(), description="how the weights start")


class LossEntry(Entry):
    lr: PositiveOrNull = Field(None, description="replaces optimizer.lr for this loss")
    weight: Positive = Field(1.0, description="multiplies the loss")


class Schedule(Frozen):
    name: Literal["constant", "step", "cosine"] = Field("constant", description="how the rate goes on after warm-up")
    warmup: Sweep[Annotated[int, Interval(ge=0, le=MAX_COUNT)]] = Field((0,), description="epochs of linear rise")
    step: Sweep[Count] = Field((10,), description="epochs between the drops of `step`")
    gamma: Sweep[Positive] = Field((0.1,), description="factor of each drop of `step`")


class OptimizerConfig(Frozen):
    name: str = Field("sgd", description="sgd, adam or adamw")
    lr: Sweep[Positive] = Field((0.1,), description="learning rate")
    momentum: Sweep[Share] = Field((0.0,), description="of sgd")
    nesterov: bool = Field(False, description="of sgd with momentum")
    weight_decay: Sweep[NonNegative] = Field((0.0,), description="L2 penalty; decoupled for adamw")
    betas: Betas = Field((0.9, 0.999), description="of adam and adamw")
    eps: Sweep[Positive] = Field((1.0e-8,), description="of adam and adamw")
    clip_norm: Sweep[PositiveOrNull] = Field((None,), description="largest L2 norm of a trial's gradient")
    schedule: Schedule = Field(Schedule(), description="how the learning rate changes")


class TrainConfig(Frozen):
    epochs: Count = 20
    batch_size: Sweep[Count] = (32,)
    seeds: Annotated[int | tuple[int, ...], BeforeValidator(_seeds)] = Field(
        5, description="5 means 0..4; a list names them"
    )
    device: Device = Field("auto", description="auto, cpu, cuda, cuda:N")
    threads: Annotated[Literal["auto"] | int, PlainValidator(_auto_or_count(MAX_THREADS))] = Field(
        "auto", description="CPU threads of one operation"
    )
    stack: Annotated[Literal["auto"] | int, PlainValidator(_auto_or_count(MAX_COUNT))] = Field(
        "auto", description="trials trained as one program"
    )

    @property
    def seed_list(self) -> tuple[int, ...]:
        return tuple(range(self.seeds)) if isinstance(self.seeds, int) else self.seeds

    @property
    def num_seeds(self) -> int:
        return self.seeds if isinstance(self.seeds, int) else len(self.seeds)


class Experiment(Frozen):
    """One YAML file, defaults filled in."""

    name: Annotated[str, AfterValidator(_run_name)] = "moons"
    dataset: Sweep[SerializeAsAny[DatasetEntry]]
    model: Sweep[SerializeAsAny[ModelEntry]]
    loss: Sweep[SerializeAsAny[LossEntry]]
    optimizer: OptimizerConfig = OptimizerConfig()
    train: TrainConfig = TrainConfig()

    def to_dict(self) -> dict[str, Any]:
        """The whole experiment as plain data, which reads back as itself."""
        return self.model_dump(mode="json")


ENTRY_TYPES: dict[str, type[Entry]] = {"dataset": DatasetEntry, "model": ModelEntry, "loss": LossEntry}
DEFAULT_ENTRIES: Mapping[str, Any] = {"dataset": "moons", "model": "mlp", "loss": ["mse_softmax", "cross_entropy"]}


@functools.cache  # entries of two types are never equal
def entry_type(component: Component) -> type[Entry]:
    """The shared keys of a component's kind joined with the options of its own."""
    base = ENTRY_TYPES[component.kind]
    options: dict[str, Any] = {
        option.name: (option.annotation, ... if option.required else option.default)
        for option in component.options.values()
    }
    return create_model(f"{component.name} {component.kind}", __base__=base, **options)
