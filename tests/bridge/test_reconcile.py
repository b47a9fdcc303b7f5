"""Reconciliation: what is planted is found and repaired or told, and clean data agree."""

import json
import os
import random
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from company import Company
from company import done as completed
from factories import fact, learner
from sqlalchemy import text
from sqlalchemy.orm import Session
from test_generic_sources import crm  # noqa: F401 - a fixture

from bridge import context, jobs, sources, status
from bridge.models import Alias, Reconciliation, SourceRecordVersion
from bridge.reconcile import identities, kept, running
from bridge.reconcile import sources as comparing
from bridge.reconcile.kept import Area
from connectors import Page, Row, SourceUnavailable
from lrs import db

NOW = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)
PAGE = 7


@dataclass
class Vendor:
    """Records by key, with the time of their last change, listed by it; some single ones can be asked for."""

    records: dict[str, tuple[datetime, str]] = field(default_factory=dict)
    can_fetch: bool = True
    unlisted: set[str] = field(default_factory=set)
    name: str = "desk"
    title: str = "Desk"
    every_seconds: int = 3600
    calls: int = 0

    def change(self, key: str, at: datetime, value: str) -> None:
        self.records[key] = (at, value)

    def row(self, key: str) -> Row:
        at, value = self.records[key]
        digest = sha256(value.encode()).digest()
        return Row(key, {"value": value}, digest, (at.isoformat(), key), 1)

    def pull(self, state: dict[str, Any] | None) -> Iterator[Page]:
        yield from self.backfill(datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC), state)

    def began(self, state: dict[str, Any]) -> datetime | None:  # noqa: ARG002 - a protocol
        return None

    def slices(self, since: datetime | None, until: datetime | None) -> Sequence[tuple[datetime, datetime]]:
        return [(since or NOW, until or NOW)]

    def backfill(self, low: datetime, high: datetime, state: dict[str, Any] | None) -> Iterator[Page]:  # noqa: ARG002
        keys = sorted(key for key, (at, _) in self.records.items() if low <= at < high and key not in self.unlisted)
        for place in range(0, len(keys), PAGE):
            self.calls += 1
            yield Page(tuple(self.row(key) for key in keys[place : place + PAGE]), (), {"to": place})

    def fetch(self, ids: Sequence[str]) -> Page:
        rows = [self.row(key) if key in self.records else Row(key, {}, b"", _LAST, 1, deleted=True) for key in ids]
        return Page(tuple(rows), (), None)

    def check(self) -> Iterator[Any]:
        return iter(())

    def sample(self, limit: int) -> Page:
        raise NotImplementedError


_LAST = ("2027-01-01T00:00:00+00:00", "")


@pytest.fixture
def vendor(session: Session) -> Vendor:
    """300 records over a week, all of them pulled well an hour ago."""
    made = Vendor({f"r{number}": (NOW - timedelta(minutes=30 * number + 90), f"v{number}") for number in range(300)})
    pulled(session, made)
    return made


def pulled(session: Session, vendor: Vendor) -> None:
    begun = sources.begin(session, vendor.name, now=NOW)
    for page in vendor.pull(None):
        sources.store_page(session, vendor.name, page, started_at=NOW, fence=begun.fence)
    sources.finish(session, vendor.name, None, started_at=NOW, every=3600, fence=begun.fence)


def compared(session: Session, vendor: Vendor, days: int = 8) -> list[kept.Page]:
    return [
        page
        for span in comparing.spans(session, vendor, days=days)
        for page in comparing.compare(session, vendor, span, now=datetime.now(UTC) + timedelta(minutes=1))
    ]


def found(pages: list[kept.Page]) -> dict[str, tuple[str, str]]:
    return {one.subject: (one.state, one.text) for page in pages for one in page.found}


def held(session: Session, vendor: Vendor) -> dict[str, str | None]:
    """What is stored as the newest of each record; None where it is deleted."""
    rows = session.execute(
        text("""
            select distinct on (record.id) record.key, version.data ->> 'value' as value, version.deleted
            from source_record record join source_record_version version on version.record_id = record.id
            where record.source = :source
            order by record.id, version.cursor desc nulls last, version.id desc
        """),
        {"source": vendor.name},
    )
    return {row.key: None if row.deleted else row.value for row in rows}


# --- sources -------------------------------------------------------------------------------------------------------


def test_clean_data_agree_and_nothing_is_stored(session, vendor):
    versions = session.query(SourceRecordVersion).count()

    pages = compared(session, vendor)

    assert found(pages) == {}
    assert sum(page.agreed for page in pages) == 300
    assert session.query(SourceRecordVersion).count() == versions


