"""A query to somebody else's database: nothing missed, nothing written, nothing told to the wrong host."""

import itertools
import json
import sqlite3
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psutil
import pytest
import sqlalchemy as sa

from bridge.embedded import Servers
from connectors import ConfigError, Row, Secrets, Source, SourceBroken, SourceRefused, SourceUnavailable, load_source
from connectors.reach import Reach
from connectors.sources import PAGE_SIZE, Page, databases, sql

Load = Callable[..., Source]
NOW = datetime.now(UTC)
"""When the tests were collected: minutes or an hour ago, so for what lies further back alone."""
QUERY = "select id, owner, updated_at from deal"
SELECTING = "select id, updated_at, {} as found from deal"


class World:
    """What has been stored of a source, as the bridge would: by key, cursor and content."""

    def __init__(self) -> None:
        self.versions: dict[str, list[tuple[Any, bytes]]] = {}
        self.rows: dict[str, Row] = {}
        self.problems: list[Any] = []
        self.state: Any = None
        self.swept: set[str] = set()
        self.gone: set[str] = set()
        self.seen = 0
        self.largest = 0

    def take(self, page: Page) -> None:
        self.largest = max(self.largest, len(page.rows) + len(page.problems))
        for row in page.rows:
            self.seen += 1
            known = self.versions.setdefault(row.key, [])
            if (row.cursor, row.content_hash) not in known:
                known.append((row.cursor, row.content_hash))
            if row.key not in self.rows or (row.cursor or ()) >= (self.rows[row.key].cursor or ()):
                self.rows[row.key] = row
        self.problems += page.problems
        if page.state is not None:
            self.state = json.loads(json.dumps(page.state))
        if page.sweep:
            self.swept.update(page.sweep.keys)
            if page.sweep.complete:
                self.gone |= set(self.rows) - self.swept
                self.swept = set()

    def pull(self, source: Source, *, pages: int | None = None) -> "World":
        """Pull, and be killed after so many pages."""
        self.problems = []
        self.seen = 0
        giving = source.pull(self.state)
        for number, page in enumerate(giving, 1):
            self.take(page)
            if number == pages:
                giving.close()
                break
        return self


@pytest.fixture
def world() -> World:
    return World()


@pytest.fixture(scope="module")
def other(servers: Servers) -> Iterator[sa.Engine]:
    """The other's database, on the PostgreSQL of the test session."""
    admin = sa.create_engine(servers.database_url, isolation_level="AUTOCOMMIT")
    with admin.connect() as connection:
        connection.execute(sa.text("create database other_crm"))
    made = sa.create_engine(admin.url.set(database="other_crm"), poolclass=sa.NullPool)
    yield made
    made.dispose()
    with admin.connect() as connection:
        connection.execute(sa.text("drop database other_crm with (force)"))
    admin.dispose()


@pytest.fixture
def deals(other: sa.Engine) -> Iterator[Callable[..., Any]]:
    """Run a statement in the other's database, which has a table of deals."""

    def run(statement: str, **values: Any) -> Any:
        with other.begin() as connection:
            found = connection.execute(sa.text(statement), values)
            return found.fetchall() if found.returns_rows else None

    run(
        "create table deal (id int primary key, owner text, amount numeric, gone boolean default false,"
        " updated_at timestamptz)"
    )
    yield run
    run("drop table deal cascade")


@pytest.fixture
def load(other: sa.Engine, tmp_path: Path) -> Load:
    """Make a source on it; a document's keys as given, and a password by its name."""
    url = other.url.set(drivername="postgresql")
    assert url.username

    def make(**keys: Any) -> Source:
        document = {
            "kind": "source",
            "name": "deals",
            "type": "sql",
            "url": url._replace(password=None).render_as_string(),
            "allow_local": True,
            "password": {"secret": "crm"} if url.password else ...,
            "query": QUERY,
            "key": "id",
            "cursor": {"field": "updated_at"},
        }
        document = {name: value for name, value in (document | keys).items() if value is not ...}
        return load_source(document, base=tmp_path, reach=Reach(Secrets({"LRS_BRIDGE_SOURCE_CRM": url.password or ""})))

    return make


def fill(deals: Callable[..., Any], count: int, *, at: datetime = NOW - timedelta(days=1), every: int = 1) -> None:
    """Write so many deals, `every` of them at one time, a second apart."""
    deals(
        "insert into deal select n, 'ann', n, false, cast(:at as timestamptz) + (n / :every) * interval '1 second'"
        " from generate_series(1, :count) n",
        at=at,
        every=every,
        count=count,
    )


