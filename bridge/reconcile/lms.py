"""LMSs: the completions and grades that an LMS reports against the facts that its statements gave.

The rules guarded here:

- What no statement said is filled in as a fact that is marked so (`bridge.mapping.reconciled`), until a statement does:
  then it is taken back. No statement is invented.
- Who is meant is decided by alias, as of statements: the account by number, by user name, the mail address; the first
  that leads to a learner, or else is known here, or else of all.
- What statements say and the LMS does not is for a person: it may have been reset there, or a teacher undid it.
- A grade agrees when an attempt, or the average of all, was told so by statements: which of them counts is the LMS's.
- An LMS that can is asked to send again what it could not send, whatever else differs.
"""

import hashlib
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import text
from sqlalchemy.orm import Session

from bridge import erased, sources
from bridge.mapping import FactKind, Program, reconciled
from bridge.mapping.aliases import of_account, of_mbox
from bridge.reconcile.kept import Found, Page, State
from connectors import Completion, Completions, Person, Resends, Row
from connectors import Page as Pulled

ALIKE = 0.005
"""Scores that are no farther apart are the same: LMSs round."""

_KNOWN_ALIASES = text("select key, learner_id from alias where key = any(cast(:keys as text[]))")

# What is known of each asked (alias, activity), whoever of the person's aliases has it; what was filled in apart.
_FACTS = text("""
    select asked.place,
        coalesce(bool_or(fact.kind = 'completed' and record.id is null), false) as completed,
        coalesce(bool_or(fact.kind = 'completed' and record.id is not null), false) as filled,
        max(fact.occurred_at) filter (where fact.kind = 'completed' and record.id is null) as completed_at,
        max(fact.occurred_at) filter (where fact.kind = 'uncompleted') as uncompleted_at,
        array_agg(fact.value) filter (where fact.kind = 'assessed' and record.id is null and fact.value is not null)
            as scores,
        max(fact.value) filter (where fact.kind = 'assessed' and record.id is not null) as filled_score
    from unnest(cast(:aliases as text[]), cast(:activities as text[]))
        with ordinality as asked (alias, activity, place)
    left join alias on alias.key = asked.alias
    left join lateral (
        select alias.id union select other.id from alias other where other.learner_id = alias.learner_id
    ) own on true
    left join counted_fact fact on fact.alias_id = own.id and fact.activity = asked.activity
        and fact.kind in ('completed', 'uncompleted', 'assessed')
    left join source_record record on record.id = fact.record_id and record.source = :source
    group by asked.place order by asked.place
""")


@dataclass(frozen=True, slots=True)
class _Known:
    """What facts say of one person and one activity."""

    completed: bool
    filled: bool
    completed_at: datetime | None
    uncompleted_at: datetime | None
    scores: Sequence[float] | None
    """Of all attempts that statements told; None where there were none."""
    filled_score: float | None

    @property
    def holds(self) -> bool:
        """Whether statements say that it is completed, and did not take it back later."""
        at, back = self.completed_at, self.uncompleted_at
        return at is not None and (back is None or at >= back)


def courses(lms: Completions, programs: Iterable[Program]) -> list[str]:
    """Name the courses of programs that are this LMS's."""
    return sorted({course for program in programs for course in program.courses if lms.owns(course)})


def compare(session: Session, lms: Completions, course: str, *, now: datetime) -> Iterator[Page]:
    """Compare one course, some people at a time; the caller commits after each page. Raises DestinationError."""
    for every in lms.completions(course):
        reported = _without_erased(session, lms, every)
        aliases = _aliases(session, lms, {one.person for one in reported})
        asked = [(aliases[one.person], one.activity) for one in reported]
        found: list[Found] = []
        rows: list[Row] = []
        for one, (alias, _), known in zip(reported, asked, _facts(session, asked), strict=True):
            for differs, row in _judged(lms.name, course, one, alias, known):
                found.append(differs)
                rows += [row] if row else []
        sources.store_fetched(session, reconciled.SOURCE, Pulled(tuple(rows), (), None), seen_at=now)
        yield Page(agreed=2 * len(reported) - len(found), found=tuple(found))
    if isinstance(lms, Resends) and (events := lms.resend(course)) is not None:
        yield Page(0, remark=f"events that had failed and are sent again: {events:,}")


def _facts(session: Session, asked: Sequence[tuple[str, str]]) -> list[_Known]:
    values = {"aliases": [alias for alias, _ in asked], "activities": [activity for _, activity in asked]}
    rows = session.execute(_FACTS, values | {"source": reconciled.SOURCE})
    return [_Known(*row[1:]) for row in rows]


