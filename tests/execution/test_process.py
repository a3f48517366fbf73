"""What the process does otherwise while it trains, and that it is over afterwards."""

from __future__ import annotations

import gc
import platform
import subprocess
import sys
import weakref
from pathlib import Path
from typing import Any

import pytest
import torch

import clsbench
from clsbench.execution.process import training
from clsbench.training.stack import Stack
from tests import compiled


def test_threads_and_collector_are_as_before() -> None:
    """After training PyTorch has the threads that it had, and the collector leaves nothing out."""
    threads = torch.get_num_threads()
    with training():
        torch.set_num_threads(threads + 1)
        assert gc.get_freeze_count() > 0
    assert (threads, 0) == (torch.get_num_threads(), gc.get_freeze_count())


def test_collector_that_was_off_is_on_within() -> None:
    """The garbage collector is on during training, and off again after it."""
    gc.disable()
    try:
        with training():
            assert gc.isenabled()
        assert not gc.isenabled()
    finally:
        gc.enable()


def test_garbage_of_training_is_collected_all_the_same() -> None:
    """Cycles made within are collected."""
    with training():
        loop: list[object] = []
        loop.append(loop)
        del loop
        assert gc.collect() > 0


@pytest.mark.compiler
@pytest.mark.parametrize("traced", [False, True])
def test_compiled_stacks_are_let_go(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, traced: bool) -> None:
    """Of three, one after the other, only the last may still be alive, when their networks are measured."""
    if traced:  # as those with code of a user's own
        monkeypatch.setattr("clsbench.training.compiled.library_of", lambda steps, batches: None)
    stacks: weakref.WeakSet[Stack] = weakref.WeakSet()
    most = 0
    made = Stack.__init__

    def counted(self: Stack, *args: Any, **how: Any) -> None:
        nonlocal most
        made(self, *args, **how)
        stacks.add(self)
        most = max(most, len(stacks))

    monkeypatch.setattr(Stack, "__init__", counted)
    config = {
        **compiled.PARTS,
        "train": {**compiled.TRAIN, "epochs": 2, "seeds": 6, "stack": 2, "device": "cpu", "threads": 1},
        "report": "off",
    }
    assert 3 == clsbench.run(config, output=tmp_path).summary["engine"]["stacks"]
    assert most <= 2


def test_run_leaves_nothing_out_of_collection(tmp_path: Path) -> None:
    """A whole run leaves no object out of garbage collection."""
    data, train = {"name": "moons", "samples": 60}, {"epochs": 2, "seeds": 1}
    config = {"name": "tiny", "dataset": data, "train": train, "report": "off"}
    clsbench.run(config, output=tmp_path)
    assert 0 == gc.get_freeze_count()


KEPT_AFTER_FREEING = """
import torch
from clsbench.execution.process import training

def resident():
    with open("/proc/self/status") as file:
        return next(int(line.split()[1]) for line in file if line.startswith("VmRSS"))

with training():
    before = resident()
    blocks = [torch.ones(2**20) for _ in range(50)]  # 200 MiB
    del blocks
    print(resident() - before)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="needs glibc's malloc")
def test_freed_memory_stays_with_the_process() -> None:
    """Else each epoch's would be fetched anew from the system, page by page."""
    done = subprocess.run([sys.executable, "-c", KEPT_AFTER_FREEING], check=True, stdout=subprocess.PIPE, text=True)
    assert int(done.stdout) > 150 * 1024
