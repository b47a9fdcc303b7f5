"""The kinds of mapping documents, as values. README of `mappings/` explains each by example."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any

from bridge.mapping.business import Calendar
from bridge.mapping.expressions import Expression
from bridge.mapping.jsonpath import JsonPath
from bridge.mapping.money import Money


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
"""In the order in which they are read: without a learner there is nothing more to find out."""
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


class LinkRule(StrEnum):
    """What may lead an alias that no roster claims to a learner, the strongest first."""

    EXACT = "exact"
    """A row of a directory names it beside an alias that has a learner."""
    EMAIL = "email"
    """It is the same mail address."""
    MBOX_SHA1SUM = "mbox_sha1sum"
    """It is the hash of a mail address that is known, or the other way round."""


class RosterFormat(StrEnum):
    """What rows of a roster are, where their expressions are ready made."""

    CSV = "csv"
    SCIM = "scim"
    MOODLE = "moodle"
    LTI = "lti"


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
class AttributeRule:
    """How a roster row gives an attribute, and the first and last day on which it holds."""

    value: Expression
    valid_from: Expression | None = None
    valid_to: Expression | None = None


@dataclass(frozen=True, slots=True)
class Roster:
    """How the rows of a source name learners; without `learner` they say which aliases belong together."""

    source: str
    learner: Expression | None = None
    name: Expression | None = None
    attributes: Mapping[str, AttributeRule] = field(default_factory=dict)
    aliases: tuple[AliasRule, ...] = ()
    valid_from: Expression | None = None
    """The first day for attributes that say none themselves."""
    valid_to: Expression | None = None
    format: RosterFormat | None = None
    """What the rows are, where their expressions are ready made; also how a file of them is imported."""
    key: tuple[str, ...] = ()
    """The fields that name a row, where a file is imported."""


@dataclass(frozen=True, slots=True)
class Identity:
    """How aliases meet."""

    name: str = "people"
    title: str = "people"
    unclaimed: Unclaimed = Unclaimed.LEARNER
    rosters: tuple[Roster, ...] = ()
    link_by: tuple[LinkRule, ...] = tuple(LinkRule)
    mail_accounts: tuple[str, ...] = ()
    """Home pages where the name of an account is a mail address."""


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
    template: tuple[str, ...] = ()
    """IRIs of statement templates of profiles in force."""
    profile: tuple[str, ...] = ()
    """IRIs of profiles in force, or of versions of them."""


@dataclass(frozen=True, slots=True)
class TemplateRule:
    """What the values at a place of a statement must be; lists are None where the profile says nothing."""

    location: JsonPath
    selector: JsonPath | None = None
    presence: str | None = None
    """`included`, `excluded` or `recommended`."""
    any: tuple[Any, ...] | None = None
    all: tuple[Any, ...] | None = None
    none: tuple[Any, ...] | None = None


@dataclass(frozen=True, slots=True)
class Template:
    """A statement template: its determining properties, in order of kind, and its rules."""

    id: str
    title: str
    verb: str | None = None
    type: str | None = None
    """Of the object."""
    context: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """The types that activities must have, by their role in the context."""
    attachments: tuple[str, ...] = ()
    """Usage types."""
    refers: tuple[str, ...] = ()
    """Where a statement must be referred to: `object`, `context`. Which one is not looked at."""
    rules: tuple[TemplateRule, ...] = ()


@dataclass(frozen=True, slots=True)
class Profile:
    """What is used of an xAPI Profile: its words, by the kind of concept, and its statement templates."""

    name: str
    """Its IRI."""
    title: str
    versions: tuple[str, ...] = ()
    concepts: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    """The title of each concept by its IRI, by type: `Verb`, `ActivityType` and so on."""
    templates: tuple[Template, ...] = ()


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
    description: str = ""


class OwnerForm(StrEnum):
    """How it is found out whose a record is; mappings/README.md says what each one means."""

    IS = "is"
    AT_THE_TIME = "at_the_time"
    BY_HISTORY = "by_history"
    SHARED_BY_TIME = "shared_by_time"
    SPLIT = "split"


KEYS_OF_OWNERS: Mapping[OwnerForm, tuple[str, ...]] = {
    OwnerForm.IS: ("is",),
    OwnerForm.AT_THE_TIME: ("at_the_time",),
    OwnerForm.BY_HISTORY: ("list", "owner", "at"),
    OwnerForm.SHARED_BY_TIME: ("shared_by_time", "from", "to"),
    OwnerForm.SPLIT: ("list", "owner", "share"),
}
"""The expressions that each form is made of."""


class OwnerKind(StrEnum):
    """What an owner's expression gives, and so what alias it becomes."""

    USER = "user"
    EMAIL = "email"
    EMPLOYEE = "employee"
    ACCOUNT = "account"


