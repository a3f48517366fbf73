"""Measuring a stack: metrics on a split, and why a loss does or does not move its logits.

Everything is added up over chunks of fixed length in double precision, so that a trial's numbers do not hang
on how many trials, samples or threads share the work, and so that no more than a chunk of logits is held.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import pairwise

import torch
from torch import Tensor

from clsbench.losses.contract import Loss
from clsbench.training import metrics
from clsbench.training.stack import Stack

CHUNK = 1000  # samples that are measured at once, at most
LOGITS = 5000  # of a trial, where that is no fewer than half a chunk's
PIECE = 250  # and about as many go through the network at once on their way
GROUP = 64  # trials measured together on a CPU: the activations of more leave its caches
Measures = dict[str, Tensor]
# Of logits `[T, n, K]` and targets `[T, n]`, or `[n]` that the trials share: sums over the n samples, `[T]` each.
Sums = Callable[[Tensor, Tensor], Measures]


def evaluate(stack: Stack, x: Tensor, y: Tensor, *sums: Sums) -> Measures:
    """The means over a split `x [N, ...]`, `y [N]` of what each of `sums` adds up, `[T]` each."""
    groups: list[Measures] = []
    for trials in _groups(stack):
        predict, totals = stack.predictor(trials), Totals(*sums)
        for piece in pieces(len(y)):
            with torch.no_grad():
                logits = predict(x[piece])
            totals.add(logits, y[piece])
        groups.append(totals.means(len(y)))
    return {name: _joined([group[name] for group in groups], 0) for name in groups[0]}


def quality(loss: Loss, split: str) -> Sums:
    """Accuracy, NLL, Brier and ECE; those that the loss's link cannot have are absent."""

    def sums(logits: Tensor, targets: Tensor) -> Measures:
        right = metrics.accuracy(loss.predictions(logits), targets)
        found = {f"{split}_accuracy": _sum(right)}
        log_p = loss.log_probabilities(logits)
        if log_p is not None:
            found[f"{split}_nll"] = _sum(metrics.nll(log_p, targets))
            p = log_p.exp()
            found[f"{split}_brier"] = _sum(metrics.brier(p, targets))
            found[f"{split}_ece"] = metrics.ece(p, right)
        return found

    return sums


def progress(loss: Loss) -> Sums:
    """What is said of training data besides the loss: accuracy, and NLL where the link can have it."""

    def sums(logits: Tensor, targets: Tensor) -> Measures:
        found = {"train_accuracy": _sum(metrics.accuracy(loss.predictions(logits), targets))}
        log_p = loss.log_probabilities(logits)
        return found if log_p is None else found | {"train_nll": _sum(metrics.nll(log_p, targets))}

    return sums


def objective(loss: Loss) -> Sums:
    """The loss itself, unweighted."""
    return lambda logits, targets: {"train_loss": _sum(loss.of_samples(logits, targets))}


def pull(loss: Loss, device: torch.device) -> Sums:
    """The norm of the unweighted loss's gradient on the logits; the share of samples wrong and hardly pulled."""
    classes = torch.arange(loss.num_classes, device=device)
    zeros = torch.zeros(loss.num_classes, loss.num_outputs, device=device)
    at_zero = metrics.logit_grad_norm(_logit_gradients(loss, zeros, classes))

    def sums(logits: Tensor, targets: Tensor) -> Measures:
        norms = metrics.logit_grad_norm(_logit_gradients(loss, logits, targets))
        stuck = metrics.stuck_share(norms, at_zero[targets], loss.predictions(logits) != targets)
        return {"logit_grad_norm": _sum(norms), "stuck_share": _sum(stuck)}

    return sums


class Totals:
    """What `sums` add up over logits that come piece by piece; pieces of any size are measured as whole chunks."""

    def __init__(self, *sums: Sums) -> None:
        self._sums = sums
        self._totals: Measures = {}
        self._waiting: list[tuple[Tensor, Tensor]] = []
        self._num_waiting = 0

    def add(self, logits: Tensor, targets: Tensor) -> None:
        """Take `logits [T, n, K]` and `targets [T, n]` or `[n]` in."""
        chunk = min(CHUNK, max(CHUNK // 2, LOGITS // logits.shape[-1]))
        while (room := chunk - self._num_waiting) <= targets.shape[-1]:
            self._waiting.append((logits[:, :room], targets[..., :room]))
            self._settle()
            logits, targets = logits[:, room:], targets[..., room:]
        if targets.shape[-1]:
            self._waiting.append((logits, targets))
            self._num_waiting += targets.shape[-1]

    def means(self, num_samples: int) -> Measures:
        """The means over all that was taken in."""
        if self._waiting:
            self._settle()
        # What has a second axis is the calibration error's, by bin.
        totals = [total if total.dim() == 1 else total.abs().sum(-1) for total in self._totals.values()]
        return dict(zip(self._totals, torch.stack(totals) / num_samples, strict=True))

    def _settle(self) -> None:
        """Measure the samples that wait."""
        # Samples last in memory, as layers leave them and what is said of few classes wants them.
        logits = _joined([logits.mT for logits, _ in self._waiting], -1).mT
        targets = _joined([targets for _, targets in self._waiting], -1)
        self._waiting, self._num_waiting = [], 0
        for sums in self._sums:
            for name, value in sums(logits, targets).items():
                self._totals[name] = self._totals[name] + value if name in self._totals else value


def pieces(num_samples: int) -> Iterator[slice]:
    """The samples that go through the network together: as near to `PIECE` as equal parts come."""
    return _even_parts(num_samples, round(num_samples / PIECE))


def _groups(stack: Stack) -> Iterator[slice]:
    """The trials in groups of like size: on a CPU one left over would have other bits than in company."""
    on_cpu = stack.weights.device.type == "cpu"
    return _even_parts(stack.num_trials, -(-stack.num_trials // GROUP) if on_cpu else 1)


def _even_parts(total: int, number: int) -> Iterator[slice]:
    """So many numbers from 0, in parts whose lengths differ by one at most; in a single one where `number` is 0."""
    ends = [total * part // max(number, 1) for part in range(max(number, 1) + 1)]
    return (slice(start, end) for start, end in pairwise(ends))


def _sum(values: Tensor) -> Tensor:
    return values.sum(-1, dtype=torch.float64)


def _joined(tensors: list[Tensor], dim: int) -> Tensor:
    return tensors[0] if len(tensors) == 1 else torch.cat(tensors, dim)


def _logit_gradients(loss: Loss, logits: Tensor, targets: Tensor) -> Tensor:
    with torch.enable_grad():
        leaf = logits.detach().requires_grad_()
        losses = loss.of_samples(leaf, targets)
        (gradients,) = torch.autograd.grad(losses, leaf, losses.new_ones(()).expand_as(losses))
    return gradients
