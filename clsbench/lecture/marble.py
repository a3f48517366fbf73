"""Act 1: one marble on two terrains, without torch."""

from __future__ import annotations

from dataclasses import dataclass

from clsbench.analysis.terrain import Terrain, terrain_of

LOGITS, TARGET, LR = (-10.0, 10.0, -1000.0), 0, 1.0
COUNTED = 2000  # steps taken one by one; what is left is integrated
PARTS = 2000  # of the integral, an even number


@dataclass(frozen=True)
class Roll:
    """Gradient descent on the logits of a sample, until the true class is the likeliest.

    `margins` holds the margin before each of the first steps. `steps` were counted, or integrated where not `counted`.
    """

    terrain: Terrain
    margins: tuple[float, ...]
    steps: float
    counted: bool

    def at(self, step: int) -> float:
        """The margin after so many steps; the last one known where the marble is home."""
        return self.margins[min(step, len(self.margins) - 1)]


def rolls() -> list[Roll]:
    """The lecture's sample under cross-entropy and squared error. The third class has probability 0: the margin is
    that of two classes."""
    found = [terrain_of(loss, len(LOGITS)) for loss in ("cross_entropy", "mse_softmax")]
    return [roll(terrain, LOGITS[TARGET] - LOGITS[1], LR) for terrain in found if terrain is not None]


def roll(terrain: Terrain, margin: float, lr: float) -> Roll:
    """Let a marble go at a margin below 0. Two classes share all probability.

    In a step the true logit rises by `lr` times the pull, and the other one falls by as much.
    """

    def stride(at: float) -> float:
        return 2 * lr * terrain.pull(at, 1.0)

    margins = [margin]
    while margins[-1] <= 0 and len(margins) <= COUNTED:
        margins.append(margins[-1] + stride(margins[-1]))
    if margins[-1] > 0:
        return Roll(terrain, tuple(margins), len(margins) - 1, counted=True)
    # The number of steps n over the margin m: dn/dm = 1 / stride, by Simpson's rule.
    width = -margins[-1] / PARTS
    weights = (1 if part in (0, PARTS) else 4 if part % 2 else 2 for part in range(PARTS + 1))
    rest = sum(weight / stride(margins[-1] + part * width) for part, weight in enumerate(weights)) * width / 3
    return Roll(terrain, tuple(margins), COUNTED + rest, counted=False)
