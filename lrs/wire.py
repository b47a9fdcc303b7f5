"""One SQL function called with whole columns, straight through libpq: one message there, one back.

psycopg's own adaptation asks every element of every list for its type, in Python; for a batch of statements that took
longer than the database did. Here the types are known, and a column is packed at once (PostgreSQL's binary formats:
`array_send`, `uuid_send` and their like).
"""

import struct
from collections.abc import Iterable, Sequence
from enum import IntEnum
from itertools import chain

from psycopg import Connection, OperationalError, errors, pq

_HEADER = struct.Struct("!iiIii")
_length = struct.Struct("!i").pack
_FOUR_BYTES = 4 << 32
_BINARY = 1


class Type(IntEnum):
    """Numbers of PostgreSQL's types (`pg_type.oid`), fixed for ever."""

    BOOL = 16
    BYTEA = 17
    INT8 = 20
    INT4 = 23
    TEXT = 25
    UUID = 2950


_ARRAY_OF = {Type.BOOL: 1000, Type.BYTEA: 1001, Type.INT8: 1016, Type.INT4: 1007, Type.TEXT: 1009, Type.UUID: 2951}


class Column:
    """A PostgreSQL array as it goes over the wire."""

    __slots__ = ("data", "oid")

    def __init__(self, kind: Type, count: int, elements: bytes) -> None:
        self.oid = _ARRAY_OF[kind]
        self.data = _HEADER.pack(1, 0, kind, count, 1) + elements if count else _HEADER.pack(0, 0, kind, 0, 0)[:12]

    @classmethod
    def of_bytes(cls, kind: Type, values: Sequence[bytes]) -> "Column":
        """Pack byte strings: UTF-8 for text, 16 bytes for a uuid."""
        lengths = map(_length, map(len, values))
        return cls(kind, len(values), b"".join(chain.from_iterable(zip(lengths, values, strict=True))))

    @classmethod
    def of_texts(cls, values: Iterable[str]) -> "Column":
        """Pack texts."""
        return cls.of_bytes(Type.TEXT, [value.encode() for value in values])

    @classmethod
    def of_ints(cls, values: Sequence[int]) -> "Column":
        """Pack numbers of 32 bits, 0 or more: each as one of 64 bits, of which the upper half says how long it is."""
        return cls(Type.INT4, len(values), struct.pack(f"!{len(values)}q", *[_FOUR_BYTES | value for value in values]))

    @classmethod
    def of_bools(cls, values: Sequence[bool]) -> "Column":
        """Pack truth values."""
        return cls(Type.BOOL, len(values), b"".join(b"\0\0\0\1\1" if value else b"\0\0\0\1\0" for value in values))


def call(
    connection: Connection[object], query: bytes, number: int, columns: Sequence[Column], *, alone: bool
) -> list[bytes | None]:
    """Give the one row of a query, values as text; its $1 is `number`, $2 `alone`, and from $3 on come the columns.

    Runs in the connection's transaction, which is begun if need be. Alone, on a connection that is in none, it is a
    transaction of its own, committed when this returns: one message in place of three. Raises psycopg's errors.
    """
    server = connection.pgconn
    if server.transaction_status == pq.TransactionStatus.IDLE and not alone:
        _answer(connection, server.exec_(b"begin"))
    answer = server.exec_params(
        query,
        [b"%d" % number, b"t" if alone else b"f", *(column.data for column in columns)],
        [Type.INT8, Type.BOOL, *(column.oid for column in columns)],
        [0, 0, *([_BINARY] * len(columns))],
    )
    _answer(connection, answer)
    return [answer.get_value(0, field) for field in range(answer.nfields)]


def _answer(connection: Connection[object], answer: pq.abc.PGresult) -> None:
    if answer.status in {pq.ExecStatus.COMMAND_OK, pq.ExecStatus.TUPLES_OK}:
        return
    if answer.error_field(pq.DiagnosticField.SQLSTATE) is None:  # not the server's words, but libpq's: it has gone
        raise OperationalError(connection.pgconn.get_error_message())
    raise errors.error_from_result(answer, connection.info.encoding)
