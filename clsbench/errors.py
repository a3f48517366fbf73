"""The errors: each kind of failure has the exit code of the command line."""

from pathlib import Path


class ClsbenchError(Exception):
    """A failure that a user can understand and act upon: one line `what; hint`, never a traceback."""

    exit_code = 1


class ConfigError(ClsbenchError):
    """The command line or the config is wrong. Carries every mistake found, in the file's order."""

    exit_code = 2

    def __init__(self, *mistakes: str) -> None:
        super().__init__("\n".join(mistakes))
        self.mistakes = mistakes


class RegistrationError(ConfigError, ValueError):
    """A user's function cannot be registered."""


class ExpectationError(ClsbenchError):
    """An expectation of the config was not met. Carries every unmet expectation, in the config's order."""

    exit_code = 3

    def __init__(self, *unmet: str) -> None:
        super().__init__("\n".join(unmet))
        self.unmet = unmet


class DataError(ClsbenchError):
    """Data is missing, damaged, of another kind than every loss is for, or cannot be downloaded."""

    exit_code = 4


class TrialError(ClsbenchError):
    """A trial failed (it raised, or ran out of memory); the others were finished and kept, in `directory`."""

    exit_code = 5

    def __init__(self, what: str, directory: Path) -> None:
        super().__init__(what, directory)  # both, or it could not be pickled
        self.directory = directory

    def __str__(self) -> str:
        return str(self.args[0])


class RunError(ClsbenchError):
    """A run cannot be read, written, locked (another process has it) or resumed."""

    exit_code = 6
