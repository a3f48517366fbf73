"""The stack: T trials of one architecture as one tensor program with a leading trial axis.

Everything that a step moves lies in one tensor `weights [T, P]`, of which the parameters are views: an
update is a handful of operations, whatever the number of layers or trials. Each parameter starts at a
multiple of 64 numbers, so that a trial's memory is aligned alike wherever it stands in the stack.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence

import torch
from torch import Tensor, nn
from torch.func import functional_call

from clsbench.models.layers import Dropout
from clsbench.training.optimizers import PART
from clsbench.training.randomness import generator_for


class Stack:
    """T modules of one architecture, trained side by side.

    Args:
        modules: one per trial, with its initial parameters.
        stacked: the modules' layers take parameters with a leading trial axis; otherwise the trials run
            one after the other.
        device: where the parameters live.
    """

    def __init__(self, modules: Sequence[nn.Module], *, stacked: bool, device: torch.device) -> None:
        self.template = modules[0].to(device)
        self.stacked = stacked
        self.num_trials = len(modules)
        self._dropouts = {n: m for n, m in self.template.named_modules() if isinstance(m, Dropout)}
        names_and_shapes = [(name, p.shape) for name, p in self.template.named_parameters()]
        size = sum(_padded(shape.numel()) for _, shape in names_and_shapes)
        self.weights = torch.zeros(self.num_trials, size, device=device)
        self.gradients = torch.zeros_like(self.weights)
        self.parameters = dict(_views(self.weights, names_and_shapes))
        self._gradient_views = dict(_views(self.gradients, names_and_shapes))
        for trial, module in enumerate(modules):
            for name, parameter in module.named_parameters():
                self.parameters[name][trial] = parameter.detach()
        for view in self.parameters.values():
            view.requires_grad_()
        self.buffers = {
            name: torch.stack([module.get_buffer(name) for module in modules]).to(device)
            for name, _ in self.template.named_buffers()
            if not name.endswith(".mask")
        }

    def forward(self, x: Tensor, *, training: bool = False, masks: dict[str, Tensor] | None = None) -> Tensor:
        """`x [T, B, ...] -> logits [T, B, K]`; in training, batch statistics are used and `masks` applied."""
        self.template.train(training)
        state = {**self.parameters, **self.buffers, **(masks or {})}
        if self.stacked:
            logits: Tensor = functional_call(self.template, state, (x,))
            return logits
        by_trial = {name: tensor.unbind(0) for name, tensor in state.items()}
        return torch.stack(
            [functional_call(self.template, {n: v[t] for n, v in by_trial.items()}, (x[t],)) for t in range(len(x))]
        )

    def gradient(self, loss: Tensor) -> Tensor:
        """`[T, P]`: the gradient of a sum over trials, each of which depends on its own parameters alone."""
        gradients = torch.autograd.grad(loss, list(self.parameters.values()))
        for view, gradient in zip(self._gradient_views.values(), gradients, strict=True):
            view.copy_(gradient)
        return self.gradients

    def dropout_masks(self, seeds: Sequence[int], step: tuple[int, int], batch_size: int) -> dict[str, Tensor]:
        """The masks of one step (epoch, number), which hang on it and the seed alone: `[T, B, F]` by buffer."""
        if not self._dropouts:
            return {}
        generators = [generator_for("dropout", seed, *step) for seed in seeds]
        return {
            f"{name}.mask": torch.stack([layer.draw(batch_size, g) for g in generators]).to(self.weights.device)
            for name, layer in self._dropouts.items()
        }

    def kept_buffers(self) -> dict[str, Tensor]:
        """A copy of the buffers, which a step in training moves (running statistics)."""
        return {name: buffer.clone() for name, buffer in self.buffers.items()}

    def put_back(self, buffers: dict[str, Tensor], alive: Tensor) -> None:
        """Undo what a step did to the buffers of the trials that `alive [T, 1]` leaves out."""
        for name, buffer in self.buffers.items():
            lives = alive.bool().view(-1, *[1] * (buffer.dim() - 1))
            buffer.copy_(torch.where(lives, buffer, buffers[name]))

    def trial_state(self, trial: int) -> dict[str, Tensor]:
        """The state dict of one trial's module, on the CPU."""
        named = {**self.parameters, **self.buffers}
        return {name: tensor[trial].detach().cpu().clone() for name, tensor in named.items()}

    def fingerprints(self, trial: int) -> dict[str, str]:
        """A hash per parameter of one trial, keyed by name and shape: what it started from."""
        return {
            f"{name} {list(tensor.shape[1:])}": hashlib.sha256(
                tensor[trial].detach().cpu().numpy().tobytes()
            ).hexdigest()
            for name, tensor in self.parameters.items()
        }


def _padded(size: int) -> int:
    return -(-size // PART) * PART


def _views(flat: Tensor, names_and_shapes: Sequence[tuple[str, torch.Size]]) -> Iterator[tuple[str, Tensor]]:
    start = 0
    for name, shape in names_and_shapes:
        yield name, flat[:, start : start + shape.numel()].view(len(flat), *shape)
        start += _padded(shape.numel())
