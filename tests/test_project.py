"""The scripts that make the environment and pass the checks, tried without installing anything."""

from __future__ import annotations

import ast
import importlib.util
import os
import runpy
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parent.parent
SCRIPTS = ROOT / "scripts"
ENTRIES = [SCRIPTS / "quickstart.py", SCRIPTS / "test.py"]
# These run in the environment.
MEASURING = {"atlas.py", "bench.py", "costs.py", "faults.py", "marbles.py", "null_experiments.py"}
BARE = sorted(path for path in SCRIPTS.glob("*.py") if path.name not in MEASURING)

specification = importlib.util.spec_from_file_location("environment", SCRIPTS / "environment.py")
assert specification is not None
assert specification.loader is not None
environment: Any = importlib.util.module_from_spec(specification)
specification.loader.exec_module(environment)


class Installer:
    """Stands in for uv and pip: notes what is asked, and makes a Python where an environment is made."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.asked: list[str] = []
        self.trouble: BaseException | None = None

    def __call__(self, commands: Sequence[Sequence[str]], cwd: Path, log: Path) -> None:
        for command in commands:
            self.asked.append("venv" if "venv" in command else command[-1])
        python = environment.interpreter(self.root / ".venv")
        python.parent.mkdir(exist_ok=True)
        python.touch()
        if self.trouble:
            raise self.trouble

    def asked_since(self) -> list[str]:
        asked, self.asked = self.asked, []
        return asked


@pytest.fixture
def clone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "pyproject.toml").write_text("[project]\nname = 'a'\n")
    monkeypatch.setattr(environment, "answer", lambda python, code: "3.11" if python.exists() else None)
    monkeypatch.setattr(shutil, "which", lambda name: None)
    monkeypatch.setattr(environment, "is_reachable", lambda url: False)
    return tmp_path


@pytest.fixture
def installer(clone: Path, monkeypatch: pytest.MonkeyPatch) -> Installer:
    fake = Installer(clone)
    monkeypatch.setattr(environment, "logged", fake)
    return fake


def test_first_start_makes_the_environment_and_the_second_installs_nothing(clone: Path, installer: Installer) -> None:
    """A fresh clone gets an environment with the package in it, once."""
    assert environment.interpreter(clone / ".venv") == environment.ready(root=clone)
    assert ["venv", "."] == installer.asked_since()
    environment.ready(root=clone)
    assert [] == installer.asked_since()


@pytest.fixture
def without_gpu(clone: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, bool]:
    """A Linux machine without a GPU that reaches PyTorch's builds; `loads` says whether torchvision does."""
    state = {"loads": True}

    def answer(python: Path, code: str) -> str | None:
        known = {"torchvision": state["loads"], "find_spec": False}
        works = next((works for word, works in known.items() if word in code), True)
        return "3.11" if python.exists() and works else None

    monkeypatch.setattr(environment, "answer", answer)
    monkeypatch.setattr(environment, "is_reachable", lambda url: True)
    monkeypatch.setattr(sys, "platform", "linux")
    return state


def test_pytorch_comes_without_cuda_where_there_is_no_gpu(
    clone: Path, installer: Installer, without_gpu: dict[str, bool], capsys: pytest.CaptureFixture[str]
) -> None:
    """The CPU-only build goes in before the package, and the choice is said."""
    environment.ready(root=clone)
    assert ["venv", "torchvision", "."] == installer.asked_since()
    assert "no GPU here: taking PyTorch's CPU-only build" in capsys.readouterr().err


def test_pytorch_that_does_not_load_is_replaced_by_the_default_one(
    clone: Path, installer: Installer, without_gpu: dict[str, bool], capsys: pytest.CaptureFixture[str]
) -> None:
    """A CPU-only build with which torchvision does not load is removed again."""
    without_gpu["loads"] = False
    environment.ready(root=clone)
    assert ["venv", "torchvision", ".", "torchvision", "."] == installer.asked_since()
    assert "torchvision does not load" in capsys.readouterr().err
    pip, uv = (environment.without_torch(environment.for_cpu(clone / ".venv", uv)) for uv in (None, "/bin/uv"))
    assert ["uninstall", "--yes", "torch", "torchvision"] == pip[-4:]
    assert ["/bin/uv", "pip", "uninstall", "--python"] == uv[:4]


