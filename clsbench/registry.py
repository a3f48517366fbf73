"""The catalogue: name -> factory, with options read from the signature and help from the docstring.

A dataset, a model or a loss is one decorated function. The parameters before the `*` are passed
by clsbench; those after it are its options, typed, with their defaults:

    @loss("focal", link="softmax")
    def focal(logits, targets, *, gamma: Annotated[float, Ge(0)] = 2.0): ...

Nothing here imports torch, and no registered module may at import time: `check` and `list` must
answer at once.
"""

from __future__ import annotations

import difflib
import hashlib
import importlib.metadata
import importlib.util
import inspect
import sys
import traceback
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from importlib.machinery import SourceFileLoader
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, TypeVar, get_args, overload

from clsbench.containment import contained
from clsbench.errors import ConfigError, RegistrationError
from clsbench.signatures import described, evaluated, require_name, require_signature
from clsbench.sources import require_regular

Kind = Literal["dataset", "model", "loss", "optimizer", "metric"]
KINDS: tuple[Kind, ...] = ("dataset", "model", "loss", "optimizer", "metric")
LinkName = Literal["softmax", "sigmoid", "identity"]
Better = Literal["higher", "lower"]
Bounds = tuple[float | None, float | None]  # least and greatest; None where there is none
Split = Literal["train", "val", "test"]
SPLITS: tuple[Split, ...] = ("train", "val", "test")
SHARE = "share of samples"  # a unit: a whole number of samples over all
# What a metric can be made of, for B samples: see `training.evaluation.Quantities` for shapes and meaning.
QUANTITIES = (
    *("logits", "targets", "predictions", "probabilities", "log_probabilities", "margins", "losses"),
    *("gradients", "gradient_norms", "zero_gradient_norms"),
)


class NamesFile:
    """Marks the type of an option that names a file or a folder."""


# A path: relative to the folder of the config that gives it, on the command line to the working directory. A factory
# gets it in full.
PathOption = Annotated[str, NamesFile()]

