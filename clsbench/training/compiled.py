"""Steps as compiled graphs, each for any number of trials."""

from __future__ import annotations

import logging
import shutil
import sys
import sysconfig
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from functools import cache
from pathlib import Path
from types import FunctionType
from typing import Any

import torch
from torch import Tensor

from clsbench.slices import even_parts
from clsbench.training.graph_cache import kept_in_cache
from clsbench.training.layout import ALL
from clsbench.training.libraries import TYPICAL_TRIALS, by_trial, library_of
from clsbench.training.step import Batches, Steps, best_unrolling, in_turn

# The most trials that a graph trains on a CPU at once: the data of more do not fit into the caches.
TRIALS_AT_ONCE = 128


def has_compiler() -> bool:
    """Whether this machine can compile steps: it needs a C++ compiler and Python's headers, which PyTorch includes.

    PyTorch must be a version that traces gradients.
    """
    headers = Path(sysconfig.get_path("include"), "Python.h").exists()
    return _traces_gradients() and headers and any(shutil.which(name) for name in ("c++", "g++", "clang++", "cl"))


def has_traced() -> bool:
    """Whether steps may have been traced in this process: PyTorch's compiler is loaded, which libraries do not need."""
    return "torch._dynamo" in sys.modules


@cache
def _traces_gradients() -> bool:
    # Importing the compiler takes a second, which a run that finds its steps compiled does not spend.
    settings = Path(torch.__file__).parent / "_dynamo" / "config.py"
    return "trace_autograd_ops" in settings.read_text("utf-8")


class CompiledSteps:
    """Steps as compiled graphs, for batches of one shape. The first call compiles, which takes `seconds`.

    On a CPU the graph is for any number of trials, so that another number of seeds, a resume or a half finds it in the
    cache, with the same bits; a large stack is trained in groups, one after the other. A loss that runs trial by trial,
    and code of a user's, which may look at the number of trials, have a graph for each size of a group.

    `fills_up` says that a smaller batch may be filled up with copies of its samples, which have no share in the loss:
    no sample's output or loss depends on the others. Those of a user's code may, and buffers hold batch statistics.
    """

    def __init__(self, steps: Steps, num_samples: int, batch_size: int) -> None:
        """An epoch has so many samples."""
        # PyTorch warns there that it found no CUDA, which is not needed.
        logging.getLogger("torch.utils.cpp_extension").setLevel(logging.ERROR)
        whole, on_cpu = steps.stack.num_trials, steps.stack.weights.device.type == "cpu"
        known = steps.loss.stacked and _is_known(steps)
        self._any_size = on_cpu and known
        self.fills_up = known and not steps.stack.buffers
        self.unrolled = best_unrolling(-(-num_samples // batch_size) if self.fills_up else num_samples // batch_size)
        groups = even_parts(whole, -(-whole // TRIALS_AT_ONCE) if on_cpu else 1)
        self._parts = [(ALL, steps)] if len(groups) == 1 else [(trials, steps.of(trials)) for trials in groups]
        self._graphs: dict[int | None, Callable[..., Tensor]] = {}
        self.seconds = 0.0

    def __call__(self, batches: Batches) -> Tensor:
        """As the steps' own call, for any multiple of `unrolled`."""
        logits = [self._take(steps, batches.of(trials)) for trials, steps in self._parts]
        return logits[0] if len(logits) == 1 else torch.cat([each.movedim(-1, 1) for each in logits]).movedim(1, -1)

    def _take(self, steps: Steps, batches: Batches) -> Tensor:
        size = None if self._any_size else steps.stack.num_trials
        if graph := self._graphs.get(size):
            return graph(steps, batches)
        started = time.perf_counter()
        if library := library_of(steps, batches) if self._any_size else None:
            self._graphs[size] = library
            self.seconds += time.perf_counter() - started
            return library(steps, batches)
        self._graphs[size] = graph = _Graph(self.unrolled, any_size=self._any_size)
        logits = graph(steps, batches)
        self.seconds += time.perf_counter() - started
        return logits


class _Graph:
    """A graph of `unrolled` steps, which is traced in this process at its first call."""

    def __init__(self, unrolled: int, *, any_size: bool) -> None:
        self._unrolled, self._any_size, self._is_traced = unrolled, any_size, False
        self._call = _graph()

    def __call__(self, steps: Steps, batches: Batches) -> Tensor:
        """As a call of the steps, for any multiple of `unrolled`."""
        logits = []
        for start in range(0, len(batches.masks), self._unrolled):
            taken = batches.some(slice(start, start + self._unrolled))
            with nullcontext() if self._is_traced else self._tracing(steps, taken):
                logits.append(self._call(steps, taken))
        return in_turn(logits)

    @contextmanager
    def _tracing(self, steps: Steps, batches: Batches) -> Iterator[None]:
        if self._any_size:
            _for_any_number(steps, batches)
        import torch._functorch.config
        import torch._inductor.config

        # A fork of a process that compiled would wait for the compiling threads, which it lacks.
        with (
            kept_in_cache(),
            torch._dynamo.config.patch(trace_autograd_ops=True),
            # What `kernels.loops` defines is a part of the graph, and so of its key: without, graphs are traced again.
            torch._functorch.config.patch(autograd_cache_allow_custom_autograd_functions=True),
            # Precompiled headers would be kept where others may write.
            torch._inductor.config.patch(compile_threads=1, cpp_cache_precompile_headers=False),
        ):
            yield
        self._is_traced = True


def _is_known(steps: Steps) -> bool:
    """Whether all code in a step is clsbench's or PyTorch's."""
    modules = list(steps.stack.template.modules())
    held = [value for module in modules for value in vars(module).values() if callable(value)]
    code = [steps.update, steps.loss.function, *map(type, modules), *held]
    return all(str(getattr(part, "__module__", "")).partition(".")[0] in ("clsbench", "torch") for part in code)


def _graph() -> Callable[..., Tensor]:
    """The call of `Steps`, compiled when it is first called, and never checked afterwards.

    It is always called with objects and shapes like the first: checking that takes as long as a step.
    """
    # PyTorch keeps few compiled graphs for each code object: a copy of the code object has room for this one.
    call = FunctionType(Steps.__call__.__code__.replace(), Steps.__call__.__globals__)
    options: dict[str, Any] = {"guard_filter_fn": lambda guards: [False] * len(guards)}
    graph: Callable[..., Tensor] = torch.compile(call, fullgraph=True, dynamic=False, options=options)
    return graph


def _for_any_number(steps: Steps, batches: Batches) -> None:
    """Have a graph accept any number of trials."""
    for tensor, axis in by_trial(steps, batches):
        if axis is not None:
            torch._dynamo.mark_dynamic(tensor, axis, hint_override=TYPICAL_TRIALS)
