"""Classification with one label per sample: C classes, numbered from 0.

Probabilities, by the link: softmax p; a sigmoid with C outputs s / sum s, with one output (1 - s, s); the identity
has none.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from clsbench.problems.base import Answer, NoiseKind, Problem
from clsbench.problems.encoding import MANY_CLASSES, at_target, log_softmax, one_hot
from clsbench.registry import LinkName, LossSpec, catalogue

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    from torch import Tensor


@dataclass(frozen=True)
class SingleLabel(Problem):
    """One of `num_classes` classes; `class_names` holds a name for each, by default its number.

    `ordered` says that each class is between the one before and the one after it, as school years are.
    """

    kind = "single_label"
    meaning = "One class for each sample"
    noun = "class"
    headline = "accuracy"
    second = "nll"
    exclusive = True
    labelled = True

    num_classes: int
    class_names: tuple[str, ...] = ()
    ordered: bool = False

    @property
    def facts(self) -> dict[str, Any]:
        known = {"problem": self.kind, "num_classes": self.num_classes, "class_names": list(self.names)}
        return known | ({"ordered": True} if self.ordered else {})

    @classmethod
    def from_facts(cls, facts: dict[str, Any]) -> SingleLabel:
        num_classes, names = facts.get("num_classes"), facts.get("class_names") or ()
        if not isinstance(num_classes, int) or num_classes < 1 or len(names) not in (0, num_classes):
            raise ValueError("a single-label problem needs a number of classes, and a name for each")
        return cls(num_classes, tuple(map(str, names)), facts.get("ordered") is True)

    @classmethod
    def of(cls, names: tuple[str, ...], targets: npt.NDArray[Any] | None = None) -> SingleLabel:
        return cls(len(names), names)

    @property
    def names(self) -> tuple[str, ...]:
        return self.class_names or tuple(map(str, range(self.num_classes)))

    @property
    def known_names(self) -> tuple[str, ...]:
        return self.class_names

    @property
    def ranks(self) -> bool:
        return self.num_classes == 2

    def only(self, names: Sequence[str]) -> SingleLabel:
        if reason := next(filter(None, map(self.unknown, names)), None):
            raise ValueError(reason)
        if len(names) > self.num_classes:
            raise ValueError(f"there are {self.num_classes} classes, and {len(names)} are named")
        return SingleLabel(len(names), tuple(name for name in self.class_names if name in names), self.ordered)

    @property
    def usual_link(self) -> LinkName:
        return "softmax"

    @classmethod
    def examples(cls) -> tuple[SingleLabel, ...]:
        return cls(2), cls(3)

    @property
    def target_shape(self) -> tuple[int, ...]:
        return ()

    def losses_by_class(self) -> list[LossSpec]:
        """The registered losses that have one output for each class, with default options."""
        return [
            spec
            for spec in catalogue.losses()
            if self.kind in spec.problems
            and not any(option.required for option in spec.options.values())
            and self.num_outputs(spec, spec.defaults) == self.num_classes
        ]

    def predictions(self, link: LinkName, logits: Tensor) -> Tensor:
        """The class number predicted; for one raw output, the nearest one."""
        if logits.shape[-1] >= MANY_CLASSES:
            return logits.contiguous().argmax(-1)  # twenty times as fast as over an axis that is not contiguous
        if logits.shape[-1] == 2:
            return (logits[..., 1] > logits[..., 0]).long()
        if logits.shape[-1] > 1:
            return logits.mT.contiguous().max(-2).indices  # like `argmax`, the first of equal ones, in half its time
        output = logits.squeeze(-1)
        if link == "sigmoid":
            return (output > 0).long()
        return output.nan_to_num().round().clamp(0, self.num_classes - 1).long()

    def answers(self, predictions: Tensor) -> list[Answer]:
        """The names of the classes."""
        names = self.names
        return [names[number] for number in predictions.tolist()]

    def log_probabilities(self, link: LinkName, logits: Tensor) -> Tensor | None:
        """`[..., B, K]` to log-probabilities of the classes, `[..., B, C]`."""
        import torch
        from torch.nn.functional import logsigmoid

        if link == "softmax":
            return log_softmax(logits)
        if link == "sigmoid":
            if logits.shape[-1] == 1:
                return torch.cat([logsigmoid(-logits), logsigmoid(logits)], dim=-1)
            return log_softmax(logsigmoid(logits))
        return None

    def log_likelihoods(self, link: LinkName, logits: Tensor, targets: Tensor) -> Tensor | None:
        log_p = self.log_probabilities(link, logits)
        return None if log_p is None else at_target(log_p, targets)

    def wrong(self, predictions: Tensor, targets: Tensor) -> Tensor:
        return predictions != targets

    def class_distances(self, predictions: Tensor, targets: Tensor) -> Tensor | None:
        # Of two classes it is the error rate.
        return (predictions - targets).abs() if self.ordered and self.num_classes > 2 else None

    def scores(self, link: LinkName, logits: Tensor) -> Tensor | None:
        """The logit of class 1 minus that of class 0; under a sigmoid, of their logarithms of s; or the only output."""
        from torch.nn.functional import logsigmoid

        if not self.ranks or logits.shape[-1] > 2:
            return None
        if logits.shape[-1] == 1:
            return logits.squeeze(-1)
        sides = logsigmoid(logits) if link == "sigmoid" else logits
        return sides[..., 1] - sides[..., 0]

    def margins(self, link: LinkName, logits: Tensor, targets: Tensor) -> Tensor | None:
        """The target's logit minus the largest other one.

        One output under a sigmoid is class 1's logit, and class 0's is zero; one raw output gives no class a logit, so
        it has no margin.
        """
        if logits.shape[-1] > 1:
            others = logits.masked_fill(one_hot(targets, logits).bool(), -float("inf")).amax(-1)
            return at_target(logits, targets) - others
        if link != "sigmoid":
            return None
        output = logits.squeeze(-1)
        return output.where(targets == 1, -output)

    def distinct_targets(self, device: Any) -> Tensor:
        import torch

        return torch.arange(self.num_classes, device=device)

    def example_targets(self, number: int) -> Tensor:
        import torch

        return torch.arange(number) % self.num_classes

    def rotated(self, targets: Tensor) -> Tensor:
        """Each class becomes the next, and the last one the first."""
        return (targets + 1) % self.num_classes

    def class_counts(self, targets: npt.NDArray[Any]) -> npt.NDArray[np.int64]:
        import numpy as np

        return np.bincount(targets, minlength=self.num_classes)

    def strata(self, targets: npt.NDArray[Any]) -> npt.NDArray[np.int64]:
        """The classes."""
        return targets

    def corrupted(
        self, targets: npt.NDArray[Any], share: float, kind: NoiseKind, rng: np.random.Generator
    ) -> npt.NDArray[Any]:
        """A copy in which a share of the labels is replaced: by another class, each equally likely, or by the next.

        Source of pairwise noise: Han et al. 2018, Co-teaching: Robust Training of Deep Neural Networks with Extremely
        Noisy Labels, figure 2.
        """
        rows = rng.permutation(len(targets))[: round(share * len(targets))]
        steps = rng.integers(1, self.num_classes, len(rows)) if kind == "symmetric" else 1
        wrong = targets.copy()
        wrong[rows] = (targets[rows] + steps) % self.num_classes
        return wrong
