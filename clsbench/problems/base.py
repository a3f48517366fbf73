"""The interface of every kind of problem, so that no other room needs to know the kind."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from clsbench.registry import LinkName, LossSpec, ProblemName, catalogue, suggestion
from clsbench.text import listed

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    from torch import Tensor

    Array = npt.NDArray[Any]

# The class of a sample or its labels by name, a value, or several.
Answer = str | float | tuple[float, ...]
NoiseKind = Literal["symmetric", "pairwise"]

MOST_LISTED = 10  # names in a message


class Problem(ABC):
    """The task that a dataset poses. N samples, B of them in a batch, K outputs; targets are `[N]` or `[N, D]`.

    Attributes:
        kind: its name in configs and summaries.
        meaning: what its targets are, for people.
        noun: what one of its names is the name of.
        headline: the registered name of the metric that is reported first.
        second: the metric that decides between settings that are equal in the headline.
        exclusive: whether each sample is of exactly one class.
        ordered: whether each class is between the one before and the one after it.
        labelled: whether targets are labels, which can be wrong: without, there is no label noise and no warm start.
        warm_loss: the loss that trains `train.warm_start`.
    """

    kind: ClassVar[ProblemName]
    meaning: ClassVar[str]
    noun: ClassVar[str]
    headline: ClassVar[str]
    second: ClassVar[str]
    exclusive: ClassVar[bool] = False
    ordered: bool = False
    labelled: ClassVar[bool] = False
    warm_loss: ClassVar[str] = "cross_entropy"

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

    @classmethod
    @abstractmethod
    def of(cls, names: tuple[str, ...], targets: Array | None = None) -> Problem:
        """The problem with these names of classes, labels or values, and these targets where they are open."""

    @property
    @abstractmethod
    def names(self) -> tuple[str, ...]:
        """The names of its classes, labels or values."""

    @property
    def known_names(self) -> tuple[str, ...]:
        """The names, or none if only their number is known yet."""
        return self.names

    @property
    def target_shape(self) -> tuple[int, ...]:
        """That of one target: `()` for a class number, else `(D,)`."""
        return (len(self.names),)

    def samples_of(self, targets: Tensor) -> tuple[int, ...]:
        """The leading axes of targets `[..., B, *target_shape]`: those of the samples."""
        return tuple(targets.shape[: targets.dim() - len(self.target_shape)])

    @property
    @abstractmethod
    def usual_link(self) -> LinkName:
        """The link of a loss that is handed over without one."""

    @property
    def ranks(self) -> bool:
        """Whether samples can be ranked by `scores`."""
        return False

    def unknown(self, name: str) -> str | None:
        """Why nothing is called so, with the nearest name; None if something is, or if no name is known yet."""
        known = self.known_names
        if not known or name in known:
            return None
        shown = known if len(known) <= MOST_LISTED else (*known[:MOST_LISTED], "...")
        return f"no {self.noun} is called {name!r}; {suggestion(name, known, shown)}"

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

    def num_outputs(self, loss: LossSpec, options: Mapping[str, Any]) -> int:
        """K, the number of outputs that a network needs for a loss with these options.

        Raises:
            ValueError: the loss does not fit the problem; the message gives the reason, and the losses that fit.
        """
        if self.kind not in loss.problems:
            fitting = ", ".join(spec.name for spec in catalogue.losses() if self.kind in spec.problems)
            raise ValueError(
                f"it is for {listed(loss.problems, MOST_LISTED)}, and this is {self.kind}; use one of {fitting}, "
                "or set the dataset's `problem`"
            )
        number: int = loss.outputs(len(self.names), **options)
        return number

    @abstractmethod
    def predictions(self, link: LinkName, logits: Tensor) -> Tensor:
        """`[..., B, K]` to `[..., B, *target_shape]`: the prediction for each sample, as the data have targets."""

    @abstractmethod
    def answers(self, predictions: Tensor) -> list[Answer]:
        """`[B, *target_shape]` as people read them: names of classes or labels, or values."""

    def gives(self, link: LinkName) -> str:
        """What an exported network returns under a link, in words."""
        return "logits" if link == "identity" else f"probabilities of {', '.join(self.names)}"

    def exported(self, link: LinkName, logits: Tensor) -> Tensor:
        """`[B, K]` to what an exported network returns: probabilities; without them, logits."""
        log_p = self.log_probabilities(link, logits)
        return logits if log_p is None else log_p.exp()

    @abstractmethod
    def log_probabilities(self, link: LinkName, logits: Tensor) -> Tensor | None:
        """`[..., B, K]` to the log-probability of each class or label; None if the link gives no probabilities."""

    @abstractmethod
    def log_likelihoods(self, link: LinkName, logits: Tensor, targets: Tensor) -> Tensor | None:
        """`[..., B, K]` and targets to `[..., B]`: the log-likelihood of each target; None without probabilities."""

    def wrong(self, predictions: Tensor, targets: Tensor) -> Tensor | None:
        """`[..., B]`: whether each prediction is wrong; None if predictions are neither right nor wrong."""
        return None

    def class_distances(self, predictions: Tensor, targets: Tensor) -> Tensor | None:
        """`[..., B]`: how many classes each prediction is away from its target; None if classes have no order."""
        return None

    def scores(self, link: LinkName, logits: Tensor) -> Tensor | None:
        """Scores in the shape of targets, which rise with the probability of 1; None unless the problem `ranks`."""
        return None

    def margins(self, link: LinkName, logits: Tensor, targets: Tensor) -> Tensor | None:
        """`[..., B, K]`, `[..., B]` to `[..., B]`: each margin, positive if the sample is right; None if unknown."""
        return None

    def distinct_targets(self, device: Any) -> Tensor | None:
        """`[M]`: every possible target, so that a target is an index into them; None if they cannot be listed."""
        return None

    @abstractmethod
    def example_targets(self, number: int) -> Tensor:
        """`[number, *target_shape]`: possible targets, to try a loss on."""

    def rotated(self, targets: Tensor) -> Tensor:
        """Targets that are all wrong: each is replaced by the next.

        Raises:
            ValueError: the problem is not `labelled`; the message gives the reason.
        """
        raise ValueError(f"a {self.kind} problem has no labels that could be wrong")

    def fitted(self, targets: Array) -> Problem:
        """The problem with what it learns of the training targets.

        Raises:
            ValueError: nothing can be learned from them; the message gives the reason.
        """
        return self

    @property
    def learned(self) -> dict[str, Any]:
        """The facts that `fitted` learned, which differ between splits."""
        return {}

    @property
    def shared_facts(self) -> dict[str, Any]:
        """The facts that every split of a dataset shares."""
        return {name: fact for name, fact in self.facts.items() if name not in self.learned}

    def beside(self, problems: Sequence[Any]) -> Problem:
        """The problem of trials that have these in turn, which differ in what they learned alone."""
        return self

    def of_trials(self, trials: slice) -> Problem:
        """The problem of some of the trials, if it was made by `beside`."""
        return self

    def encoded(self, targets: Array) -> Array:
        """`[N, *target_shape]`: the data's targets as training sees them."""
        return targets

    def decoded(self, targets: Tensor) -> Tensor:
        """The targets that training sees as the data have them."""
        return targets

    def class_counts(self, targets: Array) -> Array | None:
        """`[C]`: the samples of each class or label; None without classes."""
        return None

    def strata(self, targets: Array) -> npt.NDArray[np.int64]:
        """`[N]`: the group of each sample; a split has every group in proportion. One group if there are no classes."""
        import numpy as np

        return np.zeros(len(targets), np.int64)

    def corrupted(self, targets: Array, share: float, kind: NoiseKind, rng: np.random.Generator) -> Array:
        """A copy of the targets of which a random share is wrong; only 0 unless the problem is `labelled`."""
        return targets.copy()
