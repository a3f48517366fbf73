"""Temperature scaling against SciPy's minimiser, and what records have of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize_scalar
from torch import Tensor

import clsbench
from clsbench.metrics.calibration import scaled, temperatures
from clsbench.problems.encoding import at_target
from clsbench.results import value_of

SCALED = ("nll_ts", "brier_ts", "ece_ts")


def networks(seed: int, num_trials: int = 4, num_samples: int = 300, num_classes: int = 5) -> tuple[Tensor, Tensor]:
    """Log-probabilities `[T, N, C]` of trials that are ever more confident, and targets that they know something of."""
    generator = torch.Generator().manual_seed(seed)
    logits = torch.randn(num_samples, num_classes, generator=generator)
    targets = torch.distributions.Categorical(logits=logits).sample()
    confidence = torch.logspace(-0.7, 0.7, num_trials)[:, None, None]
    noise = 0.3 * torch.randn(num_trials, num_samples, num_classes, generator=generator)
    return (confidence * (logits + noise)).log_softmax(-1), targets


def nlls(log_p: Tensor, targets: Tensor, at: Tensor) -> Tensor:
    return -at_target(scaled(log_p, at), targets).mean(-1)


@pytest.mark.parametrize("num_classes", [2, 5, 40])
def test_temperature_is_that_of_least_nll(num_classes: int) -> None:
    """It equals what SciPy finds, also in parts of the samples."""
    log_p, targets = networks(0, num_classes=num_classes)
    found = temperatures([(log_p[:, :100], targets[:100]), (log_p[:, 100:], targets[100:])])
    for own, each in zip(found, log_p, strict=True):
        theirs = minimize_scalar(
            lambda t, p=each: nlls(p[None], targets, torch.tensor([np.exp(t)])).item(),
            bounds=(-4, 4),
            options={"xatol": 1e-12},
        )
        assert pytest.approx(np.exp(theirs.x), rel=1e-6) == own.item()


def test_temperature_undoes_a_factor_of_the_logits() -> None:
    """Of logits three times those that labels are drawn from it is 3, to within the noise of 20,000 samples."""
    torch.manual_seed(0)
    logits = torch.randn(20_000, 4)
    targets = torch.distributions.Categorical(logits=logits).sample()
    assert pytest.approx(3, rel=0.05) == temperatures([((3 * logits).log_softmax(-1)[None], targets)]).item()


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 2**16), num_trials=st.integers(2, 5), num_classes=st.integers(2, 6))
def test_no_other_temperature_has_a_lower_nll(seed: int, num_trials: int, num_classes: int) -> None:
    """On the samples that it is fitted on, not even 1; and a trial's is the same to the last bit in any company."""
    log_p, targets = networks(seed, num_trials, 50, num_classes)
    found = temperatures([(log_p, targets)])
    least = nlls(log_p, targets, found)
    for factor in (0.5, 0.99, 1.01, 2):
        assert (least <= nlls(log_p, targets, (found * factor).clamp(0.01, 100)) + 1e-12).all()
    assert (least <= nlls(log_p, targets, torch.ones_like(found)) + 1e-12).all()
    assert torch.equal(found[:2], temperatures([(log_p[:2], targets)]))
    assert torch.equal(log_p.argmax(-1), scaled(log_p, found).argmax(-1))


def test_temperature_where_every_sample_is_wrong() -> None:
    """It ends at its bound, where the classes are nearly as likely as each other."""
    log_p = (4 * torch.eye(3)).log_softmax(-1)[None]
    assert pytest.approx(100, rel=0.01) == temperatures([(log_p, torch.tensor([1, 2, 0]))]).item()


def test_temperature_where_every_sample_is_right() -> None:
    """It is 1, as the samples do not say how sure is too sure; one mistake in another part of them is enough to say."""
    log_p = torch.stack([4 * torch.eye(3), 4 * torch.eye(3)[[0, 2, 1]]]).log_softmax(-1)
    targets = torch.arange(3)
    sure, wrong = temperatures([(log_p[:, :1], targets[:1]), (log_p[:, 1:], targets[1:])]).tolist()
    assert 1 == sure
    assert wrong > 1


@pytest.fixture(scope="module")
def result(tmp_path_factory: pytest.TempPathFactory) -> clsbench.Result:
    losses = ["cross_entropy", "bce", {"name": "bce", "label": "one output", "outputs": 1}, "hinge"]
    return clsbench.run(config(loss=losses), output=tmp_path_factory.mktemp("runs"))


def config(**sections: Any) -> dict[str, Any]:
    return {
        "name": "scaled",
        "dataset": {"name": "moons", "samples": 300, "split_seed": 0},
        "model": {"name": "mlp", "hidden": [8]},
        "train": {"epochs": 3, "seeds": 2, "device": "cpu"},
        "report": "off",
        **sections,
    }


def test_scaled_metrics_are_of_the_last_epoch(result: clsbench.Result) -> None:
    """Records of earlier epochs have none; a loss without probabilities never has any."""
    for record in result.records:
        has = record["epoch"] == 3 and record["arm"] != "hinge"
        values = [value_of(record, f"{split}_{name}") for split in ("val", "test") for name in SCALED]
        assert [has] * 6 == [value is not None for value in values]


def test_scaled_metrics_are_those_of_a_temperature_of_validation_data(result: clsbench.Result) -> None:
    """Recomputed from the trained network: T is fitted on the validation split, and the test split is measured at T."""
    from clsbench.data.splits import split
    from clsbench.data.toy import moons

    data = split(moons(0, samples=300), test_fraction=0.2)
    assert data.val is not None
    for record in (each for each in result.records if each["epoch"] == 3 and each["arm"] == "cross_entropy"):
        network, _ = clsbench.load_model(result.directory, record["trial"])
        with torch.no_grad():
            of_val, of_test = (network(part.x).log_softmax(-1)[None] for part in (data.val, data.test))
        fitted = temperatures([(of_val, data.val.y)])
        p = scaled(of_test, fitted)[0].exp()
        assert pytest.approx(value_of(record, "val_nll_ts"), rel=1e-6) == nlls(of_val, data.val.y, fitted).item()
        assert (
            pytest.approx(value_of(record, "test_nll_ts"), rel=1e-6) == -p.log()[range(60), data.test.y].mean().item()
        )
        brier = (p - torch.nn.functional.one_hot(data.test.y, 2)).square().sum(-1).mean().item()
        assert pytest.approx(value_of(record, "test_brier_ts"), rel=1e-6) == brier


def test_without_validation_data_nothing_is_scaled(tmp_path: Path) -> None:
    """There is nothing to fit a temperature on."""
    dataset = {"name": "moons", "samples": 300, "val_fraction": 0}
    last = clsbench.run(config(dataset=dataset, loss="cross_entropy"), output=tmp_path).records[-1]
    assert value_of(last, "test_nll") is not None
    assert [None] * 3 == [value_of(last, f"test_{name}") for name in SCALED]
