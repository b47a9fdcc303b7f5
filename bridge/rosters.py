"""Rosters: what their rows claim and link, kept row by row, so that a changed row costs what that row says.

The rules guarded here:

- Each roster reads the newest version of each record of its source; a record that is gone says nothing.
- Within one roster a learner stands in one row: the first by the record's key is kept, and the others are listed. Rows
  that say from when or until when are the learner at different times, and all hold.
- A roster that has changed, or is new, reads all its rows anew; what they say just as before changes nothing.
"""

import dataclasses
import hashlib
import json
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from sqlalchemy import insert, text
from sqlalchemy.orm import Session

from bridge import erased, identities
from bridge.errors import SettingsError, UnknownName
from bridge.mapping import Documents, Failure, Identity, Roster, RosterEntry, read_roster
from bridge.mapping.expressions import Expression
from bridge.mapping.formats import RECORDS
from bridge.mapping.identities import hash_tokens, row_token
from bridge.mapping.kinds import RosterFormat
from bridge.models import IdentityProblem
from connectors import Source, load_source

BATCH = 2_000
"""Rows read at once: what a transaction holds."""

READING = 2
"""Raised when the same row would say something else than before, so that all are read again."""

_UNREAD = text("""
    select record.id, record.key, newest.id as version_id, newest.data, newest.deleted, known.id as row_id
    from source_record record
    cross join lateral (
        select id, data, deleted from source_record_version version where version.record_id = record.id
        order by cursor desc nulls last, id desc limit 1
    ) newest
    left join roster_row known on known.roster = :roster and known.record_id = record.id
    where record.source = :source and record.id > :after and known.version_id is distinct from newest.id
    order by record.id limit :limit
""")

_STORE_ROWS = text("""
    insert into roster_row (roster, source, record_id, version_id, learner_key, name, attributes, periodic)
    select :roster, :source, record_id, version_id, learner_key, name, attributes::jsonb, periodic
    from unnest(cast(:records as bigint[]), cast(:versions as bigint[]), cast(:learners as text[]),
        cast(:names as text[]), cast(:attributes as text[]), cast(:periodic as boolean[]))
        as fresh (record_id, version_id, learner_key, name, attributes, periodic)
    order by record_id
    on conflict (roster, record_id) do update set version_id = excluded.version_id,
        learner_key = excluded.learner_key, name = excluded.name, attributes = excluded.attributes,
        periodic = excluded.periodic
    returning id, record_id
""")

_CLAIMS = text("select row_id, alias_id from claim where row_id = any(cast(:rows as bigint[]))")
_LINKS = text("select row_id, alias_id, token from alias_link where row_id = any(cast(:rows as bigint[]))")

_DROP_CLAIMS = text("""
    delete from claim using unnest(cast(:rows as bigint[]), cast(:aliases as bigint[])) as gone (row_id, alias_id)
    where claim.row_id = gone.row_id and claim.alias_id = gone.alias_id
""")
_DROP_LINKS = text("""
    delete from alias_link
    using unnest(cast(:rows as bigint[]), cast(:aliases as bigint[]), cast(:tokens as text[]))
        as gone (row_id, alias_id, token)
    where alias_link.row_id = gone.row_id and alias_link.alias_id = gone.alias_id and alias_link.token = gone.token
""")
_ADD_CLAIMS = text("""
    insert into claim (row_id, alias_id) select * from unnest(cast(:rows as bigint[]), cast(:aliases as bigint[]))
""")
_ADD_LINKS = text("""
    insert into alias_link (row_id, alias_id, token)
    select * from unnest(cast(:rows as bigint[]), cast(:aliases as bigint[]), cast(:tokens as text[]))
""")

