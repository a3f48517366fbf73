"""The virtual environment of a clone: created if missing, repaired if an installation was interrupted.

Code that runs before anything is installed uses only the standard library.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib.util
import os
import shutil
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NoReturn

ROOT = Path(__file__).resolve().parent.parent
VENV = ".venv"
STAMP = "clsbench-installed"  # in the environment: the fingerprint of what is installed there
LOG = "clsbench-install.log"  # in the environment: the installer's output
CUT_SHORT = "installing"  # stands in the stamp while an installer is at work, and stays there if it is killed
CPU_BUILDS = "https://download.pytorch.org/whl/cpu"  # PyTorch's own index of builds without CUDA
DEV = "dev"  # the extra with everything: it serves those who ask for less


class SetupError(Exception):
    """What the user has to fix, in one line."""


def ready(extra: str = "", root: Path = ROOT) -> Path:
    """The environment's Python, with the package and its `extra` installed; at once where they are already."""
    if not is_current(root, extra):
        with alone(root):
            # Another script may have installed while this one waited for its turn.
            if not is_current(root, extra):
                install(root, extra)
    return interpreter(root / VENV)


def is_current(root: Path, extra: str) -> bool:
    """Whether the last installation was finished, and was of what would be installed now."""
    venv = root / VENV
    stamp = venv / STAMP
    version = python_version(venv) if stamp.is_file() else None
    return version is not None and stamp.read_text() in {
        fingerprint(root, version, extra),
        fingerprint(root, version, DEV),
    }


def fingerprint(root: Path, version: str, extra: str) -> str:
    """What an installation depends on. The place is part of it: an editable installation points there."""
    parts = ((root / "pyproject.toml").read_bytes(), version.encode(), str(root).encode(), extra.encode())
    return hashlib.sha256(b"\0".join(parts)).hexdigest()


def install(root: Path, extra: str) -> None:
    """Install the package and its `extra`; first create the environment again if it is missing or broken."""
    venv = root / VENV
    stamp = venv / STAMP
    uv = shutil.which("uv")
    commands: list[list[str]] = []
    if is_usable(venv, uv):
        before = stamp.read_text() if stamp.exists() else ""
    else:
        before = CUT_SHORT
        commands.append(creation(venv, uv))
        if venv.is_symlink() or venv.is_file():
            raise SetupError(f"{venv} is not a folder of this clone; remove it")
        if venv.exists():
            shutil.rmtree(venv)
        venv.mkdir()
    stamp.write_text(CUT_SHORT)
    try:
        fill(root, commands, installation(venv, extra, uv), for_cpu(venv, uv))
    except SetupError:
        # An installer that gives up by itself leaves what was there as it was.
        stamp.write_text(before)
        raise
    stamp.write_text(fingerprint(root, python_version(venv) or "", extra))


def fill(root: Path, before: list[list[str]], package: list[str], cpu: list[str] | None) -> None:
    """Install the package; first PyTorch by the command `cpu`, if that gives one that works."""
    venv = root / VENV
    if cpu is None:
        logged([*before, package], root, venv / LOG)
        return
    try:
        logged([*before, cpu, package], root, venv / LOG)
    except SetupError:
        if python_version(venv) is None:
            raise
        say("PyTorch's CPU-only build cannot be installed here: taking the default one, about 6 GB")
        logged([package], root, venv / LOG)
        return
    if answer(interpreter(venv), "import torchvision") is None:
        say("torchvision does not load with this CPU-only build of PyTorch: taking the default one, about 6 GB")
        logged([without_torch(cpu), package], root, venv / LOG)


def for_cpu(venv: Path, uv: str | None) -> list[str] | None:
    """The command that installs PyTorch without CUDA; None where the default build is taken, and why is said."""
    if not sys.platform.startswith("linux"):  # elsewhere the default build has no CUDA
        return None
    if answer(interpreter(venv), "import importlib.util as u; u.find_spec('torch').name") is not None:
        return None
    if shutil.which("nvidia-smi") or Path("/proc/driver/nvidia/version").exists():
        say("an NVIDIA GPU is here: taking PyTorch with CUDA, about 6 GB")
        return None
    if not is_reachable(CPU_BUILDS):
        say(f"no GPU here, but {CPU_BUILDS} cannot be reached: taking PyTorch's default build, about 6 GB")
        return None
    say("no GPU here: taking PyTorch's CPU-only build, about 1 GB with all that it needs")
    return [*installation(venv, "", uv)[:-2], "--index-url", CPU_BUILDS, "torch", "torchvision"]


def without_torch(installs: list[str]) -> list[str]:
    """The command that removes what `for_cpu` installed."""
    is_pip = "--no-input" in installs
    uninstall = [*installs[: installs.index("install")], "uninstall", *(["--yes"] if is_pip else [])]
    python = [] if is_pip else installs[installs.index("--python") :][:2]
    return [*uninstall, *python, "torch", "torchvision"]


def is_reachable(url: str) -> bool:
    """Whether a server answers there within five seconds."""
    try:
        with urllib.request.urlopen(f"{url}/torch/", timeout=5):
            return True
    except (OSError, ValueError):
        return False


def is_usable(venv: Path, uv: str | None) -> bool:
    """Whether an installer may change this environment."""
    stamp = venv / STAMP
    if python_version(venv) is None or (stamp.exists() and stamp.read_text() == CUT_SHORT):
        return False
    return uv is not None or answer(interpreter(venv), "import pip") is not None


def interpreter(venv: Path, system: str = os.name) -> Path:
    """The environment's own Python, on Windows (`nt`) and elsewhere."""
    return venv / "Scripts" / "python.exe" if system == "nt" else venv / "bin" / "python"


