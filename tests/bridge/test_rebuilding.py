"""Rebuild: everything derived comes out the same."""

import io

from company import STAFF, Company, done, scored
from rich.console import Console
from sqlalchemy import text

from bridge import checksums, rebuilding
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
