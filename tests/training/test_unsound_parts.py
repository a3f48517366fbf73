"""The user's models and losses are tried before training: each works to the end and resumes, or is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import clsbench
import clsbench.shown
from clsbench.errors import ConfigError, DataError, TrialError
from clsbench.registry import load_plugin

IMPORTS = "import clsbench, torch, numpy as np\nfrom torch import nn\nimport torch.nn.functional as F\n"
LOSSES = {
    "return logits": r"returns \[8, 2\] for logits \[8, 2\]; return \[8\] or \[\]",
    "return logits[:3].sum(-1)": r"returns \[3\] for logits \[8, 2\]",
    "return logits.sum(0)": r"returns \[2\] for logits \[8, 2\]",
    "return logits.sum(-1) * torch.nan": "returns only NaN, at logits of ordinary size",
    "return logits.argmax(-1)": r"returns torch.int64; return floating-point numbers",
    "return logits.detach().sum(-1)": "has no gradient on the logits; compute it from them",
    "return torch.zeros(len(logits), requires_grad=True)": "has no gradient on the logits; compute it from them",
    "return float(logits.sum())": r"returns float; return a tensor, \[8\] or \[\]",
    "return None": r"returns NoneType; return a tensor, \[8\] or \[\]",
}
MODELS = {
    "return 3": "returns int; return a torch.nn.Module",
    "return nn.LazyLinear(num_outputs)": "has lazy layers, which have no weights yet",
    "return nn.Linear(shape[0], 5)": r"returns \[8, 5\] for a batch; return logits \[8, 2\]",
    "return nn.Sequential(nn.Linear(shape[0], 1), nn.Flatten(0))": r"returns \[8\] for a batch; return logits \[8, 2\]",
    "return nn.Identity()": "has no parameter to train",
    "return nn.Linear(shape[0], num_outputs).double()": "has weight in torch.float64; parameters are float32",
    "return SHARED": "returns the same parameters for every trial; create a new module in every call",
    "return Tuple(shape[0], num_outputs)": "returns tuple for a batch; return a tensor of logits",
    "return Detached(shape[0], num_outputs)": "returns logits that depend on no parameter",
    "return Extra(shape[0], num_outputs)": r"keeps extra state \(Extra\), which checkpoints do not hold; register",
    "return Replacing(shape[0], num_outputs)": "replaces its buffer count by a new tensor; change it in place",
    "return Measuring(shape[0], num_outputs)": "changes its buffer count in evaluation",
    "return Counting(shape[0], num_outputs)": "keeps state that changes its logits outside parameters and buffers",
    "return Foreign(shape[0], num_outputs)": "differs between two calls with the same seed; draw only from PyTorch",
    "return Aliased(shape[0], num_outputs)": "has other and weight as two parameters that share memory",
}
CLASSES = """
SHARED = nn.Linear(2, 2)

class Tuple(nn.Linear):
    def forward(self, x): return super().forward(x), x

class Detached(nn.Linear):
    def forward(self, x): return super().forward(x).detach()

class Extra(nn.Linear):
    def get_extra_state(self): return {"a": 1}
    def set_extra_state(self, state): pass

class Counter(nn.Linear):
    def __init__(self, *sizes):
        super().__init__(*sizes)
        self.register_buffer("count", torch.zeros(()))

class Replacing(Counter):
    def forward(self, x):
        self.count = self.count + 1
        return super().forward(x)

class Measuring(Counter):
    def forward(self, x):
        self.count.add_(1)
        return super().forward(x)

class Counting(nn.Linear):
    calls = 0
    def forward(self, x):
        self.calls += 1
        return super().forward(x) * self.calls

class Foreign(nn.Linear):
    def forward(self, x): return super().forward(x) + torch.from_numpy(np.random.rand(len(x), 1)).float()

class Aliased(nn.Linear):
    def __init__(self, *sizes):
        super().__init__(*sizes)
        self.other = nn.Parameter(self.weight.data)
    def forward(self, x): return super().forward(x) + self.other.sum()
"""
SOUND = """
@clsbench.model("mine")
def mine(shape, num_outputs):
    '''Mine.'''
    wide = nn.Linear(shape[0], shape[0])
    network = {}
    torch.set_default_dtype(torch.float64)
    return network
