"""The figure for a paper."""

import xml.etree.ElementTree as ElementTree
from statistics import fmean

import matplotlib as mpl
import pytest

from clsbench.errors import RunError
from clsbench.report.compose import figure_documents
from clsbench.report.renderers import figures
from clsbench.report.renderers.figures import save

METRICS = ("train_nll", "test_accuracy", "test_nll", "stuck_share")


def run_of(arms, pairing=None, seeds=2, epochs=5, no_nll=(), scale=1.0, stuck=0.0):
    records, entries = [], []
    for number, name in enumerate(arms):
        for seed in range(seeds):
            for epoch in range(epochs + 1):
                value = scale * (0.5 + 0.05 * epoch + 0.01 * seed + 0.02 * number)
                nll = None if name in no_nll else value
                metrics = {"train_nll": nll, "test_nll": nll, "test_accuracy": value, "stuck_share": stuck}
                records.append({"trial": number * seeds + seed, "arm": name, "seed": seed, "epoch": epoch, **metrics})
        finals = [record["test_accuracy"] for record in records[-1:]]
        entries.append(
            {
                "name": name,
                "loss": "cross_entropy",
                "label": "cross_entropy",
                "setting": "weight=1, lr=0.1",
                "dataset": "moons",
                "model": "mlp",
                "seeds": list(range(seeds)),
                "metrics": {"test_accuracy": {"mean": fmean(finals), "values": finals}},
            }
        )
    return records, {"name": "moons", "arms": entries, "pairing": [{"arms": g} for g in pairing or [list(arms)]]}


def draw(records, summary):
    return figures.draw(figure_documents(records, summary)["curves"])


def panels(figure):
    return [axes for row in figure.subfigs for axes in row.axes]


def svg_text(directory):
    root = ElementTree.parse(directory / "curves.svg").getroot()
    return ["".join(node.itertext()) for node in root.iter("{http://www.w3.org/2000/svg}text")]


def test_save_writes_a_png_and_an_svg(tmp_path):
    """Both files are there, the PNG at 200 dpi of a page's width, the SVG with the arms' names as text."""
    paths = save(draw(*run_of(["good", "bad"])), tmp_path)
    assert paths == [tmp_path / "curves.png", tmp_path / "curves.svg"]
    assert sorted(tmp_path.iterdir()) == paths
    height, width, _ = mpl.image.imread(paths[0]).shape
    assert width == 1440
    assert 300 < height < 800
    assert "good (weight=1, lr=0.1)" in svg_text(tmp_path)


def test_the_same_run_gives_the_same_bytes(tmp_path):
    """Neither date nor random ids make two drawings of one run differ."""
    written = []
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        written.append([path.read_bytes() for path in save(draw(*run_of(["a", "b"])), tmp_path / name)])
    assert written[0] == written[1]


def test_lines_are_means_and_bands_are_ranges():
    """The first panel's line runs through the means over seeds, its band from minimum to maximum."""
    axes = panels(draw(*run_of(["a"])))[0]
    assert list(axes.lines[0].get_ydata()) == pytest.approx([0.505 + 0.05 * epoch for epoch in range(6)])
    (band,) = axes.collections
    corners = band.get_paths()[0].vertices
    assert corners[:, 1].min() == pytest.approx(0.5)
    assert corners[:, 1].max() == pytest.approx(0.76)


def test_a_loss_without_probabilities_has_no_nll_line():
    """It is drawn in the accuracy panel alone; where no arm has NLL the panel says so."""
    accuracy, test_nll, _ = panels(draw(*run_of(["a", "hinge"], no_nll=["hinge"])))
    assert (len(accuracy.lines), len(test_nll.lines)) == (2, 1)
    _, empty, _ = panels(draw(*run_of(["hinge"], no_nll=["hinge"])))
    assert [text.get_text() for text in empty.texts] == ["no numbers"]


def test_stuck_samples_have_a_panel_where_there_are_many():
    """The stuck share is drawn once an arm has more than a tenth."""
    assert [len(panels(draw(*run_of(["a"], stuck=share)))) for share in (0.05, 0.2)] == [3, 4]


def test_lines_differ_in_grey():
    """Among eight arms no two share dashes and marker."""
    lines = panels(draw(*run_of([f"arm{index}" for index in range(8)])))[0].lines
    assert len({(line.get_marker(), str(line.get_linestyle())) for line in lines}) == 8


def test_each_comparison_has_its_row():
    """One row of panels for each entry of the pairing; past eight, a footnote says how many there are."""
    names = [f"arm{index}" for index in range(10)]
    assert len(draw(*run_of(names, pairing=[names[:3], names[3:]])).subfigs) == 2
    figure = draw(*run_of(names, pairing=[[name] for name in names]))
    assert len(figure.subfigs) == 8
    assert "The first 8 of 10 comparisons." in figure.get_supxlabel()


@pytest.mark.parametrize("name", ["$x$", r"\frac{$", "<b>&\"'", "[red]", "損失", "%s{0}", "_hidden"])
def test_hostile_names_are_inert(name, tmp_path):
    """Mathematics, markup and formats in a name are shown as they are written."""
    save(draw(*run_of([name, "other"])), tmp_path)
    assert f"{name} (weight=1, lr=0.1)" in svg_text(tmp_path)


def test_escapes_and_long_names(tmp_path):
    """Control characters are shown escaped, and a name of any length leaves the panels their room."""
    figure = draw(*run_of(["a\x1b\x00\nb", "x" * 5000]))
    save(figure, tmp_path)
    assert r"a\x1b\x00\nb (weight=1, lr=0.1)" in svg_text(tmp_path)
    assert all(axes.get_position().height > 0.2 for axes in panels(figure))


def test_the_users_own_matplotlib_settings_neither_matter_nor_change(tmp_path):
    """A matplotlibrc that asks for TeX is ignored, and is as before afterwards."""
    with mpl.rc_context({"text.usetex": True, "svg.fonttype": "path"}):
        save(draw(*run_of(["a_b"])), tmp_path)
        assert mpl.rcParams["text.usetex"]
    assert "a_b (weight=1, lr=0.1)" in svg_text(tmp_path)


def test_a_failed_save_leaves_the_old_file(tmp_path, monkeypatch):
    """When a file cannot be replaced the old one stays, nothing else is left behind, and the error says why."""
    (tmp_path / "curves.png").write_text("old")

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(RunError, match="no space left"):
        save(draw(*run_of(["a"])), tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["curves.png"]
    assert (tmp_path / "curves.png").read_text() == "old"


def test_a_run_without_comparisons_is_an_empty_figure(tmp_path):
    """Nothing to draw is no reason to fail."""
    assert len(save(draw([], {"name": "moons", "arms": [], "pairing": []}), tmp_path)) == 2
