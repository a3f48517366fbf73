"""What only the sections together can say of `train.warm_start`: mistakes, each with its path."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from clsbench.config.schema import Entry
from clsbench.config.wording import Mistake
from clsbench.config.yaml_text import Path
from clsbench.registry import LossSpec, catalogue

SEVERAL = (2, 3)  # numbers of classes to ask of, where opening the data must tell how many there are


def warm_start_mistakes(datasets: Iterable[Entry], losses: Mapping[Path, Entry]) -> Iterable[Mistake]:
    """Losses without one output for each class: cross-entropy, which trains the warm start, does not know such.

    A network of theirs would have to start from other hidden layers than the other arms.
    """
    problems = [catalogue.get("dataset", entry.name).poses(**entry.options) for entry in datasets]
    for path, entry in losses.items():
        spec = catalogue.get("loss", entry.name)
        counts = {
            number for problem in problems for number in ([problem.num_classes] if problem.num_classes else SEVERAL)
        }
        if any(_outputs(spec, entry, number) not in (number, None) for number in counts):
            what = f"{entry.name} has another number of outputs than cross-entropy, which trains the warm start"
            yield path, f"{what}; give it one for each class, or leave out train.warm_start"


def _outputs(spec: LossSpec, entry: Entry, num_classes: int) -> int | None:
    """None where the loss does not fit so many classes, which is another mistake."""
    try:
        number: int = spec.outputs(num_classes, **entry.options)
    except ValueError:
        return None
    return number
