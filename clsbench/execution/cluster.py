"""The Ray cluster of a run: one that there is, or a new one on this machine.

Ray is imported in the functions: it is an extra, and reads the environment once, when it is imported.
"""

from __future__ import annotations

import logging
import os
import secrets
import signal
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from clsbench.errors import RunError
from clsbench.system import cores

STORE_BYTES = 200 << 20  # of the object store of a new cluster, beside the data
SECONDS_BETWEEN_LOOKS = 1.0  # at the nodes of a cluster, which may come and go


@contextmanager
def connected(address: str | None, num_bytes: int, say: Callable[[str], None]) -> Iterator[None]:
    """In this block there is a cluster: that at the address or `RAY_ADDRESS`, else a new one that ends with the block.

    A connection that the caller has made is used, and left as it is.

    Args:
        address: as `ray.init` takes it.
        num_bytes: the size of all data.
        say: is told which cluster it is.

    Raises:
        RunError: there is no cluster at the address, or none can be started.
    """
    where = address or os.environ.get("RAY_ADDRESS") or "local"
    is_new = where == "local"
    if is_new:
        _prepare_environment()
    import ray

    if ray.is_initialized():
        yield
        return
    how: dict[str, Any] = {"log_to_driver": False, "configure_logging": False}
    if is_new:
        how |= {"num_cpus": cores(), "include_dashboard": False, "object_store_memory": STORE_BYTES + num_bytes}
    logging.getLogger("ray").setLevel(logging.ERROR)
    before = signal.getsignal(signal.SIGTERM)
    try:
        ray.init(where, **how)
    except Exception as error:  # of many kinds
        what = "no Ray cluster can be started here" if is_new else f"no Ray cluster answers at {where}"
        raise RunError(f"{what}: {first_line(error)}") from error
    finally:
        if signal.getsignal(signal.SIGTERM) is not before:  # Ray has its own, except in a thread, where nobody can
            signal.signal(signal.SIGTERM, before)
    try:
        nodes = Nodes()
        which = "a new Ray cluster on this machine" if is_new else f"the Ray cluster at {where}"
        gpus = f", GPUs: {nodes.num_gpus}" if nodes.num_gpus else ""
        say(f"training on {which}: nodes: {nodes.number}, cores: {nodes.num_cores}{gpus}")
        yield
    finally:
        ray.shutdown()


class Nodes:
    """The nodes of the cluster that have cores, looked at every second."""

    def __init__(self) -> None:
        self._looked: float | None = None
        self._resources: list[Mapping[str, float]] = []

    @property
    def number(self) -> int:
        return len(self._sizes("CPU"))

    @property
    def num_cores(self) -> int:
        return sum(self._sizes("CPU"))

    @property
    def most_cores(self) -> int:
        """Of one node; at least 1, since a node may come."""
        return max([1, *self._sizes("CPU")])

    @property
    def num_gpus(self) -> int:
        return sum(self._sizes("GPU"))

    def _sizes(self, kind: str) -> list[int]:
        import ray

        now = time.monotonic()
        if self._looked is None or now - self._looked >= SECONDS_BETWEEN_LOOKS:
            self._looked, self._resources = now, [node["Resources"] for node in ray.nodes() if node["Alive"]]
        return [size for each in self._resources if (size := int(each.get(kind, 0)))]


def first_line(error: BaseException) -> str:
    """What an error of Ray says, in short."""
    return next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)


def _prepare_environment() -> None:
    """For a new cluster: no usage reports, and a token, so that nobody else on this machine can use it."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    if "ray" in sys.modules or "RAY_AUTH_MODE" in os.environ:
        return
    os.environ["RAY_AUTH_MODE"] = "token"
    has_token = {"RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH"} & os.environ.keys()
    if not has_token and not Path("~/.ray/auth_token").expanduser().exists():
        os.environ["RAY_AUTH_TOKEN"] = secrets.token_hex(32)
