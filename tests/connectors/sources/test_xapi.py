"""Another LRS as a source: every statement once, also what commits late, and what is voided as a deletion.

The other LRS is our own, on real HTTP; what it never answers is said by `responses`.
"""

import json
import random
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import requests
import responses
import xapi_samples
from flask import Flask
from sqlalchemy import create_engine, text
from sqlalchemy.orm import Session
from werkzeug.serving import make_server
from xapi_samples import statement, voiding

import lrs
from bridge import context
from bridge.app import create_app
from bridge.embedded import Servers
from bridge.settings import Settings
from connectors import ConfigError, Row, Secrets, Source, SourceBroken, SourceRefused, SourceUnavailable, load_source
from connectors.reach import Reach
from connectors.sources import PAGE_SIZE
from lrs import database, store
from lrs.store import Author, Incoming
from lrs.xapi import validation
from lrs.xapi.terms import Term
from lrs.xapi.versions import Version

AUTHOR = Author(1, '{"mbox":"mailto:lrs@example.com"}', Term("agent", "mbox:mailto:lrs@example.com"))
SCORED = "http://adlnet.gov/expapi/verbs/scored"
URL = "https://lrs.example.com/xapi/statements"


class Other:
    """The other LRS, and what can be done to it."""

    def __init__(self, app: Flask, port: int, key: str, secret: str) -> None:
        self.app, self.url, self.key, self.secret = app, f"http://127.0.0.1:{port}/xapi", key, secret

    def post(self, *statements: dict[str, Any]) -> list[str]:
        answer = requests.post(
            f"{self.url}/statements",
            json=list(statements),
            auth=(self.key, self.secret),
            headers={"X-Experience-API-Version": "1.0.3"},
            timeout=10,
        )
        assert answer.status_code == 200, answer.text
        return answer.json()


@pytest.fixture(scope="module")
def other_app(servers: Servers, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Flask]:
    server = create_engine(servers.database_url, isolation_level="AUTOCOMMIT")
    with server.connect() as connection:
        connection.execute(text("create database source_lrs"))
    server.dispose()
    url = server.url.set(database="source_lrs").render_as_string(hide_password=False)
    made = create_app(
        Settings(
            database_url=url,
            redis_url=servers.redis_url,
            data_dir=tmp_path_factory.mktemp("other"),
            public_url="http://other.example.com",
        )
    )
    yield made
    with made.app_context():
        lrs.db.engine.dispose()


@pytest.fixture
def other(other_app: Flask) -> Iterator[Other]:
    with other_app.app_context():
        lrs.db.session.execute(text("truncate statement, mention, reference, term, credential cascade"))
        issued = lrs.credentials.create(lrs.db.session, name="reader", scopes=["all"], secret_key=context.secret_key())
        lrs.db.session.commit()
    server = make_server("127.0.0.1", 0, other_app, threaded=True)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield Other(other_app, server.server_port, issued.key, issued.secret)
    server.shutdown()
    thread.join()
    server.server_close()


class World:
    """What has been stored of a source, as the bridge would."""

    def __init__(self) -> None:
        self.rows: dict[str, list[Row]] = {}
        self.problems: list[Any] = []
        self.state: Any = None
        self.seen = 0

    def pull(self, source: Source, *, pages: int | None = None) -> "World":
        self.problems, self.seen = [], 0
        giving = source.pull(self.state)
        for number, page in enumerate(giving, 1):
            assert len(page.rows) + len(page.problems) <= PAGE_SIZE
            for row in page.rows:
                self.seen += 1
                known = self.rows.setdefault(row.key, [])
                if (row.cursor, row.content_hash, row.deleted) not in {
                    (one.cursor, one.content_hash, one.deleted) for one in known
                }:
                    known.append(row)
            self.problems += page.problems
            self.state = json.loads(json.dumps(page.state))
            if number == pages:
                giving.close()
                break
        return self

    @property
    def alive(self) -> set[str]:
        last = {key: max(rows, key=lambda row: row.cursor) for key, rows in self.rows.items()}
        return {key for key, row in last.items() if not row.deleted}


