"""The figures of a run: what they draw, as data, and how matplotlib draws it."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl
import pytest
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from clsbench import shown
from clsbench.errors import RunError
from clsbench.report.compose import figure_documents
from clsbench.report.document import ArmRef, Bin, Curves, Paragraph, Reliability
from clsbench.report.renderers.figures import draw, files
from clsbench.result import Result
from tests.report.runs import Records, Summary, arm_of, blocks, plain, run_of, summary_of, tried, tuned_run

SETTING = "weight=1, lr=0.1"


def run_with(arms: Sequence[str], **options: Any) -> tuple[Records, Summary]:
    """A run whose legend has short settings."""
    records, summary = run_of(arms, **options)
    for arm in summary["arms"]:
        arm |= {"setting": SETTING, "label": arm["name"]}
    return records, summary


def drawn(records: Records, summary: Summary, name: str = "curves") -> Figure:
    return draw(figure_documents(records, summary)[name])


def save(figure: Figure, directory: Path, name: str = "curves") -> list[Path]:
    drawn = files(figure, name)
    for file, content in drawn.items():
        (directory / file).write_bytes(content)
    return [directory / file for file in drawn]


def panels(figure: Figure) -> list[Axes]:
    return [axes for row in figure.subfigs for axes in row.axes]


def svg_text(directory: Path, name: str = "curves") -> list[str]:
    root = ElementTree.parse(directory / f"{name}.svg").getroot()
    return ["".join(node.itertext()) for node in root.iter("{http://www.w3.org/2000/svg}text")]


def test_save_writes_a_png_and_an_svg(tmp_path: Path) -> None:
    """Both files are there, the PNG at 200 dpi of a page's width and 16:9, the SVG with the arms' names as text."""
    paths = save(drawn(*run_with(["good", "bad"])), tmp_path)
    assert [tmp_path / "curves.png", tmp_path / "curves.svg"] == paths
    assert paths == sorted(tmp_path.iterdir())
    assert (810, 1440) == mpl.image.imread(paths[0]).shape[:2]
    assert {"good", "bad"} <= set(svg_text(tmp_path))


def test_the_same_run_gives_the_same_bytes(tmp_path: Path) -> None:
    """Neither date nor random ids make two drawings of one run differ."""
    written = []
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        written.append([path.read_bytes() for path in save(drawn(*run_with(["a", "b"])), tmp_path / name)])
    assert written[0] == written[1]


def test_a_figure_has_curves_for_each_metric_and_says_what_bands_are() -> None:
    """One section for each comparison, titled by what its arms share; the stuck share where there is any."""
    names = ["test_accuracy", "test_nll", "train_nll"]
    for share, expected in ((0.05, names), (0.2, [*names, "stuck_share"])):
        document = figure_documents(*run_with(["a"], finals={"a": {"stuck_share": share}}))["curves"]
        section, notes = document.sections
        assert "moons, mlp, 3 seeds" == plain(section.title)
        assert expected == [block.metric for block in blocks(section, Curves)]
        assert [("Lines: mean over seeds. Bands: minimum to maximum.",)] == [b.text for b in blocks(notes, Paragraph)]
        assert len(expected) == len(panels(draw(document)))


def test_what_arms_share_is_said_once_above_them(tmp_path: Path) -> None:
    """A setting of all arms stands in the title of their row, another beside the name of its arm."""
    records, summary = run_with(["a", "b"])
    summary["arms"][1]["setting"] = "reduction=mean, " + SETTING
    save(drawn(records, summary), tmp_path)
    words = svg_text(tmp_path)
    assert [f"moons, mlp, 3 seeds: {SETTING}"] == [word for word in words if SETTING in word]
    assert {"a", "b (reduction=mean)"} <= set(words)


def test_a_row_has_no_panel_without_something_to_say() -> None:
    """The stuck share is drawn of the comparison in which samples are stuck, not beside it."""
    run = run_with(["a", "b"], pairing=[["a"], ["b"]], finals={"b": {"stuck_share": 0.5}, "a": {"stuck_share": 0.0}})
    assert [3, 4] == [len(row.axes) for row in drawn(*run).subfigs]


def test_lines_are_means_and_bands_are_ranges() -> None:
    """The first panel's line runs through the means over seeds, its band from minimum to maximum."""
    axes = panels(drawn(*run_with(["a"], seeds=2)))[0]
    means = [0.505 * (1 + epoch / 4) / 2 for epoch in range(5)]
    assert pytest.approx(means) == list(axes.lines[0].get_ydata())
    (band,) = axes.collections
    corners = band.get_paths()[0].vertices
    assert pytest.approx(0.25) == corners[:, 1].min()
    assert pytest.approx(0.51) == corners[:, 1].max()


