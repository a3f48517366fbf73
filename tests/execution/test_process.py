"""What the process does otherwise while it trains, and that it is over afterwards."""

from __future__ import annotations

import gc
import platform
import subprocess
import sys
from pathlib import Path

import pytest
import torch

import clsbench
from clsbench.execution.process import settled, training


def test_threads_and_collector_are_as_before() -> None:
    threads = torch.get_num_threads()
    with training():
        torch.set_num_threads(threads + 1)
        settled()
        assert gc.get_freeze_count() > 0
    assert (threads, 0) == (torch.get_num_threads(), gc.get_freeze_count())


def test_collector_that_was_off_is_on_within() -> None:
    gc.disable()
    try:
        with training():
            assert gc.isenabled()
        assert not gc.isenabled()
    finally:
        gc.enable()


def test_garbage_of_training_is_collected_all_the_same() -> None:
    with training():
        settled()
        loop: list[object] = []
        loop.append(loop)
        del loop
        assert gc.collect() > 0


def test_run_leaves_nothing_out_of_collection(tmp_path: Path) -> None:
    config = {"name": "tiny", "dataset": {"name": "moons", "samples": 60}, "train": {"epochs": 2, "seeds": 1}}
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