@pytest.fixture
def world() -> World:
    return World()


@pytest.fixture
def load(tmp_path) -> Callable[..., Source]:
    def make(key: str = "key", secret: str = "s3cret", **keys: Any) -> Source:  # noqa: S107
        document = {
            "kind": "source",
            "name": "practice",
            "type": "xapi",
            "endpoint": "https://lrs.example.com/xapi/",
            "auth": {"type": "basic", "username": key, "password": {"secret": "practice"}},
        } | keys
        document = {name: value for name, value in document.items() if value is not ...}
        return load_source(document, base=tmp_path, reach=Reach(Secrets({"LRS_BRIDGE_SOURCE_PRACTICE": secret})))

    return make


@pytest.fixture
def source(load, other) -> Callable[..., Source]:
    """Make a source on the other LRS."""
    return lambda **keys: load(other.key, other.secret, endpoint=other.url, allow_private=["127.0.0.1"], **keys)


@pytest.fixture
def web():
    with responses.RequestsMock(assert_all_requests_are_fired=False) as mock:
        yield mock


def scored(**changes: Any) -> dict[str, Any]:
    return statement(id=str(uuid.uuid4()), verb={"id": SCORED}, **changes)


# From a real LRS


def test_statements_are_records_as_that_lrs_gives_them(other, source, world):
    [made] = other.post(statement(result={"score": {"scaled": 0.75}, "duration": "PT1H0.1234567S"}))

    world.pull(source())

    [row] = world.rows[made]
    assert row.data["result"] == {"score": {"scaled": 0.75}, "duration": "PT1H0.1234567S"}
    assert row.data["authority"]
    assert row.cursor == (
        datetime.fromisoformat(row.data["stored"])
        .astimezone(UTC)
        .isoformat(timespec="microseconds")
        .replace("+00:00", "Z"),
    )


def test_both_versions_are_spoken(other, source, world):
    [made] = other.post(statement(context={"registration": str(uuid.uuid4())}))

    assert set(world.pull(source(version="2.0.0")).rows) == {made}


def test_only_what_is_asked_for_comes(other, source, world):
    [one] = other.post(scored())
    other.post(statement(), statement())

    assert set(world.pull(source(verb=SCORED)).rows) == {one}
    assert World().pull(source(verb=SCORED, since=(datetime.now(UTC) + timedelta(hours=1)).isoformat())).rows == {}
    assert World().pull(source(activity="http://example.com/other")).rows == {}


def test_many_pages_come_whole_and_a_killed_pull_goes_on(other, source, world):
    made = {key for _ in range(4) for key in other.post(*[statement() for _ in range(400)])}
    world.pull(source(), pages=1)
    assert 0 < len(world.rows) < 1600

    world.pull(source(lookback="0s"))

    assert set(world.rows) == made
    assert {len(rows) for rows in world.rows.values()} == {1}


def test_what_is_read_is_not_read_again_but_for_the_lookback(other, source, world):
    first = other.post(*[statement() for _ in range(30)])
    world.pull(source(lookback="0s"))
    time.sleep(0.01)
    [late] = other.post(statement())

    world.pull(source(lookback="0s"))

    assert set(world.rows) == {*first, late}
    assert world.seen <= 1


def test_statement_that_is_committed_late_is_not_missed(other, source, world):
    """That LRS says up to where nothing is missing, so not even a lookback is needed."""
    other.post(statement())
    with other.app.app_context(), Session(lrs.db.engine) as slow:
        texts, _ = validation.split(xapi_samples.text([statement()]))
        batch = [Incoming(one, validation.validate(bytes(one), Version.ONE)) for one in texts]
        [late] = store.store(database.driver(slow), batch, author=AUTHOR, version=Version.ONE)
        time.sleep(0.01)
        other.post(statement())
        world.pull(source(lookback="0s"))
        assert late not in world.rows
        slow.commit()

    assert late in world.pull(source(lookback="0s")).rows


