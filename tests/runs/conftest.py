"""A run directory that was begun, for tests of its parts."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from clsbench.experiment import read
from clsbench.runs.creation import create_run
from clsbench.runs.directory import RunDirectory
from clsbench.runs.provenance import Fingerprint

CONDITIONS: dict[str, Any] = {
    "versions": {"torch": "2.14.0", "numpy": "2.4.1"},
    "machine": {"processor": "a", "cores": 2},
    "device": {"kind": "cpu", "threads": [1]},
}


Create = Callable[[Path, Any], RunDirectory]


@pytest.fixture
def create() -> Create:
    """`create(output, config)`: the directory of a run that has not trained yet, whose fingerprint is of no data."""

    def create(output: Path, config: Any) -> RunDirectory:
        fingerprint = Fingerprint(config="0" * 64, data={}, sources={}, **CONDITIONS)
        return create_run(output, read(config), fingerprint, {**CONDITIONS, "datasets": {}})

    return create


@pytest.fixture
def begun(tmp_path: Path, create: Create) -> RunDirectory:
    """The directory of a run that has not trained yet."""
    return create(tmp_path, {"name": "begun"})