_OF_LEARNERS = text("""
    select roster_row.id, roster_row.learner_key, roster_row.periodic, roster_row.holds, record.key, record.source,
        jsonb_build_array(roster_row.name, roster_row.attributes, (
            select jsonb_agg(claim.alias_id order by claim.alias_id) from claim where claim.row_id = roster_row.id
        )) as says
    from roster_row join source_record record on record.id = roster_row.record_id
    where roster_row.roster = :roster and roster_row.learner_key = any(cast(:keys as text[]))
    order by roster_row.learner_key, record.key collate "C"
""")

_OTHERS = text("""
    select id, learner_key from roster_row where roster <> all(cast(:rosters as text[])) order by id limit :limit
""")


def names(identity: Identity) -> list[str]:
    """Give the name by which each roster's rows are kept, in the document's order; it changes with what it says."""
    return list(dict.fromkeys(_name(roster, identity) for roster in identity.rosters))


def read(session: Session, identity: Identity) -> Iterator[set[str]]:
    """Read rows that are new or changed, piece by piece; gives the keys of learners of whom something else is said."""
    for roster in identity.rosters:
        after = 0
        while True:
            found = session.execute(
                _UNREAD,
                {"roster": _name(roster, identity), "source": roster.source, "after": after, "limit": BATCH},
            ).all()
            if not found:
                break
            after = found[-1].id
            yield _store(session, identity, roster, _without_erased(session, roster, found))


def forget_others(session: Session, identity: Identity) -> set[str]:
    """Drop what rosters said that are no longer there; gives the keys of their learners."""
    keys: set[str] = set()
    while found := session.execute(_OTHERS, {"rosters": names(identity), "limit": BATCH}).all():
        rows = [row.id for row in found]
        keys |= {row.learner_key for row in found if row.learner_key is not None}
        identities.unsettle(session, _named_by(session, rows))
        session.execute(text("delete from roster_row where id = any(cast(:rows as bigint[]))"), {"rows": rows})
    return keys


def forget(session: Session) -> None:
    """Forget what rows said, so that all are read anew; who is who stays as it is until then."""
    session.execute(text("delete from roster_row"))


def of_file(documents: Documents, name: str, file: Path) -> Source:
    """Give a file as the source of a roster that has none of its own, ready to be pulled once.

    Raises UnknownName for a roster that is not there, and SettingsError for one whose rows come otherwise.
    """
    imported = {
        one.source: one for one in documents.identity.rosters if one.format and one.source not in documents.sources
    }
    if name in documents.sources:
        raise SettingsError(
            f"{name!r} is a source with a document of its own: `lrs-bridge source pull {name}` reads it."
        )
    if name not in imported:
        raise UnknownName("roster with a format", name, imported)
    form, key = imported[name].format, list(imported[name].key)
    if form is None or not key:
        raise SettingsError(f"The roster {name!r} says nothing of what names a row. Add `key: [column]` to it.")
    document: dict[str, Any] = {"kind": "source", "name": name, "path": str(file.absolute()), "key": key}
    if form is RosterFormat.CSV:
        return load_source(document | {"type": "csv"}, base=file.parent)
    return load_source(document | {"type": "json", "records": ".".join(RECORDS[form])}, base=file.parent)


def failures(session: Session, source: str, *, limit: int = 100) -> Sequence[tuple[str, str]]:
    """Give (record's key, reason) of rows that a roster cannot use, by key."""
    found = text("""
        select record.key, problem.text from identity_problem problem
        join roster_row on roster_row.id = problem.row_id join source_record record on record.id = roster_row.record_id
        where roster_row.source = :source order by record.key collate "C" limit :limit
    """)
    return [(row.key, row.text) for row in session.execute(found, {"source": source, "limit": limit})]


def _name(roster: Roster, identity: Identity) -> str:
    """Give the source and a hash of all that decides what a row says."""
    content = json.dumps([READING, _plain(roster), sorted(identity.link_by)], sort_keys=True)
    return f"{roster.source} {hashlib.sha256(content.encode()).hexdigest()[:16]}"


