"""Who an alias leads to, settled for those that something has changed for.

The rules guarded here (the rules of who is whom are `bridge.mapping.identities`):

- An alias is settled when it was looked at since anything about it changed: it is new, a roster row began or ceased to
  name it, somebody decided about it. What changes such a thing unsettles it, in the same transaction.
- Settling some looks at all that links lead to from them, and at no more: so it costs what has changed, not what there
  is, and the result is that of settling all.
- An alias whose learner changes is marked, and so is the learner who lost it: their records are built again.
"""

import json
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import insert, select, text
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.orm import Session

from bridge.mapping import Identity, Unclaimed, identities
from bridge.mapping.identities import Decision, Known, Overrides, Settled
from bridge.models import Built, IdentityDecision, IdentityProblem

BATCH = 5_000
"""Aliases settled at once: what a transaction holds."""

_KNOWN = text("select key, id from alias where key = any(cast(:keys as text[]))")

_NEW = text("""
    insert into alias (key) select key from unnest(cast(:keys as text[])) as key order by key
    on conflict (key) do nothing
""")

_UNSETTLED = text("select id from alias where not settled order by id limit :limit")

_NEIGHBOURS = text("""
    select distinct other.alias_id
    from unnest(cast(:aliases as bigint[])) as wanted (id) join alias_link mine on mine.alias_id = wanted.id
    join alias_link other on other.token = mine.token
""")

# Fixed is what claims or decisions alone decide, whatever it links to.
_FIXED = text("""
    select distinct claim.alias_id from claim join roster_row on roster_row.id = claim.row_id
    where claim.alias_id = any(cast(:aliases as bigint[])) and roster_row.holds
    union
    select id from alias where id = any(cast(:aliases as bigint[])) and key = any(cast(:given as text[]))
""")

# In the order of keys, as whoever else locks several of them does.
_LOCKED = text("""
    select alias.id, alias.key, alias.learner_id, learner.key as learner, alias.rule, alias.settled
    from alias left join learner on learner.id = alias.learner_id
    where alias.id = any(cast(:aliases as bigint[])) order by alias.id for no key update of alias
""")

# Joined with what is asked for: an array is gone through for each row wherever the planner chooses to read them all.
_CLAIMS = text("""
    select claim.alias_id, roster_row.learner_key, roster_row.source
    from unnest(cast(:aliases as bigint[])) as wanted (id) join claim on claim.alias_id = wanted.id
    join roster_row on roster_row.id = claim.row_id
    where roster_row.holds
""")

_TOKENS = text("""
    select alias_id, token from unnest(cast(:aliases as bigint[])) as wanted (id)
    join alias_link on alias_link.alias_id = wanted.id
""")

_STORE_TOKENS = text("""
    insert into alias_link (alias_id, token)
    select fresh.alias_id, fresh.token
    from unnest(cast(:aliases as bigint[]), cast(:tokens as text[])) as fresh (alias_id, token)
    where not exists (
        select from alias_link known
        where known.alias_id = fresh.alias_id and known.token = fresh.token and known.row_id is null)
""")

_MAKE_LEARNERS = text("""
    insert into learner (key) select key from unnest(cast(:keys as text[])) as key order by key
    on conflict (key) do nothing
""")

_STORE = text("""
    update alias set learner_id = wanted.learner_id, rule = wanted.rule, settled = true
    from unnest(cast(:aliases as bigint[]), cast(:learners as bigint[]), cast(:rules as text[]))
        as wanted (id, learner_id, rule)
    where alias.id = wanted.id
""")

_LOCK = text("select pg_advisory_xact_lock(hashtextextended('who is who', 0))")


@dataclass(frozen=True, slots=True)
class _Row:
    id: int
    key: str
    learner_id: int | None
    learner: str | None
    rule: str | None
    settled: bool


def ids(session: Session, keys: Iterable[str]) -> dict[str, int]:
    """Give the ids of aliases by key, in one indexed read of all; those that are new are made, not settled yet."""
    wanted = sorted(set(keys))
    found = _ids(session, wanted)
    if missing := [key for key in wanted if key not in found]:
        session.execute(_NEW, {"keys": missing})
        found |= _ids(session, missing)
    return found


