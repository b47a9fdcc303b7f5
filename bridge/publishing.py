"""Published rows: what leaves for an LMS, kept as it leaves, so that everybody can be told what changed.

The rules guarded here:

- What stands in a row is a pure function of what it was made from (`bridge.feeds`). Only a row that differs is written,
  and gets a new version; a rebuild that gives the same rows gives no new versions.
- What is gone stays as a tombstone: deleted, without user and body, for ever known by its key.
- Versions come from one sequence and grow with every change of a row.
- Changes are read behind the snapshot horizon, in the order of (transaction, version), so none is skipped that was
  committed late; of a row that changed twice the later state is given, once or twice.
- Keys name people by a public id that is no mail address, tells nothing, and stays the same as long as the learner's
  key does.
- Who sees only some programs, teams or courses is told of rows that leave these as if they were gone, and never of
  rows that were never there.
"""

import base64
import binascii
import hashlib
import secrets
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import msgspec
from sqlalchemy import Row, Text, TextClause, func, select, text
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from bridge.errors import BadCursor, ViewChanged
from bridge.models import Built, PublishedRow, Setting
from bridge.narrowing import EVERYTHING, Narrowing
from bridge.times import utc_text
from connectors import FEEDS

SALT, EPOCH = "public_id_salt", "published_epoch"
"""Settings: what public ids are hashed with, and a word that changes when old cursors mean nothing any more."""
CHANGED, PUBLISHED = "changed records", "published"
"""Parts of `Built`: the last change, and what was last published."""
PUBLIC_ID = "left(encode(sha256(convert_to(cast(:salt as text) || learner.key, 'UTF8')), 'hex'), 32)"
"""SQL of a learner's public id; takes `salt`."""
CHECKSUM = "encode(sha256(convert_to(jsonb_build_array({person}, {body})::text, 'UTF8')), 'hex')"

# `fresh` is the select of a feed. A row that is as it was is not even locked.
_STORE = """
    with fresh as ({fresh}),
    summed as (select fresh.*, {checksum} as checksum from fresh),
    changed as (
        select summed.* from summed left join published_row held on held.feed = :feed and held.key = summed.key
        where held.key is null or held.deleted or held.learner_id is distinct from summed.learner_id
        or held.team is distinct from summed.team or held.courses <> summed.courses
        or (held.checksum <> summed.checksum {unless})
    )
    insert into published_row as held (feed, key, learner_id, program, team, courses, past_teams, past_courses, person,
        body, checksum)
    select :feed, key, learner_id, program, team, courses, array_remove(array[team], null), courses, person, body,
        checksum
    from changed order by key
    on conflict (feed, key) do update set
        learner_id = excluded.learner_id, program = excluded.program, team = excluded.team,
        courses = excluded.courses, person = excluded.person, body = excluded.body, checksum = excluded.checksum,
        past_teams = held.past_teams || array(
            select unnest(excluded.past_teams) except select unnest(held.past_teams)),
        past_courses = held.past_courses || array(
            select unnest(excluded.past_courses) except select unnest(held.past_courses)),
        version = nextval('published_version'), xid = pg_current_xact_id(), changed_at = now(), deleted = false
"""

_BURY = """
    update published_row held set deleted = true, person = null, body = '{{}}', checksum = {checksum},
        version = nextval('published_version'), xid = pg_current_xact_id(), changed_at = now()
    where held.feed = :feed and not held.deleted and ({gone})
"""

_NOW_SEEN = """
    (cast(:seen_programs as text[]) is null or held.program = any(cast(:seen_programs as text[])))
    and (cast(:seen_teams as text[]) is null or held.learner_id is null
        or held.team = any(cast(:seen_teams as text[])))
    and (cast(:seen_courses as text[]) is null or held.learner_id is null
        or held.courses && cast(:seen_courses as text[]))
"""
_ONCE_SEEN = _NOW_SEEN.replace("held.team = any(", "held.past_teams && (").replace("held.courses", "held.past_courses")
SEEN = f"({_NOW_SEEN})"
"""Holds for rows of `held` that are seen; takes `Narrowing.parameters()`, with the programs of courses for rows about
no person."""

