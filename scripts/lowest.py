"""Pass the tests on the lowest versions that pyproject.toml admits: python3 scripts/lowest.py [PYTEST ARGUMENTS]

They are installed into `.venv-lowest`, about 6 GB with PyTorch's default build. By default the tests under ten seconds
run.
"""

import sys

if sys.version_info < (3, 11):
    sys.exit("error: clsbench needs Python 3.11 or later; this is Python " + sys.version.split()[0])

import re
import shutil
import tomllib
from collections.abc import Iterable, Iterator

import environment
from environment import ROOT

VENV = ROOT / ".venv-lowest"
TOOLS = ("pytest", "pytest-xdist", "hypothesis", "jsonschema")  # of the extra `dev`: what the tests import


def main(arguments: list[str]) -> int:
    lowest = [*pins(declared("dependencies")), *pins(declared("dev"), TOOLS)]
    with environment.alone(ROOT):
        install(lowest)
    python = environment.interpreter(VENV)
    tests = ["--color=no", "--numprocesses=2", "--dist=loadfile", *(arguments or ["-m", "not slow"])]
    return 0 if environment.passes(f"pytest with {' '.join(lowest)}", python, "-m", "pytest", *tests) else 1


def declared(group: str) -> list[str]:
    """The requirements of a group in pyproject.toml: `dependencies`, or the name of an extra."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    requirements: list[str] = {"dependencies": project["dependencies"], **project["optional-dependencies"]}[group]
    return requirements


def pins(requirements: Iterable[str], only: Iterable[str] | None = None) -> Iterator[str]:
    """`torch==2.10` for `torch>=2.10`, of those named `only`; a requirement without a lower bound is left out."""
    for requirement in requirements:
        bound = re.match(r"([\w.-]+)>=([\w.]+)", requirement)
        if bound and (only is None or bound[1] in only):
            yield f"{bound[1]}=={bound[2]}"


def install(lowest: list[str]) -> None:
    """Make the environment of exactly these versions; at once where it is there already."""
    stamp = VENV / environment.STAMP
    wanted = "\n".join(lowest)
    if stamp.exists() and stamp.read_text() == wanted:
        return
    uv = shutil.which("uv")
    shutil.rmtree(VENV, ignore_errors=True)
    VENV.mkdir()
    commands = [environment.creation(VENV, uv), [*environment.installation(VENV, "", uv), *lowest]]
    environment.logged(commands, ROOT, VENV / environment.LOG)
    stamp.write_text(wanted)


if __name__ == "__main__":
    with environment.plain_exit():
        sys.exit(main(sys.argv[1:]))
