"""Trained networks on raw samples: what is kept of their preparation is applied first, and classes have names."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from clsbench.config.plan import Trial, make_plan
from clsbench.errors import DataError, RunError
from clsbench.metrics.measures import direction, headline
from clsbench.problems import Answer, kind_of, problem_from
from clsbench.registry import catalogue
from clsbench.results import damaged, origins, value_of
from clsbench.runs.code import hash_of_code
from clsbench.runs.directory import METRICS, RunDirectory

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    from torch import Tensor, nn

    from clsbench.data.dividing import Part
    from clsbench.data.preparation import Preparation
    from clsbench.losses.contract import Loss

    Floats = npt.NDArray[np.float64]

AT_ONCE = 1000  # samples that go through the network together


class Predicted(NamedTuple):
    """`classes` has an answer for each sample: its class, its labels or its values.

    `probabilities` is `[N, C]`, None for a loss that gives none.
    """

    classes: list[Answer]
    probabilities: Floats | None


@dataclass(frozen=True)
class Predictor:
    """A trained network that takes raw samples. `preparation` is None for a run of a version that did not keep it."""

    module: nn.Module
    loss: Loss
    preparation: Preparation | None
    run: Path

    @property
    def class_names(self) -> tuple[str, ...]:
        """The names of the classes, in the order of the columns of `probabilities`."""
        return self.loss.problem.names

    @property
    def gives(self) -> str:
        """What an exported network returns, in words."""
        return self.loss.problem.gives(self.loss.link)

    def __call__(self, samples: Any) -> Predicted:
        """The answer for each sample, and the probability of every class or label.

        Args:
            samples: `[N, ...]` as the dataset has them, neither normalised nor encoded: an array, a tensor or nested
                lists, in the order of the table's columns; or a data frame, whose columns are found by their names.
                A category is its text, in a data frame or an array of objects. Images are `[N, C, H, W]` or
                `[N, H, W, C]`.

        Raises:
            DataError: the samples do not fit the data that the network was trained on.
            RunError: the run is of a version that kept no preparation.
        """
        from clsbench.data.new_samples import as_read

        return self.of_read(as_read(self.required_preparation(), samples))

    def of_read(self, raw: npt.NDArray[Any]) -> Predicted:
        """As a call, for samples as the dataset's reader gives them: categories are numbers."""
        import torch

        answers: list[Answer] = []
        probabilities: list[Tensor] = []
        for logits in self._logits(raw):
            answers += self.loss.problem.answers(self.loss.predictions(logits))
            if (logs := self.loss.log_probabilities(logits)) is not None:
                probabilities.append(logs.double().exp())
        return Predicted(answers, torch.cat(probabilities).numpy() if probabilities else None)

    def outputs(self, raw: npt.NDArray[Any]) -> Tensor:
        """What an exported network gives for the same samples."""
        import torch

        return torch.cat([self.loss.problem.exported(self.loss.link, logits) for logits in self._logits(raw)])

    def _logits(self, raw: npt.NDArray[Any]) -> Iterator[Tensor]:
        import numpy as np
        import torch

        for start in range(0, len(raw), AT_ONCE):
            rows = np.arange(start, min(start + AT_ONCE, len(raw)))
            with torch.no_grad():
                yield self.module(torch.from_numpy(self.required_preparation()(raw, rows)))

    def required_preparation(self) -> Preparation:
        """What is done to raw samples first.

        Raises:
            RunError: the run is of a version that did not keep it.
        """
        if self.preparation is None:
            raise RunError(f"{self.run} is of an earlier version, which did not keep the normalisation; run it again")
        return self.preparation


def predictors(directory: RunDirectory, numbers: Sequence[int]) -> Iterator[tuple[Trial, Predictor]]:
    """The trials of these numbers, each with its trained network.

    Raises:
        RunError: the run has no such trial, its weights are damaged, or its model was replaced in this process.
    """
    from clsbench.execution.trained import trained_model
    from clsbench.losses.contract import build_loss

    trials = make_plan(directory.experiment()).trials
    for number in numbers:
        if not 0 <= number < len(trials):
            raise RunError(f"{directory.path} has no trial {number}; they are numbered 0 to {len(trials) - 1}")
    facts_of, path = directory.environment()["datasets"], directory.path / "environment.json"
    kept = kept_of(directory)
    for number in numbers:
        trial, arm = trials[number], trials[number].arm
        _require_same_model(directory, arm.model.name)
        facts = facts_of.get(arm.dataset.title)
        if facts is None:
            raise damaged(str(path), f"datasets.{arm.dataset.title} is missing")
        try:
            state, preparation = kept(number)
            learned = {} if preparation is None else preparation.learned  # from this trial's split
            loss = build_loss(arm.loss.name, problem_from({**facts, **learned}), arm.loss.options)
        except (ValueError, TypeError) as error:
            raise damaged(str(path), f"datasets.{arm.dataset.title}: {error}") from error
        module = trained_model(trial, tuple(facts["shape"]), loss.num_outputs, state).eval()
        yield trial, Predictor(module, loss, preparation, directory.path)


def _require_same_model(directory: RunDirectory, name: str) -> None:
    """Refuse weights of another model, if it was handed over in Python: any other may take its name."""
    model = catalogue.get("model", name)
    if model.is_given and directory.identify().fingerprint.sources.get(model.described) != hash_of_code(model.factory):
        raise RunError(f"{model.described} is another function than that of {directory.path}; hand that one over again")


