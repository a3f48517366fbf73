"""One sample of a trained run under each arm: plain data."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True)
class ArmSees:
    """How the network of an arm's trial sees a sample: its answer, its loss, its gradient.

    `probabilities`, `likelihood` (that of the target) and `log_odds` are None for a loss without probabilities; `norm`
    is that of the gradient of the arm's loss on the logits.
    """

    name: str
    trial: int
    logits: tuple[float, ...]
    prediction: str
    probabilities: tuple[float, ...] | None
    likelihood: float | None
    log_odds: float | None
    value: float
    gradient: tuple[float, ...]
    norm: float


@dataclass(frozen=True)
class SampleSeen:
    """A sample of the test split of a run, by its place there, and each arm that was tested on it."""

    run: str
    number: int
    target: str
    arms: tuple[ArmSees, ...]

    def to_dict(self) -> dict[str, Any]:
        """For `--json`."""
        return asdict(self)
