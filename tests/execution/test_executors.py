"""Where units are trained: what the command line refuses, and machines of a cluster that are not alike."""

from __future__ import annotations

import importlib.util
import signal
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

import clsbench
from clsbench.config.plan import Plan
from clsbench.errors import ConfigError
from clsbench.execution import units
from clsbench.execution.cluster import connected
from clsbench.execution.events import EpochDone, Event, Warned
from clsbench.execution.host import this_host
from clsbench.registry.given import given_loss
from clsbench.runs.directory import RunDirectory

CONFIG: dict[str, Any] = {
    "name": "tiny",
    "dataset": {"name": "moons", "samples": 60, "split_seed": 0},
    "model": "linear",
    "loss": ["bce", "cross_entropy"],
    "train": {"epochs": 2, "seeds": 2, "device": "cpu", "threads": 1},
    "report": "off",
}
HINT = r"install it with pip install 'clsbench\[ray\]'"


@pytest.fixture
def without_ray(monkeypatch: pytest.MonkeyPatch) -> None:
    """As where the extra is not installed."""
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *rest: None if name == "ray" else find(name, *rest))


@pytest.mark.usefixtures("without_ray")
def test_a_missing_package_is_told_with_its_extra(fails: Callable[..., str], tmp_path: Path) -> None:
    """Before anything is read: exit code 2, the option and the command that installs Ray; in Python a ConfigError."""
    told = fails(2, "run", "moons", "--executor", "ray", "--output", tmp_path / "runs")
    assert "--executor ray needs the package ray; install it with pip install 'clsbench[ray]'" == told
    assert not (tmp_path / "runs").exists()
    with pytest.raises(ConfigError, match=HINT):
        clsbench.run(CONFIG, output=tmp_path, executor="ray")


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--ray-address", "auto"], "--ray-address is for --executor ray; add it, or leave the address out"),
        (["--executor", "slurm"], "Invalid value for '--executor': "),
        (["--retries", "-1"], "Invalid value for '--retries': "),
        (["--executor", "ray", "--ray-address", "ray://head:10001"], "'ray://head:10001' is for Ray Client, which"),
    ],
)
def test_options_that_do_not_fit_are_refused(
    arguments: list[str], expected: str, fails: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Exit code 2 and what to give instead."""
    monkeypatch.setattr(importlib.util, "find_spec", lambda *_: object())
    assert expected in fails(2, "run", "moons", *arguments)


@pytest.mark.ray
def test_no_cluster_at_an_address(fails: Callable[..., str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Exit code 6 and the address; no run is begun."""
    import ray

    def refuse(address: str, **how: object) -> None:
        raise ConnectionError(f"nobody at {address}\nlong story")

    monkeypatch.setattr(ray, "init", refuse)
    told = fails(6, "run", "moons", "-q", "--executor", "ray", "--ray-address", "h:1", "--output", tmp_path / "runs")
    assert "no Ray cluster answers at h:1: nobody at h:1" == told
    assert not (tmp_path / "runs").exists()


@pytest.mark.ray
def test_what_no_node_has_is_refused_at_start(tmp_path: Path) -> None:
    """A loss handed over in Python: told before a cluster is looked for or a run is begun."""
    loss = given_loss("mine", torch.nn.CrossEntropyLoss(), "single_label", "softmax")
    with pytest.raises(ConfigError, match="no node has what was handed over in Python; put it into a plugin"):
        clsbench.run({**CONFIG, "loss": loss}, output=tmp_path, executor="ray", ray_address="h:1")
    assert [] == list(tmp_path.iterdir())


@pytest.mark.ray
@pytest.mark.parametrize("in_thread", [False, True])
def test_what_ray_does_to_sigterm_is_undone(in_thread: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """In the main thread; another one, where handlers cannot be set, can use a cluster too."""
    import ray

    def init(*_: object, **how: object) -> None:
        with suppress(ValueError):
            signal.signal(signal.SIGTERM, lambda *_: None)

    for name, stand_in in {"init": init, "nodes": list, "shutdown": lambda: None}.items():
        monkeypatch.setattr(ray, name, stand_in)

    def connect() -> list[str]:
        said: list[str] = []
        with connected("h:1", 0, said.append):
            return said

    before = signal.getsignal(signal.SIGTERM)
    with ThreadPoolExecutor(1) as pool:
        said = pool.submit(connect).result() if in_thread else connect()
    assert ["training on the Ray cluster at h:1: nodes: 0, cores: 0"] == said
    assert before == signal.getsignal(signal.SIGTERM)


def test_differences_of_machines_are_named() -> None:
    """Another processor, another set of instructions, another version: what may change last bits, in words."""
    here = this_host()
    assert [] == here.differences(replace(here, name="elsewhere", cores=99, system="another"))
    versions = {**here.versions, "torch": "1.0"}
    other = replace(here, versions=versions, processor="abacus", instructions="BEADS")
    assert [
        f"torch is 1.0, not {here.versions['torch']}",
        f"the processor is abacus, not {here.processor}",
        f"vector instructions are BEADS, not {here.instructions}",
    ] == here.differences(other)


@pytest.fixture
def elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    """Units are trained on a machine called `old`, with another processor."""
    other = replace(this_host(), name="old", processor="abacus")
    monkeypatch.setattr(units, "this_host", lambda: other)


@pytest.mark.usefixtures("elsewhere")
def test_another_machine_is_said_once_and_kept(tmp_path: Path) -> None:
    """A warning while the run trains, one in its summary and its environment; the log names the trials."""
    said: list[str] = []

    def watch(plan: Plan, event: Event) -> None:
        if isinstance(event, Warned):
            said.append(event.text)

    result = clsbench.run(CONFIG, output=tmp_path, watch=watch)
    differs = f"the processor is abacus, not {this_host().processor}"
    assert [f"on old last bits may differ: {differs}"] == said
    assert [("other-machine", "tiny", f"trials were trained on old, and last bits may differ: {differs}")] == [
        (each["code"], each["where"], each["text"])
        for each in result.summary["warnings"]
        if each["code"] == "other-machine"
    ]
    assert [{"name": "old", "differences": [differs]}] == RunDirectory(result.directory).environment()["nodes"]
    assert "trials [0, 1] are trained on another machine, old" in (result.directory / "run.log").read_text()
    silent = clsbench.run({**CONFIG, "silence": ["other-machine", "majority", "one-class"]}, output=tmp_path)
    assert [] == silent.summary["warnings"]


@pytest.mark.usefixtures("elsewhere")
def test_bits_that_another_machine_changes_do_not_end_a_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is trained again after it was trained elsewhere may differ: that is logged, also in a later resume."""

    def stop(plan: Plan, event: Event) -> None:
        if isinstance(event, EpochDone) and event.epoch == 1:
            raise RuntimeError("stopped")

    with pytest.raises(RuntimeError, match="stopped"):
        clsbench.run(CONFIG, output=tmp_path, watch=stop)
    (run,) = (tmp_path / "tiny").iterdir()
    monkeypatch.setattr(units, "this_host", this_host)
    real = units.train

    def train(*args: Any, **how: Any) -> Iterator[Any]:
        for result in real(*args, **how):
            yield replace(result, rows=[row and {**row, "train_loss": 0.5} for row in result.rows])

    monkeypatch.setattr(units, "train", train)
    again = clsbench.run(None, resume=run)
    assert "train_loss was " in (again.directory / "run.log").read_text()
    assert "other-machine" in [each["code"] for each in again.summary["warnings"]]
