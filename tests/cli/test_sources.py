"""Files that the user names: where a relative path leads, what is no file, how long a config may be."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

import clsbench
from clsbench.config.dump import as_yaml
from clsbench.config.yaml_text import MAX_CHARACTERS
from clsbench.errors import ConfigError
from clsbench.experiment import read
from clsbench.registry import PathOption

Fails = Callable[..., str]
Invoke = Callable[..., Any]

CSV = "dataset: {name: csv, path: t.csv}\nmodel: linear\ntrain: {epochs: 1, seeds: 1, device: cpu}\n"
TABLE = "x,y,class\n" + "".join(f"{n % 7},{n % 5},{n % 2}\n" for n in range(60))


@pytest.fixture
def apart(here: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A config and its table in `experiments/`, another table of that name in the working directory."""
    (here / "experiments").mkdir()
    (here / "experiments" / "c.yaml").write_text(CSV)
    (here / "experiments" / "t.csv").write_text(TABLE)
    (here / "t.csv").write_text("not,a,table\n")
    return here


def _path(config: Any, *overrides: str) -> str:
    (dataset,) = read(config, overrides).dataset
    return str(dataset.options["path"])


def test_path_is_relative_to_what_gives_it(apart: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In a file to its folder, in an override and in Python to the working directory; `~` is the home folder."""
    file = Path("experiments") / "c.yaml"
    assert str(apart / "experiments" / "t.csv") == _path(file)
    assert str(apart / "t.csv") == _path(file, "dataset.path=t.csv")
    assert str(apart / "experiments" / "t.csv") == _path(file, "dataset.target=class")
    assert str(apart / "t.csv") == _path(file, "dataset={name: csv, path: t.csv}")
    assert str(apart / "t.csv") == _path({"dataset": {"name": "csv", "path": "t.csv"}})
    assert "/data/t.csv" == _path(file, "dataset.path=/data/t.csv")
    monkeypatch.setenv("HOME", "/home/a")
    assert "/home/a/t.csv" == _path(file, "dataset.path=~/t.csv")


def test_paths_of_a_sweep_and_of_a_plugin(apart: Path) -> None:
    """Each entry of a list has its own; an option of the user's is a path by its annotation, and may be null."""

    @clsbench.dataset("mine")
    def mine(seed: int, *, folder: PathOption | None = None, word: str = "a/b") -> None:
        """Mine."""

    text = "dataset: [{name: mine, folder: a}, {name: mine, folder: null, label: none}, {name: mine, label: default}]\n"
    (apart / "experiments" / "p.yaml").write_text(text)
    options = [entry.options for entry in read("experiments/p.yaml").dataset]
    assert [str(apart / "experiments" / "a"), None, None] == [each["folder"] for each in options]
    assert {"a/b"} == {each["word"] for each in options}


def test_run_is_resumed_from_anywhere(apart: Path, invoke: Invoke, monkeypatch: pytest.MonkeyPatch) -> None:
    """A run keeps its paths in full: it resumes, and its config runs again, from another folder on the same table."""
    assert 0 == invoke("run", "experiments/c.yaml", "--quiet").exit_code
    (run,) = (apart / "runs" / "moons").iterdir()
    records = clsbench.load(run).records
    (run / "summary.json").unlink()
    monkeypatch.chdir("/")
    assert 0 == invoke("run", "--resume", run).exit_code
    assert 0 == invoke("run", run / "config.yaml", "--output", apart / "again").exit_code
    (again,) = (apart / "again" / "moons").iterdir()
    for other in (run, again):
        found = [{**record, "seconds": 0.0} for record in clsbench.load(other).records]
        assert [{**record, "seconds": 0.0} for record in records] == found


@pytest.mark.parametrize("name", ["pipe", "/dev/zero", "/dev/tty", "."])
def test_what_is_no_file_is_refused_at_once(name: str, here: Path, fails: Fails) -> None:
    """A FIFO, a device and a folder are neither config nor plugin: 2, and nothing is waited for."""
    os.mkfifo(here / "pipe")
    if not os.path.exists(name) or (name == "/dev/tty" and not stat.S_ISCHR(os.stat(name).st_mode)):
        pytest.skip("no such device")
    reason = {"pipe": "it is a FIFO", ".": "Is a directory"}.get(name, "it is a device")
    assert f"{name}: cannot be read: {reason}; give a YAML file" == fails(2, "check", name)
    line = f"plugin {name}: cannot be read: {reason}; give a Python file"
    assert line == fails(2, "check", "tiny.yaml", "--plugin", name)


def test_file_without_end_is_read_no_further(here: Path, fails: Fails) -> None:
    """A config of more characters than any has is 2, whatever its size."""
    with open(here / "long.yaml", "wb") as file:
        file.truncate(2**40)
    assert "long.yaml: cannot be read: longer than 4,000,000 bytes; give a YAML file" == fails(2, "check", "long.yaml")


def test_override_longer_than_any_path(here: Path, invoke: Invoke, fails: Fails) -> None:
    """An override in the place of CONFIG is looked for as a file only where it can be one."""
    override = f"expect=[{', '.join(['cross_entropy.diverged == 0'] * 300)}]"
    assert 0 == invoke("run", "tiny.yaml", "--quiet").exit_code
    (run,) = (here / "runs" / "moons").iterdir()
    assert 0 == invoke("run", override, "--resume", run, "--quiet").exit_code
    line = fails(2, "run", override)
    assert line.endswith("...: cannot be read: File name too long; give a YAML file")
    assert len(line) < 200


def test_long_config_that_runs_reads_back(here: Path) -> None:
    """Written with every default it is many times as long, and is read again."""
    text = "model: linear\nloss: cross_entropy\ntrain: {seeds: 1}\ndataset:\n"
    (here / "long.yaml").write_text(text + "".join(f"- {{name: moons, label: d{n}}}\n" for n in range(300)))
    experiment = read("long.yaml")
    written = here / "config.yaml"
    written.write_text(as_yaml(experiment.to_dict()), encoding="utf-8")
    assert 3 * (here / "long.yaml").stat().st_size < written.stat().st_size
    assert experiment == read(written)


def test_config_that_could_not_be_read_back_is_refused(
    here: Path, fails: Fails, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the written form is too long, `check` and `run` say so before anything is made."""
    for module in ("yaml_text", "dump"):
        monkeypatch.setattr(f"clsbench.config.{module}.MAX_CHARACTERS", 2000)
    entries = [{"name": "moons", "label": f"d{n}"} for n in range(30)]
    (here / "long.yaml").write_text(yaml.dump({"dataset": entries, "loss": "bce"}))
    for verb in ("check", "run"):
        line = fails(2, verb, "long.yaml")
        assert "long.yaml:1:1: with every default filled in, the experiment has " in line
        assert line.endswith(" and 2,000 can be read; split it into several")
    assert {"tiny.yaml", "long.yaml"} == set(os.listdir(here))
    assert 1_000_000 == MAX_CHARACTERS


def test_nested_text_that_no_file_can_hold(here: Path) -> None:
    """An unpaired surrogate deep in a Python value is refused before the run is made."""

    @clsbench.dataset("listed")
    def listed(seed: int, *, words: list[str]) -> None:
        """Listed."""

    with pytest.raises(ConfigError, match=r"words: .* contains an unpaired surrogate"):
        read({"dataset": {"name": "listed", "words": ["a", "\udcff"]}})


@pytest.mark.parametrize(
    ("key", "where"),
    [
        ("\udcff", "the key"),
        ("model.\udcff.hidden", "model: the key"),
        ("train.\udcff", "train: the key"),
        ("tune.grid.\udcff", "tune.grid: the key"),
    ],
)
def test_key_that_no_file_can_hold(key: str, where: str) -> None:
    """An unpaired surrogate in a key is refused, of an override as of a Python mapping."""
    tree: Any = 1
    for part in reversed(key.split(".")):
        tree = {part: tree}
    with pytest.raises(ConfigError, match=rf"{where} '.udcff' contains an unpaired surrogate"):
        read({"model": {"name": "mlp"}, **tree} if "model" not in tree else {"model": {"name": "mlp", **tree["model"]}})
    with pytest.raises(ConfigError, match=rf"{where} '.udcff' contains an unpaired surrogate"):
        read("moons", [f"{key}=1"])
