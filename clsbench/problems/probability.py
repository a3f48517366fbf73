"""Estimating probabilities: targets between 0 and 1, as shares, measured probabilities or soft labels.

Where the targets of each sample sum to 1 they are the shares of classes that exclude one another: then a softmax fits
too, and probabilities under a sigmoid are s / sum s, as for single labels. Otherwise each is the probability of an
event of its own, and its estimate is s.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from clsbench.problems.base import Answer, Problem
from clsbench.problems.encoding import at_target, log_softmax
from clsbench.problems.labels import names_in, values_of
from clsbench.problems.multi_label import bernoulli, rarest
from clsbench.registry import LinkName, LossSpec, catalogue

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    from torch import Tensor

ROUNDING = 1e-3  # of a sum of shares, which files have with few digits


@dataclass(frozen=True)
class Probability(Problem):
    """D probabilities by name; `shares` says that those of a sample sum to 1."""

    kind = "probability"
    meaning = "Numbers from 0 to 1 for each sample: shares of classes, which sum to 1, or each a probability of its own"
    noun = "probability"
    headline = "nll"
    second = "brier"

    value_names: tuple[str, ...]
    shares: bool = False

    @property
    def facts(self) -> dict[str, Any]:
        return {"problem": self.kind, "names": list(self.value_names), "shares": self.shares}

    @classmethod
    def from_facts(cls, facts: dict[str, Any]) -> Probability:
        return cls(names_in(facts, cls.kind), facts.get("shares") is True)

    @classmethod
    def of(cls, names: tuple[str, ...], targets: npt.NDArray[Any] | None = None) -> Probability:
        return cls(names, targets is not None and are_shares(targets))

    @property
    def names(self) -> tuple[str, ...]:
        return self.value_names

    @property
    def usual_link(self) -> LinkName:
        return "softmax" if self.shares else "sigmoid"

    @classmethod
    def examples(cls) -> tuple[Probability, ...]:
        return cls(("0",)), cls(("0", "1", "2"), shares=True)

    def num_outputs(self, loss: LossSpec, options: Mapping[str, Any]) -> int:
        if self.kind in loss.problems and loss.link == "softmax" and not self.shares:
            others = (spec for spec in catalogue.losses() if self.kind in spec.problems and spec.link != "softmax")
            raise ValueError(
                "its softmax sums to 1, and the probabilities of a sample do not; "
                f"use one of {', '.join(spec.name for spec in others)}"
            )
        return super().num_outputs(loss, options)

    def predictions(self, link: LinkName, logits: Tensor) -> Tensor:
        """The probabilities; raw outputs under the identity."""
        log_p = self.log_probabilities(link, logits)
        return logits if log_p is None else log_p.exp()

    def answers(self, predictions: Tensor) -> list[Answer]:
        """The values."""
        return values_of(predictions)

    def log_probabilities(self, link: LinkName, logits: Tensor) -> Tensor | None:
        from torch.nn.functional import logsigmoid

        if link == "softmax":
            return log_softmax(logits)
        if link == "sigmoid":
            return log_softmax(logsigmoid(logits)) if self.shares else logsigmoid(logits)
        return None

    def log_likelihoods(self, link: LinkName, logits: Tensor, targets: Tensor) -> Tensor | None:
        """-H(y, p): the mean log-likelihood of what the target is the distribution of."""
        log_p = self.log_probabilities(link, logits)
        if log_p is None:
            return None
        return at_target(log_p, targets) if self.shares else bernoulli(logits, targets)

    def example_targets(self, number: int) -> Tensor:
        import torch

        count = len(self.value_names)
        weights = 1.0 + torch.arange(number * count).view(number, count) % 3
        return weights / weights.sum(-1, keepdim=True) if self.shares else weights / 4

    def encoded(self, targets: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
        import numpy as np

        return targets.astype(np.float32)

    def class_counts(self, targets: npt.NDArray[Any]) -> npt.NDArray[Any] | None:
        """The shares of all samples, summed."""
        return targets.sum(0) if self.shares else None

    def strata(self, targets: npt.NDArray[Any]) -> npt.NDArray[np.int64]:
        """The likeliest class, where targets are the shares of classes; else the rarest of what is likely."""
        return targets.argmax(1) if self.shares else rarest(targets > 0.5)


def are_shares(targets: npt.NDArray[Any]) -> bool:
    """Whether the targets of each sample, two or more, sum to 1."""
    return targets.shape[1] > 1 and bool((abs(targets.sum(1) - 1) <= ROUNDING).all())