_COLUMNS = "held.feed, held.key, held.version, held.checksum, held.changed_at, held.person, held.body"
_CHANGES = text(f"""
    select {_COLUMNS}, held.xid::text::bigint as xid, held.deleted or {SEEN} is not true as deleted
    from published_row held
    where held.feed = :feed and (held.xid, held.version) > (cast(:xid as text)::xid8, :version)
    and held.xid < pg_snapshot_xmin(pg_current_snapshot())
    and ((not held.deleted and {SEEN}) or (held.xid >= cast(:since as text)::xid8 and {_ONCE_SEEN}))
    order by held.xid, held.version limit :limit
""")  # noqa: S608 - no value is put into the text, only the common parts
# Which rows these are: a dump that is restored makes the table or the database anew; another cluster is another one.
_STORE_NOW = text("""
    select pg_snapshot_xmin(pg_current_snapshot())::text::bigint as horizon,
        (select last_value from published_version) as version,
        concat_ws('.', system_identifier, (select oid from pg_database where datname = current_database()),
            'published_row'::regclass::oid) as identity
    from pg_control_system()
""")


@dataclass(frozen=True, slots=True)
class Change:
    """A row of a feed as it is now, or word that it is gone."""

    feed: str
    key: str
    version: int
    checksum: str
    deleted: bool
    changed_at: datetime
    user: Mapping[str, Any] | None
    """Everything that we know of the learner: see `narrowed`."""
    body: Mapping[str, Any]

    def envelope(self, site: str | None) -> dict[str, Any]:
        """Give it as JSON types, as a plugin of this site gets it."""
        return {
            "feed": self.feed,
            "key": self.key,
            "version": self.version,
            "checksum": self.checksum,
            "deleted": self.deleted,
            "changed_at": utc_text(self.changed_at),
            "user": narrowed(self.user, site),
            "body": self.body,
        }


@dataclass(frozen=True, slots=True)
class Changes:
    """Some of what changed."""

    rows: Sequence[Change]
    next: str
    """Where to read on, now or later."""
    more: bool
    """There is more at once."""


def narrowed(user: Mapping[str, Any] | None, site: str | None) -> dict[str, Any] | None:
    """Give a user as a site knows people: with the accounts there and nowhere else; None: with all accounts.

    A site is named as a `homePage`, with or without a slash at its end.
    """
    if user is None or site is None:
        return None if user is None else dict(user)
    accounts = [one for one in user["accounts"] if one["home_page"].rstrip("/") == site.rstrip("/")]
    return {**user, "accounts": accounts}


def changes(
    session: Session, feed: str, after: str | None = None, *, limit: int, narrowing: Narrowing = EVERYTHING
) -> Changes:
    """Give what changed in a feed since a cursor, oldest change first; without a cursor all there is, no tombstones.

    `narrowing.programs` must name the programs also where only courses narrow (`bridge.narrowing.Narrowing.of`).
    Raises BadCursor; and ViewChanged for a cursor of another narrowing, or from before the database was restored: who
    reads begins anew, and takes what is given then whatever versions it holds.
    """
    seen = narrowing.parameters()
    store = session.execute(_STORE_NOW).one()
    epoch = hashlib.sha256(_json([_epoch(session), store.identity, seen]).encode()).hexdigest()[:16]
    position = _read_cursor(store, feed, epoch, after)
    values: dict[str, Any] = {"feed": feed, "limit": limit + 1, **seen, **position.parameters()}
    found = session.execute(_CHANGES, values).all()
    rows = found[:limit]
    if rows:
        position = _Position(position.since, rows[-1].xid, rows[-1].version)
    return Changes([_change(row) for row in rows], position.written(feed, epoch), len(found) > limit)


