"""A hundred differences of every kind at destinations: rows, files, a gradebook, findings, forwarded statements.

`seed` decides what is planted where; a failing test names it.
"""

import json
import random
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import pytest
import shelf as shelves
from canvas_site import TOKEN, URL, CanvasSite
from company import Company, done
from helpdesk import FakeClock
from sqlalchemy import func, select, text
from target_lrs import TargetLrs
from test_forwarding import refusing, voiding, written
from test_reconcile_planted import PLANTED, Planted, reconcile, seeds, shares

from bridge import context, deliveries, documents, health, jobs, publishing, status
from bridge.models import PublishedRow
from bridge.reconcile import forwards, running
from bridge.reconcile.kept import Area
from connectors import OutgoingRow, destinations
from connectors.destinations import findings
from lrs import credentials, db

NUMBER = 150
SYSTEM = "https://bridge.example.com"


def publish(feed: str, count: int, *, first: int = 0, **body: str) -> None:
    """Publish rows of learners, who are known by mail address."""
    columns = ", ".join(f"'{name}', {value}" for name, value in body.items())
    db.session.execute(
        text(f"""
            insert into published_row (feed, key, program, person, body, checksum)
            select :feed, md5(number::text) || '/calm-calls', 'calm-calls',
                jsonb_build_object('accounts', '[]'::jsonb, 'name', 'S ' || number,
                    'emails', jsonb_build_array('s' || number || '@example.com')),
                jsonb_build_object({columns}), md5(number::text) || md5(number::text)
            from generate_series(cast(:first as int), cast(:last as int)) as number
        """),  # noqa: S608 - a test's own words
        {"feed": feed, "first": first, "last": first + count - 1},
    )
    deliveries.mark_due(db.session, feed)
    db.session.commit()


def deliver() -> None:
    for one in deliveries.due(db.session, now=datetime.now(UTC)):
        db.session.commit()
        jobs.deliver(one)


def keys() -> list[str]:
    db.session.rollback()
    return list(db.session.scalars(select(PublishedRow.key).filter_by(feed="records").order_by(PublishedRow.key)))


def compared(name: str) -> tuple[int, int, int, Planted]:
    """Give (agreed, on their way, for a person, what was found), after the next delivery."""
    row, found = reconcile(Area.DELIVERIES, name)
    deliver()
    return row.agreed, row.waiting, row.open, found


# --- rows ------------------------------------------------------------------------------------------------------------


@pytest.fixture
def shelf(company: Company, monkeypatch: pytest.MonkeyPatch) -> shelves.Shelf:
    monkeypatch.setitem(destinations.DESTINATIONS, "shelf", shelves.load)  # type: ignore[arg-type]
    monkeypatch.setattr(shelves.Shelf, "batch", 50)
    company.write("shelf.yaml", "{kind: destination, name: shelf, type: shelf, path: shelf, feeds: [records]}\n")
    jobs.load_documents()
    publish("records", NUMBER, number="number")
    deliver()
    current = documents.current(db.session)
    assert current is not None
    found: Any = documents.destination(current, "shelf", data_dir=context.settings().data_dir)
    return found


@seeds
def test_rows(shelf, session, seed):
    dice = random.Random(seed)  # noqa: S311 - it chooses what differs
    assert compared("shelf") == (NUMBER, 0, 0, set())
    planted = shares(dice, keys(), ("missing", "changed", "stale", "later", "still there", "foreign", "on its way"))
    newest = session.scalar(select(func.max(PublishedRow.version))) or 0  # of a sequence that tests share

    session.execute(
        publishing.burying("held.key = any(cast(:gone as text[]))"), {"feed": "records", "gone": planted["still there"]}
    )
    session.commit()
    deliveries.mark_due(session, "records")
    session.commit()
    deliver()
    for key in planted["missing"]:
        shelf.change("records", key, body=None)
    for key in planted["changed"]:
        shelf.change("records", key, body={"by": "a teacher"})
    for key in planted["stale"]:  # they went back to a backup of theirs
        shelf.change("records", key, version=1, checksum="older")
    for key in planted["later"]:  # we went back to one of ours
        shelf.change("records", key, version=newest + dice.randint(10, 10**6))
    for key in planted["still there"]:
        shelf.change("records", key, deleted=False, body={"number": 1}, sent={"number": 1})
    foreign = [f"x{number}" for number in range(len(planted["foreign"]))]
    for key in foreign:
        shelf.change("records", key, version=3)
    publishing.renew(session, "records", planted["on its way"])  # no difference: the next delivery brings it
    session.commit()

    expected = {("missing there", key) for key in planted["missing"]}
    expected |= {("changed there", key) for key in [*planted["changed"], *planted["stale"]]}
    expected |= {("later there", key) for key in planted["later"]}
    expected |= {("still there", key) for key in planted["still there"]}
    expected |= {("not ours", key) for key in foreign}
    agreed, waiting, open_, found = compared("shelf")
    assert found == expected
    assert (waiting, open_) == (len(planted["on its way"]), 0)
    assert agreed == NUMBER - PLANTED + len(foreign)
    session.rollback()
    there = {
        row.key: row.body for row in session.scalars(select(PublishedRow).filter_by(feed="records", deleted=False))
    }
    assert {key: row["body"] for key, row in shelf.rows("records").items()} == there
    assert compared("shelf") == (len(there), 0, 0, set())


