"""Pass every check, in an environment made where there is none: python3 scripts/test.py [PYTEST ARGUMENTS]"""

import sys

if sys.version_info < (3, 11):
    sys.exit("error: clsbench needs Python 3.11 or later; this is Python " + sys.version.split()[0])

import os

import environment

CHECKS = (
    ("ruff format --check", "-m", "ruff", "format", "--check"),
    ("ruff check", "-m", "ruff", "check"),
    ("mypy", "-m", "mypy"),
    ("import-linter", "-c", "from importlinter.cli import lint_imports_command as lint; lint()", "--no-logo"),
    # Two at a time, in the order of `tests/conftest.py`; a file's tests share what they prepare.
    (
        *("pytest", "-m", "pytest", "--color=no", "--numprocesses=2", "--dist=loadfile", "--no-loadscope-reorder"),
        *sys.argv[1:],
    ),
)

if __name__ == "__main__":
    # Every command that a test starts would compile clsbench anew.
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    with environment.plain_exit():
        python = environment.ready("dev")
        failed = [check[0] for check in CHECKS if not environment.passes(check[0], python, *check[1:])]
        sys.exit("failed: " + ", ".join(failed) if failed else 0)