# What is given out


def test_rows_are_json_with_what_names_and_orders_them(deals, load, world):
    deals("insert into deal values (7, 'ann', 12.50, null, '2026-01-31 09:05:00+01')")

    world.pull(load(query="select *, '3 h'::interval as took, array[1, 2] as marks from deal"))

    row = world.rows["7"]
    assert row.data == {
        "id": 7,
        "owner": "ann",
        "amount": 12.5,
        "gone": None,
        "updated_at": "2026-01-31T08:05:00Z",
        "took": 10800.0,
        "marks": [1, 2],
    }
    assert (row.cursor, row.deleted, world.problems) == (("2026-01-31T08:05:00.000000Z",), False, [])


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("null", None),
        ("true", True),
        ("9223372036854775807", 9223372036854775807),
        ("92233720368547758070", 9.223372036854776e19),  # beyond 64 bits
        ("1.0::numeric", 1),
        ("0.1::numeric", 0.1),
        ("'NaN'::numeric", None),
        ("'infinity'::float8", None),
        ("1.0::float8", 1.0),
        ("date '2026-01-31'", "2026-01-31"),
        ("time '09:05'", "09:05:00"),
        ("timestamp '2026-07-01 09:05'", "2026-07-01T07:05:00Z"),  # of the declared zone
        ("timestamptz '2026-07-01 09:05+00'", "2026-07-01T09:05:00Z"),
        ("'6f9619ff-8b86-d011-b42d-00cf4fc964ff'::uuid", "6f9619ff-8b86-d011-b42d-00cf4fc964ff"),
        ("""'{"a": [1, null]}'::jsonb""", {"a": [1, None]}),
        ("'10.0.0.1'::inet", "10.0.0.1"),
        ("'50%:x'::text || ' ' || '12:30'", "50%:x 12:30"),  # neither colon nor per cent is a parameter
    ],
)
def test_every_type_has_its_json(deals, load, world, written, read):
    deals("insert into deal values (1, 'ann', 1, false, now())")

    world.pull(load(query=SELECTING.format(written), timezone="Europe/Berlin"))

    assert world.rows["1"].data["found"] == read
    assert type(world.rows["1"].data["found"]) is type(read)


@pytest.mark.parametrize(
    ("column", "told"),
    [
        ("'x'::bytea", "The column 'found' of deals holds bytes. Leave it out"),
        ("timestamp '2026-01-01'", "holds times without an offset. Add the zone"),
        ("int4range(1, 3)", "which JSON has not. Cast it to a text"),
        ("1 as found, 2", "gives two columns 'found'. Rename one"),
    ],
)
def test_column_that_json_has_not_is_refused_with_its_name(deals, load, world, column, told):
    deals("insert into deal values (1, 'ann', 1, false, now())")

    with pytest.raises(SourceBroken, match=told):
        world.pull(load(query=SELECTING.format(column)))


@pytest.mark.parametrize("ending", [";", " -- the end", "\n;\n"])
def test_query_may_end_as_queries_do(deals, load, world, ending):
    fill(deals, 1)

    assert list(world.pull(load(query=QUERY + ending)).rows) == ["1"]


def test_local_hour_that_never_was_costs_its_row_only(deals, load, world):
    deals("insert into deal values (1, 'ann', 1, false, now()), (2, 'bob', 1, false, now())")
    query = "select id, updated_at, timestamp '2026-03-29 01:30' + id * interval '1 hour' as t from deal"

    world.pull(load(query=query, timezone="Europe/Berlin"))

    assert list(world.rows) == ["2"]
    assert [(one.column, "never was" in one.message) for one in world.problems] == [("t", True)]


# What changed since


def test_changed_rows_come_and_others_do_not(deals, load, world):
    fill(deals, 3000)
    source = load()
    world.pull(source)
    deals("update deal set owner = 'bob', updated_at = now() where id = 5")

    world.pull(source)

    assert (world.rows["5"].data["owner"], len(world.versions["5"])) == ("bob", 2)
    assert world.seen < 1000  # what lay within the lookback, and the change
    assert world.largest <= PAGE_SIZE


def test_more_rows_of_one_time_than_a_page_holds(deals, load, world):
    fill(deals, 5000, every=2500)

    world.pull(load())

    assert len(world.rows) == world.seen == 5000


