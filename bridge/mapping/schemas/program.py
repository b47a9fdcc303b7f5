"""What `program` and `report` documents may hold.

A program is a contract about what should change. What of it is still open refuses no document:
`bridge.mapping.contracts` says what, and a program with open points cannot be launched.
"""

import re
from collections.abc import Mapping
from typing import Any, ClassVar

from marshmallow import ValidationError, fields, post_load, validates_schema

from bridge.mapping import kinds
from bridge.mapping.fields import (
    Choice,
    Complaint,
    Day,
    Iri,
    Items,
    Name,
    Named,
    Part,
    Text,
    Texts,
    WholeNumber,
    complaint,
)
from bridge.mapping.problems import shown
from bridge.mapping.schemas.common import DocumentSchema, Strict, arguments, refuse_twins, unique

MAX_WEEKS = 520
MAX_DAYS = 3_660
_PERCENT = re.compile(r"(\d+(?:\.\d+)?) ?%")


class Share(fields.Field[Any]):
    """A number above 0, in whatever unit."""

    json_schema: ClassVar[Mapping[str, Any]] = {"type": "number", "exclusiveMinimum": 0}

    def _deserialize(self, value: Any, *_: object, **__: object) -> Any:  # noqa: ANN401
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < float("inf"):
            raise complaint(f"{shown(value)} is no number above 0", "Write one, without quotes.")
        return float(value)


class _Target(Share):
    """A number above 0 in the metric's unit, or a percentage of what the metric was."""

    json_schema: ClassVar[Mapping[str, Any]] = {
        "anyOf": [Share.json_schema, {"type": "string", "pattern": f"^{_PERCENT.pattern}$"}]
    }

    def _deserialize(self, value: Any, *args: object, **settings: object) -> tuple[float, bool]:  # noqa: ANN401
        """Give (size, whether it is a share)."""
        if isinstance(value, str):
            found = _PERCENT.fullmatch(value.strip())
            if not found or not float(found[1]):
                remedy = "Write how much it should change at least: 0.5 in the metric's unit, or 5%."
                raise complaint(f"{shown(value)} is no size of a change", remedy)
            return float(found[1]) / 100, True
        return super()._deserialize(value, *args, **settings), False


class _Number(Share):
    """A number from 0 to 1."""

    json_schema: ClassVar[Mapping[str, Any]] = {"type": "number", "exclusiveMinimum": 0, "maximum": 1}

    def _deserialize(self, value: Any, *args: object, **settings: object) -> float:  # noqa: ANN401
        number = float(super()._deserialize(value, *args, **settings))
        if number > 1:
            raise complaint(f"{value} is out of range", "Write a number from 0 to 1.")
        return number


class _Completion(Strict):
    of = Items(Iri(), required=True, least=1)
    need = Choice(kinds.Need, load_default=kinds.Need.ANY)

    @post_load
    def make(self, data: dict[str, Any], **_: object) -> kinds.Completion:
        """Give what it takes."""
        return kinds.Completion(unique(data["of"]), data["need"])


class _Evidence(Strict):
    metric = Name(word=True)
    fact = Choice(kinds.FactKind)
    activities = Items(Iri())
    what = Texts()

    @validates_schema
    def check_one(self, data: dict[str, Any], **_: object) -> None:
        """Refuse evidence that is no one thing."""
        if ("metric" in data) == ("fact" in data):
            raise complaint("Evidence is either a metric or facts of a kind", "Write one of `metric` and `fact`.")
        if "metric" in data and data.keys() - {"metric"}:
            raise complaint("A metric needs no more words", "Leave out `activities` and `what`.")
        if data.get("fact") in NO_EVIDENCE:
            text = f"That somebody was {data['fact']!r} shows nothing of what they do at work"
            raise ValidationError({"fact": [Complaint(text, f"Use {', '.join(sorted(EVIDENCE))}, or a metric.")]})

    @post_load
    def make(self, data: dict[str, Any], **_: object) -> kinds.Evidence:
        """Give the evidence."""
        return kinds.Evidence(**data | {key: tuple(data[key]) for key in ("activities", "what") if key in data})


