"""A query, and a folder of full exports, from their documents to the table of versions, also over a crash."""

import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from company import Company
from sqlalchemy import create_engine, make_url, select, text

from bridge import jobs, sources
from bridge.embedded import Servers
from bridge.models import SourceRecord, SourceRecordVersion
from lrs import db

SQL = """\
kind: source
name: deals
type: sql
url: "{url}"
password: {{secret: deals-password}}
allow_local: true
query: select id, owner, updated_at from deal
key: id
cursor: {{field: updated_at, lookback: 10m}}
deleted: {{type: sweep, every: 0s, at_most: 0.5}}
"""
FILES = """\
kind: source
name: staff
type: csv
path: exports/staff-*.csv
read: newest
key: id
deleted: {type: sweep}
"""


@pytest.fixture
def crm(servers: Servers, company: Company, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Any]]:
    """Run statements in the database of a CRM, whose deals are a source."""
    own = make_url(servers.database_url)
    admin = create_engine(own, isolation_level="AUTOCOMMIT")
    with admin.connect() as connection:
        connection.execute(text("create database crm_of_others"))
    engine = create_engine(own.set(database="crm_of_others"), isolation_level="AUTOCOMMIT")

    def run(statement: str) -> None:
        with engine.connect() as connection:
            connection.execute(text(statement))

    run("create table deal (id int primary key, owner text, updated_at timestamptz)")
    run("insert into deal select n, 'ann', now() - n * interval '1 minute' from generate_series(1, 2500) n")
    monkeypatch.setenv("LRS_BRIDGE_SOURCE_DEALS_PASSWORD", own.password or "none")
    url = own.set(drivername="postgresql", database="crm_of_others")._replace(password=None).render_as_string()
    company.write("deals.yaml", SQL.format(url=url))
    jobs.load_documents()
    yield run
    engine.dispose()
    with admin.connect() as connection:
        connection.execute(text("drop database crm_of_others with (force)"))
    admin.dispose()


def pull(source: str) -> str | None:
    """Pull, and give what went wrong."""
    jobs.pull(source)
    return sources.state(db.session, source).last_error


def versions(source: str) -> list[tuple[str, str | None, bool]]:
    rows = (
        select(SourceRecord.key, SourceRecordVersion.data, SourceRecordVersion.deleted)
        .join(SourceRecordVersion, SourceRecordVersion.record_id == SourceRecord.id)
        .where(SourceRecord.source == source)
        .order_by(SourceRecordVersion.id)
    )
    return [(key, data.get("owner"), deleted) for key, data, deleted in db.session.execute(rows)]


def test_every_version_of_a_querys_rows_is_stored_once_and_what_is_gone_is_deleted(crm):
    assert pull("deals") is None
    assert len(versions("deals")) == 2500

    crm("update deal set owner = 'bob', updated_at = now() where id = 7")
    crm("delete from deal where id in (3, 2000)")
    assert pull("deals") is None
    assert pull("deals") is None

    assert sorted(versions("deals")[2500:]) == [("2000", None, True), ("3", None, True), ("7", "bob", False)]

    crm("insert into deal values (3, 'eve', now())")
    assert pull("deals") is None
    assert versions("deals")[2503:] == [("3", "eve", False)]


def test_pull_that_dies_between_two_pages_goes_on_behind_the_last_stored_row(crm, monkeypatch):
    stored: list[int] = []
    store = sources.store_page

    def dies(session: Any, source: str, page: Any, **about: Any) -> int:
        if len(stored) == 2:
            raise KeyboardInterrupt
        stored.append(len(page.rows))
        return store(session, source, page, **about)

    monkeypatch.setattr(sources, "store_page", dies)
    with pytest.raises(KeyboardInterrupt):
        jobs.pull("deals")
    db.session.rollback()
    assert len(versions("deals")) == 2000
    monkeypatch.setattr(
        sources, "store_page", lambda *args, **about: stored.append(len(args[2].rows)) or store(*args, **about)
    )

    assert pull("deals") is None

    assert len(versions("deals")) == len({key for key, _, _ in versions("deals")}) == 2500
    assert sum(stored) < 2600


def test_password_is_nowhere_when_the_database_refuses(crm, company, monkeypatch, caplog):
    monkeypatch.setenv("LRS_BRIDGE_SOURCE_DEALS_PASSWORD", "canary-5f1c9b7e")
    company.change("deals.yaml", "from deal", "from nix")
    jobs.load_documents()

    told = pull("deals")

    assert told
    assert "canary" not in told + caplog.text


def test_what_is_not_in_the_newest_export_is_deleted_and_comes_back(company):
    def export(name: str, *rows: str) -> None:
        path = Path(company.folder) / "exports" / name
        path.parent.mkdir(exist_ok=True)
        path.write_text("id,owner\n" + "".join(f"{row}\n" for row in rows))
        os.utime(path, (time.time() - 60,) * 2)

    company.write("staff.yaml", FILES)
    jobs.load_documents()
    export("staff-1.csv", "1,ann", "2,bob", "3,eve")
    assert pull("staff") is None
    export("staff-2.csv", "1,ann", "3,dan")
    assert pull("staff") is None
    export("staff-3.csv", "1,ann", "2,bob", ",nobody")  # says nothing of 3, for one of its rows cannot be read
    assert pull("staff") is None
    assert versions("staff")[3:] == [("3", "dan", False), ("2", None, True), ("2", "bob", False)]

    export("staff-4.csv", "1,ann")
    assert pull("staff") is None

    assert sorted(versions("staff")[6:]) == [("2", None, True), ("3", None, True)]


def test_past_of_a_query_is_read_when_somebody_asks_for_it(crm, lrs_bridge):
    assert pull("deals") is None
    crm("update deal set owner = 'eve' where id = 2000")  # as who writes past the time of change

    assert pull("deals") is None
    assert len(versions("deals")) == 2500
    asked = lrs_bridge("source", "backfill", "deals", "--since", "2020-01-01")

    assert asked.exit_code == 0, asked.output
    assert versions("deals")[2500:] == [("2000", "eve", False)]