@pytest.mark.parametrize("pages", [1, 2, 3])
def test_killed_pull_goes_on_behind_the_last_stored_row(deals, load, world, pages):
    fill(deals, 4500, every=2500)
    world.pull(load(), pages=pages)
    seen = world.seen

    world.pull(load())

    assert len(world.rows) == 4500
    assert seen + world.seen == 4500  # nothing twice, within one time too


def test_row_that_was_committed_late_while_a_pull_was_interrupted_is_found(deals, load, world, other):
    """Its time lies before the position, for it was given when its transaction began."""
    now = datetime.now(UTC)
    fill(deals, 3000, at=now - timedelta(seconds=2990))
    with other.connect() as late:
        late.execute(
            sa.text("insert into deal values (9999, 'eve', 1, false, :at)"), {"at": now - timedelta(seconds=400)}
        )
        world.pull(load(), pages=3)
        late.commit()

    world.pull(load())

    assert "9999" in world.rows


@pytest.mark.parametrize("waiting", [{}, {"lookback": "0s"}, {"settle": "0s"}])  # either of the two will do
def test_rows_of_a_transaction_that_is_open_while_we_read_come_later(deals, load, world, other, waiting):
    source = load(cursor={"field": "updated_at", **waiting})
    with other.connect() as late:
        late.execute(sa.text("insert into deal values (1, 'eve', 1, false, now())"))
        deals("insert into deal values (2, 'ann', 1, false, clock_timestamp())")
        world.pull(source)
        assert list(world.rows) == ["2"]
        late.commit()

    assert set(world.pull(source).rows) == {"1", "2"}


def test_without_lookback_and_settle_such_rows_are_lost(deals, load, world, other):
    """So the two above show something."""
    source = load(cursor={"field": "updated_at", "lookback": "0s", "settle": "0s"})
    with other.connect() as late:
        late.execute(sa.text("insert into deal values (1, 'eve', 1, false, now())"))
        deals("insert into deal values (2, 'ann', 1, false, clock_timestamp())")
        world.pull(source)
        late.commit()

    assert list(world.pull(source).rows) == ["2"]


def test_busy_writer_is_followed_to_its_last_word(deals, load, world, other):
    """Rows change, in transactions of all lengths, while pull after pull reads them, some of them killed."""
    fill(deals, 2500, at=datetime.now(UTC) - timedelta(seconds=30), every=100)
    done = threading.Event()

    def write() -> None:
        try:
            with other.connect() as slow, other.connect() as quick:
                for turn in range(60):
                    slow.execute(
                        sa.text("update deal set amount = :n, updated_at = now() where id = :i"),
                        {"n": turn, "i": turn % 7 + 1},
                    )
                    quick.execute(
                        sa.text("update deal set amount = -:n, updated_at = now() where id % 50 = :i"),
                        {"n": turn, "i": turn % 40 + 8},
                    )
                    quick.commit()
                    if turn % 5 == 4:
                        slow.commit()
                slow.commit()
        finally:
            done.set()

    writer = threading.Thread(target=write)
    writer.start()
    source = load(query="select * from deal")
    turn = 0
    while not done.is_set():
        world.pull(source, pages=turn % 3 + 1 if turn % 2 else None)
        turn += 1
    writer.join()
    world.pull(source)
    world.pull(source)

    fresh = pull_again(source)
    assert len(fresh) == 2500
    assert {key: row.data for key, row in world.rows.items()} == {key: row.data for key, row in fresh.items()}
    assert all(len(found) == len(set(found)) for found in world.versions.values())


def pull_again(source: Source) -> dict[str, Row]:
    """Read all of it afresh."""
    return World().pull(source).rows


@pytest.mark.parametrize("cursor", [{"lookback": 0}, {"lookback": 100}, {}])
def test_growing_number_orders_rows(deals, load, world, cursor):
    fill(deals, 2500)
    source = load(query="select id, owner, id * 10 as version from deal", cursor={"field": "version", **cursor})
    world.pull(source, pages=2)
    world.pull(source)
    deals("insert into deal values (2501, 'bob', 1, false, now())")

    world.pull(source)

    assert (len(world.rows), world.rows["2501"].cursor) == (2501, (25010,))
    assert world.seen < 120


def test_several_columns_order_the_versions_of_a_record(deals, load, world):
    fill(deals, 1)
    query = "select id, updated_at, 3 as version from deal"

    world.pull(load(query=query, cursor={"field": ["updated_at", "version"]}))

    assert world.rows["1"].cursor == (
        (NOW - timedelta(days=1) + timedelta(seconds=1)).isoformat().replace("+00:00", "Z"),
        3,
    )


