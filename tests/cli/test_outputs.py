"""What `--junit`, `--csv` and `--png` write, and what they leave alone."""

from __future__ import annotations

import csv
import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from clsbench.report.records_table import as_csv

Fails = Callable[..., str]
Invoke = Callable[..., Any]


@pytest.fixture
def untrained(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing may be trained."""
    monkeypatch.setattr("clsbench.execution.execute.execute", lambda *_: 1 / 0)


@pytest.fixture
def a_run(here: Path, invoke: Invoke) -> Path:
    assert 0 == invoke("run", "tiny.yaml", "--quiet").exit_code
    (run,) = (here / "runs" / "moons").iterdir()
    return run.relative_to(here)


def contents(folder: Path) -> dict[str, bytes | None]:
    return {str(path): path.read_bytes() if path.is_file() else None for path in sorted(folder.rglob("*"))}


@pytest.mark.parametrize(
    "arguments",
    [
        ("--junit", "tiny.yaml"),
        ("tiny.yaml", "--junit", "tiny.yaml"),
        ("tiny.yaml", "--junit", "same.yaml"),
        ("tiny.yaml", "--plugin", "mine.py", "--junit", "mine.py"),
        ("tiny.yaml", "--junit", "table.csv"),
        ("tiny.yaml", "--junit", "page.xml"),
    ],
)
def test_junit_replaces_nothing_but_junit(
    arguments: tuple[str, ...], here: Path, fails: Fails, untrained: None
) -> None:
    """A forgotten or mistaken FILE is 2 before training; the config, a plugin, a table and other XML stay."""
    (here / "mine.py").write_text("1 / 0")
    (here / "table.csv").write_text("run,trial\n")
    (here / "page.xml").write_text("<page><testsuites/></page>")
    (here / "same.yaml").symlink_to("tiny.yaml")
    before = contents(here)
    line = fails(2, "run", *arguments)
    assert line.startswith(f"--junit: {arguments[-1]} ")
    assert line.endswith("; give another FILE")
    assert before == contents(here)


@pytest.mark.parametrize("old", ["", "<testsuites/>", '<?xml version="1.0"?>\n<!-- pytest -->\n<testsuite name="a"/>'])
def test_junit_of_an_earlier_run_is_replaced(old: str, here: Path, invoke: Invoke) -> None:
    """JUnit XML of any tool, and an empty file, give way once the run is done; a link's target, not the link."""
    (here / "kept.xml").write_text(old)
    (here / "junit.xml").symlink_to("kept.xml")
    assert 0 == invoke("run", "tiny.yaml", "--junit", "junit.xml").exit_code
    assert (here / "junit.xml").is_symlink()
    assert "0" == ElementTree.parse(here / "kept.xml").getroot()[0].get("errors")


@pytest.mark.parametrize("file", ["no/such/junit.xml", ".", "x" * 300, "tiny.yaml/junit.xml"])
def test_junit_needs_a_place(file: str, here: Path, fails: Fails, untrained: None) -> None:
    """Where nothing can be written is told before training."""
    line = fails(2, "run", "tiny.yaml", "--junit", file)
    assert line.startswith("--junit: ")
    assert line.endswith("give another FILE")
    assert ["tiny.yaml"] == os.listdir(here)


def test_file_that_appears_while_training_stays(here: Path, invoke: Invoke, monkeypatch: pytest.MonkeyPatch) -> None:
    """What has come to the place of an output since the check is left alone: 6, and the results are shown."""
    from clsbench.runs.directory import RunDirectory

    summarise = RunDirectory.write_summary

    def meanwhile(directory: Any, summary: Any) -> None:
        summarise(directory, summary)
        (here / "junit.xml").write_text("mine")

    monkeypatch.setattr(RunDirectory, "write_summary", meanwhile)
    answer = invoke("run", "tiny.yaml", "--junit", "junit.xml")
    assert (6, "mine") == (answer.exit_code, (here / "junit.xml").read_text())
    assert "junit.xml has changed, and exists and is not JUnit XML" in answer.stderr
    assert "\nTook " in answer.stdout


def test_device_and_fifo_are_written_to(here: Path, run_cli: Callable[..., Any], fails: Fails, a_run: Path) -> None:
    """A device or a FIFO that the user names gets the content; one that cannot take it is 6, in one line."""
    os.mkfifo(here / "pipe")
    with subprocess.Popen(["cat", "pipe"], cwd=here, stdout=subprocess.PIPE) as reader:
        done = run_cli("report", a_run, "--csv", "pipe")
        assert (0, "wrote pipe\n") == (done.returncode, done.stderr)
        assert reader.communicate()[0].startswith(b"run,trial,arm,")
    told = run_cli("report", a_run, "--json", "--csv", "pipe")
    assert (6, 1) == (told.returncode, len(told.stderr.splitlines()))
    assert told.stderr.startswith("error: pipe cannot be written: ")
    if os.path.exists("/dev/full"):
        told = run_cli("report", a_run, "--csv", "/dev/full")
        assert (6, 1) == (told.returncode, len(told.stderr.splitlines()))
        assert told.stderr.startswith("error: /dev/full cannot be written: disk full")
        shown = run_cli("report", a_run, "--csv", "/dev/stdout")
        assert (0, True, True) == (
            shown.returncode, shown.stdout.startswith("run,trial,arm,"), "\nTook " in shown.stdout,
        )  # fmt: skip


@pytest.mark.parametrize("name", ["metrics.jsonl", "config.yaml", "tuning.jsonl", "checkpoints/new.csv"])
def test_csv_never_takes_the_place_of_a_runs_file(name: str, here: Path, fails: Fails, a_run: Path) -> None:
    """A run's own files, those that it lacks too, are written by the run alone."""
    before = contents(here)
    told = f"--csv: {a_run / name} is a file of the run, which only the run writes; give another FILE"
    assert told == fails(2, "report", a_run, "--csv", a_run / name)
    assert before == contents(here)


def test_csv_replaces_nothing_but_its_own(here: Path, fails: Fails, invoke: Invoke, a_run: Path) -> None:
    """Records are written over records, never over another table."""
    (here / "table.csv").write_text("x,y\n1,2\n")
    assert "table.csv exists and is not a table of records" in fails(2, "report", a_run, "--csv", "table.csv")
    assert "x,y\n1,2\n" == (here / "table.csv").read_text()
    for _ in range(2):
        assert 0 == invoke("report", a_run, "--csv", a_run / "records.csv").exit_code


@pytest.mark.parametrize("folder", ["run", "photos"])
def test_png_draws_over_figures_alone(folder: str, here: Path, fails: Fails, a_run: Path) -> None:
    """The folder of a run, and one with another file of a figure's name, are refused before anything is drawn."""
    (here / "photos").mkdir()
    (here / "photos" / "reliability.svg").write_text("a page")
    before = contents(here)
    line = fails(2, "report", a_run, "--png", a_run if folder == "run" else "photos", "--csv", "new.csv")
    assert line.startswith("--png: ")
    assert line.endswith("; give another DIR")
    assert before == contents(here)


def test_text_in_a_table_is_no_formula() -> None:
    """A cell that a spreadsheet would compute begins with an apostrophe; a number stays a number."""
    row = {"arm": "=1+1", "loss": "@SUM(A1)", "dataset": "-x", "model": "\tx", "lr": -0.5, "label": "a=b", "none": None}
    (read,) = csv.DictReader(as_csv([("+run", [row])]).decode().splitlines())
    shown = {"run": "'+run", "arm": "'=1+1", "loss": "'@SUM(A1)", "dataset": "'-x", "model": "'\tx"}
    assert {**shown, "lr": "-0.5", "label": "a=b", "none": ""} == read
