"""Coverage: which of what arrives the documents in force read, and what is missing.

The rules guarded here:

- A statement counts as what the documents make of it: `mapped` (it gives a fact), `left out` on purpose (also one that
  voids another), `in quarantine` (a rule matched and could not be evaluated), else `not mapped`.
- Where facts of a rule in force are stored already they are believed; every other statement is read anew.
- The type of an activity is what the statement says, else what the LRS knows of the activity from other statements.
- Memory does not grow with the number of statements, nor without end with what they say.
"""

import logging
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, NamedTuple
from uuid import UUID

import msgspec
from sqlalchemy import text
from sqlalchemy.orm import Session

import lrs
from bridge import facts
from bridge.mapping import Documents, FactKind
from bridge.models import RuleState
from lrs import samples

log = logging.getLogger(__name__)

MOST_KINDS = 5_000
"""Rows of the answer; what comes beyond, from a sender who makes up verbs, is put together in one row."""
LATELY = 200
"""Statements that are looked at to say what has been missing lately."""
_MOST_TYPES = 50_000
"""Activities whose type is remembered."""

_OTHERS = "(others)"
_VOIDS = "it voids another statement, whose facts then do not count"

_RULES = text("""
    select rule.id, rule.document || '/' || rule.name as name from rule
    join unnest(cast(:documents as text[]), cast(:names as text[]), cast(:hashes as text[]))
        as wanted (document, name, content_hash)
    on wanted.document = rule.document and wanted.name = rule.name and wanted.content_hash = rule.content_hash
    where rule.kind = 'learning' and rule.state = :active
""")

_FACTS = text("""
    select distinct origin, rule_id from fact
    where rule_id = any(cast(:rules as integer[])) and origin between :first and :last
""")

_SOURCES = text("""
    select record.source, count(*) as records,
        count(*) filter (where exists (
            select from fact join rule on rule.id = fact.rule_id and rule.state = 'active' and rule.kind = 'performance'
            where fact.origin = record.id and rule.source = record.source
        )) as with_facts
    from source_record record group by record.source
""")


class State(StrEnum):
    """What becomes of a statement."""

    UNMAPPED = "not mapped"
    FAILED = "in quarantine"
    LEFT_OUT = "left out"
    MAPPED = "mapped"


class Kind(NamedTuple):
    """Statements that say the same sort of thing, and what becomes of them."""

    state: State
    verb: str
    object_type: str
    """`Activity`, or what else the statement is about (Data 2.4.4)."""
    activity_type: str | None
    because: str
    """Why they are left out; empty for all others."""


@dataclass(slots=True)
class Row:
    """How many statements there are of a kind."""

    kind: Kind
    count: int = 0
    example: UUID | None = None
    """The id of one of them."""
    rules: set[str] = field(default_factory=set)
    """Names of the rules that read them, leave them out or fail on them."""


@dataclass(frozen=True, slots=True)
class Coverage:
    """What was looked at, and the kinds of it: those that are not mapped first, the most frequent ones first."""

    stored: int
    """Statements that there are to look at."""
    looked_at: int
    rows: Sequence[Row]

    def share(self, *states: State) -> float | None:
        """Give how much of what was looked at is in one of these states, 0 to 1; None when there is nothing."""
        if not self.looked_at:
            return None
        return sum(row.count for row in self.rows if row.kind.state in states) / self.looked_at

    def told(self) -> dict[str, Any]:
        """Give all of it as JSON types; shares in per cent."""
        shares = {f"{state.replace(' ', '_')}_percent": _percent(self.share(state)) for state in State}
        rows = [
            {
                "state": row.kind.state,
                "verb": row.kind.verb,
                "activity_type": row.kind.activity_type,
                "object_type": row.kind.object_type,
                "because": row.kind.because or None,
                "rules": sorted(row.rules),
                "count": row.count,
                "percent": _percent(row.count / self.looked_at),
                "example": str(row.example),
            }
            for row in self.rows
        ]
        counts = {"stored": self.stored, "looked_at": self.looked_at}
        return counts | {"covered_percent": _percent(self.covered)} | shares | {"statements": rows}

    @property
    def covered(self) -> float | None:
        """The share that the documents know what to do with: mapped, or left out on purpose."""
        return self.share(State.MAPPED, State.LEFT_OUT)


def of_statements(
    session: Session,
    documents: Documents,
    *,
    since: datetime | None = None,
    sample: int | None = None,
    told: Callable[[int, int], None] = lambda _done, _all: None,
) -> Coverage:
    """Look at all statements stored since an instant, or at an even sample of so many of them.

    `told` is called after each batch with how many have been looked at, and how many there are to be.
    """
    selection = samples.Selection(session, since=since)
    stored = selection.count()
    wanted = stored if sample is None else min(sample, stored)
    survey = _Survey(session, documents)
    for batch in selection.batches() if sample is None else selection.sample(sample):
        survey.add(batch)
        told(min(survey.looked_at, wanted), wanted)
    return Coverage(stored, survey.looked_at, sorted(survey.rows.values(), key=_urgency))


def missing_lately(session: Session, documents: Documents, *, newest: int = LATELY) -> list[str]:
    """Tell in a line each which kinds among the statements that came last are not mapped, the most frequent first."""
    survey = _Survey(session, documents)
    survey.add(samples.Selection(session).newest(newest)[::-1])
    rows = [row for row in sorted(survey.rows.values(), key=_urgency) if row.kind.state is State.UNMAPPED]
    return [
        f"{row.kind.verb} on {row.kind.activity_type or row.kind.object_type}: {row.count} of the last "
        f"{survey.looked_at} statements, such as {row.example}"
        for row in rows
    ]


