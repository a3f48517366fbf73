"""Training's progress: on a terminal a bar with the time left and curves that grow, elsewhere a line now and then."""

import time
from collections.abc import Callable
from types import TracebackType
from typing import Protocol, Self

import rich.progress
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress import BarColumn, TaskProgressColumn, TextColumn, TimeRemainingColumn
from rich.table import Column
from rich.text import Text

from clsbench.config.plan import Plan
from clsbench.execution.events import (
    EpochDone,
    Event,
    GridExtended,
    Reading,
    RunResumed,
    Said,
    StackDone,
    StackStarted,
    TrialFailed,
    Warned,
)
from clsbench.report.document import Curves
from clsbench.report.growing import Growing
from clsbench.report.renderers.look import Look, letter_of, style_of
from clsbench.report.renderers.plots import draw_curves
from clsbench.report.text import count, duration, printable, setting_values

SECONDS_BETWEEN_LINES = 10.0
SECONDS_BETWEEN_FRAMES = 0.1
SECONDS_BEFORE_CURVES = 3.0  # a shorter run has its answer soon
SECONDS_BETWEEN_CURVES = 0.5
PLOT_HEIGHT, WIDEST_PLOT = 8, 100
LAST_HEIGHT = 5  # of the plot that stays: the answer comes below it
LEAST_HEIGHT = PLOT_HEIGHT + 5  # of a terminal with curves: the bar, a title, the axis and the cursor


class Progress:
    """Counts trial-epochs up to `total`; as a context manager, it leaves the terminal as it found it.

    Without a total there is no end in sight: it only says what is going on.
    """

    def __init__(self, console: Console, total: int | None = None, *, quiet: bool = False) -> None:
        self._console = console
        self._total = total
        self._done = 0
        self._quiet = quiet or console.quiet
        self._started = time.monotonic()
        self._shown = self._started
        self._bar = None if self._quiet or not _can_animate(console) else _bar(console)
        self._task = None if self._bar is None else self._bar.add_task("", total=total)
        # No thread redraws it: a worker forked beside one could inherit its lock for good.
        self._live = Live(console=console, auto_refresh=False, transient=True, vertical_overflow="crop")
        self._growing: Growing | None = None  # what is drawn under the bar
        self._grown = self._started

    def __enter__(self) -> Self:
        self._started = self._shown = time.monotonic()
        if self._bar is not None:
            self._live.update(self._bar)
            self._live.start()
            self._shown -= SECONDS_BETWEEN_FRAMES  # the first text is shown at once
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar is not None:
            if self._growing is not None and (found := self._growing.curves()) is not None:  # the last state stays
                self._live.transient = False
                self._live.update(_drawn(found, self._look, LAST_HEIGHT))
            self._live.stop()

    def advance(self, trial_epochs: int, text: str) -> None:
        """Count `trial_epochs` more as done; `text` says what is going on."""
        self._done += trial_epochs
        shown = printable(text, self._console.encoding)
        now = time.monotonic()
        if self._bar is not None and self._task is not None:
            self._bar.update(self._task, advance=trial_epochs, description=shown)
            if now - self._shown >= SECONDS_BETWEEN_FRAMES or self._done == self._total:
                self._shown = now
                self._live.refresh()
        elif not self._quiet and now - self._shown >= SECONDS_BETWEEN_LINES:
            self._shown = now
            # Not through rich's wrapping: one report is one line of a log.
            line = line_of(self._done, self._total, now - self._started, shown)
            self._console.print(Text(line), soft_wrap=True)

    def expect(self, trial_epochs: int) -> None:
        """There are so many more to do than the total says."""
        self._total = None if self._total is None else self._total + trial_epochs
        if self._bar is not None and self._task is not None:
            self._bar.update(self._task, total=self._total)

    def grow(self, growing: Growing) -> None:
        """Show the curves under the bar, once a run has lasted some seconds, where the terminal has the room."""
        now = time.monotonic()
        is_due = now - self._started >= SECONDS_BEFORE_CURVES and now - self._grown >= SECONDS_BETWEEN_CURVES
        if self._bar is None or not is_due or self._look.narrow or self._console.height < LEAST_HEIGHT:
            return
        if (found := growing.curves()) is not None:
            self._growing, self._grown = growing, now
            self._live.update(Group(self._bar, _drawn(found, self._look, PLOT_HEIGHT)))

    @property
    def _look(self) -> Look:
        return Look(self._console.width, self._console.encoding)

    def say(self, text: str) -> None:
        """Print a message once, above the bar."""
        if not self._quiet:
            self.warn(text)

    def warn(self, text: str) -> None:
        """Print a warning, also with `-q`."""
        self._console.print(Text(printable(text, self._console.encoding)), soft_wrap=True)


