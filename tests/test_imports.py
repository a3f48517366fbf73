"""What a run imports: nothing that it does not need, whatever the time."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

import clsbench
from tests import compiled

NEEDED_BY_OTHERS = {
    "sklearn": "other datasets",
    "scipy.stats": "nothing",
    "sympy": "compiling",
    "torch._dynamo": "compiling",
    "torch._inductor": "compiling",
    "torchvision": "its datasets and models",
    "matplotlib": "figures",
    "pyarrow": "tables",
    "PIL": "images",
}
RUN = """
import json, sys
import clsbench
result = clsbench.run(json.loads(sys.argv[1]), output=sys.argv[2], jobs=1)
print(json.dumps([result.summary["engine"]["mode"], *sys.modules]))
"""
COMMAND = """
import atexit, json, os, sys
fork, forks = os.fork, []
os.fork = lambda: forks.append("torch" in sys.modules) or fork()
atexit.register(lambda: print(json.dumps([forks, *sys.modules]), file=sys.stderr))
from clsbench.__main__ import main
main()
"""


def test_help_imports_nothing_that_only_a_command_needs() -> None:
    """It answers without the libraries of a run, and without logging."""
    done = subprocess.run([sys.executable, "-c", COMMAND, "--help"], capture_output=True, text=True, check=True)
    _, *imported = json.loads(done.stderr)
    assert set() == {*NEEDED_BY_OTHERS, "torch", "numpy", "pydantic", "logging"} & set(imported)


@pytest.mark.fork
def test_what_draws_is_forked_before_pytorch_is_imported(tmp_path: Path) -> None:
    """It alone imports matplotlib, beside that; where no figures are asked for there is none."""
    small = ["dataset.samples=60", "train.epochs=1", "train.seeds=1", "train.compile=off", "train.device=cpu"]
    found = {}
    for asked in ("{html: false}", "off"):
        command = ["run", "moons", *small, f"report={asked}", "-q", "--json", "--output", str(tmp_path / asked)]
        done = subprocess.run([sys.executable, "-c", COMMAND, *command], capture_output=True, text=True, check=True)
        forks, *imported = json.loads(done.stderr)
        found[asked] = (forks.count(False), "matplotlib" in imported)
    assert {"{html: false}": (1, False), "off": (0, False)} == found
    assert 4 == len(list(tmp_path.glob("*/moons/*/*.[ps][nv]g")))


@pytest.mark.slow
@pytest.mark.compiler
@pytest.mark.usefixtures("same_threads")
def test_steps_that_were_compiled_before_are_loaded_without_the_compiler(tmp_path: Path) -> None:
    """Importing it, and tracing the steps, takes longer than much training."""
    config = {
        **compiled.PARTS,
        "train": {**compiled.TRAIN, "epochs": 1, "seeds": 2, "device": "cpu", "threads": 1},
        "report": {"figures": False, "html": False},
    }
    clsbench.run(config, output=tmp_path)
    command = [sys.executable, "-c", RUN, json.dumps(config), str(tmp_path)]
    mode, *imported = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    assert ("compiled", set()) == (mode, {"torch._dynamo", "torch._inductor", "sympy"} & set(imported))


def test_small_run_imports_only_what_it_needs(tmp_path: Path) -> None:
    """Digits and two moons are read, trained on, judged and kept without the libraries of other runs."""
    config = {
        "dataset": ["digits", "moons"],
        "model": {"name": "mlp", "hidden": [4]},
        "loss": ["cross_entropy", "mse_softmax"],
        "train": {"epochs": 1, "seeds": 2, "device": "cpu"},
        "report": {"figures": False, "html": False},
    }
    command = [sys.executable, "-c", RUN, json.dumps(config), str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert set() == NEEDED_BY_OTHERS.keys() & set(json.loads(done.stdout))