def of_sources(session: Session, documents: Documents) -> list[dict[str, Any]]:
    """Give a row for each source that has records or a document; those that nothing reads first."""
    counted = {row.source: row for row in session.execute(_SOURCES)}
    metrics: defaultdict[str, list[str]] = defaultdict(list)
    for name, metric in sorted(documents.metrics.items()):
        metrics[metric.source].append(name)
    rosters = {roster.source for roster in documents.identity.rosters}
    rows = []
    for source in sorted({*counted, *documents.sources}):
        found = counted.get(source)
        rows.append(
            {
                "source": source,
                "state": State.MAPPED if metrics[source] or source in rosters else State.UNMAPPED,
                "records": found.records if found else 0,
                "records_with_facts": found.with_facts if found else 0,
                "metrics": metrics[source],
                "roster": source in rosters,
            }
        )
    return sorted(rows, key=lambda row: row["state"] is State.MAPPED)


def _percent(share: float | None) -> float | None:
    return None if share is None else round(100 * share, 4)


def _urgency(row: Row) -> tuple[object, ...]:
    kind = row.kind
    return (
        list(State).index(kind.state),
        -row.count,
        kind.verb,
        kind.object_type,
        kind.activity_type or "",
        kind.because,
    )


class _Verb(msgspec.Struct):
    id: str


class _Definition(msgspec.Struct):
    type: str | None = None


class _Object(msgspec.Struct):
    id: str | None = None
    object_type: str = msgspec.field(default="Activity", name="objectType")
    definition: _Definition | None = None


class _Statement(msgspec.Struct):
    """The little of a statement that its kind is told by."""

    verb: _Verb
    object: _Object


class _Survey:
    """Counts statements by kind."""

    def __init__(self, session: Session, documents: Documents) -> None:
        self._session = session
        self._read = documents.statement_reader.read
        self._because = {
            f"{document.name}/{rule.name}": rule.because or ""
            for document in documents.learning
            for rule in document.rules
            if rule.fact is FactKind.NOTHING
        }
        self._rules = _rules_in_force(session, documents)
        self._types: dict[str, str | None] = {}
        self._decode = msgspec.json.Decoder(_Statement).decode
        self.rows: dict[Kind, Row] = {}
        self.looked_at = 0

    def add(self, batch: Sequence[samples.Sampled]) -> None:
        said = [self._decode(one.payload) for one in batch]
        types = self._types_of(said)
        stored = self._stored(batch)
        for one, statement in zip(batch, said, strict=True):
            state, because, rules = self._state(one, statement, stored.get(one.seq))
            about = statement.object
            is_activity = about.object_type == "Activity"
            kind = Kind(state, statement.verb.id, about.object_type, next(types) if is_activity else None, because)
            self._count(kind, one.id, rules)
        self.looked_at += len(batch)

    def _state(
        self, one: samples.Sampled, statement: _Statement, stored: Sequence[str] | None
    ) -> tuple[State, str, Sequence[str]]:
        if stored:
            return State.MAPPED, "", stored
        try:
            _, read = facts.read_payload(self._read, one.payload)
        except Exception:  # as where facts are read: whatever it is, one statement must not hide all others
            log.exception("statement %d could not be read", one.seq)
            return State.FAILED, "", []
        if read.facts:
            return State.MAPPED, "", [fact.rule for fact in read.facts]
        if read.failures:
            return State.FAILED, "", [failure.rule for failure in read.failures]
        if read.left_out:
            return State.LEFT_OUT, self._because[read.left_out[0]], read.left_out
        if statement.verb.id == lrs.VOIDED:
            return State.LEFT_OUT, _VOIDS, []
        return State.UNMAPPED, "", []

    def _count(self, kind: Kind, example: UUID, rules: Sequence[str]) -> None:
        if kind not in self.rows and len(self.rows) >= MOST_KINDS:
            kind = Kind(kind.state, _OTHERS, "Activity", None, "")
        row = self.rows.setdefault(kind, Row(kind))
        row.count += 1
        row.example = row.example or example
        row.rules.update(rules)

    def _stored(self, batch: Sequence[samples.Sampled]) -> Mapping[int, Sequence[str]]:
        """Give the rules whose facts are stored already, by statement."""
        found: defaultdict[int, list[str]] = defaultdict(list)
        if self._rules and batch:
            values = {"rules": list(self._rules), "first": batch[0].seq, "last": batch[-1].seq}
            for origin, rule_id in self._session.execute(_FACTS, values):
                found[origin].append(self._rules[rule_id])
        return found

    def _types_of(self, said: Sequence[_Statement]) -> Iterator[str | None]:
        """Give the type of each activity that these statements are about, in order."""
        about = [one.object for one in said if one.object.object_type == "Activity"]
        unsaid = {one.id for one in about if one.id and not (one.definition and one.definition.type)}
        if len(self._types) > _MOST_TYPES:
            self._types.clear()
        missing = [one for one in unsaid if one not in self._types]
        known = lrs.activities.definitions(self._session, missing) if missing else {}
        for one in missing:
            self._types[one] = msgspec.json.decode(known[one], type=_Definition).type if one in known else None
        return iter(
            [
                one.definition.type if one.definition and one.definition.type else self._types[str(one.id)]
                for one in about
            ]
        )


def _rules_in_force(session: Session, documents: Documents) -> dict[int, str]:
    """Give the learning rules of these documents whose facts count already: names by id."""
    keys = [key for key in documents.rules if key.kind == "learning"]
    found = session.execute(
        _RULES,
        {
            "documents": [key.document for key in keys],
            "names": [key.name for key in keys],
            "hashes": [key.content_hash for key in keys],
            "active": RuleState.ACTIVE,
        },
    )
    return {row.id: row.name for row in found}
