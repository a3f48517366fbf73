"""The environment of a run: what is needed to repeat it, without the user's environment variables."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Sequence
from typing import Any

from clsbench.execution.host import this_host
from clsbench.results import FORMAT_VERSION, DatasetFacts, Environment


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

    host = this_host()
    model = torch.cuda.get_device_name(device) if device.type == "cuda" else None
    return {
        "format_version": FORMAT_VERSION,
        "versions": dict(host.versions),
        "machine": {"system": host.system, "processor": host.processor, "cores": host.cores},
        "device": {"name": str(device), "kind": device.type, "model": model, "threads": threads},
        "auto": auto,
        "command_line": None if command_line is None else list(command_line),
        "git_revision": _git_revision(),
        "datasets": datasets,
        "resumed": None,
        "nodes": None,
    }


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
