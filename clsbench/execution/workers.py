"""What trains a run: processes of this machine, or the workers of a Ray cluster. Imports neither torch nor Ray."""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass

from clsbench.errors import ConfigError
from clsbench.execution import RETRIES, Executor


@dataclass(frozen=True)
class Workers:
    """Who trains work units.

    `jobs` is the most units at a time, None for as many as there is room for. `address` is that of a Ray cluster, as
    `ray.init` takes it. A trial whose process or node is lost is tried `retries` more times from the same checkpoint.

    Raises:
        ConfigError: the parts do not fit together, or Ray is not installed.
    """

    jobs: int | None = None
    executor: Executor = "local"
    address: str | None = None
    retries: int = RETRIES

    def __post_init__(self) -> None:
        if self.executor not in ("local", "ray"):
            raise ConfigError(f"unknown executor {self.executor!r}; there are local, ray")
        if self.retries < 0:
            raise ConfigError(f"retries must be at least 0, got {self.retries}")
        if self.executor == "local":
            if self.address is not None:
                raise ConfigError("--ray-address is for --executor ray; add it, or leave the address out")
            return
        if importlib.util.find_spec("ray") is None:
            raise ConfigError("--executor ray needs the package ray; install it with pip install 'clsbench[ray]'")
        if self.address is not None and self.address.startswith("ray://"):
            raise ConfigError(
                f"--ray-address: {self.address!r} is for Ray Client, which cannot stream results; run clsbench on a "
                "node of the cluster (by `ray job submit`, say) and give HOST:PORT or auto"
            )
