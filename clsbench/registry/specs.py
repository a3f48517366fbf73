"""What is known of a registered function without calling it: options from its signature, help from its docstring."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Annotated, Any, ClassVar, Literal, get_args

from clsbench.errors import RegistrationError
from clsbench.registry.names import suggestion
from clsbench.signatures import evaluated

Kind = Literal["dataset", "model", "loss", "optimizer", "metric"]
KINDS: tuple[Kind, ...] = ("dataset", "model", "loss", "optimizer", "metric")
LinkName = Literal["softmax", "sigmoid", "identity"]
ProblemName = Literal["single_label", "multi_label", "regression", "probability"]
PROBLEMS: tuple[ProblemName, ProblemName, ProblemName, ProblemName] = get_args(ProblemName)
Better = Literal["higher", "lower"]
Bounds = tuple[float | None, float | None]  # least and greatest; None where there is none
Split = Literal["train", "val", "test"]
SPLITS: tuple[Split, ...] = ("train", "val", "test")
SHARE = "share of samples"  # a unit: a whole number of samples over all
# What a metric can be made of, for B samples: see `training.quantities.Quantities` for shapes and meaning.
QUANTITIES = (
    *("logits", "targets", "predictions", "probabilities", "log_probabilities", "margins", "losses"),
    *("gradients", "gradient_norms", "zero_gradient_norms", "class_counts", "ranking", "wrong", "log_likelihoods"),
    *("encoded_targets", "scaled_log_probabilities", "scaled_probabilities", "posterior", "class_distances"),
)
SCALED = ("scaled_log_probabilities", "scaled_probabilities")  # known after the last epoch alone
# What some data, of problems that have the metric, do not know.
OF_SOME_DATA = ("ranking", "posterior", "class_distances", *SCALED)
RANKING = "ranking"  # of all samples of a split: a metric that is made of it stands at the end, not in sums


class NamesFile:
    """Marks the type of an option that names a file or a folder."""


# A path: relative to the folder of the config that gives it, on the command line to the working directory. A factory
# gets it in full.
PathOption = Annotated[str, NamesFile()]


@dataclass(frozen=True)
class Size:
    """How large a network is: its trained parameters, and the numbers that one sample brings in and makes inside."""

    parameters: int
    inputs: int
    activations: int


@dataclass(frozen=True)
class Column:
    """How an optimizer takes one of its numbers; a marker in the number's annotation.

    `double`: in double precision. `off`: as None where every trial of the stack has this value, so that an update
    leaves out what nobody uses. `decays`: it decays the weights, and comes as `[T, P]`, zero at the biases, where
    `optimizer.decay_biases` is false.
    """

    double: bool = False
    off: float | None = None
    decays: bool = False


def is_number(annotation: Any) -> bool:
    """Whether an option of this annotation is one number, which a config may sweep and tune."""
    return annotation in (int, float) or (hasattr(annotation, "__metadata__") and is_number(get_args(annotation)[0]))


def column_of(annotation: Any) -> Column:
    """How an optimizer takes a number of this annotation."""
    return next((each for each in getattr(annotation, "__metadata__", ()) if isinstance(each, Column)), Column())


@dataclass(frozen=True)
class Option:
    """A keyword-only parameter of a factory: its type annotation and its default."""

    name: str
    annotation: Any
    default: Any = inspect.Parameter.empty

    @property
    def required(self) -> bool:
        return self.default is inspect.Parameter.empty

    @property
    def is_path(self) -> bool:
        return is_path(self.annotation)


@dataclass(frozen=True, eq=False)
class Spec:
    """A registered factory and what is known of it without calling it."""

    name: str
    factory: Callable[..., Any]
    aliases: tuple[str, ...] = ()
    kind: ClassVar[Kind]

    @property
    def key(self) -> str:
        """What the catalogue knows it by."""
        return self.name

    @property
    def described(self) -> str:
        """`loss 'mine'`: its name in messages and in a run's fingerprint."""
        return f"{self.kind} {self.name!r}"

    @property
    def is_given(self) -> bool:
        """Whether it was handed over in Python, by `clsbench.compare`."""
        return self.name.endswith("()")

    @property
    def summary(self) -> str:
        """The first line of the docstring, without the full stop."""
        return self.help.partition("\n")[0].rstrip(".")

    @property
    def help(self) -> str:
        return inspect.getdoc(self.factory) or ""

    def meaning_of(self, option: str) -> str:
        """What the docstring says of an option: the sentences that name it, else the first line."""
        named = re.compile(rf"(?<!\w){re.escape(option)}(?!\w)")
        first, _, body = self.help.partition("\n")
        sentences = re.split(r"(?<=[.;])\s+(?=[A-Z`])|\n\n", body.strip())
        found = [" ".join(each.split()) for each in sentences if named.search(each)]
        return " ".join(found) or first

    @property
    def defaults(self) -> dict[str, Any]:
        """The options that have a default, at it."""
        return {name: option.default for name, option in self.options.items() if not option.required}

    @cached_property
    def options(self) -> dict[str, Option]:
        """The keyword-only parameters, in the signature's order."""
        parameters = inspect.signature(self.factory).parameters.values()
        return {
            p.name: Option(p.name, self._type_of(p), p.default)
            for p in parameters
            if p.kind is inspect.Parameter.KEYWORD_ONLY
        }

    def _type_of(self, option: inspect.Parameter) -> Any:
        try:
            return evaluated(option.annotation, self.factory)
        except RegistrationError as error:
            raise RegistrationError(f"{self.kind} {self.name!r}: option {option.name}: {error}") from error


