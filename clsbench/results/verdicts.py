"""The words of verdicts, shared by the grammar of expectations and the analysis."""

BETTER, WORSE, EQUIVALENT, UNDECIDED = "better", "worse", "equivalent", "undecided"
VERDICTS = (BETTER, WORSE, EQUIVALENT, UNDECIDED)

# Of runs and configs written before the margins could be set.
OLD_WORDS = {"no difference": EQUIVALENT, "too few seeds": UNDECIDED}

FAILURES = "failures"  # the metric of the verdicts on failed seeds
