"""Who is whom, at a million aliases: finding one, a merge, and a roster of 10,000 people that changes.

The aliases are stored in SQL as they come with facts, and settled by the real code. Finding one is measured by the code
that mapping uses, by the noun behind the commands and the API, and by the API itself. The reference is one row by
primary key through the same connection.
"""

import json
import time
from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime
from hashlib import sha256
from typing import Any
from urllib.parse import quote

from sqlalchemy import create_engine, text

from bench.clients import Client
from bench.lines import Bar, Line, percentiles
from bench.machine import resident_megabytes
from bench.stage import Options, Stage
from bridge import access, decisions, identities, learners, people, sources
from bridge.decisions import Author
from bridge.mapping import Identity, load_folders
from connectors import Page, Row
from lrs import db

ALIASES = 1_000_000
PEOPLE = 10_000
"""Rows of the roster, each with three aliases."""
CHANGED = 100
"""Rows of it that change the second time."""
LOOKS = 5_000
BAR_MS = 1.0
TODAY = date(2026, 1, 1)
WORDS = """
kind: identity
name: people
unclaimed: learner
rosters:
  - source: hr
    learner: row.number
    name: row.name
    attributes: {team: row.team}
    aliases:
      - mbox: row.email
      - account: {home_page: "'https://lms.example.com'", name: row.lms}
      - user: {source: crm, id: row.crm}
---
{kind: source, name: hr, type: csv, path: hr.csv, key: [number]}
---
{kind: source, name: crm, type: csv, path: crm.csv, key: [number]}
"""
# By turns what LMSs and CRMs send: accounts, addresses, hashes of addresses that are among them, users of the CRM.
_ALIASES = """
    insert into alias (key, name, named_at)
    select case number % 4
        when 0 then 'account:https://lms.example.com|' || number
        when 1 then 'mbox:mailto:person' || number || '@example.com'
        when 2 then 'openid:https://id.example.com/' || number
        else 'user:crm|' || number end, 'Person ' || number, timestamptz '2026-01-01'
    from generate_series(1, cast(:size as int)) as number
"""

_SOME = text("""
    select key from alias where learner_id is not null and id % 101 = 0 order by md5(key) limit :looks
""")


def measure(stage: Stage, _options: Options) -> list[Line]:
    """Fill, settle, look up, merge, and change a roster."""
    app = stage.app("identity")
    with app.app_context():
        identity = _identity(stage)
        settling = _fill(stage, identity)
        lines = [settling, *_roster(identity), _merge(identity)]
        keys = db.session.scalars(_SOME, {"looks": LOOKS}).all()
        db.session.commit()
        lines += _look_up(keys)
    lines.append(_ask(stage, keys))
    stage.drop("identity")
    return lines


def _identity(stage: Stage) -> Identity:
    file = stage.settings("identity").data_dir / "identity-bench.yaml"
    file.write_text(WORDS)
    return load_folders([file]).identity


def _fill(stage: Stage, identity: Identity) -> Line:
    session = db.session
    session.execute(text(_ALIASES), {"size": ALIASES})
    session.commit()
    _vacuum(stage)
    memory, began = resident_megabytes(), time.perf_counter()
    for _ in learners.read_rosters(session, identity, today=TODAY):
        session.commit()
    while learners.settle(session, identity, today=TODAY):
        session.commit()
    session.execute(text("delete from stale_alias"))
    session.commit()
    seconds = time.perf_counter() - began
    _vacuum(stage)
    return Line(
        what=f"settling {ALIASES:,} new aliases",
        measured=ALIASES / seconds,
        unit="aliases/s",
        notes=(f"in pieces of {identities.BATCH:,}; memory {memory:.0f} to {resident_megabytes():.0f} MB",),
    )


def _roster(identity: Identity) -> list[Line]:
    """Read a roster of new people, then one in which some of them have changed, then the same again."""
    lines = []
    for what, changed in ((f"{PEOPLE:,} rows, new", 0), (f"{PEOPLE:,} rows, {CHANGED} changed", CHANGED)):
        _pull([_person(number, moved=number < changed) for number in range(PEOPLE)])
        moved = _seconds(lambda: _resolve(identity))
        marks = db.session.scalar(text("select count(distinct alias_id) from stale_alias"))
        again = _seconds(lambda: _resolve(identity))
        db.session.execute(text("delete from stale_alias"))
        db.session.commit()
        lines.append(
            Line(
                what=f"roster of {what}",
                measured=moved,
                unit="s",
                reference=again,
                reference_is="s, nothing changed",
                notes=(f"{marks:,} aliases marked",),
            )
        )
    return lines


