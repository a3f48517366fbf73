"""`clsbench.compare`: what is handed over in Python is compared like anything else."""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits
from torch import nn

import clsbench
from clsbench.data import memory
from clsbench.errors import ConfigError, DataError, RunError
from clsbench.execution import execute
from clsbench.execution.executors import processes

X, Y = load_digits(return_X_y=True)
X, Y = X[Y < 3][:150], Y[Y < 3][:150]

LIGHT: dict[str, Any] = {"model": "linear", "seeds": 2, "epochs": 2, "device": "cpu", "threads": 1}


def missed(logits: Any, targets: Any) -> Any:
    """The probability that is missing."""
    return (1 - logits.softmax(-1).gather(-1, targets[:, None])).mean()


@pytest.fixture
def compare(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., clsbench.Result]:
    """`compare` with light settings, on 150 digits of three classes."""
    monkeypatch.setattr(memory, "_held", None)
    monkeypatch.setattr("clsbench.shown.figures", lambda *_: {})  # figures take longer than these trainings

    def light(losses: Any, X: Any = X, y: Any = Y, **settings: Any) -> clsbench.Result:
        return clsbench.compare(losses, X, y, output=tmp_path, **{**LIGHT, **settings})

    return light


def test_functions_modules_and_names_are_compared(compare: Callable[..., clsbench.Result]) -> None:
    """Each label is an arm, paired with the others; a module of PyTorch computes what clsbench's loss does."""
    losses = {
        "mine": missed,
        "my partial": functools.partial(nn.functional.cross_entropy, label_smoothing=0.1),
        "ce": "cross_entropy",
        "smooth": {"name": "cross_entropy", "label_smoothing": 0.1},
        "torch": nn.CrossEntropyLoss(),
        "fast": {"name": missed, "lr": 1.0},
    }
    result = compare(losses, lr=0.3, expect=["mine.test_accuracy > 0.5", "ce.test_nll == torch.test_nll"])
    assert [*losses] == [*result.arms]
    assert [0.3, 1.0] == [result.arms[arm]["lr"] for arm in ("mine", "fast")]
    nll = {row["arm"]: row["test_nll"] for row in result.table()}
    assert nll["ce"] == pytest.approx(nll["torch"], rel=1e-5)
    assert nll["smooth"] == pytest.approx(nll["my partial"], rel=1e-5)
    assert [True] == [row["met"] for row in result.summary["expectations"]][:1]
    (pairing,) = result.summary["pairing"]
    assert [*losses] == pairing["arms"]
    assert all(pairing[part] for part in ("weights", "batches", "data"))


def test_data_give_the_same_records_however_they_are_held(compare: Callable[..., clsbench.Result]) -> None:
    """Lists, tensors and labels as text or shifted numbers are the same samples and classes."""
    names = np.array(["a", "b", "c"])[Y]
    runs = [
        compare(["cross_entropy"]),
        compare(["cross_entropy"], X.tolist(), names),
        compare(["cross_entropy"], torch.tensor(X), torch.tensor(Y + 5)),
        compare(["cross_entropy"], Frame(X), Frame(names[:, None])),
    ]
    first, *others = ([unnamed(record) for record in run.records] for run in runs)
    assert [first] * 3 == others


def unnamed(record: Any) -> list[Any]:
    """The values of a record without its time and the names of classes."""
    values = {**record, "seconds": None}.values()
    return [list(value.values()) if isinstance(value, dict) else value for value in values]


class Frame:
    """What `compare` asks of a data frame."""

    def __init__(self, values: Any) -> None:
        self.values, self.columns = np.asarray(values), [f"c{place}" for place in range(np.shape(values)[1])]

    def __getitem__(self, name: str) -> Any:
        return self.values[:, self.columns.index(name)]

    def __array__(self, *_: Any, **__: Any) -> Any:
        return self.values

    def __len__(self) -> int:
        return len(self.values)

    def to_numpy(self) -> Any:
        return self.values


