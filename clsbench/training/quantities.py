"""What metrics are made of: for a chunk of samples of some trials, each quantity computed when it is first used."""

from __future__ import annotations

from functools import cached_property

import torch
from torch import Tensor

from clsbench.losses.contract import Loss
from clsbench.metrics.by_class import class_counts
from clsbench.metrics.calibration import scaled

# Quantities without an axis of trials, if these share the targets.
SHARED = ("targets", "encoded_targets", "zero_gradient_norms", "posterior")


class Ruler:
    """Measures the networks of one loss on one device."""

    def __init__(self, loss: Loss, device: torch.device) -> None:
        self.loss, self._device = loss, device

    def of(self, trials: slice) -> Ruler:
        """The ruler of some trials."""
        some = self.loss.of(trials)
        return self if some is self.loss else Ruler(some, self._device)

    @cached_property
    def _of_distinct(self) -> Tensor | None:
        """`[M]`, or `[T, M]`: for each target, if they can be listed, the norm of the gradient at zero logits."""
        targets = self.loss.problem.distinct_targets(self._device)
        if targets is None:
            return None
        number = self.loss.num_trials
        return self._at_zero(targets if number is None else targets.expand(number, -1))

    def zero_gradient_norms(self, targets: Tensor) -> Tensor:
        """The norm of the loss's gradient at zero logits, for each target."""
        known = self._of_distinct
        if known is None:
            return self._at_zero(targets)
        return known[targets] if known.dim() == 1 else known.gather(-1, targets)

    def _at_zero(self, targets: Tensor) -> Tensor:
        zeros = torch.zeros(*self.loss.problem.samples_of(targets), self.loss.num_outputs, device=self._device)
        return _norms(_logit_gradients(self.loss, zeros, targets))


class Quantities:
    """The inputs of metrics, for a chunk of n samples of T trials; each is computed when it is first used.

    A metric names in its signature those that it needs; if one is None, the metric has no value.
    """

    def __init__(
        self,
        ruler: Ruler,
        logits: Tensor,
        targets: Tensor,
        posterior: Tensor | None = None,
        temperatures: Tensor | None = None,
    ) -> None:
        self._ruler, self.loss = ruler, ruler.loss
        self.logits = logits  # [T, n, K]
        self.encoded_targets = targets  # as training sees them: [T, n, ...], or [n, ...] that the trials share
        self.posterior = posterior  # [T, n, C] or [n, C]: the true probabilities, or None if they are not known
        self._temperatures = temperatures  # [T], or None before the last epoch

    @property
    def are_targets_shared(self) -> bool:
        return len(self.loss.problem.samples_of(self.encoded_targets)) == 1

    @cached_property
    def targets(self) -> Tensor:
        """`[T, n, ...]`, or `[n, ...]` that the trials share: the targets as the data have them."""
        return self.loss.problem.decoded(self.encoded_targets)

    @cached_property
    def predictions(self) -> Tensor:
        """`[T, n, ...]`: the predictions, as targets are."""
        return self.loss.predictions(self.logits)

    @cached_property
    def wrong(self) -> Tensor | None:
        """`[T, n]`: whether each prediction is wrong, or None if predictions are neither right nor wrong."""
        return self.loss.problem.wrong(self.predictions, self.targets)

    @cached_property
    def log_likelihoods(self) -> Tensor | None:
        """`[T, n]`: the log-likelihood of each target, or None if the loss's link has none."""
        return self.loss.problem.log_likelihoods(self.loss.link, self.logits, self.encoded_targets)

    @cached_property
    def log_probabilities(self) -> Tensor | None:
        """`[T, n, C]`, or None if the loss's link has none."""
        return self.loss.log_probabilities(self.logits)

    @cached_property
    def probabilities(self) -> Tensor | None:
        """`[T, n, C]`, or None if the loss's link has none."""
        return None if self.log_probabilities is None else self.log_probabilities.exp()

    @cached_property
    def scaled_log_probabilities(self) -> Tensor | None:
        """`[T, n, C]` at the temperature of each trial, or None if there are no temperatures or probabilities."""
        log_p = self.log_probabilities
        return None if log_p is None or self._temperatures is None else scaled(log_p, self._temperatures)

    @cached_property
    def scaled_probabilities(self) -> Tensor | None:
        """`[T, n, C]` at the temperature of each trial, or None as before."""
        return None if self.scaled_log_probabilities is None else self.scaled_log_probabilities.exp()

    @cached_property
    def class_distances(self) -> Tensor | None:
        """`[T, n]`: how many classes the prediction is away from the target, or None if classes have no order."""
        return self.loss.problem.class_distances(self.predictions, self.targets)

    @cached_property
    def margins(self) -> Tensor | None:
        """`[T, n]`, or None if the problem defines none for the loss's outputs."""
        return self.loss.margins(self.logits, self.encoded_targets)

    @cached_property
    def class_counts(self) -> Tensor:
        """`[T, 3, C]`: for each class the samples of it, those predicted as it, and those of both."""
        return class_counts(self.predictions, self.targets, len(self.loss.problem.names))

    @cached_property
    def scores(self) -> Tensor | None:
        """`[T, n]`: what ranks samples from class 0 to class 1, or None unless there are two classes."""
        return self.loss.scores(self.logits)

    @cached_property
    def losses(self) -> Tensor:
        """`[T, n]`: each sample's loss, unweighted."""
        return self.loss.of_samples(self.logits, self.encoded_targets)

    @cached_property
    def gradients(self) -> Tensor:
        """`[T, n, K]`: the gradient of each sample's unweighted loss on its logits."""
        return _logit_gradients(self.loss, self.logits, self.encoded_targets)

    @cached_property
    def gradient_norms(self) -> Tensor:
        """`[T, n]`: the L2 norm of each sample's gradient on its logits."""
        return _norms(self.gradients)

    @property
    def zero_gradient_norms(self) -> Tensor:
        """`[T, n]`, or `[n]` that the trials share: the norm at zero logits."""
        return self._ruler.zero_gradient_norms(self.encoded_targets)


def _norms(gradients: Tensor) -> Tensor:
    return gradients.square().sum(-1).sqrt()


def _logit_gradients(loss: Loss, logits: Tensor, targets: Tensor) -> Tensor:
    with torch.enable_grad():
        leaf = logits.detach().requires_grad_()
        losses = loss.of_samples(leaf, targets)
        # Not by `grad_outputs`: PyTorch would import SymPy to compare two shapes.
        (gradients,) = torch.autograd.grad(losses.sum(), leaf)
    return gradients
