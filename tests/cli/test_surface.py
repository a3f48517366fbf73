"""`clsbench surface`: the lecture's numbers as JSON, the picture in the terminal and in files."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Invoke = Callable[..., Any]
Fails = Callable[..., str]


def test_the_lectures_point_as_json(invoke: Invoke) -> None:
    """At (-10, 10, -1000) and class 0: cross-entropy 20 and -1, squared error 2 and -8.245e-9."""
    answer = json.loads(invoke("surface", "--json", "--at=-10,10").stdout)
    (point,) = answer["points"]
    assert ([-10.0, 10.0, -1000.0], 0) == (point["logits"], point["target"])
    entropy, squared = point["losses"]["cross_entropy"], point["losses"]["mse_softmax"]
    assert ("20.000", "-1.000") == (f"{entropy['value']:.3f}", f"{entropy['gradient'][0]:.3f}")
    assert "2.000" == f"{squared['value']:.3f}"
    p = 2.0611536181902037e-9  # 1 / (1 + e^20)
    assert pytest.approx(-4 * p * (1 - p) ** 2, rel=1e-5) == squared["gradient"][0]
    assert "-8.245e-09" == f"{squared['gradient'][0]:.3e}"


def test_the_whole_surface_as_json(invoke: Invoke) -> None:
    """Without a point: the whole numbers of the range, and the path of a descent."""
    answer = json.loads(invoke("surface", "focal", "--json", "--from=-10,10", "--third=-5").stdout)
    assert 21 * 21 == len(answer["points"])
    assert [[-10.0, 10.0, -5.0]] == [p["logits"] for p in answer["points"] if p["logits"][:2] == [-10, 10]]
    assert answer["paths"]["focal"]["steps"] == answer["paths"]["focal"]["counted"] > 0


@pytest.mark.parametrize("arguments", [(), ("--from", "-10,10")])
def test_the_picture_fits_a_terminal(invoke: Invoke, arguments: tuple[str, ...]) -> None:
    """Off a terminal, in ASCII and 80 x 24: where squared error is large its gradient is blank."""
    answer = invoke("surface", *arguments)
    assert answer.stdout.isascii()
    lines = answer.stdout.splitlines()
    assert len(lines) < 24
    assert max(map(len, lines)) <= 80
    (title,) = (number for number, line in enumerate(lines) if "mse_softmax, 0 to 2" in line)
    height, gradient = lines[title + 2][6:38], lines[title + 2][46:78]
    assert "@@@@" in height[8:16]
    assert "" == gradient[12:20].strip()
    if arguments:
        assert "cross_entropy from (-10, 10): right in 11 steps (counted)" in answer.stdout
        assert "mse_softmax from (-10, 10): right in about 60,600,000 steps (integrated)" in answer.stdout


def test_the_figure_is_the_same_bytes_twice(invoke: Invoke, tmp_path: Path) -> None:
    """`--png` writes PNG and SVG; a file that is no picture is left as it is."""
    written = []
    for name in ("a.png", "b.png"):
        answer = invoke("surface", "mse_softmax", "--from=-3,3", "--png", tmp_path / name)
        assert f"wrote {tmp_path / name}" in answer.stderr
        written.append([(tmp_path / name).with_suffix(suffix).read_bytes() for suffix in (".png", ".svg")])
    assert written[0] == written[1]
    (tmp_path / "c.svg").write_text("my notes")
    assert 2 == invoke("surface", "--png", tmp_path / "c.png").exit_code
    assert not (tmp_path / "c.png").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--at=1",), "--at: must be two finite numbers with commas between, got '1'; as in --at=-10,10"),
        (("--range=1,1",), "--range: LOW must be below HIGH, got 1,1"),
        (("--lr=0",), "--third must be finite, and --lr finite and above 0"),
        (("--png=a.pdf",), "--png: the name must end in .png, got a.pdf"),
        (("cros_entropy",), "unknown loss 'cros_entropy'; did you mean 'cross_entropy'?"),
    ],
)
def test_surface_refuses_what_is_no_point(arguments: tuple[str, ...], message: str, fails: Fails) -> None:
    """One line that says what is wrong, and exit code 2."""
    assert message == fails(2, "surface", *arguments)


def test_a_plugins_loss_has_a_surface(here: Path, invoke: Invoke) -> None:
    """With `--plugin`, a loss of the user's own stands beside the others."""
    (here / "mine.py").write_text(
        "import clsbench\nimport torch\n\n@clsbench.loss('doubled')\ndef doubled(logits, targets):\n"
        "    'Cross-entropy, twice.'\n    return 2 * torch.nn.functional.cross_entropy(logits, targets)\n"
    )
    answer = json.loads(invoke("surface", "doubled", "--json", "--at=-10,10", "--plugin", "mine.py").stdout)
    found = answer["points"][0]["losses"]["doubled"]
    assert pytest.approx((40, -2)) == (found["value"], found["gradient"][0])
