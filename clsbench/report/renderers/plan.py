"""What a run would train, before it does: its arms, its trials, and about what they take."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich.console import Console
from rich.text import Text

from clsbench.config.estimate import estimate
from clsbench.config.grid import settings_for
from clsbench.report.renderers.listing import columns, print_folded
from clsbench.report.text import (
    PROTOCOLS,
    count,
    count_of_each,
    duration,
    in_bytes,
    printable,
    tuning_seeds,
    warm_start_of,
)

if TYPE_CHECKING:
    from clsbench.config.arms import Arm
    from clsbench.config.plan import Plan
    from clsbench.results import WarmStart

MOST_COMPARISONS = 6  # each with its arms; of more, the arms are listed once
MOST_ROWS = 20


def show_plan(console: Console, plans: Sequence[Plan]) -> None:
    """The plans of a run: that of tuning, if there is one, and its own."""
    *tuning, plan = plans
    train, stacks = plan.experiment.train, count(len(plan.stacks()), "stack")
    if any(plan.state_bytes(arm) is None for arm in plan.arms):
        stacks += " or more"
    print_folded(
        console,
        f"{plan.experiment.name}: {count(len(plan.trials), 'trial')} = {count(len(plan.arms), 'arm')} x "
        f"{count(train.num_seeds, 'seed')}, {count(train.epochs, 'epoch')} each, in {stacks}",
        bold=True,
    )
    if tune := plan.experiment.tune:
        of_each = count_of_each([len(settings_for(plan.experiment, arm.loss)) for arm in plan.arms], "setting")
        print_folded(
            console,
            f"before them {count(len(tuning[0].trials), 'trial')} of tuning = {count(len(plan.arms), 'arm')} x "
            f"{of_each} x {tuning_seeds(tune.seeds, train.num_seeds if tune.is_per_seed else None)}, judged by "
            f"{tune.metric}; {tune.protocol}: {PROTOCOLS[tune.protocol]}",
        )
        if tune.extend:
            most = (tune.most_times - 1) * len(tuning[0].trials)
            print_folded(
                console,
                f"where a best value lies on an edge of the grid, all arms try values beyond it: up to "
                f"{count(most, 'more trial')}",
            )
    if (stop := plan.experiment.stop) is not None:
        patience = count(stop.patience, "epoch")
        print_folded(console, f"a trial stops where {stop.metric} has not been better for {patience}")
    if (warm := train.warm_start) is not None:
        asked: WarmStart = {"labels": warm.labels, "epochs": warm.epochs, "lr": warm.lr}
        print_folded(console, f"every trial starts from {warm_start_of(asked)}")
    print_folded(console, _taken(plans))
    comparisons = plan.comparisons
    if len(comparisons) > MOST_COMPARISONS:
        _show_grounds(console, plan)
        _show_arms(console, comparisons[0], alike=True)
        return
    for together in comparisons:
        _show_ground(console, plan, together)
        _show_arms(console, together, alike=False)


def _taken(plans: Sequence[Plan]) -> str:
    """`about 12 min of training on one core, 610 MB of memory, 80 MB of disk`; up to so much with a grid that grows."""
    *tuning, plan = plans
    tune = plan.experiment.tune
    found = estimate(plans)
    longest = found if tune is None else estimate([*tuning * tune.most_times, plan])
    named = ", ".join(found.unknown)
    if found.unknown and not found.seconds:
        return f"time, memory and disk are known when data and models are opened: {named}"
    beside = f" (without {named}, whose size is not known yet)" if found.unknown else ""
    seconds, disk = duration(found.seconds), in_bytes(found.disk)
    if longest != found:
        seconds, disk = f"{seconds} to {duration(longest.seconds)}", f"{disk} to {in_bytes(longest.disk)}"
    return f"about {seconds} of training on one core, {in_bytes(found.memory)} of memory, {disk} of disk{beside}"


def _show_ground(console: Console, plan: Plan, together: Sequence[Arm]) -> None:
    first = together[0]
    init = f"{first.model.init.weights} x {first.scale:g}"
    ground = f"dataset {first.dataset.title}, model {first.model.title} (init {init}), batch size {first.batch_size}"
    sizes = [plan.state_bytes(arm) for arm in together]
    kept = "known when it is trained" if None in sizes else in_bytes(max(filter(None, sizes)))
    print_folded(console, f"\n{ground}")
    print_folded(console, f"weights, gradients and optimizer state of a trial: {kept}")


def _show_grounds(console: Console, plan: Plan) -> None:
    """The comparisons by what they differ in, without a line for each."""
    firsts = [arms[0] for arms in plan.comparisons]
    parts = {
        "dataset": dict.fromkeys(arm.dataset.title for arm in firsts),
        "model": dict.fromkeys(arm.model.title for arm in firsts),
        "scale of init": dict.fromkeys(f"{arm.scale:g}" for arm in firsts),
        "batch size": dict.fromkeys(str(arm.batch_size) for arm in firsts),
    }
    print_folded(console, f"\n{count(len(firsts), 'comparison')} of the same arms:")
    for name, values in parts.items():
        many = count(len(values), name) if len(values) > 1 else name
        print_folded(console, f"{many}: {', '.join(values)}")


def _show_arms(console: Console, arms: Sequence[Arm], *, alike: bool) -> None:
    """A line for each arm; `alike`: by the name that it has in every comparison."""
    table = columns()
    for arm in arms[:MOST_ROWS]:
        name = arm.alike if alike else arm.name
        table.add_row(Text(f"  {printable(name, console.encoding)}"), Text(arm.setting))
    console.print(table)
    if (more := len(arms) - MOST_ROWS) > 0:
        print_folded(console, f"  and {count(more, 'more arm')}")