def test_pytorch_is_the_default_one_where_the_other_cannot_be_had(
    clone: Path,
    installer: Installer,
    without_gpu: dict[str, bool],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """An index that is not reached, one that lacks the build, and a GPU lead to the default build; each is said."""
    logged = environment.logged

    def refused(commands: Sequence[Sequence[str]], cwd: Path, log: Path) -> None:
        logged(commands, cwd, log)
        if len(commands) > 1:
            raise environment.SetupError("no such build")

    monkeypatch.setattr(environment, "logged", refused)
    environment.ready(root=clone)
    assert ["venv", "torchvision", ".", "."] == installer.asked_since()
    assert "cannot be installed here: taking the default one" in capsys.readouterr().err
    monkeypatch.setattr(environment, "is_reachable", lambda url: False)
    assert environment.for_cpu(clone / ".venv", None) is None
    assert "cannot be reached: taking PyTorch's default build" in capsys.readouterr().err
    monkeypatch.setattr(shutil, "which", lambda name: f"/bin/{name}")
    assert environment.for_cpu(clone / ".venv", None) is None
    assert "an NVIDIA GPU is here: taking PyTorch with CUDA" in capsys.readouterr().err


def test_changed_pyproject_is_installed_again(clone: Path, installer: Installer) -> None:
    """Another pyproject.toml may ask for other dependencies: they go into the same environment."""
    environment.ready(root=clone)
    (clone / "pyproject.toml").write_text("[project]\nname = 'b'\n")
    installer.asked_since()
    environment.ready(root=clone)
    assert ["."] == installer.asked_since()


def test_tools_are_added_and_serve_the_quickstart_too(clone: Path, installer: Installer) -> None:
    """The checks add their tools to the quickstart's environment, after which neither installs."""
    environment.ready(root=clone)
    installer.asked_since()
    environment.ready("dev", root=clone)
    assert [".[dev]"] == installer.asked_since()
    environment.ready(root=clone)
    assert [] == installer.asked_since()


def test_another_python_or_place_is_installed_again(
    clone: Path, installer: Installer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An environment whose Python was exchanged, or that came along with a copied clone, is not trusted."""
    environment.ready(root=clone)
    assert environment.is_current(clone, "")
    copy = clone / "copy"
    shutil.copytree(clone / ".venv", copy / ".venv")
    shutil.copy(clone / "pyproject.toml", copy)
    assert not environment.is_current(copy, "")
    monkeypatch.setattr(environment, "answer", lambda python, code: "3.12")
    assert not environment.is_current(clone, "")


def test_installation_cut_short_is_made_anew(clone: Path, installer: Installer) -> None:
    """After Ctrl-C in an installation the next start trusts nothing of what was left."""
    installer.trouble = KeyboardInterrupt()
    with pytest.raises(KeyboardInterrupt):
        environment.ready(root=clone)
    half_written = clone / ".venv" / "half.py"
    half_written.touch()
    installer.trouble = None
    installer.asked_since()
    environment.ready(root=clone)
    assert ["venv", "."] == installer.asked_since()
    assert not half_written.exists()


def test_failed_addition_leaves_what_was_installed(clone: Path, installer: Installer) -> None:
    """Without a network the checks cannot add their tools, and the quickstart goes on as before."""
    environment.ready(root=clone)
    installer.trouble = environment.SetupError("no network")
    with pytest.raises(environment.SetupError):
        environment.ready("dev", root=clone)
    installer.asked_since()
    environment.ready(root=clone)
    assert [] == installer.asked_since()


def test_environment_without_a_python_is_made_anew(clone: Path, installer: Installer) -> None:
    """Where the system's Python has gone, the environment that pointed to it is of no use."""
    environment.ready(root=clone)
    environment.interpreter(clone / ".venv").unlink()
    installer.asked_since()
    environment.ready(root=clone)
    assert ["venv", "."] == installer.asked_since()


def test_environment_of_the_users_own_is_kept(clone: Path, installer: Installer) -> None:
    """A working `.venv` that the scripts did not make is installed into, not removed."""
    python = environment.interpreter(clone / ".venv")
    python.parent.mkdir(parents=True)
    python.touch()
    environment.ready(root=clone)
    assert ["."] == installer.asked_since()


@pytest.mark.parametrize(("said", "version"), [("3.11", "3.11"), ("3.14", "3.14"), ("3.10", None), (None, None)])
def test_old_python_in_the_environment_does_not_count(
    said: str | None, version: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An environment of a Python before 3.11, or of one that does not start, has no version that serves."""
    monkeypatch.setattr(environment, "answer", lambda python, code: said)
    assert version == environment.python_version(Path(".venv"))


def test_uv_makes_and_fills_the_environment_where_there_is_one() -> None:
    """With uv on the PATH both steps are uv's."""
    venv = Path(".venv")
    assert ["/bin/uv", "venv"] == environment.creation(venv, "/bin/uv")[:2]
    python = str(environment.interpreter(venv))
    expected = ["/bin/uv", "pip", "install", "--python", python, "--editable", ".[dev]"]
    assert expected == environment.installation(venv, "dev", "/bin/uv")


def test_pip_makes_and_fills_the_environment_elsewhere() -> None:
    """Without uv the standard library makes the environment and its own pip installs."""
    venv = Path(".venv")
    assert ["-m", "venv", ".venv"] == environment.creation(venv, None)[1:]
    command = environment.installation(venv, "", None)
    assert [str(environment.interpreter(venv)), "-m", "pip"] == command[:3]
    assert ["--editable", "."] == command[-2:]


def test_python_that_cannot_make_environments_is_told_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    """Debian's Python comes without ensurepip: the message names the package."""
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(environment.SetupError, match="python3-venv"):
        environment.creation(Path(".venv"), None)


@pytest.mark.parametrize(("system", "path"), [("posix", "v/bin/python"), ("nt", "v/Scripts/python.exe")])
def test_interpreter_lies_where_the_system_puts_it(system: str, path: str) -> None:
    """Windows has its own layout of an environment."""
    assert Path(path) == environment.interpreter(Path("v"), system)


def test_failing_installer_shows_its_last_words(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Off a terminal: a line at the start, the end of what the installer said, no control characters."""
    command = [sys.executable, "-c", "print('a wall\\n' * 99 + 'no such package'); raise SystemExit(3)"]
    with pytest.raises(environment.SetupError, match="exit code 3"):
        environment.logged([command], tmp_path, tmp_path / "log")
    lines = capsys.readouterr().err.splitlines(keepends=True)
    assert "    no such package\n" == lines[-1]
    assert 16 == len(lines)
    assert all(line.removesuffix("\n").isprintable() for line in lines)


def test_failing_step_is_the_last(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Nothing is installed into an environment that could not be made."""
    fails = [sys.executable, "-c", "raise SystemExit(1)"]
    touches = [sys.executable, "-c", "open('touched', 'w')"]
    with pytest.raises(environment.SetupError):
        environment.logged([fails, touches], tmp_path, tmp_path / "log")
    assert not (tmp_path / "touched").exists()


@pytest.mark.parametrize(
    ("raised", "code"), [(KeyboardInterrupt(), 130), (OSError("disk full"), "error: disk full"), (SystemExit(4), 4)]
)
def test_scripts_leave_as_commands_do(raised: BaseException, code: object, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-C is 130, a mistake is one line, another exit code passes through."""
    monkeypatch.setattr(signal, "signal", lambda *_: None)
    with pytest.raises(SystemExit) as left, environment.plain_exit():
        raise raised
    assert code == left.value.code


@pytest.mark.skipif(os.name == "nt", reason="Windows ends a process without asking it")
def test_sigterm_ends_the_child_too(tmp_path: Path) -> None:
    """A script that is told to end leaves with 143 and no orphan."""
    child = f"import os, time; open(r'{tmp_path / 'pid'}', 'w').write(str(os.getpid())); time.sleep(60)"
    code = (
        f"import sys; sys.path.insert(0, r'{SCRIPTS}'); import environment\n"
        f'with environment.plain_exit(): environment.call(sys.executable, "-c", {child!r})'
    )
    with subprocess.Popen([sys.executable, "-c", code]) as script:
        pid = wait_for_number(tmp_path / "pid")
        script.terminate()
        assert 143 == script.wait(600)
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


def wait_for_number(path: Path) -> int:
    for _ in range(2000):
        if path.exists() and (text := path.read_text()):
            return int(text)
        time.sleep(0.05)
    raise TimeoutError(f"{path} was not written")


def test_every_check_runs_and_pytest_is_last(monkeypatch: pytest.MonkeyPatch) -> None:
    """A failing check stops no other; the script's arguments are pytest's."""
    ran: list[tuple[str, ...]] = []

    def passes(name: str, python: str, *arguments: str) -> bool:
        ran.append((name, *arguments))
        return name != "mypy"

    fake = SimpleNamespace(ready=lambda extra: "python", passes=passes, plain_exit=environment.plain_exit)
    monkeypatch.setattr(signal, "signal", lambda *_: None)
    monkeypatch.setitem(sys.modules, "environment", fake)
    monkeypatch.setattr(sys, "argv", ["test.py", "-k", "toy"])
    with pytest.raises(SystemExit) as left:
        runpy.run_path(str(SCRIPTS / "test.py"), run_name="__main__")
    assert "failed: mypy" == left.value.code
    assert ["ruff format --check", "ruff check", "mypy", "import-linter", "pytest"] == [name for name, *_ in ran]
    assert [("-k", "toy")] == [check[-2:] for check in ran if "toy" in check]


@pytest.mark.parametrize("script", ENTRIES, ids=lambda path: path.name)
def test_old_python_is_refused_in_one_line(script: Path) -> None:
    """A Python before 3.11 can read the script far enough to say which one is needed."""
    newer = (ast.FunctionDef, ast.ClassDef, ast.JoinedStr, ast.AnnAssign, ast.NamedExpr, ast.Match)
    assert [] == [node.lineno for node in ast.walk(ast.parse(script.read_text())) if isinstance(node, newer)]
    code = f"import runpy, sys; sys.version_info = (3, 10, 9); runpy.run_path(r'{script}', run_name='__main__')"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert 1 == done.returncode
    assert done.stderr.startswith("error: clsbench needs Python 3.11 or later")
    assert 1 == done.stderr.count("\n")


@pytest.mark.parametrize("script", BARE, ids=lambda path: path.name)
def test_scripts_import_the_standard_library_alone(script: Path) -> None:
    """What runs on a fresh machine needs nothing installed; measuring and fault injection come after that."""
    known = sys.stdlib_module_names | {sibling.stem for sibling in SCRIPTS.glob("*.py")}
    imported: set[str] = set()
    for node in ast.walk(ast.parse(script.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            imported |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            imported.add((node.module or "").partition(".")[0])
    assert set() == imported - known


@pytest.mark.skipif(os.name == "nt", reason="Windows has no executable bit")
def test_ci_runs_the_same_checks() -> None:
    """`.ci/run` is executable and hands over to scripts/test.py, from wherever it is called."""
    run = ROOT / ".ci" / "run"
    assert os.access(run, os.X_OK)
    lines = run.read_text().splitlines()
    assert "needs=compiler,fork,ray" in lines
    assert 'exec python3 scripts/test.py --require="$needs"' == lines[-1]


TESTS = [
    (path.relative_to(ROOT).as_posix(), node)
    for path in sorted((ROOT / "tests").rglob("*.py"))
    for node in ast.walk(ast.parse(path.read_text("utf-8")))
]


def test_every_test_states_its_behaviour() -> None:
    """A test has a docstring."""
    tests = [
        (path, node) for path, node in TESTS if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")
    ]
    assert [] == [f"{path}: {node.name}" for path, node in tests if ast.get_docstring(node) is None]


def test_asserts_read_expected_equals_actual() -> None:
    """A literal that is compared with is on the left."""
    compared = [
        (path, node.test)
        for path, node in TESTS
        if isinstance(node, ast.Assert) and isinstance(node.test, ast.Compare) and isinstance(node.test.ops[0], ast.Eq)
    ]
    assert [] == [
        f"{path}:{test.lineno}"
        for path, test in compared
        if len(test.ops) == 1 and is_literal(test.comparators[0]) and not is_literal(test.left)
    ]


def is_literal(node: ast.expr) -> bool:
    """Whether it is a literal, or an approximation of one."""
    if isinstance(node, ast.Call) and ast.unparse(node.func) == "pytest.approx":
        return is_literal(node.args[0])
    try:
        ast.literal_eval(node)
    except ValueError:
        return False
    return True
