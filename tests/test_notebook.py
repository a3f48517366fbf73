"""docs/notebook.ipynb: every cell runs, one after the other, and says what its text says."""

from __future__ import annotations

import ast
import json
import tempfile
from pathlib import Path
from typing import Any

import pytest

PAGE = Path(__file__).resolve().parent.parent / "docs" / "notebook.ipynb"


def cells(kind: str) -> list[str]:
    """The sources of the cells of a kind, in order."""
    return [
        "".join(cell["source"]) for cell in json.loads(PAGE.read_text("utf-8"))["cells"] if kind == cell["cell_type"]
    ]


def run_cell(number: int, source: str, names: dict[str, Any]) -> Any:
    """Run a cell as a kernel does, in the names of all, and return what its last line is."""
    tree = ast.parse(source)
    last = tree.body.pop() if isinstance(tree.body[-1], ast.Expr) else None
    file = f"/tmp/ipykernel_0/{number}.py"
    exec(compile(tree, file, "exec"), names)
    return None if last is None else eval(compile(ast.Expression(last.value), file, "eval"), names)


def test_the_notebook_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """A loss in under ten lines is compared, edited and run again; the mistake is told with its line."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr("clsbench.shown.figures", lambda *_: {})  # figures take longer than these trainings
    names: dict[str, Any] = {"__name__": "__main__"}
    shown = [run_cell(number, source, names) for number, source in enumerate(cells("code"))]
    before, after = (names[run].arms["lacking"]["metrics"]["test_accuracy"]["mean"] for run in ("result", "edited"))
    assert after > before + 0.05
    assert "lacking" in shown[1]._repr_html_()
    assert "loss forgetful (5.py:1) returns [8, 10] for logits [8, 10]; return [8] or []\n" in capsys.readouterr().out
    assert 5 == len(shown[-1][0])
    loss = cells("code")[1].partition("result = ")[0].strip()
    assert len(loss.splitlines()) < 10


def test_the_notebook_has_no_outputs() -> None:
    """Outputs are not kept: they would be of another version."""
    assert [] == [part for cell in json.loads(PAGE.read_text("utf-8"))["cells"] for part in cell.get("outputs", ())]
