"""`clsbench report --html --open`: the page again, also where frames are missing, and what is said where it fails."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import typer

import clsbench
import clsbench.report.page
import clsbench.shown

CONFIG = {
    "name": "paged",
    "dataset": {"name": "moons", "samples": 60},
    "model": "linear",
    "train": {"epochs": 2, "seeds": 1},
    "report": {"figures": False},
}


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return clsbench.run(CONFIG, output=tmp_path_factory.mktemp("runs")).directory


@pytest.fixture
def run(kept: Path, tmp_path: Path) -> Path:
    """A copy of a run that a test may damage."""
    return Path(shutil.copytree(kept, tmp_path / "run"))


def test_page_is_written_again_and_opened(
    run: Path, invoke: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The bytes are those that the run wrote, and the browser gets the file's address."""
    opened: list[str] = []
    monkeypatch.setattr(typer, "launch", opened.append)
    first = (run / "report.html").read_bytes()
    (run / "report.html").unlink()
    assert 0 == invoke("report", str(run), "--html", "--open").exit_code
    assert first == (run / "report.html").read_bytes()
    assert [(run / "report.html").resolve().as_uri()] == opened


def test_run_without_frames_has_a_page_without_terrains(run: Path, invoke: Callable[..., Any]) -> None:
    """A run of an earlier version kept none: the page says so, and has its curves and tables."""
    (run / "replay.npz").unlink()
    assert 0 == invoke("report", str(run), "--html").exit_code
    page = (run / "report.html").read_text(encoding="utf-8")
    assert "This run kept no frames" in page
    assert "test accuracy" in page


def test_damaged_frames_are_refused(run: Path, fails: Callable[..., str]) -> None:
    """A changed replay.npz is told by its sum."""
    content = bytearray((run / "replay.npz").read_bytes())
    content[len(content) // 2] ^= 1
    (run / "replay.npz").write_bytes(bytes(content))
    assert "replay.npz" in fails(6, "report", str(run), "--html")


def test_missing_page_is_not_opened(run: Path, fails: Callable[..., str]) -> None:
    """--open without a page says how to get one."""
    (run / "report.html").unlink()
    assert "give --html too" in fails(6, "report", str(run), "--open")


def test_pictures_are_of_the_setting_that_was_trained(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The page of a tuned run shows each arm at the rate of the trial whose frames it shows."""
    shown, page_of = [], clsbench.report.page.page_of

    def watched(*parts: Any) -> Any:
        shown.append(parts[-1])
        return page_of(*parts)

    tune = {"grid": {"lr": [0.3, 0.7]}, "seeds": 1, "protocol": "per_arm_per_seed"}
    result = clsbench.run({**CONFIG, "tune": tune, "report": "off"}, output=tmp_path)
    monkeypatch.setattr(clsbench.report.page, "page_of", watched)
    clsbench.shown.write_page(result)
    (film,) = shown
    trained = {record["arm"]: record["lr"] for record in result.records if record["seed"] == 0}
    assert trained == {name: arm.lr for name, arm in film.arms.items()}
