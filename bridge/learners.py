"""Learners: what they are called, their attributes, and bringing all of it up to date with rosters and decisions.

The rules guarded here:

- Who is who follows from rosters, decisions and what arrives (`rosters`, `decisions`, `identities`), never from names.
- Facts hang on aliases, so none of this reads a statement or a source record again.
- Of several rosters that give an attribute the first one counts. Within it, where two periods with different values
  overlap, the one that begins later holds, and that is listed.
- `Learner.attributes` holds what is in force today; a day later what is in force then.
- What changes is marked, so that records and reports follow; what stays the same is not touched.
"""

from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from itertools import pairwise
from typing import Any

from sqlalchemy import func, insert, select, text
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.orm import Session

from bridge import identities, rosters
from bridge.mapping import Attribute, Identity
from bridge.mapping.identities import Overrides
from bridge.mapping.names import name_key
from bridge.models import Built, IdentityProblem, LearnerAttribute, SourceRecord, SourceRecordVersion

_ROWS = text("""
    select roster_row.learner_key, roster_row.roster, roster_row.name, roster_row.attributes
    from roster_row join source_record record on record.id = roster_row.record_id
    where roster_row.learner_key = any(cast(:keys as text[])) and roster_row.holds
    and roster_row.roster = any(cast(:rosters as text[]))
    order by record.key collate "C"
""")

# Those whom no roster describes are called as their aliases were called last.
_NAMES_OF_ALIASES = text("""
    select distinct on (learner.key) learner.key, alias.name
    from learner join alias on alias.learner_id = learner.id
    where learner.key = any(cast(:keys as text[])) and alias.name is not null
    order by learner.key, alias.named_at desc nulls last, alias.name collate "C" desc
""")

_LEARNERS = text("select id, key, name, attributes from learner where key = any(cast(:keys as text[]))")

# Merged into another, or in no roster (any more) and known by no alias.
_LEFT = text("""
    select id from learner where key = any(cast(:gone as text[]))
    union
    select id from learner where key = any(cast(:others as text[]))
    and not exists (select from alias where alias.learner_id = learner.id)
""")

# Joined with what is asked for: an array is gone through for each row wherever the planner chooses to read them all.
_ATTRIBUTES = text("""
    select learner_id, name, value, valid_from::text, valid_to::text
    from unnest(cast(:ids as bigint[])) as wanted (id) join learner_attribute on learner_id = wanted.id
""")

_STORE = text("""
    update learner set name = fresh.name, name_key = fresh.name_key
    from unnest(cast(:ids as bigint[]), cast(:names as text[]), cast(:name_keys as text[]))
        as fresh (id, name, name_key)
    where learner.id = fresh.id
""")

_PUT_IN_FORCE = """
    with due as (
        select learner.id, coalesce((
            select jsonb_object_agg(one.name, one.value) from learner_attribute one
            where one.learner_id = learner.id and (one.valid_from is null or one.valid_from <= :today)
            and (one.valid_to is null or one.valid_to >= :today)
        ), '{{}}') as attributes
        from learner where {which}
    )
    update learner set attributes = due.attributes
    from due where learner.id = due.id and learner.attributes is distinct from due.attributes
    returning learner.id
"""
_PUT_IN_FORCE_OF = text(_PUT_IN_FORCE.format(which="learner.id = any(cast(:ids as bigint[]))"))
_PUT_IN_FORCE_ALL = text(_PUT_IN_FORCE.format(which="true"))
# A period begins on its first day, and ends on the day after its last.
_PUT_IN_FORCE_SINCE = text(
    _PUT_IN_FORCE.format(
        which="""learner.id in (
            select learner_id from learner_attribute where valid_from > :low and valid_from <= :high
            union select learner_id from learner_attribute where valid_to >= :low and valid_to < :high)"""
    )
)

_TAKE_MARKS = text("""
    with taken as (delete from stale_learner returning learner_id)
    select learner.id, learner.key, (select min(alias.id) from alias where alias.learner_id = learner.id) as alias_id,
        exists (select from roster_row where roster_row.learner_key = learner.key and roster_row.holds) as in_roster
    from (select distinct learner_id from taken) one join learner on learner.id = one.learner_id
""")


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


def resolve(session: Session, identity: Identity, *, today: date) -> None:
    """Bring rosters, aliases and learners up to date, whatever has changed; the same inputs give the same learners."""
    for _ in read_rosters(session, identity, today=today):
        pass
    while settle(session, identity, today=today):
        pass


def read_rosters(session: Session, identity: Identity, *, today: date) -> Iterator[None]:
    """Read the roster rows that are new or changed, a piece at a time: whoever calls may commit after each."""
    identities.lock(session)
    identities.begin(session, identity)
    for keys in rosters.read(session, identity):
        describe(session, identity, identities.overrides(session), keys, today=today)
        yield
        identities.lock(session)  # whoever calls has committed
    keys = rosters.forget_others(session, identity)
    describe(session, identity, identities.overrides(session), keys, today=today)
    yield


