"""Previews: what the rules would make of rows that a source shows, before anything of it is stored.

The rules guarded here:

- Rows are read by the readers that facts come from, as if each were the only version of its record.
- Whoever they are about is settled as if the rows had been stored, in a part of the transaction that is undone.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import text
from sqlalchemy.orm import Session

from bridge import identities
from bridge.mapping import Documents, Failure, PerformanceFact, Version, read_roster
from bridge.times import exact_text
from connectors import Page, Row

Told = dict[str, Any]

_LEARNERS = text("""
    select alias.key, learner.key as learner, learner.name, alias.rule
    from alias left join learner on learner.id = alias.learner_id where alias.key = any(cast(:keys as text[]))
""")


@dataclass(frozen=True, slots=True)
class _Read:
    """What one row gives."""

    row: Row
    facts: Sequence[PerformanceFact]
    failures: Sequence[Failure]
    people: Sequence[tuple[str | None, str | None, Sequence[str]]]
    """(learner's key, name, aliases) by each roster that reads it."""


def preview(session: Session, documents: Documents, source: str, page: Page) -> Told:
    """Tell what would be read out of a page, and who it is about, in JSON types."""
    read = [_read(documents, source, row) for row in page.rows]
    aliases = dict.fromkeys(fact.alias_key for one in read for fact in one.facts)
    learners = _learners(session, documents, list(aliases))
    unmatched = Counter(
        fact.alias_key for one in read for fact in one.facts if learners[fact.alias_key]["learner"] is None
    )
    metrics = documents.metrics
    read_by = [document.name for document in documents.performance_of(source)]
    read_by += [f"roster {number}" for number, _ in _rosters(documents, source)]
    return {
        "source": source,
        "read_by": read_by,
        "records": len(page.rows),
        # For whoever writes the rules; where there are some, what they leave out is nobody's business.
        "contents": []
        if read_by
        else [{"record": row.key, "deleted": row.deleted, "row": row.data} for row in page.rows],
        "rows": [
            {
                "record": one.row.key,
                "metric": fact.metric,
                "value": fact.value,
                "unit": metrics[fact.metric].unit,
                "occurred_at": exact_text(fact.occurred_at),
                "weight": fact.weight,
                "alias": fact.alias_key,
                **learners[fact.alias_key],
            }
            for one in read
            for fact in one.facts
        ],
        "roster_rows": [
            {"record": one.row.key, "learner": key, "name": name, "aliases": list(keys)}
            for one in read
            for key, name, keys in one.people
        ],
        "without_a_value": [one.row.key for one in read if not (one.facts or one.failures or one.people)],
        "failures": [
            {"record": one.row.key, "rule": failure.rule, "expression": failure.expression, "reason": failure.reason}
            for one in read
            for failure in one.failures
        ],
        "problems": [
            {"row": one.row, "column": one.column, "problem": one.message, "raw": one.raw} for one in page.problems
        ],
        "people": {"matched": len(aliases) - len(unmatched), "unmatched": len(unmatched)},
        "unmatched": [{"alias": alias, "values": values} for alias, values in unmatched.most_common()],
    }


def _read(documents: Documents, source: str, row: Row) -> _Read:
    if row.deleted:
        return _Read(row, (), (), ())
    reading = documents.record_reader(source).read([Version(0, row.data)])
    people, failures = [], list(reading.failures)
    for number, roster in _rosters(documents, source):
        entry = read_roster(roster, row.data)
        if isinstance(entry, Failure):
            failures.append(Failure(f"roster {number}: {entry.rule}", entry.expression, entry.reason))
        else:
            people.append((entry.learner_key, entry.name, entry.alias_keys))
    return _Read(row, reading.facts, failures, people)


def _rosters(documents: Documents, source: str) -> Iterator[tuple[int, Any]]:
    """Give (place, roster) of the rosters that read a source."""
    for number, roster in enumerate(documents.identity.rosters, 1):
        if roster.source == source:
            yield number, roster


def _learners(session: Session, documents: Documents, aliases: Sequence[str]) -> dict[str, Told]:
    """Say who each alias would lead to, by which rule; nothing of it is kept."""
    trial = session.begin_nested()
    identities.lock(session)
    made = identities.ids(session, aliases)
    if made:
        identities.settle(session, documents.identity, sorted(made.values()))
    found = {
        row.key: {"learner": row.learner, "name": row.name, "rule": row.rule}
        for row in session.execute(_LEARNERS, {"keys": list(aliases)})
    }
    trial.rollback()
    return found
