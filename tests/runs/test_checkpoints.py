"""Checkpoints: what counts, what is noticed, what is kept until when, and what is refused."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from clsbench.errors import RunError
from clsbench.execution.events import Checkpoint
from clsbench.runs.checkpoints import Checkpoints
from clsbench.runs.directory import RunDirectory
from clsbench.runs.evidence import Evidence
from clsbench.runs.manifest import ManifestFile
from clsbench.training.snapshot import Snapshot


def checkpoint(epoch: int, *trials: int, finished: bool = False) -> Checkpoint:
    rows = torch.tensor([[10.0 * trial + epoch] for trial in trials])
    return Checkpoint(trials, Snapshot(epoch, {"model.w": rows, "taken": rows}), 0.5, finished, False)


def evidence(*trials: int, epochs: int = 9) -> Evidence:
    batches = {trial: [f"{trial:032x}{epoch:032x}" for epoch in range(epochs)] for trial in trials}
    weights = {trial: {"w [1]": f"hash {trial}"} for trial in trials}
    return Evidence(weights, batches, dict.fromkeys(trials, "data"))


def phase(folder: Path, name: str = "metrics") -> Checkpoints:
    return Checkpoints(ManifestFile(folder.parent), name)


def save(checkpoints: Checkpoints, saved: Checkpoint, known: Evidence) -> None:
    """Save a checkpoint and make it count."""
    checkpoints.save(saved, known)
    checkpoints.list_saved()


def kept(folder: Path) -> dict[int, int]:
    """The epoch that each trial would go on from; what is read must be what was saved."""
    found = {}
    for each in phase(folder).newest():
        for place, trial in enumerate(each.checkpoint.trials):
            epoch = each.checkpoint.snapshot.epoch
            assert 10.0 * trial + epoch == each.checkpoint.snapshot.tensors["taken"][place].item()
            assert {"w [1]": f"hash {trial}"} == each.evidence.weights[trial]
            assert evidence(trial).batches[trial] == each.evidence.batches[trial]
            found[trial] = epoch
    return found


@pytest.fixture
def saved(begun: RunDirectory) -> Path:
    """Two trials, saved after epochs 3, 5 and 7."""
    for epoch in (3, 5, 7):
        save(begun.checkpoints("metrics"), checkpoint(epoch, 0, 1), evidence(0, 1))
    return begun.manifest.folder


def files(folder: Path) -> list[str]:
    """The names, each without the hash at its end."""
    return sorted(path.stem.rpartition("-")[0] for path in folder.glob("*.pt"))


def saved_at(folder: Path, epoch: int) -> Path:
    (path,) = folder.glob(f"metrics-00000-epoch-{epoch:05d}-*.pt")
    return path


def test_final_weights_are_read_file_by_file(saved: Path) -> None:
    """When a trial of it is asked for, each from the newest file that has it; a file that changed since is told."""
    save(phase(saved), checkpoint(9, 1), evidence(1))
    ended = phase(saved).ended()
    assert [0, 1] == sorted(ended)
    assert [7.0, 19.0, 7.0] == [ended[trial][0]["w"].item() for trial in (0, 1, 0)]
    saved_at(saved, 7).write_bytes(b"changed")
    assert 7.0 == ended[0][0]["w"].item()  # it is still held
    assert 19.0 == ended[1][0]["w"].item()
    assert 0 in ended  # which does not read it
    with pytest.raises(RunError, match="damaged"):
        ended[0]


def test_the_last_counts_and_the_one_before_stays(saved: Path) -> None:
    """Of many saves two files are kept, and the newest is read."""
    assert {0: 7, 1: 7} == kept(saved)
    assert ["metrics-00000-epoch-00005", "metrics-00000-epoch-00007"] == files(saved)


def test_phases_and_stacks_keep_to_themselves(saved: Path) -> None:
    """Another stack's or phase's save removes nothing; tidying leaves what is finished."""
    save(phase(saved, "tuning"), checkpoint(9, 0, 1, finished=True), evidence(0, 1))
    save(phase(saved), checkpoint(2, 2), evidence(2))
    assert {0: 7, 1: 7, 2: 2} == kept(saved)
    save(phase(saved), checkpoint(9, 0, 1, finished=True), evidence(0, 1))
    save(phase(saved), checkpoint(9, 2, finished=True), evidence(2))
    phase(saved).tidy()
    assert {0: 9, 1: 9, 2: 9} == kept(saved)
    assert [f"{name}-epoch-00009" for name in ("metrics-00000", "metrics-00002", "tuning-00000")] == files(saved)


def test_what_is_saved_counts_once_it_is_listed(saved: Path) -> None:
    """Several at once, in their order; before that, a reader has those of before, and so has one after a kill."""
    checkpoints = phase(saved)
    checkpoints.save(checkpoint(8, 0, 1), evidence(0, 1))
    checkpoints.save(checkpoint(9, 1), evidence(1))
    checkpoints.save(checkpoint(4, 2), evidence(2))
    assert {0: 7, 1: 7} == kept(saved)
    checkpoints.list_saved()
    assert {0: 8, 1: 9, 2: 4} == kept(saved)
    names = ["metrics-00000-epoch-00007", "metrics-00000-epoch-00008", "metrics-00001-epoch-00009"]
    assert [*names, "metrics-00002-epoch-00004"] == files(saved)


def test_trials_saved_apart_go_on_from_their_own(saved: Path) -> None:
    """A part of a stack that came further goes on from there; the rest from what the whole left."""
    save(phase(saved), checkpoint(8, 1), evidence(1))
    assert {0: 7, 1: 8} == kept(saved)


def test_half_at_the_epoch_of_its_stack_takes_nothing_from_it(
    begun: RunDirectory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both begin with one trial: cut off before the half counts, the whole still does; after, for the others."""
    checkpoints = begun.checkpoints("metrics")
    save(checkpoints, checkpoint(5, 0, 1, 2, 3), evidence(0, 1, 2, 3))
    with monkeypatch.context() as patch:
        patch.setattr(checkpoints, "_list", lambda entries: None)
        save(checkpoints, checkpoint(5, 0, 1), evidence(0, 1))
    assert dict.fromkeys(range(4), 5) == kept(begun.manifest.folder)
    save(checkpoints, checkpoint(5, 0, 1), evidence(0, 1))
    save(checkpoints, checkpoint(6, 0, 1), evidence(0, 1))
    assert {0: 6, 1: 6, 2: 5, 3: 5} == kept(begun.manifest.folder)


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(data=st.data())
def test_any_damage_is_noticed(saved: Path, data: st.DataObject) -> None:
    """Cut anywhere, or a bit flipped anywhere, the file does not count; the one before does."""
    path = saved_at(saved, 7)
    whole = path.read_bytes()
    place = data.draw(st.integers(0, len(whole) - 1))
    flipped = bytes([whole[place] ^ (1 << data.draw(st.integers(0, 7)))])
    path.write_bytes(data.draw(st.sampled_from([whole[:place], whole[:place] + flipped + whole[place + 1 :]])))
    try:
        assert {0: 5, 1: 5} == kept(saved)
    finally:
        path.write_bytes(whole)


