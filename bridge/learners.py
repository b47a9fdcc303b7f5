"""Who is who: rosters claim aliases for learners, and aliases lead facts to people.

The rules guarded here:

- An alias belongs to a learner because a roster row says so, never because names look alike.
- Two learners claiming one alias: nobody gets it, and the problem is listed.
- An xAPI actor that no roster claims becomes a learner of its own where the identity document says
  `unclaimed: learner`; with `wait` it is only listed. A user of a source always waits.
- Facts hang on aliases, so none of this reads a statement or a source record again.
"""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Row, delete, func, insert, select, text
from sqlalchemy.dialects.postgresql import distinct_on
from sqlalchemy.orm import Session

from bridge.mapping import Identity, Roster, RosterEntry, read_roster
from bridge.models import Built, IdentityProblem, SourceRecord, SourceRecordVersion

_NEWEST = (
    select(SourceRecord.key, SourceRecordVersion.data)
    .join(SourceRecordVersion, SourceRecordVersion.record_id == SourceRecord.id)
    .ext(distinct_on(SourceRecord.key))
    .order_by(SourceRecord.key, SourceRecordVersion.cursor.desc().nulls_last(), SourceRecordVersion.id.desc())
)

_STORE_LEARNERS = text("""
    insert into learner (key, name, attributes)
    select key, name, attributes::jsonb
    from unnest(cast(:keys as text[]), cast(:names as text[]), cast(:attributes as text[]))
        as row (key, name, attributes)
    order by key
    on conflict (key) do update set name = excluded.name, attributes = excluded.attributes
""")

_STORE_ALIASES = text("""
    insert into alias (key) select key from unnest(cast(:aliases as text[])) as key group by key order by key
    on conflict (key) do nothing
""")

_STORE_CLAIMS = text("""
    insert into claim (alias_id, learner_id)
    select distinct alias.id, learner.id
    from unnest(cast(:aliases as text[]), cast(:keys as text[])) as row (alias, key)
    join alias on alias.key = row.alias join learner on learner.key = row.key
""")

_APPLY_CLAIMS = text("""
    with wanted as (
        select alias.id, case when count(claim.learner_id) = 1 then min(claim.learner_id) end as learner_id
        from alias left join claim on claim.alias_id = alias.id group by alias.id
    )
    update alias set learner_id = wanted.learner_id
    from wanted where wanted.id = alias.id and alias.learner_id is distinct from wanted.learner_id
""")

_UNCLAIMED_ACTORS = """
    select alias.id, alias.key, alias.name from alias
    where alias.learner_id is null and alias.key not like 'user:%'
    and not exists (select from claim where claim.alias_id = alias.id)
"""

_LEARNERS_OF_THEIR_OWN = text(f"""
    insert into learner (key, name) select key, name from ({_UNCLAIMED_ACTORS}) actor order by key
    on conflict (key) do update set name = excluded.name
""")  # noqa: S608 - no value is put into the text, only the common part

_OWN_ALIASES = text(f"""
    update alias set learner_id = learner.id
    from ({_UNCLAIMED_ACTORS}) actor join learner on learner.key = actor.key
    where alias.id = actor.id
    returning alias.id
""")  # noqa: S608 - as above

_CONTESTED = text("""
    select alias.key, array_agg(learner.key order by learner.key) from claim
    join alias on alias.id = claim.alias_id join learner on learner.id = claim.learner_id
    group by alias.key having count(*) > 1 order by alias.key
""")

_FORGET_UNUSED = text("""
    delete from learner where key <> all(cast(:keys as text[]))
    and not exists (select from alias where alias.learner_id = learner.id)
""")

_UNMATCHED = text("""
    select alias.key, alias.name, count(fact.rule_id) as facts
    from alias left join counted_fact fact
        on fact.alias_id = alias.id
    where alias.learner_id is null
    group by alias.id order by facts desc, alias.key limit :limit
""")


