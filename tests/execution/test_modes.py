"""Which steps are compiled."""

from __future__ import annotations

import sys

import pytest
import torch

from clsbench.execution.modes import compiles
from clsbench.registry import catalogue
from clsbench.training.libraries import are_loaded


@pytest.mark.compiler
def test_compiling_depends_on_the_trial_alone() -> None:
    """`auto` compiles dense models from four thousand steps on; `off` and convolutions never are."""
    assert not compiles("auto", stacked=True, num_steps=3_999, loaded=True)
    assert compiles("auto", stacked=True, num_steps=4_000, loaded=True)
    assert not compiles("off", stacked=True, num_steps=10**9, loaded=True)
    assert not compiles("on", stacked=False, num_steps=10**9, loaded=True)


@pytest.mark.compiler
def test_steps_that_every_process_traces_are_compiled_later() -> None:
    """Those of a user's loss or optimizer, from ten thousand on: they take seconds in every run."""
    assert not compiles("auto", stacked=True, num_steps=9_999, loaded=False)
    assert compiles("auto", stacked=True, num_steps=10_000, loaded=False)
    assert compiles("on", stacked=True, num_steps=1, loaded=False)


def test_parts_of_a_user_are_traced() -> None:
    """And all steps on a GPU."""
    own, cpu = catalogue.get("loss", "mse_softmax").factory, torch.device("cpu")
    assert (sys.platform == "linux") == are_loaded(cpu, own)
    assert not are_loaded(cpu, own, lambda logits, targets: logits.sum())
    assert not are_loaded(torch.device("cuda"), own)