def test_missing_file_is_passed_over(saved: Path) -> None:
    """Where the newest is gone, the one before is used; where all are, nothing is."""
    os.unlink(saved_at(saved, 7))
    assert {0: 5, 1: 5} == kept(saved)
    os.unlink(saved_at(saved, 5))
    assert {} == kept(saved)


@pytest.mark.parametrize("text", [b"", b"{", b"[{}]", b'{"file": "a"}', b"\xff", b'[{"file": "../../etc/passwd"}]'])
def test_damaged_manifest_vouches_for_nothing(saved: Path, text: bytes) -> None:
    """Without a whole manifest no file is loaded: 6, and how it is made anew."""
    (saved / "manifest.json").write_bytes(text)
    with pytest.raises(RunError, match=r"manifest\.json is damaged: .*`clsbench run --resume .*` rebuilds it"):
        kept(saved)


class Payload:
    def __reduce__(self) -> Any:
        return os.mkdir, ("it-ran",)


def vouched(folder: Path, content: dict[str, Any]) -> None:
    """Put something else where the newest checkpoint is, and let the manifest vouch for it."""
    path = saved_at(folder, 7)
    torch.save(content, path)
    file = ManifestFile(folder.parent)
    manifest = file.written()
    last = manifest.checkpoints[-1].model_copy(update={"sha256": hashlib.sha256(path.read_bytes()).hexdigest()})
    file.list_checkpoints([*manifest.checkpoints[:-1], last])


@pytest.mark.parametrize(
    "change",
    [
        {"tensors": {"model.w": Payload()}},
        {"epoch": Payload()},
        {"tensors": {"model.w": torch.eye(2).to_sparse()}},
        {"tensors": {"model.w": torch.zeros(3, 1)}},
        {"tensors": {"model.w": 3}},
        {"trials": "0"},
        {"epoch": None},
        {"more": 1},
        {"batches": {0: "a" * 64, 1: "a" * 63}},
    ],
    ids=["payload", "payload-elsewhere", "sparse", "rows", "number", "trials", "epoch", "key", "hash"],
)
def test_what_is_no_checkpoint_is_refused(saved: Path, change: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """A payload is not run, a tensor of another kind not used, whatever the manifest says."""
    monkeypatch.chdir(saved)
    content = torch.load(saved_at(saved, 7), weights_only=True)
    vouched(saved, {**content, **change})
    with pytest.raises(RunError, match=r"epoch-00007-\w+\.pt is not a checkpoint: ") as caught:
        kept(saved)
    assert (6, False) == (caught.value.exit_code, "\n" in str(caught.value))
    assert not (saved / "it-ran").exists()
