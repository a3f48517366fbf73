"""A Ray cluster: the same bits as on one machine, whatever of it is killed, and nothing left behind."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from faulting.nodes import TASK, Nodes, descendants, named, two_nodes

ROOT = Path(__file__).resolve().parents[2]

# What the drivers of all tests begin with. The plugin is gone before Ray's workers need it.
CONFIGS = """
import json, os, signal, sys, time
from pathlib import Path
import clsbench
from clsbench.errors import TrialError
from clsbench.execution import units
from clsbench.execution.events import EpochDone, StackStarted, TrialFailed
from clsbench.registry import load_plugin

Path("own.py").write_text('''
import os, signal
import clsbench

@clsbench.loss("own", link="softmax")
def own(logits, targets):
    return -logits.log_softmax(-1).gather(-1, targets.unsqueeze(-1)).squeeze(-1)

@clsbench.loss("raising", link="softmax")
def raising(logits, targets):
    raise ValueError("no such loss")

@clsbench.loss("deadly", link="softmax")
def deadly(logits, targets):
    if os.environ.get("RAY_JOB_ID"):  # a worker of Ray's
        os.kill(os.getpid(), signal.SIGKILL)
    return own(logits, targets)
''')
load_plugin(Path("own.py"))
Path("own.py").unlink()
small = {
    "name": "small", "dataset": {"name": "moons", "samples": 120},
    "model": {"name": "mlp", "hidden": [8]}, "loss": ["mse_softmax", "own"], "report": "off",
    "train": {"epochs": 3, "seeds": 3, "device": "cpu", "compile": "off"},
}
long = {**small, "train": {**small["train"], "epochs": 200}}
tuned = {**small, "tune": {"grid": {"lr": [0.1, 1.0]}, "seeds": 2}}
conv = {
    **small, "dataset": {"name": "digits", "limit": 100},
    "model": {"name": "cnn"}, "loss": "cross_entropy", "train": {**small["train"], "seeds": 1, "epochs": 1},
}
address = sys.argv[1]

def run(config, **how):
    try:
        return clsbench.run(config, output="runs", **how)
    except TrialError as error:
        return clsbench.load(error.directory)

def untimed(result):
    return [{**record, "seconds": None} for record in result.records]

def log_of(result):
    return (result.directory / "run.log").read_text()
"""

SCENARIOS = """
import ray

ray.init(address, log_to_driver=False)  # once, for all runs, which leave it as it is
found = {}
events = []
def note(plan, event):
    events.append(event)
for name, config in {"small": small, "tuned": tuned, "conv": conv}.items():
    spread = run(config, executor="ray", watch=note)
    alone = [run(config, jobs=jobs) for jobs in ((1, 2) if name == "small" else (1,))]
    found[name] = [untimed(each) == untimed(spread) for each in alone]
    found[name].append(alone[0].summary["pairing"] == spread.summary["pairing"])
hosts = {event.host.processor for event in events if isinstance(event, StackStarted)}
found["hosts"] = [len(hosts), [each["code"] for each in spread.summary["warnings"]]]
failed = run({**small, "loss": ["raising", "cross_entropy", "deadly"]}, executor="ray", retries=1)
found["failures"] = {arm["name"]: sorted(set((arm.get("failures") or {}).values())) for arm in failed.summary["arms"]}
found["epochs of the sound arm"] = sum(r["arm"] == "cross_entropy" for r in failed.records)
json.dump(found, open("found.json", "w"))
"""

DRIVER = """
def tell(plan, event):
    if isinstance(event, EpochDone) and event.epoch > 20:
        print("training", flush=True)
run(long, executor="ray", ray_address=address, watch=tell)
"""


ENDS = """
sys.path.insert(0, sys.argv[2])
from faulting.nodes import TASK, descendants, named

whole = untimed(run(long))
again = untimed(clsbench.run(None, resume=sys.argv[3]))
heads = [int(pid) for pid in sys.argv[4:]]
killed = {}

def kill(plan, event):
    if not isinstance(event, EpochDone) or event.epoch < 20:
        return
    tasks = [pid for head in heads for pid in descendants(head) if named(pid).startswith(TASK)]
    if "worker" not in killed and tasks:
        killed["worker"] = tasks[0]
        os.kill(tasks[0], signal.SIGKILL)
    elif "worker" in killed and "node" not in killed and event.epoch > 40:
        killed["node"] = heads[1]
        for pid in [heads[1], *descendants(heads[1])]:
            os.kill(pid, signal.SIGKILL)

