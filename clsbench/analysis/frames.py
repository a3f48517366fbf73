"""What the frames of a trial say: how gradients are spread, and how many samples are confidently wrong."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from clsbench.analysis.terrain import Terrain, concentrations

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Array = npt.NDArray[np.generic]

CONFIDENT = 0.9  # the probability from which a wrong prediction counts as confident
QUANTILES = (0.1, 0.5, 0.9)
POINTS = 241  # of a terrain's table
LEAST, MOST = 8.0, 60.0  # margins that a terrain reaches at least and at most, in both directions
INSIDE = 0.99  # of the margins of all frames; the others are at the edge


@dataclass(frozen=True)
class TerrainTable:
    """A terrain at `POINTS` margins from -reach to reach: its least and greatest height, and its pull.

    The pull is that of two classes, where one class has all of the rest.
    """

    low: tuple[float, ...]
    high: tuple[float, ...]
    pull: tuple[float, ...]


def gradient_quantiles(frames: Mapping[str, Array]) -> list[list[float | None]]:
    """By quantile of `QUANTILES`, the norm of the gradient on the logits over the samples, for each frame."""
    import numpy as np

    return [_numbers(row) for row in np.quantile(frames["gradients"].astype(np.float64), QUANTILES, axis=1)]


def confidently_wrong(frames: Mapping[str, Array], targets: Array) -> list[float] | None:
    """The share of samples that are wrong with a probability of at least `CONFIDENT`; None without probabilities."""
    if "confidence" not in frames or "predicted" not in frames:
        return None
    wrong = frames["predicted"] != targets
    found: list[float] = (wrong & (frames["confidence"] >= CONFIDENT)).mean(1).tolist()  # type: ignore[operator]
    return found


def reach_of(margins: list[Array]) -> float:
    """How far to both sides terrains are shown, for the margins of several trials."""
    import numpy as np

    values = np.abs(np.concatenate([each.ravel() for each in margins]).astype(np.float64))
    values = values[np.isfinite(values)]
    reach = float(np.quantile(values, INSIDE)) if len(values) else LEAST
    return float(math.ceil(min(max(reach, LEAST), MOST)))


def table_of(terrain: Terrain, num_classes: int, reach: float) -> TerrainTable:
    """The terrain of a loss, to be drawn and to roll on."""
    even, one = concentrations(num_classes)
    margins = [reach * (2 * place / (POINTS - 1) - 1) for place in range(POINTS)]
    return TerrainTable(
        low=tuple(terrain.height(m, even if terrain.is_band else one) for m in margins),
        high=tuple(terrain.height(m, one) for m in margins),
        pull=tuple(terrain.pull(m, one) for m in margins),
    )


def _numbers(row: Any) -> list[float | None]:
    return [value if math.isfinite(value) else None for value in row.tolist()]
