"""Steps as libraries: compiled once, and loaded by any later process without PyTorch's compiler.

`torch.compile` imports the compiler and traces the steps in every process before it finds their graph in its cache,
which takes longer than much training. A library (AOTInductor's) is found by a key and loaded in a millisecond. Its
kernels are those that `torch.compile` would make, so its results have the same bits; and as it is called without
Python, it takes one step, where a traced graph takes several and longer to compile.
"""

from __future__ import annotations

import hashlib
import logging
import os
import platform
import tempfile
from collections.abc import Callable, Mapping
from functools import cache, partial
from importlib import import_module
from pathlib import Path
from types import FunctionType
from typing import Any

import torch
from torch import Tensor, nn

from clsbench import system
from clsbench.signatures import is_own
from clsbench.training.graph_cache import kept_library
from clsbench.training.step import Batches, Steps, in_turn

log = logging.getLogger("clsbench")

# For so many trials a graph is made, whatever their number: the same graph for all, and the same file of it.
TYPICAL_TRIALS = 16
# The rooms whose code may be in a step.
ROOMS = ("kernels", "losses", "models", "problems", "training")
PLAIN = (type(None), bool, int, float, str, torch.dtype, torch.device)


class Library:
    """One step of any number of trials, loaded from a file."""

    def __init__(self, path: Path) -> None:
        self._run: Callable[[list[Tensor]], list[Tensor]]
        self._run = torch._C._aoti.AOTIModelContainerRunnerCpu(str(path), 1).run

    def __call__(self, steps: Steps, batches: Batches) -> Tensor:
        """As a call of the steps."""
        logits: list[Tensor] = []
        shares = [[each] for each in batches.shares] if batches.shares else [[]] * len(batches.masks)
        each = zip(batches.inputs.split(1), batches.targets.split(1), batches.masks, shares, strict=True)
        for x, y, masks, share in each:
            logits += self._run([*steps.tensors, x, y, *masks.values(), batches.rate, *share])
        return in_turn(logits)


def are_loaded(device: torch.device, *code: Any) -> bool:
    """Whether compiled steps of this code are libraries: on a CPU, where no function or class is the user's own.

    The key of a library holds the versions of clsbench and PyTorch.
    """
    return system.LINUX and device.type == "cpu" and all(map(is_own, code))  # other systems are not tested


def library_of(steps: Steps, batches: Batches) -> Library | None:
    """The library of steps on a CPU, for batches like these, compiled if it is not in the cache.

    All code in a step must be clsbench's or PyTorch's. None where there can be no library.
    """
    if not are_loaded(batches.rate.device, steps.loss.function, steps.update):
        return None
    step = batches.some(slice(1))
    try:
        with kept_library(_key(steps, step), partial(_compile, steps, step)) as path:
            return Library(path)
    except Exception as error:
        log.info("steps are traced in every process, they cannot be a library: %s: %s", type(error).__name__, error)
        return None


def by_trial(steps: Steps, batches: Batches) -> list[tuple[Tensor, int | None]]:
    """All tensors in a call of steps, and which axis of each is the trials; None for those that trials share."""
    shared = set(map(id, steps.loss.shared))
    own = [(tensor, None if id(tensor) in shared else 0) for tensor in steps.tensors]
    masks = [(mask, 0) for step in batches.masks for mask in step.values()]
    shares = [(share, None) for share in batches.shares or ()]
    return [*own, (batches.inputs, 1), (batches.targets, 1), *masks, (batches.rate, 0), *shares]