def _judged(lms: str, course: str, one: Completion, alias: str, known: _Known) -> Iterator[tuple[Found, Row | None]]:
    """Give what differs of one person and activity, with the row that repairs it."""
    subject = f"{alias} {one.activity}"
    completed = FactKind.COMPLETED
    if one.completed_at is not None and not known.completed and not known.filled:
        yield (
            Found("completion without a statement", subject, _MISSING, State.REPAIRED),
            _row(lms, course, one, alias, completed, one.completed_at, None),
        )
    elif one.completed_at is not None and known.completed and not known.holds:
        yield Found("completion taken back by a statement", subject, _TAKEN_BACK, State.OPEN), None
    elif one.is_tracked and one.completed_at is None and known.holds:
        yield Found("completed here alone", subject, _RESET, State.OPEN), None
    elif known.filled and (known.completed or (one.is_tracked and one.completed_at is None)):
        kind, words = ("statement came", _CAME) if known.completed else ("undone there", _UNDONE)
        yield Found(kind, subject, words, State.REPAIRED), _gone(lms, one, alias, completed)

    yield from _graded(lms, course, one, alias, known)


def _graded(lms: str, course: str, one: Completion, alias: str, known: _Known) -> Iterator[tuple[Found, Row | None]]:
    """Give what differs of one person's grade: it is to be one that statements told, or their average, or filled in."""
    subject, kind = f"{alias} {one.activity}", FactKind.ASSESSED
    told, filled, grade = known.scores or (), known.filled_score, one.score
    best = max(told, default=None)
    if grade is not None and one.scored_at is None:
        return
    if grade is not None and one.scored_at and (best is None or grade > best + ALIKE):
        if filled is None or abs(filled - grade) > ALIKE:
            words = f"Graded {grade:.0%} there, {'not' if best is None else f'{best:.0%}'} here; filled in."
            yield (
                Found("grade without a statement", subject, words, State.REPAIRED),
                _row(lms, course, one, alias, kind, one.scored_at, grade),
            )
        return
    if filled is not None:
        came = best is not None and best >= filled - ALIKE
        what, words = ("statement came", _CAME) if came else ("undone there", _REGRADED)
        yield Found(what, subject, words, State.REPAIRED), _gone(lms, one, alias, kind)
    if grade is None or best is None or any(abs(score - grade) <= ALIKE for score in (*told, sum(told) / len(told))):
        return
    yield Found("graded lower there", subject, _LOWER.format(grade, best), State.OPEN), None


_MISSING = (
    "Completed there, and no statement said so: filled in. If many are missing, let the LMS send again what failed "
    "(Moodle: `resend: true` in its document, or Reports > xAPI error report)."
)
_TAKEN_BACK = (
    "Completed there, but its statements said `uncompleted` last. An import of old logs does that: void its statements."
)
_RESET = "Not completed there, though a statement said so: it may have been reset there."
_CAME = "The statement has come; what was filled in is taken back."
_REGRADED = "Graded lower there now, or not any more; what was filled in is taken back."
_LOWER = (
    "Graded {:.0%} there, and no statement said so; the best here is {:.0%}. If the grade was lowered there, or an "
    "attempt deleted, void the statements of what does not count."
)
_UNDONE = "Not completed there any more; what was filled in is taken back."


def _row(lms: str, course: str, one: Completion, alias: str, kind: FactKind, at: datetime, value: float | None) -> Row:
    data = reconciled.row(kind, alias, at, one.activity, course, lms, value)
    digest = hashlib.sha256(json.dumps(data, sort_keys=True).encode()).digest()
    return Row(_key(lms, one, kind), data, digest, None, 0)


def _gone(lms: str, one: Completion, alias: str, kind: FactKind) -> Row:
    return Row(_key(lms, one, kind), {"alias": alias}, b"", None, 0, deleted=True)


def _key(lms: str, one: Completion, kind: FactKind) -> str:
    return f"{lms} {kind} {one.person.id} {one.activity}"


def _aliases(session: Session, lms: Completions, people: set[Person]) -> dict[Person, str]:
    """Say by which alias each is known, or would be by a statement."""
    candidates = {person: _candidates(lms.site or "", person) for person in people}
    asked: dict[str, Any] = {"keys": sorted({key for keys in candidates.values() for key in keys})}
    leads = {row.key: row.learner_id is not None for row in session.execute(_KNOWN_ALIASES, asked)}
    return {
        person: max(keys, key=lambda key: (leads.get(key, False), key in leads)) for person, keys in candidates.items()
    }


def _without_erased(session: Session, lms: Completions, reported: Sequence[Completion]) -> list[Completion]:
    """Give what is said of people who were not erased here; of others nothing is taken in, nor told."""
    site = lms.site or ""
    gone = erased.aliases(session, {key for one in reported for key in _candidates(site, one.person)})
    return [one for one in reported if not gone & set(_candidates(site, one.person))]


def _candidates(site: str, person: Person) -> list[str]:
    keys = [of_account(site, person.id)]
    if person.username:
        keys.append(of_account(site, person.username))
    if person.email:
        keys.append(of_mbox(person.email))
    return keys