def test_key_of_several_columns_goes_on_within_one_time(deals, load, world):
    fill(deals, 3000, every=10_000)
    query = "select id / 10 as a, 'k' || id % 10 as b, updated_at from deal"
    world.pull(load(query=query, key=["a", "b"]), pages=2)

    world.pull(load(query=query, key=["a", "b"]))

    assert len(world.rows) == 3000
    assert world.seen == 1000


def test_local_hour_that_comes_twice_loses_nothing(deals, load, world):
    """In Berlin clocks went from 03:00 back to 02:00: what is written then sorts before what was written before."""
    source = load(
        query="select id, updated_at at time zone 'Europe/Berlin' as t from deal",
        cursor={"field": "t"},
        timezone="Europe/Berlin",
    )
    deals("insert into deal values (1, 'ann', 1, false, '2025-10-26 00:50:00+00')")  # 02:50 summer time
    world.pull(source)
    deals("insert into deal values (2, 'ann', 1, false, '2025-10-26 01:05:00+00')")  # 02:05 winter time

    assert set(world.pull(source).rows) == {"1", "2"}


def test_state_says_what_status_shows(deals, load, world):
    deals("insert into deal values (1, 'ann', 1, false, '2026-01-31 09:05:00+01')")

    state = world.pull(load(cursor={"field": "updated_at", "lookback": "5m"})).state

    assert (state["watermark"], state["lookback_seconds"]) == ("2026-01-31T08:05:00.000000Z", 300)
    assert "watermark" not in World().pull(load(cursor={"field": "id"})).state


def test_day_as_cursor_reads_its_days_again(deals, load, world):
    source = load(query="select id, updated_at::date as day from deal", cursor={"field": "day"})
    deals("insert into deal values (1, 'ann', 1, false, now())")
    world.pull(source)
    deals("insert into deal values (2, 'ann', 1, false, now())")

    assert set(world.pull(source).rows) == {"1", "2"}


def test_first_pull_begins_where_the_document_says(deals, load, world):
    fill(deals, 100, at=datetime(2025, 6, 1, tzinfo=UTC))

    world.pull(load(cursor={"field": "updated_at", "start": "2025-06-01T00:01:31Z"}))

    assert sorted(map(int, world.rows)) == list(range(91, 101))


def test_start_says_nothing_of_numbers(deals, load, world):
    fill(deals, 1)

    with pytest.raises(SourceBroken, match="Take `start` out"):
        world.pull(load(cursor={"field": "id", "start": "2025-06-01"}))


def test_changed_document_reads_all_again_and_a_longer_lookback_does_not(deals, load, world):
    fill(deals, 1500)
    world.pull(load())

    assert world.pull(load(cursor={"field": "updated_at", "lookback": "20m"})).seen < 1300
    assert world.pull(load(query="select id, updated_at from deal")).seen == 1500


def test_without_a_cursor_all_is_read_and_the_state_comes_last(deals, load, world):
    fill(deals, 2100)
    source = load(cursor=...)
    world.pull(source, pages=2)
    assert world.state is None

    world.pull(source)

    assert (world.seen, world.rows["7"].cursor) == (2100, None)
    assert world.state is not None


def test_past_is_read_beside_the_present_and_goes_on_where_it_was_interrupted(deals, load, world):
    fill(deals, 5000, at=datetime(2025, 6, 1, tzinfo=UTC), every=1500)
    source = load()
    low, high = datetime(2025, 6, 1, 0, 0, 1, tzinfo=UTC), datetime(2025, 6, 1, 0, 0, 3, tzinfo=UTC)
    assert source.slices(low, high) == ((low, high),)

    state, keys = None, []
    for pages in (2, 100):
        for page in itertools.islice(source.backfill(low, high, state), pages):
            state = json.loads(json.dumps(page.state))
            keys += [int(row.key) for row in page.rows]

    assert sorted(keys) == list(range(1500, 4500))
    assert load(cursor=...).slices(low, high) == ()


def test_numbers_have_no_past(deals, load):
    fill(deals, 5)

    with pytest.raises(SourceBroken, match="Its past has no slices"):
        list(load(cursor={"field": "id"}).backfill(NOW - timedelta(days=1), NOW, None))


# What is told