def settle(session: Session, identity: Identity, *, today: date, limit: int = identities.BATCH) -> bool:
    """Settle some of the aliases that something has changed for; gives whether there may be more."""
    identities.lock(session)
    aliases = identities.unsettled(session, limit=limit)
    if aliases:
        keys = identities.settle(session, identity, aliases)
        describe(session, identity, identities.overrides(session), keys, today=today)
        return True
    _turn_to(session, today)
    _work_off_marks(session)
    return False


def is_settled(session: Session) -> bool:
    """Tell whether nothing waits to be settled."""
    return not session.scalar(
        text("select exists (select from alias where not settled) or exists (select from stale_learner)")
    )


def problems(session: Session, *, limit: int | None = None) -> Sequence[IdentityProblem]:
    """Give what stopped roster rows from naming a learner, or aliases from leading to one, by what it is about."""
    ordered = select(IdentityProblem).order_by(IdentityProblem.subject.collate("C"), IdentityProblem.id)
    return session.scalars(ordered.limit(limit)).all()


# --- what learners are called -----------------------------------------------------------------------------------------


@dataclass(slots=True)
class _Description:
    """What rosters say of one learner."""

    name: str | None = None
    attributes: list[Attribute] = field(default_factory=list)
    conflicts: list[str] = field(default_factory=list)


def describe(session: Session, identity: Identity, decided: Overrides, keys: Collection[str], *, today: date) -> None:
    """Write names and attributes of learners as rosters, else their aliases, give them; makes learners of rosters."""
    if not keys:
        return
    targets = sorted({decided.kept(key) for key in keys})
    gone = sorted(set(keys) - set(targets))
    described = _from_rosters(session, identity, decided, targets)
    session.execute(
        text("""
            insert into learner (key) select key from unnest(cast(:keys as text[])) as key order by key
            on conflict (key) do nothing
        """),
        {"keys": sorted(described)},
    )
    others = [key for key in targets if key not in described]
    if others:
        for row in session.execute(_NAMES_OF_ALIASES, {"keys": others}):
            described[row.key] = _Description(row.name)
    changed = _write(session, targets, described, today)
    left = session.scalars(_LEFT, {"gone": gone, "others": others}) if gone or others else ()
    identities.mark_learners(session, {*changed, *left})


def _from_rosters(
    session: Session, identity: Identity, decided: Overrides, targets: Sequence[str]
) -> dict[str, _Description]:
    """Give what rosters say, by learner; one who is several by decisions: what the kept key has first."""
    order = rosters.names(identity)
    keys = [key for target in targets for key in (target, *decided.merged_into(target))]
    found = session.execute(_ROWS, {"keys": keys, "rosters": order}).all()
    rank = {name: place for place, name in enumerate(order)}
    by_target: dict[str, dict[tuple[int, bool, str], list[Any]]] = defaultdict(lambda: defaultdict(list))
    for row in found:
        target = decided.kept(row.learner_key)
        by_target[target][rank[row.roster], row.learner_key != target, row.learner_key].append(row)
    return {target: _described(groups) for target, groups in by_target.items()}


def _described(groups: Mapping[tuple[int, bool, str], Sequence[Any]]) -> _Description:
    """Take the name and each attribute from the first group of rows that has it."""
    description, seen = _Description(), set[str]()
    for _, rows in sorted(groups.items()):
        given: dict[str, list[Attribute]] = defaultdict(list)
        for row in rows:
            description.name = description.name or row.name
            for name, value, first, last in row.attributes:
                given[name].append(Attribute(name, value, first, last))
        for name in given.keys() - seen:
            description.attributes += timeline(given[name])
            description.conflicts += conflicts(given[name])
        seen |= given.keys()
    description.attributes.sort(key=_order)
    description.conflicts.sort()
    return description


def timeline(periods: Sequence[Attribute]) -> list[Attribute]:
    """Give one attribute's values, one after the other; where periods overlap, the one that begins later holds.

    Of two that begin on the same day, the first that is given.
    """
    starts = {_first(one) for one in periods} | {_after(one) for one in periods}
    found: list[tuple[int, int, str]] = []
    for begin, end in pairwise(sorted(starts)):
        here = [(place, one) for place, one in enumerate(periods) if _first(one) <= begin < _after(one)]
        holding = [(_first(one), -place, one.value) for place, one in here]
        if not holding:
            continue
        value = max(holding)[2]
        if found and found[-1][1] == begin and found[-1][2] == value:
            found[-1] = (found[-1][0], end, value)
        else:
            found.append((begin, end, value))
    name = periods[0].name if periods else ""
    return [Attribute(name, value, _day(begin), _day(end - 1)) for begin, end, value in found]


def conflicts(periods: Sequence[Attribute]) -> list[str]:
    """Say of each two periods that overlap with different values which one holds."""
    told = set()
    for place, one in enumerate(periods):
        for other in periods[place + 1 :]:
            begin, end = max(_first(one), _first(other)), min(_after(one), _after(other))
            if begin >= end or one.value == other.value:
                continue
            held = other if _first(other) > _first(one) else one
            both = " and ".join(sorted((repr(one.value), repr(other.value))))
            told.add(f"{one.name} is {both} {_span(begin, end)}; {held.value!r} is taken. Correct the periods.")
    return sorted(told)


