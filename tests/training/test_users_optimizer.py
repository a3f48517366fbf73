"""An optimizer of the user's own: one decorated function in a plugin file, and every part of clsbench knows it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.testing import assert_close

import clsbench
from clsbench.config.reader import read_text
from clsbench.errors import ConfigError
from clsbench.execution.events import EpochDone
from clsbench.registry import load_plugin

# Chen et al. 2023, Symbolic Discovery of Optimization Algorithms, without its weight decay; and a new kind of number.
PLUGIN = '''
from typing import Annotated

import clsbench
from annotated_types import Ge, Gt, Lt


@clsbench.optimizer("lion", state=("mean",))
def lion(
    weights,
    gradients,
    state,
    *,
    lr: Annotated[float, Gt(0)] = 0.01,
    blend: Annotated[float, Ge(0), Lt(1)] = 0.9,
    memory: Annotated[float, Ge(0), Lt(1)] = 0.99,
    soft: bool = False,
):
    """Lion: the sign of a blend of the gradient and its mean."""
    mean = state["mean"]
    step = gradients.lerp(mean, blend.expand_as(mean))
    weights.sub_(lr * (step.tanh() if soft else step.sign()))
    mean.copy_(gradients.lerp(mean, memory.expand_as(mean)))


@clsbench.optimizer("one_by_one")
def one_by_one(weights, gradients, state, *, lr: Annotated[float, Gt(0)] = 0.1):
    """Gradient descent that goes through the trials."""
    for trial in range(len(weights)):
        weights[trial].sub_(lr[trial] * gradients[trial])
'''

TRAIN = {"epochs": 3, "seeds": 2, "device": "cpu", "threads": 1}
CONFIG: dict[str, Any] = {
    "name": "stranger",
    "dataset": {"name": "moons", "samples": 90},
    "model": {"name": "mlp", "hidden": [8]},
    "loss": "cross_entropy",
    "optimizer": {"name": "lion", "soft": True, "blend": [0.5, 0.9], "clip_norm": 1.0},
    "train": TRAIN,
    "report": "off",
}


@pytest.fixture(autouse=True)
def plugin(tmp_path: Path) -> Path:
    """The plugin's file, loaded for one test."""
    path = tmp_path / "theirs.py"
    path.write_text(PLUGIN)
    load_plugin(path)
    return path


def untimed(result: clsbench.Result) -> list[dict[str, Any]]:
    return [{**record, "seconds": 0} for record in result.records]


def mistakes(text: str) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        read_text(text, "f", ())
    return list(caught.value.mistakes)


def test_it_is_listed_with_its_options(invoke: Callable[..., Any]) -> None:
    """`list` has its help, and each number with bounds and default."""
    listed = {each["name"]: each for each in json.loads(invoke("list", "optimizers", "--json").stdout)}
    assert "Lion: the sign of a blend of the gradient and its mean" == listed["lion"]["summary"]
    number = {"type": "a number, at least 0, below 1", "required": False, "default": 0.9}
    assert number == listed["lion"]["options"]["blend"]


@pytest.mark.parametrize(
    ("text", "mistake"),
    [
        ("{name: lino}", "f:1:19: optimizer.name: unknown optimizer 'lino'; did you mean 'lion'?"),
        ("{name: lion, blnd: 0.5}", "f:1:25: optimizer.blnd: unknown key; did you mean 'blend'?"),
        ("{name: lion, blend: 1}", "f:1:32: optimizer.blend: must be a number at least 0 and below 1, got 1"),
        ("{name: lion, blend: [0.5, x]}", "f:1:38: optimizer.blend: must be a number at least 0 and below 1, got 'x'"),
        ("{name: lion, soft: [true]}", "f:1:31: optimizer.soft: must be true or false, got [True]"),
        ("{name: lion, momentum: 0.9}", "f:1:35: optimizer.momentum: lion has no momentum; sgd and rmsprop have it"),
        ("{name: lion, decay_biases: false}",
         "f:1:39: optimizer.decay_biases: lion has no weight decay that could spare biases; leave it out"),
        ("{name: sgd, decay_biases: maybe}", "f:1:38: optimizer.decay_biases: must be true or false, got 'maybe'"),
        ("{name: sgd, blend: 0.5}", "f:1:31: optimizer.blend: sgd has no blend; lion has it"),
        ("{name: lion}\ntune: {grid: {blnd: [0.5]}}", "f:2:15: tune.grid.blnd: unknown key; did you mean 'blend'?"),
        ("{}\ntune: {grid: {blend: [0.5]}}", "f:2:22: tune.grid.blend: sgd has no blend; lion has it"),
    ],
)  # fmt: skip
def test_its_mistakes_are_told_in_place(text: str, mistake: str) -> None:
    """A misspelling gets the nearest name, a number out of bounds its bounds, another's option those that have it."""
    assert [mistake] == mistakes(f"optimizer: {text}")