def test_row_without_a_cursor_is_told_at_every_pull(deals, load, world):
    fill(deals, 2)
    deals("insert into deal values (3, 'eve', 1, false, null)")
    source = load()

    for _ in range(2):
        assert set(world.pull(source).rows) == {"1", "2"}
        assert [(one.column, "coalesce(updated_at, ...)" in one.message) for one in world.problems] == [
            ("updated_at", True)
        ]


@pytest.mark.parametrize("cursor", [..., {"field": "updated_at"}])
def test_key_twice_is_a_problem_and_so_is_none(deals, load, world, cursor):
    fill(deals, 3)
    query = "select case id when 1 then null else 2 end as id, now() as updated_at from deal"

    world.pull(load(query=query, cursor=cursor))

    assert list(world.rows) == ["2"]
    assert sorted(one.message[:20] for one in world.problems) == ["The key is empty or ", "The query gives this"]


def test_unusable_rows_are_told_until_they_are_mended_and_many_stop_the_stream(deals, load, world):
    fill(deals, 100, at=NOW - timedelta(days=2))
    query = "select id, updated_at, case when amount < {n} then timestamp '2026-03-29 02:30' end as t from deal"
    source = load(query=query.format(n=3), timezone="Europe/Berlin")

    for _ in range(2):
        assert len(world.pull(source).problems) == 2
    deals("update deal set amount = 5, updated_at = now() where id = 1")
    assert len(world.pull(source).problems) == 1

    with pytest.raises(SourceBroken, match=r"Of 100 rows of deals 30 cannot be used; the first: .*never was"):
        World().pull(load(query=query.format(n=31), timezone="Europe/Berlin"))


def test_new_field_is_told(deals, load, world):
    fill(deals, 1)
    deals("create view seen as select id, updated_at from deal")
    source = load(query="select * from seen")
    world.pull(source)
    deals("drop view seen; create view seen as select id, updated_at, owner from deal")

    world.pull(source)

    assert [(one.column, "new field" in one.message) for one in world.problems] == [("owner", True)]


def test_cursor_that_becomes_another_type_stops_the_stream(deals, load, world):
    fill(deals, 1)
    deals("create view seen as select id, updated_at as at from deal")
    source = load(query="select * from seen", cursor={"field": "at"}, timezone="UTC")
    world.pull(source)
    deals("drop view seen; create view seen as select id, updated_at::timestamp as at from deal")

    with pytest.raises(SourceBroken, match="Reset the source"):
        world.pull(source)


def test_texts_that_sort_otherwise_than_their_times_stop_the_stream(deals, load, world):
    fill(deals, 40, at=datetime(2025, 1, 1, tzinfo=UTC))
    query = "select id, to_char(updated_at + id * interval '1 day', 'DD/MM/YYYY') as t from deal"

    with pytest.raises(SourceBroken, match="do not come in the order"):
        world.pull(load(query=query, cursor={"field": "t", "format": "%d/%m/%Y"}, timezone="UTC"))


@pytest.mark.parametrize(
    ("keys", "error", "told"),
    [
        ({"query": "select nothing from deal"}, SourceRefused, 'column "nothing" does not exist.* Correct `query`'),
        ({"query": 'select id as "ID", updated_at from deal'}, SourceRefused, "Correct `query`"),
        ({"key": "idd"}, SourceRefused, "idd"),
        ({"query": "selec"}, SourceRefused, "syntax error"),
        ({"query": "select * from deals"}, SourceRefused, "does not exist"),
        ({"query": "select id, 1/0 as x, updated_at from deal"}, SourceBroken, "division by zero"),
        (
            {"query": "select id, updated_at, pg_sleep(5) from deal", "timeout": "1s"},
            SourceUnavailable,
            "raise `timeout`",
        ),
        ({"cursor": {"field": "owner"}}, SourceBroken, "The column 'owner' of deals holds texts"),
        ({"deleted": {"type": "flag", "field": "nix", "is": True}}, SourceBroken, "gives no column 'nix'"),
    ],
)
def test_what_the_database_refuses_is_told_in_its_words_with_the_remedy(deals, load, world, keys, error, told):
    fill(deals, 1)

    with pytest.raises(error, match=told):
        world.pull(load(**keys))


@pytest.mark.parametrize("value", ["'infinity'::timestamptz", "'4000-01-01 BC'::date"])
def test_value_that_the_driver_cannot_read_is_told_with_the_remedy(deals, load, world, value):
    fill(deals, 1)

    with pytest.raises(SourceBroken, match=r"Leave such values out in the query, as with nullif\(\)"):
        world.pull(load(query=SELECTING.format(value)))


