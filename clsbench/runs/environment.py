"""Where a run ran: what somebody needs to know to repeat it, and nothing of the user's environment."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from importlib.metadata import version
from typing import Any

PACKAGES = ("clsbench", "torch", "torchvision", "numpy", "scikit-learn")


def environment(device: Any, threads: list[int], auto: dict[str, Any]) -> dict[str, Any]:
    """Versions, machine, device, command line and git revision; `auto` says what every `auto` became."""
    import torch

    model = torch.cuda.get_device_name(device) if device.type == "cuda" else None
    return {
        "versions": {"python": platform.python_version(), **{name: _version(name) for name in PACKAGES}},
        "machine": {"system": platform.platform(), "processor": _processor(), "cores": os.cpu_count()},
        "device": {"name": str(device), "kind": device.type, "model": model, "threads": threads},
        "auto": auto,
        "command_line": sys.argv,
        "git_revision": _git_revision(),
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
    try:
        command = ["git", "rev-parse", "HEAD"]
        answer = subprocess.run(command, capture_output=True, text=True, timeout=5, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return answer.stdout.strip() or None
