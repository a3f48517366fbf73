"""The terrain of a loss: its height over the margin of a sample, on which every sample is a marble.

For logits z and true class t the margin is m = z_t - logsumexp(other logits). It orders samples of any number of
classes on one line, since p_t = sigmoid(m). The other probabilities are (1 - p_t) q_i, where the shares q are the
softmax of the other logits. Their concentration s = sum_i q_i^2 lies between 1 / (C - 1), where the rest is shared out
evenly, and 1, where one class has all of it.

    cross-entropy                   height log(1 + e^-m)            pull 1 - p
    squared error, summed           height (1 - p)^2 (1 + s)        pull 2 p (1 - p)^2 (1 + s)
    focal                           height -(1 - p)^g log p         pull (1 - p)^g (1 - p - g p log p)

The pull is minus the slope of the height in m, at fixed shares. It is also minus the gradient on the true logit, since
dm/dz_t = 1 and the shares do not depend on z_t. This module needs no torch, and numpy only for arrays.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Floats = npt.NDArray[np.float64]

REDUCTIONS: Mapping[str, Callable[[int], float]] = {
    "sum": lambda K: 1.0,
    "mean": lambda K: 1 / K,
    "half": lambda K: 0.5,
}


@dataclass(frozen=True)
class Terrain:
    """A loss as a function of the margin, and where `is_band` of the concentration of the other classes too.

    `height` is the loss of a sample and `pull` the force on its margin, both by (margin, concentration).
    """

    loss: str
    height: Callable[[float, float], float]
    pull: Callable[[float, float], float]
    is_band: bool = False


def terrain_of(loss: str, num_classes: int, options: Mapping[str, Any] | None = None) -> Terrain | None:
    """The terrain of a registered loss, by its canonical name; None where its height is no function of the margin.

    Args:
        options: the loss's own; what is left out has its default, which changes nothing here.
    """
    chosen = dict(options or {})
    scale = REDUCTIONS[chosen.get("reduction", "sum")](chosen.get("outputs") or num_classes)
    if any(chosen.get(name) for name in ("label_smoothing", "logit_adjustment", "alpha", "pos_weight")):
        return None
    if chosen.get("temperature", 1.0) != 1:
        return None
    one_output = num_classes == 2 and chosen.get("outputs") == 1
    if loss == "cross_entropy" or (loss == "bce" and one_output):
        return _scaled(Terrain(loss, _cross_entropy, _cross_entropy_pull), scale if loss == "bce" else 1.0)
    if loss == "mse_softmax":
        return _scaled(Terrain(loss, _squared, _squared_pull, is_band=num_classes > 2), scale)
    if loss == "mse_sigmoid" and one_output:  # no other class has an output: s = 0
        return _scaled(Terrain(loss, lambda m, s: _squared(m, 0.0), lambda m, s: _squared_pull(m, 0.0)), scale)
    if loss == "focal":
        gamma = float(chosen.get("gamma", 2.0))
        return Terrain(loss, lambda m, s: _focal(m, gamma), lambda m, s: _focal_pull(m, gamma))
    return None


def concentrations(num_classes: int) -> tuple[float, float]:
    """The least and the greatest concentration of the other classes: the edges of a band."""
    return 1 / (num_classes - 1), 1.0


def marbles(logits: Floats, targets: npt.NDArray[np.integer[Any]]) -> tuple[Floats, Floats]:
    """The margin and the concentration of every sample.

    Args:
        logits: `[..., C]`; `[..., 1]` is the logit of class 1 against class 0.
        targets: `[...]`, class numbers from 0.

    Returns:
        Two arrays `[...]`.
    """
    import numpy as np

    z = np.asarray(logits, np.float64)
    if z.shape[-1] == 1:
        z = np.concatenate([np.zeros_like(z), z], -1)
    true = np.arange(z.shape[-1]) == np.asarray(targets)[..., None]
    others = np.where(true, -np.inf, z)
    top = others.max(-1, keepdims=True)
    shares = np.exp(others - top)
    total = shares.sum(-1)
    margin = np.where(true, z, 0.0).sum(-1) - (top[..., 0] + np.log(total))
    return margin, (shares**2).sum(-1) / total**2


def sigmoid(x: float) -> float:
    """1 / (1 + e^-x), exact to rounding in both tails."""
    if x >= 0:
        return 1 / (1 + math.exp(-x))
    small = math.exp(x)
    return small / (1 + small)


def softplus(x: float) -> float:
    """log(1 + e^x), exact to rounding in both tails."""
    return max(x, 0.0) + math.log1p(math.exp(-abs(x)))


def _scaled(terrain: Terrain, scale: float) -> Terrain:
    height, pull = terrain.height, terrain.pull
    if scale == 1:
        return terrain
    return Terrain(terrain.loss, lambda m, s: scale * height(m, s), lambda m, s: scale * pull(m, s), terrain.is_band)


def _cross_entropy(m: float, s: float) -> float:
    return softplus(-m)


def _cross_entropy_pull(m: float, s: float) -> float:
    return sigmoid(-m)


def _squared(m: float, s: float) -> float:
    return sigmoid(-m) ** 2 * (1 + s)


def _squared_pull(m: float, s: float) -> float:
    return 2 * sigmoid(m) * sigmoid(-m) ** 2 * (1 + s)


def _focal(m: float, gamma: float) -> float:
    return math.pow(sigmoid(-m), gamma) * softplus(-m)


def _focal_pull(m: float, gamma: float) -> float:
    p, rest = sigmoid(m), sigmoid(-m)
    return math.pow(rest, gamma) * (rest + gamma * p * softplus(-m))