def current(
    session: Session,
    feed: str,
    *,
    after: str = "",
    limit: int,
    narrowing: Narrowing = EVERYTHING,
    program: str | None = None,
    team: str | None = None,
    course: str | None = None,
    account: tuple[str, str] | None = None,
) -> list[Change]:
    """Give rows of a feed as they are now, by key, those after this key; `account` is (home page, name) of a learner.

    Without a snapshot horizon: who wants to keep a copy in step reads `changes`.
    """
    values: dict[str, Any] = {
        "feed": feed,
        "after": after,
        "limit": limit,
        "program": program,
        "team": team,
        "course": course,
        "account": None if account is None else _json([{"home_page": account[0], "name": account[1]}]),
        **narrowing.parameters(),
    }
    return [_change(row) for row in session.execute(_CURRENT, values)]


_CURRENT = text(f"""
    select {_COLUMNS}, false as deleted from published_row held
    where held.feed = :feed and held.key > :after and not held.deleted and {SEEN}
    and (cast(:program as text) is null or held.program = :program)
    and (cast(:team as text) is null or held.team = :team)
    and (cast(:course as text) is null or cast(:course as text) = any(held.courses))
    and (cast(:account as jsonb) is null or held.person -> 'accounts' @> cast(:account as jsonb))
    order by held.key limit :limit
""")  # noqa: S608 - as above


# --- writing ----------------------------------------------------------------------------------------------------------


def salt(session: Session) -> str:
    """Give what public ids are hashed with, made when it is first asked for; the caller commits."""
    for name in (SALT, EPOCH):
        made = insert(Setting).values(name=name, value=secrets.token_urlsafe(24))
        session.execute(made.on_conflict_do_nothing())
    return session.scalars(select(Setting.value).where(Setting.name == SALT)).one()


def storing(fresh: str, *, unless: str = "") -> TextClause:
    """Give the statement that stores the rows of a select where they differ; takes `feed` and what the select takes.

    The select gives key, learner_id, program, team, courses, person, body. `unless`: what makes a difference none.
    """
    checksum = CHECKSUM.format(person="fresh.person", body="fresh.body")
    return text(_STORE.format(fresh=fresh, checksum=checksum, unless=unless and f"and not ({unless})"))


def burying(gone: str) -> TextClause:
    """Give the statement that makes tombstones of rows of `held` that are gone; takes `feed`."""
    return text(_BURY.format(checksum=CHECKSUM.format(person="null::jsonb", body="'{}'::jsonb"), gone=gone))


def records_changed(session: Session) -> None:
    """Note that there may be something to publish; `what_changed` then gives another word."""
    changed = insert(Built).values(part=CHANGED, signature=func.pg_current_xact_id().cast(Text))
    session.execute(
        changed.on_conflict_do_update(index_elements=["part"], set_={"signature": changed.excluded.signature})
    )


def what_changed(session: Session) -> str:
    """Give a word that is another one after each change of records or of who is who."""
    return session.scalar(select(Built.signature).where(Built.part == CHANGED)) or ""


def published_from(session: Session) -> str | None:
    """Say what was last published as a whole; None when nothing was."""
    return session.scalar(select(Built.signature).where(Built.part == PUBLISHED))


def run(session: Session, statement: TextClause, values: Mapping[str, Any]) -> int:
    """Give how many rows a statement wrote."""
    return int(session.execute(statement, values).rowcount)  # type: ignore[attr-defined]


def renew(session: Session, feed: str, keys: Iterable[str]) -> int:
    """Give rows new versions, and tombstones to keys that we know nothing of, so that they are taken everywhere again.

    For what others hold otherwise than we do, under the version that we gave it.
    """
    return run(session, _RENEW, {"feed": feed, "keys": sorted(set(keys))})


_RENEW = text(f"""
    insert into published_row as held (feed, key, body, checksum, deleted)
    select :feed, key, '{{}}', {CHECKSUM.format(person="null::jsonb", body="'{}'::jsonb")}, true
    from unnest(cast(:keys as text[])) as key order by key
    on conflict (feed, key) do update set
        version = nextval('published_version'), xid = pg_current_xact_id(), changed_at = now()
""")  # noqa: S608 - as above


