"""Published rows: what stands in them, what counts as a change, and reading changes without missing one."""

import random
import re
import threading
from collections.abc import Callable
from typing import Any

import pytest
from click.testing import Result
from company import COURSE, Company, done, scored
from sqlalchemy import func, select, text
from sqlalchemy.orm import Session

from bridge import jobs, publishing
from bridge.errors import BadCursor, ViewChanged
from bridge.models import PublishedRow
from bridge.narrowing import Narrowing
from lrs import db

SITE = "https://moodle.example.com"


@pytest.fixture
def published(company: Company) -> Company:
    """The company with all that Ann did published."""
    company.post(done(), scored("ann", 8.0), scored("bo", 4.0, at="2026-06-02T09:00:00Z"))
    company.run()
    jobs.publish()
    return company


def rows(feed: str) -> dict[str, PublishedRow]:
    """Give rows by what follows the learner's public id in their keys, and the learner's name."""
    db.session.expire_all()
    found = db.session.scalars(select(PublishedRow).filter_by(feed=feed))
    return {f"{row.person['name'] if row.person else '-'} {row.key.partition('/')[2]}": row for row in found}


def versions() -> dict[tuple[str, str], int]:
    db.session.expire_all()
    found = db.session.execute(select(PublishedRow.feed, PublishedRow.key, PublishedRow.version))
    return {(feed, key): version for feed, key, version in found if feed != "health"}


def everything(session: Session, feed: str = "records", after: str | None = None, **options: Any):
    """Read changes to the end; gives the state of each row as the reader then has it, and the cursor."""
    have: dict[str, publishing.Change] = {}
    while True:
        found = publishing.changes(session, feed, after, limit=options.get("limit", 2), **options.get("of", {}))
        have |= {row.key: row for row in found.rows}
        after = found.next
        session.rollback()
        if not found.more:
            return have, after


# --- what stands in a row ---------------------------------------------------------------------------------------------


def test_a_record_says_what_is_known_of_a_learner_in_a_program(published: Company) -> None:
    row = rows("records")["Ann Archer calm-calls"]

    assert row.body == {
        "program": "calm-calls",
        "program_title": "Calm calls",
        "team": "North",
        "role": None,
        "enrolled_at": None,
        "completed_at": "2026-06-01T09:00:00Z",
        "attempts": 1,
        "best_score": 0.8,
        "last_activity_at": "2026-06-01T09:00:00Z",
        "remembered_score": None,
        "highest_tier": 4,
        "highest_tier_name": "knowledge",
        "uses_before": None,
        "rate_before": None,
        "uses_since": None,
        "rate_since": None,
        "days_to_first": None,
        "match": "roster",
        "courses": [COURSE],
        "next_practice": None,
        "url": None,
    }
    assert row.person == {
        "accounts": [],
        "emails": ["ann@example.com"],
        "idnumber": None,
        "username": None,
        "name": "Ann Archer",
    }
    assert (row.program, row.team, row.courses) == ("calm-calls", "North", [COURSE])


def test_a_measure_says_its_means_before_and_since(published: Company) -> None:
    row = rows("measures")["Ann Archer calm-calls/minutes_to_solve"]

    assert row.body == {
        "program": "calm-calls",
        "program_title": "Calm calls",
        "team": "North",
        "metric": "minutes_to_solve",
        "metric_title": "Minutes to solve",
        "unit": "min",
        "direction": "down",
        "before_mean": 40.0,
        "before_count": 1,
        "since_mean": 22.5,
        "since_count": 2,
    }


def test_keys_name_people_by_a_stable_id_that_is_no_mail_address(published: Company) -> None:
    keys = db.session.scalars(select(PublishedRow.key).where(PublishedRow.learner_id.is_not(None))).all()

    assert keys
    assert all(re.fullmatch(r"[0-9a-f]{32}/calm-calls(/[a-z_]+)?", key) for key in keys)
    before = versions()
    db.session.execute(text("delete from published_row"))
    db.session.execute(text("delete from built"))
    db.session.commit()
    jobs.build_records()
    jobs.publish()
    assert versions().keys() == before.keys()


def test_accounts_employee_numbers_and_addresses_are_the_user(published: Company) -> None:
    account = f"""{{home_page: "'{SITE}/'", name: "row.number == 'E2' ? '17' : '16'"}}"""
    more = f"- mbox: row.email\n      - employee: row.number\n      - account: {account}"
    published.change("people.yaml", "- mbox: row.email", more)
    published.post(done("bo") | {"actor": {"account": {"homePage": f"{SITE}/", "name": "17"}, "name": "Bo"}})
    published.run()
    jobs.publish()

    user = rows("records")["Bo Berg calm-calls"].person

    assert user == {
        "accounts": [{"home_page": f"{SITE}/", "name": "17"}],
        "emails": ["bo@example.com"],
        "idnumber": "E2",
        "username": None,
        "name": "Bo Berg",
    }
    assert publishing.narrowed(user, SITE) == user
    assert publishing.narrowed(user, "https://other.example.com") == user | {"accounts": []}
    assert publishing.narrowed(user, None) == user


