"""Which steps are compiled."""

from __future__ import annotations

import pytest

from clsbench.execution.modes import compiles


@pytest.mark.compiler
def test_compiling_depends_on_the_trial_alone() -> None:
    """`auto` compiles dense models from ten thousand steps on; `off` and convolutions never are."""
    assert not compiles("auto", stacked=True, num_steps=9_999)
    assert compiles("auto", stacked=True, num_steps=10_000)
    assert not compiles("off", stacked=True, num_steps=10**9)
    assert not compiles("on", stacked=False, num_steps=10**9)