def test_a_hundred_planted_differences_are_all_found_and_the_next_comparison_finds_none(session, vendor):
    dice = random.Random(7)  # noqa: S311 - it chooses what differs
    planted = dice.sample(sorted(vendor.records), 100)
    missing, other, gone, moved = (planted[n::4] for n in range(4))
    for key in missing:  # never brought by a pull, as when the vendor's list left it out for a moment
        delete_record(session, key)
    for key in other:  # changed behind its own time of change
        at, _ = vendor.records[key]
        vendor.records[key] = (at, "changed in silence")
    for key in gone:
        del vendor.records[key]
    for key in moved:  # changed since, by a change that the pulls did not bring
        vendor.records[key] = (NOW - timedelta(minutes=40), "moved")

    first = found(compared(session, vendor))

    assert set(first) == {*missing, *other, *gone, *moved}
    assert {state for state, _ in first.values()} == {"repaired"}
    assert all("Missing here" in first[key][1] for key in missing)
    assert all("Gone there" in first[key][1] for key in gone)
    expected = {key: value for key, (_, value) in vendor.records.items()} | dict.fromkeys(gone)
    assert held(session, vendor) == expected
    assert found(compared(session, vendor)) == {}


def delete_record(session: Session, key: str) -> None:
    of = "(select id from source_record where key = :key)"
    session.execute(text(f"delete from source_record_version where record_id = {of}"), {"key": key})  # noqa: S608
    session.execute(text("delete from source_record where key = :key"), {"key": key})


def test_what_is_gone_is_for_a_person_where_single_records_cannot_be_asked_for(session, vendor):
    vendor.can_fetch = False
    del vendor.records["r3"]

    [(state, words)] = found(compared(session, vendor)).values()

    assert state == "open"
    assert "not listed there (2026-11-20)" in words
    assert held(session, vendor)["r3"] == "v3"  # nothing is deleted on a guess


def test_a_record_that_is_only_not_listed_agrees_when_it_is_asked_for(session, vendor):
    vendor.unlisted.add("r3")

    assert found(compared(session, vendor)) == {}


def test_what_changed_after_the_last_good_pull_is_no_difference(session, vendor):
    vendor.change("r5", NOW + timedelta(minutes=5), "after the pull")
    vendor.change("new", NOW + timedelta(minutes=5), "after the pull")
    vendor.change("just", NOW - timedelta(minutes=5), "perhaps still on its way")

    pages = compared(session, vendor)

    assert set(found(pages)) == {"r5"}  # it is not on its day any more: asked for by its key
    assert "new" not in held(session, vendor)


def test_days_are_those_of_utc_the_latest_first_and_end_before_the_last_good_pull(session, vendor):
    days = comparing.spans(session, vendor, days=2)

    assert [(str(one.low), str(one.high)) for one in days] == [
        ("2026-11-20 00:00:00+00:00", "2026-11-20 11:45:00+00:00"),
        ("2026-11-19 00:00:00+00:00", "2026-11-20 00:00:00+00:00"),
    ]


def test_nothing_is_compared_before_a_pull_went_well(session):
    assert comparing.spans(session, Vendor(), days=7) == ()


# --- identities ----------------------------------------------------------------------------------------------------


def test_who_is_known_on_one_side_only_is_told_with_what_looks_alike(session):
    learner(session, "ann", "account:ann", "crm:1")
    learner(session, "bob", "account:bob").name_key = "bob"
    learner(session, "cid", "crm:3")
    learner(session, "dee", "account:dee")  # without any facts
    session.add_all([Alias(key="crm:2", name="Bob"), Alias(key="crm:9")])
    session.flush()
    for alias in ("account:ann", "account:bob"):
        fact(session, alias)
    for alias in ("crm:1", "crm:2", "crm:3"):
        fact(session, alias, metric="won")

    pages = list(identities.compare(session))

    told = found(pages)
    assert set(told) == {"crm:2", "bob", "cid"}
    assert {state for state, _ in told.values()} == {"open"}
    assert "lrs-bridge learner split crm:2 --to bob" in told["crm:2"][1]
    assert "performance is not" in told["bob"][1]
    assert "learning is not" in told["cid"][1]
    assert [page.agreed for page in pages] == [4 + 1, 1, 0]  # aliases that lead to somebody; known on both sides


# --- kept ----------------------------------------------------------------------------------------------------------


def test_all_differences_count_and_the_first_of_them_are_kept_in_words(session, monkeypatch):
    monkeypatch.setattr(kept, "MOST_KEPT", 3)
    row = kept.begin(session, Area.SOURCES, "desk", now=NOW)
    for _ in range(2):
        kept.note(session, row, kept.Page(5, (kept.Found("k", "a", "x", kept.State.REPAIRED),) * 2, unnamed={"k": 1}))
    kept.end(row, now=NOW)

    told = kept.told(session, row)

    assert (told["agreed"], told["repaired"], told["needs a person"], told["differed"]) == (10, 4, 2, 6)
    assert told["kinds"] == {"k": 6}
    assert len(told["differences"]) == 3