def test_connection_that_is_cut_is_tried_again_and_goes_on(deals, load, world):
    fill(deals, 5000)
    pages = load().pull(None)
    for _ in range(2):
        world.take(next(pages))
    deals(
        "select pg_terminate_backend(pid) from pg_stat_activity"
        " where datname = current_database() and pid <> pg_backend_pid()"
    )
    with pytest.raises(SourceUnavailable, match="tried again later"):
        next(pages)

    world.pull(load())

    assert (len(world.rows), world.seen) == (5000, 3000)


# Read only


@pytest.mark.parametrize(
    "query",
    [
        "delete from deal returning id, now() as updated_at",
        "with gone as (delete from deal returning id) select id, now() as updated_at from gone",
        "select id, wipe() as x, updated_at from deal",
        "select id, nextval('counter') as x, updated_at from deal",
        "select 1 as id, now() as updated_at) as x; commit; delete from deal; select * from (select 1 as id",
    ],
)
def test_query_that_writes_fails_and_nothing_is_written(deals, load, world, query):
    fill(deals, 1)
    deals("create or replace function wipe() returns int language sql as 'delete from deal returning 1'")
    deals("create sequence if not exists counter")

    with pytest.raises(SourceRefused):
        world.pull(load(query=query))

    assert deals("select count(*) from deal")[0][0] == 1


def test_what_writes_by_a_function_is_said_to_write(deals, load, world):
    fill(deals, 1)
    deals("create or replace function wipe() returns int language sql as 'delete from deal returning 1'")

    with pytest.raises(SourceRefused, match="The query writes, and a source only reads"):
        world.pull(load(query="select id, wipe() as x, updated_at from deal"))


# Deletions


def test_flag_deletes_and_says_so_only_where_it_is_true(deals, load, world):
    fill(deals, 3)
    deals("update deal set gone = true where id = 2")

    world.pull(load(query="select * from deal", deleted={"type": "flag", "field": "gone", "is": True}))

    assert {key: row.deleted for key, row in world.rows.items()} == {"1": False, "2": True, "3": False}


def test_sweep_names_all_records_when_it_is_due(deals, load, world):
    fill(deals, 2500)
    source = load(deleted={"type": "sweep", "every": "1h", "at_most": 0.5})
    world.pull(source)
    deals("delete from deal where id in (3, 2400)")
    assert world.pull(source).gone == set()  # not due yet

    world.state["swept_at"] = (NOW - timedelta(hours=2)).isoformat()
    sweeps = [page.sweep for page in source.pull(world.state) if page.sweep]
    world.pull(source)

    assert world.gone == {"3", "2400"}
    assert {(sweep.number, sweep.at_most, sweep.cursor) for sweep in sweeps} == {
        (sweeps[0].number, 0.5, sweeps[0].cursor)
    }
    assert sweeps[0].cursor > world.rows["2500"].cursor  # a deletion comes after the versions of its record
    assert [sweep.complete for sweep in sweeps] == [False, False, False, True]


def test_interrupted_sweep_begins_anew_under_another_number(deals, load, world):
    fill(deals, 2500)
    source = load(deleted={"type": "sweep"})
    world.pull(source, pages=4)  # three of rows, one of the sweep
    assert world.swept
    world.swept = set()

    sweeps = [page.sweep for page in source.pull(world.state) if page.sweep]

    assert sweeps[-1].complete
    assert sum(len(sweep.keys) for sweep in sweeps) == 2500


def test_without_a_cursor_each_pull_sweeps_but_not_when_rows_could_not_be_read(deals, load, world):
    fill(deals, 1200)
    source = load(cursor=..., deleted={"type": "sweep"})
    world.pull(source)
    deals("delete from deal where id = 7")
    assert world.pull(source).gone == {"7"}

    query = "select case id when 5 then null else id end as id from deal"
    sweeps = [page.sweep for page in load(cursor=..., query=query, deleted={"type": "sweep"}).pull(None) if page.sweep]

    assert not any(sweep.complete for sweep in sweeps)


# Memory


@pytest.mark.slow
def test_two_hundred_thousand_rows_are_read_at_flat_memory(deals, load):
    fill(deals, 200_000, every=1000)
    source = load(query="select id, updated_at, repeat('x', 500) as note from deal")
    next(source.pull(None))  # what is imported and connected once
    before, sizes, count = psutil.Process().memory_info().rss, [], 0
    for page in source.pull(None):
        count += len(page.rows)
        sizes.append(psutil.Process().memory_info().rss)

    assert count == 200_000
    assert max(sizes) - before < 30_000_000