@dataclass(frozen=True, slots=True)
class Owner:
    """Whose a metric's value is."""

    form: OwnerForm
    values: Mapping[str, Expression]
    """By `KEYS_OF_OWNERS`; a split without `share` is one in equal parts."""
    kind: OwnerKind = OwnerKind.USER
    home_page: Expression | None = None
    """For an account alone."""

    @property
    def looks_back(self) -> bool:
        """Whether it is told by a record's versions, and not by the newest one alone."""
        return self.form in (OwnerForm.AT_THE_TIME, OwnerForm.SHARED_BY_TIME)


@dataclass(frozen=True, slots=True)
class MetricRule:
    """How a source record gives a metric's value, and whose and when it is."""

    metric: Metric
    owner: Owner
    occurred_at: Expression
    value: Expression
    weight: Expression | None = None
    """1 where there is none."""
    when: Expression | None = None
    required: tuple[str, ...] = ()
    """Those of owner, occurred_at, value and weight that must not be null."""

    @property
    def expressions(self) -> Mapping[str, Expression]:
        """All of them, by the key they are written under, in the order in which they are come to."""
        named = {
            "when": self.when,
            "occurred_at": self.occurred_at,
            "value": self.value,
            "weight": self.weight,
            **{f"owner.{key}": expression for key, expression in self.owner.values.items()},
            "owner.home_page": self.owner.home_page,
        }
        return {key: expression for key, expression in named.items() if expression is not None}


@dataclass(frozen=True, slots=True)
class Performance:
    """How the records of a source are read."""

    name: str
    title: str
    source: str
    metrics: tuple[MetricRule, ...]
    when: Expression | None = None
    changed_at: Expression | None = None
    """When a version of a record came to be."""
    calendar: Calendar | None = None
    money: Money | None = None

    def deciding(self, rule: MetricRule) -> "Performance":
        """Give what of the document decides which facts a rule gives; the rule itself is left out."""
        read = [self.when, *rule.expressions.values(), *([self.changed_at] if rule.owner.looks_back else [])]
        called = {name for expression in read if expression for name in expression.functions}
        return replace(
            self,
            title="",
            metrics=(),
            changed_at=self.changed_at if rule.owner.looks_back else None,
            calendar=self.calendar if "business_hours" in called else None,
            money=self.money if "money" in called else None,
        )


@dataclass(frozen=True, slots=True)
class Completion:
    """What it takes to have completed a program."""

    of: tuple[str, ...]
    need: Need = Need.ANY


class Cause(StrEnum):
    """Why performance is not what it should be; training helps with the first alone."""

    CAPABILITY = "capability"
    PROCESS = "process"
    TOOL = "tool"
    WORKLOAD = "workload"
    AUTHORITY = "authority"


class Comparison(StrEnum):
    """With whom the trained are compared."""

    NOT_YET = "not-yet"
    """Colleagues who are trained later, until they are, and those who never are."""
    NEVER = "never"
    """Those alone who never are."""


@dataclass(frozen=True, slots=True)
class Evidence:
    """Where it shows that somebody does what they were trained to do: a metric, or facts of a kind."""

    metric: str | None = None
    fact: FactKind | None = None
    activities: tuple[str, ...] = ()
    """Of these activities alone; none: of the program's."""
    what: tuple[str, ...] = ()
    """Facts that say just this of themselves."""


@dataclass(frozen=True, slots=True)
class Behaviour:
    """Something that people are to do at work, and that somebody else could see them do."""

    name: str
    does: str
    """The words after "A person who was trained"."""
    evidence: Evidence | None = None
    within_days: int = 30
    """After training."""


@dataclass(frozen=True, slots=True)
class Goal:
    """How a metric is to move."""

    metric: str
    primary: bool = False
    target: float | None = None
    """The smallest change that would be worth it, above 0: in the metric's unit, or as a share of what it was."""
    is_share: bool = False
    horizon_weeks: int = 12
    interim_weeks: int = 4