def test_text_in_a_data_frame_is_a_category(compare: Callable[..., clsbench.Result]) -> None:
    """Columns of text have an input for each of their words, columns of truth values are 0 and 1."""
    words, truths = np.array(["zero", "one", "two"], object)[Y], (Y == 0).astype(object)
    result = compare(["cross_entropy"], Frame(np.stack([words, truths, X[:, 20].astype(object)], 1)), seeds=1, epochs=9)
    assert {"category": 1, "boolean": 1, "number": 1} == result.summary["data"]["arrays"]["columns"]
    assert 1.0 == result.table()[0]["test_accuracy"]


class Sparse:
    """What SciPy's matrices have."""

    def toarray(self) -> None: ...


@pytest.mark.parametrize(
    ("samples", "labels", "message"),
    [
        (X[:, 0], Y, r"the features have shape \[150\]; give \[samples, features\]"),
        (X[:-1], Y, "149 rows of features but 150 labels; every sample needs one label"),
        (X, np.where(Y == 2, np.nan, Y), r"value 'y' is nan in row \d+ of the labels; every target must be finite"),
        (X, Y[:, None, None], r"y has shape \[150, 1, 1\]; give one label for each sample, or a column for each"),
        (X, [["a", 1.0]] * 150, "y has 2 columns, not all of numbers; give numbers, or one column of classes"),
        (X, [["a"], ["a", "b"]] * 75, "y has lists of different lengths; give a column for each label, of 0 and 1"),
        (X, ["a", None, *"a" * 148], "y has no label in row 1; leave the sample out"),
        (X, ["a", 1, *"a" * 148], "y has labels of several types, int, str; use one"),
        (np.where(X == X[3, 2], np.nan, X), Y, r"the features hold nan in row \d+, column \d+; every value must be"),
        (Frame([[None]] * 150), Y, "column 'c0' of X has no value in row 0; fill it, or leave the row out"),
        (Sparse(), Y, r"X is a sparse matrix; give X.toarray\(\)"),
    ],
)
def test_unusable_data_are_refused(
    samples: Any, labels: Any, message: str, compare: Callable[..., clsbench.Result]
) -> None:
    """The message names the row and the column, and what to do."""
    with pytest.raises(DataError, match=message):
        compare(["cross_entropy"], samples, labels)


@pytest.mark.parametrize(
    ("y", "settings", "posed"),
    [
        (Y / 2, {}, ("regression", ["y"])),
        (np.arange(150), {}, ("regression", ["y"])),
        (Y, {"problem": "regression"}, ("regression", ["y"])),
        (X[:, 20:22], {}, ("regression", ["0", "1"])),
        (X[:, 20:22] > 3, {}, ("multi_label", ["0", "1"])),
        (np.eye(3)[Y].tolist(), {"problem": "single_label"}, ("single_label", ["0", "1", "2"])),
        (Frame(0.8 * np.eye(3)[Y] + 0.2 / 3), {}, ("probability", ["c0", "c1", "c2"])),
        (Y / 2, {"problem": "probability"}, ("probability", ["y"])),
        (np.array(["a", "b", "c"])[Y], {"problem": "probability"}, ("probability", ["a", "b", "c"])),
    ],
)
def test_the_problem_is_found_or_set(
    y: Any, settings: dict[str, Any], posed: tuple[str, list[str]], compare: Callable[..., clsbench.Result]
) -> None:
    """As in a table: by what the targets look like, or as asked; it is said, and functions get its usual link."""
    losses = {
        "single_label": nn.CrossEntropyLoss(),
        "multi_label": nn.BCEWithLogitsLoss(),
        "regression": nn.MSELoss(),
        "probability": nn.BCEWithLogitsLoss() if posed[1] == ["y"] else nn.CrossEntropyLoss(),
    }
    ours = {"single_label": "cross_entropy", "multi_label": "bce", "regression": "mse", "probability": "bce"}
    kind, names = posed
    result = compare({"theirs": losses[kind], "ours": ours[kind]}, y=y, seeds=1, report="off", **settings)
    described = result.summary["data"]["arrays"]
    assert (kind, names) == (described["problem"], names_of(described))
    assert f": {kind}, 2 arms" in repr(result)
    headline = {"single_label": "accuracy", "multi_label": "micro_f1", "regression": "r2", "probability": "nll"}[kind]
    assert all(arm["metrics"][f"test_{headline}"]["mean"] is not None for arm in result.arms.values())