Factory = TypeVar("Factory", bound=Callable[..., Any])


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
    leaves out what nobody uses.
    """

    double: bool = False
    off: float | None = None


def is_number(annotation: Any) -> bool:
    """Whether an option of this annotation is one number, which a config may sweep and tune."""
    return annotation in (int, float) or (hasattr(annotation, "__metadata__") and is_number(get_args(annotation)[0]))


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
    def summary(self) -> str:
        """The first line of the docstring, without the full stop."""
        return self.help.partition("\n")[0].rstrip(".")

    @property
    def help(self) -> str:
        return inspect.getdoc(self.factory) or ""

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


def _one_for_each_class(num_classes: int, **options: Any) -> int:
    return num_classes


@dataclass(frozen=True, eq=False)
class DatasetSpec(Spec):
    """What `dataset` registers. `poses(**options)` is the `problems.Posed` that is known before the data is opened."""

    poses: Callable[..., Any] | None = None
    kind: ClassVar[Kind] = "dataset"


@dataclass(frozen=True, eq=False)
class ModelSpec(Spec):
    """What `model` registers, which see."""

    dimensions: int | None = None
    stacked: bool = False
    size: Callable[..., Size] | None = None
    kind: ClassVar[Kind] = "model"


@dataclass(frozen=True, eq=False)
class LossSpec(Spec):
    """What `loss` registers. `outputs(num_classes, **options)` is K; ValueError where the loss does not fit."""

    link: LinkName = "softmax"
    outputs: Callable[..., int] = _one_for_each_class
    stacked: bool = False
    kind: ClassVar[Kind] = "loss"


# Keys of an experiment, which an optimizer's option must not have as its name.
TAKEN = frozenset(
    ("name", "clip_norm", "schedule", "warmup", "step", "gamma", "scale", "batch_size", "dataset", "model", "loss")
)


@dataclass(frozen=True, eq=False)
class OptimizerSpec(Spec):
    """What `optimizer` registers, which see."""

    state: tuple[str, ...] = ()
    columns: tuple[str, ...] = ()
    conflicts: Callable[..., Mapping[str, str]] | None = None
    kind: ClassVar[Kind] = "optimizer"

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
    problems: tuple[str, ...] = ("single_label",)
    stacked: bool = False
    kind: ClassVar[Kind] = "metric"

    def __post_init__(self) -> None:
        if isinstance(self.factory, type) and not (self.sums and self.value):
            raise ValueError(f"metric {self.name!r} is a class without sums and value; give it both")
        for need in self.needs:
            if need not in QUANTITIES:
                raise ValueError(
                    f"metric {self.name!r} needs {need!r}, which is unknown; {suggestion(need, QUANTITIES)}"
                )

    @property
    def needs(self) -> tuple[str, ...]:
        """What it is computed from, by the names of its parameters."""
        return tuple(inspect.signature(self.sums or self.factory).parameters)

    @property
    def sums(self) -> Callable[..., Any] | None:
        """Its sums over samples; None for a function of samples, whose mean it is."""
        return getattr(self.factory, "sums", None)

    @property
    def value(self) -> Callable[..., Any] | None:
        """Its value from the sums and the number of samples; None for a mean."""
        return getattr(self.factory, "value", None)


class UnknownName(LookupError):
    """Nothing of this kind has this name; the message names the nearest one."""


class Registry:
    """Specs by kind and name. A name or an alias registered twice raises."""

    def __init__(self) -> None:
        self._specs: dict[Kind, dict[str, Spec]] = {kind: {} for kind in KINDS}
        self._canonical: dict[Kind, dict[str, str]] = {kind: {} for kind in KINDS}
        self._checks: list[Callable[[Spec], None]] = []
        self.plugins: list[str] = []  # the user's files that added to it; another process runs them too
        self.sources: dict[str, str] = {}  # the SHA-256 of each of them

    def add(self, spec: Spec) -> None:
        known = self._canonical[spec.kind]
        for name in (spec.name, *spec.aliases):
            if name in known:
                raise RegistrationError(f"{spec.kind} {name!r} is registered twice; choose another name")
        for check in self._checks:
            check(spec)
        for name in (spec.name, *spec.aliases):
            known[name] = spec.name
        self._specs[spec.kind][spec.name] = spec

    def require(self, check: Callable[[Spec], None]) -> None:
        """Add a check that refuses specs by RegistrationError; it also checks those already registered."""
        for spec in [spec for kind in KINDS for spec in self.all(kind)]:
            check(spec)
        self._checks.append(check)

    @overload
    def get(self, kind: Literal["dataset"], name: str) -> DatasetSpec: ...
    @overload
    def get(self, kind: Literal["model"], name: str) -> ModelSpec: ...
    @overload
    def get(self, kind: Literal["loss"], name: str) -> LossSpec: ...
    @overload
    def get(self, kind: Literal["optimizer"], name: str) -> OptimizerSpec: ...
    @overload
    def get(self, kind: Literal["metric"], name: str) -> MetricSpec: ...
    @overload
    def get(self, kind: Kind, name: str) -> Spec: ...
    def get(self, kind: Kind, name: str) -> Spec:
        """The spec with this name or alias.

        Raises:
            UnknownName: there is none; the message says which is nearest, or which there are.
        """
        known = self._canonical[kind]
        if name not in known:
            raise UnknownName(f"unknown {kind} {name!r}; {suggestion(name, known, self._specs[kind])}")
        return self._specs[kind][known[name]]

    def all(self, kind: Kind) -> tuple[Spec, ...]:
        """Every spec of a kind, in the order of registration."""
        return tuple(self._specs[kind].values())

    def metrics(self) -> tuple[MetricSpec, ...]:
        """Every metric, in the order of registration."""
        return tuple(spec for spec in self.all("metric") if isinstance(spec, MetricSpec))


def nearest(name: str, known: Iterable[str]) -> str | None:
    """The known name that is close to `name`."""
    folded = {n.lower().replace("-", "_"): n for n in reversed(list(known))}  # a name wins over its alias
    near = difflib.get_close_matches(name.lower().replace("-", "_"), folded, n=1, cutoff=0.6)
    return folded[near[0]] if near else None


def suggestion(name: str, known: Iterable[str], listed: Iterable[str] | None = None) -> str:
    """`did you mean 'x'?` where something known is near to `name`, else the list of what is `listed`, or known."""
    known = list(known)
    near = nearest(name, known)
    return f"one of {', '.join(listed or known)}" if near is None else f"did you mean {near!r}?"


catalogue = Registry()


def dataset(
    name: str, *, poses: Callable[..., Any] | None = None, aliases: tuple[str, ...] = ()
) -> Callable[[Factory], Factory]:
    """Register a dataset: a function `(seed, *, options) -> (features, labels)` or a `RawData`.

    `poses(**options)` gives the `problems.Posed` that is known without opening the data, where something is.
    """
    return _registers("dataset", name, aliases, lambda factory: DatasetSpec(name, factory, aliases, poses))


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
    outputs: Callable[..., int] = _one_for_each_class,
    stacked: bool = False,
    aliases: tuple[str, ...] = (),
) -> Callable[[Factory], Factory]:
    """Register a loss: a function `(logits, targets, *, options)`.

    It takes `[B, K]` and `[B]` and returns the loss per sample, `[B]`, or one number for the batch.
    `outputs(num_classes, **options)` is K, by default the number of classes; it raises ValueError with
    the reason where the loss does not fit the problem. `stacked` says that the function takes any
    leading axes too, `[..., B, K], [..., B] -> [..., B]`, and so serves many trials in one call.
    """
    return _registers("loss", name, aliases, lambda factory: LossSpec(name, factory, aliases, link, outputs, stacked))


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
    problems: tuple[str, ...] = ("single_label",),
    stacked: bool = False,
) -> Callable[[Factory], Factory]:
    """Register a metric; a record calls it `SPLIT_NAME`, and NAME where it belongs to no split.

    It is a function that gives a number for each sample, `[B]`, and its value on a split is their mean; or a class
    with two static methods, `sums`, which gives `[M]` for some samples, and `value(sums, num_samples)`, which makes
    the number of what they add up to. Its parameters, or those of `sums`, name what it is made of: QUANTITIES.
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
            problems=problems,
            stacked=stacked,
        ),
    )


