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
    require_fitting(trial, module, state)
    with torch.no_grad():
        for name, tensor in _kept(module).items():
            tensor.copy_(state[name])
    return module


def require_fitting(trial: Trial, module: torch.nn.Module, state: Mapping[str, torch.Tensor]) -> None:
    """Refuse weights of a trial that are those of another model than the module; RunError."""
    own = _kept(module)
    odd = sorted(own.keys() ^ state.keys())
    odd += [n for n, tensor in own.items() if n in state and _kind(tensor) != _kind(state[n])]
    if odd:
        raise RunError(f"the weights of trial {trial.number} do not fit its model: {odd[0]!r} differs; run again")


def _kept(module: torch.nn.Module) -> dict[str, torch.Tensor]:
    """The tensors of its state dict, each once: two names of it may stand for the same."""
    kept = module.state_dict()
    named = (*module.named_parameters(), *module.named_buffers())
    return {name: tensor for name, tensor in named if name in kept}


def _kind(tensor: torch.Tensor) -> tuple[torch.Size, torch.dtype]:
    return tensor.shape, tensor.dtype
