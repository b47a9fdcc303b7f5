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
    APPLIED = "applied"
    OBSERVED = "observed"
    SURVEYED = "surveyed"
    COMMITTED = "committed"
    OBSTACLE = "obstacle"
    RECOGNISED = "recognised"
    NOTHING = "nothing"


KEYS_OF_ALL_FACTS = ("learner", "activity", "course", "attempt", "occurred_at", "duration")
KEYS_OF_FACTS: Mapping[FactKind, tuple[str, ...]] = {
    FactKind.PROGRESSED: ("progress",),
    FactKind.PRACTISED: ("score", "success"),
    FactKind.ASSESSED: ("score", "success"),
    FactKind.COMPLETED: ("score", "success"),
    FactKind.APPLIED: ("what", "by"),
    FactKind.OBSERVED: ("level", "by"),
    FactKind.SURVEYED: ("question", "answer"),
    FactKind.COMMITTED: ("what", "due"),
    FactKind.OBSTACLE: ("category", "text"),
    FactKind.RECOGNISED: ("what", "by"),
}
"""What a rule of a kind may say beside `KEYS_OF_ALL_FACTS`; the kinds that are left out have no more to say."""
VALUE_OF_FACTS: Mapping[FactKind, str] = {
    FactKind.PROGRESSED: "progress",
    FactKind.PRACTISED: "score",
    FactKind.ASSESSED: "score",
    FactKind.COMPLETED: "score",
    FactKind.OBSERVED: "level",
    FactKind.SURVEYED: "answer",
}
"""Which of these keys gives the fact's value."""


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
class ActivityMatch:
    """What an activity must be: every part that is there must hold, by any one of its texts."""

    id: tuple[str, ...] = ()
    prefix: tuple[str, ...] = ()
    pattern: tuple[str, ...] = ()
    """Regular expressions that are found anywhere in the id."""
    type: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Match:
    """What a statement must be: every part that is there must hold."""

    verb: tuple[str, ...] = ()
    activity: ActivityMatch | None = None
    """Of the object."""
    parent: ActivityMatch | None = None
    grouping: ActivityMatch | None = None
    category: ActivityMatch | None = None
    other: ActivityMatch | None = None
    context: ActivityMatch | None = None
    """Of one activity in any of these four."""
    registration: tuple[str, ...] = ()
    """UUIDs in lower case, or `present` or `absent`."""
    platform: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class LearningRule:
    """When a statement gives a fact, and how the fact is filled; one of `match` and `when` is there."""

    name: str
    fact: FactKind
    values: Mapping[str, Expression]
    """By the key that they are written under: those of `KEYS_OF_ALL_FACTS` and `KEYS_OF_FACTS` that are said."""
    match: Match | None = None
    when: Expression | None = None
    required: tuple[str, ...] = ()
    """Keys whose value must not be null."""
    because: str | None = None
    """Why nothing is read, where the kind is `nothing`."""


@dataclass(frozen=True, slots=True)
class Learning:
    """How statements are read: every rule that matches gives one fact."""

    name: str
    title: str
    rules: tuple[LearningRule, ...]
    match: Match | None = None
    """Must hold for each of its rules."""
    when: Expression | None = None
    """The same."""


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


@dataclass(frozen=True, slots=True)
class RuleKey:
    """One rule by its content: what facts point to, and what reading history anew by it would touch."""

    kind: str
    """`learning` or `performance`."""
    document: str
    name: str
    """The rule's, or the metric's."""
    content_hash: str
    """SHA-256, in hexadecimal digits, of all that decides which facts it gives: parts of its document included."""
    fact: FactKind | None = None
    metric: str | None = None
    source: str | None = None
    """Whose records a metric's rule reads."""
    verbs: frozenset[str] | None = None
    """A learning rule gives facts of statements with these verbs alone; None: of any."""


Kind = Identity | Learning | Performance | Program | Report
