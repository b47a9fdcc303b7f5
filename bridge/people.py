"""People as they are asked for: one by a key or an alias, all of them, and those whom nobody knows yet.

The rules guarded here:

- Finding one is one indexed read, however many there are.
- Who leads to nobody is listed with the number of facts that wait, those with the most first, of a bounded number.
- A suggestion is only that: a name that equals exactly one learner's. Nothing acts on it but a person.
"""

import shlex
from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from sqlalchemy import Row, select, text
from sqlalchemy.orm import Session

from bridge import identities, narrowing
from bridge.errors import NotFound
from bridge.mapping.aliases import of_mbox
from bridge.mapping.names import name_key
from bridge.models import Learner
from bridge.narrowing import EVERYTHING, Narrowing

LOOKED_AT = 20_000
"""Aliases without a learner that are counted, the latest known: what one answer may cost."""
MAX_COUNTED = 10_000
"""Facts of one alias that are counted; more are told as this many."""

# A key that a merge names may be another learner's by now.
_FIND = select(Learner).from_statement(
    text("""
        select learner.* from learner where key = :word and not exists (
            select from identity_decision where kind = 'merge' and :word in (learner, other) and undone_at is null)
    """)
)
_FIND_OVER_MERGES = select(Learner).from_statement(
    text("""
        select learner.* from learner where learner.id = coalesce(
            (select id from learner where key = :word and :word = :kept),
            (select learner_id from alias where key = :word),
            (select id from learner where key = :kept))
    """)
)

_ALIASES = text("""
    select alias.key, alias.rule, alias.name from alias where alias.learner_id = :learner order by alias.key collate "C"
""")

_ATTRIBUTES = text("""
    select name, value, valid_from::text, valid_to::text from learner_attribute
    where learner_id = :learner order by name, valid_from nulls first
""")

_LEARNERS = text(f"""
    select learner.key, learner.name, learner.attributes, (
        select count(*) from alias where alias.learner_id = learner.id) as aliases
    from learner where (cast(:after as text) is null or learner.key collate "C" > :after) and {narrowing.LEARNERS}
    order by learner.key collate "C" limit :limit
""")  # noqa: S608 - no value is put into the text, only a condition

_IS_SEEN = text(f"select exists (select from learner where id = :learner and {narrowing.LEARNERS})")  # noqa: S608 - as above

# As (facts, key) of a page's last row tells where the next one begins.
_UNMATCHED = text("""
    select key, name, rule, facts from (
        select alias.key, alias.name, alias.rule, (
            select count(*) from (select from counted_fact where alias_id = alias.id limit :most) as one) as facts
        from (select * from alias where learner_id is null order by id desc limit :looked_at) as alias
    ) as waiting
    where cast(:facts as bigint) is null or (-facts, key collate "C") > (-cast(:facts as bigint), :key)
    order by facts desc, key collate "C" limit :limit
""")

_NAMED = text("""
    select alias.key, alias.name, (
        select count(*) from (select from counted_fact where alias_id = alias.id limit :most) as one) as facts
    from (select * from alias where learner_id is null order by id desc limit :looked_at) as alias
    where alias.name is not null and exists (select from counted_fact where alias_id = alias.id)
    order by alias.key collate "C"
""")

_ONLY_ONES = text("""
    select name_key, min(key) as key, min(name) as name from learner
    where name_key = any(cast(:names as text[])) group by name_key having count(*) = 1
""")


@dataclass(frozen=True, slots=True)
class Suggestion:
    """An alias that leads to nobody, and the one learner who is called the same."""

    alias: str
    name: str
    facts: int
    learner: str
    learner_name: str


