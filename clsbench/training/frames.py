"""Frames: how a network sees a few training samples between two epochs, kept for the page of a run."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from clsbench.data.scene import SIDE, Array, Frame, places, window
from clsbench.problems.encoding import at_target, one_hot
from clsbench.training.quantities import Quantities, Ruler
from clsbench.training.settings import Pair, StackData
from clsbench.training.stack import Stack

MOST_FRAMES = 40  # of a trial
SHADES = 256  # of a surface


def frame_epochs(epochs: int) -> frozenset[int]:
    """The epochs that have a frame: every one of at most `MOST_FRAMES`, else so many, denser at the start."""
    if epochs <= MOST_FRAMES:
        return frozenset(range(epochs + 1))
    return frozenset(round(epochs * (place / MOST_FRAMES) ** 2) for place in range(MOST_FRAMES + 1))


class Camera:
    """Takes the frames of a stack whose modules are in evaluation mode."""

    def __init__(self, stack: Stack, ruler: Ruler, data: StackData) -> None:
        self._stack, self._ruler, self._data = stack, ruler, data
        self._seen: dict[int | None, tuple[Pair, Tensor | None]] = {}

    def _views(self, trial: int) -> tuple[Pair, Tensor | None]:
        """The samples of a trial that are shown, and the points of its window if there is one."""
        place = None if self._data.places is None else int(self._data.places[trial])
        if place not in self._seen:
            x, y = self._data.train if place is None else (each[place] for each in self._data.train)
            rows = torch.from_numpy(places(len(y))).to(y.device)
            self._seen[place] = (x.index_select(0, rows), y.index_select(0, rows)), _grid(x)
        return self._seen[place]

    def take(self, trial: int, epoch: int) -> Frame:
        """The frame of one trial."""
        own = slice(trial, trial + 1)
        predict, ruler = self._stack.predictor(own), self._ruler.of(own)
        (x, y), points = self._views(trial)
        with torch.no_grad():
            known = Quantities(ruler, predict(x), y)
            grid = None if points is None else Quantities(ruler, predict(points), y)
        found: dict[str, Tensor] = {"losses": known.losses[0], "gradients": known.gradient_norms[0]}
        problem = self._ruler.loss.problem
        if problem.exclusive:
            found |= _of_classes(known)
            if grid is not None:
                found["surface"] = shaded(grid, len(problem.names))
        arrays: dict[str, Array] = {name: _small(tensor) for name, tensor in found.items()}
        weights = self._stack.weights[trial].detach().double().square().sum().sqrt()
        return Frame(epoch, {**arrays, "weights": np.array(weights.item())})


def _grid(x: Tensor) -> Tensor | None:
    """`[SIDE * SIDE, 2]`: the points of the window, row by row from the bottom; None unless there are two features."""
    if tuple(x.shape[1:]) != (2,):
        return None
    across, up = window(x.cpu().numpy())
    points = np.stack([np.tile(across, SIDE), np.repeat(up, SIDE)], 1)
    return torch.from_numpy(points).to(x.device, x.dtype)


def _of_classes(known: Quantities) -> dict[str, Tensor]:
    found = {"predicted": known.predictions[0]}
    if known.probabilities is not None:
        found["confidence"] = known.probabilities[0].amax(-1)
    scores = known.logits if known.log_probabilities is None else known.log_probabilities
    if scores.shape[-1] > 1:
        others = scores.masked_fill(one_hot(known.targets.expand(scores.shape[:-1]), scores).bool(), -torch.inf)
        found["margins"] = (at_target(scores, known.targets) - others.logsumexp(-1))[0]
    return found


def shaded(known: Quantities, num_classes: int) -> Tensor:
    """`[SIDE, SIDE]`: the prediction at each point, c, and its certainty from 0 (all classes equal) to 1.

    A shade is `c * L + round(certainty * (L - 1))` with `L = max(1, SHADES // num_classes)` shades for each class.
    """
    levels = max(1, SHADES // num_classes)
    predicted, probabilities = known.predictions[0], known.probabilities
    certainty = torch.ones_like(predicted, dtype=torch.float32)
    if probabilities is not None:
        certainty = ((probabilities[0].amax(-1) * num_classes - 1) / max(num_classes - 1, 1)).clamp(0, 1)
    shades = predicted * levels + (certainty.nan_to_num() * (levels - 1)).round().long()
    return shades.clamp(0, SHADES - 1).to(torch.uint8).view(SIDE, SIDE)


def _small(tensor: Tensor) -> Array:
    """On the CPU, in at most four bytes a number."""
    if tensor.is_floating_point():
        return tensor.detach().float().cpu().numpy().copy()
    return (tensor if tensor.dtype == torch.uint8 else tensor.to(torch.int32)).cpu().numpy().copy()
