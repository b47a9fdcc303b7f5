"""Provenance: every figure of a learner's record with the facts that it is made of, down to statements and versions.

The rules guarded here:

- Which facts make a figure is said in one place (`records.evidence`), by the same words that build the record.
- Figures are those of the report, a column for each; besides, how many facts there are of each tier, and how often
  there was an opportunity. Figures that are made of the same facts, as a mean and its count, follow each other.
- A fact names the rule that read it by content, and the statement, or the source record and its version, that it was
  read from; so whoever holds those can work the figure out again.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import and_, select, text
from sqlalchemy.orm import Session

from bridge import narrowing, people, records, reports
from bridge.errors import NotFound, UnknownName
from bridge.mapping import Behaviour, Documents, Program
from bridge.models import Learner, Record, RecordBehaviour, RecordMetric
from bridge.narrowing import EVERYTHING, Narrowing
from bridge.times import exact_text

_COMPLETION = (
    "of each activity the earliest `completed` at or after the latest `uncompleted`; of these the first, or "
    "the last if the program needs all of them"
)
_FIGURES = {
    "enrolled_at": ("Enrolled", "the earliest of these"),
    "attempts": ("Attempts", "how many attempts these are about"),
    "completed_at": ("Completed", _COMPLETION),
    "best_score": ("Best score", "the highest of these, 0 to 1"),
    "remembered_score": ("Remembered score", "the highest of these, 0 to 1, three days or more after completion"),
    "last_activity_at": ("Last activity", "the latest thing that the learner did; earlier ones are not listed"),
    "match": ("Known by", "the weakest way in which these are known to be theirs; those known better are not listed"),
}
_OF_TIERS = "; ".join(
    f"{tier} {', '.join(kind.value for kind, of in records.TIERS.items() if of == tier)}"
    for tier in sorted(set(records.TIERS.values()))
)
_TIERS = f"how many of these there are of each tier of LTEM, by their kind: {_OF_TIERS}"
_HIGHEST = "the highest tier that there are facts of, which are these"
_RATE = "uses, divided by opportunities"
_FIRST = "days from completion to the earliest of these"
_MEAN = "the mean of these values, each counted by its weight"
_COUNT = "how many these are"

_DETAILS = text("""
    select fact.rule_id, fact.origin, fact.alias_id, fact.rule, fact.content_hash, fact.kind, fact.metric,
        alias.key as alias, split_part(alias.rule, ' ', 1) as known_by, fact.occurred_at, fact.value, fact.weight,
        fact.success, fact.activity, fact.course, fact.attempt, fact.detail, statement.id as statement,
        record.source, record.key, fact.version_id, version.pulled_at
    from unnest(cast(:rules as integer[]), cast(:origins as bigint[]), cast(:aliases as bigint[]))
        as wanted (rule_id, origin, alias_id)
    join counted_fact fact on fact.rule_id = wanted.rule_id and fact.origin = wanted.origin
        and fact.alias_id = wanted.alias_id
    join alias on alias.id = fact.alias_id
    left join statement on statement.seq = fact.statement_seq
    left join source_record record on record.id = fact.record_id
    left join source_record_version version on version.id = fact.version_id
    order by fact.occurred_at, fact.rule collate "C", fact.origin, fact.alias_id
""")

_Key = tuple[int, int, int]


@dataclass(frozen=True, slots=True)
class Evidence:
    """A fact that a figure is made of, and where it was read."""

    what: str
    """The kind of fact, or the metric."""
    occurred_at: datetime
    value: float | None
    weight: float
    success: bool | None
    activity: str | None
    course: str | None
    attempt: str | None
    detail: Mapping[str, Any] | None
    rule: str
    """`document/rule`."""
    content_hash: str
    """Of the rule, as it was when it read this."""
    alias: str
    known_by: str | None
    """How the alias is known to be the learner's (`bridge.records.MATCHES`)."""
    statement: str | None
    """The statement's id; else the four below are there."""
    source: str | None
    key: str | None
    version: int | None
    pulled_at: datetime | None

    def told(self) -> dict[str, Any]:
        """Give it as JSON types, without what it does not have; times to the microsecond, as they decide."""
        plain = {name: getattr(self, name) for name in self.__slots__}
        times = {name: exact_text(value) for name, value in plain.items() if isinstance(value, datetime)}
        return {name: value for name, value in (plain | times).items() if value is not None}


