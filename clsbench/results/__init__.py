"""What a run leaves, typed and versioned: records, summary and environment, and the checks made on reading them.

Files are plain JSON, and what is read is plain dicts: the types name their keys. A reader fills what an older file
lacks with None, keeps keys that it does not know, and refuses a file of a newer major version.
"""

from clsbench.results.environment import DatasetFacts, Environment, Platform, read_environment
from clsbench.results.reading import FORMAT_VERSION, damaged, require_known_format
from clsbench.results.record import Origin, Record, classes_in, reader_of, require_sequence, value_of
from clsbench.results.summary import (
    ArmCross,
    ArmSummary,
    ArmTuning,
    ClassCounts,
    Compared,
    Confusion,
    Cross,
    DataSummary,
    ExpectationResult,
    Judged,
    Pairing,
    Pairs,
    Reliability,
    SettingResult,
    Statistic,
    Summary,
    TimeToTargetSummary,
    Tuning,
    TuningSizes,
    Verdict,
    WarmStart,
    cross_metrics,
    origins,
    read_summary,
)
from clsbench.results.warnings import WARNINGS, RunWarning

__all__ = [
    "FORMAT_VERSION",
    "WARNINGS",
    "ArmCross",
    "ArmSummary",
    "ArmTuning",
    "ClassCounts",
    "Compared",
    "Confusion",
    "Cross",
    "DataSummary",
    "DatasetFacts",
    "Environment",
    "ExpectationResult",
    "Judged",
    "Origin",
    "Pairing",
    "Pairs",
    "Platform",
    "Record",
    "Reliability",
    "RunWarning",
    "SettingResult",
    "Statistic",
    "Summary",
    "TimeToTargetSummary",
    "Tuning",
    "TuningSizes",
    "Verdict",
    "WarmStart",
    "classes_in",
    "cross_metrics",
    "damaged",
    "origins",
    "read_environment",
    "read_summary",
    "reader_of",
    "require_known_format",
    "require_sequence",
    "value_of",
]
