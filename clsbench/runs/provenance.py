"""What produced a run: its config, the data it saw, the code of its plugins, the versions and the machine.

It is recorded when a run starts: whole in its environment, and in its manifest and each checkpoint with one hash for
all data, so that these do not grow with the number of datasets. A run is only resumed if everything that decides its
numbers is unchanged.
"""

from __future__ import annotations

import inspect
import json
import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from importlib.metadata import entry_points
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict

from clsbench.config.entries import Entry
from clsbench.config.schema import Experiment
from clsbench.errors import RunError
from clsbench.registry import Kind, Spec, catalogue
from clsbench.results import Environment
from clsbench.runs.code import hash_of_code
from clsbench.runs.resume import changes_since, comparable
from clsbench.runs.seal import sha256_of

if TYPE_CHECKING:
    from clsbench.config.plan import Trial
    from clsbench.data.splits import Splits

Hashes = dict[str, dict[str, dict[str, str | None]]]  # by dataset, split seed and split

SPLIT_WORDS = {"train": "training", "val": "validation", "test": "test"}


class Fingerprint(BaseModel):
    """Hashes of everything that decides the numbers of a run, and its machine.

    `data` holds the SHA-256 of each split by dataset and split seed, unless the fingerprint is `brief`; `all_data` is
    the SHA-256 of that table. `sources` holds the SHA-256 of each plugin's code by name.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    config: str
    data: Hashes = {}
    all_data: str = ""  # of a run of an earlier version, which kept `data` everywhere
    sources: dict[str, str]
    versions: dict[str, str | None]
    machine: dict[str, str | int | None]
    device: dict[str, str | list[int]]

    @property
    def brief(self) -> Fingerprint:
        """The same without the hashes of single splits; equal for equal runs."""
        return self.model_copy(update={"data": {}, "all_data": self.all_data or hash_of_data(self.data)})

    def conditions(self) -> dict[str, Any]:
        """Where the run was made: versions, machine and device, as far as they are compared."""
        return self.model_dump(include={"versions", "machine", "device"})

    def began_in(self, environment: Environment) -> Environment:
        """An environment whose versions, machine and device are these, as far as they are compared."""
        whole: Mapping[str, Any] = environment
        began: Any = {**whole, **{key: {**whole[key], **known} for key, known in self.conditions().items()}}
        found: Environment = began
        return found

    def changes(self, now: Fingerprint, files: Mapping[str, str]) -> list[str]:
        """The changes that may change last bits, in words.

        `files` has by dataset the file or folder that its data were read from, if there is one.

        Raises:
            RunError: a change would give another run.
        """
        changed = _changed_data(self.data, now.data, files) if self.data else iter(())
        for what in (*changed, *_changed_sources(self.sources, now.sources)):
            raise RunError(f"the run cannot go on: {what}; start a new run")
        if self.brief.all_data != now.brief.all_data:  # and nothing is left that says which
            read = f" ({', '.join(sorted({*files.values()}))})" if files else ""
            raise RunError(f"the run cannot go on: its data{read} are not those that it began with; start a new run")
        if self.config != now.config:
            raise RunError("the run cannot go on: its config.yaml is not the one that it was started with")
        return changes_since(self.conditions(), now.conditions())


def fingerprint(
    experiment: Experiment,
    trials: Iterable[Trial],
    data: Mapping[str, Splits],
    environment: Environment,
) -> Fingerprint:
    """The fingerprint of a run that is about to train these trials on these data, by the keys of their datasets."""
    hashes: Hashes = {}
    for trial in trials:
        entry = trial.dataset
        hashes.setdefault(entry.title, {})[str(entry.split_seed)] = dict(data[entry.key].hashes)
    return Fingerprint(
        config=config_hash(experiment),
        data=hashes,
        all_data=hash_of_data(hashes),
        sources=dict(_sources(experiment)),
        versions=environment["versions"],
        machine={"processor": environment["machine"]["processor"], "cores": environment["machine"]["cores"]},
        device={"kind": environment["device"]["kind"], "threads": environment["device"]["threads"]},
    )


def hash_of_data(hashes: Hashes) -> str:
    """One SHA-256 for the hashes of all splits."""
    return sha256_of(json.dumps(hashes, sort_keys=True).encode())


def config_hash(experiment: Experiment) -> str:
    """The SHA-256 of all settings that decide the trials."""
    return sha256_of(json.dumps(comparable(experiment), sort_keys=True).encode())


def _changed_data(before: Mapping[str, Any], now: Mapping[str, Any], files: Mapping[str, str]) -> Iterator[str]:
    for title in {**before, **now}:
        source = f" ({files[title]})" if title in files else ""
        seeds, seeds_now = before.get(title, {}), now.get(title, {})
        for seed in {**seeds, **seeds_now}:
            old, new = seeds.get(seed, {}), seeds_now.get(seed, {})
            for split, word in SPLIT_WORDS.items():
                if old.get(split) != new.get(split):
                    yield f"the data of dataset {title!r}{source}: {word} split differs"


def _changed_sources(before: Mapping[str, str], now: Mapping[str, str]) -> Iterator[str]:
    for name in {**before, **now}:
        if name not in now:
            yield f"{name} is missing"
        elif name not in before:
            yield f"{name} is new"
        elif before[name] != now[name]:
            yield f"{name} changed"


def _sources(experiment: Experiment) -> Iterator[tuple[str, str]]:
    """The code that is not clsbench's: plugin files, installed plugins, and what a script registered by itself."""
    names: Counter[str] = Counter()
    for path in catalogue.plugins:
        name = Path(path).name
        names[name] += 1
        yield f"plugin {name}" + (f" ({names[name]})" if names[name] > 1 else ""), sha256_of(catalogue.plugins[path])
    installed = {each.name: each.module for each in entry_points(group="clsbench")}
    for name, module in installed.items():
        yield f"plugin {name}", _source_of(sys.modules.get(module))
    for spec in _used(experiment):
        module = spec.factory.__module__
        if spec.is_given:
            yield spec.described, hash_of_code(spec.factory)
            continue
        if module.partition(".")[0].startswith("clsbench") or module in installed.values():
            continue  # of clsbench, whose version is compared, or of a plugin file or an installed plugin
        # Of a script, whatever else is edited there, what the function uses.
        whole = module != "__main__" and module in sys.modules
        yield spec.described, _source_of(sys.modules[module]) if whole else hash_of_code(spec.factory)


def _used(experiment: Experiment) -> Iterator[Spec]:
    asked: tuple[tuple[Kind, Sequence[Entry]], ...] = (
        ("dataset", experiment.dataset),
        ("model", experiment.model),
        ("loss", experiment.loss),
    )
    for kind, entries in asked:
        yield from (catalogue.get(kind, entry.name) for entry in entries)
    yield catalogue.get("optimizer", experiment.optimizer.name)
    yield from catalogue.all("metric")


def _source_of(module: Any) -> str:
    """The SHA-256 of the source of a module; if it has none, of its description."""
    try:
        return sha256_of(inspect.getsource(module).encode(errors="surrogatepass"))
    except (OSError, TypeError):
        return sha256_of(repr(module).encode())
