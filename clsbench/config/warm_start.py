"""Checks of `train.warm_start` that need several sections; each mistake has its path."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from clsbench.config.entries import DatasetEntry, Entry
from clsbench.config.wording import Mistake
from clsbench.config.yaml_text import Path
from clsbench.problems import KINDS, Problem
from clsbench.registry import catalogue


def warm_start_mistakes(datasets: Iterable[DatasetEntry], losses: Mapping[Path, Entry]) -> Iterable[Mistake]:
    """Problems without a warm start, and losses whose outputs are not those of the loss that trains it.

    Their networks could not start from the same hidden layers as the other arms.
    """
    posed = [entry.posed for entry in datasets]
    if unlabelled := [known.kind.kind for known in posed if known.kind is not None and not known.kind.labelled]:
        yield ("train", "warm_start"), f"it starts from wrong labels, and {unlabelled[0]} has none; leave it out"
    examples = tuple(example for kind in KINDS.values() if kind.labelled for example in kind.examples())
    problems = [problem for known in posed for problem in known.possible or examples]
    for path, entry in losses.items():
        needed = [
            (
                _outputs(entry.name, point.options, p),
                _outputs(p.warm_loss, catalogue.get("loss", p.warm_loss).defaults, p),
            )
            for _, point in entry.points()
            for p in problems
        ]
        if any(own not in (trained, None) for own, trained in needed):
            what = f"{entry.name} has another number of outputs than cross-entropy, which trains the warm start"
            yield path, f"{what}; give it one for each class, or leave out train.warm_start"


def _outputs(loss: str, options: Mapping[str, object], problem: Problem) -> int | None:
    """None if the loss does not fit the problem, which is reported elsewhere."""
    try:
        return problem.num_outputs(catalogue.get("loss", loss), options)
    except ValueError:
        return None
