"""The values of a report: numbers that are shown together, each type with the one way in which it is written."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

from clsbench.report.text import duration, number, precision
from clsbench.results import Statistic


@dataclass(frozen=True)
class MeanStd:
    """A mean and the standard deviation over seeds, None for a single seed: `0.953 ± 0.010`, at one precision."""

    mean: float
    std: float | None

    def __str__(self) -> str:
        return number(self.mean) if self.std is None else f"{number(self.mean)} ± {self.std:{precision(self.mean)}}"


@dataclass(frozen=True)
class MeanRange:
    """A mean with the minimum and maximum over seeds: `0.953 [0.941, 0.960]`."""

    mean: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{number(self.mean)} [{number(self.low)}, {number(self.high)}]"


@dataclass(frozen=True)
class Difference:
    """A signed difference with its interval, None where there is none: `+0.622 [+0.589, +0.655]`, at one precision."""

    value: float
    low: float | None
    high: float | None

    def __str__(self) -> str:
        if self.low is None or self.high is None:
            return f"{self.value:+{precision(self.value)}}"
        style = f"+{precision(max(map(abs, (self.value, self.low, self.high))))}"
        return f"{self.value:{style}} [{self.low:{style}}, {self.high:{style}}]"


@dataclass(frozen=True)
class HalfWidth:
    """How far an interval reaches to either side of its middle: `±0.033`."""

    value: float

    def __str__(self) -> str:
        return f"±{self.value:{precision(self.value)}}"


@dataclass(frozen=True)
class PValue:
    """A p-value: `0.042`, `<0.001`."""

    p: float

    def __str__(self) -> str:
        return "<0.001" if self.p < 0.001 else f"{self.p:.3f}"


@dataclass(frozen=True)
class Proportion:
    """A part of a whole number: `2 of 3`."""

    part: int
    whole: int

    def __str__(self) -> str:
        return f"{self.part} of {self.whole}"


@dataclass(frozen=True)
class Seconds:
    """A duration: `0.4 s`, `3:05`."""

    seconds: float

    def __str__(self) -> str:
        return duration(self.seconds)


@dataclass(frozen=True)
class EpochsToTarget:
    """The median epoch at which a target was reached: `7`, or `> 30` where it is later than the last epoch.

    `reached` of `n` seeds came there, which is shown where only some did.
    """

    median: float | None
    last_epoch: int
    reached: int
    n: int

    def __str__(self) -> str:
        median = f"> {self.last_epoch}" if self.median is None else f"{self.median:g}"
        return median if self.reached in (0, self.n) else f"{median} ({self.reached} of {self.n})"


@dataclass(frozen=True)
class Tried:
    """What tuning measured at a setting: the mean, or how many of `n` seeds diverged; `*` where it was chosen.

    Where each seed chose for itself, `times` is how many chose it: `*12`.
    """

    mean: float | None
    diverged: int
    n: int
    chosen: bool
    times: int | None = None

    def __str__(self) -> str:
        shown = f"{self.diverged}/{self.n} div." if self.diverged else number(self.mean)
        return shown + "*" * self.chosen + (str(self.times) if self.times else "")


Value: TypeAlias = MeanStd | MeanRange | Difference | HalfWidth | PValue | Proportion | Seconds | EpochsToTarget | Tried


def mean_std(metric: Statistic | None) -> MeanStd | None:
    """Mean and standard deviation of a metric of the summary; None where no seed has a number."""
    return None if metric is None or metric["mean"] is None else MeanStd(metric["mean"], metric["std"])


def mean_range(metric: Statistic | None) -> MeanRange | None:
    """Mean, minimum and maximum of a metric of the summary; None where no seed has a number."""
    values = [value for value in metric["values"] if value is not None] if metric else []
    if metric is None or metric["mean"] is None or not values:
        return None
    return MeanRange(metric["mean"], min(values), max(values))
