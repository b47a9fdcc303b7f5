"""A few people with their rosters, for tests of who is who; loaded without folders, stored without a file."""

import json
from collections.abc import Mapping
from datetime import date
from hashlib import sha256
from pathlib import Path
from typing import Any

from factories import START
from sqlalchemy import text
from sqlalchemy.orm import Session

from bridge import learners, sources
from bridge.mapping import Identity, load_folders
from connectors import Page, Row

TODAY = date(2026, 10, 1)
LMS = "https://lms.example.com"

SOURCES = "".join(
    f"---\nkind: source\nname: {name}\ntype: csv\npath: a.csv\nkey: [number]\n" for name in ("hr", "crm", "desk")
)
HR = """\
  - source: hr
    learner: row.number
    name: row.name
    valid_from: row.since
    valid_to: row.until
    attributes: {team: row.team, manager: {value: row.manager, from: row.manager_since, to: row.manager_until}}
    aliases:
      - mbox: row.email
      - employee: row.number
      - user: {source: crm, id: row.crm}
"""
DIRECTORIES = """\
  - source: crm
    aliases:
      - user: {source: crm, id: row.id}
      - mbox: row.email
      - employee: row.employee
  - source: desk
    aliases:
      - user: {source: desk, id: row.id}
      - mbox: row.email
      - account: {home_page: "'https://lms.example.com'", name: row.lms}
"""


def identity(folder: Path, rosters: str = HR + DIRECTORIES, *, more: str = "unclaimed: wait") -> Identity:
    """The identity document with these rosters, on sources hr, crm and desk."""
    file = folder / "identity.yaml"
    listed = f"rosters:\n{rosters}" if rosters else ""
    file.write_text(f"kind: identity\nname: people\n{more}\n{listed}{SOURCES}")
    return load_folders([file]).identity


def store(session: Session, source: str, *rows: Mapping[str, Any], key: str = "number") -> None:
    """Store source records as a pull does."""
    made = []
    for data in rows:
        digest = sha256(json.dumps(data, sort_keys=True).encode()).digest()
        made.append(Row(key=str(data[key]), data=dict(data), content_hash=digest, cursor=None, row=1))
    sources.store_page(session, source, Page(rows=tuple(made), problems=(), state=None), started_at=START)


def resolve(session: Session, document: Identity, today: date = TODAY) -> None:
    learners.resolve(session, document, today=today)


def arrive(session: Session, *keys: str, name: str | None = None) -> None:
    """Let aliases come with facts."""
    for key in keys:
        session.execute(text("insert into alias (key, name) values (:key, :name)"), {"key": key, "name": name})


def whose(session: Session) -> dict[str, tuple[str | None, str | None]]:
    """Give (learner, rule) by alias."""
    rows = session.execute(
        text("select alias.key, learner.key, rule from alias left join learner on learner.id = learner_id")
    )
    return {alias: (learner, rule) for alias, learner, rule in rows}


def state(session: Session) -> dict[str, list[tuple[Any, ...]]]:
    """Give all that says who is who, without the numbers of rows."""
    queries = {
        "alias": "select alias.key, learner.key, rule, settled from alias left join learner on learner.id = learner_id",
        "learner": "select key, name, name_key, attributes::text from learner",
        "attribute": """
            select learner.key, one.name, value, valid_from, valid_to
            from learner_attribute one join learner on learner.id = learner_id""",
        "problem": "select subject, text from identity_problem",
        "marks": "select learner_id from stale_learner",
    }
    return {what: sorted(map(tuple, session.execute(text(query)))) for what, query in queries.items()}


def marked(session: Session) -> set[str]:
    """Give the aliases whose records are to be built again, and forget the marks."""
    found = set(session.scalars(text("select alias.key from stale_alias join alias on alias.id = alias_id")))
    session.execute(text("delete from stale_alias"))
    return found
