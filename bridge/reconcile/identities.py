"""Identities: who is known on one side only, and who is nobody.

The rules guarded here:

- Nothing is repaired: who is who is decided by documents and people. What looks alike is suggested, with the command.
- Two learners look like one when nobody else has their name and each lacks the side that the other has: a name alone
  says nothing. One looks like two when an alias came with another full name, and nobody has decided about it.
- Only what could matter is told: an alias that leads to nobody and has facts; a learner in a program whose learning is
  known and performance is not, or the reverse.
"""

import shlex
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from sqlalchemy import Row, text
from sqlalchemy.orm import Session

from bridge import people
from bridge.mapping import names
from bridge.reconcile.kept import Found, Page, State

MOST_NAMED = 200
"""Of each kind; the others are counted."""

_KNOWN = text("select count(*) from alias where learner_id is not null")
_NOBODY = text("""
    select coalesce(rule = 'contested', false) as contested, count(*) as number from alias where learner_id is null
    and exists (select from counted_fact where alias_id = alias.id) group by 1
""")

# Both sides of everybody who has a record: `learns` and `performs` say on which they have facts.
_SIDED = """
    with sided as (
        select learner.key, learner.name, learner.name_key,
            exists (select from alias join counted_fact fact on fact.alias_id = alias.id
                where alias.learner_id = learner.id and fact.kind is not null) as learns,
            exists (select from alias join counted_fact fact on fact.alias_id = alias.id
                where alias.learner_id = learner.id and fact.metric is not null) as performs
        from learner
    )
"""
_SIDES = text(f"""{_SIDED}
    select key, name_key, learns from sided where learns <> performs order by learns desc, key collate "C"
""")  # noqa: S608 - no value is put into the text, only the common part
_BOTH = text(f"{_SIDED} select count(*) from sided where learns and performs")  # noqa: S608 - as above
_NAMESAKES = text("""
    select name_key, array_agg(key order by key collate "C") as keys_ from learner
    where name_key = any(cast(:names as text[])) and name_key like '% %' group by name_key having count(*) = 2
""")

# What people decided is decided: that is how an alarm is silenced.
_CALLED_OTHERWISE = text("""
    select alias.key, alias.name, learner.key as learner, learner.name as learner_name
    from alias join learner on learner.id = alias.learner_id
    where lower(alias.name) <> lower(learner.name) and alias.rule is distinct from 'own'
    and coalesce(alias.rule, '') not like 'override%' and exists (select from counted_fact where alias_id = alias.id)
    order by learner.key collate "C", alias.key collate "C"
""")


def compare(session: Session) -> Iterator[Page]:
    """Say who is known by alias and on both sides, and who is not; pages in order: aliases, learners, mixed up ones."""
    nobody = {_CONTESTED if row.contested else _OF_NOBODY: row.number for row in session.execute(_NOBODY)}
    suggested = {one.alias: one for one in people.suggestions(session)}
    named = [row for row in people.unmatched(session, limit=MOST_NAMED) if row.facts]
    yield _page(session.scalar(_KNOWN) or 0, [_unmatched(row, suggested.get(row.key)) for row in named], nobody)
    sides = list(_one_sided(session))
    yield _page(session.scalar(_BOTH) or 0, sides, Counter(one.kind for one in sides))
    mixed = list(_mixed_up(session))
    yield _page(0, mixed, {_TWO_PEOPLE: len(mixed)})


def _page(agreed: int, found: Sequence[Found], numbers: Mapping[str, int]) -> Page:
    """Name the first of each kind, and count the rest of these numbers."""
    named: list[Found] = []
    told: Counter[str] = Counter()
    for one in found:
        if told[one.kind] < MOST_NAMED:
            told[one.kind] += 1
            named.append(one)
    return Page(agreed, tuple(named), unnamed=dict(Counter(numbers) - told))


_OF_NOBODY, _CONTESTED = "alias of nobody", "alias of two"
_LEARNS, _PERFORMS = "learning alone", "performance alone"
_ONE_PERSON, _TWO_PEOPLE = "two that look like one", "one that looks like two"


def _unmatched(row: Row[Any], suggestion: people.Suggestion | None) -> Found:
    waiting = f"with {row.facts:,} {'fact' if row.facts == 1 else 'facts'}"
    if row.rule == "contested":
        what = (
            f"Two learners have an equal right to it, {waiting}. `lrs-bridge learner problems` names them: correct the"
        )
        return Found(
            _CONTESTED, row.key, f"{what} rosters, or `lrs-bridge learner split` it to one of them.", State.OPEN
        )
    if suggestion is None:
        text_ = f"Leads to no learner, {waiting}. Add the person to a roster, or link the alias to one."
        return Found(_OF_NOBODY, row.key, text_, State.OPEN)
    command = f"lrs-bridge learner split {shlex.quote(suggestion.alias)} --to {shlex.quote(suggestion.learner)}"
    who = f"{suggestion.learner} has the same name; if they are one: `{command}`"
    return Found(_OF_NOBODY, row.key, f"Leads to no learner, {waiting}. {who}", State.OPEN)


def _one_sided(session: Session) -> Iterator[Found]:
    """Give those known on one side; two of one name, of whom each has the other's side, as one."""
    rows = session.execute(_SIDES).all()
    asked = {"names": sorted({row.name_key for row in rows if row.name_key})}
    namesakes = {row.name_key: row.keys_ for row in session.execute(_NAMESAKES, asked)}
    learns = {row.key: row.learns for row in rows}
    for row in rows:
        keys = namesakes.get(row.name_key, ())
        other = next((key for key in keys if key != row.key), None)
        words = _WITHOUT_PERFORMANCE if row.learns else _WITHOUT_LEARNING
        if other is None:
            yield Found(_LEARNS if row.learns else _PERFORMS, row.key, words, State.OPEN)
            continue
        command = f"lrs-bridge learner merge {shlex.quote(keys[0])} {shlex.quote(keys[1])}"
        if learns.get(other) is (not row.learns):
            if row.learns:  # once for both
                what = f"{row.key} has learning alone, {other} performance alone, and they have one name."
                yield Found(_ONE_PERSON, f"{row.key} and {other}", f"{what} If they are one: `{command}`", State.OPEN)
        else:
            text_ = f"{words} {other} has the same name; if they are one: `{command}`"
            yield Found(_LEARNS if row.learns else _PERFORMS, row.key, text_, State.OPEN)


_WITHOUT_PERFORMANCE = (
    "Learning is known, performance is not: no source gives a record of theirs, or under an unknown alias."
)
_WITHOUT_LEARNING = (
    "Performance is known, learning is not: no LMS has sent a statement of theirs, or under an unknown alias."
)


def _mixed_up(session: Session) -> Iterator[Found]:
    """Give aliases whose full name has no word in common with that of the learner whom they lead to."""
    for row in session.execute(_CALLED_OTHERWISE, execution_options={"yield_per": 1000}):
        if not names.are_apart(row.name, row.learner_name):
            continue
        alias, learner = shlex.quote(row.key), shlex.quote(row.learner)
        what = f"{row.key} is called {row.name}, and leads to {row.learner}, {row.learner_name}."
        split = f"lrs-bridge learner split {alias}"
        do = f"If they are two: `{split}`; if they are one, `{split} --to {learner}` settles that."
        yield Found(_TWO_PEOPLE, row.learner, f"{what} {do}", State.OPEN)
