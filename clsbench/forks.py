"""Forks of this process: whether they can compute, and users' code tried in one, which it may kill."""

from __future__ import annotations

import multiprocessing
import os
import pickle
import signal
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import cache, partial
from multiprocessing.connection import Connection
from typing import TypeVar

from clsbench import system

S = TypeVar("S")
T = TypeVar("T")

FORK_SECONDS = 5.0  # a fork may hang
TRIAL_SECONDS = 60.0  # users' code, too


def apart(function: Callable[[], T], otherwise: T) -> T:
    """The value of a function that calls users' code, computed in a fork: code that kills its process ends that alone.

    Nothing that it changes lasts. Where this process cannot be forked, the function is called here.

    Args:
        function: its value is pickled; what it raises counts as the end of its process.
        otherwise: the value if the process ends without one, or takes more than a minute.
    """
    if not can_fork():
        return function()
    fork = _forked(lambda _: function())
    if fork is None:
        return function()
    child, receiver, orders = fork
    orders.close()
    try:
        if receiver.poll(TRIAL_SECONDS):
            value: T = pickle.loads(receiver.recv_bytes())
            return value
    except (EOFError, OSError):  # it died, perhaps in the middle of its answer
        pass
    finally:
        receiver.close()
        _end(child)
    return otherwise


@contextmanager
def beside(function: Callable[[S], T], ready: Callable[[], object]) -> Iterator[Callable[[S], Callable[[], T]]]:
    """Have a fork at hand while this block runs: it gets ready, then computes a value of what it is given.

    What this block is given hands the argument over, and returns what waits for the value. Where this process cannot be
    forked, and where the fork ends without a value, the value is computed by that call, here, where its error is
    raised. The fork ends with the block, at the latest.

    Args:
        function: its argument and its value are pickled. It must not compute with PyTorch, whose threads a fork lacks.
        ready: what the fork does first, such as importing what the function needs.
    """

    def life(orders: Connection) -> T:
        ready()
        return function(pickle.loads(orders.recv_bytes()))

    # As long as PyTorch is not imported there are no threads of its own to miss; to ask further would import it.
    fork = _forked(life) if (can_fork() if "torch" in sys.modules else system.LINUX) else None
    if fork is None:
        yield lambda argument: partial(function, argument)
        return
    child, receiver, orders = fork

    def ask(argument: S) -> Callable[[], T]:
        with suppress(OSError):  # it died: what waits for its value finds that out
            orders.send_bytes(pickle.dumps(argument))
        return partial(value, argument)

    def value(argument: S) -> T:
        try:
            found: T = pickle.loads(receiver.recv_bytes())
            return found
        except (EOFError, OSError):  # it died or raised
            return function(argument)

    try:
        yield ask
    finally:
        receiver.close()
        orders.close()
        _end(child)


def _forked(function: Callable[[Connection], object]) -> tuple[int, Connection, Connection] | None:
    """A fork that computes a value, what receives it, and what sends the fork its orders; None if no more are allowed.

    Args:
        function: it is given what receives the orders.
    """
    # Two pipes: a duplex one would be a socket, and a run without network opens none.
    receiver, answers = multiprocessing.Pipe(duplex=False)
    inbox, orders = multiprocessing.Pipe(duplex=False)
    _flush()  # or the fork would print it once more
    parent = os.getpid()
    try:
        with starting_a_process():
            child = os.fork()
            if child == 0:
                orders.close()  # or the fork would wait for itself
                _answer(partial(function, inbox), answers, parent)
    except OSError:
        receiver.close()
        orders.close()
        return None
    finally:
        answers.close()
        inbox.close()
    return child, receiver, orders


def _answer(function: Callable[[], object], answers: Connection, parent: int) -> None:
    """The whole life of the fork."""
    try:
        system.obey_termination()
        system.die_with_parent()
        if os.getppid() == parent:  # else it died before
            answers.send_bytes(pickle.dumps(function()))
    finally:
        _flush()
        os._exit(0)


def _flush() -> None:
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError, AttributeError):  # closed, full, or none at all
            stream.flush()


def _end(child: int) -> None:
    with suppress(OSError):  # SIGCHLD is ignored: it is gone, and its number may be another's
        if os.waitpid(child, os.WNOHANG) == (0, 0):
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)


@cache
def can_fork() -> bool:
    """Whether forks of this process can train; tested once.

    Libraries forbid it on systems other than Linux; PyTorch does if it uses a GPU, or if it compiled something before
    it differentiated anything.
    """
    if not system.LINUX:
        return False
    import torch

    if torch.accelerator.is_available():
        return False
    _differentiate()
    try:
        with starting_a_process():
            child = os.fork()
            if child == 0:
                try:
                    _differentiate()
                    os._exit(0)
                finally:
                    os._exit(1)
        deadline = time.monotonic() + FORK_SECONDS
        while time.monotonic() < deadline:
            ended, status = os.waitpid(child, os.WNOHANG)
            if ended:
                return status == 0
            time.sleep(0.001)
    except OSError:  # no more processes are allowed, or SIGCHLD is ignored
        return False
    _end(child)
    return False


def _differentiate() -> None:
    import torch

    torch.zeros(1, requires_grad=True).sum().backward()


@contextmanager
def starting_a_process() -> Iterator[None]:
    """Processes started in this block ignore signals from their first line on: the parent handles them."""
    with system.ending_signals_blocked(), warnings.catch_warnings():
        # Python warns about threads that a fork lacks: those of the numerical libraries, which use one thread there.
        warnings.simplefilter("ignore", DeprecationWarning)
        yield