# --- files -----------------------------------------------------------------------------------------------------------


@seeds
def test_files(company, seed):
    names = [f"r{number:03}" for number in range(105)]
    company.write(
        "reports.yaml",
        "---\n".join(
            f"{{kind: report, name: {name}, program: calm-calls, destinations: [folder]}}\n" for name in names
        ),
    )
    company.post(done())
    company.run()
    folder = context.settings().data_dir / "reports"
    good = {path.name: path.read_bytes() for path in folder.iterdir()}
    assert compared("folder") == (106, 0, 0, set())

    dice = random.Random(seed)  # noqa: S311 - as above
    planted = shares(dice, names, ("changed", "cut", "missing", "manifest changed", "manifest missing", "all missing"))
    for name in planted["changed"]:
        data = good[f"{name}.csv"]
        (folder / f"{name}.csv").write_bytes(data.replace(b"E", b"F"))
    for name in planted["cut"]:
        (folder / f"{name}.json").write_bytes(good[f"{name}.json"][:-1])
    for name in planted["missing"]:
        (folder / f"{name}.json").unlink()
    for name in planted["manifest changed"]:
        (folder / f"{name}.manifest.json").write_text("{}")
    for name in planted["manifest missing"]:
        (folder / f"{name}.manifest.json").unlink()
    for name in planted["all missing"]:
        for path in folder.glob(f"{name}.*"):
            path.unlink()
    (folder / "notes.txt").write_text("somebody's own")

    agreed, _, open_, found = compared("folder")

    assert found == {("changed there", name) for names_ in planted.values() for name in names_}
    assert (agreed, open_) == (6, 0)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == good | {"notes.txt": b"somebody's own"}
    assert compared("folder") == (106, 0, 0, set())


# --- a gradebook -----------------------------------------------------------------------------------------------------

CANVAS = f"""\
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
"""


@pytest.fixture
def site(company: Company, monkeypatch: pytest.MonkeyPatch) -> Iterator[CanvasSite]:
    monkeypatch.setenv("LRS_BRIDGE_SOURCE_CANVAS_TOKEN", TOKEN)
    with CanvasSite(FakeClock()).online() as made:
        made.looks = 0  # jobs are done at once: this clock is real
        book = made.course(565)
        for number in range(100, 100 + NUMBER):
            if number % 6:
                made.enrol(book, number)
        company.write("canvas.yaml", CANVAS)
        jobs.load_documents()
        publish("records", NUMBER, first=100, best_score="number / 400.0")
        deliver()
        yield made


