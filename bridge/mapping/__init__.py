"""Mapping documents and how they read one item: pure, without database, clock or network."""

from bridge.mapping.documents import ENGINE_VERSION, Documents
from bridge.mapping.facts import (
    EarlierFact,
    Failure,
    LearningFact,
    PerformanceFact,
    RecordReading,
    RuleTrace,
    StatementReading,
    Version,
)
from bridge.mapping.folders import keep_profile, load_folders, load_profile, read_folders
from bridge.mapping.kinds import (
    AliasRule,
    AttributeRule,
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
    RuleKey,
    Unclaimed,
)
from bridge.mapping.problems import MappingError, Problem
from bridge.mapping.rosters import Attribute, RosterEntry, read_roster
from bridge.mapping.rows import MAX_VERSIONS, RecordReader
from bridge.mapping.statements import StatementReader
from bridge.mapping.written import Document

__all__ = [
    "ENGINE_VERSION",
    "MAX_VERSIONS",
    "AliasRule",
    "Attribute",
    "AttributeRule",
    "Completion",
    "Direction",
    "Document",
    "Documents",
    "EarlierFact",
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
    "RecordReader",
    "RecordReading",
    "Report",
    "Roster",
    "RosterEntry",
    "RuleKey",
    "RuleTrace",
    "StatementReader",
    "StatementReading",
    "Unclaimed",
    "Version",
    "keep_profile",
    "load_folders",
    "load_profile",
    "read_folders",
    "read_roster",
]
