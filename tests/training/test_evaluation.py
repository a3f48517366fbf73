"""Validation and test data measured together: the same bits as one after the other."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

import clsbench.losses
import clsbench.metrics  # noqa: F401 - the rooms register what they offer
from clsbench.losses.contract import Loss, build_loss
from clsbench.models import layers
from clsbench.problems import SingleLabel
from clsbench.registry import catalogue
from clsbench.training.evaluation import Part, are_alike, are_few, evaluate, evaluate_alike
from clsbench.training.measure import gradient_diagnostics, held_out_metrics, prediction_metrics
from clsbench.training.quantities import Ruler
from clsbench.training.stack import Stack

CPU = torch.device("cpu")
TRIALS, FEATURES = 3, 5


def bound(name: str, num_classes: int) -> Loss:
    defaults = {option.name: option.default for option in catalogue.get("loss", name).options.values()}
    return build_loss(name, SingleLabel(num_classes), defaults)


def part(size: int, num_classes: int, seed: int, *, splits: int | None, known: bool) -> tuple[Tensor, ...]:
    """Samples, targets and their true probabilities; some of each split, if there are several."""
    generator = torch.Generator().manual_seed(seed)
    shape = (size,) if splits is None else (splits, size)
    x = torch.randn(*shape, FEATURES, generator=generator)
    y = torch.randint(num_classes, shape, generator=generator)
    return x, y, *([torch.rand(*shape, num_classes, generator=generator)] if known else [])


@pytest.mark.parametrize("size", [7, 1030])
@pytest.mark.parametrize(("name", "num_classes"), [("mse_softmax", 2), ("cross_entropy", 3), ("hinge", 40)])
@pytest.mark.parametrize("places", [None, [1, 0, 1]])
@pytest.mark.parametrize("known", [False, True])
def test_splits_measured_together_have_the_numbers_of_each(
    size: int, name: str, num_classes: int, places: list[int] | None, known: bool
) -> None:
    """Every metric of both, and what is measured of one alone; with temperatures, and of trials on splits of theirs."""
    torch.manual_seed(0)
    loss, where = bound(name, num_classes), None if places is None else torch.tensor(places)
    modules = [nn.Sequential(layers.Linear(FEATURES, loss.num_outputs)) for _ in range(TRIALS)]
    stack, ruler = Stack(modules, stacked=True, device=CPU), Ruler(loss, CPU)
    temperatures = torch.tensor([0.5, 1.0, 3.0], dtype=torch.float64)
    splits = None if places is None else 2
    val, test = (part(size, num_classes, seed, splits=splits, known=known) for seed in (1, 2))
    diagnosed = gradient_diagnostics(loss.problem)

    parts = [Part(*val[:2], val[2] if known else None, diagnosed), Part(*test[:2], test[2] if known else None, [])]
    assert are_alike(parts, loss)
    found = evaluate_alike(stack, ruler, parts, held_out_metrics(loss.problem), temperatures, where)

    for own, (split, more), data in zip(found, (("val", diagnosed), ("test", [])), (val, test), strict=True):
        taken = [*prediction_metrics(loss.problem, split), *more]
        posterior = data[2] if known else None
        expected = evaluate(stack, ruler, *data[:2], taken, posterior, temperatures, where)
        bare = {name.removeprefix(f"{split}_"): value for name, value in expected.items()}
        assert bare.keys() == own.keys()
        assert {name: value.numpy().tobytes() for name, value in bare.items()} == {
            name: value.numpy().tobytes() for name, value in own.items()
        }


def test_splits_of_other_sizes_are_not_measured_together() -> None:
    """Nor those of which one alone has known probabilities."""
    loss = bound("cross_entropy", 2)
    parts = [
        Part(*part(size, 2, 0, splits=None, known=False), posterior, [])
        for size, posterior in ((7, None), (8, None), (7, torch.ones(7, 2)))
    ]
    assert [True, False, False] == [are_alike([parts[0], other], loss) for other in parts]


@pytest.mark.parametrize(("trials", "size", "expected"), [(3, 100_000, True), (64, 100, True), (64, 1000, False)])
@pytest.mark.parametrize("splits", [None, 2])
def test_splits_are_measured_together_where_that_is_faster(
    trials: int, size: int, expected: bool, splits: int | None
) -> None:
    """Of few trials or samples; with many, twice as large tensors are slower and take twice the memory."""
    stack = Stack([nn.Sequential(layers.Linear(FEATURES, 2)) for _ in range(trials)], stacked=True, device=CPU)
    places = None if splits is None else torch.zeros(trials, dtype=torch.long)
    assert expected == are_few(stack, Part(*part(size, 2, 0, splits=splits, known=False), None, []), places)
