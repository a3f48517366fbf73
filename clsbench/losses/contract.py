"""A loss bound to a problem, and to the classes of the training split."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from clsbench.containment import contained, settled
from clsbench.forks import apart
from clsbench.losses.weights import ClassWeight, class_weights
from clsbench.problems import Problem
from clsbench.problems.encoding import at_target
from clsbench.registry import LinkName, catalogue
from clsbench.signatures import is_own

# By function, number of outputs and options: bound for every stack, a loss is tried in one process.
_KNOWN_TO_DRAW: dict[tuple[Callable[..., Tensor], int, str], bool] = {}


@dataclass(frozen=True)
class Loss:
    """A loss bound to a problem: its function, its link, its number of outputs, its options.

    `stacked` says that the function takes any leading axes; a user's loss gets `[B, K]` and `[B]`, trial by trial, and
    may return one number for the batch, which then is the loss of each of its samples. `users` says that it is a
    user's, and `draws` that it draws from PyTorch's global generator, which is then seeded before every call, in
    training for each trial and here in evaluation. `given` is what the function takes after the targets, the share of
    each class in the training split or nothing. `class_weight [C]` multiplies each sample's loss by the weight of its
    class, whatever else is in the batch; None weighs nothing.

    For `num_trials` trials whose splits differ, tensors have a leading axis of trials and one for samples, `[T, 1, C]`,
    and the problem is that of each trial; None where all trials share it.
    """

    name: str
    function: Callable[..., Tensor]
    link: LinkName
    num_outputs: int
    problem: Problem
    options: Mapping[str, Any]
    stacked: bool
    users: bool = False
    draws: bool = False
    given: tuple[Tensor, ...] = ()
    class_weight: Tensor | None = None
    num_trials: int | None = None

    def of(self, trials: slice) -> Loss:
        """The loss of some trials."""
        if self.num_trials is None:
            return self
        return replace(
            self,
            problem=self.problem.of_trials(trials),
            given=tuple(each[trials] for each in self.given),
            class_weight=None if self.class_weight is None else self.class_weight[trials],
            num_trials=len(range(self.num_trials)[trials]),
        )

    def mapped(self, function: Callable[[Tensor], Tensor]) -> Loss:
        """The loss with other tensors."""
        return replace(
            self,
            given=tuple(map(function, self.given)),
            class_weight=None if self.class_weight is None else function(self.class_weight),
        )

    @property
    def weights(self) -> tuple[Tensor, ...]:
        """The weight of each class, or nothing."""
        return () if self.class_weight is None else (self.class_weight,)

    @property
    def shared(self) -> tuple[Tensor, ...]:
        """The tensors that have no axis of trials, but are the same for all."""
        return (*self.given, *self.weights) if self.num_trials is None else ()

    def __call__(self, logits: Tensor, targets: Tensor) -> Tensor:
        """`[..., B, K], [..., B, ...] -> [..., B]`: the loss of every sample."""
        if not self.stacked and logits.dim() > 2:
            return torch.stack([self(*trial) for trial in zip(logits, targets, strict=True)])
        value, samples = self._value(logits, targets), logits.shape[:-1]
        if value.shape == samples:
            return value if self.class_weight is None else value * self._weights(self.class_weight, targets)
        if value.dim() > 0:
            raise ValueError(f"loss {self.name!r} returned shape {tuple(value.shape)}, not {tuple(samples)}")
        if self.class_weight is not None:
            raise ValueError(f"loss {self.name!r} returned one number for a batch, which class_weight cannot weigh")
        return value.expand(samples)

    @staticmethod
    def _weights(by_class: Tensor, targets: Tensor) -> Tensor:
        return at_target(by_class.expand(*targets.shape, -1), targets)

    def _value(self, logits: Tensor, targets: Tensor) -> Tensor:
        if not self.users or torch.compiler.is_compiling():
            return self.function(logits, targets, *self.given, **self.options)
        with settled():
            value = self.function(logits, targets, *self.given, **self.options)
        if not isinstance(value, Tensor):
            raise TypeError(f"loss {self.name!r} returned {type(value).__name__}, not a tensor")
        return value

    def of_samples(self, logits: Tensor, targets: Tensor) -> Tensor:
        """As a call, but for each sample separately: the same, unless the function returns one number for a batch.

        The targets may be `[B, ...]`, for all leading axes.
        """
        samples, shape = logits.shape[:-1], self.problem.target_shape
        targets = targets.expand(*samples, *shape)
        if self.stacked:
            return self(logits, targets)
        randomness = "different" if self.draws else "error"
        alone = torch.func.vmap(lambda z, t: self(z.unsqueeze(0), t.unsqueeze(0)).squeeze(0), randomness=randomness)
        if not self.draws:
            return alone(logits.flatten(0, -2), targets.reshape(-1, *shape)).view(samples)
        trials = zip(logits.reshape(-1, *logits.shape[-2:]), targets.reshape(-1, samples[-1], *shape), strict=True)
        measured = []
        with torch.random.fork_rng(devices=[logits.device] if logits.is_cuda else []):
            for trial in trials:  # each gets the noise that it would get alone
                torch.manual_seed(0)
                measured.append(alone(*trial))
        return torch.stack(measured).view(samples)

    def predictions(self, logits: Tensor) -> Tensor:
        return self.problem.predictions(self.link, logits)

    def log_probabilities(self, logits: Tensor) -> Tensor | None:
        return self.problem.log_probabilities(self.link, logits)

    def scores(self, logits: Tensor) -> Tensor | None:
        return self.problem.scores(self.link, logits)

    def margins(self, logits: Tensor, targets: Tensor) -> Tensor | None:
        return self.problem.margins(self.link, logits, targets)


def side_by_side(losses: Sequence[Loss]) -> Loss:
    """One loss for trials that have these in turn, bound to different splits of one dataset."""
    first = losses[0]
    alike = all(
        each.problem == first.problem
        and all(map(torch.equal, each.given, first.given))
        and all(map(torch.equal, each.weights, first.weights))
        for each in losses
    )
    if alike:
        return first
    return replace(
        first,
        problem=first.problem.beside([each.problem for each in losses]),
        given=tuple(map(_column, zip(*(each.given for each in losses), strict=True))),
        class_weight=None if first.class_weight is None else _column([w for each in losses for w in each.weights]),
        num_trials=len(losses),
    )


def _column(values: Sequence[Tensor]) -> Tensor:
    """`[C]` of each of T trials to `[T, 1, C]`."""
    return torch.stack(list(values)).unsqueeze(1)


def build_loss(
    name: str,
    problem: Problem,
    options: Mapping[str, Any],
    class_weight: ClassWeight | None = None,
    class_counts: Tensor | None = None,
) -> Loss:
    """The loss of this name for a problem.

    Args:
        class_weight: what multiplies the loss of each class's samples; see `class_weights`.
        class_counts: `[C]`, the training samples of each class, on the device; needed by `class_weight`, and by losses
            that take `class_shares`, where a class without training samples counts as one.

    Raises:
        ValueError: the loss does not fit the problem; the message gives the reason.
    """
    spec = catalogue.get("loss", name)
    given: tuple[Tensor, ...] = ()
    weights = None
    if class_counts is not None:
        if spec.takes_shares:
            given = ((class_counts.clamp_min(1) / class_counts.sum()).float(),)
        if class_weight is not None:
            numbers = class_weights(class_weight, problem.names, class_counts.tolist())
            weights = torch.tensor(numbers, device=class_counts.device)
    loss = Loss(
        name=spec.name,
        function=spec.factory,
        link=spec.link,
        num_outputs=problem.num_outputs(spec, options),
        problem=problem,
        options=options,
        stacked=spec.stacked,
        users=not is_own(spec.factory),
        given=given,
        class_weight=weights,
    )
    if loss.users and _draws(loss):
        return replace(loss, stacked=False, draws=True)
    return loss


def _draws(loss: Loss) -> bool:
    """Whether a user's function draws from PyTorch's global generator, found by calling it once.

    False if it raises or kills its process: it does so in training too, which reports it.
    """
    called = loss.function, loss.num_outputs, repr(sorted(loss.options.items()))
    if called not in _KNOWN_TO_DRAW:
        _KNOWN_TO_DRAW[called] = apart(lambda: _seen_drawing(loss), otherwise=False)
    return _KNOWN_TO_DRAW[called]


def _seen_drawing(loss: Loss) -> bool:
    with torch.random.fork_rng(devices=[]), contained():
        torch.set_num_threads(1)  # a process that used several could not be forked
        torch.manual_seed(0)
        logits, before = torch.randn(3, loss.num_outputs, requires_grad=True), torch.get_rng_state()
        given = [each.cpu() for each in loss.given]
        try:
            loss.function(logits, loss.problem.example_targets(3), *given, **loss.options)
        except (Exception, SystemExit):
            return False
        return not torch.equal(before, torch.get_rng_state())