@dataclass(frozen=True, slots=True)
class Figure:
    """A figure of a record, called as in the report, with what it is made of in order of time."""

    name: str
    title: str
    unit: str
    how: str
    """How the facts make the value, in words."""
    value: datetime | float | str | Mapping[str, int] | None
    """A mapping: of each tier, how many facts."""
    facts: Sequence[Evidence]
    same_as: str | None = None
    """The figure before this one that is made of the same facts."""

    def without_others(self) -> "Figure":
        """Leave out who else had a part in a fact, such as whoever saw it."""
        alone = [
            replace(fact, detail={key: value for key, value in fact.detail.items() if key != "by"} or None)
            if fact.detail
            else fact
            for fact in self.facts
        ]
        return replace(self, facts=alone)

    def told(self) -> dict[str, Any]:
        """Give it as JSON types."""
        return {
            "figure": self.name,
            "title": self.title,
            "unit": self.unit or None,
            "value": exact_text(self.value) if isinstance(self.value, datetime) else self.value,
            "how": self.how,
            "facts": [fact.told() for fact in self.facts],
        }


@dataclass(frozen=True, slots=True)
class Provenance:
    """A learner's record in a program, figure by figure."""

    program: Program
    learner: Learner
    figures: Sequence[Figure]

    def told(self) -> dict[str, Any]:
        """Give it as JSON types."""
        return {
            "program": self.program.name,
            "learner": self.learner.key,
            "name": self.learner.name,
            "figures": [figure.told() for figure in self.figures],
        }


def of_record(
    session: Session,
    documents: Documents,
    program_name: str,
    word: str,
    figure: str | None = None,
    *,
    seen: Narrowing = EVERYTHING,
) -> Provenance:
    """Give where the figures of a learner's record come from, or one of them alone; `word` is a key or alias.

    Raises UnknownName for a program or figure, NotFound for a learner without a record, or one that is not seen. Who
    does not see everything is not told who else had a part in a fact.
    """
    program = documents.programs.get(program_name)
    if program is None:
        raise UnknownName("program", program_name, documents.programs)
    learner, record = _record(session, program, word, seen)
    figures = _figures(session, documents, program, record)
    if seen:
        figures = {name: one.without_others() for name, one in figures.items()}
    if figure is not None:
        if figure not in figures:
            raise UnknownName("figure", figure, figures)
        figures = {figure: figures[figure]}
    return Provenance(program, learner, list(figures.values()))


def _record(session: Session, program: Program, word: str, seen: Narrowing) -> tuple[Learner, Record]:
    its = and_(
        Record.learner_id == Learner.id,
        Record.program == program.name,
        text(narrowing.RECORDS).bindparams(**seen.parameters()),
    )
    found = session.execute(
        select(Learner, Record).outerjoin(Record, its).where(Learner.id == people.find(session, word, seen).id)
    ).one()
    learner, record = found
    if record is None:
        raise NotFound(
            f"{word!r} has no record in the program {program.name!r}: no statement about its courses is theirs."
        )
    return learner, record


