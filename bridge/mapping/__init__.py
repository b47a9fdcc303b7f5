"""Mapping documents and how they read one item: pure, without database, clock or network."""

from bridge.mapping.documents import ENGINE_VERSION, Documents
from bridge.mapping.facts import Failure, LearningFact, PerformanceFact, RecordReading, RosterEntry, StatementReading
from bridge.mapping.folders import load_folders, read_folders
from bridge.mapping.kinds import (
    AliasRule,
    Completion,
    Direction,
    FactKind,
    Family,
    Identity,
    Learning,
    LearningRule,
    Metric,
    MetricRule,
    Need,
    Performance,
    Program,
    Report,
    Roster,
    Unclaimed,
)
from bridge.mapping.problems import MappingError, Problem
from bridge.mapping.rows import read_record, read_roster
from bridge.mapping.statements import read_statement
from bridge.mapping.written import Document

__all__ = [
    "ENGINE_VERSION",
    "AliasRule",
    "Completion",
    "Direction",
    "Document",
    "Documents",
    "FactKind",
    "Failure",
    "Family",
    "Identity",
    "Learning",
    "LearningFact",
    "LearningRule",
    "MappingError",
    "Metric",
    "MetricRule",
    "Need",
    "Performance",
    "PerformanceFact",
    "Problem",
    "Program",
    "RecordReading",
    "Report",
    "Roster",
    "RosterEntry",
    "StatementReading",
    "Unclaimed",
    "load_folders",
    "read_folders",
    "read_record",
    "read_roster",
    "read_statement",
]