EVIDENCE = frozenset(
    {kinds.FactKind.APPLIED, kinds.FactKind.OBSERVED, kinds.FactKind.PRACTISED, kinds.FactKind.ASSESSED}
)
"""Facts that show somebody doing something; completion is none of them, nor is what people say they liked."""
NO_EVIDENCE = frozenset(kinds.FactKind) - EVIDENCE


class _Behaviour(Strict):
    name = Name(required=True)
    does = Text(required=True)
    evidence = Part(_Evidence)
    within_days = WholeNumber(1, MAX_DAYS)

    @post_load
    def make(self, data: dict[str, Any], **_: object) -> kinds.Behaviour:
        """Give the behaviour."""
        return kinds.Behaviour(**data)


class _Goal(Strict):
    metric = Name(word=True, required=True)
    primary = fields.Boolean(truthy={True}, falsy={False})
    target = _Target()
    horizon_weeks = WholeNumber(1, MAX_WEEKS)
    interim_weeks = WholeNumber(1, MAX_WEEKS)

    @validates_schema
    def check_order(self, data: dict[str, Any], **_: object) -> None:
        """Refuse an interim look after the last one."""
        goal = kinds.Goal("", **{key: data[key] for key in ("horizon_weeks", "interim_weeks") if key in data})
        if goal.interim_weeks > goal.horizon_weeks:
            text = (
                f"The interim look after {goal.interim_weeks} weeks is later than the horizon of {goal.horizon_weeks}"
            )
            raise complaint(text, "Write `interim_weeks` of at most `horizon_weeks`.")

    @post_load
    def make(self, data: dict[str, Any], **_: object) -> kinds.Goal:
        """Give the goal."""
        target, is_share = data.pop("target", (None, False))
        return kinds.Goal(**data, target=target, is_share=is_share)


class _GoalOrName(Part):
    """A goal, or no more than the name of its metric."""

    json_schema_else: ClassVar[Mapping[str, Any] | None] = Name(word=True).json_schema

    def _deserialize(self, value: Any, *args: Any, **settings: Any) -> kinds.Goal:  # noqa: ANN401
        if isinstance(value, str):
            return kinds.Goal(Name(word=True).read(value))
        goal: kinds.Goal = super()._deserialize(value, *args, **settings)
        return goal


class _Touchpoint(Strict):
    after_days = WholeNumber(0, MAX_DAYS, required=True)
    what = Text()
    who = Text()

    @post_load
    def make(self, data: dict[str, Any], **_: object) -> kinds.Touchpoint:
        """Give the touchpoint."""
        return kinds.Touchpoint(**data)


class _TouchpointOrDays(Part):
    """A touchpoint, or no more than its days after training."""

    json_schema_else: ClassVar[Mapping[str, Any] | None] = WholeNumber(0, MAX_DAYS).json_schema

    def _deserialize(self, value: Any, *args: Any, **settings: Any) -> kinds.Touchpoint:  # noqa: ANN401
        if isinstance(value, int):
            return kinds.Touchpoint(WholeNumber(0, MAX_DAYS).read(value))
        touchpoint: kinds.Touchpoint = super()._deserialize(value, *args, **settings)
        return touchpoint


class _Skill(Strict):
    name = Name(required=True)
    title = Text()
    moments = Items(Text())
    activities = Items(Iri())
    required = _Number()

    @post_load
    def make(self, data: dict[str, Any], **_: object) -> kinds.Skill:
        """Give the skill."""
        lists: dict[str, Any] = {key: unique(data[key]) for key in ("moments", "activities") if key in data}
        return kinds.Skill(**{"title": data["name"]} | data | lists)


class _Analysis(Strict):
    exclude_weeks = WholeNumber(0, 52)
    min_pre_weeks = WholeNumber(1, 104)
    comparison = Choice(kinds.Comparison)
    team = Name(word=True)
    role = Name(word=True)
    cost = Share()
    value_per_unit = Share()

    @post_load
    def make(self, data: dict[str, Any], **_: object) -> kinds.Analysis:
        """Give the analysis."""
        return kinds.Analysis(**data)