def is_path(annotation: Any) -> bool:
    """Whether a type is `PathOption`, or one that allows it among others."""
    marks = getattr(annotation, "__metadata__", ())
    return any(isinstance(mark, NamesFile) for mark in marks) or any(map(is_path, get_args(annotation)))


def one_for_each_class(num_classes: int, **options: Any) -> int:
    return num_classes


@dataclass(frozen=True, eq=False)
class DatasetSpec(Spec):
    """What `dataset` registers. `poses(**options)` is the `problems.Posed` that is known before the data is opened.

    `drawn`: whether another seed gives other samples.
    """

    poses: Callable[..., Any] | None = None
    drawn: bool = True
    kind: ClassVar[Kind] = "dataset"

    @property
    def takes_problem(self) -> bool:
        """Whether it takes the kind of problem that is asked for, None for its own."""
        return _takes(self.factory, "problem")


@dataclass(frozen=True, eq=False)
class ModelSpec(Spec):
    """A model and the arguments of its decorator, `registry.model`."""

    dimensions: int | None = None
    stacked: bool = False
    size: Callable[..., Size] | None = None
    kind: ClassVar[Kind] = "model"


@dataclass(frozen=True, eq=False)
class LossSpec(Spec):
    """What `loss` registers. `outputs(num_targets, **options)` is K; ValueError where the loss does not fit.

    `problems` are the kinds whose targets it takes.
    """

    link: LinkName = "softmax"
    outputs: Callable[..., int] = one_for_each_class
    stacked: bool = False
    problems: tuple[ProblemName, ...] = ("single_label",)
    kind: ClassVar[Kind] = "loss"

    @cached_property
    def takes_shares(self) -> bool:
        """Whether it takes the share of each class in the training split."""
        return _takes(self.factory, "class_shares")


def _takes(factory: Callable[..., Any], name: str) -> bool:
    """Whether a function takes this by position, beside what every one of its kind is given."""
    found = inspect.signature(factory).parameters.get(name)
    return found is not None and found.kind is inspect.Parameter.POSITIONAL_OR_KEYWORD


# Keys of an experiment, which an optimizer's option must not have as its name.
TAKEN = frozenset(
    (
        *("name", "clip_norm", "decay_biases", "schedule", "warmup", "step", "gamma"),
        *("scale", "batch_size", "dataset", "model", "loss"),
    )
)


