"""Checks of users' models and losses before training: those that cannot be trained, saved or resumed are refused.

An error that they raise, or a process that they kill, ends only their trials.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from clsbench.config.arms import Arm
from clsbench.config.plan import Plan
from clsbench.containment import contained
from clsbench.data.splits import Splits
from clsbench.errors import ConfigError
from clsbench.execution.work import bound_loss, initial_model
from clsbench.forks import apart
from clsbench.losses.contract import Loss
from clsbench.registry import Spec, catalogue
from clsbench.signatures import described, is_own, place_of
from clsbench.training.stack import Stack

SAMPLES = 8
CALLED = {  # how clsbench calls what is handed over
    "loss": "it is given logits [B, C] and class numbers [B], int64; of problems other than single_label, targets "
    "[B, D], float32",
    "model": "it is given the shape of a sample and the number of outputs, its module a batch [B, *shape]",
}
# The tolerance of two equal computations with different memory layouts.
TOLERANCE = 1e-3


def require_sound(plans: Sequence[Plan], data: Mapping[str, Splits]) -> None:
    """Try users' losses and models on a few samples of real data.

    Raises:
        ConfigError: with every fault, each with the function's place and what it should do instead. What is handed
            over in Python must not raise either; a plugin that raises fails its trials, and leaves the others.
    """
    faults: dict[str, None] = {}
    for arm, splits in combinations(plans, data):
        faults |= dict.fromkeys(_faults(arm, splits))
    if faults:
        raise ConfigError(*faults)


def combinations(plans: Sequence[Plan], data: Mapping[str, Splits]) -> Iterator[tuple[Arm, Splits]]:
    """Each dataset, model and loss that are used together, once: an arm and its data."""
    seen: set[tuple[str, str, str]] = set()
    for trial in (trial for plan in plans for trial in plan.trials):
        arm = trial.arm
        used = arm.dataset.key, arm.model.key, arm.loss.key
        if trial.data_key in data and used not in seen:
            seen.add(used)
            yield arm, data[trial.data_key]


def _faults(arm: Arm, splits: Splits) -> Iterator[str]:
    model, loss = catalogue.get("model", arm.model.name), catalogue.get("loss", arm.loss.name)
    if is_own(model.factory) and is_own(loss.factory):
        return
    bound = bound_loss(arm.loss, [splits])
    if not is_own(loss.factory) and (fault := _fault(loss, lambda: _loss_fault(bound, splits.train.y))):
        yield f"loss {arm.loss.title} {fault}"
    if not is_own(model.factory) and (fault := _fault(model, lambda: _model_fault(arm, splits, bound.num_outputs))):
        yield f"model {arm.model.title} {fault}"


def _fault(spec: Spec, find: Callable[[], str | None]) -> str | None:
    """The fault of a function, after its place; None if it has none, or kills the process that tries it."""
    return apart(lambda: _tried(spec, find), otherwise=None)


def _tried(spec: Spec, find: Callable[[], str | None]) -> str | None:
    with torch.random.fork_rng(devices=[]), contained(), torch.enable_grad():
        torch.manual_seed(0)
        torch.set_num_threads(1)  # a process that used several could not be forked
        try:
            found = find()
        except (Exception, SystemExit) as error:
            if not spec.is_given:
                return None
            return f"({place_of(spec.factory, error)}) raises {described(error)}; {CALLED[spec.kind]}"
    return None if found is None else f"({place_of(spec.factory)}) {found}"


def _loss_fault(loss: Loss, targets: Tensor) -> str | None:
    # No other axis may have the size of the batch: a loss that mixes them up would pass.
    number = SAMPLES - 1 if loss.num_outputs == SAMPLES else SAMPLES
    targets = targets[torch.arange(number) % len(targets)].cpu()
    logits, given = torch.randn(number, loss.num_outputs), [each.cpu() for each in loss.given]
    spec = catalogue.get("loss", loss.name)
    shapes: list[tuple[tuple[int, ...], tuple[tuple[int, ...], ...]]] = [
        ((number, loss.num_outputs), ((number,), ()) if loss.class_weight is None else ((number,),))
    ]
    if spec.stacked:
        shapes.append(((2, number, loss.num_outputs), ((2, number),)))
    for shape, allowed in shapes:
        leaf = logits.expand(shape).clone().requires_grad_()
        value = loss.function(leaf, targets.expand(*shape[:-1], *loss.problem.target_shape), *given, **loss.options)
        if fault := _value_fault(value, leaf, allowed):
            return fault
    return _company_fault(lambda z: loss.function(z.clone(), targets, *given, **loss.options).detach(), logits)


def _company_fault(values_of: Callable[[Tensor], Tensor], logits: Tensor) -> str | None:
    """What is wrong with a loss of samples that differs between calls, or with the samples beside."""
    others = logits.clone()
    others[1:] = others[1:].flip(-1) + 1.0
    found = []
    for z in (logits, logits, others):
        torch.manual_seed(0)
        found.append(values_of(z))
    first, again, beside = found
    if not torch.allclose(first, again, TOLERANCE, TOLERANCE, equal_nan=True):
        return "differs between two calls with the same seed; draw only from PyTorch's generator"
    if first.dim() and not torch.allclose(first[0], beside[0], TOLERANCE, TOLERANCE, equal_nan=True):
        return (
            "gives a sample another loss when other samples are beside it; "
            "return one number for the batch, which may depend on all of it"
        )
    return None


def _value_fault(value: object, logits: Tensor, allowed: Sequence[tuple[int, ...]]) -> str | None:
    wanted = " or ".join(str(list(shape)) for shape in allowed)
    if not isinstance(value, Tensor):
        return f"returns {type(value).__name__}; return a tensor, {wanted}"
    if tuple(value.shape) not in allowed:
        return f"returns {list(value.shape)} for logits {list(logits.shape)}; return {wanted}"
    if not value.is_floating_point():
        return f"returns {value.dtype}; return floating-point numbers"
    if value.isnan().all():
        return "returns only NaN, at logits of ordinary size; return numbers"
    if value.requires_grad:
        (gradient,) = torch.autograd.grad(value.sum(), logits, allow_unused=True)
        if gradient is not None and not gradient.isfinite().all():
            return (
                "has a gradient that is not finite, at logits of ordinary size; look for the log of zero, a division "
                "by zero, the square root of zero"
            )
        if gradient is not None:
            return None
    return "has no gradient on the logits; compute it from them with PyTorch operations only"


def _model_fault(arm: Arm, splits: Splits, num_outputs: int) -> str | None:
    spec = catalogue.get("model", arm.model.name)
    with contained():
        made = spec.factory(splits.shape, num_outputs, **arm.model.options)
    if not isinstance(made, nn.Module):
        return f"returns {type(made).__name__}; return a torch.nn.Module"
    if any(is_lazy(tensor) for tensor in (*made.parameters(), *made.buffers())):
        return "has lazy layers, which have no weights yet; give every layer its sizes, from the shape that is passed"
    modules = [initial_model(arm, seed=0, shape=splits.shape, num_outputs=num_outputs) for _ in range(3)]
    samples = splits.train.x[torch.arange(SAMPLES) % len(splits.train)].cpu()
    if fault := _state_fault(modules):
        return fault
    return (
        _stacked_fault(modules[:2], samples, num_outputs)
        if spec.stacked
        else _alone_fault(modules, samples, num_outputs)
    )


def _state_fault(modules: Sequence[nn.Module]) -> str | None:
    """The tensors of a module that cannot be trained, or kept in a checkpoint."""
    learning = {name: p for name, p in modules[0].named_parameters() if p.requires_grad}
    if not learning:
        return "has no parameter to train"
    for name, tensor in learning.items():
        if tensor.dtype != torch.float32:
            return f"has {name} in {tensor.dtype}; parameters are float32"
    tensors = [sorted(each.named_parameters()) for each in modules]
    if {t.data_ptr() for _, t in tensors[0]} & {t.data_ptr() for _, t in tensors[1]}:
        return "returns the same parameters for every trial; create a new module in every call"
    by_place = sorted((tensor.data_ptr(), name) for name, tensor in tensors[0] if tensor.numel())
    for (place, name), (other_place, other) in pairwise(by_place):
        if place == other_place:
            return f"has {name} and {other} as two parameters that share memory; make them one nn.Parameter"
    for name, module in modules[0].named_modules():
        if type(module).get_extra_state is not nn.Module.get_extra_state:
            return (
                f"keeps extra state ({name or type(module).__name__}), which checkpoints do not hold; register a buffer"
            )
    return None


def _output_fault(logits: object, shape: tuple[int, ...]) -> str | None:
    if not isinstance(logits, Tensor):
        return f"returns {type(logits).__name__} for a batch; return a tensor of logits {list(shape)}"
    if tuple(logits.shape) != shape:
        return f"returns {list(logits.shape)} for a batch; return logits {list(shape)}"
    if not logits.is_floating_point():
        return f"returns {logits.dtype}; return floating-point logits"
    if not logits.requires_grad:
        return "returns logits that depend on no parameter"
    return None


def _stacked_fault(modules: Sequence[nn.Module], samples: Tensor, num_outputs: int) -> str | None:
    stack = Stack(modules, stacked=True, device=torch.device("cpu"))
    stack.train(True)
    before = torch.get_rng_state()
    logits = stack.forward(samples.expand(2, *samples.shape), stack.dropout_masks([0, 0], (0, 0), len(samples)))
    if not torch.equal(before, torch.get_rng_state()):
        return "draws random numbers for all trials at once, so that each depends on the others; leave out stacked=True"
    return _output_fault(logits, (2, len(samples), num_outputs))


def _alone_fault(modules: Sequence[nn.Module], samples: Tensor, num_outputs: int) -> str | None:
    """Behaviour of a module that a resume, or an evaluation, would change."""
    one, other, resumed = modules
    known = {name: id(buffer) for name, buffer in one.named_buffers()}
    logits = _call(one, samples)
    if fault := _output_fault(logits, (len(samples), num_outputs)):
        return fault
    for name, buffer in one.named_buffers():
        if known.get(name) != id(buffer):
            return f"replaces its buffer {name} by a new tensor; change it in place, by copy_ or add_"
    if not torch.allclose(logits, _call(other, samples), TOLERANCE, TOLERANCE, equal_nan=True):
        return "differs between two calls with the same seed; draw only from PyTorch's generator"
    state = dict([*one.named_parameters(), *one.named_buffers()])
    with torch.no_grad():
        for name, tensor in [*resumed.named_parameters(), *resumed.named_buffers()]:
            tensor.copy_(state[name])
    if not torch.allclose(_call(one, samples), _call(resumed, samples), TOLERANCE, TOLERANCE, equal_nan=True):
        return "keeps state that changes its logits outside parameters and buffers; change a buffer in place"
    one.eval()
    together, state_after = _call(one, samples), torch.get_rng_state()
    apart = _call(one, samples[:2])
    draws = not torch.equal(state_after, torch.manual_seed(0).get_state())
    if not draws and not torch.allclose(together[:2], apart, TOLERANCE, TOLERANCE, equal_nan=True):
        return "gives a sample other logits in evaluation when other samples are beside it; let each decide alone"
    before = {name: buffer.clone() for name, buffer in one.named_buffers()}
    _call(one, samples)
    for name, buffer in one.named_buffers():
        if not torch.equal(buffer, before[name]):
            return f"changes its buffer {name} in evaluation; change it only in training mode"
    return None


def _call(module: nn.Module, samples: Tensor) -> Tensor:
    torch.manual_seed(0)
    logits: Tensor = module(samples.clone())
    return logits
