"""The decorators that register: one function in one file is known everywhere."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from clsbench.errors import RegistrationError
from clsbench.registry.catalogue import catalogue
from clsbench.registry.specs import (
    Better,
    Bounds,
    DatasetSpec,
    Kind,
    LinkName,
    LossSpec,
    MetricSpec,
    ModelSpec,
    OptimizerSpec,
    ProblemName,
    Size,
    Spec,
    Split,
    one_for_each_class,
)
from clsbench.signatures import require_name, require_signature

Factory = TypeVar("Factory", bound=Callable[..., Any])


def dataset(
    name: str, *, poses: Callable[..., Any] | None = None, drawn: bool = True, aliases: tuple[str, ...] = ()
) -> Callable[[Factory], Factory]:
    """Register a dataset: a function `(seed, *, options) -> (features, labels)` or a `RawData`.

    `poses(**options)` gives the `problems.Posed` that is known without opening the data, where something is.
    `drawn` says that another seed gives other samples; without, the data are read once, however many splits there are.
    A second parameter, `problem=None`, gets the kind of problem that `dataset.problem` asks for.
    """
    return _registers("dataset", name, aliases, lambda factory: DatasetSpec(name, factory, aliases, poses, drawn))


def model(
    name: str,
    *,
    dimensions: int | None = None,
    stacked: bool = False,
    size: Callable[..., Size] | None = None,
    aliases: tuple[str, ...] = (),
) -> Callable[[Factory], Factory]:
    """Register a model: a function `(shape, num_outputs, *, options) -> nn.Module`.

    `dimensions` is the number of axes one sample must have (3 for images), None for any.
    `stacked` says that every layer of the module takes parameters with a leading trial axis, so that
    many trials run as one batched program, and moves its buffers in place; other modules are run trial by trial.
    `size(shape, num_outputs, **options)` gives the size of a module without building it; it limits a stack.
    """
    if stacked and size is None:
        raise RegistrationError(f"model {name!r} is stacked: give its size, so that a stack fits into memory")
    return _registers(
        "model", name, aliases, lambda factory: ModelSpec(name, factory, aliases, dimensions, stacked, size)
    )


def loss(
    name: str,
    *,
    link: LinkName = "softmax",
    outputs: Callable[..., int] = one_for_each_class,
    stacked: bool = False,
    problems: tuple[ProblemName, ...] = ("single_label",),
    aliases: tuple[str, ...] = (),
) -> Callable[[Factory], Factory]:
    """Register a loss: a function `(logits, targets, *, options)`.

    It takes `[B, K]` and class numbers `[B]`, or targets `[B, D]` of the other kinds of problems, and returns the loss
    per sample, `[B]`, or one number for the batch. The loss of a sample must not depend on the samples beside it; one
    number for the batch may, and is evaluated for each sample alone where diagnostics need it.
    `outputs(num_targets, **options)` is K, by default the number of classes, labels or values; it raises ValueError
    with the reason where the loss does not fit. `problems` are the kinds of problems whose targets it takes. `stacked`
    says that the function takes any leading axes too, and so serves many trials in one call.
    A third parameter, `class_shares=None`, gets the share of each class in the training split, `[C]`.
    """
    return _registers(
        "loss", name, aliases, lambda factory: LossSpec(name, factory, aliases, link, outputs, stacked, problems)
    )


def optimizer(
    name: str,
    *,
    state: tuple[str, ...] = (),
    columns: tuple[str, ...] = (),
    conflicts: Callable[..., Mapping[str, str]] | None = None,
) -> Callable[[Factory], Factory]:
    """Register an optimizer: a function `(weights, gradients, state, *, lr, options)` that moves the weights in place.

    It updates T trials at once, each by its own options. `weights` and `gradients` are `[T, P]`. An option that is a
    number comes as a column `[T, 1]`, a tuple of numbers as a tuple of columns, any other as it is; `Column` in an
    annotation changes how a number comes. `lr` is the learning rate of this step, clipping is done before. At `lr` 0
    and gradient 0 the weights must stay as they are: so a trial that diverged is kept.

    `state` names what it keeps for every weight, `[T, P]`, `columns` what it keeps once a trial, `[T, 1]` in double
    precision; all are zero before the first step. `conflicts` takes some of the options by name and returns, by the
    name of an option, why it cannot be used beside the others.
    """
    return _registers(
        "optimizer", name, (), lambda factory: OptimizerSpec(name, factory, (), state, columns, conflicts)
    )


def metric(
    name: str,
    *,
    better: Better | None = None,
    splits: tuple[Split, ...] = (),
    label: str | None = None,
    unit: str = "",
    tolerance: float | None = None,
    final: bool = False,
    bounds: Bounds = (None, None),
    by_class: bool = False,
    skewed: bool = False,
    problems: tuple[ProblemName, ...] = ("single_label",),
    stacked: bool = False,
) -> Callable[[Factory], Factory]:
    """Register a metric; a record calls it `SPLIT_NAME`, and NAME where it belongs to no split.

    It is a function that gives a number for each sample, `[B]`, and its value on a split is their mean; or a class
    with two static methods, `sums`, which gives `[M]` for some samples, and `value(sums, num_samples)`, which makes
    the number of what they add up to. Its parameters, or those of `sums`, name what it is made of: QUANTITIES.
    One that is made of the `ranking` of all samples is a function of it alone, which gives the value.
    See `MetricSpec` for the rest.
    """
    label = name.replace("_", " ") if label is None else label
    return _registers(
        "metric",
        name,
        (),
        lambda factory: MetricSpec(
            name,
            factory,
            better=better,
            splits=splits,
            label=label,
            unit=unit,
            tolerance=tolerance,
            final=final,
            bounds=bounds,
            by_class=by_class,
            skewed=skewed,
            problems=problems,
            stacked=stacked,
        ),
    )


def _registers(
    kind: Kind, name: str, aliases: tuple[str, ...], spec_of: Callable[[Factory], Spec]
) -> Callable[[Factory], Factory]:
    require_name(kind, name)
    if not isinstance(aliases, tuple | list):
        raise RegistrationError(f"{kind} {name!r}: aliases is {aliases!r}; give a tuple of names")
    for alias in aliases:
        require_name(kind, alias)

    def decorate(factory: Factory) -> Factory:
        require_signature(kind, name, factory)
        catalogue.add(spec_of(factory))
        return factory

    return decorate