def load_plugin(path: Path) -> None:
    """Run a Python file of the user's, so that what it decorates is registered.

    Raises:
        ConfigError: the file does not exist, or it fails.
    """
    try:
        require_regular(path)
    except FileNotFoundError:
        raise ConfigError(f"plugin {path}: no such file; give a Python file") from None
    except (OSError, ValueError) as error:
        what = getattr(error, "strerror", None) or error
        raise ConfigError(f"plugin {path}: cannot be read: {what}; give a Python file") from None
    name = f"clsbench_plugin_{path.stem}"
    spec = importlib.util.spec_from_file_location(name, path, loader=SourceFileLoader(name, str(path)))
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # dataclasses and pickle look it up there
    try:
        with contained():
            spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:
        raise _broken(path, error) from error
    catalogue.plugins.append(str(path.resolve()))
    catalogue.sources[str(path.resolve())] = hashlib.sha256(path.read_bytes()).hexdigest()


def _broken(path: Path, error: BaseException) -> ConfigError:
    what = str(error) if isinstance(error, RegistrationError) else f"{described(error)}; correct the file"
    return ConfigError(f"plugin {path}{_line_in(path, error)}: {what}")


def _line_in(path: Path, error: BaseException) -> str:
    """`:LINE` of the file that an error came by, where that is known."""
    if isinstance(error, SyntaxError):
        return f":{error.lineno}" if error.filename == str(path) else ""
    lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == str(path)]
    return f":{lines[-1]}" if lines else ""


def load_installed_plugins() -> None:
    """Load every plugin that installed packages declare as an entry point of the group `clsbench`.

    Raises:
        ConfigError: one of them fails.
    """
    for entry_point in importlib.metadata.entry_points(group="clsbench"):
        try:
            with contained():
                entry_point.load()
        except (Exception, SystemExit) as error:
            raise ConfigError(f"plugin {entry_point.name!r}: {described(error)}; correct or uninstall it") from error


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
