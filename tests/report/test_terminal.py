"""What a run prints."""

import io
import re
from statistics import fmean, stdev

import pytest
from rich.console import Console

from clsbench.analysis.verdicts import verdicts
from clsbench.report import progress
from clsbench.report.compose import run_document
from clsbench.report.progress import Progress
from clsbench.report.renderers.terminal import show
from clsbench.report.text import printable

EPOCHS = 4
METRICS = {
    "train_accuracy": 0.5,
    "train_nll": 0.3,
    "test_accuracy": 0.5,
    "test_nll": 0.4,
    "test_brier": 0.2,
    "test_ece": 0.05,
    "logit_grad_norm": 0.6,
    "stuck_share": 0.02,
}
NEEDS_PROBABILITIES = ("train_nll", "test_nll", "test_brier", "test_ece")


@pytest.fixture(autouse=True)
def _no_wishes_from_outside(monkeypatch):
    """What a shell or a CI asks of rich is no part of these tests."""
    for name in ("FORCE_COLOR", "NO_COLOR", "COLUMNS", "LINES", "TTY_COMPATIBLE", "TTY_INTERACTIVE"):
        monkeypatch.delenv(name, raising=False)


def run_of(arms, seeds=3, diverged=(), no_probabilities=(), finals=None, dataset="moons", pairing=None):
    """A run whose metrics rise linearly from half to the whole of `finals[arm][metric]` plus 0.01 a seed."""
    records, entries = [], []
    for number, name in enumerate(arms):
        values = {metric: [] for metric in METRICS}
        for seed in range(seeds):
            lost = (name, seed) in diverged
            for epoch in range(EPOCHS + 1 if not lost else 3):
                gone = lost and epoch == 2
                record = {"trial": number * seeds + seed, "arm": name, "seed": seed, "epoch": epoch, "seconds": 2.0}
                for metric, default in METRICS.items():
                    end = (finals or {}).get(name, {}).get(metric, default) + 0.01 * seed
                    missing = gone or (name in no_probabilities and metric in NEEDS_PROBABILITIES)
                    record[metric] = None if missing else end * (1 + epoch / EPOCHS) / 2
                records.append({**record, "status": "diverged" if gone else "running"})
            for metric in METRICS:
                values[metric].append(None if lost else records[-1][metric])
        entries.append(arm_of(name, dataset, seeds, values))
    summary = {"name": "moons", "status": "finished", "device": "cpu", "engine": "eager", "arms": entries}
    summary["pairing"] = [{"arms": group} for group in pairing or [list(arms)]]
    return records, {**summary, "verdicts": verdicts(summary), "expectations": [], "seconds": 12.0}


def arm_of(name, dataset, seeds, values):
    kept = {metric: [value for value in column if value is not None] for metric, column in values.items()}
    return {
        "name": name,
        "loss": "cross_entropy",
        "label": name,
        "setting": "reduction=sum, weight=1, lr=0.1",
        "dataset": dataset,
        "model": "mlp",
        "lr": 0.1,
        "seeds": list(range(seeds)),
        "diverged": sum(value is None for value in values["test_accuracy"]),
        "metrics": {
            metric: {
                "mean": fmean(column) if column else None,
                "std": stdev(column) if len(column) > 1 else None,
                "n": len(column),
                "values": values[metric],
            }
            for metric, column in kept.items()
        },
    }


def shown(records, summary, width=80, encoding="utf-8", files=(), **options):
    raw = io.BytesIO()
    file = io.TextIOWrapper(raw, encoding=encoding, newline="")
    show(run_document(records, summary, files), Console(file=file, width=width, **options))
    file.flush()
    return raw.getvalue().decode(encoding)


def usual(**options):
    finals = {"good": {"test_accuracy": 0.9}, "bad": {"test_accuracy": 0.7, "stuck_share": 0.3}}
    return run_of(["good", "bad", "hinge"], no_probabilities=["hinge"], finals=finals, **options)


def line_with(text, *parts):
    """The lines that hold all `parts`, blanks squeezed."""
    lines = [re.sub(r" +", " ", line).strip() for line in text.splitlines()]
    return [line for line in lines if all(part in line for part in parts)]


def test_the_table_holds_mean_and_deviation_of_every_final_test_metric():
    """Each row of the table is mean and deviation over seeds, with a dash for what a loss does not have."""
    text = shown(*usual())
    assert "A good 0.910 ± 0.010 0.410 ± 0.010 0.210 ± 0.010 0.060 ± 0.010" in line_with(text, "good")
    assert "C hinge 0.510 ± 0.010 - - -" in line_with(text, "hinge")


def test_the_training_table_and_the_course():
    """Training, gradients, the epochs to 95% of the best, the diverged seeds and the time are there."""
    text = shown(*usual(diverged=[("bad", 1)]))
    assert "A good - 0.510 ± 0.010 0.310 ± 0.010" in line_with(text, "good")
    assert "A good 0.610 ± 0.010 0.030 ± 0.010" in line_with(text, "good")
    assert "A good 4 0 of 3 2.0 s" in line_with(text, "good")
    assert "B bad > 4 1 of 3 2.0 s" in line_with(text, "bad")
    assert "0.86" in line_with(text, "95% of the best mean test accuracy")[0]


