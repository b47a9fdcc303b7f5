"""Rebuild: everything derived comes out the same."""

import io
from datetime import UTC, datetime

from company import STAFF, Company, done, scored
from rich.console import Console
from sqlalchemy import text

from bridge import checksums, decisions, rebuilding
from bridge.decisions import Author
from bridge.mapping import load_folders
from lrs import db


def derived() -> dict[str, str]:
    db.session.rollback()
    return {table: checksums.of_table(db.session, table).sha256 for table in checksums.TABLES}


def test_a_rebuild_gives_the_same_facts_aliases_records_and_figures(company: Company) -> None:
    company.post(done("ann"), scored("ann", 7), scored("bo", 4), done("nobody"))
    company.run()
    before = derived()
    db.session.execute(text("delete from record"))  # even when something has been lost
    db.session.execute(text("update fact set value = 0"))
    db.session.commit()

    rebuilding.rebuild(db.session, console=Console(file=io.StringIO()))

    assert derived() == before


def test_history_that_came_in_pieces_equals_history_read_at_once(company: Company) -> None:
    for statement in (scored("bo", 4), done("ann"), scored("ann", 7)):
        company.post(statement)
        company.run()
    company.staff(STAFF[::-1])
    company.run()
    in_pieces = derived()

    rebuilding.rebuild(db.session, console=Console(file=io.StringIO()))

    assert derived() == in_pieces


def test_a_rebuild_gives_the_same_people_and_keeps_what_was_decided(company: Company) -> None:
    company.post(done("ann"), done("bo"), done("nobody"))
    company.run()
    identity = load_folders([company.folder]).identity
    decisions.merge(db.session, identity, "E1", "E2", author=Author("ada"), today=datetime.now(UTC).date())
    db.session.commit()
    company.work()
    before, report = derived(), company.report()
    db.session.execute(text("update alias set learner_id = null, rule = null"))  # even when something has been lost
    db.session.execute(text("update learner set name = 'X', attributes = '{}'"))
    db.session.execute(text("update roster_row set learner_key = 'E7'"))
    db.session.execute(text("delete from learner_attribute"))
    db.session.execute(text("delete from claim"))
    db.session.commit()

    rebuilding.rebuild(db.session, console=Console(file=io.StringIO()))

    assert (derived(), company.report()) == (before, report)
    assert set(report) == {"E1"}
