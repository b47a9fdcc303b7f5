"""A source that is a query to somebody else's database, which is only read; README.md shows the document.

The query stands as a table in ours: `select * from (query) where (cursor, key) > (...) order by cursor, key`, values
always as bound parameters. All of one pull is one transaction that cannot write, and sees one state of the database
where the database can do that; rows are streamed, so memory stays flat.

This is the one module here that knows SQLAlchemy: it reads the databases of others and keeps no tables.
"""

import copy
import json
import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, ClassVar

import sqlalchemy as sa
from marshmallow import ValidationError, post_load, validates_schema

from connectors import http
from connectors.documents import Document, Key, SourceSchema, StrictSchema, Text, TextList, say, validate
from connectors.errors import ConnectorError, SourceBroken
from connectors.reach import Reach
from connectors.secrets import SecretField, Secrets
from connectors.sources import databases, sql_checks
from connectors.sources.cells import CellError, printable
from connectors.sources.choices import Block, Choice, YesNo
from connectors.sources.codecs import codec
from connectors.sources.columns import stamp_text, zone
from connectors.sources.databases import Address, Database
from connectors.sources.drift import Drift
from connectors.sources.durations import Length, Moment
from connectors.sources.notes import Notes
from connectors.sources.results import Reading, Wanted, key_of
from connectors.sources.rows import PAGE_SIZE, Finding, Page, Row, RowProblem, State, Sweep
from connectors.sources.runner import BAD_ROWS, BAD_SHARE, config_hash
from connectors.sources.streams import BEGINNING, FlagSchema
from connectors.sources.sweeps import Sweeping, SweepSchema
from connectors.sources.tables import RAW_CHARS
from connectors.sources.values import ColumnError, Order, Values, pack, pack_all, unpack

READING = 1
"""Version of the reading: raise it when the same rows would be given otherwise, so that all are read again."""


class _Lookback(Key):
    """A length of time, or a whole number for a cursor that is one."""

    json_schema: ClassVar[Mapping[str, Any]] = {
        "anyOf": [{"type": "integer", "minimum": 0}, Length.json_schema],
    }

    def _deserialize(self, value: Any, *_: Any, **__: Any) -> timedelta | int:  # noqa: ANN401
        if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
            return value
        length: timedelta = Length().deserialize(value)
        return length


class CursorSchema(StrictSchema):
    """`{field: updated_at, format: ..., lookback: 10m, settle: 1m, start: 2025-01-01T00:00:00Z}`."""

    field = TextList(required=True)
    format = Text(load_default=None)
    lookback = _Lookback(load_default=None)
    settle = Length(load_default=timedelta(minutes=1))
    start = Moment(load_default=None)


DELETIONS = {"flag": FlagSchema, "sweep": SweepSchema}
"""The ways to learn of deletions, by the `type` of their blocks."""


class SqlSchema(SourceSchema):
    """The keys of a `type: sql` document."""

    url = Address(required=True)
    password = SecretField(load_default=None)
    allow_local = YesNo()
    query = Text(required=True)
    key = TextList(required=True)
    cursor = Block(CursorSchema, load_default=None)
    timezone = Text(load_default=None)
    timeout = Length(load_default=timedelta(minutes=5))
    deleted = Choice(DELETIONS, load_default=None)

    @validates_schema
    def check_place(self, data: dict[str, Any], **_: object) -> None:
        """Refuse this machine, where our own servers listen, unless it is meant."""
        url: sa.URL = data["url"]
        if url.get_backend_name() == "sqlite":
            if url.host or not url.database or url.database == ":memory:":
                raise ValidationError(say("This names no file.", "Write sqlite:///path/to/file.db."), "url")
            return
        if {"host", "port"} & set(url.query) and (url.host or not str(url.query.get("host", "")).startswith("/")):
            what = "As an option, `host` is the folder of a socket on this machine."
            raise ValidationError(say(what, "Write a host before the database: //reader@host:port/crm."), "url")
        if not data["allow_local"] and (not url.host or http.is_loopback(url.host)):
            raise ValidationError(say(*databases.LOCAL), "url")

    @post_load
    def make(self, data: dict[str, Any], **_: object) -> dict[str, Any]:
        """Add the reading to the keys."""
        cursor, local = data["cursor"], zone(data["timezone"]) if data["timezone"] else None
        return {**data, "zone": local, "order": cursor and _order(cursor, local)}


