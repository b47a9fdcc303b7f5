"""Jobs: the way of the data, from a statement and a file to the record and the delivery, whatever happens on it."""

import csv
import errno
import itertools
import json
import logging
import os
import shutil
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from company import DEALS, STAFF, TICKETS, Company, counts, done, scored
from flask import Flask
from redis import Redis
from rq import Queue
from sqlalchemy import select, text
from sqlalchemy.orm import Session

import lrs
from bridge import bells, context, deliveries, documents, facts, jobs, readings, sources, status
from bridge.locks import single_flight
from bridge.mapping import StatementReader
from bridge.models import Delivery, MappingVersion
from connectors import Receipt, Report
from lrs import db

# What the company's files say of Ann, who completed on 2026-06-01: by hand.
ANN = {
    "name": "Ann Archer",
    "team": "North",
    "attempts": 2,
    "best_score": 0.9,
    "completed_at": "2026-06-01T09:00:00Z",
    "last_activity_at": "2026-06-01T09:00:00Z",
    "minutes_to_solve_before_mean": 40.0,
    "minutes_to_solve_before_count": 1,
    "minutes_to_solve_since_mean": 22.5,
    "minutes_to_solve_since_count": 2,
    "deal_won_before_mean": 0.0,
    "deal_won_before_count": 1,
    "deal_won_since_mean": 1.0,
    "deal_won_since_count": 1,
}
STATEMENTS = [
    done("ann"),
    done("bo"),
    scored("ann", 7),
    scored("ann", 9, at="2026-05-31T09:00:00Z"),
    scored("bo", 4),
]


def some_of(row: dict[str, Any], names: object) -> dict[str, Any]:
    return {name: value for name, value in row.items() if name in names}


# --- the whole way -------------------------------------------------------------------------------------------------


