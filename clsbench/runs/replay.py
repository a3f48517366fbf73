"""`replay.npz`: the frames of some trials of a run, and the training samples that they show, for `report.html`.

Arrays are named `trial-NUMBER/NAME`, with a row for each frame, whose epochs are `trial-NUMBER/epochs`; and
`data-PLACE/NAME`, those of a `Scene`, by the place of the dataset in the summary. See `Frame` and `Scene`.
"""

from __future__ import annotations

import io
import zipfile
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields

import numpy as np
import numpy.typing as npt

from clsbench.data.scene import Frame, Scene

Array = npt.NDArray[np.generic]
Arrays = Mapping[str, Array]
EPOCHS = "epochs"


@dataclass(frozen=True)
class Replay:
    """The arrays of each trial by its number, a row for each frame; and the scene of each dataset by its label."""

    trials: Mapping[int, Arrays]
    scenes: Mapping[str, Scene]


def packed(frames: Sequence[Frame]) -> bytes:
    """The frames of one trial, at least one, in the order of their epochs."""
    return _written(_stacked(frames))


def unpacked(content: bytes) -> list[Frame]:
    """The frames of one trial.

    Raises:
        ValueError: the content is not what `packed` gave.
    """
    arrays = _read(content)
    epochs = arrays.pop(EPOCHS, np.zeros(0))
    if any(len(array) != len(epochs) for array in arrays.values()):
        raise ValueError("frames with different numbers of epochs")
    return [Frame(int(epoch), {name: of[row] for name, of in arrays.items()}) for row, epoch in enumerate(epochs)]


def as_npz(frames: Mapping[int, Sequence[Frame]], scenes: Mapping[str, Scene], titles: Sequence[str]) -> bytes:
    """`replay.npz`. `titles` are the labels of the datasets in the order of the summary."""
    arrays: dict[str, Array] = {}
    for number in sorted(frames):
        arrays |= {f"trial-{number}/{name}": array for name, array in _stacked(frames[number]).items()}
    for title, scene in scenes.items():
        own = {field.name: getattr(scene, field.name) for field in fields(scene)}
        arrays |= {f"data-{titles.index(title)}/{name}": of for name, of in own.items() if of is not None}
    return _written(arrays)


def replay_of(content: bytes, titles: Sequence[str]) -> Replay:
    """The content of `replay.npz`.

    Raises:
        ValueError: it is damaged.
    """
    trials: dict[int, dict[str, Array]] = {}
    parts: dict[str, dict[str, Array]] = {}
    for path, array in _read(content).items():
        owner, _, name = path.partition("/")
        kind, _, number = owner.partition("-")
        if kind == "trial":
            trials.setdefault(int(number), {})[name] = array
        else:
            parts.setdefault(titles[int(number)], {})[name] = array
    if any(len(of) != len(each[EPOCHS]) for each in trials.values() for of in each.values()):
        raise ValueError("frames with different numbers of epochs")
    try:
        scenes = {title: Scene(**{"axes": None, **of}) for title, of in parts.items()}  # type: ignore[arg-type]
    except TypeError as error:
        raise ValueError(str(error)) from error
    return Replay(trials, scenes)


def _stacked(frames: Sequence[Frame]) -> dict[str, Array]:
    ordered = sorted(frames, key=lambda frame: frame.epoch)
    stacked = {name: np.stack([frame.arrays[name] for frame in ordered]) for name in ordered[0].arrays}
    return {EPOCHS: np.array([frame.epoch for frame in ordered], np.int32), **stacked}


def _written(arrays: Arrays) -> bytes:
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **arrays)  # type: ignore[arg-type]
    return buffer.getvalue()


def _read(content: bytes) -> dict[str, Array]:
    try:
        with np.load(io.BytesIO(content), allow_pickle=False) as archive:
            return {name: archive[name] for name in archive.files}
    except (OSError, EOFError, KeyError, zipfile.BadZipFile, zlib.error, RuntimeError) as error:
        # RuntimeError: a damaged entry counts as encrypted, or as compressed in a way that zipfile does not know.
        raise ValueError(str(error)) from error
