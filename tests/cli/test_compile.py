"""`clsbench compile`: a run after it compiles nothing."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import clsbench

CONFIG: dict[str, Any] = {
    "name": "ahead",
    "dataset": {"name": "moons", "samples": 100},
    "model": "linear",
    "loss": "cross_entropy",
    "train": {"seeds": 3, "epochs": 2, "batch_size": 60, "compile": "on", "device": "cpu"},
    "report": "off",
}


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path / "graphs"))
    path = tmp_path / "ahead.yaml"
    path.write_text(json.dumps(CONFIG))
    return path


@pytest.mark.slow
@pytest.mark.compiler
def test_a_run_finds_what_was_compiled_ahead(
    file: Path, invoke: Callable[..., Any], libraries: Callable[[], set[tuple[str, int]]]
) -> None:
    """And nothing but the cache is written."""
    assert "compiled: a run of ahead finds its steps in the cache\n" == invoke("compile", file).stdout
    assert {"ahead.yaml", "graphs"} == {path.name for path in file.parent.iterdir()}
    before = libraries()
    assert 1 == len(before)
    clsbench.run(file, output=file.parent)
    assert before == libraries()


def test_eager_steps_need_no_compiling(file: Path, invoke: Callable[..., Any]) -> None:
    """That is said, and is no error."""
    done = invoke("compile", file, "train.compile=off")
    assert (0, "nothing to compile: the steps of ahead are eager\n") == (done.exit_code, done.stdout)


def test_a_machine_without_a_compiler_says_so(
    file: Path, fails: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """One line, and 2."""
    for module in ("modes", "work"):
        monkeypatch.setattr(f"clsbench.execution.{module}.has_compiler", lambda: False)
    assert fails(2, "compile", file).startswith("compiling needs a C++ compiler")
