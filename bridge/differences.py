"""Differences: what other documents would make of what is stored, before they are in force.

The rules guarded here:

- Only rules whose content differs are evaluated, those in force and the new ones, and only on what they can touch:
  statements with their verbs, records of their sources. A rule that is only called otherwise changes nothing.
- Facts of one rule, item and alias are compared: one is there that was not (appears), is there no more (vanishes), or
  says something else (changes). Statements that are voided are left out, for their facts do not count either way.
- A figure is touched when what a fact brings to it (`records.contributions`) would be otherwise; the figure may turn
  out the same. Changed programs and a changed identity document touch figures too, and are named, not evaluated.
- Nothing is written, and memory does not grow with what is stored.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import text
from sqlalchemy.orm import Session

from bridge import facts, records
from bridge.mapping import Documents, Failure, LearningFact, PerformanceFact, Program, RuleKey
from bridge.times import exact_text
from lrs import samples

EXAMPLES = 3
"""Examples that are given of each rule and change."""

_VOIDED = text("select seq from voided_statement where seq = any(cast(:seqs as bigint[]))")

_RECORDS = text("""
    select id from source_record where source = any(cast(:sources as text[])) and id > :after order by id limit :limit
""")
_DRAWN_RECORDS = text("""
    select id from (
        select id from source_record where source = any(cast(:sources as text[]))
        order by hashint8extended(id, 0), id limit :size
    ) drawn order by id
""")
_COUNT_RECORDS = text("select count(*) from source_record where source = any(cast(:sources as text[]))")
_NAMES = text("select id, source || '/' || key as name from source_record where id = any(cast(:ids as bigint[]))")

_ALIASES = text("select key, id, learner_id from alias where key = any(cast(:keys as text[]))")
_COMPLETIONS = text("""
    select program, learner_id, completed_at from record
    where completed_at is not null and learner_id = any(cast(:learners as bigint[]))
