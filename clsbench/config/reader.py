"""From YAML and overrides to an `Experiment`; all mistakes are reported together, each with its position and a hint."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path as FilePath
from typing import Any

from pydantic import ValidationError

import clsbench.config.registration  # noqa: F401 - checks what is registered
from clsbench.config.dump import length_mistake
from clsbench.config.entries import DatasetEntry, Entry, LossEntry, ModelEntry, entry_type
from clsbench.config.expectations import read_expectations
from clsbench.config.expected_names import baseline_mistakes, name_mistakes
from clsbench.config.keys import ENTRIES, hint_at_unknown
from clsbench.config.optimizer import conflict_mistakes, read_optimizer
from clsbench.config.overrides import apply, settle
from clsbench.config.paths import FolderOf, with_full_paths, working_directory
from clsbench.config.plan import make_plan, plan_mistake
from clsbench.config.schema import DEFAULT_ENTRIES, Experiment
from clsbench.config.shipped import nearest_shipped
from clsbench.config.tuning import (
    match_mistakes,
    metric_mistakes,
    read_tune,
    seed_mistake,
    tune_mistakes,
    with_metric,
    with_protocol,
)
from clsbench.config.warm_start import warm_start_mistakes
from clsbench.config.wording import UNKNOWN_KEY, Mistake, dotted, mistakes_of
from clsbench.config.yaml_text import MAX_CHARACTERS, MAX_DEPTH, Document, Path, Position, is_text, parse, shown
from clsbench.errors import ConfigError
from clsbench.problems import Posed, Problem
from clsbench.registry import Kind, UnknownName, catalogue, nearest
from clsbench.sources import read_bounded

MOST_POINTS = 1000  # settings that one entry sweeps


def read_file(path: FilePath, overrides: Sequence[str]) -> Experiment:
    """The experiment of a file, with `KEY=VALUE` overrides applied.

    Raises:
        ConfigError: with every mistake of the file and the overrides, in the order of their positions.
    """
    return read_text(_text_of(path), str(path), overrides)


def read_text(text: str, source: str, overrides: Sequence[str]) -> Experiment:
    """As `read_file`, for a text that messages call `source`."""
    document = _document(text, source, overrides)
    folder = FilePath(source).parent

    def folder_of(path: Path) -> FilePath:
        return folder if _position(document, path, "", source).source == source else working_directory(path)

    experiment, mistakes = build(document.value, folder_of)
    known = {path for _, path, _ in document.mistakes}
    located = document.mistakes + [
        (_position(document, path, text, source), path, text)
        for path, text in mistakes
        if not any(path[:length] in known for length in range(1, len(path) + 1))
    ]
    if experiment is None or located:
        located.sort(key=lambda mistake: (mistake[0].source != source, mistake[0]))
        raise ConfigError(*(_line(*mistake) for mistake in located))
    return experiment


def read_tree(path: FilePath | None, overrides: Sequence[str]) -> Mapping[str, Any]:
    """What a file and overrides say as plain data, mistakes passed over; nothing of a file that cannot be read."""
    try:
        text = "{}" if path is None else _text_of(path)
    except ConfigError:
        text = "{}"
    tree: Mapping[str, Any] = _document(text, str(path or ""), overrides).value
    return tree


def read_mapping(tree: Mapping[str, Any]) -> Experiment:
    """The experiment of plain data, as YAML would give it.

    Raises:
        ConfigError: with every mistake; the position is the key alone.
    """
    experiment, mistakes = build(tree, working_directory)
    if experiment is None:
        raise ConfigError(*(_under(path, text) for path, text in mistakes))
    return experiment


def build(tree: Mapping[str, Any], folder_of: FolderOf) -> tuple[Experiment | None, list[Mistake]]:
    """Validate plain data section by section; the experiment is None if there are mistakes.

    `folder_of` gives the folder that relative paths at a path of the tree start from.
    """
    # pydantic cannot tell of such texts, so they are refused before.
    unwritable = list(_unwritable(tree, ()))
    experiment, mistakes = (None, unwritable) if unwritable else _build(tree, folder_of)
    return experiment, [
        (path, f"{text}; {hint_at_unknown(tree, path)}" if text == UNKNOWN_KEY else text) for path, text in mistakes
    ]


def _unwritable(part: Any, path: Path) -> Iterator[Mistake]:
    """The keys and values, at any depth, that no file can hold."""
    inside: Iterable[tuple[Any, Any]] = ()
    if isinstance(part, str) and not is_text(part):
        yield path, f"{shown(part)} contains an unpaired surrogate, which no file can hold"
    elif len(path) > MAX_DEPTH:
        yield path, f"nested more than {MAX_DEPTH} levels deep"
    elif isinstance(part, Mapping):
        inside = part.items()
    elif isinstance(part, list | tuple):
        inside = enumerate(part)
    for key, value in inside:
        if isinstance(key, str) and not is_text(key):
            yield path, f"the key {shown(key)} contains an unpaired surrogate, which no file can hold"
        else:
            yield from _unwritable(value, (*path, key))


def _build(tree: Mapping[str, Any], folder_of: FolderOf) -> tuple[Experiment | None, list[Mistake]]:
    mistakes: list[Mistake] = []
    for key in tree:
        if not isinstance(key, str):
            mistakes.append(((), f"a key must be text, got {shown(key)}"))
        elif key not in Experiment.model_fields:
            mistakes.append(((key,), UNKNOWN_KEY))
    found: dict[Kind, dict[Path, Entry]] = {}
    for kind in ENTRIES:
        found[kind] = _entries(kind, tree.get(kind, DEFAULT_ENTRIES[kind]), folder_of, mistakes)
    datasets = {path: entry for path, entry in found["dataset"].items() if isinstance(entry, DatasetEntry)}
    mistakes += _misfits(datasets, found["model"] | found["loss"])
    parts: dict[str, Any] = {kind: tuple(entries.values()) for kind, entries in found.items()}
    mistakes += match_mistakes(found["loss"])
    chosen, optimizer = read_optimizer(tree.get("optimizer", {}), mistakes)
    asked = with_protocol(tree.get("tune"), found["dataset"].values())
    tune = read_tune(with_metric("tune", asked, found["dataset"].values()), chosen, mistakes)
    parts |= {"optimizer": optimizer, "tune": tune}
    mistakes += conflict_mistakes(optimizer, tune)
    if tune is not None:
        mistakes += tune_mistakes(tune, optimizer, found)
    unread: list[Mistake] = []
    expected = read_expectations(tree.get("expect", ()), unread)
    parts["expect"] = tuple(expectation.text for expectation in expected.values())
    rest = {key: value for key, value in tree.items() if key in Experiment.model_fields and key not in parts}
    if "stop" in rest:
        rest["stop"] = with_metric("stop", rest["stop"], found["dataset"].values())
    try:
        experiment = Experiment.model_validate({**rest, **parts})
    except ValidationError as error:
        return None, mistakes + unread + [m for m in mistakes_of(error) if m[0][0] not in parts]
    if (overlap := seed_mistake(experiment)) is not None:
        mistakes.append(overlap)
    if experiment.stop is not None:
        mistakes += metric_mistakes("stop", experiment.stop.metric, found)
    if experiment.train.warm_start is not None:
        mistakes += warm_start_mistakes(experiment.dataset, found["loss"])
    if not mistakes and (reason := plan_mistake(experiment)) is not None:
        mistakes.append(((), reason))
    if not mistakes and (expected or experiment.verdict.baseline is not None):
        plan = make_plan(experiment)
        mistakes += [*name_mistakes(expected, plan), *baseline_mistakes(plan)]
    mistakes += unread
    if not mistakes and (reason := length_mistake(experiment)) is not None:
        mistakes.append(((), reason))
    return (None if mistakes else experiment), mistakes


def _document(text: str, source: str, overrides: Sequence[str]) -> Document:
    """The document of a text, with `KEY=VALUE` overrides applied and bare words settled."""
    document = parse(text, source)
    if not document.mistakes and not isinstance(document.value, dict):
        what = "is empty" if document.value is None else f"is {_kind_of(document.value)}, not a mapping of keys"
        place = document.values.get((), Position(1, 1, source))
        document.mistakes.append((place, (), f"the file {what}; `clsbench init` writes one to start from"))
    if not isinstance(document.value, dict):
        document.value, document.bare = {}, {}
    for number, override in enumerate(overrides, start=1):
        apply(document, override, number)
    settle(document)
    return document


def _entries(kind: Kind, value: Any, folder_of: FolderOf, mistakes: list[Mistake]) -> dict[Path, Entry]:
    entries: dict[Path, Entry] = {}
    items = value if isinstance(value, list | tuple) else [value]
    if not items:
        mistakes.append(((kind,), f"an empty list; give at least one {kind}"))
    for index, item in enumerate(items):
        path: Path = (kind, index) if isinstance(value, list | tuple) else (kind,)
        entry = _entry(kind, item, path, mistakes)
        if entry is not None:
            full = with_full_paths(entry, catalogue.get(kind, entry.name), path, folder_of, mistakes)
            found = _divided(full, path, mistakes) if isinstance(full, DatasetEntry) else full
            if found is not None:
                entries[path] = found
    return entries


def _entry(kind: Kind, item: Any, path: Path, mistakes: list[Mistake]) -> Entry | None:
    if isinstance(item, Entry):
        return item
    named = {"name": item} if isinstance(item, str) else item
    if not isinstance(named, Mapping) or not isinstance(named.get("name"), str):
        got = f"got {_kind_of(item)}" if not isinstance(item, Mapping) else "its `name` is missing or not text"
        mistakes.append((path, f"must be a {kind}'s name or a mapping with `name`; {got}"))
        return None
    try:
        spec = catalogue.get(kind, named["name"])
    except UnknownName as error:
        mistakes.append(((*path, "name") if isinstance(item, Mapping) else path, str(error)))
        return None
    try:
        entry = entry_type(spec).model_validate({**named, "name": spec.name})
    except ValidationError as error:
        mistakes.extend(((*path, *where), text) for where, text in mistakes_of(error))
        return None
    if entry.num_points > MOST_POINTS:
        mistakes.append((path, f"sweeps {entry.num_points:,} settings; the limit is {MOST_POINTS:,}: sweep less"))
        return None
    return entry


def _divided(entry: DatasetEntry, path: Path, mistakes: list[Mistake]) -> DatasetEntry | None:
    """The dataset with the fractions and the split seed that it has by default; None if its options are impossible."""
    try:
        known = entry.posed
    except ValueError as error:
        mistakes.append((path, f"{entry.name}: {error}"))
        return None
    if entry.split_seed is None or "split_seed" not in entry.model_fields_set:
        entry = entry.model_copy(update={"split_seed": 0 if known.own_test else "per_seed"})
    given = "test_fraction" in entry.model_fields_set
    if known.own_test:
        if given and entry.test_fraction is not None:
            mistakes.append(((*path, "test_fraction"), f"{entry.name} brings its own test set; leave the key out"))
        entry = entry.model_copy(update={"test_fraction": None})
    elif given and not entry.test_fraction and (known.own_test is False or entry.test_fraction == 0):
        mistakes.append(((*path, "test_fraction"), f"{entry.name} has no test set of its own; give a fraction above 0"))
    if entry.val_fraction + (entry.test_fraction or 0) >= 1:
        mistakes.append(((*path, "val_fraction"), "validation and test take everything; nothing is left for training"))
    return entry


def _misfits(datasets: Mapping[Path, DatasetEntry], served: Mapping[Path, Entry]) -> Iterable[Mistake]:
    """Models, losses and keys of a dataset that do not fit it, as far as is known before the data are opened."""
    for at, dataset in datasets.items():
        known = dataset.posed
        yield from (((*at, key), reason) for key, reason in foreign_keys(dataset, known.kind))
        for path, entry in served.items():
            reasons = (misfit(dataset.name, known, point) for _, point in entry.points())
            if (reason := next(filter(None, reasons), None)) is not None:
                yield path, reason


def misfit(dataset: str, known: Posed, entry: Entry) -> str | None:
    """Why a model or a loss does not fit the problem that a dataset poses; None if it fits."""
    if isinstance(entry, ModelEntry) and known.shape is not None:
        dimensions = catalogue.get("model", entry.name).dimensions
        if dimensions not in (None, len(known.shape)):
            return f"{entry.name} takes images, and {dataset} has samples of shape {list(known.shape)}; use mlp"
    if isinstance(entry, LossEntry) and known.possible:
        reasons = [_loss_misfit(problem, entry) for problem in known.possible]
        if None not in reasons:
            return f"{entry.name} does not fit {dataset}: {reasons[0]}"
    if isinstance(entry, LossEntry) and known.problem is not None:
        for name in entry.class_weight if isinstance(entry.class_weight, dict) else ():
            if (reason := known.problem.unknown(name)) is not None:
                return f"class_weight of {entry.name}: {reason}"
    return None


def _loss_misfit(problem: Problem, entry: LossEntry) -> str | None:
    try:
        problem.num_outputs(catalogue.get("loss", entry.name), entry.options)
    except ValueError as error:
        return str(error)
    if entry.class_weight is not None and not problem.exclusive:
        return f"class_weight is for samples of one class each, and this is {problem.kind}; leave it out"
    return None


def foreign_keys(dataset: DatasetEntry, kind: type[Problem] | None) -> Iterator[tuple[str, str]]:
    """The keys of a dataset that mean nothing for a kind of problem, each with the reason; none if it is not known."""
    if kind is None:
        return
    if dataset.label_noise and not kind.labelled:
        yield "label_noise", f"label noise is for labels, and this is {kind.kind}; leave it out"
    elif dataset.label_noise and dataset.label_noise_kind == "pairwise" and not kind.exclusive:
        yield "label_noise_kind", f"pairwise is for samples of one class each, and this is {kind.kind}; leave it out"
    if dataset.imbalance is not None and not kind.exclusive:
        yield "imbalance", f"it is for samples of one class each, and this is {kind.kind}; leave it out"


def _text_of(path: FilePath) -> str:
    try:
        return read_bounded(path, 4 * MAX_CHARACTERS).decode("utf-8-sig")  # a character takes 4 bytes at most
    except FileNotFoundError:
        near = nearest(path.name, _yaml_files(path.parent))
        hint = f"did you mean {str(path.with_name(near))!r}?" if near else "`clsbench init` writes one to start from"
        if not near and (brought := nearest_shipped(str(path))):
            hint = f"clsbench brings one called {brought!r}"
        raise ConfigError(f"{path}: no such file; {hint}") from None
    except UnicodeDecodeError as error:
        before = error.object[: error.start].decode()
        line, column = before.count("\n") + 1, len(before) - before.rfind("\n")
        raise ConfigError(f"{path}:{line}:{column}: not UTF-8 text; save it as UTF-8") from None
    except (OSError, ValueError) as error:
        what = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise ConfigError(f"{_short(str(path))}: cannot be read: {what}; give a YAML file") from None


def _yaml_files(folder: FilePath) -> list[str]:
    try:
        return [file.name for file in folder.glob("*.y*ml")]
    except OSError:
        return []


def _short(path: str) -> str:
    """A path, in full if a system can have one so long; an override given as the path is cut."""
    return path if len(path) <= 4096 else f"{path[:60]}..."


def _position(document: Document, path: Path, text: str, source: str) -> Position:
    """The position of a mistake: that of an unknown key, else of the value or of its nearest parent."""
    places = [document.values, document.keys]
    if text.startswith(UNKNOWN_KEY):
        places.reverse()
    for length in range(len(path), 0, -1):
        for known in places:
            if path[:length] in known:
                return known[path[:length]]
    return document.values.get((), Position(1, 1, source))


def _line(position: Position, path: Path, text: str) -> str:
    return f"{position}: {_under(path, text)}"


def _under(path: Path, text: str) -> str:
    return f"{dotted(path)}: {text}" if any(isinstance(part, str) for part in path) else text


def _kind_of(value: Any) -> str:
    names = {list: "a list", tuple: "a list", dict: "a mapping", type(None): "nothing", bool: "a truth value"}
    return names.get(type(value), f"the value {shown(value)}")