def _order(cursor: Mapping[str, Any], local: Any) -> Order:  # noqa: ANN401
    lookback = cursor["lookback"]
    try:
        read = codec(cursor["format"], local) if cursor["format"] else None
    except ValidationError as err:
        raise ValidationError({"cursor": {"format": err.messages}}) from err
    return Order(
        zone=local,
        codec=read,
        lookback=lookback if isinstance(lookback, timedelta) else timedelta(minutes=10),
        lookback_numbers=lookback if isinstance(lookback, int) else 1000,
    )


# --- the source ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class SqlSource:
    """The query, and how its rows are read."""

    name: str
    title: str
    every_seconds: int
    database: Database
    query: str
    wanted: Wanted
    settle: timedelta
    """So much is left for the next pull: transactions that are not committed yet."""
    start: datetime | None
    config: str
    """Hash of all that decides what rows come."""
    reach: Reach = field(default_factory=lambda: Reach(Secrets({})))

    def reaching(self, reach: Reach) -> "SqlSource":
        """Give it with secrets and a clock of the caller's."""
        return replace(self, reach=reach)

    def pull(self, state: State | None) -> Iterator[Page]:
        """Give what changed since `state`, a state with every page; without a cursor everything, a state at the end."""
        known: State = copy.deepcopy(state) if state and state.get("config") == self.config else {}
        known["config"] = self.config
        with databases.connected(self.database, self.reach.secrets) as connection:
            yield from _Pull(self, connection, known).pages()

    def began(self, state: State) -> datetime | None:  # noqa: ARG002 - as the protocol has it
        """Give None: pulls read from the beginning, and go on where they were interrupted."""
        return None

    def slices(self, since: datetime | None, until: datetime | None) -> Sequence[tuple[datetime, datetime]]:
        """Give one, which goes on where it was interrupted; none where all is read at each pull."""
        now = self.reach.clock.now()
        since, until = since or self.start or BEGINNING, min(until or now, now)
        return ((since, until),) if self.wanted.order and since < until else ()

    def backfill(self, low: datetime, high: datetime, state: State | None) -> Iterator[Page]:
        """Give what last changed in [low, high); the cursor must be a time."""
        known: State = copy.deepcopy(state) if state and state.get("config") == self.config else {}
        known["config"] = self.config
        with databases.connected(self.database, self.reach.secrets) as connection:
            yield from _Pull(self, connection, known).past(low, high)

    def sample(self, limit: int) -> Page:
        """Give some rows, the last changed where there is a cursor."""
        with databases.connected(self.database, self.reach.secrets) as connection:
            found = connection.execute(_newest(self, limit))
            reading = Reading(self.wanted, list(found.keys()))
            read = [reading.read(row, number) for number, row in enumerate(found, 1)]
        return Page(
            tuple(one for one in read if isinstance(one, Row)),
            tuple(one for one in read if isinstance(one, RowProblem)),
            state=None,
        )

    def check(self) -> Iterator[Finding]:
        """Look at the login, the clock, what the query gives, whether keys name rows and the cursor orders them."""
        try:
            with databases.connected(self.database, self.reach.secrets) as connection:
                yield from sql_checks.findings(
                    self.wanted,
                    connection,
                    newest=_newest(self, PAGE_SIZE),
                    empty=_without_cursor(self).limit(1) if self.wanted.cursor else None,
                    now=self.reach.clock.now(),
                )
        except ConnectorError as err:
            yield Finding("login", "failed", str(err), "Mend that first; nothing else could be tried.")


def load(document: Document, *, base: Path) -> SqlSource:
    """Give the source that a document declares; the path of an SQLite file starts at `base`. Raises ConfigError."""
    data = validate(SqlSchema(), document)
    url, cursor = data["url"], data["cursor"]
    if url.get_backend_name() == "sqlite":
        url = url.set(database=str(base / url.database))
    decisive = ("query", "key", "timezone", "deleted")
    return SqlSource(
        name=data["name"],
        title=data["title"],
        every_seconds=data["every_seconds"],
        database=Database(
            source=data["name"],
            url=url,
            password=data["password"],
            allow_local=data["allow_local"],
            timeout=data["timeout"],
        ),
        query=data["query"],
        wanted=Wanted(
            source=data["name"],
            key=tuple(data["key"]),
            cursor=tuple(cursor["field"]) if cursor else (),
            order=data["order"],
            values=Values(data["zone"]),
            deleted=data["deleted"],
        ),
        settle=cursor["settle"] if cursor else timedelta(0),
        start=cursor and cursor["start"],
        config=config_hash(
            READING,
            # By whom and over what connection it is read does not change the rows.
            [url.get_backend_name(), url.host, url.port, url.database],
            [document.get(key) for key in decisive],
            {key: value for key, value in (document.get("cursor") or {}).items() if key not in ("lookback", "settle")},
        ),
    )