def line_of(done: int, total: int | None, seconds: float, text: str) -> str:
    """`45% of 200 trial-epochs, 3.1 s left: cross_entropy`."""
    if total is None:
        return text
    share = done / max(total, 1)
    left = f", {duration(seconds * (1 - share) / share)} left" if 0 < share < 1 else ""
    return f"{share:4.0%} of {total} trial-epochs{left}: {text}"


class Shows(Protocol):
    """What shows progress: a bar, lines or the output of a notebook's cell."""

    def advance(self, trial_epochs: int, text: str) -> None: ...
    def expect(self, trial_epochs: int) -> None: ...
    def grow(self, growing: Growing) -> None: ...
    def say(self, text: str) -> None: ...
    def warn(self, text: str) -> None: ...


def _can_animate(console: Console) -> bool:
    """A real terminal that can move its cursor; FORCE_COLOR makes rich call a pipe a terminal, which it is not."""
    return console.is_terminal and not console.is_dumb_terminal and console.file.isatty()


def _bar(console: Console) -> rich.progress.Progress:
    return rich.progress.Progress(
        BarColumn(bar_width=24),
        TaskProgressColumn(),
        TimeRemainingColumn(compact=True),
        TextColumn("{task.description}", markup=False, table_column=Column(no_wrap=True, overflow="crop")),
        console=console,
        auto_refresh=False,
    )


def _drawn(curves: Curves, look: Look, height: int) -> RenderableType:
    """A title with the name of each line, and the plot."""
    title = Text(f"{curves.title}:", no_wrap=True, overflow="crop")
    for line in curves.series:
        title.append(f"  {letter_of(line.arm)} {look.words(line.arm.name)}", style_of(line.arm))
    return Group(title, *draw_curves(curves, look, width=min(look.width, WIDEST_PLOT), height=height))


def watcher(progress: Shows) -> Callable[[Plan, Event], None]:
    """A function that reports a run's events to `progress`: trials that end early count as done."""
    left: dict[int, int] = {}
    growing = Growing()

    def watch(plan: Plan, event: Event) -> None:
        epochs = plan.experiment.train.epochs
        if isinstance(event, RunResumed):
            progress.say(f"resuming a run: {count(event.kept, 'trial-epoch')} kept")
            progress.advance(event.done, "")
        elif isinstance(event, Warned):
            progress.warn(f"warning: {event.text}")
        elif isinstance(event, Said):
            progress.say(event.text)
        elif isinstance(event, GridExtended):
            progress.expect(event.trial_epochs)
            progress.say(f"tuning goes on beyond the edge of its grid: {setting_values(event.values)}")
        elif isinstance(event, Reading):
            progress.advance(0, event.text)
        elif isinstance(event, StackStarted):
            ahead = epochs - event.epoch
            progress.advance(sum(left.get(trial, ahead) - ahead for trial in event.trials), "")
            left.update(dict.fromkeys(event.trials, ahead))
        elif isinstance(event, EpochDone):
            growing.add(plan, event)
            progress.grow(growing)
            for trial in event.batches:
                left[trial] -= 1
            progress.advance(len(event.batches), plan.trials[event.records[0]["trial"]].arm.name)
        elif isinstance(event, StackDone):
            progress.advance(sum(left.pop(trial) for trial in event.checkpoint.trials), "")
        elif isinstance(event, TrialFailed):
            progress.advance(left.pop(event.trial, epochs), "")

    return watch
