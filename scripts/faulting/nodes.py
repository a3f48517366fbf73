"""A Ray cluster of two nodes on this machine, and what is killed of it."""

from __future__ import annotations

import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

STORE_BYTES = 100 << 20
START_SECONDS = 300.0  # on a busy machine
TASK = "ray::train"  # how Ray names a process while it trains a unit


class Node:
    """A node: `ray start` and all its descendants."""

    def __init__(self, folder: Path, environment: dict[str, str], *how: str) -> None:
        self._log = Path(tempfile.mkstemp(dir=folder, suffix=".log")[1])
        store = f"--object-store-memory={STORE_BYTES}"
        command = [sys.executable, "-m", "ray.scripts.scripts", "start", "--block", "--num-cpus=1", store, *how]
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(command, stdout=log, stderr=log, env=environment, start_new_session=True)
        deadline = time.monotonic() + START_SECONDS
        while "Ray runtime started" not in self._log.read_text("utf-8", "replace"):
            if self._process.poll() is not None or time.monotonic() > deadline:
                self.kill()
                raise RuntimeError(f"no node started: {self._log.read_text('utf-8', 'replace')}")
            time.sleep(0.1)

    @property
    def pid(self) -> int:
        """The process of `ray start`."""
        return self._process.pid

    def tasks(self) -> list[int]:
        """The processes that train."""
        return [pid for pid in descendants(self.pid) if named(pid).startswith(TASK)]

    def kill(self) -> None:
        """End it as a power failure does."""
        pids = [self._process.pid, *descendants(self._process.pid)]
        for pid in pids:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self._process.wait()


class Nodes:
    """Two nodes of one core each; `address` and `environment` are for drivers. The first has the cluster's memory."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.environment = {
            **os.environ,
            "RAY_AUTH_MODE": "token",
            "RAY_AUTH_TOKEN": secrets.token_hex(32),
            "RAY_USAGE_STATS_ENABLED": "0",
        }
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        self.address = f"127.0.0.1:{port}"
        head = ("--head", f"--port={port}", f"--temp-dir={folder}", "--include-dashboard=false")
        self.head = Node(folder, self.environment, *head)
        self.second = self.head
        self.restart_second()

    def restart_second(self) -> None:
        """Another node in the place of the second, which was killed."""
        self.second = Node(self._folder, self.environment, f"--address={self.address}")

    def tasks(self) -> list[int]:
        """The processes that train."""
        return [*self.head.tasks(), *self.second.tasks()]

    def kill(self) -> None:
        self.second.kill()
        self.head.kill()


@contextmanager
def two_nodes() -> Iterator[Nodes]:
    """A cluster that ends with the block."""
    folder = Path(tempfile.mkdtemp(prefix="ray", dir="/tmp"))  # the path of a socket must be short
    nodes = None
    try:
        nodes = Nodes(folder)
        yield nodes
    finally:
        if nodes is not None:
            nodes.kill()
        shutil.rmtree(folder, ignore_errors=True)


def descendants(pid: int) -> list[int]:
    """The processes that a process has started, and those that they have."""
    try:
        children = [int(each) for task in Path(f"/proc/{pid}/task").iterdir() for each in _children(task)]
    except OSError:
        return []
    return [each for child in children for each in (child, *descendants(child))]


def _children(task: Path) -> list[str]:
    with suppress(OSError):
        return (task / "children").read_text().split()
    return []


def named(pid: int) -> str:
    """The command line of a process; empty if it is gone."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().decode("utf-8", "replace")
    except OSError:
        return ""
