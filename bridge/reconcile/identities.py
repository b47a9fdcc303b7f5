"""Identities: who is known on one side only, and who is nobody.

The rules guarded here:

- Nothing is repaired: who is who is decided by documents and people. What looks alike is suggested, with the command.
- Only what could matter is told: an alias that leads to nobody and has facts; a learner in a program whose learning is
  known and performance is not, or the reverse.
"""

import shlex
from collections.abc import Iterator

from sqlalchemy import text
from sqlalchemy.orm import Session

from bridge import people
from bridge.reconcile.kept import Found, Page, State

MOST_NAMED = 200
"""Of each kind; the others are counted."""

_KNOWN = text("select count(*) from alias where learner_id is not null")
_NOBODY = text("""
    select count(*) from alias where learner_id is null
    and exists (select from counted_fact where alias_id = alias.id)
""")

# Both sides of everybody who has a record: `learns` and `performs` say on which they have facts.
_SIDES = text("""
    with sided as (
        select learner.key, learner.name,
            exists (select from alias join counted_fact fact on fact.alias_id = alias.id
                where alias.learner_id = learner.id and fact.kind is not null) as learns,
            exists (select from alias join counted_fact fact on fact.alias_id = alias.id
                where alias.learner_id = learner.id and fact.metric is not null) as performs
        from learner
    )
    select key, name, learns, performs, count(*) over (partition by learns) as alike,
        row_number() over (partition by learns order by key collate "C") as place
    from sided where learns <> performs order by learns desc, key collate "C"
""")
_BOTH = text("""
    select count(*) from learner where
    exists (select from alias join counted_fact fact on fact.alias_id = alias.id
        where alias.learner_id = learner.id and fact.kind is not null)
    and exists (select from alias join counted_fact fact on fact.alias_id = alias.id
        where alias.learner_id = learner.id and fact.metric is not null)
""")


def compare(session: Session) -> Iterator[Page]:
    """Say who is known by alias and on both sides, and who is not; pages in order: aliases, then learners."""
    nobody = session.scalar(_NOBODY) or 0
    suggested = {one.alias: one for one in people.suggestions(session)}
    named = [row for row in people.unmatched(session, limit=MOST_NAMED) if row.facts]
    found = tuple(Found(row.key, _unmatched(row.facts, suggested.get(row.key)), State.OPEN) for row in named)
    yield Page(session.scalar(_KNOWN) or 0, found, uncounted=max(nobody - len(found), 0))
    one_sided = session.execute(_SIDES).all()
    told = [row for row in one_sided if row.place <= MOST_NAMED]
    sides = tuple(Found(row.key, _one_sided(learns=row.learns), State.OPEN) for row in told)
    yield Page(session.scalar(_BOTH) or 0, sides, uncounted=len(one_sided) - len(told))


def _unmatched(facts: int, suggestion: people.Suggestion | None) -> str:
    if suggestion is None:
        return f"Leads to no learner, with {_facts(facts)}. Add the person to a roster, or link the alias to one."
    command = f"lrs-bridge learner split {shlex.quote(suggestion.alias)} --to {shlex.quote(suggestion.learner)}"
    return (
        f"Leads to no learner, with {_facts(facts)}. {suggestion.learner} has the same name; "
        f"if they are one: `{command}`"
    )


def _one_sided(*, learns: bool) -> str:
    if learns:
        return "Learning is known, performance is not: no source gives a record of theirs, or under an unknown alias."
    return "Performance is known, learning is not: no LMS has sent a statement of theirs, or under an unknown alias."


def _facts(number: int) -> str:
    return f"{number:,} {'fact' if number == 1 else 'facts'}"