# --- by command and schedule ---------------------------------------------------------------------------------------


@pytest.fixture
def deals(crm: Callable[[str], None], company: Company) -> Callable[[str], None]:  # noqa: F811
    """A CRM whose deals were pulled well."""
    company.change("deals.yaml", "deleted: {type: sweep, every: 0s, at_most: 0.5}\n", "")
    jobs.load_documents()
    jobs.pull("deals")
    return crm


def test_command_repairs_what_a_database_has_otherwise_and_says_so(deals, lrs_bridge):
    deals("update deal set owner = 'bob' where id between 100 and 119")  # its time of change stays
    deals("delete from deal where id = 200")
    db.session.execute(
        text("""
            delete from source_record_version where record_id in
            (select id from source_record where source = 'deals' and key in ('300', '301'))
        """)
    )
    db.session.commit()

    done = lrs_bridge("reconcile", "sources", "deals", "--json")

    [told] = json.loads(done.output)
    assert done.exit_code == 0
    assert (told["repaired"], told["needs a person"], told["error"]) == (22, 1, None)
    assert told["agreed"] + told["differed"] >= 2300  # the newest quarter of an hour is left to the pulls
    assert [one["subject"] for one in told["differences"] if one["state"] == "open"] == ["200"]
    again = json.loads(lrs_bridge("reconcile", "sources", "deals", "--json").output)[0]
    assert (again["repaired"], again["needs a person"]) == (0, 1)


def test_a_source_that_is_down_says_so_and_does_not_stop_the_others(company, monkeypatch, lrs_bridge):
    company.run()

    listed = comparing._listed

    def down(source: Any, span: comparing.Span) -> Iterator[Page]:
        if source.name == "crm":
            raise SourceUnavailable("The helpdesk does not answer.")
        return listed(source, span)

    monkeypatch.setattr(comparing, "_listed", down)
    done = lrs_bridge("reconcile", "--json")

    told = {(one["area"], one["name"]): one for one in json.loads(done.output)}
    assert done.exit_code == 1
    assert told["sources", "crm"]["error"] == "The helpdesk does not answer."
    assert told["sources", "helpdesk"]["error"] is None
    assert told["sources", "helpdesk"]["agreed"] > 0
    assert ("identities", "everyone") in told


def test_an_unknown_name_is_refused_with_the_nearest(company, lrs_bridge):
    company.run()

    done = lrs_bridge("reconcile", "sources", "helpdisk")

    assert done.exit_code == 2
    assert "Did you mean 'helpdesk'?" in done.output


def test_schedule_compares_once_a_day(company, monkeypatch):
    company.run()
    rung: list[Any] = []
    monkeypatch.setattr(jobs, "ring", lambda _queue, job, *_, **__: rung.append(job))

    jobs.reconcile_due()
    assert rung == []  # a day after the start
    monkeypatch.setattr(jobs, "_now", lambda: datetime.now(UTC) + timedelta(days=1, minutes=1))
    jobs.reconcile_due()
    assert rung == [jobs.reconcile]
    jobs.reconcile()
    rung.clear()
    jobs.reconcile_due()
    assert rung == []
    assert db.session.query(Reconciliation).filter_by(area="sources").count() == 3
    assert {row.area for row in kept.newest(db.session)} >= {"sources", "identities"}


KILLED = """
import os, signal
from bridge import jobs
from bridge.app import from_env
from bridge.reconcile import sources

compare = sources.compare

def until_killed(session, source, span, **rest):
    for page in compare(session, source, span, **rest):
        yield page
        if source.name == "helpdesk" and page.found:
            os.kill(os.getpid(), signal.SIGKILL)

sources.compare = until_killed
with from_env().app_context():
    jobs.reconcile()
"""


def test_a_round_that_is_killed_is_gone_on_with_and_nothing_is_done_twice(company):
    company.run()
    delete_record(db.session, "T1")
    db.session.commit()
    env = {**os.environ, **context.settings().to_mapping()}
    killed = subprocess.run([sys.executable, "-c", KILLED], env=env, cwd=Path(__file__).parents[2], check=False)
    assert killed.returncode == -signal.SIGKILL
    versions = db.session.query(SourceRecordVersion).count()  # what had been found is stored already
    [cut] = [row for row in kept.newest(db.session) if row.ended_at is None]
    assert (cut.name, cut.repaired, cut.kinds) == ("helpdesk", 1, {"missing here": 1})
    assert kept.unfinished(db.session, before=datetime.now(UTC) + timedelta(minutes=1)) == [cut]

    jobs.reconcile()

    db.session.rollback()
    made = Counter((row.area, row.name) for row in db.session.query(Reconciliation))
    assert made["sources", "helpdesk"] == 2
    assert set(made.values()) == {1, 2}  # all others once
    assert {("sources", "crm"), ("sources", "staff"), ("identities", "everyone"), ("deliveries", "folder")} <= set(made)
    assert all(row.ended_at and not row.error for row in kept.newest(db.session))
    assert db.session.query(SourceRecordVersion).count() == versions
    jobs.reconcile()  # the next night
    assert Counter(row.name for row in db.session.query(Reconciliation))["crm"] == 2


