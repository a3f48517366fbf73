"""Names of arms: a label, and the settings that tell it from others."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Collection, Mapping
from typing import Any


def named_by(label: str, swept: Mapping[str, Any]) -> str:
    """A label and the swept settings, by the last part of their dotted names; in full where two end alike."""
    short = short_keys(swept)
    parts = [f"{short[key]}={as_json(value)}" for key, value in sorted(swept.items(), key=lambda item: short[item[0]])]
    return " ".join([label, *parts])


def short_keys(keys: Collection[str]) -> dict[str, str]:
    """Dotted keys with the last part of each; in full where two end alike."""
    last = Counter(key.rpartition(".")[2] for key in keys)
    return {key: key if last[end] > 1 else end for key in keys for end in [key.rpartition(".")[2]]}


def as_json(value: Any) -> str:
    """A value as the names of arms have it."""
    return value if isinstance(value, str) else json.dumps(value)


def spanned(values: Collection[Any]) -> str:
    """`0.1 to 10` of numbers, `null or balanced` of others; a value that all are by itself."""
    distinct = list(dict.fromkeys(values))
    if len(distinct) > 1 and all(isinstance(value, int | float) for value in distinct):
        return f"{as_json(min(distinct))} to {as_json(max(distinct))}"
    return " or ".join(map(as_json, distinct))