@dataclass(frozen=True, slots=True)
class Touchpoint:
    """A reinforcement after training."""

    after_days: int
    what: str = ""
    who: str = ""


TOUCHPOINTS = tuple(Touchpoint(days) for days in (14, 30, 90))
"""Unless a program says otherwise (reference/impact.md, rows 38 and 39 of section 1)."""


@dataclass(frozen=True, slots=True)
class Skill:
    """Something that people must be able to do, and the moments at work that it serves."""

    name: str
    title: str
    moments: tuple[str, ...] = ()
    activities: tuple[str, ...] = ()
    """Where it is practised and tested."""
    required: float | None = None
    """Readiness that is needed, from 0 to 1."""


@dataclass(frozen=True, slots=True)
class Analysis:
    """How the effect is estimated; fixed when the program is launched."""

    exclude_weeks: int = 6
    """Before training: people are sent after a weak spell, so these weeks say nothing of their usual level."""
    min_pre_weeks: int = 8
    """Weeks before those, that a person needs to count."""
    comparison: Comparison = Comparison.NOT_YET
    team: str = "team"
    """The learner's attribute within which shocks are shared."""
    role: str = "role"
    """The learner's attribute within which people are compared."""
    cost: float | None = None
    value_per_unit: float | None = None
    """What one unit of the primary metric is worth, in the currency of `cost`."""


@dataclass(frozen=True, slots=True)
class Change:
    """Something else that changed while the effect is looked at: a tool, a form, what a metric counts."""

    date: str
    """The first day, as an ISO date."""
    what: str
    teams: tuple[str, ...] = ()
    """Whom it concerned; none: everybody, which is no threat to a comparison."""
    metrics: tuple[str, ...] = ()
    """Which it concerned; none: all."""


@dataclass(frozen=True, slots=True)
class Evaluation:
    """How evidence of a skill is weighed; what is not said is as `bridge.readiness` has it."""

    half_life_weeks: int | None = None
    real: float | None = None
    observed: float | None = None
    practised: float | None = None
    remembered: float | None = None
    tested: float | None = None
    told: float | None = None


@dataclass(frozen=True, slots=True)
class Program:
    """A training initiative: what should change and how that shows, and last the courses that serve it."""

    name: str
    title: str
    courses: tuple[str, ...] = ()
    completion: Completion = field(default_factory=lambda: Completion(()))
    assessments: tuple[str, ...] = ()
    goals: tuple[Goal, ...] = ()
    window_days: int = 90
    problem: str = ""
    population: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Attributes of learners, with the values any of which will do; none: everybody with facts in the program."""
    stakes: str = ""
    """What is protected or gained."""
    behaviours: tuple[Behaviour, ...] = ()
    sponsor: str = ""
    owner: str = ""
    causes: tuple[Cause, ...] = ()
    reinforcement: tuple[Touchpoint, ...] = TOUCHPOINTS
    skills: tuple[Skill, ...] = ()
    analysis: Analysis = field(default_factory=Analysis)
    changes: tuple[Change, ...] = ()
    readiness: Evaluation = field(default_factory=Evaluation)

    @property
    def metrics(self) -> tuple[str, ...]:
        """Names of the metrics that it should move."""
        return tuple(goal.metric for goal in self.goals)

    @property
    def primary(self) -> Goal | None:
        """The metric that decides, where just one is called so."""
        primary = [goal for goal in self.goals if goal.primary]
        return primary[0] if len(primary) == 1 else None


@dataclass(frozen=True, slots=True)
class Report:
    """A program's records for an audience, and the destinations that take them."""

    name: str
    title: str
    program: str
    note: str | None = None
    destinations: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Forward:
    """Which statements go on to another LRS; every part that is there must hold."""

    name: str
    title: str
    to: str
    """The destination, of type lrs."""
    match: Match | None = None
    when: Expression | None = None
    home_page: tuple[str, ...] = ()
    """Of the actor's account, any one of these."""
    since: str | None = None
    """When it was stored here at the earliest: ISO 8601 with an offset."""
    not_from: tuple[str, ...] = ()
    """Names of credentials: what they stored does not go there."""


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


Kind = Forward | Identity | Learning | Performance | Profile | Program | Report