@seeds
def test_gradebook(site, session, seed):
    book = site.courses[565]
    in_course = [number for number in range(100, 100 + NUMBER) if number % 6]
    rows = session.execute(text("select (person->'emails'->>0), key from published_row where feed = 'records'"))
    key = {int(mail[1:].split("@")[0]): key for mail, key in rows}
    assert compared("canvas") == (len(in_course), 0, 0, set())
    best = book.column("Best score")
    ledger = next(number for number, one in book.columns.items() if one["hidden"] and (number, 101) in book.data)
    before = {place: words for place, words in book.data.items() if place[0] == best}

    dice = random.Random(seed)  # noqa: S311 - as above
    planted = shares(
        dice, in_course, ("cell edited", "cell gone", "row unknown", "ledger nonsense", "later", "stranger")
    )
    for number in planted["cell edited"]:
        book.data[best, number] = "a teacher's word"
    for number in planted["cell gone"]:
        del book.data[best, number]
    for number in planted["row unknown"]:
        del book.data[ledger, number]
    for number in planted["ledger nonsense"]:
        book.data[ledger, number] = dice.choice(["nonsense", "9" * 19 + book.data[ledger, number]])
    for number in planted["later"]:
        version, rest = book.data[ledger, number].split(" ", 1)
        book.data[ledger, number] = f"{int(version) + 1000} {rest}"
    strangers = {}
    for number in planted["stranger"]:  # a row of nobody that we know stands in a learner's place
        strangers[number] = f"{number:032x}"
        book.data[ledger, number] = " ".join([*book.data[ledger, number].split()[:3], strangers[number]])

    expected = {("changed there", key[number]) for number in [*planted["cell edited"], *planted["cell gone"]]}
    lost = ("row unknown", "ledger nonsense", "stranger")
    expected |= {("missing there", key[number]) for kind in lost for number in planted[kind]}
    expected |= {("later there", key[number]) for number in planted["later"]}
    expected |= {("not ours", f"{stranger}/calm-calls") for stranger in strangers.values()}
    agreed, _, open_, found = compared("canvas")
    assert found == expected
    assert (agreed, open_) == (len(in_course) - PLANTED, 0)
    assert {place: words for place, words in book.data.items() if place[0] == best} == before
    assert compared("canvas") == (len(in_course), 0, 0, set())

    site.delete_column(book, "Best score")
    assert compared("canvas")[3] == {("changed there", key[number]) for number in in_course}
    assert book.cells("Best score") == {number: words for (_, number), words in before.items()}
    assert compared("canvas") == (len(in_course), 0, 0, set())


# --- findings at another LRS -----------------------------------------------------------------------------------------


def post(target: TargetLrs, *statements: dict[str, Any]) -> None:
    """Store statements there, as somebody else does."""
    with target.app.app_context():
        made = credentials.create(db.session, name="else", scopes=["all"], secret_key=context.secret_key())
        db.session.commit()
    answer = target.app.test_client().post(
        "/xapi/statements",
        json=statements,
        auth=(made.key, made.secret),
        headers={"X-Experience-API-Version": "1.0.3"},
    )
    assert answer.status_code == 200, answer.text


def lose(target: TargetLrs, ids: list[str]) -> None:
    """Let the other LRS lose statements, as after a restore of theirs."""
    with target.app.app_context():
        tables = db.session.execute(
            text("""
                select conrelid::regclass::text as name, attname as column from pg_constraint
                join pg_attribute on attrelid = conrelid and attnum = conkey[1]
                where contype = 'f' and confrelid = 'statement'::regclass
            """)
        ).all()
        of = "(select seq from statement where id = any(cast(:ids as uuid[])))"
        for row in tables:
            db.session.execute(text(f"delete from {row.name} where {row.column} in {of}"), {"ids": ids})  # noqa: S608
        db.session.execute(text(f"delete from reference where seq in {of}"), {"ids": ids})  # noqa: S608
        db.session.execute(text("delete from statement where id = any(cast(:ids as uuid[]))"), {"ids": ids})
        db.session.commit()


@seeds
def test_findings(company, target, session, seed):
    company.write(
        "findings.yaml",
        written(target).split("---")[0] + f"feeds: [records]\nsystem: {SYSTEM}\n",
    )
    jobs.load_documents()
    publish("records", NUMBER, program="'calm-calls'", program_title="'Calm'", best_score="0.5", courses="'[]'::jsonb")
    deliver()
    ids = {}
    for id_, one in target.statements().items():
        if marked := findings.mark(json.dumps(one).encode()):
            ids[marked[1].key] = id_
    assert sorted(ids) == keys()
    assert compared("corporate-lrs") == (NUMBER, 0, 0, set())

    dice = random.Random(seed)  # noqa: S311 - as above
    planted = shares(dice, keys(), ("voided", "lost", "not ours"))
    post(target, *(voiding(ids[key]) for key in planted["voided"]))
    lose(target, [ids[key] for key in planted["lost"]])
    foreign = [f"{number:032x}/calm-calls" for number in range(len(planted["not ours"]))]
    person = {"accounts": [], "emails": ["x@example.com"], "name": "X", "idnumber": None, "username": None}
    body = {"program": "calm-calls", "program_title": "Calm", "best_score": 0.1, "courses": []}
    made = [OutgoingRow("records", key, 1, "0" * 64, deleted=False, user=person, body=body) for key in foreign]
    post(target, *(json.loads(findings.statement(row, SYSTEM, None) or b"") for row in made))

    expected = {("missing there", key) for key in [*planted["voided"], *planted["lost"]]}
    expected |= {("not ours", key) for key in foreign}
    agreed, _, open_, found = compared("corporate-lrs")
    assert found == expected
    assert (agreed, open_) == (NUMBER - PLANTED + len(foreign), 0)
    assert compared("corporate-lrs") == (NUMBER, 0, 0, set())


