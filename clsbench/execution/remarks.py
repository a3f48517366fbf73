"""What is noticed about users' models and losses that can be trained, but may not compute what is meant."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import torch
from torch import Tensor

from clsbench.config.arms import Arm
from clsbench.config.plan import Plan
from clsbench.containment import contained
from clsbench.data.splits import Splits
from clsbench.data.table_cells import number
from clsbench.execution.soundness import SAMPLES, TOLERANCE, combinations
from clsbench.execution.work import bound_loss, initial_model
from clsbench.forks import apart
from clsbench.losses.contract import Loss
from clsbench.registry import catalogue
from clsbench.signatures import is_own, place_of
from clsbench.text import listed

MOST_NAMED = 5
Remark = tuple[str, str]  # the code of a warning, and its text


def remarks(plan: Plan, data: Mapping[str, Splits]) -> dict[str, list[Remark]]:
    """The warnings about models and losses, by their titles."""
    found: dict[str, dict[Remark, None]] = {}
    for arm, splits in combinations([plan], data):
        for title, remark in _of_arm(arm, splits):
            found.setdefault(title, {})[remark] = None
    return {title: list(each) for title, each in found.items()}


def _of_arm(arm: Arm, splits: Splits) -> Iterator[tuple[str, Remark]]:
    model, loss = catalogue.get("model", arm.model.name), catalogue.get("loss", arm.loss.name)
    bound = bound_loss(arm.loss, [splits])
    names = splits.problem.names
    if bound.num_outputs == 1 and len(names) > 2 and _is_without_order(arm, names):
        shown = listed(names, MOST_NAMED)
        found = (
            f"it takes the classes of {arm.dataset.title} for numbers in the order {shown}, which is that of their "
            f"names; give their order by classes: [...]"
        )
        yield arm.loss.title, ("class-order", found)
    if not (is_own(model.factory) and is_own(loss.factory)):
        nothing: list[tuple[str, Remark]] = []
        yield from apart(lambda: list(_of_users_parts(arm, splits, bound)), otherwise=nothing)


def _of_users_parts(arm: Arm, splits: Splits, bound: Loss) -> Iterator[tuple[str, Remark]]:
    model, loss = catalogue.get("model", arm.model.name), catalogue.get("loss", arm.loss.name)
    with torch.random.fork_rng(devices=[]), contained(), torch.no_grad():
        torch.manual_seed(0)
        torch.set_num_threads(1)  # a process that used several could not be forked
        samples = torch.arange(min(SAMPLES, len(splits.train)))
        try:
            if not is_own(model.factory) and _gives_probabilities(arm, splits, bound.num_outputs, samples):
                found = (
                    f"it ({place_of(model.factory)}) returns probabilities, non-negative and of sum 1, where logits "
                    "are expected: losses and metrics apply softmax themselves, so leave it out"
                )
                yield arm.model.title, ("probabilities", found)
            if not is_own(loss.factory) and (text := _coupling(bound, splits.train.y[samples].cpu())):
                yield arm.loss.title, ("batch-loss", f"it ({place_of(loss.factory)}) {text}")
        except (Exception, SystemExit):  # its trials fail, and tell
            return


def _is_without_order(arm: Arm, names: Sequence[str]) -> bool:
    """Whether a dataset whose classes may be given in order has them as text, sorted."""
    return arm.dataset.options.get("classes", ()) is None and any(number(name) is None for name in names)


def _gives_probabilities(arm: Arm, splits: Splits, num_outputs: int, rows: Tensor) -> bool:
    module = initial_model(arm, seed=0, shape=splits.shape, num_outputs=num_outputs).eval()
    outputs: Tensor = module(splits.train.x[rows].cpu())
    return num_outputs > 1 and bool((outputs >= 0).all()) and bool(((outputs.sum(-1) - 1).abs() < TOLERANCE).all())


def _coupling(loss: Loss, targets: Tensor) -> str | None:
    """How the one number that a loss gives for a batch differs from the mean over its samples; None if it does not."""
    logits = torch.randn(len(targets), loss.num_outputs)
    given = [each.cpu() for each in loss.given]

    def value(z: Tensor, t: Tensor) -> Tensor:
        return loss.function(z, t, *given, **loss.options)

    whole = value(logits, targets)
    if loss.draws or whole.dim():
        return None
    apart = torch.stack([value(logits[i : i + 1], targets[i : i + 1]) for i in range(len(targets))])
    if torch.allclose(whole, apart.mean(), TOLERANCE, TOLERANCE):
        return None
    if torch.allclose(whole, apart.sum(), TOLERANCE, TOLERANCE):
        return "returns the sum over the batch, so its steps are batch_size times those of a mean; return the mean"
    return (
        "returns a number that is not the mean over the samples of the batch; logit_grad_norm and stuck_share are of "
        "its value for each sample alone"
    )
