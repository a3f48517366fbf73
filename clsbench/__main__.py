"""The command `clsbench`, and `python -m clsbench`, from its first line on."""

import gc
from typing import NoReturn

from clsbench.clock import begin_command
from clsbench.runs.signals import obey_signals


def main() -> NoReturn:
    """Run the command line; a signal ends it with a code of its own, even while it is being imported."""
    begin_command()
    obey_signals()
    gc.disable()  # it makes the imports a quarter longer; training turns it on
    from clsbench.cli import main as command

    command()


if __name__ == "__main__":
    main()
