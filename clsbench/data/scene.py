"""Scenes and frames, for the page of a run: the few training samples that it shows, and how a network sees them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from clsbench.slices import spaced

if TYPE_CHECKING:
    from clsbench.data.splits import Splits

SAMPLES = 200  # shown of a dataset
SIDE = 60  # points of the window in each direction
ROOM = 0.1  # around the samples, as a share of their range
WIDEST = 28  # pixels of a thumbnail in each direction
MOST_FEATURES = 8  # of a sample that is not an image

Array = npt.NDArray[np.generic]


def places(num_samples: int) -> npt.NDArray[np.int64]:
    """The samples that are shown, evenly spaced over the training split: at most `SAMPLES`, always the same."""
    return np.array(spaced(num_samples, SAMPLES), np.int64)


def window(x: npt.NDArray[np.floating]) -> npt.NDArray[np.float64]:
    """`[2, SIDE]`: where the window of samples `x [N, 2]` has its points, by feature, in ascending order."""
    low, high = x.min(0).astype(np.float64), x.max(0).astype(np.float64)
    room = ROOM * np.where(high > low, high - low, 1.0)
    return np.stack([np.linspace(a, b, SIDE) for a, b in zip(low - room, high + room, strict=True)])


@dataclass(frozen=True)
class Scene:
    """The samples that are shown of a training split.

    Attributes:
        samples: `[n]`, their places in the split.
        targets: `[n]`.
        inputs: `[n, channels, height, width]`, the pixels of images in 256 shades, or `[n, features]`, the first
            features as the network sees them.
        axes: `[2, SIDE]`, the window if there are two features, else None.
    """

    samples: npt.NDArray[np.int64]
    targets: Array
    inputs: Array
    axes: npt.NDArray[np.float64] | None

    @classmethod
    def of(cls, splits: Splits) -> Scene:
        x, y = splits.train.x.cpu().numpy(), splits.train.y.cpu().numpy()
        shown = places(len(y))
        axes = window(x) if x.shape[1:] == (2,) else None
        return cls(shown, y[shown], _inputs(x[shown], splits), axes)

    def is_like(self, other: Scene) -> bool:
        """Whether both show the same samples."""
        return np.array_equal(self.targets, other.targets) and np.array_equal(self.inputs, other.inputs)


@dataclass(frozen=True)
class Frame:
    """One trial at one epoch. `arrays` has, by name, over the n samples that are shown:

    `losses [n]`, unweighted; `gradients [n]`, the norm of each loss's gradient on the logits; `weights []`, the norm
    of all weights; and of classes also `margins [n]`, the log-odds of the true class; `predicted [n]`;
    `confidence [n]`, the probability of the prediction; with two features `surface [SIDE, SIDE]`, see `shaded`
    of `training.frames`.
    What a loss cannot have is left out.
    """

    epoch: int
    arrays: Mapping[str, Array]


def _inputs(x: npt.NDArray[np.floating], splits: Splits) -> Array:
    if x.ndim != 4:
        return x.reshape(len(x), -1)[:, :MOST_FEATURES].astype(np.float32)
    step = -(-max(x.shape[2:]) // WIDEST)
    preparation = splits.preparation
    pixels = (x * preparation.scale + preparation.shift)[:, :3, ::step, ::step]
    full = preparation.full_scale or float(pixels.max(initial=0.0)) or 1.0
    return np.clip(np.rint(pixels / full * 255), 0, 255).astype(np.uint8)
