"""The file of records: torn lines, epochs trained again, and failures."""

from __future__ import annotations

import json
import tracemalloc
from pathlib import Path
from typing import Any

import pytest

from clsbench.errors import RunError
from clsbench.execution.events import fields
from clsbench.problems import SingleLabel
from clsbench.runs.directory import RunDirectory
from clsbench.runs.files import as_json_line
from clsbench.runs.records import RecordFile
from clsbench.runs.sums import Sums


def record(trial: int, epoch: int, **values: Any) -> dict[str, Any]:
    filled = {
        "trial": trial,
        "epoch": epoch,
        "step": 10 * epoch,
        "seconds": 0.1,
        "status": "running",
        "train_loss": 0.5,
        "arm": "é交",
        "loss": "hinge",
        "dataset": "moons",
        "model": "linear",
        "lr": 0.1,
        "seed": trial,
    }
    return {field: {**filled, **values}.get(field) for field in fields(SingleLabel(2))}


@pytest.fixture
def path(begun: RunDirectory) -> Path:
    """Two trials, epochs 0 to 2."""
    path = begun.path / "metrics.jsonl"
    for epoch in range(3):
        RecordFile(path).keep([record(0, epoch), record(1, epoch)])
    return path


def test_every_cut_leaves_the_whole_lines(path: Path) -> None:
    """Cut at any byte of a record or around one, the file reopens with whole records, and goes on without a double."""
    whole = path.read_bytes()
    ends = [place + 1 for place, byte in enumerate(whole) if byte == ord("\n")]
    around = (end + by for end in ends for by in (-2, -1, 0, 1))
    for cut in sorted({*range(*ends[1:3]), *around} & set(range(len(whole)))):
        path.write_bytes(whole[:cut])
        records = RecordFile(path)
        records.reopen()
        assert sum(end <= cut for end in ends) == (len(records.read()) if path.read_bytes() else 0)
        for epoch in range(3):
            records.keep([record(0, epoch), record(1, epoch)])
        assert sorted(whole.splitlines()) == sorted(path.read_bytes().splitlines())


def test_damage_of_what_was_on_disk_is_told(path: Path) -> None:
    """A record that was forced to disk and is another now is no tear: 6, to go on and to read, naming the file."""
    RecordFile(path).sync()
    whole = path.read_bytes()
    for place in range(0, len(whole), 97):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 4]) + whole[place + 1 :])
        for read in (RecordFile(path).read, RecordFile(path).reopen):
            with pytest.raises(RunError, match=r"metrics\.jsonl is damaged, or was edited: its SHA-256"):
                read()


