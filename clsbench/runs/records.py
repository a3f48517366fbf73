"""A file of records: one per line, appended epoch by epoch; its readers see neither partial nor duplicate records."""

from __future__ import annotations

import logging
import os
import time
from array import array
from collections.abc import Callable, Iterable, Iterator, Sequence, Set
from contextlib import contextmanager, suppress
from itertools import accumulate, count
from pathlib import Path
from typing import IO

from clsbench import system
from clsbench.config.plan import Plan
from clsbench.errors import RunError
from clsbench.metrics.measures import bounds, by_class, rulers
from clsbench.results import Origin, Record, Records, Table, reader_of, require_sequence
from clsbench.runs.files import PIECE_BYTES, as_json_line, opened, read_pieces, unwritable
from clsbench.runs.manifest import ManifestFile, changed, reading
from clsbench.runs.seal import sha256_of
from clsbench.runs.signals import write_in_hand
from clsbench.runs.sums import Sums

Grow = Callable[[Plan, Records], Plan | None]  # a plan with the trials that its results led to; None for no more

LOOKS, SECONDS_BETWEEN_LOOKS = 20, 0.005  # at a file and its sums while another process writes them

log = logging.getLogger("clsbench")


class RecordFile:
    """Records of one run or of its tuning.

    Once ordered, their sum stands in the manifest; while they grow, the sum of each block stands beside them.
    Epochs that are trained again, after a checkpoint or a failure, must come out as they are recorded: every
    byte but `seconds`. `exact` is False if that is not promised, such as on another machine.
    Where a `plan` is given, a file with other trials or epochs than it asks for is damaged. `grow` gives what a plan
    becomes by its own results, None if no more; it is None for one that they do not change.
    """

    def __init__(self, path: Path, *, exact: bool = True, plan: Plan | None = None, grow: Grow | None = None) -> None:
        self.path = path
        self.exact = exact
        self.plan = plan
        self.grow = grow
        self._reader = reader_of(tuple(bounds().items()), by_class(), rulers())
        self._table = Table()  # the file's records, as far as they were read or written here
        self._known: dict[tuple[int, int], int] = {}  # by trial and epoch, the place of what may be trained again
        self._newest: dict[int, tuple[int, int]] = {}  # of each trial its newest epoch, and the place of that
        self._name_is_durable = False
        self._manifest = ManifestFile(path.parent)
        self._sums = Sums(path)

    def read(self) -> Records:
        """Every record, in the order of the file.

        Raises:
            RunError: the file cannot be read, is not what was written, or a line of it is damaged.
        """
        with self._verified() as (file, size):
            return Records(Table(self._parsed(*line) for line in _lines(file, size)))

    def kept_epochs(self) -> int:
        """How many trained epochs of trials can be kept; nothing is changed.

        Raises:
            RunError: as `reopen`.
        """
        if not self.path.exists():
            return 0
        with reading(self.path) as opened_file:
            return _num_trained(self._whole(*opened_file)[0])

    def has_failures(self) -> bool:
        """Whether a trial is recorded that failed; nothing is changed.

        Raises:
            RunError: as `reopen`.
        """
        if not self.path.exists():
            return False
        with reading(self.path) as opened_file:
            return "failed" in self._whole(*opened_file)[0].column("status")

    def reopen(self, without: Set[int] = frozenset()) -> int:
        """Prepare to go on where another process stopped; return how many trained epochs of trials are kept.

        A record that was torn is dropped, and so are those of failures, whose trials are tried again, those of the
        trials `without`, and after a crash of the machine what was not yet forced to disk and is not what was written.

        Raises:
            RunError: a record is damaged that was not torn.
        """
        if not self.path.exists():
            if self._sums.path.exists():
                self._sums.restart(0, "")
            return 0
        with reading(self.path) as (file, size):
            if not size and not self._sums.path.exists():
                return 0
            rows, ends, dropped = self._whole(file, size)
        most = None if self.plan is None else self._known_trials(self.plan, rows)
        for what in dropped:
            log.warning("%s", what)
        columns = zip(rows.column("status"), rows.column("trial"), strict=True)
        kept = [
            place
            for place, (status, trial) in enumerate(columns)
            if status != "failed" and trial not in without and (most is None or trial < most)
        ]
        left = _Lines(self.path, ends, kept)
        sha256 = sha256_of(left)
        if left.size != size:
            self._manifest.replace(self.path.name, left)
        if left.size:
            self._sync()
        self._sums.restart(left.size, sha256)
        self._expect(rows.at(kept))
        return _num_trained(rows.at(kept))

    def _known_trials(self, plan: Plan, rows: Records) -> int:
        """How many trials are known to be asked for: the plan's, and those that its results led to.

        If one of these failed it is tried again, and if records of one are lost it is trained again: what followed
        from it is not known before.

        Raises:
            RunError: the rows are not those of the trials.
        """
        epochs = plan.experiment.train.epochs
        while True:
            known = len(plan.trials)
            own = rows.of_trials(known)
            if self.grow is not None and len(own) < len(rows):
                require_sequence(str(self.path), own, _origins(plan), epochs=epochs)
                ended = [status for status in own.column("status") if status != "running"]
                if "failed" in ended or len(ended) < known:
                    return known
                if (longer := self.grow(plan, own)) is not None:
                    plan = longer
                    continue
            require_sequence(str(self.path), rows, _origins(plan), epochs=epochs)
            return known

    def _whole(self, file: IO[bytes], size: int) -> tuple[Records, Sequence[int], list[str]]:
        """The records that can be gone on from, where their lines end, and in words what else is dropped."""
        known, dropped = size, []
        if not self._manifest.vouches_for(self.path.name, sha256_of(read_pieces(file, 0, size))):
            extent = self._sums.extent(file, size)
            if extent.damaged and extent.verified < extent.durable:
                raise changed(self.path)
            known = extent.verified
            if extent.damaged:
                dropped.append(f"{self.path}: records after byte {known} were not forced to disk and are damaged")
                size = known
        ends = array("q")
        rows = Table(self._sound(file, size, known, ends, dropped))
        return Records(rows), ends, dropped

    def _sound(self, file: IO[bytes], size: int, known: int, ends: array[int], dropped: list[str]) -> Iterator[Record]:
        """The records before the first that was written in part; where the line of each ends is added to `ends`.

        Raises:
            RunError: a line of the first `known` bytes is damaged.
        """
        place = 0
        for number, line in _lines(file, size):
            place += len(line)
            if not line.endswith(b"\n"):  # incomplete
                return
            try:
                record = self._parsed(number, line)
            except RunError as error:
                if place <= known:
                    raise
                dropped.append(f"records from line {number} on were written in part, and are dropped: {error}")
                return
            ends.append(place)
            yield record

    def covers(self, trial: int, epoch: int) -> bool:
        """Whether each epoch of a trial up to this one is recorded, or each up to that in which it ended."""
        for each in range(epoch + 1):
            place = self._known.get((trial, each))
            if place is None:
                return False
            if self._table.values("status", (place,)) != ["running"]:
                break
        return True

    def expect_again(self) -> None:
        """Recorded epochs may be trained again."""
        has_records = self.path.exists() and self.path.stat().st_size
        self._expect(self.read() if has_records else Records(Table()))

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
        self._add(new)

    def keep_failure(self, record: Record) -> None:
        """Add the last record of a trial that failed, after all that were recorded of it when it came further."""
        epoch, place = self._newest.get(record["trial"], (-2, 0))
        if epoch >= record["epoch"] - 1:
            newest = self._table.record(place)
            record = {**record, "epoch": epoch + 1, "step": newest["step"], "seconds": newest["seconds"]}
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

    def order(self) -> Records:
        """Rewrite by epoch, then trial, and return the records in that order."""
        with self._verified() as (file, size):
            ends = array("q", accumulate(len(line) for _, line in _lines(file, size)))
        rows = Records(self._table) if len(self._table) == len(ends) else self.read()
        keys = list(zip(rows.column("epoch"), rows.column("trial"), strict=True))
        places = sorted(range(len(keys)), key=keys.__getitem__)
        self._manifest.replace(self.path.name, _Lines(self.path, ends, places))
        with suppress(OSError):  # of what was ordered, the manifest has the sum
            self._sums.path.unlink()
        return rows.at(places)

    @contextmanager
    def _verified(self) -> Iterator[tuple[IO[bytes], int]]:
        """The file, and its size up to which every byte is vouched for by the manifest or by the sums."""
        before = ""
        for _ in range(LOOKS):
            with reading(self.path) as (file, size):
                found = sha256_of(read_pieces(file, 0, size))
                if self._manifest.vouches_for(self.path.name, found) or self._sums.extent(file, size).verified == size:
                    yield file, size
                    return
            if found == before:
                break
            before = found
            time.sleep(SECONDS_BETWEEN_LOOKS)  # between a block and its sum, or an order and its sum
        raise changed(self.path)

    def _expect(self, rows: Records) -> None:
        self._table, keys = rows.table(), list(zip(rows.column("trial"), rows.column("epoch"), strict=True))
        self._known = {key: place for place, key in enumerate(keys)}
        self._newest = {}
        for place, key in enumerate(keys):
            self._note(*key, place)

    def _add(self, rows: Sequence[Record]) -> None:
        for place, row in enumerate(rows, len(self._table)):
            self._note(row["trial"], row["epoch"], place)
        self._table.extend(rows)

    def _note(self, trial: int, epoch: int, place: int) -> None:
        if epoch >= self._newest.get(trial, (0, 0))[0]:
            self._newest[trial] = epoch, place

    def _is_known(self, record: Record) -> bool:
        place = self._known.pop((record["trial"], record["epoch"]), None)
        if place is None:
            return False
        was, now = dict[str, object](self._table.record(place)), dict[str, object](record)
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

    def _parsed(self, number: int, line: bytes) -> Record:
        text = decoded(self.path, line.removesuffix(b"\n"))
        return self._reader.read(f"{self.path}:{number}", text)


