"""Random number generators: one for each purpose, seeded by what the purpose may depend on."""

from __future__ import annotations

import hashlib
from typing import Literal

import torch

Purpose = Literal["weights", "batches", "dropout", "warm start"]


def generator_for(purpose: Purpose, *keys: int) -> torch.Generator:
    """A CPU generator that depends on the purpose and the keys (seed, epoch or step) alone."""
    return torch.Generator().manual_seed(seed_for(purpose, *keys))


def seed_for(purpose: Purpose, *keys: int) -> int:
    """The seed of `generator_for(purpose, *keys)`.

    Hashing separates streams that adding the keys up would make one: seed 1 at epoch 2, seed 2 at epoch 1.
    """
    digest = hashlib.sha256(repr((purpose, *keys)).encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1
