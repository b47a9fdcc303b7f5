"""The kinds of mapping documents, as values. README of `mappings/` explains each by example."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from bridge.mapping.expressions import Expression


class FactKind(StrEnum):
    """What a statement can say about a learner and an activity; mappings/README.md says what each one means."""

    ENROLLED = "enrolled"
    UNENROLLED = "unenrolled"
    STARTED = "started"
    PROGRESSED = "progressed"
    PRACTISED = "practised"
    ASSESSED = "assessed"
    COMPLETED = "completed"
    UNCOMPLETED = "uncompleted"


class Family(StrEnum):
    """How a metric's values behave, which decides how they may be averaged and compared."""

    DURATION = "duration"
    COUNT = "count"
    RATE = "rate"
    BINARY = "binary"
    RATING = "rating"
    AMOUNT = "amount"


class Direction(StrEnum):
    """Which way is better."""

    UP = "up"
    DOWN = "down"


class Unclaimed(StrEnum):
    """What becomes of an xAPI actor whom no roster row claims."""

    LEARNER = "learner"
    WAIT = "wait"


class Need(StrEnum):
    """How many of a program's completion activities must be completed."""

    ANY = "any"
    ALL = "all"


@dataclass(frozen=True, slots=True)
class AliasRule:
    """How a roster row names one alias: its `kind` and the expressions that its key is made of."""

    kind: str
    parts: Mapping[str, Expression]
    source: str | None = None
    """The performance source whose user it is; only for kind `user`."""


@dataclass(frozen=True, slots=True)
class Roster:
    """How the rows of a source name learners."""

    source: str
    learner: Expression
    name: Expression | None = None
    attributes: Mapping[str, Expression] = field(default_factory=dict)
    aliases: tuple[AliasRule, ...] = ()


@dataclass(frozen=True, slots=True)
class Identity:
    """How aliases meet."""

    name: str = "people"
    title: str = "people"
    unclaimed: Unclaimed = Unclaimed.LEARNER
    rosters: tuple[Roster, ...] = ()


@dataclass(frozen=True, slots=True)
class LearningRule:
    """When a statement gives a fact, and how the fact is filled."""

    name: str
    when: Expression
    fact: FactKind
    activity: Expression
    course: Expression | None = None
    attempt: Expression | None = None
    score: Expression | None = None
    success: Expression | None = None


@dataclass(frozen=True, slots=True)
class Learning:
    """How statements are read: every rule that matches gives one fact."""

    name: str
    title: str
    rules: tuple[LearningRule, ...]


@dataclass(frozen=True, slots=True)
class Metric:
    """A performance measure."""

    name: str
    title: str
    unit: str
    family: Family
    direction: Direction
    source: str


@dataclass(frozen=True, slots=True)
class MetricRule:
    """How a source record gives a metric's value, and whose and when it is."""

    metric: Metric
    owner: Expression
    occurred_at: Expression
    value: Expression
    when: Expression | None = None


@dataclass(frozen=True, slots=True)
class Performance:
    """How the records of a source are read."""

    name: str
    title: str
    source: str
    metrics: tuple[MetricRule, ...]
    when: Expression | None = None


@dataclass(frozen=True, slots=True)
class Completion:
    """What it takes to have completed a program."""

    of: tuple[str, ...]
    need: Need = Need.ANY


@dataclass(frozen=True, slots=True)
class Program:
    """A training initiative: its courses, what counts as assessed and completed, and the metrics it should move."""

    name: str
    title: str
    courses: tuple[str, ...]
    completion: Completion
    assessments: tuple[str, ...] = ()
    metrics: tuple[str, ...] = ()
    window_days: int = 90


@dataclass(frozen=True, slots=True)
class Report:
    """A program's records for an audience, and the destinations that take them."""

    name: str
    title: str
    program: str
    note: str | None = None
    destinations: tuple[str, ...] = ()


Kind = Identity | Learning | Performance | Program | Report
