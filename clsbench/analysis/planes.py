"""Losses of trained networks over a plane of weights: through the start and the ends of two arms."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from clsbench.config.plan import Plan, Trial
from clsbench.errors import DataError
from clsbench.execution.process import training
from clsbench.execution.trained import trained_model
from clsbench.execution.warm_start import warm_start
from clsbench.execution.work import StackWork, Work
from clsbench.losses.contract import Loss
from clsbench.slices import spaced
from clsbench.training.evaluation import evaluate
from clsbench.training.measure import Measure
from clsbench.training.quantities import Quantities, Ruler
from clsbench.training.stack import Stack

State = Mapping[str, Tensor]
Hashes = Mapping[str, Mapping[str, Mapping[str, str | None]]]  # by dataset, split seed and split
SAMPLES = 1000  # of the training split, evenly spaced
LOW, HIGH = -0.5, 1.5  # of both coordinates: 0 is the start, 1 the end of an arm


@dataclass(frozen=True)
class WeightPlane:
    """The weights start + a (end of arm `across` - start) + b (end of arm `up` - start), a and b from LOW to HIGH.

    `heights` holds for each arm of the comparison its own mean loss, `[rows][columns]`: a grows along the columns, b
    falls along the rows; None where it is not finite. `at_ends` holds it at the start, at the end of `across` and at
    that of `up`. `samples` of the training split were measured.
    """

    dataset: str
    model: str
    seed: int
    across: str
    up: str
    samples: int
    heights: Mapping[str, list[list[float | None]]]
    at_ends: Mapping[str, tuple[float | None, ...]]


def weight_planes(
    plan: Plan, states: Mapping[int, State], hashes: Hashes, rows: int, columns: int
) -> Iterator[WeightPlane]:
    """A plane for each comparison that has two arms whose first trial of one seed has finished.

    The two are the first whose networks have as many outputs. The start is built again from the seed, and trained as
    `train.warm_start` says.

    Args:
        states: the final state dict of each finished trial.
        hashes: the hashes of the data of the run.

    Raises:
        DataError: the training samples are missing, or have changed since the run.
    """
    with training():
        work = Work(plan.experiment, plan, {}, torch.device("cpu"))
        for arms in plan.comparisons:
            names = {arm.name for arm in arms}
            first = [t for t in plan.trials if t.arm.name in names and t.seed == plan.trials[0].seed]
            members = [(trial, work.resolved([trial])) for trial in first if trial.number in states]
            fitting = [each for each in members if each[1].loss.num_outputs == members[0][1].loss.num_outputs]
            if len(fitting) >= 2:
                _require_same_data(*fitting[0], hashes)
                yield _plane(fitting, states, rows, columns)


def _plane(
    members: Sequence[tuple[Trial, StackWork]], states: Mapping[int, State], rows: int, columns: int
) -> WeightPlane:
    (one, work), (other, _) = members[:2]
    torch.set_num_threads(work.num_threads)
    start, ends = _start(one, work), [states[trial.number] for trial in (one, other)]
    across = torch.linspace(LOW, HIGH, columns, dtype=torch.float64).tolist()
    upwards = torch.linspace(HIGH, LOW, rows, dtype=torch.float64).tolist()
    places = [(0.0, 0.0), (1.0, 0.0), (0.0, 1.0), *((a, b) for b in upwards for a in across)]
    template = trained_model(one, work.shape, work.loss.num_outputs, start)
    parameters, modules = {name for name, _ in template.named_parameters()}, []
    for place in places:
        module = copy.deepcopy(template)
        module.load_state_dict(_between(start, ends, place, parameters))
        modules.append(module)
    stack = Stack(modules, stacked=work.stacked, device=work.device)
    stack.train(False)
    x, y = work.data.train
    shown = torch.tensor(spaced(len(y), SAMPLES))
    losses = {trial.arm.name: each.loss for trial, each in members}
    measures = [Measure(name, _sum_of(loss)) for name, loss in losses.items()]
    found = evaluate(stack, Ruler(work.loss, work.device), x[shown], y[shown], measures)
    return WeightPlane(
        dataset=one.arm.dataset.title,
        model=one.arm.model.title,
        seed=one.seed,
        across=one.arm.name,
        up=other.arm.name,
        samples=len(shown),
        heights={name: _numbers(values[3:].view(rows, columns)) for name, values in found.items()},
        at_ends={name: tuple(*_numbers(values[None, :3])) for name, values in found.items()},
    )


def _start(trial: Trial, work: StackWork) -> State:
    """The weights that a trial starts training from."""
    places = work.places_in_stack(1)
    stack = work.stack([trial] * len(places))
    warm_start(stack, [trial] * len(places), work)
    return stack.trial_state(0)


def _between(
    start: State, ends: Sequence[State], place: tuple[float, float], parameters: Collection[str]
) -> dict[str, Tensor]:
    """A state of the plane. Buffers, such as a running variance, stay within those of the three networks."""
    state = {}
    for name, tensor in start.items():
        if not tensor.is_floating_point():
            state[name] = tensor
            continue
        three = torch.stack([tensor, *(end[name] for end in ends)]).double()
        moved = three[0] + place[0] * (three[1] - three[0]) + place[1] * (three[2] - three[0])
        if name not in parameters:
            moved = moved.clamp(three.amin(0), three.amax(0))
        state[name] = moved.to(tensor.dtype)
    return state


def _numbers(values: Tensor) -> list[list[float | None]]:
    return [[value if math.isfinite(value) else None for value in row] for row in values.tolist()]


def _sum_of(loss: Loss) -> Callable[[Quantities], Tensor]:
    return lambda known: loss.of_samples(known.logits, known.targets).double().sum(-1)


def _require_same_data(trial: Trial, work: StackWork, hashes: Hashes) -> None:
    title, seed = trial.dataset.title, str(trial.dataset.split_seed)
    if hashes.get(title, {}).get(seed, {}).get("train") != work.splits_of(trial).hashes["train"]:
        raise DataError(f"dataset {title}: its training samples have changed since the run")