def test_the_checksum_is_that_of_user_and_body(published: Company) -> None:
    checked = db.session.scalar(
        text("""
            select count(*) from published_row
            where checksum = encode(sha256(convert_to(jsonb_build_array(person, body)::text, 'UTF8')), 'hex')
        """)
    )

    assert checked == db.session.scalar(select(func.count()).select_from(PublishedRow)) > 0


# --- what is a change -------------------------------------------------------------------------------------------------


def test_publishing_again_writes_nothing(published: Company) -> None:
    before = versions()
    db.session.execute(text("delete from built where part = 'published'"))
    db.session.commit()

    jobs.publish()

    assert versions() == before


def test_a_rebuild_gives_no_new_versions(published: Company, lrs_bridge: Callable[..., Result]) -> None:
    before = versions()

    assert lrs_bridge("rebuild").exit_code == 0
    jobs.publish()

    assert versions() == before


def test_only_what_differs_gets_a_new_version(published: Company) -> None:
    before = versions()

    published.post(scored("bo", 9.0, at="2026-06-03T09:00:00Z"))
    published.work()
    jobs.publish()

    after = versions()
    changed = {key for key, version in after.items() if before.get(key) != version}
    assert changed == {("records", rows("records")["Bo Berg calm-calls"].key)}
    assert all(after[key] > max(before.values()) for key in changed)


def test_who_is_gone_leaves_a_tombstone_without_any_data(published: Company) -> None:
    key = rows("records")["Ann Archer calm-calls"].key

    published.change("program.yaml", "assessments:", "population: {team: [South]}\nassessments:")
    jobs.load_documents()
    published.work()
    jobs.publish()

    row = db.session.get(PublishedRow, ("records", key))
    assert row is not None
    assert (row.deleted, row.person, row.body) == (True, None, {})
    measures = db.session.scalars(select(PublishedRow).filter_by(feed="measures", deleted=False))
    assert {one.person["name"] for one in measures if one.person} == {"Bo Berg"}


def test_who_comes_back_is_there_again_in_a_new_version(published: Company) -> None:
    key, before = rows("records")["Ann Archer calm-calls"].key, versions()
    published.change("program.yaml", "assessments:", "population: {team: [South]}\nassessments:")
    jobs.load_documents()
    published.work()
    jobs.publish()
    published.change("program.yaml", "population: {team: [South]}\n", "")
    jobs.load_documents()
    published.work()
    jobs.publish()

    row = db.session.get(PublishedRow, ("records", key))
    assert row is not None
    assert not row.deleted
    assert row.person is not None
    assert row.version > before["records", key]


def test_of_two_learners_who_are_one_the_other_is_a_tombstone(
    published: Company, lrs_bridge: Callable[..., Result]
) -> None:
    gone = rows("records")["Bo Berg calm-calls"].key

    assert lrs_bridge("learner", "merge", "E1", "E2", "--because", "married").exit_code == 0
    published.work()
    jobs.publish()

    row = db.session.get(PublishedRow, ("records", gone))
    assert row is not None
    assert row.deleted
    assert rows("records")["Ann Archer calm-calls"].body["attempts"] == 2


def test_a_name_that_changes_is_a_change_of_all_rows_of_the_learner(published: Company) -> None:
    before = versions()

    published.staff([("E1", "Ann Bloom", "North", "ann@example.com", "ann")])
    published.pull()
    published.work()
    jobs.publish()

    row = rows("records")["Ann Bloom calm-calls"]
    assert row.version > max(before.values())
    assert len([key for key in rows("measures") if key.startswith("Ann Bloom")]) == 2


# --- reading changes --------------------------------------------------------------------------------------------------


def test_a_reader_who_begins_has_all_there_is_and_no_tombstones(published: Company, session: Session) -> None:
    published.change("program.yaml", "assessments:", "population: {team: [South]}\nassessments:")
    jobs.load_documents()
    published.work()
    jobs.publish()

    have, _ = everything(session)

    assert [row.user["name"] for row in have.values() if row.user] == ["Bo Berg"]
    assert not any(row.deleted for row in have.values())