def _ids(session: Session, keys: Sequence[str]) -> dict[str, int]:
    return {row.key: row.id for row in session.execute(_KNOWN, {"keys": keys})} if keys else {}


def lock(session: Session) -> None:
    """Wait until nobody else changes who is who; held until the transaction ends."""
    session.execute(_LOCK)


def overrides(session: Session) -> Overrides:
    """Give what people have decided and not undone."""
    found = select(IdentityDecision).where(IdentityDecision.undone_at.is_(None))
    return Overrides(Decision(one.id, one.learner, one.other, one.aliases) for one in session.scalars(found))


def before_merges(session: Session, identity: Identity, alias: str) -> str | None:
    """Give the key of the learner that an alias would lead to without any merge; None where it would to none."""
    found = select(IdentityDecision).where(IdentityDecision.undone_at.is_(None), IdentityDecision.kind == "split")
    decided = Overrides(Decision(one.id, one.learner, None, one.aliases) for one in session.scalars(found))
    rows = _lock_rows(session, _reached(session, identity, ids(session, [alias]).values(), decided))
    settled = identities.settle(
        _known(session, rows), decided, unclaimed_are_learners=identity.unclaimed is Unclaimed.LEARNER
    )
    return settled[alias].learner


def basis(identity: Identity) -> str:
    """Say what of the identity document settling goes by, beside rosters."""
    return json.dumps([identity.unclaimed, sorted(identity.link_by), sorted(identity.mail_accounts)])


def begin(session: Session, identity: Identity) -> None:
    """Unsettle every alias if the document has other rules of linking than the last time."""
    last = session.scalar(select(Built.signature).where(Built.part == "links"))
    if last == basis(identity):
        return
    session.execute(text("delete from alias_link where row_id is null"))
    session.execute(text("update alias set settled = false where settled"))
    stored = upsert(Built).values(part="links", signature=basis(identity))
    session.execute(stored.on_conflict_do_update(index_elements=["part"], set_={"signature": basis(identity)}))


def unsettle(session: Session, aliases: Collection[int]) -> None:
    """Let aliases be looked at again."""
    session.execute(
        text("""
            with due as (select id from alias where id = any(cast(:aliases as bigint[])) and settled
                order by id for no key update)
            update alias set settled = false from due where alias.id = due.id
        """),
        {"aliases": sorted(aliases)},
    )


def unsettled(session: Session, *, limit: int = BATCH) -> Sequence[int]:
    """Give the ids of aliases that are not settled, at most so many."""
    return session.scalars(_UNSETTLED, {"limit": limit}).all()


def settle(session: Session, identity: Identity, aliases: Sequence[int]) -> set[str]:
    """Settle these aliases and what links lead to from them; gives the keys of those who are to be
    described anew.

    Whoever calls holds the `lock`.
    """
    decided = overrides(session)
    rows = _lock_rows(session, _reached(session, identity, aliases, decided))
    found = identities.settle(
        _known(session, rows), decided, unclaimed_are_learners=identity.unclaimed is Unclaimed.LEARNER
    )
    seeds = set(aliases)
    changed = [row for row in rows if (found[row.key].learner, found[row.key].rule) != (row.learner, row.rule)]
    fresh = {row.id for row in changed} | {row.id for row in rows if not row.settled and _is_whole(row, seeds, found)}
    _store(session, [row for row in rows if row.id in fresh], found)
    _mark(session, [row for row in changed if found[row.key].learner != row.learner])
    _list_contested(session, rows, found)
    # Of those whose alias did not move, the name may have come with it.
    seen = [*changed, *(row for row in rows if row.id in fresh)]
    return {learner for row in seen for learner in (row.learner, found[row.key].learner) if learner is not None}


def _is_whole(row: _Row, seeds: set[int], found: dict[str, Settled]) -> bool:
    """Tell whether all that an alias links to was looked at: links are not followed beyond one that is fixed."""
    rule = found[row.key].rule or ""
    return row.id in seeds or not rule.startswith(("override", "roster", identities.CONTESTED))