def names_of(described: Any) -> list[str]:
    return [each["name"] for each in described["classes"] or described["targets"]]


def test_values_are_those_that_were_handed_over(compare: Callable[..., clsbench.Result]) -> None:
    """Whole numbers taken for values are not the numbers of their classes."""
    result = compare(["mse"], y=10 * Y, problem="regression", seeds=1, report="off")
    (described,) = result.summary["data"]["arrays"]["targets"]
    assert (0.0, 20.0) == (described["min"], described["max"])


def test_a_loss_that_does_not_fit_says_what_was_found(compare: Callable[..., clsbench.Result]) -> None:
    """The problem that was taken for another is named, with what can be done."""
    said = "150 rows hold 0 or 1 in the 3 columns '0', '1' and '2', so they are read as multi_label, and cross_entropy"
    with pytest.raises(DataError, match=f"{said} .* loss=bce, else dataset.problem=single_label takes the column"):
        compare(["cross_entropy"], y=np.eye(3)[Y])
    with pytest.raises(ConfigError, match=r"dataset.problem: must be .* got .singel_label."):
        compare(["cross_entropy"], problem="singel_label")


def coupled(logits: Any, targets: Any) -> Any:
    return nn.functional.cross_entropy(logits - logits.mean(0), targets, reduction="none")


def flat(logits: Any, targets: Any) -> Any:
    return (logits.relu() * 0).sqrt().sum() + missed(logits, targets)


def broken(logits: Any, targets: Any) -> Any:
    return logits @ targets


class Together(nn.Module):
    """A module that looks at the whole batch, in evaluation too."""

    def __init__(self, shape: tuple[int, ...], outputs: int) -> None:
        super().__init__()
        self.inner = nn.Linear(shape[0], outputs)

    def forward(self, x: Any) -> Any:
        return self.inner(x - x.mean(0))


@pytest.mark.parametrize(
    ("losses", "settings", "message"),
    [
        ({"a": broken}, {}, r"^loss a \(test_comparing.py:\d+\) raises RuntimeError: .*; it is given logits \[B, C\]"),
        ({"a": flat}, {}, r"^loss a \(test_comparing.py:\d+\) has a gradient that is not finite, .* the log of zero"),
        ({"a": coupled}, {}, r"^loss a \(test_comparing.py:\d+\) gives a sample another loss when other samples are"),
        ({"a": nn.MSELoss()}, {}, r"^loss a \(loss.py:\d+\) raises RuntimeError: "),
        ({"a": nn.CrossEntropyLoss}, {}, r"^loss 'a' is the class CrossEntropyLoss; give an object of it, "),
        ({"a": nn.Linear(3, 3)}, {}, "^loss 'a' has parameters, which are not trained"),
        ({"a": lambda logits: 0}, {}, r"^loss 'a' takes \(logits\) by position .* \(test_comparing.py:\d+\)$"),
        ({"a": 3}, {}, "^loss 'a' is 3; give a name, a function or a dict with `name`$"),
        ({"a": "cross_entropi"}, {}, "^loss.name: unknown loss 'cross_entropi'; did you mean 'cross_entropy'"),
        ({1: missed}, {}, "^losses: the label 1 is not text; give text"),
        ("cross_entropy", {}, "^losses is a str; give a dict, {label: loss}, or a list$"),
        ({"a": missed}, {"epoch": 3}, "^unknown setting 'epoch'; did you mean 'epochs'"),
        ({"a": missed}, {"epochs": -3}, "^train.epochs: must be at least 1, got -3$"),
        ({"a": missed}, {"lr": 0.1, "optimizer": {"lr": 1.0}}, "^lr is given twice, also in optimizer; leave one out$"),
        ({"a": missed}, {"model": nn.Linear(64, 3)}, r"^model 'Linear' is a Linear; give a function that makes a new "),
        (
            {"a": missed},
            {"model": Together},
            r"^model Together \(test_comparing.py:\d+\) gives a sample other logits in",
        ),
    ],
)
def test_what_cannot_be_compared_is_refused_at_start(
    losses: Any, settings: dict[str, Any], message: str, compare: Callable[..., clsbench.Result], tmp_path: Path
) -> None:
    """Mistakes of what is handed over are told with their place before anything is trained or written."""
    with pytest.raises(ConfigError, match=message):
        compare(losses, **settings)
    assert [] == list(tmp_path.iterdir())


