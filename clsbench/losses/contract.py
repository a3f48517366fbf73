"""A loss bound to a problem."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from clsbench.problems import Problem
from clsbench.registry import LinkName, catalogue


@dataclass(frozen=True)
class Loss:
    """A loss bound to a problem: its function, its link, its number of outputs, its options.

    `stacked` says that the function takes any leading axes; one of the user's own sees `[B, K]` and `[B]`,
    trial by trial, and may return one number for the batch, which then stands for each of its samples.
    """

    name: str
    function: Callable[..., Tensor]
    link: LinkName
    num_outputs: int
    problem: Problem
    options: Mapping[str, Any]
    stacked: bool

    def __call__(self, logits: Tensor, targets: Tensor) -> Tensor:
        """`[..., B, K], [..., B] -> [..., B]`: the loss of every sample."""
        if not self.stacked and logits.dim() > 2:
            return torch.stack([self(*trial) for trial in zip(logits, targets, strict=True)])
        value = self.function(logits, targets, **self.options)
        if value.shape == targets.shape:
            return value
        if value.dim() > 0:
            raise ValueError(f"loss {self.name!r} returned shape {tuple(value.shape)}, not {tuple(targets.shape)}")
        return value.expand(targets.shape)

    def of_samples(self, logits: Tensor, targets: Tensor) -> Tensor:
        """As a call, but each sample alone: the same, unless the function returns one number for a batch.

        The targets may be `[B]`, for all leading axes.
        """
        targets = targets.expand(logits.shape[:-1])
        if self.stacked:
            return self(logits, targets)
        alone = torch.func.vmap(lambda z, t: self(z.unsqueeze(0), t.unsqueeze(0)).squeeze(0))
        return alone(logits.flatten(0, -2), targets.flatten()).view(targets.shape)

    def predictions(self, logits: Tensor) -> Tensor:
        return self.problem.predictions(self.link, logits)

    def log_probabilities(self, logits: Tensor) -> Tensor | None:
        return self.problem.log_probabilities(self.link, logits)

    def margins(self, logits: Tensor, targets: Tensor) -> Tensor | None:
        return self.problem.margins(self.link, logits, targets)


def build_loss(name: str, problem: Problem, options: Mapping[str, Any]) -> Loss:
    """The loss of this name for a problem.

    Raises:
        ValueError: the loss does not fit the problem; the message gives the reason.
    """
    spec = catalogue.get("loss", name)
    return Loss(
        name=spec.name,
        function=spec.factory,
        link=spec.link,
        num_outputs=problem.num_outputs(spec, options),
        problem=problem,
        options=options,
        stacked=spec.stacked,
    )