""")
_RECORDS_OF = text("select count(*) from record where program = :program")

AnyFact = LearningFact | PerformanceFact
Told = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Change:
    """A fact that would appear (no `before`), vanish (no `after`) or say something else."""

    origin: str
    """`statement <id>` or `record <source>/<key>`."""
    before: AnyFact | None
    after: AnyFact | None

    @property
    def deed(self) -> str:
        if self.before is None:
            return "appear"
        return "vanish" if self.after is None else "change"

    @property
    def fact(self) -> AnyFact:
        """What it is about: the new fact, or the one that vanishes."""
        fact = self.before if self.after is None else self.after
        assert fact is not None  # noqa: S101 - one of the two is there
        return fact

    @property
    def alias_key(self) -> str:
        return self.fact.alias_key

    def told(self) -> Told:
        """Give it as JSON types; of a change only what differs, and whose it is."""
        before, after = (None if fact is None else _plain(fact) for fact in (self.before, self.after))
        if before is not None and after is not None:
            differing = [name for name in before.keys() | after.keys() if before.get(name) != after.get(name)]
            before, after = ({name: side.get(name) for name in sorted(differing)} for side in (before, after))
        kind, _, name = self.origin.partition(" ")
        return {"deed": self.deed, kind: name, "alias": self.alias_key, "before": before, "after": after}


@dataclass(slots=True)
class RuleChange:
    """What one rule, or its successor, would do otherwise."""

    rule: str
    what: str
    """The kind of fact, or the metric."""
    deeds: Counter[str] = field(default_factory=Counter)
    examples: list[Told] = field(default_factory=list)

    def add(self, change: Change) -> None:
        self.deeds[change.deed] += 1
        if self.deeds[change.deed] <= EXAMPLES:
            self.examples.append(change.told())


@dataclass(slots=True)
class FailureChange:
    """How often a rule fails on what was looked at, by the documents in force and by the new ones."""

    before: int = 0
    after: int = 0
    reason: str = ""
    """One of those that the new documents bring, or else one that goes."""


class _Numbers:
    """A set of row ids, a bit each: millions of people in less than a megabyte."""

    def __init__(self) -> None:
        self._bits = bytearray()

    def add(self, number: int) -> None:
        place = number >> 3
        if place >= len(self._bits):
            self._bits.extend(bytes(place + 1 - len(self._bits)))
        self._bits[place] |= 1 << (number & 7)

    def __len__(self) -> int:
        return int.from_bytes(self._bits, "little").bit_count()


class Difference:
    """What would be otherwise under new documents, as far as it has been looked at."""

    def __init__(self, session: Session, old: Documents, new: Documents) -> None:
        self._session, self._old, self._new = session, old, new
        self.keys = _changed_keys(old, new)
        self.looked_at = {"statements": 0, "records": 0}
        self.there_are = {"statements": 0, "records": 0}
        self.rules: dict[tuple[str, str], RuleChange] = {}
        self.failures: defaultdict[str, FailureChange] = defaultdict(FailureChange)
        self._programs = {**old.programs, **new.programs}
        self._figures: defaultdict[tuple[str, str], _Numbers] = defaultdict(_Numbers)
        self._learners, self._waiting = _Numbers(), _Numbers()
        self._strangers: set[int] = set()
        """Hashes of aliases that nothing stored has yet."""

    def add(self, changes: Sequence[Change]) -> None:
        """Count changes, and whom and what they touch."""
        for change in changes:
            fact = change.fact
            what = str(fact.kind) if isinstance(fact, LearningFact) else fact.metric
            self.rules.setdefault((fact.rule, what), RuleChange(fact.rule, what)).add(change)
        self._touch(changes)

    def fail(self, before: Sequence[Failure], after: Sequence[Failure]) -> None:
        """Count failures on one item."""
        for failure in before:
            row = self.failures[failure.rule]
            row.before += 1
            row.reason = row.reason or failure.reason
        for failure in after:
            row = self.failures[failure.rule]
            row.after += 1
            row.reason = failure.reason if row.after == 1 else row.reason

    def told(self) -> Told:
        """Give all of it as JSON types, what changes most first."""
        totals: Counter[str] = Counter()
        for row in self.rules.values():
            totals.update(row.deeds)
        rows = sorted(self.rules.values(), key=lambda row: (-row.deeds.total(), row.rule, row.what))
        return {
            "documents": _differing(_contents(self._old), _contents(self._new)),
            "rules": _differing(_hashes(self._old), _hashes(self._new)),
            "looked_at": self.looked_at,
            "there_are": self.there_are,
            "facts": {deed: totals[deed] for deed in ("appear", "vanish", "change")},
            "by_rule": [
                {"rule": row.rule, "what": row.what}
                | {deed: row.deeds[deed] for deed in ("appear", "vanish", "change")}
                | {"examples": row.examples}
                for row in rows
            ],
            "failures": [
                {"rule": rule, "before": row.before, "after": row.after, "reason": row.reason}
                for rule, row in sorted(self.failures.items())
                if row.before != row.after
            ],
            "learners": len(self._learners),
            "unmatched_people": len(self._waiting) + len(self._strangers),
            "figures": [
                {"program": program, "figure": figure, "learners": len(numbers)}
                for (program, figure), numbers in sorted(self._figures.items())
            ],
            "programs_changed": [
                {"program": name, "records": self._session.scalar(_RECORDS_OF, {"program": name})}
                for name in sorted(self._programs)
                if self._old.programs.get(name) != self._new.programs.get(name)
            ],
            "identity_changed": self._old.identity_hash != self._new.identity_hash,
            "notices": list(self._new.notices),
        }

    def _touch(self, changes: Sequence[Change]) -> None:
        keys = sorted({change.alias_key for change in changes})
        if not keys:
            return
        aliases = {row.key: row for row in self._session.execute(_ALIASES, {"keys": keys})}
        for key in keys:
            if (row := aliases.get(key)) is None:
                self._strangers.add(hash(key))
            elif row.learner_id is None:
                self._waiting.add(row.id)
            else:
                self._learners.add(row.learner_id)
        learners = {row.key: row.learner_id for row in aliases.values() if row.learner_id is not None}
        completions = self._completions(sorted(set(learners.values())))
        for change in changes:
            if (learner := learners.get(change.alias_key)) is None:
                continue
            for name, program in self._programs.items():
                for figure in _moved(program, change, completions.get((name, learner))):
                    self._figures[name, figure].add(learner)

    def _completions(self, learners: Sequence[int]) -> Mapping[tuple[str, int], datetime]:
        found = self._session.execute(_COMPLETIONS, {"learners": learners})
        return {(row.program, row.learner_id): row.completed_at for row in found}


def find(
    session: Session,
    old: Documents,
    new: Documents,
    *,
    sample: int | None = None,
    told: Callable[[int, int], None] = lambda _done, _all: None,
) -> Difference:
    """Compare what two sets of documents make of everything stored, or of a sample.

    `sample`: at most so many statements, and so many source records. `told` is called after each batch with how many
    items have been looked at, and how many there are to be.
    """
    found = Difference(session, old, new)
    names = frozenset((key.kind, key.document, key.name) for key in found.keys)
    old, new = old.only(names), new.only(names)
    selection = _statements(session, [key for key in found.keys if key.kind == "learning"])
    sources = sorted({key.source for key in found.keys if key.source is not None})
    found.there_are["statements"] = selection.count() if selection else 0
    found.there_are["records"] = int(session.scalar(_COUNT_RECORDS, {"sources": sources}) or 0)
    total = sum(count if sample is None else min(sample, count) for count in found.there_are.values())
    if selection:
        for batch in selection.batches() if sample is None else selection.sample(sample):
            voided = set(session.scalars(_VOIDED, {"seqs": [one.seq for one in batch]}))
            found.add(
                [change for one in batch if one.seq not in voided for change in _of_statement(found, old, new, one)]
            )
            found.looked_at["statements"] += len(batch)
            told(sum(found.looked_at.values()), total)
    for ids in _record_ids(session, sources, sample):
        found.add(list(_of_records(session, found, old, new, ids)))
        found.looked_at["records"] += len(ids)
        told(sum(found.looked_at.values()), total)
    return found


def _changed_keys(old: Documents, new: Documents) -> list[RuleKey]:
    """Give the rules of either side that the other has not, or has with another content."""
    contents = [{(key.kind, key.document, key.name, key.content_hash) for key in side.rules} for side in (old, new)]
    differing = contents[0] ^ contents[1]
    return [
        key
        for side in (old, new)
        for key in side.rules
        if (key.kind, key.document, key.name, key.content_hash) in differing
    ]


def _statements(session: Session, keys: Sequence[RuleKey]) -> samples.Selection | None:
    """Give the statements that learning rules can touch; None without any rules."""
    if not keys:
        return None
    verbs = [key.verbs for key in keys if key.verbs is not None]
    return samples.Selection(session, verbs=frozenset().union(*verbs) if len(verbs) == len(keys) else None)


def _of_statement(found: Difference, old: Documents, new: Documents, one: samples.Sampled) -> Iterator[Change]:
    read_old, read_new = old.statement_reader.read, new.statement_reader.read
    _, (before, after) = facts.read_payload(lambda statement: (read_old(statement), read_new(statement)), one.payload)
    found.fail(before.failures, after.failures)
    yield from _changes(f"statement {one.id}", before.facts, after.facts)


def _of_records(
    session: Session, found: Difference, old: Documents, new: Documents, ids: Sequence[int]
) -> Iterator[Change]:
    names = {row.id: row.name for row in session.execute(_NAMES, {"ids": list(ids)})}
    for record_id, source, versions in facts.versions_of(session, ids):
        before, after = (side.record_reader(source).read(versions) for side in (old, new))
        found.fail(before.failures, after.failures)
        yield from _changes(f"record {names[record_id]}", before.facts, after.facts)


def _record_ids(session: Session, sources: Sequence[str], sample: int | None) -> Iterator[Sequence[int]]:
    if sample is not None:
        drawn = session.scalars(_DRAWN_RECORDS, {"sources": sources, "size": sample}).all()
        for start in range(0, len(drawn), facts.RECORDS_AT_ONCE):
            yield drawn[start : start + facts.RECORDS_AT_ONCE]
        return
    values = {"sources": sources, "after": 0, "limit": facts.RECORDS_AT_ONCE}
    while ids := session.scalars(_RECORDS, values).all():
        yield ids
        values["after"] = ids[-1]


def _changes(origin: str, before: Sequence[AnyFact], after: Sequence[AnyFact]) -> Iterator[Change]:
    """Compare the facts of one item by rule and alias; one that only came to another rule is no change."""
    old, new = ({(fact.rule, fact.alias_key): fact for fact in side} for side in (before, after))
    for key in [key for key in old if key in new]:
        one, other = old.pop(key), new.pop(key)
        if _content(one) != _content(other):
            yield Change(origin, one, other)
    for fact in old.values():
        twin = next((name for name, other in new.items() if _content(other) == _content(fact)), None)
        if twin is None:
            yield Change(origin, fact, None)
        else:
            del new[twin]
    for fact in new.values():
        yield Change(origin, None, fact)


def _content(fact: AnyFact) -> tuple[object, ...]:
    """Give what a fact says, without which rule says it and what the actor was called."""
    if isinstance(fact, PerformanceFact):
        return fact.metric, fact.alias_key, fact.occurred_at, fact.value, fact.weight
    said = (fact.kind, fact.alias_key, fact.occurred_at, fact.activity, fact.course, fact.attempt)
    return *said, fact.value, fact.success, tuple(sorted(fact.detail.items(), key=str))


def _plain(fact: AnyFact) -> Told:
    if isinstance(fact, PerformanceFact):
        plain: Told = {"metric": fact.metric, "value": fact.value, "weight": fact.weight}
    else:
        plain = {"kind": str(fact.kind), "activity": fact.activity, "course": fact.course, "attempt": fact.attempt}
        plain |= {"value": fact.value, "success": fact.success, **fact.detail}
    plain |= {"rule": fact.rule, "occurred_at": exact_text(fact.occurred_at)}
    return {name: value for name, value in plain.items() if value is not None}


def _moved(program: Program, change: Change, completed_at: datetime | None) -> set[str]:
    """Give the figures of a program to which a change brings something else, of a learner who completed then."""
    before, after = (
        {} if fact is None else _brought(program, fact, completed_at) for fact in (change.before, change.after)
    )
    return {figure for figure in before.keys() | after.keys() if before.get(figure) != after.get(figure)}


def _brought(program: Program, fact: AnyFact, completed_at: datetime | None) -> Mapping[str, object]:
    if isinstance(fact, LearningFact):
        return records.contributions(program, fact)
    window = timedelta(days=program.window_days)
    if completed_at is None or fact.metric not in program.metrics:
        return {}
    if not completed_at - window <= fact.occurred_at < completed_at + window:
        return {}
    return {f"{fact.metric}_{'before' if fact.occurred_at < completed_at else 'since'}": (fact.value, fact.weight)}


def _contents(documents: Documents) -> Mapping[str, object]:
    return {str(document): document.data for document in documents.written}


def _hashes(documents: Documents) -> Mapping[str, object]:
    return {f"{key.document}/{key.name}": key.content_hash for key in documents.rules}


def _differing(old: Mapping[str, object], new: Mapping[str, object]) -> dict[str, list[str]]:
    return {
        "added": sorted(new.keys() - old.keys()),
        "removed": sorted(old.keys() - new.keys()),
        "changed": sorted(name for name in old.keys() & new.keys() if old[name] != new[name]),
    }
