"""A smaller batch that is filled up with copies of its samples trains as it does by itself."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor
from torch.testing import assert_close

from clsbench.losses.contract import build_loss
from clsbench.models.initialisation import initial_module
from clsbench.problems import MultiLabel, Problem, Regression, SingleLabel
from clsbench.registry import LossSpec, catalogue
from clsbench.training.epoch import Filling
from clsbench.training.optimizers import initial_state
from clsbench.training.rng import generator_for
from clsbench.training.settings import stacked_options
from clsbench.training.stack import Stack
from clsbench.training.step import Batches, Steps

THREE = ("a", "b", "c")
PROBLEMS: tuple[Problem, ...] = (SingleLabel(3), MultiLabel(THREE), Regression(THREE))
CPU, SEEDS, FEATURES, BATCH, LEFT = torch.device("cpu"), [0, 1], 4, 8, 5


@given(st.integers(1, 300), st.integers(1, 40))
def test_an_epoch_has_full_batches_alone(num_samples: int, batch_size: int) -> None:
    """Each sample has its share in the mean of its batch; the copies are of samples of the last, and have none."""
    batch_size = min(batch_size, num_samples)
    filling = Filling.of(num_samples, batch_size, CPU)
    order = torch.arange(2 * num_samples).view(2, num_samples)
    filled = filling.order(order).split(batch_size, 1)
    for batch, share, own in zip(filled, filling.shares, order.split(batch_size, 1), strict=True):
        assert (2, batch_size) == batch.shape
        assert torch.equal(own, batch[:, share > 0])
        assert set(own[1].tolist()) == set(batch[1].tolist())
        assert pytest.approx([1 / own.shape[1]] * own.shape[1]) == share[share > 0].tolist()
    assert torch.equal(filled[-1], own.index_select(1, filling.places))


@pytest.mark.parametrize(
    ("problem", "spec"),
    [(problem, spec) for problem in PROBLEMS for spec in catalogue.losses() if problem.kind in spec.problems],
    ids=lambda each: getattr(each, "name", str(each)),
)
def test_copies_change_nothing(problem: Problem, spec: LossSpec) -> None:
    """After two steps on the filled batch, weights, sum of losses and logits are those of two on the batch alone."""
    generator = torch.Generator().manual_seed(0)
    inputs = torch.randn(2, len(SEEDS), LEFT, FEATURES, generator=generator)
    targets = problem.example_targets(LEFT).expand(2, len(SEEDS), LEFT, *problem.target_shape)
    alone, filled, filling = steps(problem, spec), steps(problem, spec), Filling.of(LEFT + BATCH, BATCH, CPU)
    masks = [alone.stack.dropout_masks(SEEDS, (1, number), LEFT) for number in range(2)]
    rate = torch.tensor([[0.1], [0.2]])
    logits = alone(Batches(inputs, targets, masks, rate))
    found = filled(
        Batches(
            inputs.index_select(2, filling.places),
            targets.index_select(2, filling.places),
            [{name: mask.index_select(1, filling.places) for name, mask in each.items()} for each in masks],
            rate,
            filling.shares[-1:] * 2,
        )
    )
    assert_close(logits, found[:, :, :LEFT])
    assert_close(alone.stack.weights, filled.stack.weights)
    assert_close(alone.loss_sum, filled.loss_sum)


def steps(problem: Problem, spec: LossSpec) -> Steps:
    """Those of two trials with dropout, of classes by weight."""
    weighted = isinstance(problem, SingleLabel)
    counts = torch.tensor([1, 2, 3]) if weighted else None
    loss = build_loss(spec.name, problem, spec.defaults, "balanced" if weighted else None, counts)
    factory = catalogue.get("model", "mlp").factory

    def build() -> torch.nn.Module:
        module: torch.nn.Module = factory((FEATURES,), loss.num_outputs, hidden=[8], dropout=0.5)
        return module

    networks = [
        initial_module(build, generator_for("weights", seed), weights="default", scale=1.0, bias="default")
        for seed in SEEDS
    ]
    stack = Stack(networks, stacked=True, device=CPU)
    stack.train(True)

    def ones(*shape: int) -> Tensor:
        return torch.ones(len(SEEDS), *shape)

    return Steps(
        stack=stack,
        loss=loss,
        update=catalogue.get("optimizer", "sgd").factory,
        state=initial_state("sgd", stack.weights),
        options=stacked_options("sgd", [{"momentum": 0.9}] * len(SEEDS), stack.weights),
        clip_norm=None,
        loss_weight=ones(),
        alive=ones(1),
        taken=ones(1).double(),
        loss_sum=ones().double(),
    )