def _compile(steps: Steps, step: Batches, path: Path) -> None:
    """Write the library of one step, for any number of trials."""
    import torch._inductor
    from torch._dispatch.python import enable_python_dispatcher
    from torch._export.utils import _compiling_state_context
    from torch._subclasses.fake_tensor import FakeTensorMode
    from torch.fx.experimental.proxy_tensor import make_fx
    from torch.fx.experimental.symbolic_shapes import DimDynamic, ShapeEnv, StatelessSymbolicContext

    shapes = ShapeEnv()
    mode = FakeTensorMode(shape_env=shapes)

    def fake(tensor: Tensor, trials: int | None) -> Tensor:
        sizes = [TYPICAL_TRIALS if axis == trials else size for axis, size in enumerate(tensor.shape)]
        kinds = [DimDynamic.DUCK if axis == trials else DimDynamic.STATIC for axis in range(tensor.dim())]
        context: Any = StatelessSymbolicContext(dynamic_sizes=kinds)
        return mode.from_tensor(torch.empty(sizes, dtype=tensor.dtype), symbolic_context=context)

    def call(*tensors: Tensor) -> tuple[Tensor]:
        rest = iter(tensors)
        own = steps.mapped(lambda _: next(rest))
        x, y = next(rest), next(rest)
        masks = [{name: next(rest) for name in mask} for mask in step.masks]
        return (own(Batches(x, y, masks, next(rest), list(rest) or None)),)

    fakes = [fake(*each) for each in by_trial(steps, step)]
    with mode, enable_python_dispatcher(), _compiling_state_context():
        graph = make_fx(call)(*fakes)
    with tempfile.TemporaryDirectory(dir=path.parent) as folder:
        options = {
            "aot_inductor.output_path": folder,
            # A fork of a process that compiled would wait for the compiling threads, which it lacks.
            "compile_threads": 1,
            # They would be kept where others may write, and take longer than they save.
            "aot_inductor.precompile_headers": False,
            # PyTorch would compile and load a program for each set of instructions that the processor says it has.
            "cpp.vec_isa_ok": True,
        }
        library = Path(str(torch._inductor.aot_compile(graph, tuple(fakes), options=options)))
        if shapes.replacements:
            raise ValueError("the number of trials became a part of it")
        with library.open("rb") as file:
            os.fsync(file.fileno())
        library.replace(path)


def _key(steps: Steps, step: Batches) -> str:
    """Differs for steps that need different libraries: other code, settings or shapes, another processor."""
    stack, loss = steps.stack, steps.loss
    tensors = [
        (str(tensor.dtype), [size for axis, size in enumerate(tensor.shape) if axis != trials])
        for tensor, trials in by_trial(steps, step)
    ]
    if not all(tensor.is_contiguous() for tensor, _ in by_trial(steps, step)):
        raise ValueError("a tensor is not contiguous")
    parts = [
        *(torch.__version__, import_module("clsbench").__version__, _code(), _processor(), torch.get_num_threads()),
        *(tensors, {name: view.shape[1:] for name, view in stack.parameters.items()}, list(stack.buffers)),
        *(_described(stack.template), loss.name, _described(loss.function), _described(loss.options)),
        *(_described(steps.update), _described(steps.options), list(steps.state), steps.clip_norm is None),
        *(loss.class_weight is None, steps.precision, step.shares is None),
    ]
    return hashlib.sha256(repr(parts).encode()).hexdigest()


def _described(thing: Any) -> Any:
    """A part of a step without the values of its tensors, which are arguments."""
    if isinstance(thing, PLAIN):
        return repr(thing)
    if isinstance(thing, Tensor):
        return str(thing.dtype)
    if isinstance(thing, list | tuple):
        return [_described(each) for each in thing]
    if isinstance(thing, set):
        return sorted(thing)
    if isinstance(thing, Mapping):
        return [(name, _described(each)) for name, each in thing.items()]
    if isinstance(thing, nn.Module):
        return [_described(type(thing)), _described(vars(thing))]
    if isinstance(thing, FunctionType):
        inside = [_described(cell.cell_contents) for cell in thing.__closure__ or ()]
        return [thing.__module__, thing.__qualname__, thing.__code__.co_firstlineno, inside]
    if callable(thing):
        return [thing.__module__, thing.__qualname__]
    raise TypeError(f"{type(thing).__qualname__} is not known as a part of a step")


@cache
def _code() -> str:
    """The hash of the code that may be in a step."""
    package, digest = Path(__file__).parent.parent, hashlib.sha256()
    for room in ROOMS:
        for path in sorted((package / room).rglob("*.py")):
            digest.update(path.read_bytes())
    return digest.hexdigest()


@cache
def _processor() -> list[str]:
    """What the compiler may use: a library for another processor would end the process."""
    try:
        lines = set(Path("/proc/cpuinfo").read_text("utf-8").splitlines())
    except OSError:
        lines = {platform.processor()}
    names = ("model name", "flags", "Features", "isa")
    return sorted({torch.backends.cpu.get_cpu_capability(), *(line for line in lines if line.startswith(names))})