harmed = run(long, executor="ray", ray_address=address, watch=kill)
found = {"resumed": again == whole, "harmed": untimed(harmed) == whole, "killed": sorted(killed)}
json.dump({**found, "lost": log_of(harmed).count("was lost")}, open("found.json", "w"))
"""


@pytest.fixture(scope="module")
def nodes() -> Iterator[Nodes]:
    with two_nodes() as cluster:
        yield cluster


def driver(script: str, nodes: Nodes, folder: Path, *arguments: str) -> subprocess.Popen[str]:
    environment = {**nodes.environment, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", CONFIGS + script, nodes.address, *arguments]
    return subprocess.Popen(
        command, cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def told(script: str, nodes: Nodes, folder: Path, *arguments: str) -> Any:
    """What a driver leaves in `found.json`."""
    with driver(script, nodes, folder, *arguments) as process:
        _, errors = process.communicate(timeout=900)
    assert 0 == process.returncode, errors
    return json.loads((folder / "found.json").read_text())


@pytest.fixture(scope="module")
def found(nodes: Nodes, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    return told(SCENARIOS, nodes, tmp_path_factory.mktemp("scenarios"))


@pytest.mark.ray
@pytest.mark.slow
@pytest.mark.parametrize("kind", ["small", "tuned", "conv"])
def test_cluster_changes_no_bit(kind: str, found: dict[str, Any]) -> None:
    """Two nodes record and pair what one process does, and two; a plugin whose file is gone comes along."""
    assert all(found[kind])
    assert {"small": 3, "tuned": 2, "conv": 2}[kind] == len(found[kind])


@pytest.mark.ray
@pytest.mark.slow
def test_alike_machines_bring_no_warning(found: dict[str, Any]) -> None:
    """Every unit says on which machine it is trained; where they are alike, nothing is said of it."""
    number, codes = found["hosts"]
    assert 1 == number
    assert "other-machine" not in codes


@pytest.mark.ray
@pytest.mark.slow
def test_trials_that_raise_or_kill_their_worker_fail_alone(found: dict[str, Any]) -> None:
    """A loss that raises fails its trials with the line; one that kills its process, after the retries; others end."""
    failures = found["failures"]
    (raised,), (died,) = failures["raising"], failures["deadly"]
    assert "ValueError: no such loss (own.py:" in raised
    assert died.startswith("its worker or node was lost (")
    assert [] == failures["cross_entropy"]
    assert 3 * 4 == found["epochs of the sound arm"]


@pytest.mark.ray
@pytest.mark.slow
def test_what_is_killed_changes_no_bit(nodes: Nodes, tmp_path: Path) -> None:
    """A driver, whose tasks end with it and whose run goes on without Ray; a worker; a node, this cluster's last."""
    with driver(DRIVER, nodes, tmp_path) as process:
        assert process.stdout is not None
        assert "training\n" == process.stdout.readline()
        assert [] != nodes.tasks()
        process.send_signal(signal.SIGKILL)
    gone(nodes.tasks())
    (run,) = (tmp_path / "runs" / "small").iterdir()
    pids = str(nodes.head.pid), str(nodes.second.pid)
    ends = told(ENDS, nodes, tmp_path, str(ROOT / "scripts"), str(run), *pids)
    assert ends["resumed"]
    assert ["node", "worker"] == ends["killed"]
    assert ends["harmed"]
    assert 1 <= ends["lost"]


@pytest.mark.ray
@pytest.mark.slow
def test_without_an_address_a_cluster_is_started_said_and_ended(tmp_path: Path) -> None:
    """Ctrl-C ends the run with 130, one line and nobody trains on; the run can be resumed."""
    (tmp_path / "a.yaml").write_text(
        "dataset: {name: moons, samples: 120}\nmodel: {name: mlp, hidden: [8]}\nloss: [bce, cross_entropy]\n"
        "train: {epochs: 30000, seeds: 2, device: cpu, compile: off}\nreport: off\n"
    )
    environment = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")}
    environment["PYTHONPATH"] = str(ROOT)
    command = [sys.executable, "-m", "clsbench", "run", "a.yaml", "--executor", "ray"]
    with subprocess.Popen(
        command, cwd=tmp_path, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stderr is not None
        said = process.stderr.readline()
        assert said.startswith("training on a new Ray cluster on this machine: nodes: 1, cores: "), said
        while not any(records.stat().st_size for records in (tmp_path / "runs").glob("*/*/metrics.jsonl")):
            assert process.poll() is None
            time.sleep(0.1)
        tasks = [pid for pid in descendants(process.pid) if named(pid).startswith(TASK)]
        assert [] != tasks
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=60)
    assert 130 == process.returncode
    *_, last = errors.splitlines()
    assert last.startswith("error: stopped by SIGINT; the finished epochs are kept, resume it with ")
    gone(tasks)


def gone(pids: list[int]) -> None:
    """Wait for processes to end."""
    deadline = time.monotonic() + 60
    while left := [pid for pid in pids if named(pid).startswith(TASK)]:
        assert time.monotonic() < deadline, f"{left} train on"
        time.sleep(0.1)
