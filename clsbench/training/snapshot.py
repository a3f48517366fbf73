"""The state of a stack between two epochs, as plain tensors, from which training can go on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from clsbench.training.stack import copied
from clsbench.training.step import Steps


class SnapshotMismatch(ValueError):
    """The snapshot is of another stack."""


MODEL = "model."  # the prefix of the names in a model's state dict


@dataclass(frozen=True)
class Snapshot:
    """The state that the epochs after `epoch` depend on: training from it gives the bits of uninterrupted training.

    `tensors` holds, by name, every tensor that steps change and the next epoch needs, on the CPU, with a row for
    each trial.
    """

    epoch: int
    tensors: Mapping[str, Tensor]

    @classmethod
    def of(cls, steps: Steps, epoch: int) -> Snapshot:
        """A copy of the tensors that steps change."""
        return cls(epoch, {name: copied(tensor) for name, tensor in _moved(steps).items()})

    @classmethod
    def joined(cls, snapshots: Sequence[Snapshot]) -> Snapshot:
        """Snapshots of one epoch joined, their trials in order."""
        tensors = {name: torch.cat([each.tensors[name] for each in snapshots]) for name in snapshots[0].tensors}
        return replace(snapshots[0], tensors=tensors)

    def rows(self, places: Sequence[int]) -> Snapshot:
        """The snapshot of the trials at some places."""
        return replace(self, tensors={name: tensor[list(places)] for name, tensor in self.tensors.items()})

    def model_state(self, place: int) -> dict[str, Tensor]:
        """The state dict of one trial's model."""
        return {
            name.removeprefix(MODEL): tensor[place] for name, tensor in self.tensors.items() if name.startswith(MODEL)
        }

    def restore(self, steps: Steps) -> None:
        """Restore the state of the steps.

        Raises:
            SnapshotMismatch: a tensor is missing, or has another shape or type.
        """
        expected = _moved(steps)
        if self.tensors.keys() != expected.keys():
            odd = sorted(self.tensors.keys() ^ expected.keys())
            raise SnapshotMismatch(f"{odd[0]!r} is in one of the snapshot and the stack only")
        for name, tensor in expected.items():
            found = self.tensors[name]
            if _kind(found) != _kind(tensor):
                kinds = [" ".join(map(str, _kind(each))) for each in (found, tensor)]
                raise SnapshotMismatch(f"{name!r} is {kinds[0]}, not {kinds[1]}")
        for name, tensor in expected.items():
            tensor.copy_(self.tensors[name])


def _kind(tensor: Tensor) -> tuple[object, ...]:
    return tensor.layout, tensor.dtype, list(tensor.shape)


def _moved(steps: Steps) -> dict[str, Tensor]:
    """The tensors themselves, not copies: writing into them changes the steps."""
    stack = steps.stack
    kept = stack.template.state_dict()  # a buffer may have no row for each trial
    model = {**stack.parameters, **stack.buffers}
    return {
        **{(MODEL if name in kept else "buffer.") + name: tensor for name, tensor in model.items()},
        **{f"optimizer.{name}": tensor for name, tensor in steps.state.items()},
        "loss_weight": steps.loss_weight,
        "alive": steps.alive,
        "taken": steps.taken,
        **({} if steps.waiting is None else steps.waiting.tensors),
    }