@dataclass(frozen=True, eq=False)
class OptimizerSpec(Spec):
    """An optimizer and the arguments of its decorator, `registry.optimizer`."""

    state: tuple[str, ...] = ()
    columns: tuple[str, ...] = ()
    conflicts: Callable[..., Mapping[str, str]] | None = None
    kind: ClassVar[Kind] = "optimizer"

    @property
    def decays(self) -> bool:
        """Whether one of its numbers is a weight decay that can spare biases."""
        return any(column_of(option.annotation).decays for option in self.options.values())

    def __post_init__(self) -> None:
        if "lr" not in self.options:
            raise RegistrationError(f"optimizer {self.name!r} has no option lr; take it after the *, with a default")
        if taken := TAKEN & self.options.keys():
            raise RegistrationError(
                f"optimizer {self.name!r}: {min(taken)} is a key of the experiment; rename the option"
            )
        if required := [option.name for option in self.options.values() if option.required]:
            raise RegistrationError(f"optimizer {self.name!r}: its option {required[0]} has no default; give one")


@dataclass(frozen=True, eq=False)
class MetricSpec(Spec):
    """A metric: its inputs, its sums and how it is displayed.

    Attributes:
        better: the direction that is better; None for a diagnostic that has none.
        splits: those that it is taken on after every epoch; a diagnostic belongs to none.
        label: the displayed text; by default the name.
        unit: its unit.
        tolerance: the negligible difference, in its own units; None if verdicts do not use it.
        final: it is computed only for trained networks, on test data.
        bounds: its least and greatest value, None where there is none; a record beyond them is damaged.
        by_class: it gives a number for each class, `[..., C]`.
        skewed: tables and verdicts have it only where some classes are much more frequent than others.
        problems: the kinds of problems whose predictions it judges.
        stacked: it takes leading axes, `[..., B]`; one of the user's own is called trial by trial.
    """

    better: Better | None = None
    splits: tuple[Split, ...] = ()
    label: str = ""
    unit: str = ""
    tolerance: float | None = None
    final: bool = False
    bounds: Bounds = (None, None)
    by_class: bool = False
    skewed: bool = False
    problems: tuple[ProblemName, ...] = ("single_label",)
    stacked: bool = False
    kind: ClassVar[Kind] = "metric"

    def __post_init__(self) -> None:
        if isinstance(self.factory, type) and not (self.sums and self.value):
            raise RegistrationError(f"metric {self.name!r} is a class without sums and value; give it both")
        for need in self.needs:
            if need not in QUANTITIES:
                raise RegistrationError(
                    f"metric {self.name!r} needs {need!r}, which is unknown; {suggestion(need, QUANTITIES)}"
                )
        if self.ranks and (self.needs != (RANKING,) or self.sums):
            raise RegistrationError(
                f"metric {self.name!r}: the ranking is of the whole split; write a function of it alone"
            )

    @property
    def key(self) -> str:
        """Its name; of one that single-label problems lack, with the first kind that it is for: `regression.rmse`."""
        return self.name if "single_label" in self.problems else f"{self.problems[0]}.{self.name}"

    @cached_property
    def needs(self) -> tuple[str, ...]:
        """What it is computed from, by the names of its parameters."""
        return tuple(inspect.signature(self.sums or self.factory).parameters)

    @property
    def ranks(self) -> bool:
        """Whether it is made of the ranking of all samples of a split."""
        return RANKING in self.needs

    @property
    def at_last(self) -> bool:
        """Whether only the record of the last epoch has it."""
        return any(need in SCALED for need in self.needs)

    @property
    def of_some_data(self) -> bool:
        """Whether it is null, whatever the loss, for data that do not know what it is made of."""
        return any(need in OF_SOME_DATA for need in self.needs)

    @property
    def sums(self) -> Callable[..., Any] | None:
        """Its sums over samples; None for a function of samples, whose mean it is."""
        return getattr(self.factory, "sums", None)

    @property
    def value(self) -> Callable[..., Any] | None:
        """Its value from the sums and the number of samples; None for a mean."""
        return getattr(self.factory, "value", None)
