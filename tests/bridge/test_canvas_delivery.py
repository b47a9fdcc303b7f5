"""Records on their way into Canvas's gradebook, from the statement to the cell."""

from collections.abc import Iterator
from datetime import UTC, datetime

import pytest
from canvas_site import TOKEN, URL, CanvasSite
from company import Company, done, scored
from helpdesk import FakeClock
from sqlalchemy import select, text

from bridge import context, deliveries, documents, jobs, status
from bridge.models import Delivery, DeliveryKind, PublishedRow, SentRow
from bridge.reconcile import deliveries as reconciling
from connectors import RowDestination
from lrs import db

DOCUMENT = f"""\
kind: destination
name: canvas
type: canvas
url: {URL}
auth: {{type: bearer, token: {{secret: canvas-token}}}}
courses:
  - course: "565"
    program: calm-calls
    columns:
      - {{title: Best score, value: best_score}}
      - {{title: Minutes since, feed: measures, metric: minutes_to_solve, value: since_mean}}
"""


@pytest.fixture
def site(company: Company, monkeypatch: pytest.MonkeyPatch) -> Iterator[CanvasSite]:
    monkeypatch.setenv("LRS_BRIDGE_SOURCE_CANVAS_TOKEN", TOKEN)
    with CanvasSite(FakeClock()).online() as made:
        made.looks = 0  # jobs are done at once: this clock is real
        book = made.course(565)
        made.enrol(book, 7, email="Ann@Example.com")
        company.write("canvas.yaml", DOCUMENT)
        company.post(done(), scored("ann", 8.0), scored("bo", 4.0, at="2026-06-02T09:00:00Z"))
        jobs.load_documents()
        company.pull()
        bring_up_to_date()
        yield made


def bring_up_to_date() -> None:
    jobs.map_items()
    jobs.build_records()
    jobs.publish()


def deliver() -> None:
    for delivery in deliveries.due(db.session, now=datetime.now(UTC)):
        db.session.commit()
        jobs.deliver(delivery)


def sent(feed: str) -> dict[str, str]:
    """Give the outcome of each row by the name of its learner."""
    db.session.rollback()
    rows = db.session.execute(
        select(PublishedRow.person["name"].astext, SentRow.outcome)
        .join(Delivery, Delivery.report == PublishedRow.feed)
        .join(SentRow, (SentRow.delivery_id == Delivery.id) & (SentRow.key == PublishedRow.key))
        .where(PublishedRow.feed == feed, Delivery.kind == DeliveryKind.FEED)
        .order_by(PublishedRow.key)
    )
    return {name: outcome for name, outcome in rows}  # noqa: C416 - rows are no pairs


def destination() -> RowDestination:
    current = documents.current(db.session)
    assert current is not None
    settings = context.settings()
    found = documents.destination(current, "canvas", data_dir=settings.data_dir, reach=context.reach())
    assert isinstance(found, RowDestination)
    return found


def test_what_the_records_say_stands_in_the_gradebook(company, site):
    book = site.courses[565]

    deliver()

    assert book.cells("Best score") == {7: "80 %"}
    assert book.cells("Minutes since") == {7: "22.5"}
    assert sent("records") == {"Ann Archer": "stored", "Bo Berg": "left out"}

    company.post(scored("ann", 9.5, at="2026-06-03T09:00:00Z"))
    bring_up_to_date()
    deliver()

    assert book.cells("Best score") == {7: "95 %"}


def test_nothing_is_sent_when_nothing_has_changed(site):
    deliver()
    asked = len(site.requests)

    jobs.publish()
    deliver()

    assert len(site.requests) == asked


def test_what_canvas_holds_is_what_we_have_sent(site):
    deliver()
    there = destination()

    for feed in there.feeds:
        ours = db.session.execute(
            select(PublishedRow.key, PublishedRow.version, PublishedRow.checksum)
            .join(SentRow, SentRow.key == PublishedRow.key)
            .where(PublishedRow.feed == feed, SentRow.outcome == "stored")
        )
        assert {tuple(row) for row in ours} == {(one.key, one.version, one.checksum) for one in there.held(feed)}