def test_a_loss_without_probabilities_has_no_nll_line() -> None:
    """It is drawn in the accuracy panel alone; where no arm has NLL the panel says so."""
    accuracy, test_nll, _ = panels(drawn(*run_with(["a", "hinge"], no_probabilities=["hinge"])))
    assert (2, 1) == (len(accuracy.lines), len(test_nll.lines))
    _, empty, _ = panels(drawn(*run_with(["hinge"], no_probabilities=["hinge"])))
    assert ["no numbers"] == [text.get_text() for text in empty.texts]


def test_an_nll_over_decades_is_on_a_log_axis() -> None:
    """The panel's title says so, and its numbers are plain."""
    finals = {"a": {"test_nll": 0.001}, "b": {"test_nll": 100.0}}
    _, axes, _ = panels(drawn(*run_with(["a", "b"], finals=finals)))
    assert ("test NLL (log scale)", "log") == (axes.get_title(), axes.get_yscale())


def test_lines_differ_in_grey() -> None:
    """Among eight arms no two share dashes and marker."""
    lines = panels(drawn(*run_with([f"arm{index}" for index in range(8)])))[0].lines
    assert 8 == len({(line.get_marker(), str(line.get_linestyle())) for line in lines})


def test_each_comparison_has_its_row() -> None:
    """One row of panels for each comparison; past eight, a footnote says how many there are."""
    names = [f"arm{index}" for index in range(10)]
    figure = drawn(*run_with(names, pairing=[names[:1], names[1:]]))
    assert 2 == len(figure.subfigs)
    assert "At most 8 arms are shown, those with the best final test accuracy." in figure.get_supxlabel()
    figure = drawn(*run_with(names, pairing=[[name] for name in names]))
    assert 8 == len(figure.subfigs)
    assert "The first 8 of 10 comparisons." in figure.get_supxlabel()


@pytest.mark.parametrize("name", ["$x$", r"\frac{$", "<b>&\"'", "[red]", "損失", "%s{0}", "_hidden"])
def test_hostile_names_are_inert(name: str, tmp_path: Path) -> None:
    """Mathematics, markup and formats in a name are shown as they are written."""
    save(drawn(*run_with([name, "other"])), tmp_path)
    assert name in svg_text(tmp_path)


def test_escapes_and_long_names(tmp_path: Path) -> None:
    """Control characters are shown escaped, and a name of any length leaves the panels their room."""
    figure = drawn(*run_with(["a\x1b\x00\nb", "x" * 5000]))
    save(figure, tmp_path)
    assert r"a\x1b\x00\nb" in svg_text(tmp_path)
    assert all(axes.get_position().height > 0.2 for axes in panels(figure))


def test_the_users_own_matplotlib_settings_neither_matter_nor_change(tmp_path: Path) -> None:
    """A matplotlibrc that asks for TeX is ignored, and is as before afterwards."""
    with mpl.rc_context({"text.usetex": True, "svg.fonttype": "path"}):
        save(drawn(*run_with(["a_b"])), tmp_path)
        assert mpl.rcParams["text.usetex"]
    assert "a_b" in svg_text(tmp_path)


