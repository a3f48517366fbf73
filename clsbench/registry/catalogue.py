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


catalogue = Registry()
