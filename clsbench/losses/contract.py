"""From logits to a prediction: the links and what can be said of a sample under each.

C is the number of classes, K the number of outputs. Probabilities by the contract: softmax p; sigmoid
with C outputs s / sum s, with one output (1 - s, s); the identity has none.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid

from clsbench.losses.targets import MANY_CLASSES, at_target, log_softmax, one_hot
from clsbench.registry import LinkName, catalogue


def log_probabilities(link: LinkName, logits: Tensor) -> Tensor | None:
    """`[..., B, K] -> [..., B, C]`: log-probabilities of the classes, or None where the link has none."""
    if link == "softmax":
        return log_softmax(logits)
    if link == "sigmoid":
        if logits.shape[-1] == 1:
            return torch.cat([logsigmoid(-logits), logsigmoid(logits)], dim=-1)
        return log_softmax(logsigmoid(logits))
    return None


def predictions(link: LinkName, logits: Tensor, num_classes: int) -> Tensor:
    """`[..., B, K] -> [..., B]`: the class number predicted; for one raw output, the nearest one."""
    if logits.shape[-1] >= MANY_CLASSES:
        return logits.contiguous().argmax(-1)  # twenty times as fast as over an axis that is not the last in memory
    if logits.shape[-1] == 2:
        return (logits[..., 1] > logits[..., 0]).long()
    if logits.shape[-1] > 1:
        return logits.mT.contiguous().max(-2).indices  # the first of equal ones, as `argmax`, in half its time
    output = logits.squeeze(-1)
    if link == "sigmoid":
        return (output > 0).long()
    return output.nan_to_num().round().clamp(0, num_classes - 1).long()


def margins(link: LinkName, logits: Tensor, targets: Tensor) -> Tensor | None:
    """`[..., B, K], [..., B] -> [..., B]`: the target's logit minus the largest other one.

    One output under a sigmoid is class 1's logit against a zero for class 0; one raw output gives no class a
    logit, and so has no margin.
    """
    if logits.shape[-1] > 1:
        others = logits.masked_fill(one_hot(targets, logits).bool(), -torch.inf).amax(-1)
        return at_target(logits, targets) - others
    if link != "sigmoid":
        return None
    output = logits.squeeze(-1)
    return torch.where(targets == 1, output, -output)


@dataclass(frozen=True)
class Loss:
    """A loss bound to a problem: its function, its link, its numbers of outputs and classes, its options.

    `stacked` says that the function takes any leading axes; one of the user's own sees `[B, K]` and `[B]`,
    trial by trial, and may return one number for the batch, which then stands for each of its samples.
    """

    name: str
    function: Callable[..., Tensor]
    link: LinkName
    num_outputs: int
    num_classes: int
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

    def log_probabilities(self, logits: Tensor) -> Tensor | None:
        return log_probabilities(self.link, logits)

    def predictions(self, logits: Tensor) -> Tensor:
        return predictions(self.link, logits, self.num_classes)


def build_loss(name: str, num_classes: int, options: Mapping[str, Any]) -> Loss:
    """The loss of this name for a problem of `num_classes` classes.

    Raises:
        ValueError: the loss does not fit the problem; the message gives the reason.
    """
    spec = catalogue.get("loss", name)
    return Loss(
        name=spec.name,
        function=spec.factory,
        link=spec.link,
        num_outputs=spec.outputs(num_classes, **options),
        num_classes=num_classes,
        options=options,
        stacked=spec.stacked,
    )
