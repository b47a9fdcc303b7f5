"""What reading one item gives."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from bridge.mapping.kinds import FactKind


@dataclass(frozen=True, slots=True)
class LearningFact:
    """What one rule read out of one statement."""

    rule: str
    """`document/rule`: one statement gives at most one fact of a rule."""
    kind: FactKind
    alias_key: str
    actor_name: str | None
    occurred_at: datetime
    """Aware, in UTC."""
    activity: str
    course: str | None = None
    attempt: str | None = None
    score: float | None = None
    """0 to 1."""
    success: bool | None = None


@dataclass(frozen=True, slots=True)
class PerformanceFact:
    """What one metric's rule read out of one source record."""

    rule: str
    """`document/metric`."""
    metric: str
    alias_key: str
    occurred_at: datetime
    """Aware, in UTC."""
    value: float


@dataclass(frozen=True, slots=True)
class RosterEntry:
    """What a roster row says about a learner."""

    learner_key: str
    name: str | None
    attributes: Mapping[str, str]
    alias_keys: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Failure:
    """A rule that could not read an item; the item's other rules went on."""

    rule: str
    expression: str
    reason: str


@dataclass(frozen=True, slots=True)
class StatementReading:
    """All that the rules read out of one statement."""

    facts: list[LearningFact] = field(default_factory=list)
    failures: list[Failure] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class RecordReading:
    """All that the rules read out of one source record."""

    facts: list[PerformanceFact] = field(default_factory=list)
    failures: list[Failure] = field(default_factory=list)
