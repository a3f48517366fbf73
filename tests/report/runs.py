"""Runs that were never trained, and documents as text: what the tests of the report share."""

from __future__ import annotations

import io
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, TypeVar

from rich.console import Console

from clsbench.analysis.choosing import at_edge, choose
from clsbench.analysis.curves import Comparison, comparisons
from clsbench.analysis.summary import over_seeds
from clsbench.analysis.verdicts import judgement
from clsbench.config.schema import VerdictConfig
from clsbench.report.compose import run_document
from clsbench.report.document import ArmRef, Block, Document, Mark, Section, Text
from clsbench.report.renderers.terminal import show
from clsbench.report.sections.arms import references

EPOCHS = 4
METRICS = {
    "train_accuracy": 0.5,
    "train_nll": 0.3,
    "test_accuracy": 0.5,
    "test_nll": 0.4,
    "test_brier": 0.2,
    "test_ece": 0.05,
    "logit_grad_norm": 0.6,
    "stuck_share": 0.02,
}
NEEDS_PROBABILITIES = ("train_nll", "test_nll", "test_brier", "test_ece")

Records = list[dict[str, Any]]
Summary = dict[str, Any]
Found = TypeVar("Found", bound=Block)


def run_of(
    arms: Sequence[str],
    *,
    seeds: int = 3,
    diverged: Collection[tuple[str, int]] = (),
    no_probabilities: Collection[str] = (),
    finals: Mapping[str, Mapping[str, float]] | None = None,
    pairing: Sequence[Sequence[str]] | None = None,
) -> tuple[Records, Summary]:
    """A run whose metrics rise linearly from half of `finals[arm][metric]` plus 0.01 a seed to the whole of it."""
    records: Records = []
    entries = []
    for number, name in enumerate(arms):
        values: dict[str, list[float | None]] = {metric: [] for metric in METRICS}
        for seed in range(seeds):
            lost = (name, seed) in diverged
            for epoch in range(3 if lost else EPOCHS + 1):
                gone = lost and epoch == 2
                record: dict[str, Any] = {"trial": number * seeds + seed, "arm": name, "seed": seed, "epoch": epoch}
                for metric, default in METRICS.items():
                    end = (finals or {}).get(name, {}).get(metric, default) + 0.01 * seed
                    missing = gone or (name in no_probabilities and metric in NEEDS_PROBABILITIES)
                    record[metric] = None if missing else end * (1 + epoch / EPOCHS) / 2
                records.append({**record, "seconds": 2.0, "status": "diverged" if gone else "running"})
            for metric, column in values.items():
                column.append(None if lost else records[-1][metric])
        entries.append(arm_of(name, values))
    return records, summary_of(entries, pairing or [list(arms)])


def usual(**options: Any) -> tuple[Records, Summary]:
    """A good arm, a bad one that is stuck, and one without probabilities."""
    finals = {"good": {"test_accuracy": 0.9}, "bad": {"test_accuracy": 0.7, "stuck_share": 0.3}}
    return run_of(["good", "bad", "hinge"], no_probabilities=["hinge"], finals=finals, **options)


def arm_of(name: str, metrics: Mapping[str, Sequence[float | None]], **facts: Any) -> dict[str, Any]:
    """An arm of a summary, from its metrics by seed."""
    num_seeds = max((len(values) for values in metrics.values()), default=1)
    return {
        "name": name,
        "loss": "cross_entropy",
        "label": name,
        "setting": "reduction=sum, weight=1, lr=0.1",
        "dataset": "moons",
        "split_seed": 0,
        "own_test": False,
        "model": "mlp",
        "lr": 0.1,
        "seeds": list(range(num_seeds)),
        "failures": {},
        "diverged": list(metrics.get("test_accuracy", ())).count(None),
        "metrics": {metric: over_seeds(column) for metric, column in metrics.items()},
        "cross": None,
        "reliability": None,
        **facts,
    }


def summary_of(arms: Sequence[dict[str, Any]], pairing: Sequence[Sequence[str]], **facts: Any) -> Summary:
    """A summary of these arms with their verdicts."""
    summary = {
        "name": "moons",
        "status": "finished",
        "device": "cpu",
        "data": None,
        "warnings": [],
        "warm_start": None,
        "across": None,
        "arms": list(arms),
        "pairing": [{"arms": list(names)} for names in pairing],
        "expectations": [],
        "tuning": None,
        "seconds": 12.0,
        "wall_seconds": 12.0,
        "clock": None,
    }
    return {**summary, **judgement(summary, VerdictConfig().rules), **facts}


def tried(settings: dict[str, Any], mean: float | None, diverged: int = 0) -> dict[str, Any]:
    """What tuning measured at a setting with three seeds."""
    values = [None] * diverged + ([] if mean is None else [mean] * (3 - diverged))
    return {"settings": settings, **over_seeds(values), "diverged": diverged}


def tuned_run(
    rows: Mapping[str, list[dict[str, Any]]],
    grid: dict[str, list[Any]],
    extended: dict[str, list[Any]] | None = None,
    **tuning: Any,
) -> Summary:
    """The summary of a run of arms whose sensitivities are `rows`, with what each tried beyond the grid."""
    metric = tuning.get("metric", "val_accuracy")
    found = []
    for name, sensitivity in rows.items():
        chosen = sensitivity[choose([sensitivity], metric)]["settings"]
        edge = at_edge(chosen, {key: [*values, *(extended or {}).get(key, ())] for key, values in grid.items()})
        tuned = {"name": name, "chosen": chosen, "by_seed": None, "at_edge": edge, "extended": extended}
        found.append({**tuned, "sensitivity": sensitivity})
    spent = {"seeds": [10000, 10001, 10002], "trials": 24, "seconds": 75.0}
    summary = summary_of([arm_of(name, {}, setting="lr=1") for name in rows], [list(rows)])
    return {
        **summary,
        "tuning": {
            "protocol": "per_arm",
            "metric": metric,
            "data": None,
            **spent,
            "grid": grid,
            "arms": found,
            **tuning,
        },
    }


def compared(records: Records, summary: Summary) -> tuple[Comparison, dict[str, ArmRef]]:
    """The only comparison of a run, and its arms by name, as sections take them."""
    (comparison,) = comparisons(records, summary)
    return comparison, references(comparison)


def blocks(section: Section | None, kind: type[Found]) -> list[Found]:
    """The blocks of a kind in a section, those of sections in it among them."""
    found: list[Found] = []
    for block in section.blocks if section else ():
        if isinstance(block, kind):
            found.append(block)
        if isinstance(block, Section):
            found += blocks(block, kind)
    return found


def plain(text: Text) -> str:
    """A text with arms by name, and in brackets where their mark stands alone."""
    parts = (f"[{part.arm.name}]" if isinstance(part, Mark) else part for part in text)
    return "".join(part.name if isinstance(part, ArmRef) else part for part in parts)


def on_screen(
    records: Records,
    summary: Summary,
    width: int = 80,
    encoding: str = "utf-8",
    files: Sequence[str] = (),
    document: Callable[..., Document] = run_document,
    **options: Any,
) -> str:
    """What a run looks like on a console, by default in every detail."""
    raw = io.BytesIO()
    file = io.TextIOWrapper(raw, encoding=encoding, newline="")
    show(document(records, summary, files), Console(file=file, width=width, **options))
    file.flush()
    return raw.getvalue().decode(encoding)
