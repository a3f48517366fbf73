"""A trained network as a file of its own: torch.export, with the preparation of raw samples inside."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from clsbench.errors import RunError

if TYPE_CHECKING:
    from clsbench.data.dividing import Part
    from clsbench.data.preparation import Preparation
    from clsbench.losses.contract import Loss
    from clsbench.prediction import Predictor


class Exported(nn.Module):
    """Raw samples `[N, *shape]` to the probabilities of classes or labels, `[N, C]`, to values, or to logits `[N, K]`.

    A category is its number in the dataset's order; a missing value is NaN.
    """

    columns: Tensor
    category: Tensor
    is_category: Tensor
    fill: Tensor
    shift: Tensor
    scale: Tensor

    def __init__(self, module: nn.Module, loss: Loss, preparation: Preparation) -> None:
        super().__init__()
        self.module, self.loss = module, loss
        self.fills, self.encodes = preparation.fill is not None, bool(preparation.known)
        width = preparation.shape[0] if len(preparation.shape) == 1 else 0
        known = [preparation.known.get(place) for place in range(width)]
        values = [torch.zeros(1) if each is None else torch.from_numpy(each) for each in known]
        for name, tensor in {
            "columns": torch.repeat_interleave(torch.arange(width), torch.tensor([len(v) for v in values] or [0])),
            "category": torch.cat(values).double() if values else torch.zeros(0).double(),
            "is_category": torch.cat(
                [torch.full((len(v),), k is not None) for v, k in zip(values, known, strict=True)] or [torch.zeros(0)]
            ).bool(),
            "fill": torch.zeros(1) if preparation.fill is None else torch.from_numpy(preparation.fill),
            "shift": torch.from_numpy(preparation.shift),
            "scale": torch.from_numpy(preparation.scale),
        }.items():
            self.register_buffer(name, tensor)

    def forward(self, samples: Tensor) -> Tensor:
        """`[N, *shape]` to `[N, C]` or `[N, K]`."""
        x = samples.double()
        if self.fills:
            x = torch.where(x.isnan(), self.fill, x)
        if self.encodes:
            x = x[:, self.columns]
            x = torch.where(self.is_category, (x == self.category).double(), x)
        logits = self.module(((x - self.shift) / self.scale).float())
        return self.loss.problem.exported(self.loss.link, logits)


def exported(predictor: Predictor, samples: Tensor) -> bytes:
    """The content of a `.pt2` file, checked: it gives what the network gives on the samples.

    Args:
        predictor: the trained network.
        samples: raw ones, `[N, *shape]`, in the type that the file will take.

    Raises:
        RunError: the network cannot be exported, or the export gives something else.
    """
    module = Exported(predictor.module, predictor.loss, predictor.required_preparation()).eval().requires_grad_(False)
    batch = torch.export.Dim("batch", min=1)
    try:
        with torch.no_grad():
            program = torch.export.export(module, (samples[:2],), dynamic_shapes=({0: batch},))
        content = io.BytesIO()
        torch.export.save(program, content)
        content.seek(0)
        again = torch.export.load(content).module()
    except Exception as error:
        raise RunError(f"the network cannot be exported: {str(error).partition(chr(10))[0]}") from error
    with torch.no_grad():
        found = again(samples)
    wanted = predictor.outputs(samples.numpy())
    same = bool(
        torch.allclose(found.double(), wanted.double(), rtol=1e-4, atol=1e-6 * max(1.0, float(wanted.abs().max())))
    )
    if not same:
        raise RunError("the exported network gives other predictions than the run's; nothing was written")
    return content.getvalue()


def inputs_of(part: Part) -> Tensor:
    """Raw samples in the type that an exported network takes: images in float32, tables in float64."""
    x = torch.from_numpy(part.features[part.rows])
    return x.float() if x.dim() == 4 else x.double()