def test_what_the_document_shows_no_more_goes(company, site):
    book = site.courses[565]
    deliver()

    company.change("canvas.yaml", "      - {title: Minutes since, feed: measures", "      # - {title: Minutes since")
    company.change("canvas.yaml", "{title: Best score, value: best_score}", "{title: Tries, value: attempts}")
    jobs.load_documents()
    bring_up_to_date()
    deliver()

    assert book.shown() == ["Tries"]
    assert book.cells("Tries") == {7: "1"}


def test_canvas_that_is_away_is_tried_again_and_told(site):
    site.faults.extend([(503, {"Retry-After": "7200"}, "")] * 20)
    deliver()
    waits = [row for row in status.deliveries_table(db.session) if row["destination"] == "canvas"]
    assert any("503" in str(row["last_error"]) for row in waits)

    site.faults.clear()
    for delivery in db.session.scalars(select(Delivery).filter_by(destination="canvas")):
        delivery.next_try_at = None
    db.session.commit()
    deliver()

    assert site.courses[565].cells("Best score") == {7: "80 %"}


def test_token_stands_in_no_table_and_no_log(site, caplog):
    caplog.set_level("DEBUG")
    site.token = "another"
    deliver()

    told = " ".join(str(row) for row in status.deliveries_table(db.session))
    assert "401" in told
    assert TOKEN not in told + caplog.text


# --- reconciled ------------------------------------------------------------------------------------------------------

NUMBER = 40


@pytest.fixture
def full(site: CanvasSite) -> CanvasSite:
    """Forty more learners, of whom ten are in no course."""
    for number in range(100, 100 + NUMBER):
        if number % 4:
            site.enrol(site.courses[565], number)
    db.session.execute(
        text("""
            insert into published_row (feed, key, program, person, body, checksum)
            select 'records', md5(number::text) || '/calm-calls', 'calm-calls',
                jsonb_build_object(
                    'accounts', '[]'::jsonb, 'emails', jsonb_build_array('s' || number || '@example.com')),
                jsonb_build_object('best_score', number / 200.0), md5(number::text) || md5(number::text)
            from generate_series(100, 99 + :number) as number
        """),
        {"number": NUMBER},
    )
    db.session.commit()
    deliveries.mark_due(db.session, "records")
    db.session.commit()
    deliver()
    return site


def compare() -> list[str]:
    """Compare, and give the keys that differed."""
    found = []
    for page, _ in reconciling.compare(db.session, destination(), now=datetime.now(UTC)):
        found += [one.subject for one in page.found]
        db.session.commit()
    return found


def test_clean_data_have_no_differences(full):
    assert len(full.courses[565].cells("Best score")) == 31
    assert compare() == []


def test_planted_differences_are_found_mended_and_found_no_more(full):
    book = full.courses[565]
    before = dict(book.data)
    best = book.column("Best score")
    ledger = next(n for n, one in book.columns.items() if one["hidden"] and (n, 101) in book.data)
    book.data[best, 101] = "a teacher's word"
    del book.data[best, 102]
    del book.data[ledger, 103]  # the row is not known there any more
    book.data[ledger, 105] = "nonsense"
    book.data[ledger, 106] = book.data[ledger, 106].replace(" ", " 0", 1)  # another checksum
    book.data[ledger, 107] = "9" + book.data[ledger, 107]  # a later version than ours
    stranger = " ".join([*book.data[ledger, 109].split()[:3], "f" * 32])
    book.data[ledger, 109] = stranger  # of nobody that we know, in a learner's place

    assert len(compare()) == 8
    deliver()

    assert compare() == []
    shown = {place: words for place, words in book.data.items() if place[0] == best}
    assert shown == {place: words for place, words in before.items() if place[0] == best}


def test_a_deleted_column_is_a_difference_of_all_its_rows(full):
    book = full.courses[565]
    before = book.cells("Best score")
    full.delete_column(book, "Best score")

    assert len(compare()) == 31
    deliver()

    assert book.cells("Best score") == before
    assert compare() == []


def test_who_left_the_course_is_left_out_and_no_difference_for_ever(full):
    del full.courses[565].students[101]

    assert len(compare()) == 1
    deliver()
    assert compare() == []