def test_busy_lrs_is_followed_to_its_last_statement(other, source, world):
    made: list[str] = []
    stop = threading.Event()

    def write(seed: int) -> None:
        dice = random.Random(seed)  # noqa: S311  to make trouble, not secrets
        while not stop.is_set():
            made.extend(other.post(*[statement() for _ in range(dice.randint(1, 60))]))

    writers = [threading.Thread(target=write, args=(seed,)) for seed in range(3)]
    for writer in writers:
        writer.start()
    for turn in range(8):
        world.pull(source(lookback="0s"), pages=1 if turn % 2 else None)
    stop.set()
    for writer in writers:
        writer.join()
    world.pull(source(lookback="0s"))

    assert set(world.rows) == set(made)
    assert {len(rows) for rows in world.rows.values()} == {1}


@pytest.mark.parametrize("asked", [{}, {"verb": SCORED}, {"activity": "http://example.com/activities/1"}])
def test_voided_statement_is_deleted_whatever_is_asked_for(other, source, world, asked):
    made = other.post(*[scored(object={"id": "http://example.com/activities/1"}) for _ in range(3)])
    assert world.pull(source(**asked)).alive == set(made)

    other.post(voiding(made[1]))
    world.pull(source(**asked))

    assert world.alive == {made[0], made[2]}
    assert set(world.rows) == set(made)  # the statement that voids is no record


def test_changed_question_reads_all_again(other, source, world):
    other.post(*[scored() for _ in range(3)])
    world.pull(source(lookback="0s"))

    assert world.pull(source(lookback="0s", verb=SCORED)).seen == 3


def test_past_is_read_by_when_it_was_stored(other, source, world):
    for _ in range(3):
        made = other.post(statement())
        time.sleep(0.01)
    middle = datetime.fromisoformat(world.pull(source()).rows[made[0]][0].cursor[0])
    [(low, high)] = source().slices(middle, None)

    pages = list(source().backfill(low, high, None))

    assert [row.key for page in pages for row in page.rows] == made
    assert [page.rows for page in source(lookback="0s").backfill(low, high, pages[-1].state)] == [()]
    assert [page.rows for page in source().backfill(low - timedelta(days=9), low - timedelta(days=8), None)] == [()]


def test_check_and_sample(other, source):
    made = other.post(*[statement() for _ in range(5)])

    assert {one.name: one.state for one in source().check()} == {
        "login": "ok",
        "statements": "ok",
        "order": "ok",
        "consistency": "ok",
    }
    page = source().sample(2)
    assert len(page.rows) == 2
    assert {row.key for row in page.rows} <= set(made)
    assert page.state is None


def test_check_says_what_is_wrong(other, source, load):
    wrong = load(other.key, "wrong-s3cret", endpoint=other.url, allow_private=["127.0.0.1"])
    [found] = wrong.check()
    assert (found.name, found.state) == ("login", "failed")
    assert "Check the key and secret" in found.text

    assert [(one.name, one.state) for one in source().check()] == [("login", "ok"), ("statements", "warning")]


# What it may say


def test_private_address_is_called_only_by_name(load, world):
    with pytest.raises(SourceRefused, match="allow_private"):
        world.pull(load(endpoint="http://127.0.0.1:9/xapi"))


def test_secret_is_blanked_in_what_is_told(web, load, world):
    web.get(URL, status=403, body="no s3cret for you")

    with pytest.raises(SourceRefused, match="no \\*\\*\\* for you") as caught:
        world.pull(load())

    assert "s3cret" not in str(caught.value)


def test_long_wait_is_left_to_the_caller(web, load, world):
    web.get(URL, status=429, headers={"Retry-After": "3600"})

    with pytest.raises(SourceUnavailable) as caught:
        world.pull(load())

    assert caught.value.retry_after == 3600


