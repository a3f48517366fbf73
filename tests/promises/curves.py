"""What trials record, compared byte by byte; data and models that the promises are asked of."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from clsbench.experiment import Result

Config = dict[str, Any]
Run = Callable[..., Result]
Curves = dict[tuple[Any, ...], list[str]]

MOONS: Config = {"name": "moons", "samples": 333}
TEN: Config = {"name": "blobs", "samples": 333, "classes": 10}
MLP: Config = {"name": "mlp", "hidden": [7]}
CNN: Config = {"name": "cnn", "channels": [4], "hidden": 16}


def as_text(record: dict[str, Any]) -> str:
    """A record without what depends on its neighbours by design."""
    return json.dumps({key: value for key, value in record.items() if key not in ("trial", "arm", "seconds")})


def curves(result: Result) -> Curves:
    """What every trial recorded, as text."""
    found: Curves = {}
    for record in result.records:
        found.setdefault((record["loss"], record["lr"], record["seed"]), []).append(as_text(record))
    assert len(found) == len({record["trial"] for record in result.records})  # the key tells the trials apart
    return found


def assert_part(part: Result, whole: Result) -> None:
    """Every trial of `part` recorded in `whole` the same bytes."""
    few, many = curves(part), curves(whole)
    assert few
    assert few == {key: many[key] for key in few}
