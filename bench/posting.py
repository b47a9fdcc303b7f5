"""POST of statements, durable, over HTTP to a real web server; against what PostgreSQL alone takes of the same rows.

Measured and reference take turns, so that a change of the machine's mood meets both.
"""

import random
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import count
from typing import Any

from psycopg import pq

from bench import crew, statements
from bench.clients import Client, Target
from bench.crew import Costs
from bench.lines import Bar, Line, Of, percentiles
from bench.machine import resident_megabytes
from bench.stage import Options, Stage
from lrs.xapi import statements as additions
from lrs.xapi import validation
from lrs.xapi.versions import Version

ROUNDS = 3
BATCH = 50
BATCH_CLIENTS = 4
SINGLE_CLIENTS = 8

_STORED = "2026-11-20T12:00:00.000000Z"
_AUTHORITY = (
    '{"objectType":"Agent","name":"bench","account":{"homePage":"http://127.0.0.1:8080","name":"ABCDEFGHabcdefgh"}}'
)
_MARK = "00000000-0000-4000-8000-000000000000"
# The columns of `statement` and nothing else, which is the reference; and with its indexes, to see what these cost.
_BARE, _KEYED = "bare_rows", "keyed_rows"
_TABLES = f"""
    create table {_BARE} (like statement including defaults);
    create table {_KEYED} (like statement including all)
"""
_COPY = "copy {} (seq, id, stored, credential_id, payload) from stdin"
_INSERT = "insert into {} (seq, id, stored, credential_id, payload) values ($1, $2, $3, 1, $4)"


@dataclass
class Counted:
    """What one client did."""

    statements: int = 0
    seconds: float = 0.0
    latencies: list[float] = field(default_factory=list)


def measure_batches(stage: Stage, options: Options) -> list[Line]:
    """POST batches of 50."""
    line = _measure(stage, options, BATCH_CLIENTS, BATCH, _copy)
    what = f"POST, batches of {BATCH}, {BATCH_CLIENTS} clients"
    return [_line(what, "raw COPY of such rows", line, (Bar(6000), Bar(0.35, Of.RATIO)))]


def measure_singles(stage: Stage, options: Options) -> list[Line]:
    """POST statements one by one."""
    line = _measure(stage, options, SINGLE_CLIENTS, 1, _insert)
    what = f"POST, one statement, {SINGLE_CLIENTS} clients"
    return [_line(what, "one-row commits", line, (Bar(0.5, Of.RATIO),))]


@dataclass
class _Rounds:
    rates: list[float] = field(default_factory=list)
    references: list[float] = field(default_factory=list)
    keyed_references: list[float] = field(default_factory=list)
    latencies: list[float] = field(default_factory=list)
    costs: list[str] = field(default_factory=list)
    reference_costs: list[str] = field(default_factory=list)
    memory: list[float] = field(default_factory=list)
    """Of all processes of the web server, in megabytes."""


def _measure(stage: Stage, options: Options, clients: int, batch: int, raw: Callable[..., Counted]) -> _Rounds:
    found, seconds = _Rounds(), options.seconds / ROUNDS
    engine_url = stage.settings("posting").database_url.replace("postgresql+psycopg", "postgresql")
    with stage.web("posting") as web:
        _make_reference_tables(engine_url)
        for _ in range(ROUNDS):
            watch = {"database": stage.database_pid}
            stage.settle()
            counted, _ = crew.run(raw, engine_url, _KEYED, batch, seconds / 2, count=clients)
            found.keyed_references.append(_rate(counted))
            stage.settle()
            counted, costs = crew.run(raw, engine_url, _BARE, batch, seconds, count=clients, watch=watch)
            found.references.append(_rate(counted))
            found.reference_costs.append(_cost(counted, costs))
            stage.settle()
            counted, costs = crew.run(_post, web.target, batch, seconds, count=clients, watch={"web": web.pid} | watch)
            found.rates.append(_rate(counted))
            found.costs.append(_cost(counted, costs))
            found.memory.append(resident_megabytes(web.pid))
            found.latencies += (one for each in counted for one in each.latencies)
    stage.drop("posting")
    return found


def _line(what: str, reference_is: str, found: _Rounds, bars: tuple[Bar, ...]) -> Line:
    return Line(
        what=what,
        measured=sum(found.rates) / ROUNDS,
        unit="statements/s",
        reference=sum(found.references) / ROUNDS,
        reference_is=reference_is,
        bars=bars,
        percentiles=percentiles(found.latencies),
        notes=(
            f"measured, by round: {_each(found.rates)}; reference: {_each(found.references)}",
            f"reference with the indexes of statement: {_each(found.keyed_references)}, ratio {_to_keyed(found):.2f}",
            f"{found.costs[-1]}",
            f"in the reference {found.reference_costs[-1]}",
            f"memory of the web server after each round: {_each(found.memory)} MB",
        ),
    )


