"""Trained networks."""

from __future__ import annotations

from collections.abc import Mapping

import torch

from clsbench.config.plan import Trial
from clsbench.errors import RunError
from clsbench.execution.work import initial_model


def trained_model(
    trial: Trial, shape: tuple[int, ...], num_outputs: int, state: Mapping[str, torch.Tensor]
) -> torch.nn.Module:
    """The model of a trial with its final weights.

    Raises:
        RunError: they are the weights of another model.
    """
    module = initial_model(trial.arm, trial.seed, shape, num_outputs)
    # Each tensor once: two names of the state dict may stand for the same.
    kept = module.state_dict()
    named = (*module.named_parameters(), *module.named_buffers())
    own = {name: tensor for name, tensor in named if name in kept}
    odd = sorted(own.keys() ^ state.keys())
    odd += [n for n, tensor in own.items() if n in state and _kind(tensor) != _kind(state[n])]
    if odd:
        raise RunError(f"the weights of trial {trial.number} do not fit its model: {odd[0]!r} differs; run again")
    with torch.no_grad():
        for name, tensor in own.items():
            tensor.copy_(state[name])
    return module


def _kind(tensor: torch.Tensor) -> tuple[torch.Size, torch.dtype]:
    return tensor.shape, tensor.dtype
