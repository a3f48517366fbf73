"""From the records of a run to its arms, verdicts and expectations."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from clsbench.analysis.across import across
from clsbench.analysis.cross import cross_summaries
from clsbench.analysis.expectations import evaluate
from clsbench.analysis.pairing import pairing
from clsbench.analysis.summary import arm_summary, last_records
from clsbench.analysis.targets import with_times_to_target
from clsbench.analysis.test_set import Spreads, sample_spread, spreads_of
from clsbench.analysis.verdicts import are_judged, judgement
from clsbench.analysis.warnings import BEST_ON_TEST, of_arms, of_expectations, unsilenced
from clsbench.config.expectations import metrics_of, pairs_of, parse
from clsbench.config.plan import Plan, make_plan
from clsbench.config.schema import Experiment
from clsbench.results import ArmSummary, Compared, DataSummary, ExpectationResult, Judged, Records, RunWarning, Summary
from clsbench.runs.evidence import Evidence

if TYPE_CHECKING:
    from clsbench.execution.cross import CrossEvaluation, CrossEvaluations


def judged(
    plan: Plan,
    records: Records,
    failures: Mapping[int, str],
    crossed: CrossEvaluations,
    evidence: Evidence,
    data: dict[str, DataSummary],
    warnings: list[RunWarning],
) -> tuple[Judged, list[ExpectationResult]]:
    """The arms of a run with their verdicts, and its expectations.

    Args:
        plan: the trials that were trained, at the settings that tuning chose.
        records: theirs.
        failures: by trial number, why it failed.
        crossed: by trial number, its network under every loss; a trial that did not finish has none. And by sample.
        evidence: of the pairing.
        data: as in the summary.
        warnings: about the data, models and losses.

    Raises:
        PromiseBroken: arms that should have been paired were not.
    """
    expectations = [parse(text) for text in plan.experiment.expect]
    arms = _arms(plan, records, failures, crossed)
    compared: Compared = {
        "data": data,
        "warnings": [
            *warnings,
            *unsilenced([*of_arms(arms, data), *of_expectations(expectations)], plan.experiment.silence),
        ],
        "arms": arms,
        "pairing": pairing(evidence, plan),
    }
    compared["arms"] = with_times_to_target(compared, records)
    named = pairs_of(expectations), metrics_of(expectations)
    found = judgement(compared, plan.experiment.verdict.rules, *named, _spreads(crossed))
    return found, evaluate(expectations, records, found)


def judged_again(summary: Summary, records: Records, asked: Experiment) -> Summary:
    """The summary of a complete run with the expectations of another config, and the verdicts by its rules."""
    expectations, rules = [parse(text) for text in asked.expect], asked.verdict.rules
    named = pairs_of(expectations), metrics_of(expectations)
    kept = [each for each in summary["warnings"] or () if each["code"] != BEST_ON_TEST]
    warnings = [*kept, *unsilenced(of_expectations(expectations), asked.silence)]
    spreads = spreads_of(summary["verdicts"])
    found: Judged = summary if are_judged(summary, rules, *named) else judgement(summary, rules, *named, spreads)
    found = {**found, "warnings": warnings}
    return {
        **summary,
        "warnings": warnings,
        "rules": found["rules"],
        "pairs": found["pairs"],
        "verdicts": found["verdicts"],
        "across": across(make_plan(asked), summary["arms"], summary["data"], rules),
        "expectations": evaluate(expectations, records, found),
    }


def _spreads(crossed: CrossEvaluations) -> Spreads:
    return lambda a, b, metric: sample_spread(crossed.samples.of(a, metric), crossed.samples.of(b, metric))


def _arms(
    plan: Plan, records: Records, failures: Mapping[int, str], crossed: Mapping[int, CrossEvaluation]
) -> list[ArmSummary]:
    reasons: dict[str, dict[int, str]] = {}
    for number, reason in failures.items():
        reasons.setdefault(plan.trials[number].arm.name, {})[plan.trials[number].seed] = reason
    seeds, last, crosses = plan.experiment.train.seed_list, last_records(records), cross_summaries(plan, crossed)
    return [
        arm_summary(
            arm,
            seeds,
            last.get(arm.name, records.at(())),
            reasons.get(arm.name, {}),
            crosses[arm.name],
            plan.problems.get(arm.name),
            own_test=arm.name in plan.own_tests,
        )
        for arm in plan.arms
    ]