"""
WORKING = {
    "tied modules": "nn.Sequential(wide, wide, nn.Linear(shape[0], num_outputs))",
    "parametrized": "nn.Sequential(nn.utils.parametrizations.weight_norm(wide), nn.Linear(shape[0], num_outputs))",
    "batch norm": "nn.Sequential(wide, nn.BatchNorm1d(shape[0]), nn.Linear(shape[0], num_outputs))",
}


def plugin(folder: Path, text: str) -> None:
    (folder / "mine.py").write_text(IMPORTS + text)
    load_plugin(folder / "mine.py")


def run(folder: Path, **parts: Any) -> clsbench.Result:
    train = {"epochs": 2, "seeds": 2, "device": "cpu", "batch_size": 16, **parts.pop("train", {})}
    resume = parts.pop("resume", None)
    config = {"dataset": {"name": "moons", "samples": 60}, "model": "linear", "loss": "bce", "train": train, **parts}
    return clsbench.run(config, output=folder / "runs", resume=resume)


@pytest.fixture(autouse=True)
def undrawn(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clsbench.shown, "figures", lambda *_: {})


@pytest.mark.parametrize("body", LOSSES)
def test_loss_that_cannot_train_is_refused(tmp_path: Path, body: str) -> None:
    """A wrong shape, type or gradient is told before any trial, with the function's line and what it has to return."""
    plugin(tmp_path, f"@clsbench.loss('mine')\ndef mine(logits, targets):\n    {body}\n")
    with pytest.raises(ConfigError, match=rf"^loss mine \(mine\.py:4\) {LOSSES[body]}"):
        run(tmp_path, loss=["bce", "mine"])
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize("body", MODELS)
def test_model_that_cannot_be_kept_is_refused(tmp_path: Path, body: str) -> None:
    """What would not train, finish, resume or be measured alike is told before any trial, with the function's line."""
    plugin(tmp_path, f"@clsbench.model('mine')\ndef mine(shape, num_outputs):\n    {body}\n{CLASSES}")
    with pytest.raises(ConfigError, match=rf"^model mine \(mine\.py:4\) {MODELS[body]}"):
        run(tmp_path, model="mine", loss="cross_entropy")
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize("model", WORKING)
def test_unusual_model_trains_to_the_end_and_reads_back(tmp_path: Path, model: str) -> None:
    """Tied weights, parametrizations and running statistics are kept; PyTorch's settings are put back."""
    plugin(tmp_path, SOUND.format(WORKING[model]))
    result = run(tmp_path, model={"name": "mine", "init": {"scale": 2.0}}, loss="cross_entropy")
    assert "finished" == result.summary["status"]
    for trial in (0, 1):
        network, _ = clsbench.load_model(result.directory, trial)
        assert 0 < sum(weight.numel() for weight in network.parameters())


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("raise ValueError('no\\nway')", r"dataset mine: ValueError: no way \(mine\.py:7\); correct the function"),
        ("raise SystemExit(0)", r"dataset mine: SystemExit: 0 \(mine\.py:7\)"),
        ("raise Mute", r"dataset mine: Mute: its text cannot be shown, ZeroDivisionError \(mine\.py:7\)"),
        ("return None", "dataset mine: a dataset returned a NoneType"),
        ("return [[1]], [object()]", "dataset mine: "),
        ("return {1}, {2}", "dataset mine: "),
    ],
)
def test_dataset_that_raises_is_told_as_its_own(tmp_path: Path, body: str, message: str) -> None:
    """4 with its name, file and line, whatever it raises or returns."""
    mute = "class Mute(Exception): __str__ = lambda self: 1 / 0\n"
    plugin(tmp_path, f"{mute}@clsbench.dataset('mine')\ndef mine(seed):\n    {body}\n".replace("\\\\n", "\\n"))
    with pytest.raises(DataError, match=message) as caught:
        run(tmp_path, dataset="mine")
    assert "\n" not in str(caught.value)


NOISY = """
@clsbench.model("noisy")
def noisy(shape, num_outputs):
    class Noisy(nn.Linear):
        def forward(self, x): return super().forward(x + torch.randn_like(x))
    return Noisy(shape[0], num_outputs)

@clsbench.model("dropped")
def dropped(shape, num_outputs):
    return nn.Sequential(nn.Linear(shape[0], 8), nn.ReLU(), nn.Dropout(.5), nn.Linear(8, num_outputs))

@clsbench.loss("noise")
def noise(logits, targets):
    return F.cross_entropy(logits + torch.randn_like(logits), targets)

@clsbench.loss("stacked_noise", stacked=True)
def stacked_noise(logits, targets):
    noisy = (logits + torch.randn_like(logits)).log_softmax(-1)
    return -noisy.gather(-1, targets.unsqueeze(-1)).squeeze(-1)
"""


def records(result: clsbench.Result, loss: str) -> list[dict[str, Any]]:
    free = {"trial", "arm", "seconds"}
    return [{k: v for k, v in record.items() if k not in free} for record in result.records if record["loss"] == loss]


@pytest.mark.parametrize(
    ("model", "loss"),
    [("noisy", "cross_entropy"), ("dropped", "cross_entropy"), ("mlp", "noise"), ("mlp", "stacked_noise")],
)
def test_what_draws_from_the_global_generator_repeats(tmp_path: Path, model: str, loss: str) -> None:
    """Run twice, beside another arm, alone in its stack and after a stop, a trial has the same records."""
    import torch

    plugin(tmp_path, NOISY)
    once = run(tmp_path, model=model, loss=loss)
    state = torch.get_rng_state()
    torch.rand(5)
    ways = [
        run(tmp_path, model=model, loss=["hinge", loss], train={"seeds": 3}),
        run(tmp_path, model=model, loss=loss, train={"stack": 1}),
    ]
    assert "finished" == once.summary["status"]
    for other in ways:
        kept = [record for record in records(other, loss) if record["seed"] < 2]
        assert records(once, loss) == kept
    torch.set_rng_state(state)


def test_resumed_noise_repeats(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A trial that goes on from its first epoch draws what it would have drawn."""
    from clsbench.execution import units

    plugin(tmp_path, NOISY)
    whole = run(tmp_path, model="dropped", loss="noise", train={"epochs": 3})
    real = units.train

    def stops(*given: Any, **named: Any) -> Any:
        for result in real(*given, **named):
            yield result
            if result.epoch == 1:
                raise ValueError("stop")

    with monkeypatch.context() as patch:
        patch.setattr(units, "SECONDS_BETWEEN_CHECKPOINTS", 0.0)
        patch.setattr(units, "train", stops)
        with pytest.raises(TrialError) as stopped:
            run(tmp_path, model="dropped", loss="noise", train={"epochs": 3})
    resumed = run(tmp_path, model="dropped", loss="noise", train={"epochs": 3}, resume=stopped.value.directory)
    assert records(whole, "noise") == records(resumed, "noise")
