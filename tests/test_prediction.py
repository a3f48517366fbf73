"""Trained networks on raw samples: by `load_model`, as a table of predictions, and exported to a file."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import clsbench
from clsbench.data.raw import Column, RawData
from clsbench.errors import DataError
from clsbench.registry import catalogue

CITIES = ("Bern", "Oslo", "Rome")


@pytest.fixture(scope="module", autouse=True)
def trips() -> Iterator[None]:
    """A data set of a script: a number, a city, a boolean, and missing values; gone after this module."""
    with pytest.MonkeyPatch.context() as patch:
        for name in ("_specs", "_canonical"):
            patch.setattr(catalogue, name, {kind: dict(known) for kind, known in getattr(catalogue, name).items()})
        clsbench.dataset("trips")(a_trip)
        yield


def a_trip(seed: int) -> RawData:
    """Two hundred trips."""
    rng = np.random.default_rng(3)
    city = rng.integers(0, 3, 200)
    x = np.column_stack([rng.normal(1e4, 300, 200) + 200 * city, city, rng.integers(0, 2, 200)])
    x[rng.random(x.shape) < 0.05] = np.nan
    columns = (Column("km"), Column("city", "category", CITIES), Column("paid", "boolean"))
    return RawData(x, (city == 1) * 1, 2, ("no", "yes"), columns=columns, fill="mean")


@pytest.fixture(scope="module")
def result(trips: None, tmp_path_factory: pytest.TempPathFactory) -> clsbench.Result:
    """Two losses on it, one of which gives no probabilities."""
    config = {"dataset": "trips", "model": "linear", "loss": ["cross_entropy", "hinge"], "report": "off"}
    return clsbench.run({**config, "train": {"epochs": 3, "seeds": 1}}, output=tmp_path_factory.mktemp("runs"))


def rows() -> list[list[Any]]:
    return [[10_100.0, "Oslo", True], [9_800.0, "Rome", False], [10_050.0, "Paris", True], [None, "Bern", False]]


class Frame:
    """The little of a data frame that is used: its columns' names, and a column by its name."""

    def __init__(self, columns: Mapping[str, list[Any]]) -> None:
        self.known = columns

    @property
    def columns(self) -> list[str]:
        return list(self.known)

    def __getitem__(self, name: str) -> list[Any]:
        return self.known[name]


def test_data_frame_and_table_of_objects_agree(result: clsbench.Result) -> None:
    """Columns of a data frame are found by name, in any order; text categories and missing values are understood."""
    _, predict = clsbench.load_model(result.directory, 0)
    km, city, paid = map(list, zip(*rows(), strict=True))
    frame = Frame({"paid": paid, "extra": ["?"] * 4, "city": city, "km": km})
    objects = np.array(rows(), dtype=object)
    assert predict(frame).classes == predict(objects).classes
    np.testing.assert_array_equal(predict(frame).probabilities, predict(objects).probabilities)


def test_probabilities_are_those_of_the_prepared_samples(result: clsbench.Result) -> None:
    """Prepared by hand, the network gives the same: unknown categories are all zero, a missing number is the mean."""
    module, predict = clsbench.load_model(result.directory, 0)
    preparation = predict.required_preparation()
    km = [(value if value is not None else preparation.fill[0]) for value, *_ in rows()]
    scaled = (np.array(km) - preparation.shift[0]) / preparation.scale[0]
    one_hot = [[city == name for name in CITIES] for _, city, _ in rows()]
    inputs = np.column_stack([scaled, np.array(one_hot, float), [paid for *_, paid in rows()]])
    with torch.no_grad():
        expected = module(torch.tensor(inputs, dtype=torch.float32)).softmax(-1)
    found = predict(np.array(rows(), dtype=object))
    np.testing.assert_allclose(found.probabilities, expected, rtol=1e-5)
    assert [("no", "yes")[int(row.argmax())] for row in expected] == found.classes


@pytest.mark.parametrize(
    ("samples", "said"),
    [
        (np.zeros((4, 2)), r"the samples have shape \[4, 2\]; give \[samples, 3\]"),
        (Frame({"km": [1.0], "paid": [True]}), "the samples have no column 'city'"),
        (
            np.array([["far", "Oslo", True]], dtype=object),
            "row 0 of the samples: column 'km' has 'far'; it must be a finite number",
        ),
        (np.zeros((4, 3)), "column 'city' is a category: give its text"),
        (
            np.array([[np.inf, "Oslo", True]], dtype=object),
            "row 0 of the samples: column 'km' has inf; it must be a finite number",
        ),
    ],
)
def test_samples_that_do_not_fit_are_refused(result: clsbench.Result, samples: Any, said: str) -> None:
    """The message names the column, and what is missing or wrong."""
    _, predict = clsbench.load_model(result.directory, 0)
    with pytest.raises(DataError, match=said):
        predict(samples)