def test_curves_state_the_spread_over_seeds_and_the_seeds_left():
    """Under each plot stand the final mean, the range over seeds, and how many seeds are left of a diverged arm."""
    text = shown(*usual(diverged=[("bad", 1)]))
    assert "A good 0.910 [0.900, 0.920]" in line_with(text, "good")
    assert "B bad 0.710 [0.700, 0.720] 2 of 3 seeds" in line_with(text, "bad")


def test_an_arm_without_probabilities_is_named_and_not_drawn():
    """The NLL plots say which arm they leave out, and why."""
    text = shown(*usual())
    assert text.count("No probabilities, so no NLL: C hinge.") == 2
    assert "C hinge" in line_with(text, "hinge", "0.510 [0.500, 0.520]")[0]


def test_a_metric_that_no_arm_has_is_not_drawn():
    """With identity links alone there is one plot, of accuracy."""
    text = shown(*run_of(["hinge"], no_probabilities=["hinge"]))
    assert "test accuracy by epoch" in text
    assert "NLL by epoch" not in text


def test_the_outcome_names_the_best_arm_and_its_lead_in_points():
    """One sentence says which arm ends highest and by how many points over the next."""
    text = " ".join(shown(*usual()).split())
    assert "A good ends highest in test accuracy: 91.0%, 20.0 points over B bad (71.0%)." in text


def test_the_outcome_says_when_seeds_are_missing():
    """A mean over the seeds that survived is not passed off as one over all."""
    text = " ".join(shown(*usual(diverged=[("good", 0)])).split())
    assert "A good has 2 of 3 left" in text


def test_equal_arms_are_level():
    """Without a difference the sentence claims none."""
    assert "level with B two" in " ".join(shown(*run_of(["one", "two"])).split())


def test_everything_diverged():
    """With no seed left there is no best arm, and the plot says where each curve stops."""
    text = shown(*run_of(["a", "b"], seeds=1, diverged=[("a", 0), ("b", 0)]))
    assert "No arm has a final test accuracy" in text
    assert "2 of 2" not in text
    assert "1 of 1" in text


def test_one_seed_has_no_deviation():
    """A single seed's value stands alone, without a deviation that does not exist."""
    text = shown(*run_of(["only"], seeds=1))
    assert "A only 0.500 0.400 0.200 0.050" in line_with(text, "only")


def test_a_large_stuck_share_is_explained():
    """An arm that is stuck on more than a tenth of the samples gets a note, another none."""
    note = " ".join(shown(*usual()).split()).split("Stuck samples")[1]
    assert note.startswith(" (wrong, with a gradient under 1% of that at zero logits): B bad 31%.")
    assert "Stuck samples" not in shown(*run_of(["good"]))


def test_the_setting_and_the_loss_behind_a_label_are_in_the_legend():
    """Reduction, weight and learning rate stand beside each name."""
    text = shown(*run_of(["mine"]))
    records, summary = run_of(["mine"])
    assert line_with(text, "mine", "reduction=sum, weight=1, lr=0.1")
    summary["arms"][0]["label"] = "other"
    assert line_with(shown(records, summary), "mine", "loss=cross_entropy, reduction=sum")


def test_verdicts_and_expectations_are_on_the_page():
    """Each comparison has its verdicts, and the run ends with what was expected of it."""
    records, summary = usual()
    row = {"text": "good.test_accuracy > 0.5", "met": True, "left": 0.91, "right": 0.5, "slack": 41.0}
    text = shown(records, {**summary, "expectations": [row]})
    assert line_with(text, "A - B", "test accuracy", "+0.200")
    assert "good.test_accuracy > 0.5: 0.91 against 0.5, met by 41.0 sd\n" in text
    assert "Expected" not in shown(records, summary)


def test_comparisons_are_shown_apart():
    """Each entry of the pairing has its own heading, curves and sentence."""
    text = shown(*run_of(["a", "b"], pairing=[["a"], ["b"]]))
    assert "moons (1 of 2)" in text
    assert "moons (2 of 2)" in text
    assert text.count("test accuracy by epoch") == 2


def test_more_arms_than_letters_are_all_in_the_table():
    """The plot keeps the best eight and says so; every arm is in the table."""
    names = [f"arm{index:02}" for index in range(11)]
    text = shown(*run_of(names, finals={name: {"test_accuracy": 0.3 + index / 20} for index, name in enumerate(names)}))
    assert "Drawn are 8 of 11 arms" in text
    assert line_with(text, "arm00", "0.310 ± 0.010")
    assert line_with(text, "H arm10", "[0.800, 0.820]")


def test_piped_output_has_no_escapes_and_no_carriage_returns():
    """Off a terminal the text is plain."""
    text = shown(*usual())
    assert not set("\x1b\r") & set(text)


@pytest.mark.parametrize("encoding", ["ascii", "latin-1"])
def test_an_encoding_without_unicode_gets_ascii(encoding):
    """Borders, signs and plots are ASCII; a character of a name that the encoding lacks is shown escaped."""
    text = shown(*run_of(["snow☃"]), encoding=encoding)
    assert text.isascii()
    assert "snow\\u2603" in text
    assert "0.510 +- 0.010" in text


