"""Several comparisons on one page: what is said first, how ranks are drawn, and what is left to --details."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import clsbench
from clsbench.analysis.by import across_by
from clsbench.analysis.curves import comparisons
from clsbench.analysis.verdicts import judgement
from clsbench.config.schema import VerdictConfig
from clsbench.report.compose import answer_document, figure_documents
from clsbench.report.document import ArmRef, Paragraph, Ranks, Table
from clsbench.report.renderers.figures import draw, rendered
from clsbench.report.renderers.look import Look
from clsbench.report.renderers.ranks import as_svg, draw_ranks
from clsbench.report.sections.across import across, by_comparison
from clsbench.report.sections.arms import short_references
from clsbench.report.values import Proportion
from clsbench.result import Result, trained_plan
from tests.report.runs import blocks, on_screen

DATASETS = [{"name": "moons", "label": f"m{number}", "samples": 60, "split_seed": number} for number in range(6)]
CONFIG: dict[str, Any] = {
    "dataset": DATASETS,
    "model": "linear",
    "loss": ["cross_entropy", {"name": "cross_entropy", "label": "slow", "lr": 1e-9}],
    "optimizer": {"lr": 0.5},
    "train": {"epochs": 5, "seeds": 2, "device": "cpu", "threads": 1},
    "report": "off",
}


@pytest.fixture(scope="module")
def result(tmp_path_factory: pytest.TempPathFactory) -> Result:
    return clsbench.run(CONFIG, output=tmp_path_factory.mktemp("runs"))


def test_the_first_page_says_which_arm_is_better_over_all(result: Result) -> None:
    """The sentence, the ranks, a row for each arm and each comparison; no comparison has a screen of its own."""
    text = on_screen(result.records, result.summary, document=answer_document)
    assert "Over 6 comparisons" in text
    said = " ".join(text.split())
    assert "A cross_entropy has the best mean rank in test accuracy, 1.00, and beats B slow (6 won, 0 tied, 0" in said
    assert "Holm's p = 0.031" in said  # 2 / 2^6
    assert text.index("rank  1") < text.rindex("m0") < text.rindex("m5")
    assert "━━ moons (1 of 6)" not in text
    assert len(text.splitlines()) < 40


def said_of(found: Any) -> str:
    """The sentence over all comparisons."""
    (first, *_) = across(found).blocks
    assert isinstance(first, Paragraph)
    return "".join(part if isinstance(part, str) else part.name for part in first.text)


def test_who_beats_whom_is_what_the_test_says(result: Result) -> None:
    """Not what the mean ranks say, which can be the reverse; a run of an older version says only that it is one."""
    found: Any = result.summary["across"]

    def with_word(word: str | None) -> str:
        return said_of({**found, "pairs": [{**found["pairs"][0], "verdict": word}]})

    scores = "slow (6 won, 0 tied, 0 lost; Holm's p = 0.031)."
    start = "cross_entropy has the best mean rank in test accuracy, 1.00, "
    assert f"{start}but is beaten by {scores}" == with_word("worse")
    assert f"{start}and beats {scores}" == with_word("better") == with_word(None)
    assert f"{start}but no test tells it apart from the others." == with_word("undecided")


def test_equal_mean_ranks_are_shared(result: Result) -> None:
    """No arm has the best one for itself."""
    found: Any = result.summary["across"]
    equal = {**found, "arms": [{**arm, "mean_rank": 1.5} for arm in found["arms"]]}
    start = "cross_entropy and slow share the best mean rank in test accuracy, 1.50; "
    assert said_of(equal).startswith(f"{start}cross_entropy beats slow (")
    open_one = {**equal, "pairs": [{**found["pairs"][0], "p_holm": 1.0, "verdict": "undecided"}]}
    assert f"{start}no test tells cross_entropy apart from the others." == said_of(open_one)


def test_an_arm_has_one_colour_everywhere(result: Result) -> None:
    """The arms over all comparisons have the marks that they have in each, whatever their ranks."""
    turned = {**result.summary["across"]}  # type: ignore[dict-item]
    turned["arms"] = [{**arm, "mean_rank": 3 - arm["mean_rank"]} for arm in turned["arms"]]
    (first, *_) = comparisons(result.records, result.summary)
    marks = [ref.mark for ref in short_references(first).values()]
    for found in (result.summary["across"], turned):
        (drawn,) = blocks(across(found), Ranks)
        assert dict(zip(["cross_entropy", "slow"], marks, strict=True)) == {
            ref.name: ref.mark for ref, _ in drawn.entries
        }


def test_no_bar_of_a_diagram_lies_inside_another(result: Result) -> None:
    """Two groups that differ only in arms that are not drawn are one: here a, told apart from the worst alone."""
    whole: Any = result.summary["across"]
    names = "abcdefghi"  # one more than are drawn
    arms = [{**whole["arms"][0], "name": name, "mean_rank": float(rank)} for rank, name in enumerate(names, start=1)]
    pairs = [
        {**whole["pairs"][0], "a": a, "b": b, "p_holm": 0.01 if (a, b) == ("a", "i") else 1.0}
        for a, b in itertools.combinations(names, 2)
    ]
    (drawn,) = blocks(across({**whole, "arms": arms, "pairs": pairs}), Ranks)
    assert [tuple("abcdefgh")] == [tuple(arm.name for arm in group) for group in drawn.groups]


def test_a_mean_of_one_seed_has_no_interval(result: Result) -> None:
    """The number stands alone."""
    found: Any = result.summary["across"]
    bare = {**found, "arms": [{**arm, "mean": 0.8125, "low": None, "high": None} for arm in found["arms"]]}
    _, _, table, _ = across(bare).blocks
    assert isinstance(table, Table)
    assert ["0.812", "0.812"] == [row[2] for row in table.rows]


def test_a_comparison_counts_the_arms_that_its_best_was_judged_against(result: Result) -> None:
    """The best arm, under a name with its own settings, is judged against the baseline alone where there is one."""
    first, second = result.summary["arms"][:2]
    first = {**first, "name": "cross_entropy dataset=m0 momentum=0.9"}
    third = {**second, "name": "third dataset=m0"}
    names = [first["name"], second["name"], third["name"]]
    of_three: Any = {**result.summary, "arms": [first, second, third], "pairing": [{"arms": names}]}
    for baseline, others in ((None, 2), (second["name"], 1)):
        judged: Any = {**of_three, **judgement(of_three, VerdictConfig(baseline=baseline).rules)}
        (table,) = by_comparison(comparisons([], judged), judged, ["m0"]).blocks
        assert isinstance(table, Table)
        assert "cross_entropy momentum=0.9" == table.rows[0][1]
        assert {others} == {cell.whole for cell in table.rows[0] if isinstance(cell, Proportion)}


def test_every_comparison_is_in_the_details(result: Result) -> None:
    """The page of all comes before those of each."""
    text = on_screen(result.records, result.summary)
    assert text.index("Over 6 comparisons") < text.index("moons (1 of 6)") < text.index("moons (6 of 6)")


def test_few_comparisons_speak_for_themselves(result: Result, tmp_path: Path) -> None:
    """With four comparisons no test can tell two arms apart: each has its screen, and there is no figure of ranks."""
    few = {**result.summary, "across": {**(result.summary["across"] or {}), "blocks": ["m0", "m1", "m2", "m3"]}}
    assert "Over 4" not in on_screen(result.records, few, document=answer_document)  # type: ignore[arg-type]
    assert "ranks" not in figure_documents(result.records, few)  # type: ignore[arg-type]
    assert {"curves", "ranks"} <= figure_documents(result.records, result.summary).keys()


def test_the_figure_of_ranks_names_its_arms(result: Result) -> None:
    """As SVG its text is text, and it is the same bytes twice."""
    document = figure_documents(result.records, result.summary)["ranks"]
    first, again = (rendered(draw(document), "svg") for _ in range(2))
    assert first == again
    assert b"cross_entropy 1.00" in first
    assert b"slow 2.00" in first


def test_a_diagram_of_some_arms_says_so() -> None:
    """The axis goes to the rank of the worst of all."""
    svg = as_svg(Ranks(((ArmRef("a", 0), 1.2), (ArmRef("b", 1), 1.8)), (), 11))
    assert 'aria-label="mean rank, of the best 2 of 11 arms; a bar' in svg
    assert ">11</text>" in svg


@pytest.mark.parametrize("width", [30, 80])
def test_ranks_keep_to_the_width(width: int) -> None:
    """A bar over all ranks leaves the words about it no room, so they have a line of their own."""
    arms = ArmRef("a", 0), ArmRef("b", 1)
    lines = [
        line.plain for line in draw_ranks(Ranks(((arms[0], 1.0), (arms[1], 2.0)), (arms,), 2), Look(width, "utf-8"))
    ]
    assert max(map(len, lines)) <= width
    assert "not told apart" == lines[-1].strip()
    assert "\u2501" == lines[-2].strip()[0]


def test_a_name_stays_text_in_the_page() -> None:
    """A label may be anything; groups have bars."""
    arms = ArmRef("<script>alert(1)</script>", 0), ArmRef("b", 1)
    svg = as_svg(Ranks(((arms[0], 1.2), (arms[1], 1.8)), (arms,), 2))
    assert "&lt;script&gt;" in svg
    assert "<script>" not in svg
    assert 1 == svg.count('stroke-width="4"')
    assert 'aria-label="mean rank; a bar joins' in svg
    # Names lie over the lines of other arms.
    assert svg.rindex("<path") < svg.index('<text class="name"')


def test_the_page_can_be_shown_for_each_value_of_a_setting(invoke: Callable[..., Any], tmp_path: Path) -> None:
    """By model, the arms over the data sets of each; by rate, those of one rate, called alike; else a hint."""
    config = {
        **CONFIG,
        "dataset": DATASETS[:2],
        "model": ["linear", {"name": "mlp", "hidden": [4]}],
        "loss": ["cross_entropy", "bce"],
        "optimizer": {"lr": [1e-9, 0.5]},
        "train": {"epochs": 3, "seeds": 1, "device": "cpu", "threads": 1},
    }
    directory = str(clsbench.run(config, output=tmp_path).directory)
    by_model = invoke("report", directory, "--by", "model").stdout
    assert 2 == by_model.count(": over 2 comparisons")
    assert by_model.index("model=linear: over") < by_model.index("model=mlp: over")
    assert "cross_entropy lr=0.5" in by_model
    by_rate = invoke("report", directory, "--by", "lr").stdout
    assert "lr=1e-09: over 4 comparisons" in by_rate
    assert "lr=0.5: over 4 comparisons" in by_rate
    assert "cross_entropy lr" not in by_rate
    refused = invoke("report", directory, "--by", "modell")
    assert 2 == refused.exit_code
    assert "--by: the arms do not differ in 'modell'; did you mean 'model'?" in refused.stderr


def test_settings_that_end_alike_are_asked_for_in_full(invoke: Callable[..., Any], tmp_path: Path) -> None:
    """A loss's gamma is not the schedule's: each divides the run by itself, and a label stays as it is."""
    config = {
        **CONFIG,
        "dataset": DATASETS[:2],
        "loss": [{"name": "focal", "gamma": [0.1, 2.0]}, {"name": "bce", "label": "b optimizer.gamma=0.5"}],
        "optimizer": {"lr": 0.5, "schedule": {"name": "step", "step": 1, "gamma": [0.1, 0.5]}},
        "train": {"epochs": 2, "seeds": 1, "device": "cpu", "threads": 1},
    }
    result = clsbench.run(config, output=tmp_path)

    def names(key: str) -> dict[str, list[str]]:
        rules = VerdictConfig().rules
        found = across_by(key, trained_plan(result), result.summary["arms"], result.summary["data"], rules)
        return {title: [arm["name"] for arm in each["arms"]] for title, each in found.items()}

    of_rate = ["focal gamma=0.1", "focal gamma=2.0", "b optimizer.gamma=0.5"]
    assert {"optimizer.gamma=0.1": of_rate, "optimizer.gamma=0.5": of_rate} == names("optimizer.gamma")
    of_loss = ["focal gamma=0.1", "focal gamma=0.5"]
    assert {"loss.gamma=0.1": of_loss, "loss.gamma=2.0": of_loss} == names("loss.gamma")
    refused = invoke("report", str(result.directory), "--by", "gamma")
    assert 2 == refused.exit_code
    assert "the arms do not differ in 'gamma'; " in refused.stderr


@pytest.mark.parametrize(
    ("wrong", "said"),
    [(("--by", "momentum"), "do not differ in 'momentum'"), (("--by", "dataset", "--json"), "--json")],
)
def test_a_page_that_cannot_be_shown_writes_nothing(
    result: Result, invoke: Callable[..., Any], tmp_path: Path, wrong: tuple[str, ...], said: str
) -> None:
    """What is wrong with --by is said before files are written."""
    refused = invoke("report", str(result.directory), "--csv", str(tmp_path / "records.csv"), *wrong)
    assert 2 == refused.exit_code
    assert said in refused.stderr
    assert [] == list(tmp_path.iterdir())
