"""How a command ends once PyTorch is imported: at once, and nothing that counts on its end is lost."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

CODE = """
import atexit, sys, threading, time
from concurrent.futures import ThreadPoolExecutor
import torch

pool = ThreadPoolExecutor(1)
pool.submit(int).result()  # its thread waits for more

class Part:
    def __del__(self):
        print("taken apart", flush=True)

def finish():
    time.sleep(0.1)
    print("thread")

part = Part()
atexit.register(print, "at exit")
from clsbench import cli
from clsbench.__main__ import main
command = cli.main

def with_thread():
    try:
        command()
    finally:
        threading.Thread(target=finish).start()

cli.main = with_thread
main()
"""


def ended(folder: Path, *arguments: str) -> tuple[int, list[str], str]:
    """The exit code of a command, what it printed and what it said."""
    line = [sys.executable, "-c", CODE, *arguments]
    done = subprocess.run(line, cwd=folder, capture_output=True, text=True, timeout=120)
    return done.returncode, done.stdout.splitlines(), done.stderr


def test_end_without_taking_pytorch_apart(tmp_path: Path) -> None:
    """Threads are waited for, pools of them end, and what is registered for the exit is called; objects are left."""
    code, lines, said = ended(tmp_path, "list", "losses", "--json")
    assert (0, ["thread", "at exit"], "") == (code, lines[-2:], said)
    code, lines, said = ended(tmp_path, "check", "none.yaml")
    assert (2, ["thread", "at exit"], True) == (code, lines, said.startswith("error: none.yaml"))