# --- the statements --------------------------------------------------------------------------------------------------


def _table(source: SqlSource) -> sa.Subquery:
    """Give the query as a table; it may end in a comment or a semicolon, and a colon in it is no parameter."""
    query = source.query.strip().rstrip(";").replace(":", "\\:")
    names = dict.fromkeys((*source.wanted.cursor, *source.wanted.key))
    return sa.text(f"{query}\n").columns(*[sa.column(name) for name in names]).subquery("pulled")


def _columns(table: sa.Subquery, names: Sequence[str]) -> list[Any]:
    return [table.c[name] for name in names]


def _rows(table: sa.Subquery) -> sa.Select[Any]:
    return sa.select(sa.literal_column("*")).select_from(table)


def _newest(source: SqlSource, limit: int) -> sa.Select[Any]:
    table = _table(source)
    columns = _columns(table, source.wanted.cursor)
    known = [column.is_not(None) for column in columns]
    return _rows(table).where(*known).order_by(*[column.desc() for column in columns]).limit(limit)


def _without_cursor(source: SqlSource) -> sa.Select[Any]:
    table = _table(source)
    return _rows(table).where(table.c[source.wanted.cursor[0]].is_(None))


def _after(columns: Sequence[Any], values: Sequence[Any]) -> sa.ColumnElement[bool]:
    """Give (a, b) > (x, y) in words that every database knows, and that an index on a helps with."""
    column, value = columns[0], _bound(values[0])
    if len(columns) == 1:
        return sa.and_(column > value)
    return sa.and_(column >= value, sa.or_(column > value, _after(columns[1:], values[1:])))


def _bound(value: Any) -> sa.BindParameter[Any]:  # noqa: ANN401
    """Give a bound parameter; of a time SQLAlchemy must be told whether it has an offset."""
    if isinstance(value, datetime):
        return sa.bindparam(None, value, type_=sa.DateTime(timezone=value.tzinfo is not None))
    return sa.bindparam(None, value)


