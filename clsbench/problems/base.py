"""What every kind of problem answers, so that no other room has to know which kind it is."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

from clsbench.registry import LinkName, LossSpec

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    from torch import Tensor


class Problem(ABC):
    """What a dataset asks of a network. N samples, B of them in a batch, K outputs; targets are `[N]` or `[N, ...]`.

    Attributes:
        kind: its name in configs and summaries.
        headline: the metric that is told first, by the name it is registered under.
        second: the metric that decides between settings that are equal in the headline.
    """

    kind: ClassVar[str]
    headline: ClassVar[str]
    second: ClassVar[str]

    @property
    @abstractmethod
    def facts(self) -> dict[str, Any]:
        """What there is to know of it, as plain values; `from_facts` makes it anew from them."""

    @classmethod
    @abstractmethod
    def from_facts(cls, facts: dict[str, Any]) -> Problem:
        """The problem that gave these `facts`.

        Raises:
            ValueError: they are of no such problem.
        """

    @property
    @abstractmethod
    def names(self) -> tuple[str, ...]:
        """What its outputs stand for, in words: the classes."""

    @classmethod
    @abstractmethod
    def examples(cls) -> tuple[Problem, ...]:
        """Small problems of this kind, to try a loss on where only opening the data can tell which it is."""

    @abstractmethod
    def num_outputs(self, loss: LossSpec, options: Mapping[str, Any]) -> int:
        """K, the outputs that a network needs for a loss with these options.

        Raises:
            ValueError: the loss does not fit the problem; the message gives the reason.
        """

    @abstractmethod
    def predictions(self, link: LinkName, logits: Tensor) -> Tensor:
        """`[..., B, K]` to targets `[..., B]`: what the network says of each sample."""

    @abstractmethod
    def log_probabilities(self, link: LinkName, logits: Tensor) -> Tensor | None:
        """`[..., B, K]` to the logarithms of what each target is given; None where the link has none."""

    @abstractmethod
    def margins(self, link: LinkName, logits: Tensor, targets: Tensor) -> Tensor | None:
        """`[..., B, K]`, `[..., B]` to `[..., B]`: how far each sample is on the right side; None where unknown."""

    @abstractmethod
    def distinct_targets(self, device: Any) -> Tensor:
        """`[M]`: every target there can be, of which each sample's is one, by its number."""

    @abstractmethod
    def rotated(self, targets: Tensor) -> Tensor:
        """Targets of which every one is wrong: each is replaced by the next."""

    @abstractmethod
    def strata(self, targets: npt.NDArray[Any]) -> npt.NDArray[np.int64]:
        """`[N]`: the group of each sample; a split has every group in proportion."""

    @abstractmethod
    def corrupted(self, targets: npt.NDArray[Any], share: float, rng: np.random.Generator) -> npt.NDArray[Any]:
        """A copy of the targets of which a share, drawn at random, is wrong."""
