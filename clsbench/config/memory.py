"""The memory that trials take, computed from shapes: it limits a stack, and `check` prints it. Pure."""

from __future__ import annotations

from clsbench.config.entries import LossEntry, ModelEntry
from clsbench.problems import Posed
from clsbench.registry import Size, catalogue

STACK_BYTES = 2 << 30
# More trials are not faster: the data of one step no longer fit into the caches.
MAX_STACK = 256

NUMBER = 4  # bytes
# The most steps whose batches one compiled graph takes at once.
BATCHES = 8
# The most samples that go through a network at once in evaluation: 250, or all of up to 375.
MEASURED = 375


def state_bytes(model: ModelEntry, loss: LossEntry, optimizer: str, known: Posed) -> int | None:
    """The size of a trial's weights, gradients and optimizer state; None until the data or model is opened."""
    size = size_of(model, loss, known)
    return None if size is None else NUMBER * size.parameters * _copies(optimizer)


def trial_bytes(size: Size, optimizer: str, batch_size: int, own_samples: int = 0, *, decay_biases: bool = True) -> int:
    """The memory that a trial takes while it trains, in bytes.

    It counts the state twice, since a step and a checkpoint each hold a copy; the activations of a batch and their
    gradients; the batches that are looked up together; the activations of one chunk of evaluation; and the samples of
    a split that the trial does not share. Weight decay that spares biases is a number for each weight. The order of an
    epoch is not counted: 8 bytes for each sample and trial.
    """
    state = (2 * _copies(optimizer) + (not decay_biases)) * size.parameters
    activations = (2 * batch_size + MEASURED) * size.activations
    return NUMBER * (state + activations + (BATCHES * batch_size + own_samples) * size.inputs)


def trials_that_fit(bytes_each: int | None, beside: int = 1) -> int:
    """The most trials in each of `beside` stacks that fit into `STACK_BYTES` together: from 1 to `MAX_STACK`.

    `bytes_each` is None where it is not known.
    """
    if bytes_each is None:
        return max(1, MAX_STACK // beside)
    return min(MAX_STACK, max(1, STACK_BYTES // beside // bytes_each))


def _copies(optimizer: str) -> int:
    """How many numbers are kept for each weight: the weight, its gradient and the optimizer's state."""
    return 2 + len(catalogue.get("optimizer", optimizer).state)


def size_of(model: ModelEntry, loss: LossEntry, known: Posed) -> Size | None:
    """The size of a model under a loss; None until the data or model is opened."""
    measure = catalogue.get("model", model.name).size
    if measure is None or known.shape is None or known.problem is None:
        return None
    num_outputs = known.problem.num_outputs(catalogue.get("loss", loss.name), loss.options)
    size: Size = measure(known.shape, num_outputs, **model.options)
    return size