def _store_tokens(session: Session, identity: Identity, aliases: Iterable[int]) -> None:
    """Store what links aliases by themselves; that of settled ones is there."""
    keys = text("select id, key from alias where id = any(cast(:ids as bigint[])) and not settled")
    rows = session.execute(keys, {"ids": list(aliases)})
    pairs = [
        (row.id, token)
        for row in rows
        for token in identities.tokens(row.key, identity.link_by, identity.mail_accounts)
    ]
    if pairs:
        session.execute(_STORE_TOKENS, {"aliases": [one for one, _ in pairs], "tokens": [token for _, token in pairs]})


def _reached(session: Session, identity: Identity, aliases: Iterable[int], decided: Overrides) -> set[int]:
    """Give these aliases, what links lead to from them, and on over what is not fixed."""
    reached, front = set(aliases), set(aliases)
    given = decided.aliases
    while front:
        _store_tokens(session, identity, front)
        met = set(session.scalars(_NEIGHBOURS, {"aliases": list(front)})) - reached
        reached |= met
        front = met - set(session.scalars(_FIXED, {"aliases": list(met), "given": given})) if met else met
    return reached


def _lock_rows(session: Session, aliases: set[int]) -> list[_Row]:
    return [_Row(*row) for row in session.execute(_LOCKED, {"aliases": sorted(aliases)})]


def _known(session: Session, rows: Sequence[_Row]) -> Iterable[Known]:
    ids = {"aliases": [row.id for row in rows]}
    claims: dict[int, list[tuple[str, str]]] = {}
    for alias, learner, source in session.execute(_CLAIMS, ids):
        claims.setdefault(alias, []).append((learner, source))
    tokens: dict[int, list[str]] = {}
    for alias, token in session.execute(_TOKENS, ids):
        tokens.setdefault(alias, []).append(token)
    return [Known(row.key, claims.get(row.id, ()), tokens.get(row.id, ())) for row in rows]


def _store(session: Session, rows: Sequence[_Row], found: dict[str, Settled]) -> None:
    if not rows:
        return
    keys = sorted({learner for row in rows if (learner := found[row.key].learner) is not None})
    session.execute(_MAKE_LEARNERS, {"keys": keys})
    known = session.execute(text("select key, id from learner where key = any(cast(:keys as text[]))"), {"keys": keys})
    ids: dict[str | None, int] = {row.key: row.id for row in known}
    wanted: list[tuple[int, int | None, str | None]] = [
        (row.id, ids.get(found[row.key].learner), found[row.key].rule) for row in rows
    ]
    session.execute(
        _STORE,
        {
            "aliases": [one[0] for one in wanted],
            "learners": [one[1] for one in wanted],
            "rules": [one[2] for one in wanted],
        },
    )


def _mark(session: Session, moved: Sequence[_Row]) -> None:
    mark_aliases(session, [row.id for row in moved])
    mark_learners(session, {row.learner_id for row in moved if row.learner_id is not None})


def mark_aliases(session: Session, aliases: Collection[int]) -> None:
    """Let the records of those who now have these aliases be built again."""
    if aliases:
        session.execute(
            text("insert into stale_alias (alias_id) select unnest(cast(:ids as bigint[]))"), {"ids": sorted(aliases)}
        )


def mark_learners(session: Session, learners: Collection[int]) -> None:
    """Let it be seen to that these learners have lost aliases, or are called otherwise."""
    if learners:
        session.execute(
            text("insert into stale_learner (learner_id) select unnest(cast(:ids as bigint[]))"),
            {"ids": sorted(learners)},
        )


def _list_contested(session: Session, rows: Sequence[_Row], found: dict[str, Settled]) -> None:
    session.execute(
        text("delete from identity_problem where alias_id = any(cast(:ids as bigint[]))"),
        {"ids": [row.id for row in rows]},
    )
    contested: list[dict[str, Any]] = [
        {
            "alias_id": row.id,
            "subject": row.key,
            "text": f"Claimed by {' and '.join(found[row.key].rivals)}; it is given to none. Correct the roster, "
            "or decide with `lrs-bridge learner split` whose it is.",
        }
        for row in rows
        if found[row.key].rivals
    ]
    if contested:
        session.execute(insert(IdentityProblem), contested)