def test_predictions(directory: RunDirectory) -> Iterator[dict[str, Any]]:
    """A row for each trial that finished and each of its test samples: its class, the prediction, probabilities.

    Raises:
        DataError: the data are missing, or are not those of the run.
        RunError: the weights of a trial are damaged.
    """
    import torch

    opened: dict[str, Part] = {}
    for trial, predictor in predictors(directory, sorted(directory.checkpoints(METRICS).ended())):
        if trial.data_key not in opened:
            opened[trial.data_key] = samples_tested(directory, trial, predictor)
        part = opened[trial.data_key]
        answers, probabilities = predictor.of_read(part.features[part.rows])
        targets = predictor.loss.problem.answers(torch.from_numpy(part.labels))
        for place, (row, target, answer) in enumerate(zip(part.rows, targets, answers, strict=True)):
            yield {
                "trial": trial.number,
                "arm": trial.arm.name,
                "seed": trial.seed,
                "row": int(row),
                **_columns(predictor, "target", target),
                **_columns(predictor, "prediction", answer),
                **_by_name(predictor, probabilities, place),
            }


def best_trial(run: str | Path) -> int:
    """The number of the trial that is best in its problem's headline metric on validation data, the first of equals.

    Raises:
        RunError: the run cannot be read, or no trial has such a number.
    """
    directory = RunDirectory(Path(run))
    facts = directory.environment()["datasets"]
    summary = directory.summary()
    best: tuple[float, int] | None = None
    for record in directory.records(origins(summary), ended=False):
        field = headline(kind_of(facts[record["dataset"]]), "val")
        value = value_of(record, field) if record["status"] == "finished" else None
        if value is not None and (best is None or (value if direction(field) == "higher" else -value) > best[0]):
            best = (value if direction(field) == "higher" else -value, record["trial"])
    if best is None:
        raise RunError(f"{directory.path}: no trial was measured on validation data; give the number of one")
    return best[1]


def predict_input(run: str | Path, trial: int, source: str) -> tuple[list[dict[str, Any]], tuple[str, ...]]:
    """A row for each sample of a table or of a folder of images: trial, arm, seed, sample, class, probabilities.

    With them come warnings: what was read in another way than the data that were trained on.

    Raises:
        DataError: it cannot be read, or does not fit.
        RunError: the run has no such trial, or its weights are damaged.
    """
    from clsbench.data.new_samples import read_samples

    ((asked, predictor),) = predictors(RunDirectory(Path(run)), [trial])
    options = asked.dataset.options if asked.dataset.name == "csv" else {}
    names, samples, warnings = read_samples(source, predictor.required_preparation(), options)
    answers, probabilities = predictor.of_read(samples)
    origin = {"trial": trial, "arm": asked.arm.name, "seed": asked.seed}
    return [
        {
            **origin,
            "sample": name,
            **_columns(predictor, "prediction", answer),
            **_by_name(predictor, probabilities, place),
        }
        for place, (name, answer) in enumerate(zip(names, answers, strict=True))
    ], warnings


def _columns(predictor: Predictor, what: str, answer: Answer) -> dict[str, Any]:
    """An answer in one column, or several values in one each."""
    if not isinstance(answer, tuple):
        return {what: answer}
    return {f"{what}[{name}]": value for name, value in zip(predictor.class_names, answer, strict=True)}


def _by_name(predictor: Predictor, probabilities: Floats | None, place: int) -> dict[str, float]:
    """The probability of each class or label; none where the answers are probabilities themselves."""
    if probabilities is None or not predictor.loss.problem.labelled:
        return {}
    return {f"p[{name}]": float(p) for name, p in zip(predictor.class_names, probabilities[place], strict=True)}


def samples_tested(directory: RunDirectory, trial: Trial, predictor: Predictor) -> Part:
    """The raw samples that a trial was tested on.

    Raises:
        DataError: the data are missing, or have changed since the run.
        RunError: as `RunDirectory.hashes`.
    """
    import torch

    from clsbench.data.splits import Tensors, hash_of
    from clsbench.execution.opening import test_samples

    part = test_samples(trial.dataset)
    prepared = predictor.required_preparation()(part.features, part.rows)
    targets = predictor.loss.problem.encoded(part.labels)
    found = hash_of(Tensors(torch.from_numpy(prepared), torch.from_numpy(targets)))
    known = directory.hashes().get(trial.dataset.title, {})
    if known.get(str(trial.dataset.split_seed), {}).get("test") != found:
        raise DataError(f"dataset {trial.dataset.title}: its test samples have changed since the run")
    return part


def kept_of(directory: RunDirectory) -> Callable[[int], tuple[Mapping[str, Tensor], Preparation | None]]:
    """The final weights of each trial, by number, and the preparation of its samples.

    Raises:
        RunError: they are damaged or missing.
    """
    from clsbench.data.preparation import Preparation

    ended = directory.checkpoints(METRICS).ended()

    def kept(trial: int) -> tuple[Mapping[str, Tensor], Preparation | None]:
        if trial not in ended:
            raise RunError(f"{directory.path} has no undamaged weights of trial {trial}; run the experiment again")
        state, text = ended[trial]
        try:
            return state, Preparation.from_json(text) if text else None
        except ValueError as error:
            raise RunError(f"the checkpoint of trial {trial} in {directory.path} is damaged: {error}") from error

    return kept


def load_model(run: str | Path, trial: int) -> tuple[nn.Module, Predictor]:
    """The trained network of a trial, and the function that predicts with it.

    The module takes prepared samples, as training saw them, `[B, ...]`, and returns logits `[B, K]`; the function
    takes raw ones, see `Predictor`.

    Raises:
        RunError: the run has no such trial, or its weights are damaged.
    """
    ((_, predictor),) = predictors(RunDirectory(Path(run)), [trial])
    return predictor.module, predictor
