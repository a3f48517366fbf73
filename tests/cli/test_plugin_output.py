"""What a plugin prints stays off stdout, which is for results."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess

import pytest

PLUGIN = """
import os, sys
import clsbench, torch
import torch.nn.functional as F

def talk(where):
    print(where, "print")
    sys.__stdout__.write(where + " original\\n")
    os.write(1, where.encode() + b" descriptor\\n")
    os.system("echo " + where + " child")

talk("import")

@clsbench.dataset("mine")
def mine(seed):
    talk("dataset")
    x = torch.randn(60, 2, generator=torch.Generator().manual_seed(seed))
    return x, (x[:, 0] > 0).long()

@clsbench.model("net")
def net(shape, num_outputs):
    talk("model")
    return torch.nn.Linear(shape[0], num_outputs)

said = False

@clsbench.loss("says")
def says(logits, targets):
    global said
    if not said:
        talk("loss")
    said = True
    return F.cross_entropy(logits, targets)
"""
CONFIG = (
    "{dataset: mine, model: [net, linear], loss: [says, bce], train: {epochs: 1, seeds: 2, device: cpu}, report: off}"
)


@pytest.mark.parametrize("more", [(), ("--jobs", "2")])
def test_stdout_of_json_stays_json(
    tmp_path: Path, run_cli: Callable[..., CompletedProcess[str]], more: tuple[str, ...]
) -> None:
    """Printed by Python, by file descriptor or by a child, at import or in a worker, it is on stderr."""
    (tmp_path / "p.py").write_text(PLUGIN)
    (tmp_path / "a.yaml").write_text(CONFIG)
    answer = run_cli("run", "a.yaml", "--plugin", "p.py", "--json", "-q", *more)
    assert 0 == answer.returncode, answer.stderr
    assert "finished" == json.loads(answer.stdout)["status"]
    for where in ("import", "dataset", "model", "loss"):
        for way in ("print", "original", "descriptor", "child"):
            assert f"{where} {way}" in answer.stderr