def narrow(shape: tuple[int, ...], outputs: int) -> nn.Module:
    return nn.Sequential(nn.Linear(shape[0], 4), nn.Tanh(), nn.Linear(4, outputs))


def test_models_of_ones_own_are_trained_and_loaded(compare: Callable[..., clsbench.Result]) -> None:
    """A list of models makes comparisons, and a trained network is had again."""
    result = compare(["cross_entropy"], model=["linear", narrow], seeds=1, optimizer="adam", lr=0.01, normalize="none")
    assert {"linear", "narrow"} == {arm["model"] for arm in result.arms.values()}
    module, predict = clsbench.load_model(result.directory, 1)
    assert [nn.Linear, nn.Tanh, nn.Linear] == [type(layer) for layer in module]  # type: ignore[arg-type]
    numbers = module(torch.tensor(X, dtype=torch.float32)).argmax(-1)  # not normalised
    assert list(map(str, numbers.tolist())) == predict(X).classes

    def other(shape: tuple[int, ...], outputs: int) -> nn.Module:
        return nn.Sequential(nn.Linear(shape[0], 4), nn.ReLU(), nn.Linear(4, outputs))

    other.__name__ = "narrow"
    compare(["cross_entropy"], model=other, seeds=1, epochs=1)
    with pytest.raises(RunError, match=r"^model 'narrow\(\)' is another function than that of .*; hand that one over"):
        clsbench.load_model(result.directory, 1)


