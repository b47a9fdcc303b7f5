"""Rebuild: everything derived comes out the same."""

import io

from company import STAFF, Company, done, scored
from rich.console import Console
from sqlalchemy import text

from bridge import rebuilding
from lrs import db

DERIVED = {
    "fact": """select alias.key, occurred_at, kind, metric, value, success, activity, course, attempt, rule,
        statement_seq, record_id, version_id from fact join alias on alias.id = alias_id order by 1, 2, 3, 4, 10, 11""",
    "alias": """select alias.key, learner.key, alias.name from alias left join learner on learner.id = learner_id
        order by 1""",
    "record": """select learner.key, program, enrolled_at, attempts, completed_at, best_score, last_activity_at
        from record join learner on learner.id = learner_id order by 1, 2""",
    "record_metric": """select learner.key, metric, before_mean, before_count, since_mean, since_count
        from record_metric join record on record.id = record_id join learner on learner.id = learner_id
        order by 1, 2""",
}


def derived() -> dict[str, list[tuple[object, ...]]]:
    db.session.rollback()
    return {table: [tuple(row) for row in db.session.execute(text(query))] for table, query in DERIVED.items()}


def test_a_rebuild_gives_the_same_facts_aliases_records_and_figures(company: Company) -> None:
    company.post(done("ann"), scored("ann", 7), scored("bo", 4), done("nobody"))
    company.run()
    before = derived()
    assert all(before.values())
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
