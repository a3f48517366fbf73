"""Names in expectations that a run will not have: arms, metrics, classes, epochs; and the baseline of verdicts."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence

from clsbench.config.expectations import BEST, DIVERGED, VAL_BEST, Expectation, Measure, VerdictOn, parse
from clsbench.config.plan import Plan
from clsbench.config.wording import Mistake
from clsbench.config.yaml_text import Path, shown
from clsbench.metrics.measures import by_class, judged, measured, parts_of
from clsbench.problems import Problem
from clsbench.registry import Better, suggestion
from clsbench.results.verdicts import FAILURES


def name_mistakes(found: Mapping[Path, Expectation], plan: Plan) -> Iterator[Mistake]:
    """The names in the expectations that the run of `plan` will not have."""
    comparisons = [[arm.name for arm in arms] for arms in plan.comparisons]
    fields = {name: each for kind in _kinds(plan) for name, each in measured(kind).items()}
    metrics = {**{name: each.better for name, each in fields.items()}, "seconds": None}
    for path, expectation in found.items():
        for mistake in check_names(expectation, comparisons, metrics, plan.experiment.train.epochs):
            yield path, mistake
        yield from ((path, mistake) for mistake in _unvalidated(expectation, plan))


def _unvalidated(expectation: Expectation, plan: Plan) -> Iterator[str]:
    """The arms whose epoch no validation data can choose."""
    datasets = {arm.name: arm.dataset for arm in plan.arms}
    for side in (expectation.left, expectation.right):
        if not isinstance(side, Measure) or side.epoch != VAL_BEST or side.arm not in datasets:
            continue
        if not datasets[side.arm].val_fraction:
            yield f"{side.arm} has no validation data for @{VAL_BEST}; give dataset.val_fraction above 0"


def baseline_mistakes(plan: Plan) -> Iterator[Mistake]:
    """The baseline of verdicts that is neither an arm nor a loss of the plan."""
    baseline = plan.experiment.verdict.baseline
    known = list(dict.fromkeys(name for arm in plan.arms for name in (arm.name, arm.loss.title)))
    if baseline is not None:
        yield from ((("verdict", "baseline"), text) for text in _unknown("arm or loss", baseline, known))


def _kinds(plan: Plan) -> list[type[Problem] | None]:
    """The kinds of problems that the data of a plan pose; of any kind where one is not known before it is opened."""
    kinds = dict.fromkeys(arm.dataset.posed.kind for arm in plan.arms)
    return [None] if None in kinds else list(kinds)


def unknown_classes(plan: Plan) -> Iterator[str]:
    """The classes in the expectations of a plan that its data, which are open, do not have."""
    problems = {trial.arm.name: plan.posed[trial.data_key].problem for trial in plan.trials}
    for text in plan.experiment.expect:
        expectation = parse(text)
        for side in (expectation.left, expectation.right):
            _, of_class = parts_of(side.metric) if isinstance(side, Measure) else ("", None)
            if of_class is None or not isinstance(side, Measure) or (problem := problems[side.arm]) is None:
                continue
            if (reason := problem.unknown(of_class)) is not None:
                yield f"expect: {text}: {reason}"


def check_names(
    expectation: Expectation,
    comparisons: Sequence[Collection[str]],
    metrics: Mapping[str, Better | None],
    epochs: int,
) -> list[str]:
    """The names in an expectation that the run will not have, each with the nearest known name.

    Args:
        expectation: what `parse` returned.
        comparisons: the names of the arms, by comparison.
        metrics: the names of a record's metrics, each with the direction that is better.
        epochs: how many the run has.
    """
    found: list[str] = []
    for side in (expectation.left, expectation.right):
        if isinstance(side, Measure):
            found += _measure_mistakes(side, comparisons, metrics, epochs)
        elif isinstance(side, VerdictOn):
            found += _verdict_mistakes(side, comparisons, [name for name in judged() if name in metrics])
    return list(dict.fromkeys(found))


def _measure_mistakes(
    side: Measure, comparisons: Sequence[Collection[str]], metrics: Mapping[str, Better | None], epochs: int
) -> Iterator[str]:
    yield from _unknown("arm", side.arm, [arm for arms in comparisons for arm in arms])
    metric, of_class = parts_of(side.metric)
    yield from _unknown("metric", metric, [*metrics, DIVERGED])
    if metric not in (*metrics, DIVERGED):
        return
    if metric in by_class() and of_class is None:
        yield f"{metric} has a number for each class; name one: {metric}[CLASS]"
    elif of_class is not None and metric not in by_class():
        yield f"{metric} is one number, not one for each class; leave out {shown(side.metric.removeprefix(metric))}"
    if side.epoch is None:
        return
    if side.metric == DIVERGED:
        yield f"{DIVERGED} is counted over the whole run; leave out @{side.epoch}"
    elif side.epoch == BEST:
        if metrics[metric] is None:
            yield f"{side.metric} has no best: neither direction of it is better; name an epoch"
    elif isinstance(side.epoch, int) and side.epoch > epochs:
        yield f"there is no epoch {side.epoch}; the last is {epochs}"


def _verdict_mistakes(
    side: VerdictOn, comparisons: Sequence[Collection[str]], metrics: Collection[str]
) -> Iterator[str]:
    arms = [arm for names in comparisons for arm in names]
    yield from _unknown("arm", side.a, arms)
    yield from _unknown("arm", side.b, arms)
    yield from _unknown("metric of a verdict", side.metric, [*metrics, FAILURES])
    if side.a == side.b:
        yield f"a verdict needs two arms, got {side.a!r} twice; name another"
    elif {side.a, side.b} <= set(arms) and not any({side.a, side.b} <= set(names) for names in comparisons):
        yield f"there is no verdict on {side.a!r} and {side.b!r}: they differ in dataset, model or batch size"


def _unknown(kind: str, name: str, known: Collection[str]) -> Iterator[str]:
    if name not in known:
        yield f"unknown {kind} {shown(name)}; {suggestion(name, known)}"
