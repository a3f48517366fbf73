"""Classification with any number of labels per sample: each of C labels is there or not.

Every label is a two-class problem of its own: its output is a logit, its probability the logistic function of it under
a sigmoid, and a label is predicted where that is above 0.5, which is where the logit is above 0.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from clsbench.problems.base import Answer, NoiseKind, Problem
from clsbench.problems.labels import names_in
from clsbench.registry import LinkName

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    from torch import Tensor


@dataclass(frozen=True)
class MultiLabel(Problem):
    """C labels by name; targets are multi-hot, `[N, C]` of 0 and 1."""

    kind = "multi_label"
    meaning = "Any number of labels for each sample; one is predicted where its probability is above 0.5"
    noun = "label"
    headline = "micro_f1"
    second = "nll"
    labelled = True
    warm_loss = "bce"

    label_names: tuple[str, ...]

    @property
    def facts(self) -> dict[str, Any]:
        return {"problem": self.kind, "names": list(self.label_names)}

    @classmethod
    def from_facts(cls, facts: dict[str, Any]) -> MultiLabel:
        return cls(names_in(facts, cls.kind))

    @classmethod
    def of(cls, names: tuple[str, ...], targets: npt.NDArray[Any] | None = None) -> MultiLabel:
        return cls(names)

    @property
    def names(self) -> tuple[str, ...]:
        return self.label_names

    @property
    def ranks(self) -> bool:
        return True

    @property
    def usual_link(self) -> LinkName:
        return "sigmoid"

    @classmethod
    def examples(cls) -> tuple[MultiLabel, ...]:
        return (cls(("0", "1", "2")),)

    def predictions(self, link: LinkName, logits: Tensor) -> Tensor:
        """1 for each label whose probability is above 0.5."""
        return (logits > 0).to(logits.dtype)

    def answers(self, predictions: Tensor) -> list[Answer]:
        """The names of the labels, separated by `; `."""
        names = self.label_names
        return [
            "; ".join(name for name, is_there in zip(names, row, strict=True) if is_there)
            for row in predictions.tolist()
        ]

    def log_probabilities(self, link: LinkName, logits: Tensor) -> Tensor | None:
        from torch.nn.functional import logsigmoid

        return logsigmoid(logits) if link == "sigmoid" else None

    def log_likelihoods(self, link: LinkName, logits: Tensor, targets: Tensor) -> Tensor | None:
        """Summed over the labels, which are independent given the sample."""
        return bernoulli(logits, targets) if link == "sigmoid" else None

    def wrong(self, predictions: Tensor, targets: Tensor) -> Tensor:
        """Whether any label is wrong."""
        return (predictions != targets).any(-1)

    def scores(self, link: LinkName, logits: Tensor) -> Tensor:
        """The logits."""
        return logits

    def example_targets(self, number: int) -> Tensor:
        import torch

        count = len(self.label_names)
        return (torch.arange(number * count).view(number, count) % 3 == 0).float()

    def rotated(self, targets: Tensor) -> Tensor:
        """Every label is there where it was not."""
        return 1 - targets

    def encoded(self, targets: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
        import numpy as np

        return targets.astype(np.float32)

    def class_counts(self, targets: npt.NDArray[Any]) -> npt.NDArray[np.int64]:
        found: npt.NDArray[np.int64] = (targets > 0).sum(0)
        return found

    def strata(self, targets: npt.NDArray[Any]) -> npt.NDArray[np.int64]:
        """The rarest label of each sample: where labels meet, the one that a split could most easily lack counts."""
        return rarest(targets > 0)

    def corrupted(
        self, targets: npt.NDArray[Any], share: float, kind: NoiseKind, rng: np.random.Generator
    ) -> npt.NDArray[Any]:
        """A copy in which a share of the cells, one for each sample and label, is flipped; no label has a next one."""
        wrong = targets.copy()
        cells = rng.permutation(targets.size)[: round(share * targets.size)]
        wrong.reshape(-1)[cells] = 1 - targets.reshape(-1)[cells]
        return wrong


def rarest(labels: npt.NDArray[np.bool_]) -> npt.NDArray[np.int64]:
    """`[N, C]` to `[N]`: of each sample's labels the one that the fewest samples have, C where it has none."""
    import numpy as np

    rarest_first = np.argsort(labels.sum(0), kind="stable")
    has = labels[:, rarest_first]
    found: npt.NDArray[np.int64] = np.where(has.any(1), rarest_first[has.argmax(1)], len(rarest_first))
    return found


def bernoulli(logits: Tensor, targets: Tensor) -> Tensor:
    """`[..., B, C]` twice to `[..., B]`: the log-likelihood of targets in 0..1 under sigmoids, summed."""
    from torch.nn.functional import logsigmoid

    return (targets * logsigmoid(logits) + (1 - targets) * logsigmoid(-logits)).sum(-1)
