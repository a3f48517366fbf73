"""Regression: D numbers for each sample, which may have any value.

Training sees them standardised: shifted and scaled by the mean and the standard deviation of the training split, value
by value. The outputs of a network are in that scale, and predictions, metrics and errors in that of the data.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from clsbench.problems.base import Answer, Problem
from clsbench.problems.labels import names_in, values_of
from clsbench.registry import LinkName, LossSpec

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    from torch import Tensor


@dataclass(frozen=True)
class Regression(Problem):
    """D values by name; an output z stands for `shift + scale * z`, in each of several trials by its own `by_trial`."""

    kind = "regression"
    meaning = "One number or several for each sample, of any size; standardised for training"
    noun = "value"
    headline = "rmse"
    second = "mae"

    value_names: tuple[str, ...]
    shift: tuple[float, ...] = ()
    scale: tuple[float, ...] = ()
    by_trial: tuple[Regression, ...] = ()

    @property
    def facts(self) -> dict[str, Any]:
        return {"problem": self.kind, "names": list(self.value_names), **self.learned}

    @classmethod
    def from_facts(cls, facts: dict[str, Any]) -> Regression:
        names = names_in(facts, cls.kind)
        shift, scale = (tuple(map(float, facts.get(key) or ())) for key in ("shift", "scale"))
        if len(shift) not in (0, len(names)) or len(scale) != len(shift):
            raise ValueError("a regression problem needs a shift and a scale for each value")
        return cls(names, shift, scale)

    @classmethod
    def of(cls, names: tuple[str, ...], targets: npt.NDArray[Any] | None = None) -> Regression:
        return cls(names)

    @property
    def names(self) -> tuple[str, ...]:
        return self.value_names

    @property
    def usual_link(self) -> LinkName:
        return "identity"

    @classmethod
    def examples(cls) -> tuple[Regression, ...]:
        return (cls(("0",)), cls(("0", "1")))

    def num_outputs(self, loss: LossSpec, options: Mapping[str, Any]) -> int:
        if self.kind in loss.problems and loss.link != "identity":
            raise ValueError(f"its link is {loss.link}, and values may be any number: register it with link='identity'")
        return super().num_outputs(loss, options)

    def predictions(self, link: LinkName, logits: Tensor) -> Tensor:
        """In the data's own scale and in double precision: a large shift would round the errors away."""
        return self.decoded(logits)

    def answers(self, predictions: Tensor) -> list[Answer]:
        """The values."""
        return values_of(predictions)

    def gives(self, link: LinkName) -> str:
        return f"the values of {', '.join(self.value_names)}"

    def exported(self, link: LinkName, logits: Tensor) -> Tensor:
        """The values, on the data's own scale."""
        return self.decoded(logits)

    def log_probabilities(self, link: LinkName, logits: Tensor) -> None:
        return None

    def log_likelihoods(self, link: LinkName, logits: Tensor, targets: Tensor) -> None:
        return None

    def example_targets(self, number: int) -> Tensor:
        import torch

        count = len(self.value_names)
        return torch.arange(number * count).view(number, count) / 4 - 1

    def fitted(self, targets: npt.NDArray[Any]) -> Regression:
        """With the mean and the standard deviation of the training targets; that of a constant value is 1."""
        import numpy as np

        values = targets.astype(np.float64)
        low, high = values.min(0), values.max(0)
        with np.errstate(over="ignore", invalid="ignore"):
            # Rounding can move the mean of equal values, and give them a tiny deviation.
            shift = np.where(low == high, low, values.mean(0))
            scale = np.where(low == high, 1.0, values.std(0))
        usable = np.isfinite(shift) & np.isfinite(scale) & (scale >= np.finfo(np.float64).tiny)
        if not usable.all():
            place = int(usable.argmin())
            raise ValueError(
                f"value {self.names[place]!r} cannot be standardised: its training values, from {low[place]:g} to "
                f"{high[place]:g}, have the standard deviation {scale[place]:g} in float64; rescale it"
            )
        return replace(self, shift=tuple(shift.tolist()), scale=tuple(scale.tolist()))

    @property
    def learned(self) -> dict[str, Any]:
        return {"shift": list(self.shift), "scale": list(self.scale)}

    def encoded(self, targets: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
        import numpy as np

        found: npt.NDArray[np.float32] = ((targets - np.array(self.shift)) / np.array(self.scale)).astype(np.float32)
        return found

    def beside(self, problems: Sequence[Regression]) -> Regression:
        return replace(self, by_trial=tuple(problems))

    def of_trials(self, trials: slice) -> Regression:
        return replace(self, by_trial=self.by_trial[trials])

    def decoded(self, targets: Tensor) -> Tensor:
        """`[..., D]`, or of several trials `[T, n, D]`."""
        values = targets.double()
        if self.by_trial:
            scale, shift = ([[getattr(each, name)] for each in self.by_trial] for name in ("scale", "shift"))
            return values * values.new_tensor(scale) + values.new_tensor(shift)
        return values * values.new_tensor(self.scale) + values.new_tensor(self.shift)
