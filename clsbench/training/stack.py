"""The stack: T trials of one architecture as one tensor program with a leading trial axis.

All weights are in one tensor `weights [T, P]`, of which the parameters are views: an update is a handful of
operations, whatever the number of layers or trials. Each parameter starts at a multiple of 64 numbers, so that a
trial's memory has the same alignment at every place in the stack.

If the layers of a module take a trial axis, its parameters are those views; otherwise each trial has a module with
its rows of them, and the modules run one after the other. On a CPU the kernels of convolutions are channels-last in
memory, like images, which is faster. The gradients of a step have the weights' layout.
"""

from __future__ import annotations

import copy
import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cached_property, partial
from types import MappingProxyType

import torch
from torch import Tensor, nn
from torch.func import functional_call

from clsbench.containment import settled
from clsbench.models.chain import Chain, is_chain
from clsbench.models.layers import MODELESS, Dropout, is_as_written
from clsbench.training.layout import ALL, PART
from clsbench.training.rng import Purpose, generator_for, own_rng, seed_for, seed_global

Named = Mapping[str, Tensor]
Backward = Callable[[Tensor], Tensor]  # from a scalar to its gradient on every weight, [T, P]

# So many weights fit into a core's cache several times: gradients, momentum and so on.
CACHED = 2**17


