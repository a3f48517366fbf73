"""The interface of every kind of problem, so that no other room needs to know the kind."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from clsbench.registry import LinkName, LossSpec

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    from torch import Tensor


NoiseKind = Literal["symmetric", "pairwise"]


class Problem(ABC):
    """The task that a dataset poses. N samples, B of them in a batch, K outputs; targets are `[N]` or `[N, ...]`.

    Attributes:
        kind: its name in configs and summaries.
        headline: the registered name of the metric that is reported first.
        second: the metric that decides between settings that are equal in the headline.
    """

    kind: ClassVar[str]
    headline: ClassVar[str]
    second: ClassVar[str]

    @property
    @abstractmethod
    def facts(self) -> dict[str, Any]:
        """Its attributes as plain values, from which `from_facts` rebuilds it."""

    @classmethod
    @abstractmethod
    def from_facts(cls, facts: dict[str, Any]) -> Problem:
        """The problem that gave these `facts`.

        Raises:
            ValueError: they do not describe such a problem.
        """

    @property
    @abstractmethod
    def names(self) -> tuple[str, ...]:
        """The names of its outputs: the classes."""

    @property
    @abstractmethod
    def ranks(self) -> bool:
        """Whether it has two classes, so that samples can be ranked from one to the other."""

    @abstractmethod
    def unknown(self, name: str) -> str | None:
        """Why no class has this name, with the nearest one; None if one has, or if their names are not known yet."""

    def only(self, names: Sequence[str]) -> Problem:
        """The problem of some of its classes, in their order here.

        Raises:
            ValueError: it has no such classes; the message gives the reason.
        """
        raise ValueError(f"a {self.kind} problem has no classes to choose from")

    @classmethod
    @abstractmethod
    def examples(cls) -> tuple[Problem, ...]:
        """Small problems of this kind, on which a loss is tested if the data are not open yet."""

    @abstractmethod
    def num_outputs(self, loss: LossSpec, options: Mapping[str, Any]) -> int:
        """K, the number of outputs that a network needs for a loss with these options.

        Raises:
            ValueError: the loss does not fit the problem; the message gives the reason.
        """

    @abstractmethod
    def predictions(self, link: LinkName, logits: Tensor) -> Tensor:
        """`[..., B, K]` to targets `[..., B]`: the prediction for each sample."""

    @abstractmethod
    def log_probabilities(self, link: LinkName, logits: Tensor) -> Tensor | None:
        """`[..., B, K]` to the log-probability of each target; None if the link gives no probabilities."""

    @abstractmethod
    def scores(self, link: LinkName, logits: Tensor) -> Tensor | None:
        """`[..., B, K]` to `[..., B]`: scores that rank samples from class 0 to class 1; None unless it `ranks`."""

    @abstractmethod
    def margins(self, link: LinkName, logits: Tensor, targets: Tensor) -> Tensor | None:
        """`[..., B, K]`, `[..., B]` to `[..., B]`: each margin, positive if the sample is right; None if unknown."""

    @abstractmethod
    def distinct_targets(self, device: Any) -> Tensor:
        """`[M]`: every possible target; a sample's target is an index into them."""

    @abstractmethod
    def rotated(self, targets: Tensor) -> Tensor:
        """Targets that are all wrong: each is replaced by the next."""

    @abstractmethod
    def strata(self, targets: npt.NDArray[Any]) -> npt.NDArray[np.int64]:
        """`[N]`: the group of each sample; a split has every group in proportion."""

    @abstractmethod
    def corrupted(
        self, targets: npt.NDArray[Any], share: float, kind: NoiseKind, rng: np.random.Generator
    ) -> npt.NDArray[Any]:
        """A copy of the targets of which a random share is wrong."""