# --- one pull --------------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class _Pull:
    """One pull. `state` is changed while it goes on; what is given out are copies.

    `reached` is the last value of the first cursor column that was given, but none later than the database's clock
    less `settle`; `watermark` is the time that it stands for. `position` is the last row given by a pull that did not
    come to its end.
    """

    source: SqlSource
    connection: sa.Connection
    state: State
    _number: int = 0
    _bad: int = 0
    _first: RowProblem | None = None
    _before: tuple[Any, ...] | None = None
    """Rank and key of the row before."""
    _high: datetime = field(init=False)
    _notes: Notes = field(init=False)
    _drift: Drift = field(init=False)

    def __post_init__(self) -> None:
        """Take the notes out of the state, where they stay, and the time."""
        self._notes = Notes(self.state.setdefault("notes", {}))
        self._drift = Drift(self.state.setdefault("fields", {}), self._notes, self.source.name)
        self._high = databases.clock(self.connection) - self.source.settle

    def pages(self) -> Iterator[Page]:
        """Give every page."""
        if self.source.wanted.order is None:
            yield from self._whole()
        else:
            yield from self._changed(self.source.wanted.order)
            yield from self._without_cursor()
            if isinstance(self.source.wanted.deleted, Sweeping) and self._is_sweep_due(self.source.wanted.deleted):
                yield from self._sweep(self.source.wanted.deleted)
        self.state["learned"] = bool(self.state.get("fields"))
        yield from self._cut([], list(self._notes.again(self._now())))

    def _changed(self, order: Order) -> Iterator[Page]:
        keyset = self._keyset()
        for last, got, problems in self._between(keyset, [keyset[0].is_not(None), *self._since(order, keyset)]):
            self._move(order, last[0])
            self.state["position"] = {"values": pack_all(last), "high": self._high.isoformat()}
            yield from self._cut(got, problems)
        self.state.pop("position", None)

    def past(self, low: datetime, high: datetime) -> Iterator[Page]:
        """Give what last changed in [low, high), going on behind the last row of an interrupted slice."""
        order, keyset = self.source.wanted.order, self._keyset()
        example = self._example(keyset[0])
        if order is None or example is None:
            return
        try:
            within = [keyset[0] >= _bound(order.like(low, example)), keyset[0] < _bound(order.like(high, example))]
        except ColumnError as err:
            raise SourceBroken(f"The cursor of {self.source.name} {err} Its past has no slices.") from err
        if position := self.state.get("position"):
            within.append(_after(keyset, [unpack(kept) for kept in position]))
        for last, got, problems in self._between(keyset, within):
            self.state["position"] = pack_all(last)
            yield from self._cut(got, problems)

    def _keyset(self) -> list[Any]:
        return _columns(_table(self.source), list(dict.fromkeys((*self.source.wanted.cursor, *self.source.wanted.key))))

    def _between(
        self, keyset: Sequence[Any], within: Sequence[sa.ColumnElement[bool]]
    ) -> Iterator[tuple[list[Any], list[Row], list[RowProblem]]]:
        """Give rows in the order of the keyset, by the page, each with the last row's values of it."""
        wanted = _rows(keyset[0].table).where(*within).order_by(*keyset)
        for found, rows in self._streamed(wanted):
            got, problems = self._read(found, rows)
            last = rows[-1]._mapping  # noqa: SLF001 - SQLAlchemy's public name for it
            yield [last[column.name] for column in keyset], got, problems

    def _example(self, column: Any) -> Any:  # noqa: ANN401
        """Give any value of a column, to see its type by; None when there is none."""
        return self.connection.execute(sa.select(column).where(column.is_not(None)).limit(1)).scalar()

    def _since(self, order: Order, keyset: Sequence[Any]) -> list[sa.ColumnElement[bool]]:
        """Give where to begin: behind the last row of a pull that was interrupted, else before the watermark."""
        if position := self.state.get("position"):
            values = [unpack(kept) for kept in position["values"]]
            if None not in values and order.is_settled(values[0], datetime.fromisoformat(position["high"])):
                return [_after(keyset, values)]
        if "reached" in self.state:
            return [keyset[0] >= _bound(order.earlier(unpack(self.state["reached"])))]
        if self.source.start is None:
            return []
        example = self._example(keyset[0])
        return [] if example is None else [keyset[0] >= _bound(self._start(order, example))]

    def _start(self, order: Order, example: Any) -> Any:  # noqa: ANN401
        try:
            return order.like(self.source.start or self._high, example)
        except ColumnError as err:
            raise SourceBroken(f"The cursor of {self.source.name} {err} Take `start` out.") from err

    def _move(self, order: Order, reached: Any) -> None:  # noqa: ANN401
        """Let the watermark follow, but not into what may still be committed, and not back."""
        at = order.instant(reached)
        if at is not None and at > self._high:
            reached = order.like(self._high, reached)
        kept = unpack(self.state["reached"]) if "reached" in self.state else reached
        try:
            self.state["reached"] = pack(max(kept, reached))
        except TypeError as err:
            what = f"The cursor of {self.source.name} was of type {type(kept).__name__}, now {type(reached).__name__}."
            raise SourceBroken(f"{what} Reset the source, so that all is read again.") from err
        if (newest := order.instant(unpack(self.state["reached"]))) is not None:
            self.state["watermark"] = stamp_text(newest)
            self.state["lookback_seconds"] = order.lookback.total_seconds()

    def _without_cursor(self) -> Iterator[Page]:
        """Tell of rows whose cursor is empty: no pull would ever see them change."""
        first = self.source.wanted.cursor[0]
        message = f"The cursor is empty, so no change of this row would be seen. Write coalesce({first}, ...)."
        problems = []
        for row in self.connection.execute(_without_cursor(self.source).limit(BAD_ROWS)):
            raw = printable(", ".join(map(str, row)), RAW_CHARS)
            problems.append(RowProblem(None, first, message, raw))
        if problems:
            yield from self._cut([], problems)

    def _whole(self) -> Iterator[Page]:
        """Give all rows, and with a sweep all keys; the state comes at the end."""
        table = _table(self.source)
        sweeping = self.source.wanted.deleted if isinstance(self.source.wanted.deleted, Sweeping) else None
        number = uuid.uuid4().hex
        for found, rows in self._streamed(_rows(table).order_by(*_columns(table, self.source.wanted.key))):
            got, problems = self._read(found, rows)
            for page in self._cut(got, problems):
                keys = tuple(row.key for row in page.rows)
                sweep = Sweep(number, keys, complete=False, cursor=None, at_most=sweeping.at_most) if sweeping else None
                yield replace(page, state=None, sweep=sweep)
        if sweeping and not self._bad:
            yield Page((), (), None, Sweep(number, (), complete=True, cursor=None, at_most=sweeping.at_most))

    def _is_sweep_due(self, sweeping: Sweeping) -> bool:
        last = self.state.get("swept_at")
        return last is None or self._now() - datetime.fromisoformat(last) >= sweeping.every

    def _sweep(self, sweeping: Sweeping) -> Iterator[Page]:
        """Name all records that there are, seen in the same state of the database as the rows."""
        if "rank" not in self.state:
            return  # there has been no row yet that could be gone
        number, started = uuid.uuid4().hex, self._now().isoformat()
        rank = self.state["rank"]
        is_number = isinstance(rank[0], int | float)
        cursor = tuple(rank) if is_number else (stamp_text(self._high + self.source.settle), *rank[1:])
        names = self.source.wanted.key
        wanted = sa.select(*_columns(_table(self.source), names))
        for _, rows in self._streamed(wanted):
            keys = tuple(key for row in rows if (key := self._named(row)) is not None)
            yield Page((), (), None, Sweep(number, keys, complete=False, cursor=cursor, at_most=sweeping.at_most))
        self.state["swept_at"] = started
        last = Sweep(number, (), complete=True, cursor=cursor, at_most=sweeping.at_most)
        yield Page((), (), self._copy(), last)

    def _named(self, row: sa.Row[Any]) -> str | None:
        """Give the key of a row of keys; None for one that names no record."""
        try:
            return key_of([self.source.wanted.values.json(value) for value in row])
        except CellError:
            return None

    def _streamed(self, wanted: sa.Select[Any]) -> Iterator[tuple[list[str], Sequence[sa.Row[Any]]]]:
        """Give the names of the columns and some rows at a time, as they come from the server."""
        with self.connection.execute(wanted, execution_options={"yield_per": PAGE_SIZE}) as found:
            names = list(found.keys())
            for rows in found.partitions():
                yield names, rows

    def _read(self, names: list[str], rows: Sequence[sa.Row[Any]]) -> tuple[list[Row], list[RowProblem]]:
        reading = Reading(self.source.wanted, names)
        got: list[Row] = []
        problems: list[RowProblem] = []
        for row in rows:
            self._number += 1
            read = reading.read(row, self._number)
            if isinstance(read, Row):
                read = self._checked(read)
            if isinstance(read, RowProblem):
                self._bad += 1
                self._first = self._first or read
                self._notes.add(f"row {reading.name(row)}", read, self._now())
                problems.append(read)
                continue
            self._notes.mended(f"row {read.key}")
            got.append(read)
            problems += self._drift.notice(read.data, self._now(), learning=not self.state.get("learned"))
        if self._bad >= BAD_ROWS and self._bad > self._number * BAD_SHARE and self._first:
            what = f"Of {self._number} rows of {self.source.name} {self._bad} cannot be used; the first:"
            raise SourceBroken(f"{what} {self._first.message}", row=self._first.row, column=self._first.column)
        return got, problems

    def _checked(self, row: Row) -> Row | RowProblem:
        """Give the row, unless it stands where it should not; equal rows are neighbours, for rows are sorted by key."""
        before, self._before = self._before, (row.cursor, row.key)
        if before == self._before:
            message = "The query gives this key twice. Join less, or add a column to `key`."
            return RowProblem(row.row, self.source.wanted.key[0], message, printable(row.key, RAW_CHARS))
        if before and row.cursor and row.cursor[0] < before[0][0]:
            first = self.source.wanted.cursor[0]
            what = f"The rows of {self.source.name} do not come in the order of the times in {first!r}."
            raise SourceBroken(f"{what} As texts they sort otherwise: cast the column to a timestamp in the query.")
        if row.cursor:
            self.state["rank"] = max(self.state.get("rank", []), list(row.cursor))
        return row

    def _cut(self, rows: list[Row], problems: list[RowProblem]) -> Iterator[Page]:
        """Give pages of PAGE_SIZE at most; the state moves with the last one."""
        while len(rows) + len(problems) > PAGE_SIZE:
            taken, problems = problems[:PAGE_SIZE], problems[PAGE_SIZE:]
            room = PAGE_SIZE - len(taken)
            yield Page(tuple(rows[:room]), tuple(taken), None)
            rows = rows[room:]
        yield Page(tuple(rows), tuple(problems), self._copy())

    def _copy(self) -> State:
        copied: State = json.loads(json.dumps(self.state))
        return copied

    def _now(self) -> datetime:
        return self.source.reach.clock.now()