def outgrow(session: Session, version: int) -> None:
    """Let all versions from now on be later than one that somebody holds: after a restore ours may be behind."""
    session.execute(
        text("select setval('published_version', greatest(:version, (select last_value from published_version)))"),
        {"version": version},
    )


_BEYOND = 1_000_000_000
"""More changes than there are between a dump and its restoration."""
_AHEAD = text("""
    select exists (
        select from unnest(cast(:feeds as text[])) as feed (name), lateral (
            select xid from published_row where published_row.feed = feed.name order by xid desc, version desc limit 1
        ) newest where newest.xid >= pg_snapshot_xmax(pg_current_snapshot())
    )
""")


def level(session: Session) -> bool:
    """After a dump was restored into another cluster: make its rows readable here; gives whether there was need.

    See `readings.level`. Cursors that were handed out before are refused, and rows get versions beyond any that others
    may have seen since the dump was made.
    """
    found = session.scalar(_AHEAD, {"feeds": list(FEEDS)})
    if found:
        last = session.scalar(text("select last_value from published_version")) or 0
        outgrow(session, last + _BEYOND)
        session.execute(text("update published_row set xid = '3', version = nextval('published_version')"))
        session.execute(text("delete from setting where name = :name"), {"name": EPOCH})
        salt(session)
    return bool(found)


# --- cursors ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Position:
    since: int
    """Who reads began then: tombstones from before are of rows that they never had."""
    xid: int
    version: int

    def parameters(self) -> dict[str, Any]:
        return {"since": str(self.since), "xid": str(self.xid), "version": self.version}

    def written(self, feed: str, epoch: str) -> str:
        content = msgspec.json.encode([feed, epoch, self.since, self.xid, self.version])
        return base64.urlsafe_b64encode(content).decode().rstrip("=")


def _read_cursor(store: Row[Any], feed: str, epoch: str, written: str | None) -> _Position:
    if not written:
        return _Position(store.horizon, 0, 0)
    try:
        content = base64.urlsafe_b64decode(written + "=" * (-len(written) % 4))
        of_feed, of_epoch, *numbers = msgspec.json.decode(content, type=tuple[str, str, int, int, int])
    except (ValueError, binascii.Error, msgspec.DecodeError):
        raise BadCursor(
            f"{written[:40]!r} is no cursor. Send `next` of the last answer as it came, or none to begin anew."
        ) from None
    if of_feed != feed:
        raise BadCursor(f"This cursor is of the feed {of_feed!r}, not of {feed!r}. Keep one for each feed.")
    position = _Position(*numbers)
    # What was restored file by file is told by a cursor that is ahead of it.
    ahead = position.xid >= store.horizon or position.since > store.horizon or position.version > store.version
    if of_epoch != epoch or ahead:
        raise ViewChanged(
            "The database was restored, or what may be seen was changed, since this cursor was given. Begin without "
            "one, take the rows that come whatever versions you hold, and when `more` is false drop every row that was "
            "not given again."
        )
    return position


def _epoch(session: Session) -> str:
    return session.scalar(select(Setting.value).where(Setting.name == EPOCH)) or ""


def _change(row: Row[Any]) -> Change:
    gone = row.deleted
    return Change(
        feed=row.feed,
        key=row.key,
        version=row.version,
        checksum=row.checksum,
        deleted=gone,
        changed_at=row.changed_at,
        user=None if gone else row.person,
        body={} if gone else row.body,
    )


def _json(value: object) -> str:
    return msgspec.json.encode(value).decode()


def rows(session: Session, feed: str) -> Iterator[PublishedRow]:
    """Give all rows of a feed by key, tombstones too, as a stream."""
    query = select(PublishedRow).where(PublishedRow.feed == feed).order_by(PublishedRow.key)
    yield from session.scalars(query.execution_options(yield_per=1_000))
