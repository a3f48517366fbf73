"""The machine and the libraries that train: what a trial's last bits depend on beside its settings."""

from __future__ import annotations

import os
import platform
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.metadata import version

PACKAGES = ("clsbench", "torch", "torchvision", "numpy", "scikit-learn")


@dataclass(frozen=True)
class Host:
    """A machine. `instructions` is the set of vector instructions that PyTorch uses; `cores` may be unknown."""

    name: str
    versions: Mapping[str, str | None]
    system: str
    processor: str
    cores: int | None
    instructions: str

    def differences(self, other: Host) -> list[str]:
        """In words, in what the other one differs that may change last bits."""
        found = [
            f"{name} is {other.versions.get(name)}, not {ours}"
            for name, ours in self.versions.items()
            if other.versions.get(name) != ours
        ]
        if other.processor != self.processor:
            found.append(f"the processor is {other.processor}, not {self.processor}")
        if other.instructions != self.instructions:
            found.append(f"vector instructions are {other.instructions}, not {self.instructions}")
        return found


@cache
def this_host() -> Host:
    """The machine of this process."""
    import torch

    return Host(
        name=platform.node(),
        versions={"python": platform.python_version(), **{name: _version(name) for name in PACKAGES}},
        system=platform.platform(),
        processor=_processor(),
        cores=os.cpu_count(),
        instructions=torch.backends.cpu.get_cpu_capability(),
    )


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
