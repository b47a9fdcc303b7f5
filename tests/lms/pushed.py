"""Rows on their way to a Moodle: the documents, the statements, and how both sides are compared row by row."""

import json
from collections.abc import Callable, Sequence
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

from moodle import Moodle

from connectors import Reach
from connectors.destinations.moodle import load
from connectors.secrets import Secrets

Rows = Callable[..., list[tuple[Any, ...]]]
"""Asks our database."""
COURSE = "/course/view.php?id=2"
DONE = "http://adlnet.gov/expapi/verbs/completed"
VOIDED = "http://adlnet.gov/expapi/verbs/voided"
FIRST_ACCOUNT = 100_000
DOCUMENTS = """\
kind: learning
name: by-verb
rules:
  - name: done
    match: {{verb: "{verb}"}}
    fact: completed
    course: object.id
  - name: tested
    match: {{verb: "{verb}"}}
    fact: assessed
    course: object.id
    attempt: statement.id
    score: fraction(result.score)
---
kind: program
name: sales-calls
title: "Better sales calls: Ünïcode & <b>\\"quotes\\"</b>"
courses: ["{moodle}{course}"]
assessments: ["{moodle}{course}"]
completion: {{of: ["{moodle}{course}"]}}
---
kind: destination
name: moodle
type: moodle
url: {url}
site: {moodle}
token: {{secret: moodle-token}}
allow_private: [127.0.0.1]
feeds: [records]
"""


def write_documents(folder: Path, moodle: Moodle, url: str) -> None:
    """Write the documents; rows leave by `url`, which leads to the Moodle."""
    folder.mkdir()
    (folder / "all.yaml").write_text(DOCUMENTS.format(verb=DONE, moodle=moodle.url, course=COURSE, url=url))


def accounts(moodle: Moodle, number: int, *, strangers: int) -> list[int]:
    """Give numbers of people, of whom so many have no account in Moodle; makes those of the others."""
    moodle.execute(
        "insert into mdl_user (id, username, auth, confirmed, mnethostid, password, firstname, lastname, email)"
        " select %s + n, 'pushed' || n, 'manual', 1, 1, 'x', 'Push ' || n, 'Learner', 'pushed' || n || '@example.com'"
        " from generate_series(1, %s) n on conflict do nothing",
        FIRST_ACCOUNT,
        number - strangers,
    )
    return [FIRST_ACCOUNT + one for one in range(1, number + 1)]


def delivered(rows: Rows) -> bool:
    """Tell whether all that is published has been answered for."""
    left = """
        select count(*) from published_row row left join sent_row sent on sent.key = row.key
        where row.feed = 'records' and (sent.version is distinct from row.version)"""
    return rows(left) == [(0,)]


def write_statements(file: Path, statements: Sequence[dict[str, Any]]) -> str:
    """Write statements as a file that `statement import` takes; gives its path."""
    file.write_text("".join(f"{json.dumps(statement)}\n" for statement in statements))
    return str(file)


def statement(site: str, person: int, number: int, score: float) -> dict[str, Any]:
    return {
        "id": f"{number:08x}-0000-4000-8000-{person:012x}",
        "actor": {"name": f"Learner {person}", "account": {"homePage": site, "name": str(person)}},
        "verb": {"id": DONE},
        "object": {"id": f"{site}{COURSE}"},
        "result": {"score": {"raw": score, "min": 0, "max": 100}, "success": score >= 50},
        "timestamp": f"2026-10-{1 + number:02d}T0{person % 9}:15:30Z",
    }


def voiding(one: dict[str, Any]) -> dict[str, Any]:
    return {
        "actor": {"mbox": "mailto:admin@example.com"},
        "verb": {"id": VOIDED},
        "object": {"objectType": "StatementRef", "id": one["id"]},
    }


def assert_both_sides_are_equal(rows: Rows, moodle: Moodle) -> None:
    """Compare row by row: what we published, what Moodle's table has, and what its function says it holds."""
    ours = {
        key: (version, checksum, deleted, body)
        for key, version, checksum, deleted, body in rows(
            "select key, version, checksum, deleted, body from published_row where feed = 'records'"
        )
    }
    accounts = dict(
        rows(
            "select key, (person -> 'accounts' -> 0 ->> 'name')::int from published_row"
            " where feed = 'records' and not deleted"
        )
    )
    known = {number for (number,) in moodle.rows("select id from mdl_user where deleted = 0")}
    theirs = moodle.rows(
        "select rowkey, version, checksum, deleted, userid, program, programtitle, attempts, bestscore, completedat,"
        " nextpractice, url from mdl_local_lrsbridge_record"
    )
    assert len({row[0] for row in theirs}) == len(theirs), "a row stands there twice"
    assert {row[0] for row in theirs} == ours.keys()
    wrong = []
    for key, version, checksum, deleted, userid, *columns in theirs:
        held_version, held_checksum, gone, body = ours[key]
        there = (version, checksum, bool(deleted))
        if there != (held_version, held_checksum, gone):
            wrong.append((key, there, (held_version, held_checksum, gone)))
        elif not gone:
            account = accounts[key]
            expected = [account if account in known else None, *expected_columns(body)]
            if [userid, *columns] != expected:
                wrong.append((key, [userid, *columns], expected))
    assert not wrong, f"{len(wrong)} rows differ, such as {wrong[:3]}"
    held = {row.key: (row.version, row.checksum) for row in destination(moodle).held("records")}
    assert held == {key: row[:2] for key, row in ours.items() if not row[2]}


def expected_columns(body: dict[str, Any]) -> list[Any]:
    score = body["best_score"]
    done = body["completed_at"]
    return [
        body["program"],
        body["program_title"],
        body["attempts"],
        None if score is None else Decimal(str(score)).quantize(Decimal("0.000001")),
        None if done is None else int(datetime.fromisoformat(done).timestamp()),
        body["next_practice"],
        body["url"],
    ]


def destination(moodle: Moodle) -> Any:
    """Give the site without a network in between."""
    document = {
        "kind": "destination",
        "name": "moodle",
        "type": "moodle",
        "url": moodle.url,
        "token": {"secret": "moodle-token"},
        "allow_private": ["127.0.0.1"],
    }
    secrets = Secrets({"LRS_BRIDGE_SOURCE_MOODLE_TOKEN": moodle.site["token"]}, Path("/nowhere"))
    return load(document, base=Path("/")).reaching(Reach(secrets))


def report(text: str) -> None:
    """Say what was measured; shown by `pytest -rP`."""
    print(text)  # noqa: T201
