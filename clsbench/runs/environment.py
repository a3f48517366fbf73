"""The environment of a run: what is needed to repeat it, without the user's environment variables."""

from __future__ import annotations

import os
import platform
import re
import subprocess
from collections.abc import Sequence
from importlib.metadata import version
from typing import Any

from clsbench.results import FORMAT_VERSION, DatasetFacts, Environment

PACKAGES = ("clsbench", "torch", "torchvision", "numpy", "scikit-learn")


def environment(
    device: Any,
    threads: list[int],
    auto: dict[str, Any],
    command_line: Sequence[str] | None,
    datasets: dict[str, DatasetFacts],
) -> Environment:
    """Versions, machine, device, command line, git revision, data; `auto` says what every `auto` became.

    `command_line` is None if another program runs clsbench: its arguments are private.
    """
    import torch

    model = torch.cuda.get_device_name(device) if device.type == "cuda" else None
    return {
        "format_version": FORMAT_VERSION,
        "versions": {"python": platform.python_version(), **{name: _version(name) for name in PACKAGES}},
        "machine": {"system": platform.platform(), "processor": _processor(), "cores": os.cpu_count()},
        "device": {"name": str(device), "kind": device.type, "model": model, "threads": threads},
        "auto": auto,
        "command_line": None if command_line is None else list(command_line),
        "git_revision": _git_revision(),
        "datasets": datasets,
        "resumed": None,
    }


def _version(package: str) -> str | None:
    try:
        return version(package)
    except ModuleNotFoundError:
        return None


def _processor() -> str:
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as file:
            names = [line.partition(":")[2].strip() for line in file if line.startswith("model name")]
    except OSError:
        names = []
    return names[0] if names else platform.processor() or platform.machine()


def _git_revision() -> str | None:
    """The commit of the working directory; None outside a repository, and in one that has none yet."""
    # A repository is untrusted data: no program that its configuration names is started.
    harmless = ("-c", "core.fsmonitor=", "-c", f"core.hooksPath={os.devnull}")
    command = ["git", *harmless, "rev-parse", "--verify", "--quiet", "HEAD^{commit}"]
    try:
        answer = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, timeout=5, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    revision = re.fullmatch(rb"([0-9a-f]{40,64})\s*", answer.stdout)
    return revision[1].decode() if revision and answer.returncode == 0 else None