class _Lines:
    """Some lines of a file, in another order, in pieces of a bounded size: read again each time they are gone through.

    Args:
        path: the file.
        ends: where each of its lines ends.
        places: which of them.
    """

    def __init__(self, path: Path, ends: Sequence[int], places: Iterable[int]) -> None:
        self._path = path
        self._runs: list[tuple[int, int]] = []  # start and end; lines that follow each other in the file are one run
        for place in places:
            start, end = ends[place - 1] if place else 0, ends[place]
            if self._runs and self._runs[-1][1] == start:
                start, _ = self._runs.pop()
            self._runs.append((start, end))
        self.size = sum(end - start for start, end in self._runs)

    def __iter__(self) -> Iterator[bytes]:
        gathered: list[bytes] = []
        with reading(self._path) as (file, _):
            for start, end in self._runs:
                gathered += read_pieces(file, start, end)
                if sum(map(len, gathered)) >= PIECE_BYTES:
                    yield b"".join(gathered)
                    gathered = []
        if gathered:
            yield b"".join(gathered)


def _lines(file: IO[bytes], size: int) -> Iterator[tuple[int, bytes]]:
    """The lines of the first `size` bytes, each with its number, from 1; the last one may be incomplete.

    A file without any has one that is empty.
    """
    file.seek(0)
    for number in count(1):
        line = file.readline(size)
        if not line and number > 1:
            return
        yield number, line
        size -= len(line)


def _origins(plan: Plan) -> list[Origin]:
    """The origin of each trial of a plan, by its number."""
    return [
        Origin(trial.arm.name, trial.arm.loss.name, trial.arm.dataset.title, trial.arm.model.title, trial.seed)
        for trial in plan.trials
    ]


def _num_trained(rows: Records) -> int:
    """The number of trained epochs; epoch 0 is not training."""
    return sum(epoch > 0 for epoch in rows.column("epoch"))


def decoded(path: Path, content: bytes) -> str:
    """The text of a file of a run; RunError where it is not UTF-8."""
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError as error:
        raise RunError(f"{path} cannot be read: not UTF-8; is {path.parent} a finished run?") from error