def test_a_fault_of_ours_is_told_and_does_not_stop_the_others(company, monkeypatch):
    company.run()
    monkeypatch.setattr(comparing, "_listed", lambda *_: 1 / 0)

    jobs.reconcile()

    rows = {row.name: row for row in kept.newest(db.session)}
    assert "A fault of lrs-bridge (ZeroDivisionError)" in (rows["crm"].error or "")
    assert rows["everyone"].error is None
    assert any("sources crm: A fault" in one for one in status.overview(db.session)["differences"])


def test_a_comparison_that_never_ended_is_told(company):
    company.run()
    kept.begin(db.session, Area.SOURCES, "crm", now=datetime.now(UTC) - timedelta(hours=9))

    [told] = status.overview(db.session)["differences"]

    assert told.startswith("sources crm: the comparison of ")
    assert told.endswith("came to no end")


def test_last_of_what_was_never_compared_is_refused(company, lrs_bridge):
    company.run()
    running.run([Area.SOURCES])

    assert lrs_bridge("reconcile", "sources", "crm", "--last", "--json").exit_code == 0
    done = lrs_bridge("reconcile", "sources", "crn", "--last")
    assert done.exit_code == 2
    assert "Did you mean 'crm'?" in done.output


def test_people_are_told_by_kind_what_differed_and_what_is_theirs(deals, lrs_bridge):
    deals("delete from deal where id in (200, 201)")
    deals("update deal set owner = 'bob' where id = 100")

    told = lrs_bridge("reconcile", "sources", "deals").output

    assert "3 differed (1 changed there, 2 not listed there)" in told
    assert "for you" in told
    assert told.endswith("For you: sources deals (2).\n")


def test_two_do_not_compare_the_same_at_once(company):
    from bridge.locks import single_flight

    company.run()
    with single_flight(db.engine, "reconcile sources crm"):
        assert [row.name for row in running.run([Area.SOURCES])] == ["helpdesk", "staff"]


def test_overview_names_what_needs_a_person(company):
    company.run()
    row = kept.begin(db.session, Area.SOURCES, "crm", now=NOW)
    kept.note(db.session, row, kept.Page(1, (kept.Found("k", "a", "x", kept.State.OPEN),)))
    kept.end(row, now=NOW)

    assert status.overview(db.session)["differences"] == ["sources crm: 1 that differs"]

    kept.end(kept.begin(db.session, Area.SOURCES, "crm", now=NOW), now=NOW)  # the next one found nothing
    assert status.overview(db.session)["differences"] == []


def test_files_that_were_changed_or_deleted_are_written_again(company, lrs_bridge):
    company.post(completed())
    company.run()
    folder = context.settings().data_dir / "reports"
    delivered = (folder / "calm.csv").read_bytes()
    (folder / "calm.csv").write_text("overwritten by hand")
    (folder / "calm.json").unlink()

    [told] = json.loads(lrs_bridge("reconcile", "deliveries", "--json").output)

    assert (told["name"], told["agreed"], told["repaired"], told["needs a person"]) == ("folder", 0, 1, 0)
    assert (folder / "calm.csv").read_bytes() == delivered
    assert company.delivered()["rows"]
    [again] = json.loads(lrs_bridge("reconcile", "deliveries", "--json").output)
    assert (again["agreed"], again["repaired"]) == (1, 0)


def test_the_last_report_is_told_over_the_api(company, api_get):
    company.run()
    delete_record(db.session, "T1")
    db.session.commit()
    running.run([Area.SOURCES, Area.IDENTITIES])

    [deals, helpdesk, staff] = api_get("/reconciliations", area="sources").json["items"]

    assert (deals["name"], deals["differed"], staff["differed"]) == ("crm", 0, 0)
    assert (helpdesk["repaired"], helpdesk["needs_a_person"], helpdesk["kinds"]) == (1, 0, {"missing here": 1})
    assert [(one["subject"], one["state"]) for one in helpdesk["differences"]] == [("T1", "repaired")]
    assert len(api_get("/reconciliations").json["items"]) == 4
    assert api_get("/reconciliations", area="sources", differences=0).json["items"][1]["differences"] == []
    assert api_get("/reconciliations", area="all").status_code == 400