def test_a_reader_who_comes_back_is_told_what_changed_since_and_nothing_else(
    published: Company, session: Session
) -> None:
    _, after = everything(session)
    assert everything(session, after=after)[0] == {}

    published.change("program.yaml", "assessments:", "population: {team: [South]}\nassessments:")
    jobs.load_documents()
    published.work()
    jobs.publish()
    have, after = everything(session, after=after)

    [gone] = have.values()
    assert (gone.deleted, gone.user, gone.body) == (True, None, {})
    assert everything(session, after=after)[0] == {}


def test_what_a_late_commit_brings_is_not_passed_over(published: Company, session: Session) -> None:
    publishing.renew(session, "records", ["early"])
    session.commit()
    with db.engine.connect() as other:
        other.execute(publishing._RENEW, {"feed": "records", "keys": ["late"]})
        session.execute(text("select pg_current_xact_id()"))
        publishing.renew(session, "records", ["after"])
        session.commit()
        seen, cursor = everything(session, after=_beginning(session))
        assert "late" not in seen
        other.commit()  # ... and ends last

    then, _ = everything(session, after=cursor)

    assert "late" in {*seen, *then}
    assert {"early", "after", "late"} <= {*seen, *then}


def _beginning(session: Session) -> str:
    """Give a cursor from before everything that is to be told of tombstones too."""
    position = publishing._Position(0, 0, 0)
    epoch = publishing.changes(session, "records", limit=1).next
    content = publishing.msgspec.json.decode(publishing.base64.urlsafe_b64decode(epoch + "=" * (-len(epoch) % 4)))
    return position.written("records", content[1])


def test_with_writers_at_work_a_reader_ends_with_what_there_is(app: Any, session: Session) -> None:
    """Four write, in transactions that end in another order than they began: by cursor alone the reader has it all."""
    engine = db.engine

    def write(seed: int) -> None:
        chance = random.Random(seed)  # noqa: S311 - no secret
        with engine.connect() as connection:
            for number in range(25):
                # Some of one's own, so that each is to be seen, and one of all, so that rows move while they are read.
                for key in (f"{seed} {number}", f"{seed} {number} later", "all"):
                    connection.execute(publishing._RENEW, {"feed": "records", "keys": [key]})
                    connection.execute(text("select pg_sleep(:s)"), {"s": chance.choice([0, 0.002, 0.005])})
                connection.commit()

    after: str | None = _beginning(session)
    session.rollback()
    writers = [threading.Thread(target=write, args=(seed,)) for seed in range(4)]
    for writer in writers:
        writer.start()
    have: dict[str, publishing.Change] = {}
    over = False
    while not over:
        over = not any(writer.is_alive() for writer in writers)  # asked first: what they wrote last is read too
        new, after = everything(session, after=after, limit=5)
        have |= new

    there = {row.key: row.version for row in session.scalars(select(PublishedRow))}
    assert {key: row.version for key, row in have.items()} == there
    assert len(there) == 4 * 25 * 2 + 1


@pytest.mark.parametrize("cursor", ["nonsense", "e30", "W10", "%%%", "ä", "W1tdLCIiLDEsMiwzXQ"])
def test_a_cursor_that_is_none_is_refused(published: Company, session: Session, cursor: str) -> None:
    with pytest.raises(BadCursor, match="is no cursor"):
        publishing.changes(session, "records", cursor, limit=1)


def test_a_cursor_of_another_feed_is_refused(published: Company, session: Session) -> None:
    _, cursor = everything(session, "measures")

    with pytest.raises(BadCursor, match="is of the feed 'measures'"):
        publishing.changes(session, "records", cursor, limit=1)


def test_after_a_restore_into_another_cluster_a_reader_begins_anew(published: Company, session: Session) -> None:
    have, cursor = everything(session)
    session.execute(text("update published_row set xid = '18000000000000000000'"))
    session.commit()
    assert everything(session)[0] == {}

    assert publishing.level(session)
    session.commit()

    with pytest.raises(ViewChanged, match="was restored"):
        everything(session, after=cursor)
    again, _ = everything(session)
    assert again.keys() == have.keys()
    assert all(row.version > have[key].version + 10**6 for key, row in again.items())
    assert not publishing.level(session)


def test_after_a_dump_was_restored_in_its_place_a_reader_is_told_to_begin_anew(
    published: Company, session: Session
) -> None:
    have, cursor = everything(session)
    assert everything(session, after=cursor)[0] == {}

    session.execute(text("create table restored (like published_row including all)"))
    session.execute(text("insert into restored select * from published_row"))
    session.execute(text("drop table published_row"))
    session.execute(text("alter table restored rename to published_row"))

    with pytest.raises(ViewChanged, match="was restored"):
        publishing.changes(session, "records", cursor, limit=9)
    again = publishing.changes(session, "records", limit=9)
    assert {row.key: row for row in again.rows} == have
    assert not publishing.changes(session, "records", again.next, limit=9).rows