def _merge(identity: Identity) -> Line:
    """Merge learners of three aliases each, and undo it."""
    taken: list[float] = []
    for number in range(0, 200, 2):
        keep, other = f"E{2 * CHANGED + number}", f"E{2 * CHANGED + number + 1}"
        began = time.perf_counter()
        made = decisions.merge(db.session, identity, keep, other, author=Author("bench"), today=TODAY)
        db.session.commit()
        taken.append(time.perf_counter() - began)
        decisions.undo(db.session, identity, made.id, author=Author("bench"), today=TODAY)
        db.session.commit()
    found = percentiles(taken)
    return Line(what="merging two learners, committed", measured=found.p50, unit="ms", percentiles=found)


def _look_up(keys: Sequence[str]) -> list[Line]:
    """Find aliases that lead to somebody, spread over all, one after the other."""
    session = db.session
    row = text("select key from alias where id = :id")
    numbers = session.scalars(text("select id from alias where key = any(:keys)"), {"keys": list(keys)}).all()
    reference = _each(numbers, lambda number: session.execute(row, {"id": number}).one())
    mapping = _each(keys, lambda key: identities.ids(session, [key]))
    command = _each(keys, lambda key: people.find(session, key))
    session.rollback()
    return [
        _line(f"finding one of {ALIASES:,} aliases, for mapping: p95", mapping, reference),
        _line("  the same, for commands and the API: p95", command, reference),
    ]


def _ask(stage: Stage, keys: Sequence[str]) -> Line:
    with stage.web("identity") as web:
        with stage.app("identity").app_context():
            db.session.execute(
                text("update credential set scopes = cast(:scopes as text[])"), {"scopes": [access.REPORTS]}
            )
            db.session.commit()
        client = Client(web.target)
        paths = [f"/api/v1/learners/{quote(key, safe='')}" for key in keys[: LOOKS // 5]]
        taken = _each(paths, client.get)
        client.close()
    found = percentiles(taken)
    return Line(what="GET /api/v1/learners/<alias>, all of it: p50", measured=found.p50, unit="ms", percentiles=found)


def _line(what: str, taken: Sequence[float], reference: Sequence[float]) -> Line:
    found, least = percentiles(taken), percentiles(reference)
    return Line(
        what=what,
        measured=found.p95,
        unit="ms",
        reference=least.p95,
        reference_is="ms, a row by its number",
        bars=(Bar(BAR_MS, most=True),),
        percentiles=found,
    )


def _each(values: Sequence[Any], work: Callable[[Any], object]) -> list[float]:
    """Give the seconds of each; the first tenth is left out, for what is read from disk then."""
    taken = []
    for value in values:
        began = time.perf_counter()
        work(value)
        taken.append(time.perf_counter() - began)
    return taken[len(taken) // 10 :]


def _seconds(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def _resolve(identity: Identity) -> None:
    for _ in learners.read_rosters(db.session, identity, today=TODAY):
        db.session.commit()
    while learners.settle(db.session, identity, today=TODAY):
        db.session.commit()
    db.session.commit()


def _person(number: int, *, moved: bool) -> dict[str, str]:
    """Give a roster row that claims three of the aliases; one who has moved has the account of somebody else."""
    first = 4 * (number + 1)
    return {
        "number": f"E{number}",
        "name": f"Employee {number}",
        "team": f"Team {number % 50}",
        "lms": str(first + 400_000 if moved else first),
        "email": f"person{first + 1}@example.com",
        "crm": str(first + 3),
    }


def _pull(rows: Sequence[dict[str, str]]) -> None:
    """Store rows as a pull does, a page a transaction."""
    for start in range(0, len(rows), 1_000):
        page = tuple(
            Row(row["number"], row, sha256(json.dumps(row).encode()).digest(), None, 1)
            for row in rows[start : start + 1_000]
        )
        sources.store_page(db.session, "hr", Page(page, (), None), started_at=datetime.now(UTC))
        db.session.commit()


def _vacuum(stage: Stage) -> None:
    engine = create_engine(stage.settings("identity").database_url, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.execute(text("vacuum (analyze)"))
    engine.dispose()
    stage.settle()
