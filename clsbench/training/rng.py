"""Random number generators: one for each purpose, seeded by its keys."""

from __future__ import annotations

import hashlib
from contextlib import AbstractContextManager
from typing import Literal

import torch

Purpose = Literal["weights", "batches", "dropout", "loss", "evaluation", "warm start"]


def generator_for(purpose: Purpose, *keys: int) -> torch.Generator:
    """A CPU generator that depends on the purpose and the keys (seed, epoch or step) alone."""
    return torch.Generator().manual_seed(seed_for(purpose, *keys))


def seed_for(purpose: Purpose, *keys: int) -> int:
    """The seed of `generator_for(purpose, *keys)`.

    Hashing separates streams that a sum of the keys would not: seed 1 at epoch 2 and seed 2 at epoch 1.
    """
    digest = hashlib.sha256(repr((purpose, *keys)).encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1


def own_rng(device: torch.device) -> AbstractContextManager[None]:
    """What is drawn within from PyTorch's global generators leaves them as they were."""
    return torch.random.fork_rng(devices=[device] if device.type == "cuda" else [])


def seed_global(seed: int, device: torch.device) -> None:
    """Seed PyTorch's global generators, within `own_rng`: what the user's code draws comes from them."""
    # Not `torch.manual_seed`: it notes a stack trace for a GPU that may come, which takes longer than a step.
    torch.default_generator.manual_seed(seed)
    if device.type == "cuda":
        with torch.cuda.device(device):
            torch.cuda.manual_seed(seed)