# SQLite, as a second dialect


@pytest.fixture
def file(tmp_path: Path) -> sqlite3.Connection:
    made = sqlite3.connect(tmp_path / "crm.db")
    made.execute("create table deal (id integer primary key, owner text, updated_at text)")
    yield made
    made.close()


LITE = {
    "url": "sqlite:///crm.db",
    "allow_local": ...,
    "timezone": "UTC",
    "cursor": {"field": "updated_at", "format": "%Y-%m-%d %H:%M:%S"},
}


def test_sqlite_file_is_read_with_times_as_texts(file, load, world):
    start = NOW - timedelta(hours=5)
    file.executemany(
        "insert into deal values (?, 'ann', ?)",
        [(n, f"{start + timedelta(seconds=n // 2):%Y-%m-%d %H:%M:%S}") for n in range(2500)],
    )
    file.commit()
    source = load(**LITE)
    world.pull(source, pages=1)
    world.pull(source)
    file.execute("update deal set owner = 'bob', updated_at = datetime('now') where id = 3")
    file.commit()

    world.pull(source)

    assert (len(world.rows), world.rows["3"].data["owner"]) == (2500, "bob")
    assert world.seen < 1300


def test_sqlite_file_is_never_written_nor_made(file, load, world, tmp_path):
    with pytest.raises(SourceRefused):
        world.pull(load(**LITE, query="delete from deal returning id, updated_at"))
    with pytest.raises(SourceUnavailable, match="unable to open"):
        world.pull(load(**LITE | {"url": "sqlite:///nix.db"}))

    assert not (tmp_path / "nix.db").exists()


def test_null_character_costs_its_row(file, load, world):
    file.executemany("insert into deal values (?, ?, '2026-01-01 00:00:00')", [(1, "a\0b"), (2, "b")])
    file.commit()

    world.pull(load(**LITE))

    assert (list(world.rows), [one.column for one in world.problems]) == (["2"], ["owner"])


# The document


@pytest.mark.parametrize(
    ("keys", "path", "told"),
    [
        ({"url": "postgresql://reader:s3cret@db.example.com/crm"}, ("url",), "carries a password"),
        ({"url": "nonsense"}, ("url",), "postgresql://reader@db.example.com"),
        ({"url": 5}, ("url",), "no address of a database"),
        ({"url": "duckdb:///x"}, ("url",), "no way here to keep 'duckdb' from being written to"),
        ({"url": "postgresql://db.example.com/crm?passfile=/etc/x"}, ("url",), "The option 'passfile' may not"),
        ({"url": "postgresql://db.example.com/crm?host=other.example.com"}, ("url",), "folder of a socket"),
        ({"url": "mssql+pyodbc://db.example.com/crm?driver=/tmp/x.so"}, ("url",), "no such value"),
        ({"url": "mssql+pyodbc://db.example.com/crm?driver=x%3BServer=y"}, ("url",), "no such value"),
        ({"url": "postgresql://localhost/crm", "allow_local": False}, ("url",), "allow_local: true"),
        ({"url": "postgresql://127.0.0.2/crm", "allow_local": ...}, ("url",), "allow_local: true"),
        ({"url": "postgresql:///crm", "allow_local": ...}, ("url",), "allow_local: true"),
        ({"url": "postgresql:///crm?host=/run/postgresql", "allow_local": ...}, ("url",), "allow_local: true"),
        ({"url": "sqlite://"}, ("url",), "names no file"),
        ({"allow_local": "yes"}, ("allow_local",), "neither true nor false"),
        ({"password": "s3cret"}, ("password",), "only its name does"),
        ({"cursor": {"field": "x", "lookback": -1}}, ("cursor", "lookback"), "no length of time"),
        ({"cursor": {"field": "x", "format": "%Y-%m-%d %H:%M"}}, ("cursor", "format"), "timezone: UTC"),
        ({"cursor": {"field": "x", "format": "isoo"}}, ("cursor", "format"), "Did you mean"),
        ({"cursor": {"field": "x", "start": "soon"}}, ("cursor", "start"), "is no time"),
        ({"timezone": "Europe/Berlln"}, ("timezone",), "Did you mean 'Europe/Berlin'?"),
        ({"deleted": {"type": "feed"}}, ("deleted", "type"), "There is no type 'feed'"),
        ({"deleted": {"type": "sweep", "at_most": 25}}, ("deleted", "at_most"), "from 0 to 1"),
        ({"query": ...}, ("query",), "The key 'query' is missing"),
    ],
)
def test_fault_is_told_at_its_key_with_the_remedy(load, keys, path, told):
    with pytest.raises(ConfigError) as caught:
        load(**keys)

    assert caught.value.path == path
    assert told in f"{caught.value.text} {caught.value.remedy}"
    assert "s3cret" not in str(caught.value)