@dataclass
class _Roll:
    """What all roster rows say, and what is wrong with some of them."""

    entries: dict[str, RosterEntry] = field(default_factory=dict)
    problems: list[tuple[str, str]] = field(default_factory=list)

    def add(self, subject: str, entry: RosterEntry) -> None:
        if entry.learner_key in self.entries and self.entries[entry.learner_key] != entry:
            self.problems.append(
                (subject, f"Learner {entry.learner_key!r} stands in another roster row too; that one is kept.")
            )
            return
        self.entries[entry.learner_key] = entry

    def pairs(self) -> Iterator[tuple[str, str]]:
        for entry in self.entries.values():
            for alias in entry.alias_keys:
                yield alias, entry.learner_key


def signature(session: Session, identity: Identity, identity_hash: str) -> str:
    """Say what a resolution now would rest on: the identity document and the versions of roster rows.

    Versions are only ever added, so their number and the newest of them tell one set from another.
    """
    names = [roster.source for roster in identity.rosters]
    number, newest = session.execute(
        select(func.count(SourceRecordVersion.id), func.max(SourceRecordVersion.id))
        .join(SourceRecord, SourceRecord.id == SourceRecordVersion.record_id)
        .where(SourceRecord.source.in_(names))
    ).one()
    return f"{identity_hash} {number} {newest}"


def resolved(session: Session) -> str | None:
    """Say what the learners were last resolved from; None when they never were."""
    return session.scalar(select(Built.signature).where(Built.part == "learners"))


def resolve(session: Session, identity: Identity) -> None:
    """Read every roster and settle every alias anew; the same rosters always give the same learners."""
    roll = _read(session, identity)
    pairs = list(roll.pairs())
    entries = list(roll.entries.values())
    keys = [entry.learner_key for entry in entries]
    session.execute(
        _STORE_LEARNERS,
        {
            "keys": keys,
            "names": [entry.name for entry in entries],
            "attributes": [json.dumps(dict(entry.attributes)) for entry in entries],
        },
    )
    aliases = {"aliases": [alias for alias, _ in pairs], "keys": [key for _, key in pairs]}
    session.execute(_STORE_ALIASES, {"aliases": aliases["aliases"]})
    session.execute(text("delete from claim"))
    session.execute(_STORE_CLAIMS, aliases)
    session.execute(_APPLY_CLAIMS)
    match_unclaimed(session, identity)
    session.execute(_FORGET_UNUSED, {"keys": keys})
    _list_problems(session, roll)


def match_unclaimed(session: Session, identity: Identity) -> int:
    """Make learners of the xAPI actors that nobody claims, if the identity document wants that; gives how many."""
    if identity.unclaimed != "learner":
        return 0
    session.execute(_LEARNERS_OF_THEIR_OWN)
    return len(session.execute(_OWN_ALIASES).all())


def unmatched(session: Session, *, limit: int = 100) -> Sequence[Row[Any]]:
    """Give (key, name, facts) of aliases that lead to nobody, those with the most waiting facts first."""
    return session.execute(_UNMATCHED, {"limit": limit}).all()


def problems(session: Session) -> Sequence[IdentityProblem]:
    """Give what stopped roster rows from naming a learner."""
    return session.scalars(select(IdentityProblem).order_by(IdentityProblem.id)).all()


def _read(session: Session, identity: Identity) -> _Roll:
    roll = _Roll()
    for roster in identity.rosters:
        for key, data in session.execute(_NEWEST.where(SourceRecord.source == roster.source)):
            _read_row(roll, roster, f"{roster.source} {key}", data)
    return roll


def _read_row(roll: _Roll, roster: Roster, subject: str, data: dict[str, Any]) -> None:
    entry = read_roster(roster, data)
    if isinstance(entry, RosterEntry):
        roll.add(subject, entry)
    else:
        roll.problems.append((subject, f"{entry.rule}: {entry.reason}"))


def _list_problems(session: Session, roll: _Roll) -> None:
    contested = [
        (alias, f"Claimed by {' and '.join(learners)}; it is given to none. Correct the roster.")
        for alias, learners in session.execute(_CONTESTED)
    ]
    session.execute(delete(IdentityProblem))
    found = [{"subject": subject, "text": words} for subject, words in [*roll.problems, *contested]]
    if found:
        session.execute(insert(IdentityProblem), found)