def test_predictions_of_every_trial_give_the_recorded_accuracy(
    result: clsbench.Result, invoke: Callable[..., Any], tmp_path: Path
) -> None:
    """`report --predictions` has a row for each trial and test sample; its share of right ones is the run's own."""
    file = tmp_path / "predictions.csv"
    assert 0 == invoke("report", result.directory, "--predictions", file).exit_code
    with open(file, newline="") as text:
        table = list(csv.DictReader(text))
    for name, arm in result.arms.items():
        mine = [row for row in table if row["arm"] == name]
        right = [row["target"] == row["prediction"] for row in mine]
        assert (40, arm["metrics"]["test_accuracy"]["mean"]) == (len(right), sum(right) / len(right))
        assert all((row["p[yes]"] == "") == (name == "hinge") for row in mine)


def test_predicted_probabilities_are_listed_once(invoke: Callable[..., Any], tmp_path: Path) -> None:
    """Each in a column beside its target, from which the recorded RMSE follows."""
    config = {"dataset": {"name": "blobs", "samples": 60, "problem": "probability"}, "loss": "bce", "report": "off"}
    result = clsbench.run({**config, "model": "linear", "train": {"epochs": 1, "seeds": 1}}, output=tmp_path)
    file = tmp_path / "predictions.csv"
    assert 0 == invoke("report", result.directory, "--predictions", file).exit_code
    with open(file, newline="") as text:
        table = list(csv.DictReader(text))
    targets, predictions = ([f"{what}[{number}]" for number in range(3)] for what in ("target", "prediction"))
    assert {"run", "trial", "arm", "seed", "row", *targets, *predictions} == set(table[0])
    errors = [[float(row[a]) - float(row[b]) for a, b in zip(targets, predictions, strict=True)] for row in table]
    rmse = np.sqrt(np.mean(np.square(errors), 0)).mean()
    assert pytest.approx(result.table()[0]["test_rmse"], rel=1e-6) == rmse


def test_exported_network_takes_raw_samples(
    result: clsbench.Result, invoke: Callable[..., Any], tmp_path: Path
) -> None:
    """The file is loaded without clsbench's classes and gives the run's probabilities, for any number of samples."""
    file = tmp_path / "model.pt2"
    done = invoke("export", result.directory, 0, file)
    assert (0, True) == (done.exit_code, "float64 [N, 3] to probabilities of no, yes" in done.stdout)
    numbers = torch.tensor([[10_100.0, 1, 1], [9_800.0, 2, 0], [10_050.0, -1, 1], [torch.nan, 0, 0]]).double()
    _, predict = clsbench.load_model(result.directory, 0)
    module = torch.export.load(file).module()
    for samples in (numbers, numbers[:1], numbers.repeat(9, 1)):
        expected = predict.of_read(samples.numpy()).probabilities
        np.testing.assert_allclose(module(samples).numpy(), expected, rtol=1e-4, atol=1e-6)


def test_export_replaces_nothing_but_an_export(
    result: clsbench.Result, fails: Callable[..., str], tmp_path: Path
) -> None:
    """A file of another kind, and a trial that is not there, are refused before anything is written."""
    file = tmp_path / "notes.txt"
    file.write_text("mine")
    assert "is not an exported network" in fails(2, "export", result.directory, 0, file)
    assert "has no trial 7; they are numbered 0 to 1" in fails(6, "export", result.directory, 7, tmp_path / "a.pt2")
    assert "mine" == file.read_text()


def flowers(start: int, stop: int) -> str:
    """Rows with a number in German style, a colour, a truth value, and the class."""
    rows = [
        f'"{number % 17},{number % 10}";{("red", "blue", "white")[number % 3]};{str(number % 2 == 0).lower()};'
        f"{('tulip', 'rose')[(number * 7) % 3 == 0]}\n"
        for number in range(start, stop)
    ]
    return "length;colour;wild;kind\n" + "".join(rows)


@pytest.fixture(scope="module")
def tested(tmp_path_factory: pytest.TempPathFactory) -> clsbench.Result:
    """A table with a table of test samples beside it."""
    folder = tmp_path_factory.mktemp("flowers")
    (folder / "train.csv").write_text(flowers(0, 120))
    (folder / "test.csv").write_text(flowers(500, 541))
    dataset = {"name": "csv", "path": str(folder / "train.csv"), "test_path": str(folder / "test.csv")}
    config = {"dataset": dataset, "model": "mlp", "loss": ["cross_entropy", "hinge"], "report": "off"}
    return clsbench.run({**config, "train": {"epochs": 4, "seeds": 2}}, output=folder)