def _to_keyed(found: _Rounds) -> float:
    return sum(found.rates) / sum(found.keyed_references)


def _each(rates: list[float]) -> str:
    return ", ".join(f"{rate:,.0f}" for rate in rates)


def _cost(counted: list[Counted], costs: Costs) -> str:
    return f"{costs}; {costs.each(sum(one.statements for one in counted))}"


def _rate(counted: list[Counted]) -> float:
    return sum(one.statements / one.seconds for one in counted)


# --- in the clients' processes --------------------------------------------------------------------------------------


def _post(number: int, target: Target, batch: int, seconds: float) -> Counted:
    rests = _shuffled(statements.as_sent(), number)
    client = Client(target)

    def send() -> None:
        made = [statements.with_id(next(rests)) for _ in range(batch)]
        client.post("/xapi/statements", b"[%b]" % b",".join(made) if batch > 1 else made[0])

    send()
    client.close()
    return _repeat(send, batch, seconds)


def _copy(number: int, url: str, table: str, batch: int, seconds: float) -> Counted:
    rows, connection, seqs = _shuffled(_rows(escaped=True), number), _connect(url), _seqs(number)
    command = _COPY.format(table).encode()

    def send() -> None:
        lines = []
        for before, after in (next(rows) for _ in range(batch)):
            made = str(uuid.uuid4()).encode()
            lines.append(b"%d\t%b\t%b\t1\t%b%b%b\n" % (next(seqs), made, _STORED.encode(), before, made, after))
        _expect(connection.exec_(command), pq.ExecStatus.COPY_IN)
        connection.put_copy_data(b"".join(lines))
        connection.put_copy_end()
        _expect(connection.get_result(), pq.ExecStatus.COMMAND_OK)
        connection.get_result()

    return _repeat(send, batch, seconds)


def _insert(number: int, url: str, table: str, _batch: int, seconds: float) -> Counted:
    rows, connection, seqs = _shuffled(_rows(escaped=False), number), _connect(url), _seqs(number)
    connection.prepare(b"one", _INSERT.format(table).encode())

    def send() -> None:
        made = str(uuid.uuid4()).encode()
        before, after = next(rows)
        values = [b"%d" % next(seqs), made, _STORED.encode(), before + made + after]
        _expect(connection.exec_prepared(b"one", values), pq.ExecStatus.COMMAND_OK)

    return _repeat(send, 1, seconds)


def _repeat(send: Callable[[], None], batch: int, seconds: float) -> Counted:
    """Wait for the others, then send for so long."""
    crew.ready()
    counted, began = Counted(), time.perf_counter()
    now = began
    while now - began < seconds:
        send()
        before, now = now, time.perf_counter()
        counted.latencies.append(now - before)
    counted.statements, counted.seconds = batch * len(counted.latencies), now - began
    return counted


def _shuffled(things: list[Any], seed: int) -> Iterator[Any]:
    """Give them for ever, each client in an order of its own."""
    random.Random(seed).shuffle(things)  # noqa: S311 - nothing here is a secret
    while True:
        yield from things


def _seqs(number: int) -> Iterator[int]:
    """Give numbers that rise and that no other client of this or an earlier round gives."""
    return count(time.time_ns() // 1000 << 8 | number, 1 << 8)


def _rows(*, escaped: bool) -> list[tuple[bytes, bytes]]:
    """Give the payloads that the LRS would store, cut where the id goes; escaped for COPY if asked."""
    made = []
    for rest in statements.as_sent():
        sent = b'{"id":"%b",%b' % (_MARK.encode(), rest)
        prepared = additions.prepare(
            sent,
            validation.validate(sent, Version.ONE),
            statement_id=_MARK,
            authority=_AUTHORITY,
            default_version="1.0.0",
        )
        payload = additions.finish(prepared, _STORED)
        before, _, after = payload.replace("\\", "\\\\" if escaped else "\\").partition(_MARK)
        made.append((before.encode(), after.encode()))
    return made


# libpq itself, without psycopg's layers: the reference shall not be slower for being written in Python.


def _connect(url: str) -> Any:  # noqa: ANN401 - one of libpq's two wrappers, whichever is installed
    connection = pq.PGconn.connect(url.encode())
    if connection.status != pq.ConnStatus.OK:
        raise ConnectionError(connection.error_message.decode())
    return connection


def _expect(result: Any, status: pq.ExecStatus) -> None:  # noqa: ANN401
    if result.status != status:
        raise ConnectionError(result.error_message.decode())


def _make_reference_tables(url: str) -> None:
    _expect(_connect(url).exec_(_TABLES.encode()), pq.ExecStatus.COMMAND_OK)
