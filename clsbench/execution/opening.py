"""The device and the data of a run: config entries in, splits on the device out."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from types import MappingProxyType
from typing import Any

import numpy as np
import torch

from clsbench.config.entries import DatasetEntry, LossEntry
from clsbench.config.expected_names import unknown_classes
from clsbench.config.plan import Plan, Trial
from clsbench.config.reader import misfit
from clsbench.config.tuning import foreign, lacking
from clsbench.containment import contained
from clsbench.data.dividing import Part, divided, tested_samples
from clsbench.data.raw import RawData, as_kind, as_raw
from clsbench.data.selection import only
from clsbench.data.splits import Splits, split
from clsbench.data.targets import as_seen
from clsbench.errors import ClsbenchError, ConfigError, DataError
from clsbench.execution.failures import is_out_of_memory
from clsbench.problems import Posed
from clsbench.registry import catalogue
from clsbench.signatures import described, is_own, place_of


def device_for(asked: str) -> torch.device:
    """The device of `train.device`; `auto` is CUDA if there is a GPU.

    Raises:
        ConfigError: this machine has no such device.
    """
    if asked == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    device = torch.device(asked)
    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if device.type == "cuda" and (device.index or 0) >= count:
        there_is = f"this machine has {count}" if count else "this machine has none"
        raise ConfigError(f"train.device: no CUDA device {asked!r}: {there_is}; use auto or cpu")
    return device


def load_data(
    trials: Iterable[Trial],
    device: torch.device,
    spared: Sequence[int] = (),
    known: Mapping[str, Splits] = MappingProxyType({}),
) -> dict[str, Splits]:
    """Every dataset of the trials by its entry's key, split and on the device, once each; its first split is described.

    Args:
        spared: seeds of other trials. A dataset that is split `per_seed` is given without the samples that any of
            these seeds tests; generated data, which are different at every seed, lose none.
        known: what is loaded already.

    Raises:
        DataError: a dataset is missing or damaged, no samples are left, or its targets look like another problem than
            every loss is for.
        ConfigError: a model or a loss does not fit the opened dataset.
    """
    trials = list(trials)
    loaded = dict(known)
    seen: set[str] = set()
    tested: dict[str, set[bytes]] = {}
    opened = _Opened()
    for trial in trials:
        entry, whole = trial.dataset, trial.arm.dataset
        key = entry.key
        if key not in loaded:
            varies = whole.split_seed == "per_seed"
            if whole.key not in tested:
                tested[whole.key] = _tested(whole, spared if varies else (), opened)
            how = {"resident": not varies, "described_as": None if whole.key in seen else entry.name}
            loaded[key] = _load(entry, opened, device, tested[whole.key], len(spared), how)
            seen.add(whole.key)
        posed = posed_of(loaded[key])
        if entry.posed.kind is None:
            _require_meant(
                entry, posed, [each.arm.loss for each in trials if each.arm.dataset.key == whole.key], opened
            )
        for part in (trial.arm.model, trial.arm.loss):
            if (reason := misfit(entry.name, posed, part)) is not None:
                raise ConfigError(reason)
    return loaded


def require_known(plan: Plan) -> None:
    """Refuse classes and metrics in a config that its open data, the `posed` of the plan, do not have.

    Raises:
        ConfigError: with all of them.
    """
    opened = plan.posed.values()
    chosen_by = {"tune": plan.experiment.tune, "stop": plan.experiment.stop}
    found = [
        f"{section}.metric: {reason}"
        for section, asked in chosen_by.items()
        for each in opened
        if asked is not None and (reason := foreign(asked.metric, each.kind) or lacking(asked.metric, each))
    ]
    mistakes = [*unknown_classes(plan), *found]
    if mistakes:
        raise ConfigError(*dict.fromkeys(mistakes))


def test_samples(entry: DatasetEntry) -> Part:
    """The raw test samples of a trial's dataset.

    Raises:
        DataError: it is missing or damaged.
    """
    with _naming(entry):
        raw = _opened(entry)
        return divided(raw, **_drawing(entry, raw))[0].test


def posed_of(splits: Splits) -> Posed:
    """What is known about an opened dataset."""
    counts = splits.train_counts
    return Posed(
        splits.shape,
        splits.problem,
        own_test=splits.own_test,
        has_posterior=splits.test.posterior is not None,
        sizes=(len(splits.train), len(splits.val or ()), len(splits.test)),
        class_counts=None if counts is None else tuple(counts.tolist()),
    )


def _require_meant(entry: DatasetEntry, posed: Posed, losses: Sequence[LossEntry], opened: _Opened) -> None:
    """Refuse data whose kind of problem, found in their targets, none of the losses is for.

    A loss beside others that fit is a mistake of the config; where none fits, the user takes the data for others.
    """
    assert posed.problem is not None, "the data are open"
    kind, specs = posed.problem.kind, {loss.name: catalogue.get("loss", loss.name) for loss in losses}
    if any(kind in spec.problems for spec in specs.values()):
        return
    with _naming(entry):
        raw = opened(entry)
        of_splits = (raw.labels, raw.val_labels, raw.test_labels)
        seen, other = as_seen(raw.problem, np.concatenate([labels for labels in of_splits if labels is not None]))
        fitting = next(spec.name for spec in catalogue.losses() if kind in spec.problems)
        raise DataError(
            f"{seen}, so they are read as {kind}, and {' and '.join(specs)} "
            f"{'is' if len(specs) == 1 else 'are'} not for that; if that is meant, write dataset.problem={kind} "
            f"loss={fitting}, else {other}"
        )


def _load(
    entry: DatasetEntry,
    opened: _Opened,
    device: torch.device,
    tested: Collection[bytes],
    num_testing: int,
    how: Mapping[str, Any],
) -> Splits:
    with _naming(entry):
        raw = opened(entry)
        try:
            return split(
                raw,
                **_drawing(entry, raw),
                normalize=entry.normalize,
                label_noise=entry.label_noise,
                label_noise_kind=entry.label_noise_kind,
                imbalance=entry.imbalance,
                tested=tested,
                device=device,
                **how,
            )
        except DataError as error:
            if not tested:
                raise
            raise DataError(
                f"tuning leaves out what the {num_testing} seeds test, and too little remains: {error}; "
                "tune each seed inside its own split (tune.protocol=per_arm_per_seed), use fewer seeds, a smaller "
                "test_fraction, or a number as split_seed"
            ) from error


def _tested(entry: DatasetEntry, seeds: Iterable[int], opened: _Opened) -> set[bytes]:
    """Digests of all samples that any of the seeds tests."""
    found: set[bytes] = set()
    for seed in seeds:
        drawn = entry.model_copy(update={"split_seed": seed})
        with _naming(entry):
            raw = opened(drawn)
            found |= tested_samples(raw, **_drawing(drawn, raw))
    return found


class _Opened:
    """Opens datasets: one whose seed draws nothing once, however many splits of it are asked for."""

    def __init__(self) -> None:
        self._kept: dict[str, RawData] = {}

    def __call__(self, entry: DatasetEntry) -> RawData:
        if catalogue.get("dataset", entry.name).drawn:
            return _opened(entry)
        key = entry.model_copy(update={"split_seed": 0}).key
        if key not in self._kept:
            self._kept[key] = _opened(entry)
        return self._kept[key]


def _opened(entry: DatasetEntry) -> RawData:
    spec = catalogue.get("dataset", entry.name)
    factory, asked = spec.factory, entry.asked_problem
    try:
        with contained():
            given = (entry.split_seed, asked) if spec.takes_problem else (entry.split_seed,)
            raw = as_raw(factory(*given, **entry.options))
    except ClsbenchError:
        raise
    except (Exception, SystemExit) as error:
        if is_own(factory) or is_out_of_memory(error):
            raise
        raise DataError(f"{described(error)} ({place_of(factory, error)}); correct the function") from error
    kept = raw if entry.only_classes is None else only(raw, entry.only_classes)
    return kept if asked is None else as_kind(kept, asked)


def _drawing(entry: DatasetEntry, raw: RawData) -> dict[str, Any]:
    """The arguments of `split` that decide which sample is in which split."""
    assert isinstance(entry.split_seed, int), "a trial's dataset has its seed"
    return {
        "val_fraction": entry.val_fraction,
        "test_fraction": None if raw.test_labels is not None else entry.test_fraction,
        "split_seed": entry.split_seed,
        "limit": entry.limit,
    }


@contextmanager
def _naming(entry: DatasetEntry) -> Iterator[None]:
    """Errors inside this block name the dataset."""
    try:
        yield
    except DataError as error:
        raise DataError(f"dataset {entry.title}: {error}") from error
    except (MemoryError, OSError, RuntimeError) as error:
        if not is_out_of_memory(error):
            raise
        raise DataError(f"dataset {entry.title}: it does not fit into memory ({error}); use a smaller one") from error
