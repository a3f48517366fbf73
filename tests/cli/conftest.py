"""An empty directory for the command line to work in."""

from __future__ import annotations

from pathlib import Path

import pytest

# As little as a run can be: 36 samples to train on, one epoch of one seed, and nothing drawn.
TINY = "{dataset: {name: moons, samples: 60}, model: linear, train: {epochs: 1, seeds: 1, device: cpu}, report: off}\n"


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working directory with a config `tiny.yaml`."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "tiny.yaml").write_text(TINY)
    return tmp_path