# --- forwarded statements --------------------------------------------------------------------------------------------


@seeds
def test_forwards(company, target, session, seed):
    company.write("forward.yaml", written(target, "match: {verb: http://adlnet.gov/expapi/verbs/completed}"))
    jobs.load_documents()
    statements = [done(f"p{number}") for number in range(NUMBER)]
    company.post(
        *statements, *({**done("x"), "id": str(uuid4()), "verb": {"id": "http://x.example/v"}} for _ in range(30))
    )
    jobs.forward_now("corporate")
    ids = [one["id"] for one in statements]
    assert compared("corporate") == (NUMBER, 0, 0, set())

    dice = random.Random(seed)  # noqa: S311 - as above
    planted = shares(dice, ids, ("lost", "another", "refused"))
    lose(target, [id_ for some in planted.values() for id_ in some])
    by_id = {one["id"]: one for one in statements}
    post(target, *({**by_id[id_], "object": {"id": "http://x.example/other"}} for id_ in planted["another"]))
    post(
        target,
        *(voiding(id_) for id_ in dice.sample(sorted(set(ids) - {i for some in planted.values() for i in some}), 20)),
    )
    target.fault = refusing(*planted["refused"])
    company.post(*(done(f"later{number}") for number in range(7)))  # on their way

    expected = {("missing there", id_) for id_ in planted["lost"]}
    expected |= {("another there", id_) for id_ in planted["another"]}
    expected |= {("refused there", id_) for id_ in planted["refused"]}
    agreed, waiting, open_, found = compared("corporate")
    assert found == expected
    assert (agreed, waiting) == (NUMBER - PLANTED, 7)
    assert open_ == len(planted["another"]) + len(planted["refused"])
    dead = len(planted["refused"])
    assert status.overview(session)["failing_forwards"] == [
        f"corporate: {dead} {'statement' if dead == 1 else 'statements'} refused"
    ]
    current = documents.current(session)
    assert current is not None
    [row] = [one for one in health.rows(session, current, now=datetime.now(UTC)) if one["kind"] == "forward"]
    assert (row["name"], row["state"], row["quarantined"]) == ("corporate", "failing", dead)

    target.fault = None
    jobs.forward_now("corporate", dead=True)
    agreed, waiting, open_, found = compared("corporate")
    assert found == {("another there", id_) for id_ in planted["another"]}  # no LRS replaces one: for a person
    assert (agreed, waiting) == (NUMBER + 7 - len(found), 0)
    assert status.overview(session)["failing_forwards"] == []


def test_of_many_forwarded_statements_the_latest_are_asked_for(company, target, monkeypatch):
    monkeypatch.setattr(forwards, "PAGE", 10)
    monkeypatch.setattr(forwards, "MOST_ASKED", 20)
    company.write("forward.yaml", written(target))
    jobs.load_documents()
    company.post(*(done(f"p{number}") for number in range(50)))
    jobs.forward_now("corporate")

    row, found = reconcile(Area.DELIVERIES, "corporate")

    assert (row.agreed, found) == (20, set())
    assert row.note == "statements to corporate-lrs; the latest 20 statements were looked at, not all"


def test_a_forward_whose_target_is_away_says_so(company, target):
    company.write("forward.yaml", written(target))
    jobs.load_documents()
    company.post(done())
    jobs.forward_now("corporate")
    target.fault = lambda *_: ("503 Service Unavailable", [], b"")

    [row] = running.run([Area.DELIVERIES], names=["corporate"])

    assert "503" in (row.error or "")
    assert any("deliveries corporate" in one for one in status.overview(db.session)["differences"])