def test_damage_of_what_a_crash_may_have_left_is_made_again(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Records that were not yet on disk may be anything after a crash: those before them are gone on from."""
    records = RecordFile(path)
    records.sync()
    records.keep([record(0, 3), record(1, 3)])
    kept, whole = len(path.read_bytes()), path.read_bytes()
    records.keep([record(0, 4), record(1, 4)])
    path.write_bytes(whole[:-40] + bytes(40) + path.read_bytes()[kept:])
    again = RecordFile(path)
    assert 4 == again.reopen()
    assert "were not forced to disk and are damaged" in caplog.text
    assert 6 == len(again.read())


def test_record_without_a_sum_is_gone_on_from_and_not_shown(path: Path) -> None:
    """Ended between a block and its sum, a run goes on with both; elsewhere what has no sum is not believed."""
    with open(path, "a", encoding="utf-8") as file:
        file.write(json.dumps(record(0, 3)) + "\n")
    with pytest.raises(RunError, match="its SHA-256 is not the run's"):
        RecordFile(path).read()
    again = RecordFile(path)
    assert 5 == again.reopen()
    assert 7 == len(again.read())


def test_any_flip_in_ordered_records_is_noticed(path: Path) -> None:
    """Ordered, the records have one sum, in the manifest."""
    RecordFile(path).order()
    assert not Sums(path).path.exists()
    whole = path.read_bytes()
    path.write_bytes(whole.replace(b"0.5", b"0.7", 1))
    for read in (RecordFile(path).read, RecordFile(path).order):
        with pytest.raises(RunError, match=r"metrics\.jsonl is damaged"):
            read()


@pytest.mark.parametrize("wrong", [{"trial": {}}, {"trial": "0"}, {"epoch": 1.0}, {"epoch": None}, {"status": 5}])
def test_record_of_another_kind_is_told(path: Path, wrong: dict[str, Any]) -> None:
    """What identifies a record is of the type that it has, or the record is damaged, whatever its sum."""
    line = as_json_line(record(0, 3) | wrong)
    with open(path, "ab") as file:
        file.write(line)
        Sums(path).add(file.tell(), line)
    for read in (RecordFile(path).read, RecordFile(path).reopen):
        with pytest.raises(RunError, match=r"metrics\.jsonl:7 is damaged: (trial|epoch|status) should be "):
            read()


def test_kept_epochs_are_counted(path: Path) -> None:
    """Epoch 0 is no training."""
    assert 4 == RecordFile(path).reopen()
    assert 0 == RecordFile(path.with_name("tuning.jsonl")).reopen()


def test_epoch_that_comes_out_differently_is_told(path: Path) -> None:
    """Trained again, an epoch must have the recorded numbers, its time apart, where bits are promised."""
    records, before = RecordFile(path), path.read_text()
    records.reopen()
    records.keep([record(0, 2, seconds=9.0)])
    with pytest.raises(RunError, match=r"epoch 2 of trial 1 changed .*: train_loss was 0\.5, and is 0\.25"):
        records.keep([record(1, 2, train_loss=0.25)])
    lenient = RecordFile(path, exact=False)
    lenient.reopen()
    lenient.keep([record(1, 2, train_loss=0.25)])
    assert before == path.read_text()


def test_failure_stands_after_the_last_epoch(path: Path) -> None:
    """A trial that fails sooner when tried again keeps its epochs; reopened, the failure is gone, for it is retried."""
    records = RecordFile(path)
    records.expect_again()
    records.keep_failure(record(1, 0, status="failed", step=0))
    last = records.read()[-1]
    assert (1, 3, 20, "failed") == tuple(last[key] for key in ("trial", "epoch", "step", "status"))
    assert 4 == records.reopen()
    assert 6 == len(records.read())


@pytest.mark.parametrize("again", [0, 1, 2, 3], ids=["nothing", "less", "as much", "more"])
@pytest.mark.parametrize("resumed", [False, True], ids=["in one process", "resumed"])
def test_failure_is_the_last_of_its_trial_however_far_it_came_again(path: Path, again: int, resumed: bool) -> None:
    """What is trained again before the failure is no reason to put it among the epochs that there are already."""
    records = RecordFile(path)
    records.reopen() if resumed else records.expect_again()
    for epoch in range(1, 1 + again):
        records.keep([record(1, epoch, seconds=float(epoch))])
    records.keep_failure(record(1, 1 + again, status="failed", step=10 * again, seconds=float(again)))
    records.order()
    *_, newest, last = (row for row in records.read() if row["trial"] == 1)
    epoch = max(2, again)
    assert (epoch, "running") == (newest["epoch"], newest["status"])
    assert (epoch + 1, 10 * epoch, "failed") == (last["epoch"], last["step"], last["status"])
    assert newest["seconds"] == last["seconds"]


@pytest.mark.parametrize("start", ["new", "reopened", "unread"])
def test_ordered_records_are_those_of_the_file(path: Path, start: str) -> None:
    """By epoch, then trial, the same whether they were just written, read before, or neither."""
    if start == "new":
        path.write_bytes(b"")
        Sums(path).path.unlink()
    records = RecordFile(path)
    if start == "reopened":
        records.reopen()
    for epoch in (4, 3):
        records.keep([record(1, epoch, train_loss=0.1 + epoch), record(0, epoch, train_loss=1e-300)])
    ordered = records.order()
    assert RecordFile(path).read() == ordered
    epochs = (3, 4) if start == "new" else range(5)
    assert [(trial, epoch) for epoch in epochs for trial in (0, 1)] == [(row["trial"], row["epoch"]) for row in ordered]


def test_failure_of_another_trial_stands_where_it_came(path: Path) -> None:
    """A trial that had no record before keeps the epoch of its own."""
    records = RecordFile(path)
    records.reopen()
    records.keep_failure(record(2, 0, status="failed", seconds=0.0))
    assert record(2, 0, status="failed", seconds=0.0) == records.read()[-1]


def test_records_are_ordered_and_read_in_bounded_memory(path: Path) -> None:
    """The file is neither held as text nor as lines: 20 MB of it take a quarter of that at most."""
    records = RecordFile(path.with_name("tuning.jsonl"))
    for trial in (1, 0):
        for epoch in range(1000):
            records.keep([record(trial, epoch, arm="x" * 10_000)])
    tracemalloc.start()
    try:
        ordered = records.order()
        read = RecordFile(records.path).read()
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert [(epoch, trial) for epoch in range(1000) for trial in (0, 1)] == [(r["epoch"], r["trial"]) for r in ordered]
    assert ordered == read
    assert 20e6 < records.path.stat().st_size
    assert peak < 5e6
