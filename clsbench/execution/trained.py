"""Networks as training left them."""

from __future__ import annotations

from collections.abc import Mapping

import torch

from clsbench.config.plan import Trial
from clsbench.errors import RunError
from clsbench.execution.work import initial_model


def trained_model(
    trial: Trial, shape: tuple[int, ...], num_outputs: int, state: Mapping[str, torch.Tensor]
) -> torch.nn.Module:
    """The model of a trial with the weights that it ended with.

    Raises:
        RunError: they are another model's.
    """
    module = initial_model(trial.arm, trial.seed, shape, num_outputs)
    own = module.state_dict()
    odd = sorted(own.keys() ^ state.keys())
    odd += [n for n, tensor in own.items() if n in state and _kind(tensor) != _kind(state[n])]
    if odd:
        raise RunError(f"the weights of trial {trial.number} are not its model's: {odd[0]!r} differs; run again")
    module.load_state_dict(state)
    return module


def _kind(tensor: torch.Tensor) -> tuple[torch.Size, torch.dtype]:
    return tensor.shape, tensor.dtype
