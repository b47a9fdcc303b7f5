"""What reading one item gives."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

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
    value: float | None = None
    """Score or progress, 0 to 1; the level observed; the answer, if it is a number."""
    success: bool | None = None
    detail: Mapping[str, str | float] = field(default_factory=dict)
    """What else was said: `by` (an alias), `question`, `answer`, `what`, `due` (ISO 8601, UTC), `category`, `text`,
    `duration` (seconds)."""


@dataclass(frozen=True, slots=True)
class Version:
    """A source record as it was seen once."""

    id: int
    data: Mapping[str, Any] | None
    """None: the source said that the record is gone."""


@dataclass(frozen=True, slots=True)
class PerformanceFact:
    """What one metric's rule read out of one source record for one owner."""

    rule: str
    """`document/metric`: one record gives at most one fact of a rule for each alias."""
    metric: str
    alias_key: str
    occurred_at: datetime
    """Aware, in UTC."""
    value: float
    weight: float
    """The rule's weight, 1 if it has none, times the owner's share; above 0."""
    version_id: int
    """The version of the record that it was read from: the newest."""


@dataclass(frozen=True, slots=True)
class EarlierFact(PerformanceFact):
    """What a source record gave until it was changed; `version_id` is the first version that gave it."""

    until_version_id: int
    """The version that gave another value, none, or somebody else one."""


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
    left_out: list[str] = field(default_factory=list)
    """The rules that held and say that there is nothing to read: it is left out on purpose."""


@dataclass(frozen=True, slots=True)
class RecordReading:
    """All that the rules read out of one source record."""

    facts: list[PerformanceFact] = field(default_factory=list)
    history: list[EarlierFact] = field(default_factory=list)
    """What earlier versions gave, in the order in which it ended."""
    failures: list[Failure] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Evaluated:
    """What an expression of a rule gave on one item."""

    key: str
    """What the rule calls it: `when`, `score`; `document.when` for the document's own."""
    expression: str
    value: object = None
    """As CEL gave it: JSON types, datetime or timedelta."""
    error: str | None = None


@dataclass(frozen=True, slots=True)
class RuleTrace:
    """What a rule made of one item, and why."""

    rule: str
    content_hash: str
    """Empty for a rule whose kind is `nothing`, since no fact points to it."""
    tried: bool
    """False where the item's verb or event alone told that it cannot match."""
    matched: bool
    because: str
    """What decided it, in words."""
    values: tuple[Evaluated, ...] = ()
    """Of all its expressions, conditions first; those that were not come to are left out."""
    facts: tuple[LearningFact | PerformanceFact, ...] = ()
    failure: Failure | None = None