def test_defaults_of_other_optimizers_are_tolerated() -> None:
    """An option of another optimizer, given with its default, says nothing: a file may serve several."""
    same = "momentum: 0.0, betas: [0.9, 0.999], eps: [1e-8], nesterov: false"
    plain, full = (read_text(f"optimizer: {{name: lion, {more}}}", "f", ()) for more in ("lr: 0.01", same))
    assert plain == full


def test_config_of_a_run_reads_back_as_itself(tmp_path: Path) -> None:
    """The written config holds the optimizer's options, defaults filled in, and gives the same experiment."""
    result = clsbench.run({**CONFIG, "tune": {"grid": {"memory": [0.5, 0.99]}, "seeds": 1}}, output=tmp_path)
    text = (result.directory / "config.yaml").read_text()
    written = read_text(text, "config.yaml", ())
    assert {"lr": (0.01,), "blend": (0.5, 0.9), "memory": (0.99,), "soft": True} == written.optimizer.options
    assert {"memory": [0.5, 0.99]} == result.summary["tuning"]["grid"]
    assert {0.5, 0.99} >= {arm["chosen"]["memory"] for arm in result.summary["tuning"]["arms"]}


def test_its_numbers_are_swept_trial_by_trial_in_a_stack(tmp_path: Path) -> None:
    """Two values share a stack, and each trains as it does alone; `soft`, which is no number, is the stack's."""
    both = clsbench.run(CONFIG, output=tmp_path)
    assert ["cross_entropy blend=0.5", "cross_entropy blend=0.9"] == list(both.arms)
    assert 1 == both.summary["engine"]["stacks"]
    ends = []
    for blend in (0.5, 0.9):
        alone = clsbench.run({**CONFIG, "optimizer": {**CONFIG["optimizer"], "blend": blend}}, output=tmp_path)
        rows = [row for row in untimed(both) if row["arm"] == f"cross_entropy blend={blend}"]
        for ours, theirs in zip(rows, untimed(alone), strict=True):
            assert {**ours, "trial": 0, "arm": ""} == {**theirs, "trial": 0, "arm": ""}
        ends.append(rows[-1]["train_loss"])
    assert ends[0] != ends[1]
    hard = clsbench.run({**CONFIG, "optimizer": {**CONFIG["optimizer"], "soft": False}}, output=tmp_path)
    assert hard.records[-1]["train_loss"] not in ends


def cut_after(epochs: int) -> Callable[..., None]:
    """A watch that stops a run after so many epochs."""
    left = [epochs]

    def watch(plan: Any, event: Any) -> None:
        left[0] -= isinstance(event, EpochDone)
        if not left[0]:
            raise KeyboardInterrupt

    return watch


def test_it_is_resumed_bit_by_bit(often: None, tmp_path: Path) -> None:
    """What it keeps of a trial is in the checkpoint: a run that was stopped ends with the same records and weights."""
    whole = clsbench.run(CONFIG, output=tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        clsbench.run(CONFIG, output=tmp_path / "cut", watch=cut_after(3))
    (path,) = (tmp_path / "cut" / "stranger").iterdir()
    resumed = clsbench.run(resume=path)
    assert untimed(whole) == untimed(resumed)
    for trial in range(4):
        ours, theirs = (clsbench.load_model(run.directory, trial)[0].state_dict() for run in (whole, resumed))
        assert_close(ours, theirs, rtol=0, atol=0)


@pytest.mark.compiler
@pytest.mark.parametrize(
    "own", [{**CONFIG["optimizer"], "blend": 0.5}, {"name": "one_by_one"}], ids=["lion", "one by one"]
)
def test_it_is_compiled(own: dict[str, Any], tmp_path: Path) -> None:
    """A compiled step learns what an eager one learns, also where it looks at the number of trials."""
    eager, compiled = (
        clsbench.run(
            {**CONFIG, "optimizer": own, "train": {**TRAIN, "batch_size": 60, "compile": how}}, output=tmp_path
        )
        for how in ("off", "on")
    )
    assert ("eager", "compiled") == (eager.summary["engine"]["mode"], compiled.summary["engine"]["mode"])
    ours, theirs = (torch.tensor([row["train_loss"] for row in run.records]) for run in (eager, compiled))
    assert_close(ours, theirs, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize(
    ("signature", "message"),
    [
        ("momentum: float = 0.9", "optimizer 'bad' has no option lr; take it after the *, with a default"),
        ("lr: float = 0.1, gamma: float = 1.0", "optimizer 'bad': gamma is a key of the experiment; rename the option"),
        ("lr: float = 0.1, decay: float", "optimizer 'bad': its option decay has no default; give one"),
    ],
)
def test_signature_that_no_config_could_use_is_refused(tmp_path: Path, signature: str, message: str) -> None:
    """An optimizer without a learning rate, with an option of the experiment's name or without a default: at once."""
    path = tmp_path / "bad.py"
    path.write_text(f"import clsbench\n@clsbench.optimizer('bad')\ndef bad(w, g, s, *, {signature}): 'Bad.'\n")
    with pytest.raises(ConfigError) as caught:
        load_plugin(path)
    assert message in str(caught.value)
