"""The command `clsbench`, and `python -m clsbench`, from its first line on."""

import atexit
import gc
import os
import sys
import threading
from contextlib import suppress
from typing import Literal, NoReturn

from clsbench.clock import begin_command
from clsbench.runs.signals import obey_signals


def main() -> NoReturn:
    """Run the command line; a signal ends it with a code of its own, even while it is being imported."""
    begin_command()
    obey_signals()
    gc.disable()  # it makes the imports a quarter longer; training turns it on
    try:
        if sys.argv[1:] in (["demo"], ["demo", "1"]):
            _lecture(None if len(sys.argv) == 2 else "1")
        from clsbench.cli import main as command

        command()
    except SystemExit as left:
        if "torch" in sys.modules and isinstance(left.code, int):
            _leave(left.code)
        raise


def _leave(code: int) -> None:
    """Exit as Python does, but leave PyTorch's memory to the system: taking it apart costs half a second.

    It comes back where the output cannot be finished.
    """
    threading._shutdown()  # type: ignore[attr-defined]  # it ends pools of threads, too, which wait for work
    atexit._run_exitfuncs()
    with suppress(OSError, ValueError, AttributeError):  # closed, full, or none at all
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def _lecture(act: Literal["1"] | None) -> NoReturn:
    """The lecture from act 1 on, as the verb gives it: it begins before the command line's parser could be imported."""
    from clsbench.report.leaving import exit_code, obeyed
    from clsbench.report.renderers.playing import play
    from clsbench.report.streams import prepare_streams
    from clsbench.report.surroundings import silence_libraries

    prepare_streams()
    silence_libraries()
    sys.exit(exit_code(lambda: obeyed(lambda: play(act))))


if __name__ == "__main__":
    main()
