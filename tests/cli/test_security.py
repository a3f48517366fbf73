"""Many at the same time, and names and secrets that do no harm."""

from __future__ import annotations

import json
import os
import xml.etree.ElementTree as ElementTree
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import clsbench
from clsbench.experiment import read
from clsbench.runs.creation import create_run
from clsbench.runs.directory import RunDirectory
from clsbench.runs.provenance import Fingerprint
from clsbench.runs.records import RecordFile
from faulting.children import exit_code, forked

Invoke = Callable[..., Any]

CONDITIONS: dict[str, Any] = {
    "versions": {"torch": "2.14.0", "numpy": "2.4.1"},
    "machine": {"processor": "a", "cores": 2},
    "device": {"kind": "cpu", "threads": [1]},
}

EVIL = [
    "</script><script>alert(1)</script>",
    "\"><img src=x onerror='alert(1)'>",
    "javascript:alert(1)",
    "]]><svg onload=alert(1)>",
    "$\\\\frac{1}{0}$ {0} %s &lt;b&gt;",
]


def test_eight_starts_in_one_second(here: Path) -> None:
    """Eight processes that start at once have a run directory each, whole and with their config."""
    experiment = read({"name": "many"})
    fingerprint = Fingerprint(config="0" * 64, data={}, sources={}, **CONDITIONS)
    waiting, go = os.pipe()

    def start() -> None:
        os.close(go)
        os.read(waiting, 1)  # until all are there
        create_run(Path("runs"), experiment, fingerprint, {**CONDITIONS, "datasets": {}})

    pids = [forked(start) for _ in range(8)]
    os.close(go)
    assert [0] * 8 == [exit_code(pid) for pid in pids]
    os.close(waiting)
    runs = list(Path("runs", "many").iterdir())
    assert 8 == len(runs)
    assert ["many"] == os.listdir("runs")
    assert all(experiment == read(run / "config.yaml") for run in runs)


def test_run_read_while_it_is_rewritten(here: Path, invoke: Invoke) -> None:
    """Whoever reads a run that another process rewrites sees all of one version, never half a file."""
    assert 0 == invoke("run", "tiny.yaml").exit_code
    (path,) = Path("runs", "moons").iterdir()
    whole = clsbench.load(path)
    stop = Path("stop")

    def rewrite() -> None:
        directory, records = RunDirectory(path), RecordFile(path / "metrics.jsonl")
        while not stop.exists():
            records.order()
            directory.write_summary(whole.summary)

    pid = forked(rewrite)
    try:
        for _ in range(100):
            again = clsbench.load(path)
            assert (whole.records, whole.summary) == (again.records, again.summary)
    finally:
        stop.touch()
        assert 0 == exit_code(pid)


@pytest.mark.parametrize("evil", EVIL)
def test_markup_in_names_is_inert(evil: str, here: Path, invoke: Invoke) -> None:
    """In SVG, JUnit, JSON and the terminal a name with markup is text: no element, no attribute, no link."""
    quoted = json.dumps(evil)
    (here / "c.yaml").write_text(
        f"dataset: {{name: moons, samples: 60, label: {quoted}}}\nmodel: {{name: linear, label: {quoted}}}\n"
        f"loss: [bce, {{name: hinge, label: {quoted}}}]\ntrain: {{epochs: 1, seeds: 2, device: cpu}}\n"
        "expect: [bce.test_accuracy >= 0]\n"
    )
    answer = invoke("run", "c.yaml", "--junit", "junit.xml")
    assert (0, "") == (answer.exit_code, answer.stderr), answer.output
    (directory,) = Path("runs", "moons").iterdir()
    drawings = sorted(directory.glob("*.svg"))
    assert ["curves.svg", "reliability.svg"] == [path.name for path in drawings]
    for name in (*drawings, Path("junit.xml")):
        for element in ElementTree.parse(name).iter():
            tag = element.tag.rpartition("}")[2]
            assert tag not in ("script", "img", "foreignObject", "a", "iframe"), name
            assert not any(key.rpartition("}")[2].startswith("on") for key in element.attrib), name
            links = [value for key, value in element.attrib.items() if key.rpartition("}")[2] == "href"]
            assert all(link.startswith("#") for link in links), name
    assert evil in json.loads((directory / "summary.json").read_text("utf-8"))["arms"][1]["name"]
    records = [json.loads(line) for line in (directory / "metrics.jsonl").read_text("utf-8").splitlines()]
    assert {"bce", evil} == {record["arm"] for record in records}
    assert {evil} == {record["dataset"] for record in records}


SECRET = "hunter2-XYZZY-0f3a"


@pytest.mark.parametrize("fails", [False, True], ids=["done", "a bug"])
def test_secret_of_the_environment_is_nowhere(
    fails: bool, here: Path, invoke: Invoke, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the environment holds is in no file of a run and in nothing that is printed, traces included."""
    for name in ("AWS_SECRET_ACCESS_KEY", "GITHUB_TOKEN", "CLSBENCH_TOKEN", "PASSWORD"):
        monkeypatch.setenv(name, SECRET)
    if fails:
        monkeypatch.setattr("clsbench.shown.figures", lambda *_: 1 / 0)
    answer = invoke("run", "tiny.yaml", "report={figures: true}", "--junit", "junit.xml")
    assert (1 if fails else 0) == answer.exit_code
    written = [path for path in here.rglob("*") if path.is_file()]
    assert {"run.log", "metrics.jsonl", "environment.json"} <= {path.name for path in written}
    assert [] == [path for path in written if SECRET.encode() in path.read_bytes()]
    assert SECRET not in answer.output