def _plain(value: Any) -> Any:  # noqa: ANN401 - any part of a roster
    if isinstance(value, Expression):
        return value.source
    if dataclasses.is_dataclass(value):
        return {part.name: _plain(getattr(value, part.name)) for part in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {key: _plain(inner) for key, inner in value.items()}
    return [_plain(inner) for inner in value] if isinstance(value, tuple) else value


def _store(session: Session, identity: Identity, roster: Roster, found: Sequence[Any]) -> set[str]:
    name = _name(roster, identity)
    known = [row.row_id for row in found if row.row_id is not None]
    before = _learners_of(session, known)
    read = {row.id: RosterEntry(None, None, (), ()) if row.deleted else read_roster(roster, row.data) for row in found}
    entries = {record: entry for record, entry in read.items() if isinstance(entry, RosterEntry)}
    rows = _store_rows(session, name, roster.source, found, entries)
    _list_failures(session, roster.source, found, rows, read)
    claims, links = _wanted(session, identity, roster, {row.id: row.key for row in found}, entries, rows)
    touched = _change(session, known, claims, links)
    after = {rows[record]: entry.learner_key for record, entry in entries.items() if entry.learner_key is not None}
    touched |= _named_by(session, [row for row in known if before.get(row) != after.get(row)])
    keys = {*before.values(), *after.values()}
    identities.unsettle(session, touched | _keep_first(session, name, keys))
    return keys


def _without_erased(session: Session, roster: Roster, found: Sequence[Any]) -> Sequence[Any]:
    """Give the rows but for those that name an erased person, which nothing is kept of."""
    asked = erased.known(session)
    if not asked:
        return found
    read = {row.id: read_roster(roster, row.data) for row in found if not row.deleted}
    gone = {id_ for id_, one in read.items() if isinstance(one, RosterEntry) and erased.is_theirs(asked, one)}
    erased.treat(session, gone)
    return [row for row in found if row.id not in gone]


def _learners_of(session: Session, rows: Sequence[int]) -> dict[int, str]:
    found = text(
        "select id, learner_key from roster_row where id = any(cast(:rows as bigint[])) and learner_key is not null"
    )
    return {row.id: row.learner_key for row in session.execute(found, {"rows": list(rows)})} if rows else {}


def _store_rows(
    session: Session, name: str, source: str, found: Sequence[Any], entries: Mapping[int, RosterEntry]
) -> dict[int, int]:
    """Store what each row says; gives the rows' ids by record."""
    silent = RosterEntry(None, None, (), ())
    said = [entries.get(row.id, silent) for row in found]
    stored = session.execute(
        _STORE_ROWS,
        {
            "roster": name,
            "source": source,
            "records": [row.id for row in found],
            "versions": [row.version_id for row in found],
            "learners": [entry.learner_key for entry in said],
            "names": [entry.name for entry in said],
            "attributes": [
                json.dumps([[one.name, one.value, one.valid_from, one.valid_to] for one in entry.attributes])
                for entry in said
            ],
            "periodic": [entry.periodic for entry in said],
        },
    )
    return {row.record_id: row.id for row in stored}


def _list_failures(
    session: Session,
    source: str,
    found: Sequence[Any],
    rows: Mapping[int, int],
    read: Mapping[int, RosterEntry | Failure],
) -> None:
    session.execute(
        text("delete from identity_problem where row_id = any(cast(:rows as bigint[]))"), {"rows": list(rows.values())}
    )
    failures = [
        {
            "row_id": rows[row.id],
            "subject": f"{source} {row.key}",
            "text": f"{failure.rule}: {failure.reason}",
        }
        for row in found
        if isinstance(failure := read[row.id], Failure)
    ]
    if failures:
        session.execute(insert(IdentityProblem), failures)


Claims = set[tuple[int, int]]
Links = set[tuple[int, int, str]]


def _wanted(
    session: Session,
    identity: Identity,
    roster: Roster,
    keys: Mapping[int, str],
    entries: Mapping[int, RosterEntry],
    rows: Mapping[int, int],
) -> tuple[Claims, Links]:
    """Give the claims (row, alias) and links (row, alias, token) that rows make."""
    ids = identities.ids(session, (alias for entry in entries.values() for alias in entry.alias_keys))
    claims: Claims = set()
    links: Links = set()
    for record, entry in entries.items():
        row = rows[record]
        if entry.learner_key is not None:
            claims |= {(row, ids[alias]) for alias in entry.alias_keys}
        elif "exact" in identity.link_by:
            links |= {(row, ids[alias], row_token(roster.source, keys[record])) for alias in entry.alias_keys}
        for alias, written in entry.addresses:
            links |= {(row, ids[alias], token) for token in hash_tokens([written], identity.link_by)}
    return claims, links


def _change(session: Session, known: Sequence[int], claims: Claims, links: Links) -> set[int]:
    """Bring claims and links to what is wanted; gives the aliases that this touches."""
    rows = {"rows": list(known)}
    held_claims = {(row.row_id, row.alias_id) for row in session.execute(_CLAIMS, rows)} if known else set()
    held_links = {tuple(row) for row in session.execute(_LINKS, rows)} if known else set()
    # What was linked over a link that goes away cannot be reached over it any more.
    parted = _named_by(session, sorted({link[0] for link in held_links - links}))
    for statement, changes in (
        (_DROP_CLAIMS, held_claims - claims),
        (_DROP_LINKS, held_links - links),
        (_ADD_CLAIMS, claims - held_claims),
        (_ADD_LINKS, links - held_links),
    ):
        if changes:
            columns = zip(("rows", "aliases", "tokens"), zip(*sorted(changes), strict=True), strict=False)
            session.execute(statement, {name: list(values) for name, values in columns})
    return parted | {one[1] for one in (held_claims ^ claims) | (held_links ^ links)}


def _keep_first(session: Session, name: str, keys: Collection[str]) -> set[int]:
    """Let one row of each learner hold, and all that say when; gives the aliases of rows that begin or cease to."""
    by_learner: dict[str, list[Any]] = defaultdict(list)
    for row in session.execute(_OF_LEARNERS, {"roster": name, "keys": sorted(keys)}):
        by_learner[row.learner_key].append(row)
    turned, problems = [], []
    for learner, rows in by_learner.items():
        plain = [row for row in rows if not row.periodic]
        for row in rows:
            holds = row.periodic or row is plain[0]
            if holds != row.holds:
                turned.append(row.id)
            if not holds and row.says != plain[0].says:
                words = (
                    f"Learner {learner!r} stands in row {plain[0].key} too; that one is kept. Take one out, or say "
                    "when each holds: `valid_from` and `valid_to` of the roster, or `from` and `to` of an attribute."
                )
                problems.append({"row_id": row.id, "subject": f"{row.source} {row.key}", "text": words})
    _note_twins(session, [row.id for rows in by_learner.values() for row in rows], problems)
    if not turned:
        return set()
    session.execute(
        text("update roster_row set holds = not holds where id = any(cast(:rows as bigint[]))"), {"rows": turned}
    )
    return _named_by(session, turned)


def _note_twins(session: Session, rows: Sequence[int], problems: Sequence[Mapping[str, Any]]) -> None:
    session.execute(
        text("delete from identity_problem where row_id = any(cast(:rows as bigint[]))"), {"rows": list(rows)}
    )
    if problems:
        session.execute(insert(IdentityProblem), list(problems))


def _named_by(session: Session, rows: Sequence[int]) -> set[int]:
    """Give the aliases that rows claim, and those that are linked by what rows say."""
    found = text("""
        select alias_id from claim where row_id = any(cast(:rows as bigint[]))
        union select other.alias_id from alias_link mine join alias_link other on other.token = mine.token
        where mine.row_id = any(cast(:rows as bigint[]))
    """)
    return set(session.scalars(found, {"rows": list(rows)})) if rows else set()
