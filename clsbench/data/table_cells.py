"""What the cells of a table mean: numbers, marks of missing values, truth values, names."""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Collection, Iterable, Sequence

# pandas' list, and the question mark of the UCI repository.
MISSING = frozenset(
    (
        *("", "?", "NA", "N/A", "n/a", "<NA>", "#N/A", "#N/A N/A", "#NA", "NaN", "nan", "NAN", "-NaN", "-nan"),
        *("NULL", "Null", "null", "None", "NONE", "1.#IND", "-1.#IND", "1.#QNAN", "-1.#QNAN"),
    )
)
TRUTH = {"true": 1.0, "false": 0.0}
# A word among numbers is a category of its own if it occurs so often in a column of few values, as in 0, 1, 2, 3+.
FEW_VALUES, OFTEN = 20, 5


def number(text: str, decimal: str = ".") -> float | None:
    """The number that a cell holds, None if it holds none."""
    # Python reads 1_000 as a number; in a table it is more likely an identifier.
    if "_" in text:
        return None
    if decimal == ",":
        if "." in text:
            return None
        text = text.replace(",", ".")
    try:
        value = float(text)
    except ValueError:
        return None
    return None if math.isnan(value) else value


def is_missing(text: str, names: Collection[str] = ()) -> bool:
    """Whether a cell holds a usual mark of a missing value; `names` are none."""
    bare = text.strip()
    return bare in MISSING and bare not in names


def truth_values(values: Iterable[str]) -> dict[str, float] | None:
    """0 or 1 for each of these cells, None if they are not all true or false."""
    found = {text: TRUTH.get(text.strip().lower(), -1.0) for text in values}
    return None if -1.0 in found.values() else found


def is_mixed(numbers: Collection[str], counts: dict[str, int]) -> bool:
    """Whether cells that are no numbers are a fault of a column of numbers, rather than categories."""
    words = [text for text in counts if text not in numbers]
    if not numbers or not words:
        return False
    return len(counts) > FEW_VALUES or any(counts[text] < OFTEN for text in words)


def in_order(names: Iterable[str]) -> list[str]:
    """Names by their value if all are numbers, else as text."""
    every = list(names)
    values = {name: number(name) for name in every}
    if all(value is not None for value in values.values()):
        return sorted(every, key=lambda name: (values[name], name))
    return sorted(every)


def visible(text: str) -> str:
    """A name without what nobody sees: surrounding blanks, characters of no width, forms of composition."""
    normal = unicodedata.normalize("NFKC", text)
    return "".join(char for char in normal if unicodedata.category(char) not in ("Cf", "Cc")).strip()


def alike(names: Sequence[str], *, case: bool) -> tuple[str, str] | None:
    """Two names that look the same, or differ only by `case`; None if there are none."""
    seen: dict[str, str] = {}
    for name in names:
        key = visible(name).casefold() if case else visible(name)
        if key in seen:
            return seen[key], name
        seen[key] = name
    return None