def test_name_that_leads_to_this_machine_is_refused(load, world, monkeypatch):
    monkeypatch.setattr("socket.getaddrinfo", lambda *_, **__: [(0, 0, 0, "", ("127.0.0.1", 5432))])

    with pytest.raises(SourceRefused, match="allow_local: true"):
        world.pull(load(url="postgresql://db.example.com/crm", allow_local=...))


def test_missing_driver_is_named(load, world, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "pymysql", None)

    with pytest.raises(SourceRefused, match="pip install 'pymysql'"):
        world.pull(load(url="mysql://reader@192.0.2.1/crm", allow_local=...))


def test_wrong_password_is_refused_and_not_shown(deals, load, world, monkeypatch):
    source = load()
    if source.database.password is None:
        pytest.skip("the server of this session asks for no password")
    wrong = source.reaching(Reach(Secrets({"LRS_BRIDGE_SOURCE_CRM": "s3cret-wrong"})))

    with pytest.raises(SourceRefused, match="Correct the address, the user, the secret") as caught:
        world.pull(wrong)

    assert "s3cret-wrong" not in str(caught.value)


def test_passwords_of_the_environment_are_not_sent(load):
    args = databases._libpq(sa.make_url("postgresql://reader@db.example.com/crm"), "")

    assert args == {"password": "", "passfile": "/nonexistent", "connect_timeout": 10, "sslmode": "require"}
    assert "sslmode" not in databases._libpq(sa.make_url("postgresql://reader@db.example.com/crm?sslmode=disable"), "")


@pytest.mark.parametrize("name", sorted(databases.DIALECTS))
def test_statement_can_be_said_in_every_dialect(load, name):
    """Drivers of other databases are not here, so this is all that can be tried of them."""
    table = sql._table(load(key=["id", "part"]))
    keyset = sql._columns(table, ["updated_at", "id", "part"])
    module = __import__(f"sqlalchemy.dialects.{'mysql' if name == 'mariadb' else name}", fromlist=["dialect"])
    dialect = module.dialect()

    text = str(sql._rows(table).where(sql._after(keyset, [NOW, 5, "x"])).order_by(*keyset).compile(dialect=dialect))

    flat = " ".join(text.split())
    assert "FROM (select id, owner, updated_at from deal )" in flat
    assert flat.count(">") == 5
    assert "order by" in flat.lower()


# Before it is put to work


def test_check_finds_nothing_wrong_where_nothing_is(deals, load):
    fill(deals, 50)

    assert {one.name: one.state for one in load().check()} == {
        "login": "ok",
        "read_only": "ok",
        "clock": "ok",
        "query": "ok",
        "keys": "ok",
        "cursor": "ok",
        "timezone": "ok",
    }


@pytest.mark.parametrize(
    ("keys", "name", "told"),
    [
        ({"query": "select * from nix"}, "login", "does not exist"),
        ({"query": "select id / 2 as id, updated_at from deal"}, "keys", "is there twice"),
        ({"query": "select id, nullif(updated_at, updated_at) as updated_at from deal"}, "cursor", "is empty in some"),
        (
            {"query": "select id, case id when 1 then updated_at end as updated_at from deal"},
            "cursor",
            "is empty in some",
        ),
        (
            {"query": "select id, localtimestamp + interval '2 h' as updated_at from deal", "timezone": "UTC"},
            "timezone",
            "2.0 h in the database's future",
        ),
        ({"query": "select id, localtimestamp as updated_at from deal"}, "query", "`timezone: UTC`"),
    ],
)
def test_check_finds_what_is_wrong(deals, load, keys, name, told):
    fill(deals, 5)

    found = {one.name: one for one in load(**keys).check()}

    assert (found[name].state, told in found[name].text) == ("failed", True)
    assert found[name].remedy


def test_sample_gives_the_newest_rows_and_no_state(deals, load):
    fill(deals, 50)

    page = load().sample(3)

    assert ([row.key for row in page.rows], page.state) == (["50", "49", "48"], None)
