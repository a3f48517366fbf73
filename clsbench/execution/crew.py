"""A stack on several cores: its trials in parts, one part in this process and each other in a fork of it.

The processes wait for each other once an epoch. Threads inside of operations would do so many times a step, which
costs ten times what it gains where other work takes one of their cores. A trial's numbers do not hang on the part
that it is in, so neither do they on the cores.
"""

from __future__ import annotations

import ctypes
import logging
import multiprocessing
import os
import pickle
import signal
import sys
import traceback
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from functools import partial
from multiprocessing.connection import Connection
from typing import Any, NoReturn

import torch

from clsbench.training.loop import EpochResult
from clsbench.training.snapshot import Snapshot

log = logging.getLogger("clsbench")

# Multiplications of a part's step, forward alone, from which the calls of a process of its own are a small part of it.
WORTH_A_PROCESS = 2_000_000
PR_SET_PDEATHSIG = 1  # of Linux's prctl.h
SIGNALS = (signal.SIGINT, signal.SIGTERM, *([signal.SIGHUP] if hasattr(signal, "SIGHUP") else []))

Part = Callable[[slice], Iterator[EpochResult]]


def can_fork() -> bool:
    """Whether a fork of this process can train: elsewhere libraries forbid it, or PyTorch where it drives a GPU."""
    return sys.platform == "linux" and not torch.accelerator.is_available()


def stay_forkable() -> None:
    """Let autograd start before anything is compiled: while PyTorch compiles, it would take threads for GPUs with it.

    A fork of a process with such threads has no autograd.
    """
    torch.zeros(1, requires_grad=True).sum().backward()


def size_of_parts(num_trials: int, processes: int, multiplications: int) -> int:
    """How many trials each part of a stack has, of which there is at most one for each process.

    They are two at least: one alone would have other last bits than in company.

    Args:
        multiplications: of a trial's step, forward alone.
    """
    number = max(1, min(processes, num_trials // 2, num_trials * multiplications // WORTH_A_PROCESS))
    return -(-num_trials // number)


@contextmanager
def trained_in_parts(part: Part, trials: Sequence[slice]) -> Iterator[Iterator[EpochResult]]:
    """The epochs of a stack whose parts train side by side, until none of its trials runs.

    Its training time in an epoch is that of its slowest part. In this block the last epoch's snapshot can be asked for.

    Args:
        part: trains some of the trials, and yields as many epochs whatever becomes of them.

    Raises:
        RuntimeError: what a part raised elsewhere, or that its process died.
    """
    helpers: list[_Helper] = []
    try:
        helpers += (_Helper(part, each) for each in trials[1:])
        yield _epochs(part(trials[0]), helpers)
    finally:
        for helper in helpers:
            helper.end()


def _epochs(here: Iterator[EpochResult], helpers: Sequence[_Helper]) -> Iterator[EpochResult]:
    seconds, before = 0.0, [0.0] * (1 + len(helpers))
    while True:
        for helper in helpers:
            helper.ask_for_epoch()
        first = next(here, None)
        results = [result for result in (first, *(helper.epoch() for helper in helpers)) if result is not None]
        rows = [row for result in results for row in result.rows]
        if all(row is None for row in rows):
            return
        seconds += max(result.seconds - earlier for result, earlier in zip(results, before, strict=True))
        before = [result.seconds for result in results]
        yield EpochResult(
            epoch=results[0].epoch,
            rows=rows,
            batches=[batches for result in results for batches in result.batches],
            seconds=seconds,
            snapshot=partial(_snapshot, results),
        )


def _snapshot(results: Sequence[EpochResult]) -> Snapshot:
    return Snapshot.joined([result.snapshot() for result in results])


class _Helper:
    """A fork of this process that trains a part of a stack, an epoch whenever it is asked to."""

    def __init__(self, part: Part, trials: slice) -> None:
        self._channel, far_end = multiprocessing.Pipe()
        parent = os.getpid()
        _flush()  # or what is buffered would be written twice
        # A signal between the fork and the helper's first line would run what the parent does about it.
        before = signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
        try:
            with warnings.catch_warnings():
                # Python warns of every other thread. Those of the numerical libraries are not needed there:
                # operations of a part have one.
                warnings.simplefilter("ignore", DeprecationWarning)
                self._pid = os.fork()
            if self._pid == 0:
                self._channel.close()
                _serve(part, trials, far_end, parent)
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
        far_end.close()

    def ask_for_epoch(self) -> None:
        self._ask(b"epoch")

    def epoch(self) -> EpochResult | None:
        """The epoch that was asked for, or None when there is no more."""
        result: EpochResult | None = self._answer()
        return None if result is None else replace(result, snapshot=self._snapshot)

    def _snapshot(self) -> Snapshot:
        self._ask(b"snapshot")
        snapshot: Snapshot = self._answer()
        return snapshot

    def _ask(self, what: bytes) -> None:
        with suppress(OSError):  # it is dead, which its answer tells
            self._channel.send_bytes(what)

    def _answer(self) -> Any:
        try:
            answer = pickle.loads(self._channel.recv_bytes())
        except (EOFError, OSError):
            raise RuntimeError("a process that trained a part of the stack died") from None
        if isinstance(answer, _Raised):
            log.warning("a part of a stack failed:\n%s", answer.trace)
            raise RuntimeError(answer.reason)
        return answer

    def end(self) -> None:
        self._channel.close()
        with suppress(ProcessLookupError, ChildProcessError):  # where nobody waits for children, they are gone
            os.kill(self._pid, signal.SIGKILL)
            os.waitpid(self._pid, 0)


class _Raised:
    """What ended a part."""

    def __init__(self, error: BaseException) -> None:
        self.reason = f"{type(error).__name__}: {error}"
        self.trace = "".join(traceback.format_exception(error))


def _serve(part: Part, trials: slice, channel: Connection, parent: int) -> NoReturn:
    """A helper's life: it ends when nobody listens, and with its parent at the latest."""
    try:
        for number in SIGNALS:
            signal.signal(number, signal.SIG_IGN)  # its parent answers them
        signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() == parent:
            _answer(part(trials), channel)
    except (EOFError, ConnectionError):
        pass  # the parent is gone
    except BaseException as error:  # a loss of the user's may call sys.exit
        with suppress(OSError):
            channel.send_bytes(pickle.dumps(_Raised(error)))
    finally:
        _flush()  # what a loss of the user's may have printed
        os._exit(0)


def _flush() -> None:
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError, AttributeError):  # closed, or none at all
            stream.flush()


def _answer(results: Iterator[EpochResult], channel: Connection) -> NoReturn:
    last = None
    while True:
        if channel.recv_bytes() == b"snapshot":
            assert last is not None, "what is asked for is the snapshot of an epoch"
            channel.send_bytes(pickle.dumps(last.snapshot()))
        elif (result := next(results, None)) is None:
            channel.send_bytes(pickle.dumps(None))
        else:
            channel.send_bytes(pickle.dumps(replace(result, snapshot=_elsewhere)))
            last = result


def _elsewhere() -> Snapshot:
    raise AssertionError("its part's process has it")
