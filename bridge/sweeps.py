"""Sweeps: passes over all records that a source has, after which those that it did not name are deleted.

The rules guarded here:

- Only a complete sweep deletes, and nothing that was stored since it began: a record that came into being meanwhile may
  stand where the sweep had been already.
- A sweep that would delete more than its share is not believed: a lost permission looks just like it.
- A deletion is the newest version of its record, and what a later sweep names is there again as it was last seen.
"""

import hashlib
import json
from collections.abc import Sequence
from typing import Any

from sqlalchemy import text
from sqlalchemy.orm import Session

from connectors import Sweep

DELETION = hashlib.sha256(b"deleted").digest()
"""The content hash of a deletion: that of no JSON, so of no content, and a record that comes back counts as changed."""
BELIEVED = 20
"""So many deletions are believed, whatever share of all they are: small sources change as a whole."""

_FORGET = text("delete from sweep_piece where source = :source and number is distinct from :number")

_NOTE = text("""
    insert into sweep_piece (source, number, began_after, records)
    select :source, :number, :began_after, coalesce(array_agg(id), '{}')
    from source_record where source = :source and key = any(cast(:keys as text[]))
    returning records
""")

_BEGAN = text("select min(began_after) from sweep_piece where source = :source")

_NEWEST = """
    cross join lateral (
        select id, cursor, deleted from source_record_version
        where record_id = {record} order by cursor desc nulls last, id desc limit 1
    ) newest
"""
# Without cursors the last version stored is the newest one; a null stays null, or it would count as the oldest.
_CURSOR = "case when newest.cursor is not null then greatest(cast(:cursor as jsonb), newest.cursor) end"

_BRING_BACK = text(f"""
    insert into source_record_version (record_id, cursor, content_hash, data)
    select named.id, {_CURSOR}, seen.content_hash, seen.data
    from unnest(cast(:records as bigint[])) as named (id) {_NEWEST.format(record="named.id")}
    cross join lateral (
        select content_hash, data from source_record_version
        where record_id = named.id and not deleted order by cursor desc nulls last, id desc limit 1
    ) seen
    where newest.deleted and newest.id <= :began_after
""")  # noqa: S608 - words from above

# The planner knows neither how many ids stand in the pieces nor, on fresh tables, how many records there are: it may
# compare each record with each id, for hours. What is read row by row below has no other way than a loop.
_BY_HASHES = text("select set_config('enable_nestloop', :nested, true)")

_DELETE = text(f"""
    with named as materialized (
        select distinct unnest(records) as id from sweep_piece where source = :source
    ), gone as materialized (
        select record.id, {_CURSOR} as cursor
        from source_record record left join named on named.id = record.id {_NEWEST.format(record="record.id")}
        where record.source = :source and named.id is null and not newest.deleted and not exists (
            select from source_record_version version where version.record_id = record.id and version.id > :began_after)
    ), counts as (
        select (select count(*) from gone) as gone, (select count(*) from named) as named
    ), figures as (
        select gone, named, gone <= greatest(:believed, :at_most * (gone + named)) as believed from counts
    ), stored as (
        insert into source_record_version (record_id, cursor, content_hash, data, deleted)
        select gone.id, gone.cursor, :deletion, '{{}}', true from gone cross join figures
        where figures.believed
        returning id
    )
    select gone, named, believed, (select count(*) from stored) as stored from figures
""")  # noqa: S608 - words from above


def store(session: Session, source: str, sweep: Sweep, *, started_after: int) -> tuple[int, str | None]:
    """Note which records a page of a sweep named, and delete what is gone when it was the last page.

    Gives the number of new versions, and why the sweep was not believed. The page's own rows are stored already;
    `started_after` is that of the pull that gave the page.
    """
    session.execute(_FORGET, {"source": source, "number": sweep.number})
    piece = {"source": source, "number": sweep.number, "began_after": started_after, "keys": list(sweep.keys)}
    records: Sequence[int] = session.execute(_NOTE, piece).scalar_one()
    about = {
        "source": source,
        "cursor": None if sweep.cursor is None else json.dumps(sweep.cursor),
        "began_after": session.execute(_BEGAN, {"source": source}).scalar_one(),
    }
    versions: int = session.execute(_BRING_BACK, {**about, "records": records}).rowcount  # type: ignore[attr-defined]
    if not sweep.complete:
        return versions, None
    limits = {"believed": BELIEVED, "at_most": sweep.at_most, "deletion": DELETION}
    session.execute(_BY_HASHES, {"nested": "off"})
    found = session.execute(_DELETE, {**about, **limits}).one()
    session.execute(_BY_HASHES, {"nested": "on"})
    forget(session, source)
    return versions + int(found.stored), None if found.believed else _not_believed(found, sweep)


def forget(session: Session, source: str) -> None:
    """Forget what was noted of sweeps of this source."""
    session.execute(_FORGET, {"source": source, "number": None})


def _not_believed(found: Any, sweep: Sweep) -> str:  # noqa: ANN401 - a row
    everything = found.gone + found.named
    share = f"{found.gone:,} of {everything:,} records ({found.gone / everything:.0%})"
    return (
        f"{share} were not there any more when all were listed, which is more than `at_most: {sweep.at_most:g}`, so "
        "none of them was deleted. Look whether a permission was lost or the list was cut short. If they are gone "
        "indeed, raise `at_most` in `deleted`."
    )
