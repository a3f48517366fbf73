"""The tensors that training sees: divided into splits, and prepared for a network."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from clsbench.data.description import described, findings
from clsbench.data.dividing import NOISE, TAIL, Part, divided, rng_for
from clsbench.data.preparation import Ints, Normalize, Preparation, fitted
from clsbench.data.raw import RawData
from clsbench.data.selection import long_tailed
from clsbench.errors import DataError
from clsbench.problems import NoiseKind, Problem
from clsbench.results import DatasetFacts, DataSummary

if TYPE_CHECKING:
    from clsbench.data.raw import Array


@dataclass(frozen=True)
class Tensors:
    """Samples and their targets: `x` [N, *shape], `y` [N] classes, numbered from 0, or [N, D].

    `samples` are these, or prepare them anew whenever they are asked for. `posterior` [N, C] is the true probability
    of each class, where it is known.
    """

    samples: torch.Tensor | Callable[[], torch.Tensor]
    y: torch.Tensor
    posterior: torch.Tensor | None = None

    def __len__(self) -> int:
        return len(self.y)

    @property
    def x(self) -> torch.Tensor:
        return self.samples if isinstance(self.samples, torch.Tensor) else self.samples()


def joined(splits: Sequence[Tensors | None]) -> Tensors | None:
    """Splits of equal size and shape with a leading axis of splits; a single one as it is, None for empty ones."""
    given = [each for each in splits if each is not None]
    if len(given) < 2:
        return given[0] if given else None
    posteriors = [each.posterior for each in given if each.posterior is not None]
    first = given[0].x
    x = first.new_empty(len(given), *first.shape)
    for place, each in enumerate(given):  # at most one copy besides the whole
        x[place] = each.x
    return Tensors(x, torch.stack([each.y for each in given]), torch.stack(posteriors) if posteriors else None)


@dataclass(frozen=True)
class Splits:
    """Training, validation and test data; `val` is None if there is no validation data.

    `preparation` made the samples of all three from raw ones. `held_out` counts the samples that are excluded because
    other seeds test them; `own_test` says that the test set comes with the data. `summary` says what was read,
    `findings` has the codes and texts of warnings about it, both if they were asked for.
    """

    train: Tensors
    val: Tensors | None
    test: Tensors
    preparation: Preparation
    problem: Problem
    held_out: int = 0
    own_test: bool = False
    summary: DataSummary | None = None
    findings: tuple[tuple[str, str], ...] = ()

    @property
    def shape(self) -> tuple[int, ...]:
        """That of a sample, as a network sees it."""
        return self.preparation.input_shape

    @cached_property
    def hashes(self) -> dict[str, str | None]:
        """The SHA-256 of each split, None for an empty one: of types, shapes and all values, on any device."""
        splits = {"train": self.train, "val": self.val, "test": self.test}
        return {name: None if tensors is None else hash_of(tensors) for name, tensors in splits.items()}

    @property
    def hash(self) -> str:
        """One SHA-256 for all splits."""
        return hashlib.sha256(repr(self.hashes).encode()).hexdigest()

    @property
    def train_counts(self) -> torch.Tensor | None:
        """`[C]`: the training samples of each class; None without classes."""
        # PyTorch's own count may use threads, after which this process could not be forked.
        counts = self.problem.class_counts(self.train.y.cpu().numpy())
        return None if counts is None else torch.from_numpy(counts).to(self.train.y.device)

    @property
    def num_bytes(self) -> int:
        """The size of all tensors."""
        parts = [part for part in (self.train, self.val, self.test) if part is not None]
        tensors = [each for part in parts for each in (part.x, part.y, part.posterior) if each is not None]
        return sum(tensor.numel() * tensor.element_size() for tensor in tensors)

    @property
    def facts(self) -> DatasetFacts:
        """The metadata of the splits, as plain values."""
        sizes: Any = {
            "shape": list(self.shape),
            **self.problem.facts,
            "train": len(self.train),
            "val": len(self.val) if self.val else 0,
            "test": len(self.test),
        }
        facts: DatasetFacts = sizes
        return facts


def _encoded(problem: Problem, labels: Array, rows: Ints) -> Array:
    """The labels of these rows as training sees them.

    Raises:
        DataError: one is not finite in their precision.
    """
    with np.errstate(over="ignore", invalid="ignore"):
        encoded = problem.encoded(labels)
    if not np.isfinite(encoded).all():
        place, column = (int(each) for each in np.argwhere(~np.isfinite(encoded))[0])
        raise DataError(
            f"{problem.noun} {problem.names[column]!r} is {labels[place, column]:g} in row {rows[place]}, which is "
            f"{encoded[place, column]:g} once standardised, in {encoded.dtype}; rescale it, or leave the row out"
        )
    return encoded


def hash_of(tensors: Tensors) -> str:
    """The SHA-256 of samples and their classes: of types, shapes and all values, on any device."""
    digest = hashlib.sha256()
    for tensor in (tensors.x, tensors.y):
        values = tensor.detach().cpu().contiguous().numpy()
        digest.update(f"{values.dtype.str} {values.shape} ".encode())
        digest.update(values.data)
    return digest.hexdigest()


def split(
    raw: RawData,
    *,
    val_fraction: float = 0.2,
    test_fraction: float | None = None,
    split_seed: int = 0,
    normalize: Normalize = "standard",
    label_noise: float = 0.0,
    label_noise_kind: NoiseKind = "symmetric",
    imbalance: float | None = None,
    limit: int | None = None,
    tested: Collection[bytes] = frozenset(),
    device: torch.device | str = "cpu",
    dtype: torch.dtype = torch.float32,
    described_as: str | None = None,
    resident: bool = True,
) -> Splits:
    """Divide and prepare a dataset.

    Args:
        raw, val_fraction, test_fraction, split_seed, limit, tested: see `divided`.
        normalize: see `fitted`.
        label_noise, label_noise_kind: fraction of the training labels that are made wrong, see `Problem.corrupted`.
        imbalance: see `long_tailed`; of the training split alone, None leaves it as it is.
        described_as: the dataset's name, to describe what was read; None leaves it out.
        resident: whether prepared samples are kept. Otherwise they are prepared once for their hashes, and then
            whenever they are asked for: many splits take the memory of the raw samples alone.

    Raises:
        DataError: as `divided`, `long_tailed` and `fitted`, or a prepared value is not finite.
    """
    parts, held_out = divided(raw, val_fraction, test_fraction, split_seed, limit, tested)
    if imbalance is not None:
        rng = rng_for(split_seed, TAIL)
        parts = replace(parts, train=long_tailed(parts.train, imbalance, raw.problem, rng))
    try:
        problem = raw.problem.fitted(parts.train.labels)
    except ValueError as error:
        raise DataError(str(error)) from error
    preparation = fitted(raw, parts.train.rows, normalize, problem.learned)

    def tensors(part: Part, labels: Array) -> Tensors:
        def prepared() -> torch.Tensor:
            x = preparation(part.features, part.rows, np.float64 if dtype == torch.float64 else np.float32)
            return torch.from_numpy(x).to(device, dtype)

        y = torch.from_numpy(_encoded(problem, labels, part.rows))
        true = raw.posterior_of(part.features[part.rows])
        posterior = None if true is None else torch.from_numpy(true).to(device)
        return Tensors(prepared() if resident else prepared, y.to(device), posterior)

    if label_noise and not problem.labelled:
        raise DataError(f"label noise is for labels, and this is {problem.kind}; leave it out")
    if label_noise and label_noise_kind == "pairwise" and not problem.exclusive:
        raise DataError(f"pairwise label noise is for samples of one class each, and this is {problem.kind}")
    # A stream of its own: changing the label noise leaves the split as it is.
    noisy = problem.corrupted(parts.train.labels, label_noise, label_noise_kind, rng_for(split_seed, NOISE))
    splits = Splits(
        train=tensors(parts.train, noisy),
        val=tensors(parts.val, parts.val.labels) if parts.val else None,
        test=tensors(parts.test, parts.test.labels),
        preparation=preparation,
        problem=problem,
        held_out=held_out,
        own_test=raw.test_labels is not None,
    )
    if not resident:
        splits.hash  # noqa: B018 - kept from now on, and no sample is found later that cannot be prepared
    if described_as is None:
        return splits
    summary = described(raw, problem, parts, described_as, splits.hash)
    return replace(splits, summary=summary, findings=tuple(findings(raw, parts, preparation)))
