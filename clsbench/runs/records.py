"""A file of records: one per line, appended epoch by epoch; its readers see neither partial nor duplicate records."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path

from clsbench import system
from clsbench.config.plan import Plan
from clsbench.errors import RunError
from clsbench.metrics.measures import bounds, by_class, rulers
from clsbench.results import Origin, Record, reader_of, require_sequence
from clsbench.runs.files import as_json_line, opened, unwritable
from clsbench.runs.manifest import ManifestFile, changed, content_of
from clsbench.runs.signals import write_in_hand
from clsbench.runs.sums import Sums

LOOKS, SECONDS_BETWEEN_LOOKS = 20, 0.005  # at a file and its sums while another process writes them

log = logging.getLogger("clsbench")


class RecordFile:
    """Records of one run or of its tuning.

    Once ordered, their sum stands in the manifest; while they grow, the sum of each block stands beside them.
    Epochs that are trained again, after a checkpoint or a failure, must come out as they are recorded: every
    byte but `seconds`. `exact` is False if that is not promised, such as on another machine.
    Where a `plan` is given, a file with other trials or epochs than it asks for is damaged.
    """

    def __init__(self, path: Path, *, exact: bool = True, plan: Plan | None = None) -> None:
        self.path = path
        self.exact = exact
        self.plan = plan
        self._reader = reader_of(tuple(bounds().items()), by_class(), rulers())
        self._rows: list[Record] = []  # the file's, as far as they were read or written here
        self._known: dict[tuple[int, int], Record] = {}  # what may be trained again
        self._newest: dict[int, Record] = {}  # of each trial, whatever came again since
        self._name_is_durable = False
        self._manifest = ManifestFile(path.parent)
        self._sums = Sums(path)

    def read(self) -> list[Record]:
        """Every record, in the order of the file.

        Raises:
            RunError: the file cannot be read, is not what was written, or a line of it is damaged.
        """
        lines = decoded(self.path, self._verified()).removesuffix("\n").split("\n")
        return [self._parsed(number, line) for number, line in enumerate(lines, start=1)]

    def kept_epochs(self) -> int:
        """How many trained epochs of trials can be kept; nothing is changed.

        Raises:
            RunError: as `reopen`.
        """
        return _num_trained(self._whole(content_of(self.path))[0]) if self.path.exists() else 0

    def reopen(self) -> int:
        """Prepare to go on where another process stopped; return how many trained epochs of trials are kept.

        A record that was torn is dropped, and so are those of failures, whose trials are tried again, and after a
        crash of the machine what was not yet forced to disk and is not what was written.

        Raises:
            RunError: a record is damaged that was not torn.
        """
        content = content_of(self.path) if self.path.exists() else b""
        if not content and not self._sums.path.exists():
            return 0
        rows, lines, dropped = self._whole(content)
        if self.plan is not None:
            epochs = self.plan.experiment.train.epochs
            require_sequence(str(self.path), rows, _origins(self.plan), epochs=epochs)
        for what in dropped:
            log.warning("%s", what)
        kept = [(row, line) for row, line in zip(rows, lines, strict=True) if row["status"] != "failed"]
        left = b"".join(line + b"\n" for _, line in kept)
        if left != content:
            self._manifest.replace(self.path.name, left)
        if left:
            self._sync()
        self._sums.restart(left)
        self._expect([row for row, _ in kept])
        return _num_trained(row for row, _ in kept)

    def _whole(self, content: bytes) -> tuple[list[Record], list[bytes], list[str]]:
        """The records that can be gone on from, their lines, and in words what else is dropped."""
        known, dropped = len(content), []
        if not self._manifest.vouches_for(self.path.name, content):
            extent = self._sums.extent(content)
            if extent.damaged and extent.verified < extent.durable:
                raise changed(self.path)
            known = extent.verified
            if extent.damaged:
                dropped.append(f"{self.path}: records after byte {known} were not forced to disk and are damaged")
                content = content[:known]
        rows: list[Record] = []
        lines = content.split(b"\n")[:-1]  # what follows the last line break is incomplete
        place = 0
        for number, line in enumerate(lines, start=1):
            place += len(line) + 1
            try:
                rows.append(self._parsed(number, decoded(self.path, line)))
            except RunError as error:
                if place <= known:
                    raise
                dropped.append(f"records from line {number} on were written in part, and are dropped: {error}")
                break
        return rows, lines[: len(rows)], dropped

    def covers(self, trial: int, epoch: int) -> bool:
        """Whether each epoch of a trial up to this one is recorded, or each up to that in which it ended."""
        for each in range(epoch + 1):
            row = self._known.get((trial, each))
            if row is None:
                return False
            if row["status"] != "running":
                break
        return True

    def expect_again(self) -> None:
        """Recorded epochs may be trained again."""
        self._expect(self.read() if self.path.stat().st_size else [])

    def keep(self, records: Iterable[Record]) -> None:
        """Add the records of a finished epoch; when this returns, the system has them.

        Raises:
            RunError: they cannot be written, or one differs from what is recorded already.
        """
        new = [record for record in records if not self._is_known(record)]
        lines = b"".join(as_json_line(record) for record in new)
        if not lines:
            return
        try:
            with write_in_hand():
                with opened(self.path, "ab", sole=True) as file:
                    file.write(lines)
                    file.flush()
                    end = file.tell()
                self._sums.add(end, lines)
        except OSError as error:
            raise unwritable(self.path, error) from error
        self._rows += new
        self._note_newest(new)

    def keep_failure(self, record: Record) -> None:
        """Add the last record of a trial that failed, after all that were recorded of it when it came further."""
        newest = self._newest.get(record["trial"])
        if newest is not None and newest["epoch"] >= record["epoch"] - 1:
            record = {**record, "epoch": newest["epoch"] + 1, "step": newest["step"], "seconds": newest["seconds"]}
        self.keep([record])

    def sync(self) -> None:
        """Force to disk what was added, and once the file's name in its folder, which is another fsync."""
        end = self._sync()
        self._sums.durable(end)

    def _sync(self) -> int:
        try:
            with opened(self.path, "r+b") as file:
                system.force(file.fileno())
                end = os.fstat(file.fileno()).st_size
            if not self._name_is_durable:
                system.force_folder(self.path.parent)
                self._name_is_durable = True
        except OSError as error:
            raise unwritable(self.path, error) from error
        return end

    def order(self) -> list[Record]:
        """Rewrite by epoch, then trial, and return the records in that order."""
        lines, rows = self._verified().removesuffix(b"\n").split(b"\n"), self._rows
        if len(rows) != len(lines):
            rows = self.read()
        keys = [(row["epoch"], row["trial"]) for row in rows]
        places = sorted(range(len(rows)), key=keys.__getitem__)
        self._manifest.replace(self.path.name, b"\n".join([*(lines[place] for place in places), b""]))
        with suppress(OSError):  # of what was ordered, the manifest has the sum
            self._sums.path.unlink()
        return [rows[place] for place in places]

    def _verified(self) -> bytes:
        """What the file holds, every byte of it vouched for by the manifest or by the sums."""
        before = b""
        for _ in range(LOOKS):
            content = content_of(self.path)
            if self._manifest.vouches_for(self.path.name, content):
                return content
            if self._sums.extent(content).verified == len(content):
                return content
            if content == before:
                break
            before = content
            time.sleep(SECONDS_BETWEEN_LOOKS)  # between a block and its sum, or an order and its sum
        raise changed(self.path)

    def _expect(self, rows: Sequence[Record]) -> None:
        self._rows = list(rows)
        self._known = {_key(row): row for row in rows}
        self._note_newest(rows)

    def _note_newest(self, rows: Iterable[Record]) -> None:
        for row in rows:
            before = self._newest.get(row["trial"])
            if before is None or row["epoch"] >= before["epoch"]:
                self._newest[row["trial"]] = row

    def _is_known(self, record: Record) -> bool:
        before = self._known.pop(_key(record), None)
        if before is None:
            return False
        was, now = dict[str, object](before), dict[str, object](record)
        different = [key for key in now if key != "seconds" and now[key] != was.get(key)]
        if different:
            key = different[0]
            what = (
                f"{self.path}: epoch {record['epoch']} of trial {record['trial']} changed when it was "
                f"trained again: {key} was {was.get(key)}, and is {now[key]}"
            )
            if self.exact:
                raise RunError(f"{what}; the run is as it was, start a new one")
            log.warning("%s", what)
        return True

    def _parsed(self, number: int, line: str) -> Record:
        return self._reader.read(f"{self.path}:{number}", line)


def _origins(plan: Plan) -> list[Origin]:
    """The origin of each trial of a plan, by its number."""
    return [
        Origin(trial.arm.name, trial.arm.loss.name, trial.arm.dataset.title, trial.arm.model.title, trial.seed)
        for trial in plan.trials
    ]


def _num_trained(rows: Iterable[Record]) -> int:
    """The number of trained epochs; epoch 0 is not training."""
    return sum(row["epoch"] > 0 for row in rows)


def _key(record: Record) -> tuple[int, int]:
    return record["trial"], record["epoch"]


def decoded(path: Path, content: bytes) -> str:
    """The text of a file of a run; RunError where it is not UTF-8."""
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError as error:
        raise RunError(f"{path} cannot be read: not UTF-8; is {path.parent} a finished run?") from error