@pytest.mark.parametrize(
    ("written", "column", "told"),
    [
        ('{"id": "1", "stored": "2026-01-01T00:00:00Z", "x": "a\\u0000b"}', None, "NUL"),
        ('{"stored": "2026-01-01T00:00:00Z"}', "id", "no id"),
        (
            '{"id": "1", "stored": "2026-01-01T00:00:00Z", "verb": {"id": "http://adlnet.gov/expapi/verbs/voided"}}',
            "object",
            "does not say which",
        ),
    ],
)
def test_unusable_statement_is_told_at_every_pull_and_others_go_on(web, load, world, written, column, told):
    good = '{"id": "2", "stored": "2026-01-01T00:00:01Z"}'
    web.get(URL, body=f'{{"statements": [{written}, {good}], "more": ""}}')
    world.pull(load())
    web.replace(responses.GET, URL, body='{"statements": [], "more": ""}')

    for _ in range(2):
        assert [(one.column, told in one.message) for one in world.problems] == [(column, True)]
        world.pull(load())
    assert set(world.rows) == {"2"}


def test_numbers_that_nothing_can_hold_count_as_missing(web, load, world):
    web.get(
        URL,
        body='{"statements": [{"id": "2", "stored": "2026-01-01T00:00:01Z", "x": 1e999, "y": 99999999999999999999}]}',
    )

    assert world.pull(load()).rows["2"][0].data["x"] is None


def test_lrs_that_promises_nothing_is_read_again_over_the_lookback_and_says_so(web, load, world):
    web.get(URL, body='{"statements": [{"id": "2", "stored": "2026-01-01T12:00:00Z"}], "more": ""}')
    world.pull(load(lookback="5m"))

    world.pull(load(lookback="5m"))

    assert web.calls[-1].request.params["since"] == "2026-01-01T11:55:00.000000Z"
    assert (world.state["watermark"], world.state["lookback_seconds"]) == ("2026-01-01T12:00:00.000000Z", 300)
    assert {one.name: one.state for one in load().check()}["consistency"] == "warning"


def test_voiding_is_asked_for_where_a_filter_leaves_it_out(web, load, world):
    """As our own LRS does not, which gives what refers to a statement that matches."""
    stored = "2026-01-01T12:00:0{}Z"
    kept = {"id": "2", "stored": stored.format(1), "verb": {"id": SCORED}}
    voids = {"id": "3", "stored": stored.format(2), "verb": {"id": xapi_samples.VOIDED}, "object": {"id": "2"}}
    for verb, statements in ((SCORED, [kept]), (xapi_samples.VOIDED, [voids])):
        asked = [responses.matchers.query_param_matcher({"verb": verb}, strict_match=False)]
        web.get(URL, json={"statements": statements, "more": ""}, match=asked)

    world.pull(load(verb=SCORED))

    assert (set(world.rows), world.alive) == ({"2"}, set())


def test_newest_first_is_refused(web, load, world):
    web.get(
        URL,
        body='{"statements": [{"id": "2", "stored": "2026-01-02T12:00:00Z"},'
        ' {"id": "1", "stored": "2026-01-01T12:00:00Z"}]}',
    )

    with pytest.raises(SourceBroken, match="newest first"):
        world.pull(load())
    assert {one.name: one.state for one in load().check()}["order"] == "failed"


@pytest.mark.parametrize(
    ("keys", "path", "told"),
    [
        ({"endpoint": "http://lrs.example.com/xapi"}, ("endpoint",), "Write https://"),
        ({"endpoint": ...}, ("endpoint",), "is missing"),
        (
            {"auth": {"type": "basic", "username": "k", "password": "s3cret"}},
            ("auth", "password"),
            "only its name does",
        ),
        ({"auth": {"type": "oauth"}}, ("auth", "type"), "There are: basic"),
        ({"version": "1.0.4"}, ("version",), "Did you mean '1.0.3'?"),
        ({"verb": "scored"}, ("verb",), "is no IRI"),
        ({"related_activities": True}, ("related_activities",), "Name one in `activity`"),
        ({"lookback": 5}, ("lookback",), "no length of time"),
        ({"since": "x"}, ("since",), "is no time"),
    ],
)
def test_fault_is_told_at_its_key_with_the_remedy(load, keys, path, told):
    with pytest.raises(ConfigError) as caught:
        load(**keys)

    assert caught.value.path == path
    assert told in f"{caught.value.text} {caught.value.remedy}"