_EVER, _NEVER = 0, 4_000_000
"""Days that no date has: before the first and after the last."""


def _first(one: Attribute) -> int:
    return _EVER if one.valid_from is None else date.fromisoformat(one.valid_from).toordinal()


def _after(one: Attribute) -> int:
    """Give the day after the last."""
    return _NEVER if one.valid_to is None else date.fromisoformat(one.valid_to).toordinal() + 1


def _day(ordinal: int) -> str | None:
    return None if ordinal in (_EVER, _NEVER - 1) else date.fromordinal(ordinal).isoformat()


def _span(begin: int, end: int) -> str:
    first, last = _day(begin), _day(end - 1)
    words = [f"from {first}" if first else "", f"to {last}" if last else ""]
    return " ".join(word for word in words if word) or "at all times"


def _order(one: Attribute) -> tuple[str, str]:
    return one.name, one.valid_from or ""


def _write(session: Session, targets: Sequence[str], described: Mapping[str, _Description], today: date) -> set[int]:
    """Write what differs from what is there; gives the learners that it touched."""
    known = session.execute(_LEARNERS, {"keys": list(targets)}).all()
    held: dict[int, list[Attribute]] = defaultdict(list)
    for learner, *attribute in session.execute(_ATTRIBUTES, {"ids": [row.id for row in known]}):
        held[learner].append(Attribute(*attribute))
    wanted = {row.id: described.get(row.key, _Description()) for row in known}
    renamed = {row.id for row in known if wanted[row.id].name != row.name}
    if renamed:
        names = [(one, wanted[one].name) for one in sorted(renamed)]
        session.execute(
            _STORE,
            {
                "ids": [one for one, _ in names],
                "names": [name for _, name in names],
                "name_keys": [name_key(name) for _, name in names],
            },
        )
    moved = {one for one, description in wanted.items() if sorted(held[one], key=_order) != description.attributes}
    _replace_attributes(session, moved, wanted)
    _list_conflicts(session, {row.id: row.key for row in known}, wanted)
    if moved:
        session.execute(_PUT_IN_FORCE_OF, {"ids": sorted(moved), "today": today})
    return renamed | moved


def _replace_attributes(session: Session, learners: Collection[int], wanted: Mapping[int, _Description]) -> None:
    if not learners:
        return
    session.execute(
        text("delete from learner_attribute where learner_id = any(cast(:ids as bigint[]))"), {"ids": sorted(learners)}
    )
    rows = [
        {
            "learner_id": learner,
            "name": one.name,
            "value": one.value,
            "valid_from": one.valid_from and date.fromisoformat(one.valid_from),
            "valid_to": one.valid_to and date.fromisoformat(one.valid_to),
        }
        for learner in sorted(learners)
        for one in wanted[learner].attributes
    ]
    if rows:
        session.execute(insert(LearnerAttribute), rows)


def _list_conflicts(session: Session, keys: Mapping[int, str], wanted: Mapping[int, _Description]) -> None:
    session.execute(
        text("delete from identity_problem where learner_id = any(cast(:ids as bigint[]))"), {"ids": list(keys)}
    )
    rows = [
        {"learner_id": learner, "subject": key, "text": words}
        for learner, key in keys.items()
        for words in wanted[learner].conflicts
    ]
    if rows:
        session.execute(insert(IdentityProblem), rows)


# --- what time and moved aliases leave behind ------------------------------------------------------------------------


def _turn_to(session: Session, today: date) -> None:
    """Put in force what begins or ends between the last time and today."""
    last = session.scalar(select(Built.signature).where(Built.part == "attributes"))
    if last == today.isoformat():
        return
    if last is None:
        changed = session.scalars(_PUT_IN_FORCE_ALL, {"today": today}).all()
    else:
        low, high = sorted((date.fromisoformat(last), today))
        changed = session.scalars(_PUT_IN_FORCE_SINCE, {"today": today, "low": low, "high": high}).all()
    identities.mark_learners(session, changed)
    stored = upsert(Built).values(part="attributes", signature=today.isoformat())
    session.execute(stored.on_conflict_do_update(index_elements=["part"], set_={"signature": today.isoformat()}))


def _work_off_marks(session: Session) -> None:
    """Let records of marked learners be built again, and forget those who are nobody any more."""
    decided = identities.overrides(session)
    again, without_records, nobody = [], [], []
    for row in session.execute(_TAKE_MARKS):
        if row.alias_id is not None:
            again.append(row.alias_id)
        elif row.in_roster and decided.kept(row.key) == row.key:
            without_records.append(row.id)
        else:
            nobody.append(row.id)
    identities.mark_aliases(session, again)
    session.execute(text("delete from record where learner_id = any(cast(:ids as bigint[]))"), {"ids": without_records})
    session.execute(text("delete from learner where id = any(cast(:ids as bigint[]))"), {"ids": nobody})
