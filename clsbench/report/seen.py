"""The pictures of a page: marbles on the terrains of their losses, decision surfaces, and the samples themselves."""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import isfinite
from typing import TYPE_CHECKING, Any

from clsbench.analysis.curves import Comparison
from clsbench.analysis.frames import confidently_wrong, gradient_quantiles, reach_of, table_of
from clsbench.analysis.terrain import terrain_of
from clsbench.config.arms import Arm
from clsbench.config.plan import Plan
from clsbench.slices import every

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from clsbench.data.scene import Scene
    from clsbench.runs.replay import Replay

    Array = npt.NDArray[np.generic]

MOST_BYTES = 2_000_000  # of all pictures of a page, compressed
STEPS = 32767  # of a margin or a loss, which are sent as whole numbers


@dataclass
class Pictures:
    """For each comparison what its charts draw, compressed arrays by name, and notes on what is missing."""

    charts: list[dict[str, Any]]
    blobs: dict[str, bytes] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Film:
    """The frames of some arms and what is known of these, both by the arms' names; and the scenes of the datasets."""

    arms: Mapping[str, Arm]
    frames: Mapping[str, Mapping[str, Array]]
    scenes: Mapping[str, Scene]

    @classmethod
    def of(cls, plan: Plan, replay: Replay | None) -> Film:
        """The frames that a run has kept."""
        trials, scenes = ({}, {}) if replay is None else (replay.trials, replay.scenes)
        frames = {plan.trials[number].arm.name: of for number, of in trials.items()}
        return cls({arm.name: arm for arm in plan.arms}, frames, scenes)


def pictures_of(shown: Sequence[Comparison], film: Film) -> Pictures:
    """The pictures of some comparisons.

    If all would be too large, every second frame is left out, or of four three, and so on.
    """
    if not film.frames:
        note = "This run kept no frames, so that no terrain is shown (report: {html: true} keeps them)."
        return Pictures([{} for _ in shown], notes=[note])
    stride = 1
    while True:
        found = _pictures(shown, film, stride)
        if sum(map(len, found.blobs.values())) <= MOST_BYTES or stride > 32:
            break
        stride *= 2
    if stride > 1:
        found.notes.append(f"One of {stride} kept frames is shown, so that the page stays small; replay.npz has all.")
    return found


def _pictures(shown: Sequence[Comparison], film: Film, stride: int) -> Pictures:
    found = Pictures([])
    for comparison in shown:
        names = [arm["name"] for arm in comparison.arms if arm["name"] in film.frames]
        scene = film.scenes.get(comparison.dataset)
        if not names or scene is None:
            found.charts.append({})
            continue
        frames = {name: _strided(film.frames[name], stride) for name in names}
        classes = [each["name"] for each in comparison.classes]
        found.charts.append(_of_comparison(comparison, scene, frames, classes, film, found.blobs))
        expected = max(len(each["epochs"]) for each in frames.values())
        short = [name for name, each in frames.items() if len(each["epochs"]) < expected]
        if short:
            found.notes.append(f"Fewer epochs were kept of {', '.join(short)}: it diverged, or its run was cut.")
    return found


def _of_comparison(
    comparison: Comparison,
    scene: Scene,
    frames: Mapping[str, Mapping[str, Array]],
    classes: Sequence[str],
    film: Film,
    blobs: dict[str, bytes],
) -> dict[str, Any]:
    numbers = {name: number for number, name in enumerate(film.frames)}
    margins = [each["margins"] for each in frames.values() if "margins" in each]
    reach = reach_of(margins) if margins else None
    return {
        "seed": comparison.arms[0]["seeds"][0],
        "reach": reach,
        "classes": list(classes),
        "scene": _scene(comparison.dataset, scene, blobs),
        "seen": {
            name: _arm(film.arms[name], each, scene, reach, len(classes), f"arm-{numbers[name]}", blobs)
            for name, each in frames.items()
        },
    }


def _scene(title: str, scene: Scene, blobs: dict[str, bytes]) -> dict[str, Any]:
    import numpy as np

    is_images = scene.inputs.ndim == 4
    known: dict[str, Any] = {
        "samples": scene.samples.tolist(),
        "targets": scene.targets.tolist(),
        "axes": None if scene.axes is None else [[float(axis[0]), float(axis[-1])] for axis in scene.axes],
    }
    if is_images:
        name = f"images of {title}"
        blobs[name] = _compressed(scene.inputs.astype(np.uint8))
        return {**known, "images": {"blob": name, "shape": list(scene.inputs.shape)}}
    return {**known, "features": [[float(f"{value:.4g}") for value in row] for row in scene.inputs.tolist()]}


def _arm(
    arm: Arm,
    frames: Mapping[str, Array],
    scene: Scene,
    reach: float | None,
    num_classes: int,
    name: str,
    blobs: dict[str, bytes],
) -> dict[str, Any]:
    known: dict[str, Any] = {
        "loss": arm.loss.title,
        "lr": arm.lr,
        "epochs": frames["epochs"].tolist(),
        "gradients": gradient_quantiles(frames),
        "weights": [float(f"{value:.5g}") if isfinite(value) else None for value in frames["weights"].tolist()],
        "wrong": confidently_wrong(frames, scene.targets),
    }
    if "margins" in frames and reach is not None:
        known |= {"marbles": _marbles(frames, reach, name, blobs), "terrain": _terrain(arm, num_classes, reach)}
    if "surface" in frames:
        blobs[f"{name} surface"] = _compressed(frames["surface"])
        known["surface"] = {"blob": f"{name} surface", "shape": list(frames["surface"].shape)}
    return known


def _marbles(frames: Mapping[str, Array], reach: float, name: str, blobs: dict[str, bytes]) -> dict[str, Any]:
    """Margins, losses, predictions and their confidence, one array after the other, of whole numbers in two bytes."""
    import numpy as np

    losses = np.nan_to_num(frames["losses"].astype(np.float64), posinf=0.0, neginf=0.0)
    top = float(np.abs(losses).max(initial=0.0)) or 1.0  # a loss of the user's may be negative
    confidence = frames.get("confidence")
    parts = [
        np.clip(np.nan_to_num(frames["margins"].astype(np.float64)) / reach, -1, 1) * STEPS,
        losses / top * STEPS,
        frames["predicted"],
        np.full(losses.shape, -1) if confidence is None else np.nan_to_num(confidence.astype(np.float64)) * STEPS,
    ]
    packed = np.stack([np.rint(part).astype("<i2") for part in parts])
    blobs[f"{name} marbles"] = _compressed(packed)
    return {"blob": f"{name} marbles", "shape": list(packed.shape), "top": top}


def _terrain(arm: Arm, num_classes: int, reach: float) -> dict[str, Any] | None:
    terrain = terrain_of(arm.loss.name, num_classes, arm.loss.options) if num_classes > 1 else None
    if terrain is None or arm.loss.class_weight is not None:
        return None
    table = table_of(terrain, num_classes, reach)
    short = {name: [float(f"{value:.5g}") for value in getattr(table, name)] for name in ("low", "high", "pull")}
    return {**short, "band": terrain.is_band}


def _strided(frames: Mapping[str, Array], stride: int) -> dict[str, Array]:
    """Every `stride`-th frame, and the last."""
    kept = every(len(frames["epochs"]), stride)
    return {name: of[kept] for name, of in frames.items()}


def _compressed(array: Array) -> bytes:
    return zlib.compress(array.tobytes(), 9)