def test_predict_on_the_tested_file_gives_the_runs_accuracy(
    tested: clsbench.Result, invoke: Callable[..., Any]
) -> None:
    """To the last digit, for every trial."""
    file = Path(tested.directory).parent.parent / "test.csv"
    kinds = [line.rpartition(";")[2] for line in file.read_text().splitlines()[1:]]
    last = {record["trial"]: record["test_accuracy"] for record in tested.records}
    for trial, accuracy in last.items():
        done = invoke("predict", tested.directory, trial, file, "--json")
        answers = [row["prediction"] for row in json.loads(done.stdout)]
        right = sum(answer == kind for answer, kind in zip(answers, kinds, strict=True))
        assert accuracy == right / len(kinds)


def test_predict_takes_new_rows_by_column_name(
    tested: clsbench.Result, invoke: Callable[..., Any], tmp_path: Path
) -> None:
    """Columns in another order and without the class, colours never seen; the default is the best by validation."""
    file = tmp_path / "new.csv"
    file.write_text('wild;colour;length\ntrue;green;"3,5"\nfalse;red;"1,0"\n')
    out = tmp_path / "out.csv"
    done = invoke("predict", tested.directory, file, "--output", out)
    best = max((record for record in tested.records if record["status"] == "finished"), key=lambda r: r["val_accuracy"])
    assert f"2 samples, by trial {best['trial']}" in done.stdout
    with open(out, newline="") as text:
        rows = list(csv.DictReader(text))
    assert ["0", "1"] == [row["sample"] for row in rows]
    assert all(row["prediction"] in ("rose", "tulip") for row in rows)


def test_marks_of_the_table_that_was_trained_on_are_kept(
    tested: clsbench.Result, invoke: Callable[..., Any], tmp_path: Path
) -> None:
    """What could be thousands is a fraction, as in training; a table that plainly has other marks is read, and said."""
    file = tmp_path / "new.csv"
    asked = ("predict", tested.directory, 0, file, "--json")
    file.write_text('length;colour;wild\n"3,500";red;true\n"1,250";blue;false\n')
    doubtful = invoke(*asked)
    file.write_text("length,colour,wild\n3.5,red,true\n1.25,blue,false\n")
    other = invoke(*asked)
    assert (0, "") == (doubtful.exit_code, doubtful.stderr)
    assert json.loads(doubtful.stdout) == json.loads(other.stdout)
    assert "new.csv: read with delimiter ',' and decimal mark '.'; the table that was trained on" in other.stderr
    file.write_text("length;colour;wild\n3.5;red;true\n1.25;blue;false\n")
    assert "has delimiter ';' and decimal mark ','" in invoke(*asked).stderr


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("colour;wild\nred;true\n", "new.csv:1: there is no column 'length'"),
        ("length;colour;wild\n1;red;true\nlong;red;true\n", "new.csv:3: column 'length' has 'long'"),
        ('length;colour;wild\n"1,0";;true\n', "new.csv:2: column 'colour' has ''; it must be a category"),
    ],
)
def test_rows_that_do_not_fit_are_named(
    tested: clsbench.Result, fails: Callable[..., str], tmp_path: Path, text: str, said: str
) -> None:
    """File, line and column of what is wrong."""
    file = tmp_path / "new.csv"
    file.write_text(text)
    assert said in fails(4, "predict", tested.directory, 0, file)


def test_predict_on_images(invoke: Callable[..., Any], tmp_path: Path) -> None:
    """A folder of images, whatever their size and form, gets a class for each; they are named by their path."""
    from PIL import Image

    for split in ("train", "test"):
        for name, level in (("dark", 30), ("light", 220)):
            folder = tmp_path / "images" / split / name
            folder.mkdir(parents=True)
            for number in range(12):
                Image.new("L", (9, 7), level + number).save(folder / f"{number}.png")
    dataset = {"name": "image_folder", "path": str(tmp_path / "images"), "image_size": 4}
    config = {"dataset": dataset, "model": "linear", "silence": ["constant-images"], "report": "off"}
    result = clsbench.run({**config, "loss": "cross_entropy", "train": {"epochs": 20, "seeds": 1}}, output=tmp_path)
    done = invoke("predict", result.directory, 0, tmp_path / "images" / "test", "--json")
    rows = json.loads(done.stdout)
    right = [row["prediction"] == Path(row["sample"]).parent.name for row in rows]
    assert (24, result.arms["cross_entropy"]["metrics"]["test_accuracy"]["mean"]) == (len(rows), sum(right) / 24)
