"""`clsbench compile`: a run after it compiles nothing."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import clsbench
from faulting.runs import cut_run

CONFIG: dict[str, Any] = {
    "name": "ahead",
    "dataset": {"name": "moons", "samples": 100},
    "model": "linear",
    "loss": "cross_entropy",
    "train": {"seeds": 3, "epochs": 2, "batch_size": 40, "compile": "on", "device": "cpu"},
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
    file: Path, invoke: Callable[..., Any], often: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And nothing but the cache is written. One library is for any number of seeds, for parts and for a resumed run."""
    # PyTorch's own folder, which others may write to.
    monkeypatch.setattr("torch._inductor.codecache._HEADER_DIR", str(file.parent / "headers"))
    monkeypatch.setattr("torch._inductor.codecache._HEADER_LOCK_DIR", str(file.parent / "headers" / "locks"))
    assert "compiled: a run of ahead finds its steps in the cache\n" == invoke("compile", file).stdout
    assert {"ahead.yaml", "graphs"} == {path.name for path in file.parent.iterdir()}
    before = libraries()
    assert 1 == len(before)
    for seeds in (3, 5, 130):
        assert "compiled" == clsbench.run(file, [f"train.seeds={seeds}"], output=file.parent).summary["engine"]["mode"]
    clsbench.run(resume=cut_run(CONFIG, file.parent / "cut", 1))
    monkeypatch.setattr("clsbench.training.compiled.TRIALS_AT_ONCE", 2)
    clsbench.run(file, output=file.parent)
    assert before == libraries()


def libraries() -> set[tuple[str, int]]:
    """The libraries of compiled steps in the cache, as they were written: name and inode of each."""
    found = Path(os.environ["TORCHINDUCTOR_CACHE_DIR"]).glob("steps/*.so")
    return {(path.name, path.stat().st_ino) for path in found}


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
