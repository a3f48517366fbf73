"""What other test samples would change of a verdict: the spread of a difference over the samples of the test set."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from clsbench.analysis.statistics import PairedDifference
from clsbench.results import Verdict
from clsbench.results.verdicts import BETTER, WORSE, OverTestSet

if TYPE_CHECKING:
    import numpy.typing as npt


@dataclass(frozen=True)
class SampleSpread:
    """The standard deviation (n - 1) over `n` test samples of the difference of two arms on a sample."""

    std: float
    n: int


# Of arm a, arm b and a metric; None where it is not known.
Spreads = Callable[[str, str, str], SampleSpread | None]


def unknown(a: str, b: str, metric: str) -> None:
    """The spread where nothing was measured by sample."""


def sample_spread(a: npt.NDArray[Any] | None, b: npt.NDArray[Any] | None) -> SampleSpread | None:
    """The spread of a - b, means over seeds on each test sample; None for fewer than two samples."""
    if a is None or b is None or len(a) < 2:
        return None
    return SampleSpread(float((a - b).std(ddof=1)), len(a))


def spreads_of(rows: Iterable[Verdict]) -> Spreads:
    """The spreads that verdicts were reached with."""
    known = {
        (frozenset((row["a"], row["b"])), row["metric"]): SampleSpread(row["test_set"]["std"], row["test_set"]["n"])
        for row in rows
        if row["test_set"] is not None
    }
    return lambda a, b, metric: known.get((frozenset((a, b)), metric))


def may_be_reversed(row: Verdict) -> bool:
    """Whether a verdict is better or worse over seeds, and over test samples its difference may be none."""
    found = row["test_set"]
    return row["verdict"] in (BETTER, WORSE) and found is not None and found["low"] <= 0 <= found["high"]


def over_test_set(difference: float, spread: SampleSpread | None, level: float) -> OverTestSet | None:
    """The interval of a difference over test samples instead of seeds, which misses with probability `level`.

    The samples are paired, as the bootstrap over test samples pairs them: each is drawn for both arms at once. What the
    bootstrap finds by drawing has a closed form for a mean of n differences, the standard error s / sqrt(n), and so the
    interval is that of seeds with samples in their place. It needs no draws, which at the corrected level of a large
    family would be very many, and comes out alike for any number of them, and after a resume.

    Source: Efron and Tibshirani 1993, An Introduction to the Bootstrap, sections 5.2 and 12.
    """
    if spread is None:
        return None
    low, high = PairedDifference(difference, spread.std, spread.n, None, None).interval(level) or (difference,) * 2
    return {"n": spread.n, "std": spread.std, "low": low, "high": high}