@pytest.mark.parametrize("encoding", ["utf-8", "ascii"])
def test_eighty_columns_are_enough(encoding):
    """No line is longer than the console, with eight arms and a name longer than a line."""
    names = [f"mse_softmax lr={index / 10} momentum=0.9" for index in range(7)] + ["x" * 200]
    text = shown(*run_of(names), encoding=encoding, files=["runs/moons/1/" + "f" * 30] * 5)
    assert max(map(len, text.splitlines())) <= 80


@pytest.mark.parametrize("encoding", ["utf-8", "ascii"])
@pytest.mark.parametrize("width", [1, 2, 5, 20, 39, 40, 41, 60, 250])
def test_every_width_works(width, encoding):
    """From one column on, nothing crashes, no line is too long, and no number is cut short."""
    text = shown(*usual(), width=width, encoding=encoding)
    assert max(map(len, text.splitlines())) <= width
    assert "0.910±0.010".replace("±", "+-" if encoding == "ascii" else "±") in re.sub(r"\s", "", text)


def test_names_are_shown_literally():
    """Neither markup nor escape codes nor line breaks nor emoji codes of a name have any effect."""
    name = "[red]a[/] \x1b[31m\n\r:smile:\u202e"
    text = " ".join(shown(*run_of([name]), width=200).split())
    assert r"[red]a[/] \x1b[31m\n\r:smile:\u202e" in text
    assert "\x1b" not in shown(*run_of([name]))


def test_lines_differ_by_letter_without_colour():
    """On a colourless terminal each line of a plot still carries its arm's letter."""
    plot = shown(*usual()).split("test accuracy by epoch")[1].split("at the end")[0]
    assert {"A", "B", "C"} <= set(plot)


def test_colour_is_an_addition(monkeypatch):
    """A colour terminal shows the same characters; NO_COLOR takes the colours away."""
    plain = shown(*usual())
    monkeypatch.setenv("TERM", "xterm-256color")
    coloured = shown(*usual(), force_terminal=True, color_system="standard")
    assert "\x1b[36m" in coloured
    assert re.sub(r"\x1b\[[0-9;]*m", "", coloured) == plain
    assert not re.search(r"\x1b\[[0-9;]*3\dm", shown(*usual(), force_terminal=True, no_color=True))


def test_files_are_listed_under_their_directory():
    """A long directory is kept on one line, so that it can be copied."""
    folder = "/home/" + "d" * 100
    text = shown(*run_of(["a"]), files=[f"{folder}/curves.png", f"{folder}/summary.json"])
    assert text.endswith(f"{folder}/\ncurves.png, summary.json\n")


def test_printable_shows_what_it_escapes():
    """Letters of any script stay; what could act on a terminal becomes visible ASCII."""
    assert printable("Größe 損失 [b]") == "Größe 損失 [b]"
    assert printable("a\x1b[2J\x00\t\n\u2028\ud800") == r"a\x1b[2J\x00\t\n\u2028\ud800"
    assert printable("é☃", "latin-1") == "é\\u2603"


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_progress_off_a_terminal_is_a_line_now_and_then(monkeypatch):
    """One plain line per interval, with the share done and the time left, and never a carriage return."""
    now = [0.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    file = io.StringIO()
    with Progress(Console(file=file, width=20), 100) as bar:
        for _ in range(50):
            now[0] += 0.5
            bar.advance(1, "a [b]\nlong name that would not fit")
    first, second = file.getvalue().splitlines()
    assert first == r" 20% of 100 trial-epochs, 40 s left: a [b]\nlong name that would not fit"
    assert second.startswith(" 40% of 100 trial-epochs, 30 s left")
    assert not set("\x1b\r") & set(file.getvalue())


def test_progress_on_a_terminal_is_a_bar(monkeypatch):
    """A terminal sees a bar with its share and its text, escape codes of a name not among them."""
    monkeypatch.setenv("TERM", "xterm")
    file = Terminal()
    with Progress(Console(file=file, width=100, force_terminal=True), 4) as bar:
        bar.advance(4, "arm \x1b[31m")
    assert "100%" in file.getvalue()
    assert r"arm \x1b[31m" in file.getvalue()


@pytest.mark.parametrize("dumb", [True, False])
def test_progress_is_quiet_when_asked_and_still_on_a_dumb_terminal(monkeypatch, dumb):
    """Quiet prints nothing; a terminal that cannot move its cursor gets no animation."""
    monkeypatch.setenv("TERM", "dumb" if dumb else "xterm")
    file = Terminal()
    with Progress(Console(file=file, force_terminal=True), 4, quiet=not dumb) as bar:
        bar.advance(4, "arm")
    assert file.getvalue() == ""


def test_progress_in_one_column(monkeypatch):
    """A terminal of one column is no reason to fail."""
    monkeypatch.setenv("TERM", "xterm")
    with Progress(Console(file=Terminal(), width=1, force_terminal=True), 0) as bar:
        bar.advance(0, "arm")
