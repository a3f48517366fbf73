"""The stack: T trials of one architecture as one tensor program with a leading trial axis.

Everything that a step moves lies in one tensor `weights [T, P]`, of which the parameters are views: an
update is a handful of operations, whatever the number of layers or trials. Each parameter starts at a
multiple of 64 numbers, so that a trial's memory is aligned alike wherever it stands in the stack.
"""

from __future__ import annotations

import copy
import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from types import MappingProxyType

import torch
from torch import Tensor, nn
from torch.func import functional_call

from clsbench.models.layers import Dropout
from clsbench.training.layout import ALL, PART
from clsbench.training.randomness import generator_for

Named = Mapping[str, Tensor]

# Weights of which a core's cache holds several copies: gradients, momentum and so on.
CACHED = 2**17


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
        self._shapes = {name: p.shape for name, p in self.template.named_parameters() if p.requires_grad}
        sizes = [shape.numel() for shape in self._shapes.values()]
        paddings = [-size % PART for size in sizes]
        self._sizes = [n for pair in zip(sizes, paddings, strict=True) for n in pair]
        self._paddings = [torch.zeros(self.num_trials, padding, device=device) for padding in paddings]
        self.weights = self.joined([_stacked(modules, name, device) for name in self._shapes])
        masks = {f"{name}.mask" for name in self._dropouts}
        still = [name for name, p in self.template.named_parameters() if not p.requires_grad]
        still += [name for name, _ in self.template.named_buffers() if name not in masks]
        self.buffers = {name: _stacked(modules, name, device) for name in still}

    def views(self, weights: Tensor) -> dict[str, Tensor]:
        """`weights [T, P]` as the parameters that lie in it, by name: `[T, ...]` each."""
        parts = weights.split(self._sizes, dim=1)[::2]
        return {
            name: part.view(len(part), *shape) for part, (name, shape) in zip(parts, self._shapes.items(), strict=True)
        }

    def joined(self, parameters: Sequence[Tensor]) -> Tensor:
        """The inverse of `views`: `[T, ...]` each to `[T, P]`, zeros between them."""
        pieces: list[Tensor] = []
        for parameter, padding in zip(parameters, self._paddings, strict=True):
            pieces += [parameter.reshape(len(parameter), -1), padding[: len(parameter)]]
        return torch.cat(pieces, dim=1)

    def groups(self) -> Iterator[slice]:
        """The trials in groups whose weights fit into a core's cache together: each is passed over several times."""
        size = max(1, CACHED // self.weights.shape[1])
        if size >= self.num_trials or self.weights.device.type != "cpu":
            yield ALL
            return
        for start in range(0, self.num_trials, size):
            yield slice(start, start + size)

    def part(self, trials: slice) -> Stack:
        """Some of the trials as a stack of their own, with a copy of their weights and buffers."""
        other = copy.copy(self)
        other.weights = self.weights[trials].clone()
        other.buffers = {name: buffer[trials].clone() for name, buffer in self.buffers.items()}
        other.num_trials = len(other.weights)
        return other

    @property
    def parameters(self) -> dict[str, Tensor]:
        """The parameters by name, `[T, ...]` each, as views of `weights`."""
        return self.views(self.weights)

    def train(self, mode: bool) -> None:
        """Whether batch statistics are used and moved, and dropout is applied."""
        self.template.train(mode)

    def forward(
        self,
        x: Tensor,
        parameters: Mapping[str, Tensor] | None = None,
        masks: Mapping[str, Tensor] = MappingProxyType({}),
    ) -> Tensor:
        """`x [T, B, ...] -> logits [T, B, K]`, with other parameters than its own and with dropout masks."""
        return self._called({**(parameters or self.parameters), **self.buffers, **masks}, x)

    def predictor(self, trials: slice) -> Callable[[Tensor], Tensor]:
        """The function of some trials from samples that they share to their logits: `[B, ...] -> [T, B, K]`."""
        state = {name: tensor[trials] for name, tensor in {**self.parameters, **self.buffers}.items()}
        number = len(range(self.num_trials)[trials])
        return lambda x: self._called(state, x.expand(number, *x.shape))

    def _called(self, state: Named, x: Tensor) -> Tensor:
        if self.stacked:
            logits: Tensor = functional_call(self.template, dict(state), (x,))
            return logits
        by_trial = {name: [_laid_out(one) for one in tensor.unbind(0)] for name, tensor in state.items()}
        inputs = [_laid_out(one) for one in x.unbind(0)]
        return torch.stack(
            [
                functional_call(self.template, {n: v[t] for n, v in by_trial.items()}, (inputs[t],))
                for t in range(len(x))
            ]
        )

    def dropout_masks(self, seeds: Sequence[int], step: tuple[int, int], batch_size: int) -> dict[str, Tensor]:
        """The masks of one step (epoch, number), which hang on it and the seed alone: `[T, B, F]` by buffer."""
        if not self._dropouts:
            return {}
        generators = [generator_for("dropout", seed, *step) for seed in seeds]
        return {
            f"{name}.mask": sent(torch.stack([layer.draw(batch_size, g) for g in generators]), self.weights.device)
            for name, layer in self._dropouts.items()
        }

    @contextmanager
    def own_chance(self, seeds: Sequence[int], step: tuple[int, int]) -> Iterator[None]:
        """What a module of the user's draws by itself, in dropout say, hangs on (seed, step) alone too."""
        if self.stacked:
            yield
            return
        device, seed = self.weights.device, generator_for("dropout", *seeds, *step).initial_seed()
        with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
            # Not `torch.manual_seed`: it notes a stack trace for a GPU that may come, which takes longer than a step.
            torch.default_generator.manual_seed(seed)
            if device.type == "cuda":
                with torch.cuda.device(device):
                    torch.cuda.manual_seed(seed)
            yield

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
        kept, named = self.template.state_dict(), {**self.parameters, **self.buffers}
        return {name: tensor[trial].detach().cpu().clone() for name, tensor in named.items() if name in kept}

    def fingerprints(self, trial: int) -> dict[str, str]:
        """A hash per parameter of one trial, keyed by name and shape: what it started from."""
        parameters = {name: view[trial].detach().cpu() for name, view in self.parameters.items()}
        return {
            f"{name} {list(tensor.shape)}": hashlib.sha256(tensor.numpy().tobytes()).hexdigest()
            for name, tensor in parameters.items()
        }


def sent(tensor: Tensor, device: torch.device) -> Tensor:
    """A tensor of the CPU's on a device, without waiting until what the device is at is done."""
    return tensor.pin_memory().to(device, non_blocking=True) if device.type == "cuda" else tensor.to(device)


def _laid_out(tensor: Tensor) -> Tensor:
    """Images and the kernels of convolutions with the channels last: on a CPU convolutions are faster so."""
    if tensor.dim() == 4 and tensor.device.type == "cpu":
        # Not `contiguous`: of one channel it would say that it is so already, and the layers would take it as it was.
        return tensor.clone(memory_format=torch.channels_last)
    return tensor


def _stacked(modules: Sequence[nn.Module], name: str, device: torch.device) -> Tensor:
    """One parameter or buffer of every module, `[T, ...]`."""
    owner, _, leaf = name.rpartition(".")
    return torch.stack([getattr(module.get_submodule(owner), leaf).detach() for module in modules]).to(device)
