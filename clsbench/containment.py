"""Undoes the changes of users' code to the process, so that a run's results do not depend on them."""

from __future__ import annotations

import os
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

# How PyTorch's settings that change results are read, and how they are set.
SETTINGS: tuple[tuple[str, str], ...] = (
    ("get_default_dtype", "set_default_dtype"),
    ("is_grad_enabled", "set_grad_enabled"),
    ("get_num_threads", "set_num_threads"),
    ("get_float32_matmul_precision", "set_float32_matmul_precision"),
    ("are_deterministic_algorithms_enabled", "use_deterministic_algorithms"),
)


@contextmanager
def contained() -> Iterator[None]:
    """Around users' code: working directory, warning filters and the state that `settled` covers are restored."""
    folder = _working_directory()
    with warnings.catch_warnings(), settled():
        try:
            yield
        finally:
            if folder is not None and _working_directory() != folder:
                with suppress(OSError):  # it was removed
                    os.chdir(folder)


@contextmanager
def settled() -> Iterator[None]:
    """PyTorch's settings are restored; if it was first imported inside the block, to its defaults.

    A process that the code forked and that returns from the block ends here.
    """
    process = os.getpid()
    torch: Any = sys.modules.get("torch")
    before = None if torch is None else _settings(torch)
    try:
        yield
    finally:
        if os.getpid() != process:
            os._exit(0)
        torch = sys.modules.get("torch")
        if torch is not None and hasattr(torch, "get_default_device"):
            _put_back(torch, before or _defaults(torch))


def _settings(torch: Any) -> dict[str, Any]:
    return {name: getattr(torch, name)() for name, _ in SETTINGS} | {"device": torch.get_default_device()}


def _defaults(torch: Any) -> dict[str, Any]:
    # The number of threads is set again before every stack.
    return {
        "get_default_dtype": torch.float32,
        "is_grad_enabled": True,
        "get_num_threads": torch.get_num_threads(),
        "get_float32_matmul_precision": "highest",
        "are_deterministic_algorithms_enabled": False,
        "device": torch.device("cpu"),
    }


def _put_back(torch: Any, before: dict[str, Any]) -> None:
    for name, setter in SETTINGS:
        if getattr(torch, name)() != before[name]:
            put: Callable[[Any], None] = getattr(torch, setter)
            put(before[name])
    if torch.get_default_device() != before["device"]:
        # Not the CPU by name: PyTorch would look at it in every operation.
        torch.set_default_device(None if before["device"].type == "cpu" else before["device"])


def _working_directory() -> str | None:
    try:
        return os.getcwd()
    except OSError:  # it was removed
        return None
