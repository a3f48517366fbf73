"""How much memory trials take, counted from shapes: what bounds a stack, and what `check` says of it. Pure."""

from __future__ import annotations

from clsbench.config.schema import DatasetEntry, LossEntry, ModelEntry
from clsbench.problems import Posed, posed_by
from clsbench.registry import Size, catalogue

STACK_BYTES = 2 << 30
# More trials gain no speed: what a step of theirs touches leaves the caches.
MAX_STACK = 256

NUMBER = 4  # bytes
# A compiled graph takes the batches of up to so many steps at once.
BATCHES = 8
# Samples that go through a network at once while it is measured, at most: 250, but all of up to half as many again.
MEASURED = 375


def posed(entry: DatasetEntry) -> Posed:
    """What a dataset poses, as far as it is known before it is opened."""
    return posed_by(entry.name, entry.options)


def state_bytes(model: ModelEntry, loss: LossEntry, optimizer: str, known: Posed) -> int | None:
    """A trial's weights, gradients and optimizer state; None where only opening the data or the model can tell."""
    size = size_of(model, loss, known)
    return None if size is None else NUMBER * size.parameters * _copies(optimizer)


def trial_bytes(size: Size, optimizer: str, batch_size: int) -> int:
    """What a trial takes of memory while it trains.

    It takes its state twice, for a step and a checkpoint each hold a copy; the activations of a batch and their
    gradients; the batches of a compiled graph; and the activations of what is measured at once. The data are shared,
    and the order of an epoch comes on top, 8 bytes for each sample and trial.
    """
    state = 2 * _copies(optimizer) * size.parameters
    activations = (2 * batch_size + MEASURED) * size.activations
    return NUMBER * (state + activations + BATCHES * batch_size * size.inputs)


def trials_that_fit(bytes_each: int | None, beside: int = 1) -> int:
    """The most trials of one of `beside` stacks that `STACK_BYTES` hold together: at least one, at most `MAX_STACK`.

    `bytes_each` is None where it is not known.
    """
    if bytes_each is None:
        return max(1, MAX_STACK // beside)
    return min(MAX_STACK, max(1, STACK_BYTES // beside // bytes_each))


def _copies(optimizer: str) -> int:
    """How many numbers stand for a weight: itself, its gradient, and what the optimizer keeps of it."""
    return 2 + len(catalogue.get("optimizer", optimizer).state)


def size_of(model: ModelEntry, loss: LossEntry, known: Posed) -> Size | None:
    """How large a model is under a loss; None where only opening the data or the model can tell."""
    measure = catalogue.get("model", model.name).size
    if measure is None or known.shape is None or known.problem is None:
        return None
    num_outputs = known.problem.num_outputs(catalogue.get("loss", loss.name), loss.options)
    size: Size = measure(known.shape, num_outputs, **model.options)
    return size
