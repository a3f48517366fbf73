"""Measuring a stack: metrics on a split, and why a loss does or does not move its logits.

Everything is reduced in chunks of fixed length and added up in double precision, so that a trial's numbers
do not hang on how many trials, samples or threads share the work.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from clsbench.losses.contract import Loss
from clsbench.training import metrics
from clsbench.training.stack import Stack

CHUNK = 1000  # samples
Measures = dict[str, Tensor]


def evaluate(stack: Stack, loss: Loss, x: Tensor, y: Tensor) -> Measures:
    """Accuracy, NLL, Brier and ECE `[T]` of every trial on a split `x [N, ...]`, `y [N]`.

    Measures that the loss's link cannot have are absent.
    """
    totals: Measures = {}
    for logits, targets in _logits(stack, x, y):
        _add(totals, _prediction_measures(loss, logits, targets))
    if "ece" in totals:
        totals["ece"] = totals["ece"].abs().sum(-1)
    return _means(totals, len(y))


def training_measures(loss: Loss, logits: Tensor, targets: Tensor) -> Measures:
    """Accuracy and NLL over logits `[T, N, K]` as they were seen in training."""
    totals: Measures = {}
    for part, labels in zip(logits.split(CHUNK, 1), targets.split(CHUNK, 1), strict=True):
        sums = {"accuracy": metrics.accuracy(loss.predictions(part), labels).sum(-1)}
        log_p = loss.log_probabilities(part)
        if log_p is not None:
            sums["nll"] = metrics.nll(log_p, labels).sum(-1)
        _add(totals, sums)
    return _means(totals, targets.shape[1])


def initial_measures(stack: Stack, loss: Loss, x: Tensor, y: Tensor, weight: Tensor) -> Measures:
    """Loss (times `weight [T]`), accuracy and NLL before any training: the training split, evaluated."""
    totals: Measures = {}
    for logits, targets in _logits(stack, x, y):
        share = training_measures(loss, logits, targets)
        share["loss"] = loss.of_samples(logits, targets).double().mean(-1) * weight
        _add(totals, {name: value * targets.shape[1] for name, value in share.items()})
    return _means(totals, len(y))


def diagnose(stack: Stack, loss: Loss, x: Tensor, y: Tensor, weight: Tensor) -> Measures:
    """The mean gradient norm on the logits, and the share of samples that are wrong and hardly pulled."""
    at_zero = _norms_at_zero(loss, x.device)
    totals: Measures = {}
    for logits, targets in _logits(stack, x, y):
        norms = metrics.logit_grad_norm(_logit_gradients(loss, logits, targets))
        wrong = loss.predictions(logits) != targets
        stuck = metrics.stuck_share(norms, at_zero[targets], wrong)
        _add(
            totals,
            {
                "logit_grad_norm": norms.double().sum(-1) * weight,
                "stuck_share": stuck.sum(-1),
            },
        )
    return _means(totals, len(y))


def _logits(stack: Stack, x: Tensor, y: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
    with torch.no_grad():
        for inputs, targets in zip(x.split(CHUNK), y.split(CHUNK), strict=True):
            shared = inputs.expand(stack.num_trials, *inputs.shape)
            yield stack.forward(shared), targets.expand(stack.num_trials, -1)


def _prediction_measures(loss: Loss, logits: Tensor, targets: Tensor) -> Measures:
    predictions = loss.predictions(logits)
    sums = {"accuracy": metrics.accuracy(predictions, targets).sum(-1)}
    log_p = loss.log_probabilities(logits)
    if log_p is not None:
        sums["nll"] = metrics.nll(log_p, targets).sum(-1)
        sums["brier"] = metrics.brier(log_p, targets).sum(-1)
        sums["ece"] = metrics.ece(predictions, log_p, targets)
    return sums


def _logit_gradients(loss: Loss, logits: Tensor, targets: Tensor) -> Tensor:
    with torch.enable_grad():
        leaf = logits.detach().requires_grad_()
        (gradients,) = torch.autograd.grad(loss.of_samples(leaf, targets).sum(), leaf)
    return gradients


def _norms_at_zero(loss: Loss, device: torch.device) -> Tensor:
    """`[C]`: the gradient norm at zero logits, by target."""
    classes = torch.arange(loss.num_classes, device=device)
    zeros = torch.zeros(loss.num_classes, loss.num_outputs, device=device)
    return metrics.logit_grad_norm(_logit_gradients(loss, zeros, classes))


def _add(totals: Measures, sums: Measures) -> None:
    for name, value in sums.items():
        totals[name] = totals[name] + value if name in totals else value


def _means(totals: Measures, num_samples: int) -> Measures:
    return {name: value / num_samples for name, value in totals.items()}