def test_a_failed_drawing_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """When a file cannot be replaced the old one stays, nothing else is left behind, and the error says why."""
    (tmp_path / "curves.png").write_text("old")

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(RunError, match="no space left"):
        shown.draw(Result(*run_with(["a"]), tmp_path), tmp_path)
    assert ["curves.png"] == [path.name for path in tmp_path.iterdir()]
    assert "old" == (tmp_path / "curves.png").read_text()


def test_a_run_without_comparisons_is_an_empty_figure(tmp_path: Path) -> None:
    """Nothing to draw is no reason to fail."""
    assert 2 == len(save(drawn([], summary_of([], [])), tmp_path))


def test_tuning_has_a_figure_of_sensitivities(tmp_path: Path) -> None:
    """Every arm is a line over the rates, on a log axis labelled in plain numbers; without tuning there is none."""
    rates = [0.01, 0.1, 1.0, 10.0]
    summary = tuned_run({"good": [tried({"lr": rate}, 0.5 + rate / 20) for rate in rates]}, {"lr": rates})
    documents = figure_documents([], summary)
    assert ["curves", "tuning"] == list(documents)
    (axes,) = panels(draw(documents["tuning"]))
    assert ("validation accuracy", "lr", "log") == (axes.get_title(), axes.get_xlabel(), axes.get_xscale())
    assert rates == list(axes.lines[0].get_xdata())
    save(draw(documents["tuning"]), tmp_path, "tuning")
    found = svg_text(tmp_path, "tuning")
    assert "moons, mlp: mean, minimum and maximum over 3 tuning seeds" in found
    assert {"0.01", "10"} <= set(found)
    assert ["curves"] == list(figure_documents([], {**summary, "tuning": None}))


def test_reliability_has_a_diagram_for_each_arm() -> None:
    """Bins with samples are points; an arm without probabilities says so."""
    bins = {"count": [1, 0, 3], "confidence": [0.2, None, 0.9], "accuracy": [0.0, None, 1.0]}
    sure = arm_of("sure", {"test_accuracy": [0.75], "test_ece": [0.125]}, reliability=bins)
    raw = arm_of("raw", {"test_accuracy": [0.5]}, reliability=None)
    document = figure_documents([], summary_of([sure, raw], [["sure", "raw"]]))["reliability"]
    assert [
        Reliability(ArmRef("sure", 0), 0.125, (Bin(1, 0.2, 0.0), Bin(0, None, None), Bin(3, 0.9, 1.0))),
        Reliability(ArmRef("raw", 1), None, ()),
    ] == blocks(document.sections[0], Reliability)
    first, second = (axes for axes in draw(document).axes if axes.get_visible())
    assert ("sure\nECE 0.125", "raw") == (first.get_title(), second.get_title())
    assert [[0.2, 0.0], [0.9, 1.0]] == first.collections[0].get_offsets().tolist()
    assert ["no probabilities"] == [text.get_text() for text in second.texts]


def test_a_diagram_of_reliability_does_not_repeat_its_row() -> None:
    """What all arms of a comparison share stands above them, and their names are whole."""
    names = [f"{loss} dataset=breast_cancer model=linear lr=0.1" for loss in ("cross_entropy", "mse_softmax")]
    bins = {"count": [4], "confidence": [0.5], "accuracy": [0.5]}
    facts = {"setting": "lr=0.1", "dataset": "breast_cancer", "model": "linear", "reliability": bins}
    arms = [arm_of(name, {"test_accuracy": [0.5]}, label=name.split()[0], **facts) for name in names]
    document = figure_documents([], summary_of(arms, [names]))["reliability"]
    assert ["cross_entropy", "mse_softmax"] == [axes.get_title() for axes in draw(document).axes if axes.get_visible()]
    (row,) = draw(document).subfigs
    assert "breast_cancer, linear, 1 seed: lr=0.1" == row.get_suptitle()