def test_a_statement_and_a_file_end_up_in_the_record_and_in_the_delivered_file(company: Company) -> None:
    company.post(*STATEMENTS)

    company.run()

    assert some_of(company.report()["E1"], ANN) == ANN
    delivered = company.delivered()
    assert delivered["rows"] == list(company.report().values())
    with (context.settings().data_dir / "reports" / "calm.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["learner"] for row in rows] == ["E1", "E2"]
    assert rows[0]["minutes_to_solve_since_mean"] == "22.5"
    delivery = db.session.scalars(select(Delivery)).one()
    assert (delivery.state, delivery.rows, delivery.last_error) == ("done", 2, None)
    assert status.settled(db.session)


def test_posting_and_pulling_the_same_again_changes_nothing(company: Company) -> None:
    company.post(*STATEMENTS)
    company.run()
    before, shown = counts(), company.report()
    written = (context.settings().data_dir / "reports" / "calm.json").stat()

    company.post(*STATEMENTS)
    for name in ("tickets.csv", "deals.csv", "staff.csv"):
        os.utime(company.folder / name)  # looks changed, and is not
    company.run()

    assert counts() == before
    assert company.report() == shown
    assert (context.settings().data_dir / "reports" / "calm.json").stat().st_mtime_ns == written.st_mtime_ns


PARTS: dict[str, Callable[[Company], None]] = {
    "statements": lambda company: company.post(*STATEMENTS),
    "tickets": lambda _: jobs.pull("helpdesk"),
    "deals": lambda _: jobs.pull("crm"),
    "roster": lambda _: jobs.pull("staff"),
}


@pytest.mark.parametrize("order", list(itertools.permutations(PARTS))[::4], ids="-".join)
def test_the_order_of_arrival_does_not_matter(company: Company, order: tuple[str, ...]) -> None:
    jobs.load_documents()
    for part in order:
        PARTS[part](company)
        company.work()

    assert some_of(company.report()["E1"], ANN) == ANN
    assert some_of(company.report()["E2"], {"name", "best_score", "minutes_to_solve_since_mean"}) == {
        "name": "Bo Berg",
        "best_score": 0.4,
        "minutes_to_solve_since_mean": 60.0,
    }


# --- what changes at the source ------------------------------------------------------------------------------------


def test_a_mended_row_appears_and_its_problem_goes(company: Company) -> None:
    company.post(done("bo"))
    company.tickets([*TICKETS, ("T6", "2026-06-24T08:00:00Z", "bo", "24 June", "90")])
    company.run()
    [problem] = sources.problems(db.session, "helpdesk")
    assert (problem.row, problem.column) == (7, "solved_at")
    assert company.report()["E2"]["minutes_to_solve_since_count"] == 1  # the good rows are used

    company.tickets([*TICKETS, ("T6", "2026-06-24T08:00:00Z", "bo", "2026-06-24T08:00:00Z", "90")])
    jobs.pull("helpdesk")
    company.work()

    assert sources.problems(db.session, "helpdesk") == []
    assert company.report()["E2"]["minutes_to_solve_since_mean"] == 75.0


def test_a_new_version_of_a_ticket_replaces_its_figure(company: Company) -> None:
    company.post(done("bo"))
    company.run()

    company.tickets([*TICKETS[:3], ("T4", "2026-07-01T08:00:00Z", "bo", "2026-06-22T08:00:00Z", "15")])
    jobs.pull("helpdesk")
    company.work()

    row = company.report()["E2"]
    assert (row["minutes_to_solve_since_mean"], row["minutes_to_solve_since_count"]) == (15.0, 1)


def test_an_older_version_that_comes_late_does_not_replace_the_newer(company: Company) -> None:
    company.post(done("bo"))
    company.run()

    company.tickets([*TICKETS, ("T4", "2026-06-10T08:00:00Z", "ann", "2026-06-10T08:00:00Z", "1000")])
    jobs.pull("helpdesk")
    company.work()

    assert company.report()["E2"]["minutes_to_solve_since_mean"] == 60.0


def test_a_ticket_that_changes_hands_takes_its_figure_along(company: Company) -> None:
    company.post(done("ann"), done("bo"))
    company.run()

    company.tickets([("T4", "2026-07-01T08:00:00Z", "ann", "2026-06-22T08:00:00Z", "60"), *TICKETS])
    jobs.pull("helpdesk")
    company.work()

    ann, bo = company.report()["E1"], company.report()["E2"]
    assert (ann["minutes_to_solve_since_mean"], ann["minutes_to_solve_since_count"]) == (35.0, 3)
    assert (bo["minutes_to_solve_since_mean"], bo["minutes_to_solve_since_count"]) == (None, 0)


def test_a_record_without_a_cursor_counts_as_it_was_seen_last(company: Company) -> None:
    company.post(done("ann"))
    company.run()

    company.deals([DEALS[0], ("D2", "ann", "lost", "2026-06-25T08:00:00Z")])
    jobs.pull("crm")
    company.work()

    assert company.report()["E1"]["deal_won_since_mean"] == 0.0


def test_a_changed_roster_moves_figures_without_reading_anything_again(company: Company) -> None:
    company.post(done("ann"), done("bo"))
    company.run()
    facts = counts()["fact"]

    swapped = [(*STAFF[0][:4], "bo"), (*STAFF[1][:4], "ann")]
    company.staff(swapped)
    jobs.pull("staff")
    jobs.build_records()

    assert company.report()["E1"]["minutes_to_solve_since_mean"] == 60.0
    assert company.report()["E2"]["minutes_to_solve_since_mean"] == 22.5
    assert counts()["fact"] == facts


# --- what changes in the documents ---------------------------------------------------------------------------------


def test_changed_rules_read_history_beside_the_active_reading(company: Company, monkeypatch: Any) -> None:
    many = [(f"Old {n}", "2020-01-01T08:00:00Z", "ann", "2020-01-01T08:00:00Z", "1") for n in range(8 * readings.LANES)]
    company.tickets([*TICKETS, *many])
    company.post(*STATEMENTS)
    company.run()
    company.change("rules.yaml", "value: row.minutes", "value: double(row.minutes) * 60.0")

    jobs.load_documents()
    with monkeypatch.context() as slow:
        slow.setattr(facts, "BATCH", 1)
        assert jobs.read_once(db.session) > 0
    jobs.build_records()
    assert company.report()["E1"]["minutes_to_solve_since_mean"] == 22.5  # until the new rules have read everything
    assert readings.pending(db.session) is not None
    company.work()

    assert company.report()["E1"]["minutes_to_solve_since_mean"] == 1350.0
    assert readings.pending(db.session) is None
    assert company.delivered()["rows"][0]["minutes_to_solve_since_mean"] == 1350.0


def test_a_worker_between_two_lanes_does_not_go_on_by_rules_that_are_no_more(company: Company) -> None:
    """Else what it reads then would be read by nobody with the new ones."""
    company.post(done("ann"))
    company.run()
    [reader] = jobs._readers(db.session)  # what a worker holds while it goes from lane to lane
    db.session.commit()
    company.change("rules.yaml", "fact: completed", "fact: progressed")
    jobs.load_documents()
    company.work()
    assert readings.pending(db.session) is None

    company.post(done("bo"))
    late = [reader.read_lane(stream, lane) for stream, lane in readings.lanes(db.session, reader.reading)]
    db.session.commit()
    company.work()

    assert set(late) == {0}
    kinds = db.session.execute(text("select kind, count(*) from counted_fact where kind is not null group by 1")).all()
    assert [tuple(row) for row in kinds] == [("progressed", 2)]


def test_what_arrives_while_history_is_read_again_counts_under_both_rules(company: Company) -> None:
    company.post(done("ann"))
    company.run()
    company.change("rules.yaml", "value: row.minutes", "value: double(row.minutes) * 60.0")
    jobs.load_documents()

    company.post(done("bo"))
    company.work()

    assert company.report()["E2"]["minutes_to_solve_since_mean"] == 3600.0


def test_a_changed_program_builds_records_anew_without_reading_anything_again(company: Company) -> None:
    company.post(*STATEMENTS)
    company.run()
    company.change("program.yaml", "metrics: [minutes_to_solve, deal_won]", "metrics: [deal_won]\nwindow_days: 10")

    jobs.load_documents()
    jobs.build_records()

    row = company.report()["E1"]
    assert "minutes_to_solve_since_mean" not in row
    assert row["deal_won_before_count"] == 0  # 30 days before, and the window is 10 now
    assert readings.pending(db.session) is None


# --- what fails ----------------------------------------------------------------------------------------------------


def test_a_source_that_is_down_is_tried_again_later_and_the_others_go_on(company: Company) -> None:
    company.post(done("ann"))
    tickets = (company.folder / "tickets.csv").read_text()
    (company.folder / "tickets.csv").unlink()

    company.run()

    state = sources.state(db.session, "helpdesk")
    assert state.failures == 1
    assert "tickets.csv" in (state.last_error or "")
    assert state.next_pull_at is not None
    assert timedelta(seconds=25) < state.next_pull_at - datetime.now(UTC) <= timedelta(seconds=30)
    assert company.report()["E1"]["deal_won_since_mean"] == 1.0
    assert status.overview(db.session)["failing_sources"]

    company.write("tickets.csv", tickets)
    jobs.pull("helpdesk")
    company.work()

    assert (sources.state(db.session, "helpdesk").failures, sources.state(db.session, "helpdesk").last_error) == (
        0,
        None,
    )
    assert company.report()["E1"]["minutes_to_solve_since_mean"] == 22.5


def test_a_source_that_is_pulled_elsewhere_is_left_alone(company: Company) -> None:
    jobs.load_documents()
    with single_flight(db.engine, "pull helpdesk"):
        jobs.pull("helpdesk")

        assert sources.state(db.session, "helpdesk").started_at is None

    jobs.pull("helpdesk")
    assert sources.state(db.session, "helpdesk").started_at is not None


def test_a_destination_that_cannot_be_written_is_tried_again_and_then_takes_the_report(
    company: Company, monkeypatch: Any
) -> None:
    company.post(*STATEMENTS)
    usual = Path.mkdir

    def mkdir(path: Path, *args: Any, **options: Any) -> None:
        if path.name == "reports":
            raise OSError(errno.ENOSPC, "No space left on device")
        usual(path, *args, **options)

    with monkeypatch.context() as disk:
        disk.setattr(Path, "mkdir", mkdir)
        company.run()
    delivery = db.session.scalars(select(Delivery)).one()

    assert (delivery.state, delivery.attempts) == ("retry", 1)
    assert "There is no room for the reports" in (delivery.last_error or "")
    assert delivery.next_try_at is not None
    assert deliveries.due(db.session, now=datetime.now(UTC)) == []
    assert deliveries.due(db.session, now=delivery.next_try_at) == [delivery.id]

    jobs.deliver(delivery.id)

    assert (delivery.state, delivery.attempts, delivery.last_error) == ("done", 0, None)
    assert len(company.delivered()["rows"]) == 2


def test_a_destination_that_refuses_waits_for_a_person(company: Company) -> None:
    company.post(*STATEMENTS)
    context.settings().data_dir.mkdir()
    (context.settings().data_dir / "reports").write_text("a file where a folder should be")

    company.run()

    delivery = db.session.scalars(select(Delivery)).one()
    assert delivery.state == "failed"
    assert "is not a folder" in (delivery.last_error or "")


def test_a_change_that_comes_during_a_delivery_is_delivered_too(company: Company, monkeypatch: Any) -> None:
    company.post(done("ann"))
    company.run()
    delivery = db.session.scalars(select(Delivery)).one()
    company.post(done("bo"))
    company.tickets([*TICKETS, ("T6", "2026-06-24T08:00:00Z", "ann", "2026-06-24T08:00:00Z", "90")])
    usual = documents.destination

    class Slow:
        """While it takes the report, workers go on."""

        def push(self, report: Report) -> Receipt:
            receipt = usual(documents.current(db.session), "folder", data_dir=context.settings().data_dir).push(report)
            with company.app.app_context():
                jobs.pull("helpdesk")
                jobs.map_items()
                jobs.build_records()
            return receipt

    jobs.map_items()
    jobs.build_records()
    with monkeypatch.context() as once:
        once.setattr(documents, "destination", lambda *_, **__: Slow())
        jobs.deliver(delivery.id)
    assert delivery.state == "due"
    jobs.deliver(delivery.id)

    assert company.delivered()["rows"] == list(company.report().values())
    assert company.report()["E1"]["minutes_to_solve_since_count"] == 3


def test_an_unchanged_report_is_not_sent_again_and_one_that_is_asked_for_is(company: Company) -> None:
    company.post(*STATEMENTS)
    company.run()
    shutil.rmtree(context.settings().data_dir / "reports")
    delivery = db.session.scalars(select(Delivery)).one()

    jobs.deliver(delivery.id)
    assert not (context.settings().data_dir / "reports").exists()

    deliveries.ask_again(db.session, "calm")
    jobs.deliver(delivery.id)
    assert len(company.delivered()["rows"]) == 2


def test_a_rule_that_fails_on_an_item_is_listed_and_leaves_the_others(company: Company) -> None:
    company.post(done("ann"))
    company.change("rules.yaml", "value: row.minutes\n", "value: double(row.agent)\n")

    company.run()

    overview = status.overview(db.session)
    assert overview["quarantined"] == 4
    assert "helpdesk/minutes_to_solve" in overview["failing_rules"][0]
    assert company.report()["E1"]["deal_won_since_mean"] == 1.0


# --- at once, twice, and by halves ---------------------------------------------------------------------------------


@pytest.mark.parametrize("number", ["1e400", "-1e999", "1" + 400 * "0", "123456789012345678901234567890", "1e-999"])
def test_a_number_that_no_float_can_hold_stops_nobody(company: Company, number: str) -> None:
    odd = scored("bo", 5) | {"result": {"score": {"raw": 5}, "extensions": {"http://example.com/odd": 0.25}}}
    company.post_text(json.dumps([odd]).replace("0.25", number))
    company.post(done("ann"))

    company.run()

    assert company.report()["E1"]["completed_at"] == "2026-06-01T09:00:00Z"
    assert status.settled(db.session)


def test_a_statement_that_cannot_be_read_at_all_leaves_the_others(company: Company, monkeypatch: Any) -> None:
    usual = StatementReader.read

    def fails_for_ann(reader: StatementReader, one: dict[str, Any]) -> Any:
        if "ann" in json.dumps(one["actor"]):
            raise RuntimeError("a fault")
        return usual(reader, one)

    monkeypatch.setattr(StatementReader, "read", fails_for_ann)
    company.post(done("ann"), done("ben"))
    company.run()

    assert status.overview(db.session)["quarantined"] == 1


def test_two_workers_read_everything_once(company: Company) -> None:
    many = 1500
    company.tickets(
        [(f"T{n}", f"2026-06-20T08:00:{n % 60:02}Z", "ann", "2026-06-20T08:00:00Z", "5") for n in range(many)]
    )
    company.post(*(done("ann", f"2026-06-{day:02}T09:{minute:02}:00Z") for day in range(1, 11) for minute in range(60)))
    jobs.load_documents()
    company.pull()
    failed: list[BaseException] = []

    def worker() -> None:
        with company.app.app_context():
            try:
                jobs.map_items()
            except Exception as error:  # noqa: BLE001 - what breaks in a thread is for the test to tell
                failed.append(error)

    threads = [threading.Thread(target=worker) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    jobs.map_items()  # what another worker still held when these gave up looking
    jobs.build_records()

    assert failed == []
    assert counts()["fact"] == many + len(DEALS) + 600
    assert readings.behind(db.session) == 0
    assert company.report()["E1"]["minutes_to_solve_since_count"] == many


def test_a_job_for_something_that_is_gone_does_nothing(company: Company) -> None:
    jobs.load_documents()

    jobs.pull("no-such-source")
    jobs.deliver(4711)

    assert counts()["source_record"] == 0


@pytest.mark.parametrize("job", [jobs.pull_due, jobs.map_items, jobs.build_records, jobs.deliver_due])
def test_before_any_document_is_in_force_jobs_have_nothing_to_do(app: Flask, job: Callable[[], None]) -> None:
    job()

    assert counts()["fact"] == 0


# --- tidying -------------------------------------------------------------------------------------------------------


def test_files_that_no_statement_has_are_swept_when_they_are_a_day_old(app: Flask, tmp_path: Path) -> None:
    name = "ab" * 32
    lrs.files.at(str(tmp_path)).put(name, b"left by a crash")
    (left,) = [path for path in tmp_path.rglob("*") if path.is_file()]
    usual = context.settings()
    context.keep(app, replace(usual, attachments=str(tmp_path)))
    try:
        jobs.tidy()
        assert left.exists()
        yesterday = time.time() - jobs.SWEPT_AFTER.total_seconds() - 60
        os.utime(left, (yesterday, yesterday))
        jobs.tidy()
    finally:
        context.keep(app, usual)

    assert not left.exists()


# --- bells ---------------------------------------------------------------------------------------------------------


def queued(app: Flask, queue: str = "facts") -> list[str]:
    broker = app.extensions["lrs-bridge-broker"]
    return [f"{job.func_name.rpartition('.')[2]}{job.args or ''}" for job in Queue(queue, connection=broker).jobs]


def test_a_bell_that_rings_while_it_is_waiting_is_one_job(app: Flask) -> None:
    for _ in range(5):
        bells.ring("facts", jobs.map_items)

    assert queued(app) == ["map_items"]


def test_a_bell_rings_again_once_the_job_has_begun(app: Flask) -> None:
    bells.ring("facts", jobs.map_items)
    bells.answered(jobs.map_items)  # it may have looked before what is rung for now was stored
    bells.ring("facts", jobs.map_items)

    assert queued(app) == ["map_items", "map_items"]


def test_bells_of_different_things_do_not_swallow_each_other(app: Flask) -> None:
    bells.ring("sources", jobs.pull, "crm")
    bells.ring("sources", jobs.pull, "helpdesk")
    bells.ring("sources", jobs.pull, "crm")

    assert queued(app, "sources") == ["pull('crm',)", "pull('helpdesk',)"]


def test_a_bell_that_nobody_answers_counts_as_lost_after_a_while(app: Flask) -> None:
    bells.ring("facts", jobs.map_items)
    broker: Redis = app.extensions["lrs-bridge-broker"]

    [key] = broker.keys("lrs-bridge:bell:*")
    assert 0 < broker.ttl(key) <= bells.RING_SECONDS


def test_stored_statements_ring_once_for_many_within_a_moment(company: Company) -> None:
    for _ in range(5):
        company.post(done("ann"))

    time.sleep(3 * bells.SOON_SECONDS)
    assert queued(company.app) == ["map_items"]


def test_a_ringer_outlives_a_broker_that_is_away(company: Company, dead_broker: None) -> None:
    company.post(done("ann"))
    time.sleep(bells.WAIT_SECONDS + 1)

    assert company.app.extensions["lrs-bridge-ringer"]._thread.is_alive()


def test_only_sources_whose_time_has_come_are_rung_for(company: Company) -> None:
    jobs.load_documents()
    jobs.pull("crm")
    with company.app.extensions["lrs-bridge-broker"] as broker:
        broker.flushall()

    jobs.pull_due()

    assert queued(company.app, "sources") == ["pull('helpdesk',)", "pull('staff',)"]


@pytest.fixture
def dead_broker(app: Flask) -> Any:
    """Somewhere that takes a connection and never says a word: worse than one that refuses."""
    usual = app.extensions["lrs-bridge-broker"]
    with socket.create_server(("127.0.0.1", 0)) as silent:
        bells.init_app(app, f"redis://127.0.0.1:{silent.getsockname()[1]}")
        yield
    app.extensions["lrs-bridge-broker"] = usual


def test_a_dead_broker_costs_a_moment_and_a_line_in_the_log(app: Flask, dead_broker: None, caplog: Any) -> None:
    began = time.monotonic()
    with caplog.at_level(logging.WARNING):
        bells.ring("facts", jobs.map_items)
    cost = time.monotonic() - began

    assert cost < bells.WAIT_SECONDS + 1
    assert "the schedule will ring for map_items" in caplog.text


def test_without_a_broker_statements_are_stored_and_read_all_the_same(company: Company) -> None:
    usual = company.app.extensions["lrs-bridge-broker"]
    bells.init_app(company.app, "redis://127.0.0.1:1")
    try:
        company.post(*STATEMENTS)
        company.run()
    finally:
        company.app.extensions["lrs-bridge-broker"] = usual

    assert some_of(company.report()["E1"], ANN) == ANN


# --- through the queue, for real -----------------------------------------------------------------------------------

BURST = """
from redis import Redis
from rq import Queue
from bridge.app import create_app
from bridge.bells import QUEUES
from bridge.settings import Settings
from bridge.worker import AppWorker

settings = Settings.from_env()
broker = Redis.from_url(settings.redis_url)
worker = AppWorker([Queue(name, connection=broker) for name in QUEUES], connection=broker)
worker.app = create_app(settings)
worker.work(burst=True)
"""


def work_off() -> str:
    """Run a worker in a process of its own until nothing is queued; gives its log."""
    settings = context.settings()
    env = {**os.environ, **settings.to_mapping()}
    done = subprocess.run(
        [sys.executable, "-c", BURST], env=env, capture_output=True, text=True, check=True, timeout=60
    )
    return done.stderr


def test_one_bell_sets_off_the_whole_chain_in_a_worker(company: Company) -> None:
    company.post(*STATEMENTS)
    bells.ring("facts", jobs.load_documents)

    log = work_off()

    db.session.rollback()
    assert "Traceback" not in log
    assert some_of(company.report()["E1"], ANN) == ANN
    assert company.delivered()["rows"] == list(company.report().values())
    assert status.settled(db.session)


def test_no_queue_waits_until_another_is_empty(company: Company) -> None:
    broker = company.app.extensions["lrs-bridge-broker"]
    facts = [Queue("facts", connection=broker).enqueue(time.sleep, 0) for _ in range(3)]
    delivery = Queue("deliveries", connection=broker).enqueue(time.sleep, 0)

    work_off()

    for job in (*facts, delivery):
        job.refresh()
    assert facts[0].ended_at < delivery.ended_at < facts[1].ended_at < facts[2].ended_at


def test_a_job_that_fails_leaves_the_worker_and_the_other_jobs_at_work(company: Company, session: Session) -> None:
    jobs.load_documents()
    session.execute(MappingVersion.__table__.update().values(documents="no JSON"))
    session.commit()
    bells.ring("facts", jobs.map_items)
    bells.ring("facts", jobs.load_documents)  # brings good documents into force again

    company.post(*STATEMENTS)
    work_off()

    db.session.rollback()
    assert some_of(company.report()["E1"], ANN) == ANN
