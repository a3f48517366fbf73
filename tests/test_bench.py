"""`scripts/bench.py`: what it writes, and what it refuses to compare."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

SCRIPTS = Path(__file__).resolve().parent.parent / "scripts"


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """The script as a module, its parts importable; the number of threads and the environment are put back."""
    monkeypatch.syspath_prepend(str(SCRIPTS))
    monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "1")
    threads = torch.get_num_threads()
    import bench

    yield bench
    torch.set_num_threads(threads)
    for name in [name for name in sys.modules if name.partition(".")[0] in {"bench", "benchmark"}]:
        monkeypatch.delitem(sys.modules, name)


def test_every_contender_is_measured_in_turn(bench: Any, tmp_path: Path) -> None:
    """A part's JSON has the time of every repeat, the accuracy and the machine's load beside it."""
    file = tmp_path / "bench.json"
    assert 0 == bench.main(["small", "--quick", "--repeats", "1", "--json", str(file)])
    report = json.loads(file.read_text())
    assert (1, True, torch.__version__.partition("+")[0]) == (
        report["repeats"],
        report["quick"],
        report["machine"]["torch"].partition("+")[0],
    )
    (race,) = report["parts"]["small"]["races"].values()
    assert ("us per trial and step", 1) == (race["unit"], len(race["load"]))
    named = {"PyTorch, DataLoader loop", "PyTorch, tensors in memory", "scikit-learn MLPClassifier"}
    assert named | {"clsbench eager, 2 trials"} <= race["lines"].keys()
    for line in race["lines"].values():
        assert 0 < line["min"] == line["median"] == line["max"]
        assert 0.8 < line["accuracy"][0] <= 1


def test_commands_are_measured_with_their_bytecode_kept(bench: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """As an installed package has it: where Python is told to keep none, each command would compile clsbench anew."""
    from benchmark import startup
    from benchmark.figures import Options, Result

    found: list[bool] = []

    def measure(options: Options) -> Result:
        found.append("PYTHONDONTWRITEBYTECODE" in os.environ)
        return Result({}, [], [])

    monkeypatch.setattr(startup, "measure", measure)
    assert 0 == bench.main(["startup", "--quick"])
    assert [False] == found


@pytest.mark.slow
def test_whole_commands_are_measured_beside_scripts(bench: Any, tmp_path: Path) -> None:
    """Each case has its script, which is as accurate, and clsbench; a quick part judges no ratios."""
    file = tmp_path / "bench.json"
    assert 0 == bench.main(["process", "--quick", "--repeats", "1", "--json", str(file)])
    part = json.loads(file.read_text())["parts"]["process"]
    cases = {title.partition(",")[0]: race["lines"].keys() - {"script in JAX"} for title, race in part["races"].items()}
    whole = {"plain script", "clsbench, compile=auto"}
    expected = {
        "(a) quickstart": {"import torch, sklearn.datasets", "clsbench, first line of the answer"},
        "(b) moons": whole,
        "(f) moons": {"clsbench, compile=auto", "clsbench, 1,000 trials"},
    }
    assert expected == cases
    assert ([], ["MNIST left out: give --data-dir, torchvision's root with MNIST in it"]) == (
        part["targets"],
        part["notes"],
    )


def test_contender_that_does_other_work_is_refused(
    bench: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A contender that is fast because it learns nothing ends the part: its name, exit code 1, no figures."""
    from benchmark import contenders, small
    from benchmark.figures import Outcome

    untrained = Outcome(1e-3, 0.5)
    monkeypatch.setattr(small, "clsbench_step", lambda *_: Outcome(1.0, 0.95))
    monkeypatch.setattr(contenders, "in_memory_loop", lambda task: untrained)
    file = tmp_path / "bench.json"
    assert 1 == bench.main(["small", "--quick", "--repeats", "1", "--json", str(file)])
    assert "refused: not the same work: accuracy PyTorch, tensors in memory 0.5000" in capsys.readouterr().out
    assert not file.exists()


def test_ratios_are_taken_turn_by_turn(bench: Any) -> None:
    """Noise that slows a whole turn cancels in its ratio; the median and the spread are over the turns."""
    from benchmark.figures import Outcome, race

    noise = iter([1.0, 1.0, 8.0, 8.0, 2.0, 2.0])
    run = race({"a": lambda: Outcome(3 * next(noise)), "b": lambda: Outcome(4 * next(noise))}, 3, unit="s")
    assert (0.75, 0.75, 0.75) == run.ratio("a", "b").values
    assert (3.0, 24.0, 6.0) == run.spread("a").values
    assert 6.0 == run.spread("a").median
    assert [True] == [target.met for target in run.target("a", "b", 0.75)]
    assert [] == run.target("a", "not installed", 1.0)


def test_accuracy_that_is_not_a_number_is_refused(bench: Any) -> None:
    """A comparison with NaN is never an agreement."""
    from benchmark.figures import RefusedError, agree

    agree({"a": 0.95, "b": 0.96, "c": None}, 0.02)
    with pytest.raises(RefusedError, match="b nan"):
        agree({"a": 0.95, "b": float("nan"), "c": 0.95}, 0.02)