def find(session: Session, word: str, seen: Narrowing = EVERYTHING) -> Learner:
    """Give the learner with this key or this alias; also one that is another by a merge. Raises NotFound.

    One that is not seen is not found, in the same words. A mail address may be written in any case, and without
    `mbox:mailto:`.
    """
    for one in spellings(word):
        learner: Learner | None = session.scalar(_FIND, {"word": one})
        if learner is None:
            kept = identities.overrides(session).kept(one)
            learner = session.scalar(_FIND_OVER_MERGES, {"word": one, "kept": kept})
        if learner is not None and (not seen or _is_seen(session, learner, seen)):
            return learner
    raise NotFound(
        f"There is no learner {word!r}, nor an alias that leads to one. "
        "`lrs-bridge learner list` and `lrs-bridge learner unmatched` list what there is."
    )


def _is_seen(session: Session, learner: Learner, seen: Narrowing) -> bool:
    return bool(session.scalar(_IS_SEEN, {"learner": learner.id, **seen.parameters()}))


def spellings(word: str) -> list[str]:
    """Give a word as it stands, and if it is a mail address, as the alias that this has."""
    written = word.removeprefix("mbox:").strip()
    if written == word and not word.lower().startswith("mailto:") and ("@" not in word or ":" in word or "|" in word):
        return [word]
    return list(dict.fromkeys([word, of_mbox(written)]))


def aliases(session: Session, learner: Learner) -> Sequence[Row[Any]]:
    """Give (key, rule, name) of each alias of a learner, by key."""
    return session.execute(_ALIASES, {"learner": learner.id}).all()


def attributes(session: Session, learner: Learner) -> Sequence[Row[Any]]:
    """Give (name, value, valid_from, valid_to) of all times; the days are included, None is open."""
    return session.execute(_ATTRIBUTES, {"learner": learner.id}).all()


def page(
    session: Session, *, after: str | None = None, limit: int = 100, seen: Narrowing = EVERYTHING
) -> Sequence[Row[Any]]:
    """Give (key, name, attributes in force, number of aliases) of learners by key."""
    return session.execute(_LEARNERS, {"after": after, "limit": limit, **seen.parameters()}).all()


def unmatched(session: Session, *, after: tuple[int, str] | None = None, limit: int = 100) -> Sequence[Row[Any]]:
    """Give (key, name, rule, facts) of aliases that lead to nobody, those with the most waiting facts first.

    `after` is (facts, key) of the last one before. `rule` is `contested` where two learners have an equal right.
    """
    facts, key = after if after else (None, None)
    values = {"facts": facts, "key": key, "limit": limit, "looked_at": LOOKED_AT, "most": MAX_COUNTED}
    return session.execute(_UNMATCHED, values).all()


def suggestions(session: Session) -> list[Suggestion]:
    """Give aliases with waiting facts whose name is exactly one learner's, but for accents, case and order of words."""
    waiting = session.execute(_NAMED, {"looked_at": LOOKED_AT, "most": MAX_COUNTED}).all()
    names = {row.key: name_key(row.name) for row in waiting}
    only = {
        row.name_key: row
        for row in session.execute(_ONLY_ONES, {"names": sorted({name for name in names.values() if name})})
    }
    return [
        Suggestion(row.key, row.name, row.facts, only[name].key, only[name].name)
        for row in waiting
        if (name := names[row.key]) in only
    ]


def told(session: Session, learner: Learner, only: Collection[str] | None = None) -> dict[str, Any]:
    """Give all that is known of a learner, as people and programs are told of it; `only` these attributes, if given."""
    return {
        "key": learner.key,
        "name": learner.name,
        "attributes": {name: value for name, value in learner.attributes.items() if only is None or name in only},
        "periods": [
            {"attribute": one.name, "value": one.value, "from": one.valid_from, "to": one.valid_to}
            for one in attributes(session, learner)
            if only is None or one.name in only
        ],
        "aliases": [{"alias": one.key, "rule": one.rule, "name": one.name} for one in aliases(session, learner)],
    }


def told_suggestion(one: Suggestion) -> dict[str, Any]:
    """Give a suggestion with what a person would do about it."""
    return asdict(one) | {
        "to_accept": f"lrs-bridge learner split {shlex.quote(one.alias)} --to {shlex.quote(one.learner)}"
    }
