"""What people decide about who is who: merges and splits, kept with who, when and why, and undone without a trace.

The rules guarded here:

- A decision beats every rule, and a later one an earlier one. It is never deleted: undone, it is listed as such.
- Decisions move no fact. They unsettle the aliases that they can touch, and those alone are looked at.
- Who is who follows from the decisions in force, so undoing gives exactly what would be had one never been made.
  So a decision keeps the learners that it was made about, and whom they are by other merges is seen when it is applied.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any

from sqlalchemy import ARRAY, ColumnElement, Text, cast, or_, select, text
from sqlalchemy.orm import Session

from bridge import identities, learners, people
from bridge.errors import NotFound, SettingsError
from bridge.mapping import Identity
from bridge.mapping.identities import Decision
from bridge.models import Alias, IdentityDecision, Learner
from bridge.times import utc_text

MAX_REASON = 1_000
"""Characters of the reason that somebody gives."""


@dataclass(frozen=True, slots=True)
class Author:
    """Who decides, and why."""

    name: str
    because: str | None = None

    def __post_init__(self) -> None:
        if self.because is not None and len(self.because) > MAX_REASON:
            raise SettingsError(f"The reason has {len(self.because):,} characters, {MAX_REASON:,} are kept.")


def merge(
    session: Session, identity: Identity, keep: str, other: str, *, author: Author, today: date
) -> IdentityDecision:
    """Decide that two learners, each named by its key or by an alias, are one; the first one's key is kept.

    Raises NotFound, and SettingsError when they are one already.
    """
    identities.lock(session)
    kept, gone = people.find(session, keep), people.find(session, other)
    if kept.key == gone.key:
        raise SettingsError(f"{keep!r} and {other!r} are one learner already, {kept.key!r}.")
    first, second = _as_said(session, identity, keep, kept), _as_said(session, identity, other, gone)
    # Learners that no roster names are called by an alias: that one goes along whatever a roster says of it later.
    own = session.scalars(select(Alias.key).where(Alias.key.in_([first, second]))).all()
    decision = IdentityDecision(kind="merge", learner=first, other=second, aliases=sorted(own), **_by(author))
    return _take_effect(session, identity, decision, today)


def split(
    session: Session, identity: Identity, aliases: Sequence[str], *, to: str | None, author: Author, today: date
) -> IdentityDecision:
    """Decide that aliases are another learner's: `to`, named by key or alias, or a new one of their own.

    Raises NotFound.
    """
    identities.lock(session)
    wanted = sorted(set(aliases))
    if not wanted:
        raise SettingsError("Name at least one alias.")
    known = set(session.scalars(select(Alias.key).where(Alias.key.in_(wanted))))
    for alias in wanted:
        if alias not in known:
            raise NotFound(f"There is no alias {alias!r}. `lrs-bridge learner show KEY` lists those of a learner.")
    learner = None if to is None else _as_said(session, identity, to, people.find(session, to))
    decision = IdentityDecision(
        kind="split",
        learner=learner,
        other=None,
        aliases=wanted,
        former=_whose(session, identity, wanted),
        **_by(author),
    )
    return _take_effect(session, identity, decision, today)


def undo(session: Session, identity: Identity, number: int, *, author: Author, today: date) -> IdentityDecision:
    """Take a decision back. Raises NotFound, and SettingsError when that has been done already."""
    identities.lock(session)
    decision = session.get(IdentityDecision, number) if abs(number) < 2**63 else None
    if decision is None:
        raise NotFound(f"There is no decision {number}. `lrs-bridge learner history` lists them.")
    if decision.undone_at is not None:
        raise SettingsError(f"Decision {number} is undone already, by {decision.undone_by}.")
    touched, keys = _touched(session, decision)
    decision.undone_by, decision.undone_because = author.name, author.because
    decision.undone_at = datetime.now(UTC)
    session.flush()
    _settle(session, identity, touched, keys | _touched(session, decision)[1], today)
    return decision


def history(
    session: Session, learner: str | None = None, *, after: int | None = None, limit: int = 100
) -> Sequence[IdentityDecision]:
    """Give decisions, the newest first: all, or those about a learner named by key or alias; `after` one, if given."""
    found = select(IdentityDecision).order_by(IdentityDecision.id.desc()).limit(limit)
    if after is not None:
        found = found.where(IdentityDecision.id < after)
    if learner is not None:
        found = found.where(_about(session, learner))
    return session.scalars(found).all()


def _about(session: Session, word: str) -> ColumnElement[bool]:
    one = people.find(session, word)
    keys = [one.key, *identities.overrides(session).merged_into(one.key)]
    aliases = session.scalars(select(Alias.key).where(Alias.learner_id == one.id)).all()
    return or_(
        IdentityDecision.learner.in_(keys),
        IdentityDecision.other.in_(keys),
        IdentityDecision.former.op("&&")(cast(keys, ARRAY(Text))),
        IdentityDecision.aliases.op("&&")(cast([*aliases, word], ARRAY(Text))),
    )


def _as_said(session: Session, identity: Identity, word: str, learner: Learner) -> str:
    """Give the key of the learner that a word names before all merges; it is `learner` after them."""
    decided = identities.overrides(session)
    for one in people.spellings(word):
        if decided.kept(one) == learner.key:
            return one
        if session.scalar(select(Alias.key).where(Alias.key == one)) is not None:
            key = identities.before_merges(session, identity, one)
            return key if key is not None and decided.kept(key) == learner.key else learner.key
    return learner.key


def _whose(session: Session, identity: Identity, aliases: Sequence[str]) -> list[str]:
    """Give the keys of the learners who have these aliases, after merges and before them."""
    having = select(Learner.key).join(Alias, Alias.learner_id == Learner.id).where(Alias.key.in_(aliases))
    before = (identities.before_merges(session, identity, alias) for alias in aliases)
    return sorted({*session.scalars(having), *before} - {None})


def _by(author: Author) -> dict[str, str | None]:
    return {"made_by": author.name, "because": author.because}


def _take_effect(session: Session, identity: Identity, decision: IdentityDecision, today: date) -> IdentityDecision:
    before, keys = _touched(session, decision)
    session.add(decision)
    session.flush()
    _settle(session, identity, before, keys | _touched(session, decision)[1], today)
    return decision


def _touched(session: Session, decision: IdentityDecision) -> tuple[set[int], set[str]]:
    """Give the aliases that a decision can move, and the keys of the learners that it is about, as things stand."""
    decided = identities.overrides(session)
    named = [key for key in (decision.learner, decision.other) if key is not None]
    keys = {key for name in named for key in (name, decided.kept(name), *decided.merged_into(decided.kept(name)))}
    moving = [] if decision.other is None else [decided.kept(decision.other), decision.other]
    aliases = session.scalars(
        text("""
            select alias.id from alias join learner on learner.id = alias.learner_id
            where learner.key = any(cast(:keys as text[]))
            union
            select claim.alias_id from claim join roster_row on roster_row.id = claim.row_id
            where roster_row.learner_key = any(cast(:claimed as text[]))
            union
            select id from alias where key = any(cast(:given as text[]))
        """),
        {
            "keys": moving,
            "claimed": sorted({one for key in moving for one in (key, *decided.merged_into(key))}),
            "given": list(decision.aliases),
        },
    )
    return set(aliases), keys


def _settle(session: Session, identity: Identity, aliases: Collection[int], keys: set[str], today: date) -> None:
    ordered = sorted(aliases)
    for start in range(0, len(ordered), identities.BATCH):
        keys |= identities.settle(session, identity, ordered[start : start + identities.BATCH])
    learners.describe(session, identity, identities.overrides(session), keys, today=today)


def told(decision: IdentityDecision) -> dict[str, Any]:
    """Give a decision as people and programs are told of it; `learner` is the new one's key where one was made."""
    made = Decision(decision.id, decision.learner, decision.other, decision.aliases)
    return {
        "id": decision.id,
        "kind": decision.kind,
        "learner": made.target,
        "other": decision.other,
        "aliases": list(decision.aliases),
        "because": decision.because,
        "made_by": decision.made_by,
        "made_at": utc_text(decision.made_at),
        "undone_by": decision.undone_by,
        "undone_at": utc_text(decision.undone_at),
        "undone_because": decision.undone_because,
    }