def test_a_cursor_that_is_ahead_of_its_database_is_of_a_later_day(published: Company, session: Session) -> None:
    _, cursor = everything(session)
    feed, epoch, *numbers = publishing.msgspec.json.decode(publishing.base64.urlsafe_b64decode(cursor + "=="))
    last = session.scalars(text("select last_value from published_version")).one()

    def read(since: int, xid: int, version: int) -> None:
        publishing.changes(session, feed, publishing._Position(since, xid, version).written(feed, epoch), limit=1)

    read(*numbers[:2], last)
    for ahead in ([10**12, 3, 1], [3, 10**12, 1], [*numbers[:2], last + 1]):
        with pytest.raises(ViewChanged, match="was restored"):
            read(*ahead)


# --- who sees only a part ---------------------------------------------------------------------------------------------


def test_a_narrowed_reader_sees_only_the_rows_of_their_teams(published: Company, session: Session) -> None:
    north = {"of": {"narrowing": Narrowing(teams=frozenset({"North"}))}}

    have, _ = everything(session, **north)
    listed = publishing.current(session, "records", limit=9, narrowing=Narrowing(teams=frozenset({"North"})))

    assert [row.user["name"] for row in have.values() if row.user] == ["Ann Archer"]
    assert [row.user["name"] for row in listed if row.user] == ["Ann Archer"]


def test_a_narrowed_reader_is_told_of_who_leaves_as_gone_and_of_others_never(
    published: Company, session: Session
) -> None:
    north = {"of": {"narrowing": Narrowing(teams=frozenset({"North"}))}}
    have, after = everything(session, **north)

    published.staff(
        [("E1", "Ann Archer", "South", "ann@example.com", "ann"), ("E2", "Bo Berg", "West", "bo@example.com", "bo")]
    )
    published.pull()
    published.work()
    jobs.publish()
    then, after = everything(session, after=after, **north)

    assert {key: row.deleted for key, row in then.items()} == dict.fromkeys(have, True)
    assert all(row.user is None and row.body == {} for row in then.values())


def test_programs_and_courses_narrow_too_and_health_is_for_nobody_narrowed(
    published: Company, session: Session
) -> None:
    jobs.publish_health()

    def names(feed: str = "records", **limits: frozenset[str]) -> list[str]:
        return [row.key for row in publishing.current(session, feed, limit=99, narrowing=Narrowing(**limits))]

    assert len(names(programs=frozenset({"calm-calls"}))) == 2
    assert names(programs=frozenset({"other"})) == []
    assert len(names(courses=frozenset({COURSE}))) == 2
    assert names(courses=frozenset({"https://lms.example.com/course/8"})) == []
    assert len(names("health")) > 3
    assert names("health", programs=frozenset({"calm-calls"})) == []


def test_a_cursor_of_another_narrowing_begins_anew(published: Company, session: Session) -> None:
    _, after = everything(session, of={"narrowing": Narrowing(teams=frozenset({"North"}))})

    with pytest.raises(ViewChanged, match="Begin without one"):
        everything(session, after=after)


def test_current_rows_are_found_by_program_team_course_and_account(published: Company, session: Session) -> None:
    session.execute(
        text("update published_row set person = jsonb_set(person, '{accounts}', cast(:accounts as jsonb))"),
        {"accounts": f'[{{"home_page": "{SITE}", "name": "16"}}]'},
    )

    def count(**which: Any) -> int:
        return len(publishing.current(session, "records", limit=9, **which))

    assert (count(program="calm-calls"), count(program="other")) == (2, 0)
    assert (count(team="North"), count(team="West")) == (1, 0)
    assert (count(course=COURSE), count(course="x")) == (2, 0)
    assert (count(account=(SITE, "16")), count(account=(SITE, "17"))) == (2, 0)
    first, second = publishing.current(session, "records", limit=9)
    assert publishing.current(session, "records", limit=9, after=first.key) == [second]


def test_an_envelope_names_accounts_of_the_site_that_asks_alone(published: Company, session: Session) -> None:
    have, _ = everything(session)
    row = next(iter(have.values()))

    told = row.envelope(SITE)

    assert told.keys() == {"feed", "key", "version", "checksum", "deleted", "changed_at", "user", "body"}
    assert told["user"]["accounts"] == []
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", told["changed_at"])
