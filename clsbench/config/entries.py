"""Datasets, models and losses of a config: the keys that all share, and the options of each from its signature."""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Iterator
from dataclasses import replace
from typing import Annotated, Any, Literal, Self, cast

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    create_model,
)

from clsbench.config.options import is_single
from clsbench.config.values import (
    AtLeastOneOrNull,
    ClassNames,
    ClassWeight,
    Count,
    NonNegative,
    PositiveOrMatch,
    PositiveOrNull,
    Several,
    Share,
    ShareOrNull,
    SplitSeed,
    Sweep,
    SweptOption,
    without_nul,
)
from clsbench.problems import NoiseKind, Posed, SingleLabel, posed_by
from clsbench.registry import ProblemName, Spec


class Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


class Entry(Frozen):
    """A dataset, a model or a loss: its name, its label and its options."""

    name: str = Field(description="which one; `clsbench list` shows them")
    label: str | None = Field(None, description="its name in arms and legends; by default `name`")

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


ENTRY_TYPES: dict[str, type[Entry]] = {"dataset": DatasetEntry, "model": ModelEntry, "loss": LossEntry}


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
