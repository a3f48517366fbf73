"""Names and numbers as a report shows them."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from decimal import Decimal
from typing import TYPE_CHECKING, TypeVar

from clsbench.text import printable as printable  # what the report shows goes through it

if TYPE_CHECKING:
    from clsbench.results import ArmSummary, Verdict, WarmStart

Item = TypeVar("Item")

MOST_NAMED = 5  # in a sentence; the summary has them all

# What each protocol of tuning compares.
PROTOCOLS = {
    "per_arm": "each loss at its own best setting",
    "shared": "one setting for all losses of a comparison, the best on average",
    "per_arm_per_seed": "each loss at its own best setting at each seed",
}


def percent(share: float) -> str:
    """`96.1%`: the digits of `number`, 0.961, so that both round alike."""
    return f"{Decimal(f'{share:.3f}'):.1%}"


def precision(value: float) -> str:
    size = abs(value)
    if 0 < size < 5e-4 or size >= 1e4:
        return ".1e"
    return ".1f" if size >= 100 else ".3f"


def number(value: float | None) -> str:
    """Three decimals, or a power of ten where those would show too little; `-` for no number."""
    return "-" if value is None else format(value, precision(value))


def setting_value(value: float | str | None) -> str:
    """Three digits, and 10000 rather than 1e+04; a word as it is."""
    if isinstance(value, str):
        return value
    return "null" if value is None else f"{float(f'{value:.3g}'):g}"


def size_of_setting(value: float | str | None) -> float:
    """By which the values of a key are in order."""
    return value if isinstance(value, int | float) else math.inf  # null, for `clip_norm`, bounds nothing


def setting_values(by_key: Mapping[str, Iterable[float | str | None]]) -> str:
    """`lr 0.01, 10; momentum 0.95`."""
    each = ((key, sorted(values, key=size_of_setting)) for key, values in by_key.items())
    return "; ".join(f"{key} {', '.join(map(setting_value, values))}" for key, values in each)


def in_bytes(size: int) -> str:
    """`14.6 kB`: three digits, in units of a thousand."""
    power = min(3, (len(str(size)) - 1) // 3)
    return f"{size / 1000**power:.3g} {('bytes', 'kB', 'MB', 'GB')[power]}"


def setting_of(arm: ArmSummary) -> str:
    """The setting of an arm: the loss, if it has another name, then reduction, weight and learning rate."""
    loss = [] if arm["loss"] in (arm["label"], f"{arm['label']}()") else [f"loss={arm['loss']}"]
    return ", ".join([*loss, *filter(None, [arm["setting"]])])


def warm_start_of(asked: WarmStart) -> str:
    """`30 epochs of cross-entropy on rotated labels, lr=1.0`."""
    labels = "rotated" if asked["labels"] == "rotated" else "the correct"
    return f"{count(asked['epochs'], 'epoch')} of cross-entropy on {labels} labels, lr={asked['lr']}"


def count(amount: int, noun: str, plural: str | None = None) -> str:
    return f"{amount} {noun if amount == 1 else plural or noun + 's'}"


def tuning_seeds(each: int, seeds: int | None = None) -> str:
    """`3 tuning seeds`, or `20 seeds x 3 tuning seeds` where each seed of the experiment is tuned by itself."""
    own = count(each, "tuning seed")
    return own if seeds is None else f"{count(seeds, 'seed')} x {own}"


def count_of_each(amounts: Collection[int], noun: str) -> str:
    """`3 settings`, or `2 to 3 settings` where they are not equal."""
    most = count(max(amounts), noun)
    return most if len({*amounts}) == 1 else f"{min(amounts)} to {most}"


def word_of(row: Verdict) -> str:
    """`better`, or `better, negligibly`."""
    return f"{row['verdict']}{', negligibly' if row['negligible'] else ''}"


def first_few(items: Sequence[Item], more: str) -> list[Item | str]:
    """The first items of many, then `12 more arms`, where `more` is `more arms`; of a few, all."""
    left = len(items) - MOST_NAMED
    return list(items) if left <= 1 else [*items[:MOST_NAMED], f"{left:,} {more}"]


def duration(seconds: float) -> str:
    """`0.4 s`, `12 s`, `3:05`, `1:02:07`."""
    if seconds < 60:
        return f"{seconds:.1f} s" if seconds < 10 else f"{seconds:.0f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def rounded(steps: float) -> str:
    """`about 60,600,000`: three digits of a number of steps."""
    return f"about {float(f'{steps:.3g}'):,.0f}"