def python_version(venv: Path) -> str | None:
    """`3.11` for an environment whose Python runs and is new enough, else None."""
    said = answer(interpreter(venv), "import sys; print(*sys.version_info[:2], sep='.')")
    if said is None or tuple(map(int, said.split("."))) < (3, 11):
        return None
    return said


def answer(python: Path, code: str) -> str | None:
    """What a line of Python prints; None if it fails or there is no such Python."""
    try:
        return subprocess.run([python, "-I", "-c", code], capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return None


def creation(venv: Path, uv: str | None) -> list[str]:
    """The command that makes the environment."""
    # The script may run in the environment that is created again; its base Python stays.
    python = getattr(sys, "_base_executable", sys.executable)
    if uv:
        return [uv, "venv", "--allow-existing", "--python", python, str(venv)]
    if not all(importlib.util.find_spec(module) for module in ("venv", "ensurepip")):
        raise SetupError(
            "this Python cannot make virtual environments; install python3-venv "
            "(on Debian and Ubuntu: sudo apt install python3-venv), or uv"
        )
    return [python, "-m", "venv", str(venv)]


def installation(venv: Path, extra: str, uv: str | None) -> list[str]:
    """The command that installs the package, editable, with its `extra`."""
    package = f".[{extra}]" if extra else "."
    python = str(interpreter(venv))
    if uv:
        return [uv, "pip", "install", "--python", python, "--editable", package]
    pip = [python, "-m", "pip", "--disable-pip-version-check", "--no-input"]
    return [*pip, "install", "--progress-bar", "off", "--editable", package]


@contextlib.contextmanager
def alone(root: Path) -> Iterator[None]:
    """One installation at a time, where the system can lock a folder; the lock goes with its process."""
    try:
        import fcntl
    except ImportError:
        yield
        return
    folder = os.open(root, os.O_RDONLY)
    try:
        try:
            fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say(f"waiting for another installation into {VENV}")
            fcntl.flock(folder, fcntl.LOCK_EX)
        yield
    finally:
        os.close(folder)


def logged(commands: Sequence[Sequence[str]], cwd: Path, log: Path) -> None:
    """Run installers one after the other: one line of progress here, all that they say in the log."""
    label = f"installing clsbench and what it needs into {VENV}"
    is_live = sys.stderr.isatty() and os.environ.get("TERM") != "dumb"
    start = time.monotonic()
    if not is_live:
        say(f"{label} (minutes the first time)")
    try:
        with log.open("wb") as output:
            for command in commands:
                with child(command, cwd=cwd, stdin=subprocess.DEVNULL, stdout=output, stderr=output) as process:
                    while (code := waited(process, seconds=0.2)) is None:
                        if is_live:
                            redraw(f"{label}: {time.monotonic() - start:.0f} s  {last_line(log)}")
                if code:
                    break
    finally:
        if is_live:
            redraw("")
    if code:
        for line in log.read_text("utf-8", "replace").splitlines()[-15:]:
            say(f"    {line[:300]}")
        raise SetupError(f"the installation failed (exit code {code}); its output is in {log}")
    say(f"installed into {VENV} in {time.monotonic() - start:.0f} s")


def last_line(log: Path) -> str:
    """The last line of the installer's output, in characters that any terminal has."""
    with log.open("rb") as file:
        file.seek(max(0, log.stat().st_size - 1000))
        lines = file.read().decode("ascii", "ignore").split("\n")
    return next(("".join(filter(str.isprintable, line)).strip() for line in reversed(lines) if line.strip()), "")


def redraw(text: str) -> None:
    """Write over the terminal's current line, leaving room for the ^C of an interruption."""
    columns = shutil.get_terminal_size().columns
    print(f"\r{' ' * (columns - 1)}\r{text[: max(0, columns - 3)]}", end="", file=sys.stderr, flush=True)


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def passes(name: str, *command: str | Path) -> bool:
    """Run one check under its heading; print its seconds and whether it passed."""
    start = time.monotonic()
    print(f"-- {name}", flush=True)
    code = call(*command)
    print(f"-- {name}: {f'FAILED with {code}' if code else 'ok'}, {time.monotonic() - start:.1f} s", flush=True)
    return code == 0


def call(*command: str | Path) -> int:
    """Run a command in the foreground, in the root of the clone; its exit code."""
    with child(command, cwd=ROOT) as process:
        code = process.wait()
    return 128 - code if code < 0 else code


@contextlib.contextmanager
def child(command: Sequence[str | Path], **options: Any) -> Iterator[subprocess.Popen[bytes]]:
    """A process that does not outlive the block."""
    process = subprocess.Popen(command, **options)
    try:
        yield process
    except KeyboardInterrupt:
        # Ctrl-C in a terminal has reached the child too, which may have something to save.
        waited(process, seconds=10)
        raise
    finally:
        if process.poll() is None:
            process.terminate()
            if waited(process, seconds=10) is None:
                process.kill()
                process.wait()


def waited(process: subprocess.Popen[bytes], *, seconds: float) -> int | None:
    """The exit code of a process, None if it is still at work after these seconds."""
    try:
        return process.wait(seconds)
    except subprocess.TimeoutExpired:
        return None


@contextlib.contextmanager
def plain_exit() -> Iterator[None]:
    """Exit as a command does: one line for a mistake, 130 after Ctrl-C, 143 after SIGTERM, never a traceback."""
    signal.signal(signal.SIGTERM, leave)
    try:
        yield
    except (SetupError, OSError) as error:
        sys.exit(f"error: {error}")
    except KeyboardInterrupt:
        say("interrupted")
        sys.exit(130)


def leave(signum: int, frame: object) -> NoReturn:
    sys.exit(128 + signum)
