"""Training in this process, one stack after the other."""

from __future__ import annotations

from collections.abc import Generator, Mapping

import torch

from clsbench.config.plan import Plan
from clsbench.data.splits import Splits
from clsbench.execution.build import require_same_steps
from clsbench.execution.events import Checkpoint, Event
from clsbench.execution.stacks import shares, train_share
from clsbench.registry import Registry


def execute(
    plan: Plan,
    data: Mapping[str, Splits],
    catalogue: Registry,
    device: torch.device,
    kept: Mapping[int, Checkpoint],
) -> Generator[Event, None, None]:
    """Train every stack of the plan in order, and tell what happens; for the inside of `process.training`.

    Args:
        kept: by trial number, the checkpoint to go on from.

    Raises:
        RunError: this machine would train in other steps than those that are kept.
    """
    require_same_steps({trial: each.compiled for trial, each in kept.items()}, plan, data, catalogue)
    for share in shares(plan, catalogue, kept):
        yield from train_share(share, plan, data, catalogue, device)
