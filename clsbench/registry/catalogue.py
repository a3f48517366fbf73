"""The one catalogue: specs by kind and name."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, overload

from clsbench.errors import RegistrationError
from clsbench.registry.names import suggestion
from clsbench.registry.specs import (
    KINDS,
    DatasetSpec,
    Kind,
    LossSpec,
    MetricSpec,
    ModelSpec,
    OptimizerSpec,
    Spec,
)
from clsbench.signatures import written_again

GIVEN = "was handed over in Python"


class UnknownName(LookupError):
    """Nothing of this kind has this name; the message names the nearest one."""


def given_name(label: str) -> str:
    """The name of what is handed over in Python under a label; no decorator accepts it."""
    return f"{label}()"


class Registry:
    """Specs by kind and name.

    Registering a name again replaces it if the same file or notebook does so, as when it is edited and run again. A
    name that two files register, or one file twice, raises.
    """

    def __init__(self) -> None:
        self._specs: dict[Kind, dict[str, Spec]] = {kind: {} for kind in KINDS}
        self._canonical: dict[Kind, dict[str, str]] = {kind: {} for kind in KINDS}
        self._checks: list[Callable[[Spec], None]] = []
        self.plugins: dict[str, bytes] = {}  # what the user's files that added to it held; other processes run it too

    def add(self, spec: Spec) -> None:
        known, own = self._canonical[spec.kind], self._specs[spec.kind]
        for name in (spec.key, *spec.aliases):
            if name in known and not (known[name] == spec.key and written_again(own[spec.key].factory, spec.factory)):
                raise RegistrationError(f"{spec.kind} {name!r} is registered twice; choose another name")
        if isinstance(spec, MetricSpec):
            for other in self.metrics():
                _require_another_ruler(spec, other)
        self.replace(spec)

    def replace(self, spec: Spec) -> None:
        """Add a spec in the place of the one with its name, if there is one."""
        known = self._canonical[spec.kind]
        for check in self._checks:
            check(spec)
        for alias in [alias for alias, name in known.items() if name == spec.key]:
            del known[alias]
        for name in (spec.key, *spec.aliases):
            known[name] = spec.key
        self._specs[spec.kind][spec.key] = spec

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
        if name not in known and name == given_name(name[:-2]):
            raise UnknownName(f"{name[:-2]!r} {GIVEN}; call clsbench.compare with it again, and with resume=RUN")
        if name not in known:
            raise UnknownName(f"unknown {kind} {name!r}; {suggestion(name, known, self._specs[kind])}")
        return self._specs[kind][known[name]]

    def all(self, kind: Kind) -> tuple[Spec, ...]:
        """Every spec of a kind, in the order of registration."""
        return tuple(self._specs[kind].values())

    def losses(self) -> tuple[LossSpec, ...]:
        """Every loss, in the order of registration."""
        return tuple(spec for spec in self.all("loss") if isinstance(spec, LossSpec))

    def metrics(self) -> tuple[MetricSpec, ...]:
        """Every metric, in the order of registration."""
        return tuple(spec for spec in self.all("metric") if isinstance(spec, MetricSpec))


def _require_another_ruler(spec: MetricSpec, other: MetricSpec) -> None:
    """Refuse a metric of a name that another has, unless it means the same of other problems."""
    if other.name != spec.name or other.key == spec.key:
        return
    if shared := set(spec.problems) & set(other.problems):
        raise RegistrationError(f"metric {spec.name!r} is registered twice for {min(shared)}; choose another name")
    if (spec.better, spec.unit, spec.by_class) != (other.better, other.unit, other.by_class):
        raise RegistrationError(
            f"metric {spec.name!r} has another direction or unit for {other.problems[0]}; rename it"
        )


catalogue = Registry()