def _figures(session: Session, documents: Documents, program: Program, record: Record) -> dict[str, Figure]:
    made_of = _evidence(session, program, documents, record.learner_id)
    figures = [
        Figure(name, title, "", how, getattr(record, name), made_of[name]) for name, (title, how) in _FIGURES.items()
    ]
    highest = max(map(int, record.tiers), default=None)
    figures += [
        Figure("tiers", "Facts by tier", "", _TIERS, record.tiers, made_of["tiers"]),
        Figure("highest_tier", "Highest tier", "", _HIGHEST, highest, made_of["highest_tier"]),
    ]
    windows = {row.metric: row for row in session.scalars(select(RecordMetric).filter_by(record_id=record.id))}
    for name in program.metrics:
        metric, row = documents.metrics[name], windows.get(name)
        for window, words in (("before", "before completion"), ("since", "since completion")):
            facts, title = made_of[f"{name}_{window}"], f"{metric.title}, {program.window_days} days {words}"
            mean = None if row is None else getattr(row, f"{window}_mean")
            count = 0 if row is None else getattr(row, f"{window}_count")
            of_mean = f"{name}_{window}_mean"
            figures.append(Figure(of_mean, title, metric.unit, _MEAN, mean, facts))
            figures.append(Figure(f"{name}_{window}_count", f"{title}: how many", "", _COUNT, count, facts, of_mean))
    shown = {row.behaviour: row for row in session.scalars(select(RecordBehaviour).filter_by(record_id=record.id))}
    for behaviour in program.behaviours:
        figures += _of_behaviour(documents, program, behaviour, record, shown.get(behaviour.name), made_of)
    return {figure.name: figure for figure in figures}


def _of_behaviour(
    documents: Documents,
    program: Program,
    behaviour: Behaviour,
    record: Record,
    row: RecordBehaviour | None,
    made_of: Mapping[str, Sequence[Evidence]],
) -> Iterator[Figure]:
    """Give uses, opportunities and rate of each window, and days to the first use; without a completion no values."""
    uses_how, opportunities_how = records.counting(program, behaviour, documents.metrics)
    kept = row if record.completed_at else None
    for window, words in (("before", "before completion"), ("since", "since completion")):
        facts = made_of[f"{behaviour.name} {window}"]
        title = f"Who was trained {behaviour.does}, {program.window_days} days {words}"
        uses = getattr(kept, f"{window}_uses", None)
        of = getattr(kept, f"{window}_opportunities", None)
        rate = reports.rate(uses, of)
        name = f"{behaviour.name}_uses_{window}"
        yield Figure(name, f"{title}: uses", "", uses_how, uses, facts)
        for part, said, how, value in (
            ("opportunities", "opportunities", opportunities_how, of),
            ("rate", "uses per opportunity", _RATE, rate),
        ):
            yield Figure(f"{behaviour.name}_{part}_{window}", f"{title}: {said}", "", how, value, facts, name)
    first = kept.first_at - record.completed_at if kept and kept.first_at and record.completed_at else None
    yield Figure(
        f"{behaviour.name}_days_to_first",
        f"Who was trained {behaviour.does}: days from completion to the first use",
        "days",
        _FIRST,
        None if first is None else first / timedelta(days=1),
        made_of[f"{behaviour.name} first"],
    )


def _evidence(
    session: Session, program: Program, documents: Documents, learner_id: int
) -> Mapping[str, Sequence[Evidence]]:
    """Give the facts of each figure, in order of time."""
    figures: defaultdict[_Key, list[str]] = defaultdict(list)
    for row in records.evidence(session, program, documents.metrics, learner_id):
        figures[row.rule_id, row.origin, row.alias_id].append(row.figure)
    rules, origins, aliases = zip(*figures, strict=True) if figures else ((), (), ())
    values = {"rules": list(rules), "origins": list(origins), "aliases": list(aliases)}
    found: defaultdict[str, list[Evidence]] = defaultdict(list)
    for row in session.execute(_DETAILS, values):
        one = Evidence(
            what=row.kind or row.metric,
            occurred_at=row.occurred_at,
            value=row.value,
            weight=row.weight,
            success=row.success,
            activity=row.activity,
            course=row.course,
            attempt=row.attempt,
            detail=row.detail,
            rule=row.rule,
            content_hash=row.content_hash,
            alias=row.alias,
            known_by=row.known_by,
            statement=str(row.statement) if row.statement else None,
            source=row.source,
            key=row.key,
            version=row.version_id,
            pulled_at=row.pulled_at,
        )
        for figure in figures[row.rule_id, row.origin, row.alias_id]:
            found[figure].append(one)
    return found