@pytest.mark.fork
def test_forks_have_what_is_handed_over_and_others_do_not(
    compare: Callable[..., clsbench.Result], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Workers that are forks train it; where this process cannot be forked, it trains alone."""
    monkeypatch.setattr(execute, "cores", lambda: 2)
    alone, forked = (compare({"mine": missed, "ce": "cross_entropy"}, jobs=jobs) for jobs in (1, 2))
    monkeypatch.setattr(processes, "can_fork", lambda: False)
    spawned = compare({"mine": missed, "ce": "cross_entropy"}, jobs=2)
    first, *others = ([{**record, "seconds": None} for record in run.records] for run in (alone, forked, spawned))
    assert [first] * 2 == others
    processes_of = ["in 2 processes" in (run.directory / "run.log").read_text() for run in (alone, forked, spawned)]
    assert [False, True, False] == processes_of


def times(factor: float) -> Callable[[Any, Any], Any]:
    return lambda logits, targets: factor * missed(logits, targets)


class Stop(Exception): ...


def test_resume_needs_the_same_things(
    compare: Callable[..., clsbench.Result], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A run goes on with the same function and data; another function, other data, or none are refused."""
    from clsbench.execution.events import StackDone
    from clsbench.registry import catalogue

    def stopped(*_: Any) -> Any:
        def watch(plan: Any, event: Any) -> None:
            if isinstance(event, StackDone):
                raise Stop

        return watch

    with monkeypatch.context() as patch:
        patch.setattr("clsbench.comparing.watcher", stopped)
        with pytest.raises(Stop):
            compare({"mine": times(1.0), "ce": "cross_entropy"})
    (run,) = (tmp_path / "compare").iterdir()
    with pytest.raises(RunError, match=r"loss 'mine\(\)' changed; start a new run"):
        compare({"mine": times(2.0), "ce": "cross_entropy"}, resume=run)
    with pytest.raises(RunError, match="the data of dataset 'arrays': training split differs; start a new run"):
        compare({"mine": times(1.0), "ce": "cross_entropy"}, X**2, resume=run)
    for known in (catalogue._specs, catalogue._canonical):
        del known["loss"]["mine()"]  # type: ignore[attr-defined]
    with pytest.raises(RunError, match=r"'mine' was handed over in Python; call clsbench.compare with it again, and "):
        clsbench.run(resume=run)
    resumed = compare({"mine": times(1.0), "ce": "cross_entropy"}, resume=run)
    assert (run, "finished") == (resumed.directory, resumed.summary["status"])


def test_a_result_shows_itself(compare: Callable[..., clsbench.Result]) -> None:
    """HTML holds the arms, their test accuracy and their curves, escaped, in a few kilobytes; rows are flat."""
    result = compare({"<b>&": missed, "ce": "cross_entropy"})
    shown = result._repr_html_()
    assert "&lt;b&gt;&amp;" in shown
    assert "<b>&" not in shown.replace("<b>&lt;", "")
    assert 3 == shown.count("test accuracy</text>") + shown.count("test NLL</text>") + shown.count("train NLL</text>")
    assert not {"http", "<script", "src="} & {part for part in ("http", "<script", "src=") if part in shown}
    assert len(shown) < 30_000
    row = result.table()[1]
    assert (result.arms["ce"]["metrics"]["test_accuracy"]["mean"], "ce") == (row["test_accuracy"], row["arm"])
    curve = [row for row in result.curves("test_accuracy") if row["arm"] == "ce"]
    assert [0, 1, 2] == [row["epoch"] for row in curve]
    assert result.arms["ce"]["metrics"]["test_accuracy"]["mean"] == curve[-1]["mean"]
    with pytest.raises(ConfigError, match="unknown metric 'test_acuracy'; did you mean 'test_accuracy'"):
        result.curves("test_acuracy")
    assert 3 == len(result.plot().get_axes())


class Softmax(nn.Sequential):
    """A network that applies softmax itself."""

    def __init__(self, shape: tuple[int, ...], outputs: int) -> None:
        super().__init__(nn.Linear(shape[0], outputs), nn.Softmax(-1))


def test_probabilities_and_sums_are_warned_of(compare: Callable[..., clsbench.Result]) -> None:
    """A model that applies softmax itself, and a loss that is a sum, are trained and warned of, with their line."""
    losses = {"sum": nn.CrossEntropyLoss(reduction="sum"), "mean": nn.CrossEntropyLoss(), "ce": "cross_entropy"}
    result = compare(losses, model=Softmax, seeds=1, epochs=1)
    assert [("probabilities", "Softmax"), ("batch-loss", "sum")] == [
        (each["code"], each["where"]) for each in result.summary["warnings"]
    ]
    assert "(test_comparing.py:" in result.summary["warnings"][0]["text"]
    assert "returns probabilities" in result._repr_html_()
    assert [] == compare(losses, model=Softmax, seeds=1, silence=["probabilities", "batch-loss"]).summary["warnings"]


def test_divergence_at_once_says_what_to_look_for(compare: Callable[..., clsbench.Result]) -> None:
    """A loss that is infinite at the first weights, and one whose first step leaps, are told apart."""

    def zero(logits: Any, targets: Any) -> Any:
        return missed(logits, targets) + torch.where(logits.abs().amax() > 100, torch.inf, 0.0)

    shown = compare(
        {"leaps": {"name": "mse_logits", "lr": 1e30}, "zero": zero}, 1e6 * X, normalize="none"
    )._repr_html_()
    assert "leaps diverged after its first step at 2 of 2 seeds; lower its lr." in shown.replace("</svg> ", "")
    assert "diverged before its first step at 2 of 2 seeds; its loss or gradient is not finite where" in shown