class Stack:
    """T modules of one architecture, trained side by side.

    Args:
        modules: one per trial, with its initial parameters.
        stacked: the modules' layers take parameters with a leading trial axis; otherwise the trials run
            one after the other.
        device: the parameters' device.
    """

    def __init__(self, modules: Sequence[nn.Module], *, stacked: bool, device: torch.device) -> None:
        self.template = modules[0].to(device)
        self.stacked = stacked
        self.num_trials = len(modules)
        self._channels_last = not stacked and device.type == "cpu"
        self._step: tuple[Sequence[int], tuple[int, int]] = [0] * len(modules), (0, 0)
        self._groups: dict[tuple[int, int], nn.Module] = {}
        self._is_modeless = all(map(_is_modeless, self.template.modules()))
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
        self._modules = [] if stacked else [module.to(device) for module in modules]
        self._leaves = self._bound_together() if stacked else self._bound()

    def _bound_together(self) -> list[Tensor]:
        """The trainable parameters of the module that trains all trials."""
        module = self._group(range(self.num_trials))
        return [module.get_parameter(name) for name in self._shapes]

    def _bound(self) -> list[Tensor]:
        """The trainable parameters of the modules that run trial by trial, made views of `weights`."""
        found: list[Tensor] = []
        named = self.parameters
        for trial, module in enumerate(self._modules):
            for name, view in named.items():
                parameter = module.get_parameter(name)
                parameter.data = view[trial]
                found.append(parameter)
        return found

    @cached_property
    def _gradients(self) -> Tensor:
        """The gradients of a step, `[T, P]`, in the weights' layout; allocated only for eager steps."""
        return torch.zeros_like(self.weights)

    @cached_property
    def _parts(self) -> list[Tensor]:
        """The memory of each leaf's gradient."""
        parts = self.views(self._gradients).values()
        return list(parts) if self.stacked else [part[trial] for trial in range(self.num_trials) for part in parts]

    def views(self, weights: Tensor) -> dict[str, Tensor]:
        """The parameters in `weights [T, P]` as views, by name: `[T, ...]` each."""
        parts = weights.split(self._sizes, dim=1)[::2]
        return {name: self._view(part, shape) for part, (name, shape) in zip(parts, self._shapes.items(), strict=True)}

    def _view(self, part: Tensor, shape: torch.Size) -> Tensor:
        if self._channels_last and len(shape) == 4:
            outputs, inputs, *kernel = shape
            return part.view(part.shape[0], outputs, *kernel, inputs).movedim(-1, 2)
        return part.view(part.shape[0], *shape)

    def joined(self, parameters: Sequence[Tensor]) -> Tensor:
        """The inverse of `views`: `[T, ...]` each to `[T, P]`, zeros between them."""
        pieces: list[Tensor] = []
        for parameter, padding in zip(parameters, self._paddings, strict=True):
            by_memory = parameter.movedim(2, -1) if self._channels_last and parameter.dim() == 5 else parameter
            pieces += [by_memory.reshape(parameter.shape[0], -1), padding]
        return torch.cat(pieces, dim=1)

    def groups(self) -> Iterator[slice]:
        """The trials in groups whose weights fit into a cache together: an update reads them several times."""
        size = max(1, CACHED // self.weights.shape[1])
        if size >= self.num_trials or self.weights.device.type != "cpu":
            yield ALL
            return
        for start in range(0, self.num_trials, size):
            yield slice(start, start + size)

    @property
    def parameters(self) -> dict[str, Tensor]:
        """The parameters by name, `[T, ...]` each, as views of `weights`."""
        return self.views(self.weights)

    @property
    def biases(self) -> Tensor:
        """`[P]`: whether a weight is part of a bias, which is any parameter whose own name has `bias` in it."""
        named = ["bias" in name.rpartition(".")[2] for name in self._shapes]
        each = torch.tensor([part for own in named for part in (own, False)])  # of a parameter, and of its padding
        return sent(each.repeat_interleave(torch.tensor(self._sizes)), self.weights.device)

    def mapped(self, function: Callable[[Tensor], Tensor]) -> Stack:
        """This stack with other tensors, for compiled steps only: eager steps need separate modules."""
        other = copy.copy(self)
        other.weights = function(self.weights)
        other.num_trials = other.weights.shape[0]
        other.buffers = {name: function(buffer) for name, buffer in self.buffers.items()}
        other._paddings = [function(padding) for padding in self._paddings]
        return other

    def train(self, mode: bool) -> None:
        """Whether batch statistics are used and updated, and dropout is applied."""
        if self._is_modeless:
            return
        for module in [self.template, *self._modules, *self._groups.values()]:
            module.train(mode)
        for leaf in self._leaves:
            leaf.requires_grad_()  # which parameters are trained was decided when the stack was built

    def forward(self, x: Tensor, masks: Named = MappingProxyType({})) -> Tensor:
        """`x [T, B, ...] -> logits [T, B, K]`, with dropout masks."""
        if self.stacked:
            return _called(self._group(range(self.num_trials)), masks, x)
        state, logits = {**self.buffers, **masks}, []
        for trial, one in enumerate(x.unbind(0)):
            self.seed_for_trial(trial, "dropout")
            logits.append(self._alone(trial, state, _laid_out(one)))
        return torch.stack(logits)

    def tracked(self, x: Tensor, masks: Named) -> tuple[Tensor, Backward]:
        """The logits `[T, B, K]` of a step, and its backward function, for a scalar that is computed from them.

        That is to be called once. In eager steps the gradient lies in memory that the next step overwrites.
        """
        if torch.compiler.is_compiling():  # a graph is traced from a function of the weights
            parameters = self.views(self.weights.detach().requires_grad_())
            logits = _called(self.template, {**parameters, **self.buffers, **masks}, x)
            return logits, lambda scalar: self.joined(_differentiated(scalar, list(parameters.values())))
        if self._chain is not None and not torch.is_autocast_enabled(x.device.type):
            logits, backward = self._chain(x, masks)
            return logits.requires_grad_(), partial(self._by_layer, logits, backward)
        return self.forward(x, masks), self._as_a_whole

    @cached_property
    def _chain(self) -> Chain | None:
        """The layers of all trials, if their gradients can be made one after the other."""
        if not (self.stacked and is_chain(self.template)):
            return None
        return Chain(self._group(range(self.num_trials)), self.views(self._gradients))

    def _by_layer(self, logits: Tensor, backward: Callable[[Tensor], None], scalar: Tensor) -> Tensor:
        backward(*_differentiated(scalar, [logits]))
        return self._gradients

    def _as_a_whole(self, scalar: Tensor) -> Tensor:
        torch._foreach_copy_(self._parts, _differentiated(scalar, self._leaves))
        return self._gradients

    def predictor(self, trials: slice, *, shared: bool = True) -> Callable[[Tensor], Tensor]:
        """The function of some trials from samples to their logits: `[B, ...] -> [T, B, K]`.

        If samples are not `shared`, each trial has its own: `[T, B, ...] -> [T, B, K]`.
        """
        numbers = range(self.num_trials)[trials]

        def of_each(x: Tensor) -> Tensor:
            return x.expand(len(numbers), *x.shape) if shared else x

        if not self.stacked:
            return lambda x: torch.stack(
                [self._measured_alone(*pair) for pair in zip(numbers, of_each(x), strict=True)]
            )
        module = self._group(numbers)
        return lambda x: module(of_each(x))

    def _group(self, numbers: range) -> nn.Module:
        """A module that has some trials' parameters and buffers."""
        key = numbers.start, numbers.stop
        if key not in self._groups:
            self._groups[key] = module = copy.deepcopy(self.template)
            state = {**self.parameters, **self.buffers}
            for name, tensor in [*module.named_parameters(), *module.named_buffers()]:
                if name in state:
                    tensor.data = state[name][numbers.start : numbers.stop]
        return self._groups[key]

    def _measured_alone(self, trial: int, x: Tensor) -> Tensor:
        with own_rng(self.weights.device):
            seed_global(seed_for("evaluation"), self.weights.device)  # one that draws here too sees the same noise
            return self._alone(trial, self.buffers, _laid_out(x.clone()))  # a module may write into its input

    def _alone(self, trial: int, state: Named, x: Tensor) -> Tensor:
        """The logits `[B, K]` of one trial's module, of whose tensors `state` takes the place of some."""
        with settled():
            return _called(self._modules[trial], {name: tensor[trial] for name, tensor in state.items()}, x)

    @property
    def num_masked(self) -> int:
        """How many numbers of a sample have a dropout mask."""
        return sum(layer.features for layer in self._dropouts.values())

    def dropout_masks(self, seeds: Sequence[int], step: tuple[int, int], batch_size: int) -> dict[str, Tensor]:
        """The masks of one step (epoch, number), which depend only on the step and the seed: `[T, B, F]` by buffer."""
        if not self._dropouts:
            return {}
        generators = [generator_for("dropout", seed, *step) for seed in seeds]
        return {
            f"{name}.mask": sent(torch.stack([layer.draw(batch_size, g) for g in generators]), self.weights.device)
            for name, layer in self._dropouts.items()
        }

    def begin_step(self, seeds: Sequence[int], step: tuple[int, int]) -> None:
        """What the user's code draws from now on depends on it (epoch, number) and each trial's own seed alone."""
        self._step = seeds, step

    def seed_for_trial(self, trial: int, purpose: Purpose) -> None:
        """Seed what the user's code draws for one trial in this step."""
        seeds, step = self._step
        seed_global(seed_for(purpose, seeds[trial], *step), self.weights.device)

    def kept_buffers(self) -> dict[str, Tensor]:
        """A copy of the buffers, which a training step changes (running statistics)."""
        return {name: buffer.clone() for name, buffer in self.buffers.items()}

    def put_back(self, buffers: dict[str, Tensor], alive: Tensor) -> None:
        """Undo the changes of a step to the buffers of frozen trials, whose `alive [T, 1]` is 0."""
        for name, buffer in self.buffers.items():
            lives = alive.bool().view(-1, *[1] * (buffer.dim() - 1))
            buffer.copy_(torch.where(lives, buffer, buffers[name]))

    def trial_state(self, trial: int) -> dict[str, Tensor]:
        """The state dict of one trial's module, on the CPU."""
        kept, named = self.template.state_dict(), {**self.parameters, **self.buffers}
        return {name: copied(tensor[trial]) for name, tensor in named.items() if name in kept}

    def fingerprints(self, trial: int) -> dict[str, str]:
        """A hash of each initial parameter of one trial, keyed by name and shape."""
        parameters = {name: view[trial].detach().cpu() for name, view in self.parameters.items()}
        return {
            f"{name} {list(tensor.shape)}": hashlib.sha256(tensor.numpy().tobytes()).hexdigest()
            for name, tensor in parameters.items()
        }


def _differentiated(scalar: Tensor, leaves: Sequence[Tensor]) -> list[Tensor]:
    """The gradient on each leaf; zeros if the scalar does not depend on it."""
    return list(torch.autograd.grad(scalar, leaves, allow_unused=True, materialize_grads=True))


def _is_modeless(module: nn.Module) -> bool:
    """Whether it does the same in training and in evaluation."""
    return type(module) in MODELESS and is_as_written(module)


def _called(module: nn.Module, given: Named, x: Tensor) -> Tensor:
    """The output of a module for `x`, some of whose tensors are replaced."""
    logits: Tensor = functional_call(module, dict(given), (x,)) if given else module(x)
    return logits


def copied(tensor: Tensor) -> Tensor:
    """A contiguous copy on the CPU."""
    return tensor.detach().cpu().clone(memory_format=torch.contiguous_format)


def sent(tensor: Tensor, device: torch.device) -> Tensor:
    """A CPU tensor on a device, without waiting for the device's work."""
    return tensor.pin_memory().to(device, non_blocking=True) if device.type == "cuda" else tensor.to(device)


def _laid_out(images: Tensor) -> Tensor:
    """Images with the channels last, on a CPU; those with one channel are so already."""
    if images.dim() == 4 and images.device.type == "cpu":
        return images.contiguous(memory_format=torch.channels_last)
    return images


def _stacked(modules: Sequence[nn.Module], name: str, device: torch.device) -> Tensor:
    """One parameter or buffer of every module, `[T, ...]`."""
    owner, _, leaf = name.rpartition(".")
    return torch.stack([getattr(module.get_submodule(owner), leaf).detach() for module in modules]).to(device)