class _Change(Strict):
    date = Day(required=True)
    what = Text(required=True)
    teams = Items(Text(), least=1)
    metrics = Items(Name(word=True), least=1)

    @post_load
    def make(self, data: dict[str, Any], **_: object) -> kinds.Change:
        """Give the change."""
        lists: dict[str, Any] = {key: unique(data[key]) for key in ("teams", "metrics") if key in data}
        return kinds.Change(**data | lists)


class _Weight(Share):
    """A number from 0, for evidence that does not count, to 1."""

    json_schema: ClassVar[Mapping[str, Any]] = {"type": "number", "minimum": 0, "maximum": 1}

    def _deserialize(self, value: Any, *_: object, **__: object) -> float:  # noqa: ANN401
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 1:
            raise complaint(f"{shown(value)} is no weight", "Write a number from 0 to 1, without quotes.")
        return float(value)


class _Readiness(Strict):
    half_life_weeks = WholeNumber(1, MAX_WEEKS)
    real = _Weight()
    observed = _Weight()
    practised = _Weight()
    remembered = _Weight()
    tested = _Weight()
    told = _Weight()

    @post_load
    def make(self, data: dict[str, Any], **_: object) -> kinds.Evaluation:
        """Give how evidence is weighed."""
        return kinds.Evaluation(**data)


class ProgramSchema(DocumentSchema):
    problem = Text()
    population = Named(keys=Name(word=True), values=Texts())
    stakes = Text()
    sponsor = Text()
    owner = Text()
    causes = Items(Choice(kinds.Cause))
    metrics = Items(_GoalOrName(_Goal))
    behaviours = Items(Part(_Behaviour))
    skills = Items(Part(_Skill))
    reinforcement = Items(_TouchpointOrDays(_Touchpoint))
    analysis = Part(_Analysis)
    changes = Items(Part(_Change))
    readiness = Part(_Readiness)
    courses = Items(Iri(), least=1)
    assessments = Items(Iri())
    completion = Part(_Completion)
    window_days = WholeNumber(1, MAX_DAYS)

    @validates_schema
    def check_courses(self, data: dict[str, Any], **_: object) -> None:
        """Refuse courses that nobody can complete; without courses, they are still to be made."""
        if "courses" in data and "completion" not in data:
            text = "The key 'completion' is missing"
            raise ValidationError(
                {"courses": [Complaint(text, "Add `completion: {of: [...]}`: what it takes to have completed it.")]}
            )

    @validates_schema
    def check_twins(self, data: dict[str, Any], **_: object) -> None:
        """Refuse two goals for a metric, two primary ones, and two parts of a name."""
        goals = data.get("metrics", [])
        names = [goal.metric for goal in goals]
        twice = {place: name for place, name in enumerate(names) if name in names[:place]}
        if twice:
            told = {place: [Complaint(f"{name!r} stands twice", "Take one out.")] for place, name in twice.items()}
            raise ValidationError({"metrics": told})
        primary = [place for place, goal in enumerate(goals) if goal.primary]
        if len(primary) > 1:
            text = "A second primary metric: with two, one could be chosen when the results are there"
            raise ValidationError({"metrics": {primary[1]: {"primary": [Complaint(text, "Leave it out here.")]}}})
        refuse_twins("behaviours", [behaviour.name for behaviour in data.get("behaviours", [])])
        refuse_twins("skills", [skill.name for skill in data.get("skills", [])])

    @post_load
    def make(self, data: dict[str, Any], **_: object) -> kinds.Program:
        """Give the program."""
        goals = tuple(data.pop("metrics", ()))
        lists = [key for key in ("courses", "assessments", "causes") if key in data]
        parts = [key for key in ("behaviours", "skills", "reinforcement", "changes") if key in data]
        given = arguments(data, *parts) | {key: unique(data[key]) for key in lists}
        return kinds.Program(**given, goals=goals)


class ReportSchema(DocumentSchema):
    program = Name(required=True)
    note = Text()
    destinations = Items(Name())

    @post_load
    def make(self, data: dict[str, Any], **_: object) -> kinds.Report:
        """Give the report."""
        return kinds.Report(**arguments(data, "destinations"))
