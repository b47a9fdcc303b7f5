"""Finding statements: by id, or by filters in pages.

Each filter is one key of `mention`, whose index has the statements of a key in order. Filters are joined key by key, so
that PostgreSQL may walk the rarest and probe the others. A related filter has two keys (found directly, or only as
related): each way of choosing one key per filter is a branch with its own limit, and the branches are merged.

SQL is put together as text here: building it from objects took three times as long as finding what it asks for. Keys
and bounds go as parameters, and never through a prepared statement: which filter is the rarest differs from key to key.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

from sqlalchemy.orm import Session

from lrs import mine, terms
from lrs.database import driver
from lrs.errors import NotFound
from lrs.horizon import horizon
from lrs.xapi.parameters import Query
from lrs.xapi.terms import Term

_VOIDED = "exists (select from voided_statement where voided_statement.seq = statement.seq)"


@dataclass(frozen=True)
class Page:
    """Some of the statements that a query finds."""

    payloads: list[str]
    """JSON texts as they are stored."""
    next: int | None
    """Where the next page starts: behind this number; None when this is the last."""


def find_one(session: Session, query: Query, *, by: int | None = None) -> str:
    """Give the statement of a statementId (unless voided) or a voidedStatementId (if voided); raises NotFound.

    `by`: only what this credential stored.
    """
    voided = query.voided_statement_id is not None
    statement_id = query.voided_statement_id or query.statement_id
    found = driver(session).execute(
        f"""
        select payload from statement
        where id = %(id)s and {_VOIDED} = %(voided)s and (%(by)s::bigint is null or credential_id = %(by)s)
        """,  # noqa: S608 - no text of a client's
        {"id": statement_id, "voided": voided, "by": by},
    )
    row = found.fetchone()
    if row is None:
        raise NotFound(f"There is no {'voided ' if voided else ''}statement {statement_id}.")
    return str(row[0])


def find(session: Session, query: Query, *, after: int | None = None, by: int | None = None) -> Page:
    """Give a page of what the query finds, newest first, or oldest first when ascending.

    `after`: where the page before ended (`Page.next`). `by`: only what this credential stored.
    Oldest first, nothing is given that something older could still come before: a reader who goes on from the last
    statement seen misses none.
    """
    filters = _filters(query)
    keys = _keys(session, filters)
    if keys is None:
        return Page([], None)
    newest = horizon(session) if query.ascending else None
    rows: list[tuple[int, str]] = []
    while len(rows) <= query.limit:
        more = _rows(session, query, keys, _bounds(query, after, newest), by)
        unseen = mine.hidden(session, [seq for seq, _ in more], filters, by=by) if by and filters and more else ()
        rows += [row for row in more if row[0] not in unseen]
        if len(more) <= query.limit:
            break
        after = more[-1][0]
    return Page(
        [payload for _, payload in rows[: query.limit]], rows[query.limit - 1][0] if rows[query.limit :] else None
    )


def _rows(
    session: Session, query: Query, keys: list[list[int]], bounds: tuple[int | None, int | None], by: int | None
) -> list[tuple[int, str]]:
    """Give number and payload of what is found, one more than a page."""
    values: dict[str, int | None] = {"by": by, "limit": query.limit + 1, "after": bounds[0], "upto": bounds[1]}
    branches = []
    for chosen in product(*keys):
        names = [f"key{len(values) + number}" for number in range(len(chosen))]
        values |= dict(zip(names, chosen, strict=True))
        branches.append(_branch(names, values, ascending=query.ascending))
    direction = _direction(ascending=query.ascending)
    page = f"""
        select statement.seq, payload from ({" union ".join(branches)}) as found join statement using (seq)
        order by found.seq {direction} limit %(limit)s
    """  # noqa: S608 - no text of a client's
    return driver(session).execute(page, values, prepare=False).fetchall()


def _filters(query: Query) -> list[tuple[Term, bool]]:
    """Give each filter's term, and whether it may be only related."""
    return [
        (term, related)
        for term, related in (
            (query.agent, query.related_agents),
            (query.activity, query.related_activities),
            (query.registration, False),
            (query.verb, False),
        )
        if term is not None
    ]


def _keys(session: Session, filters: Sequence[tuple[Term, bool]]) -> list[list[int]] | None:
    """Give each filter's keys; None when a filter names something that no statement mentions."""
    if not filters:
        return []
    ids = terms.find(session, [term for term, _ in filters])
    if len(ids) < len(filters):
        return None
    return [
        [terms.direct_key(ids[term]), terms.related_key(ids[term])] if related else [terms.direct_key(ids[term])]
        for term, related in filters
    ]


def _bounds(query: Query, after: int | None, newest: int | None) -> tuple[int | None, int | None]:
    """Give the numbers between which to look: the lower excluded, the upper included."""
    lower, upper = [query.since], [query.until, newest]
    if after is not None and query.ascending:
        lower.append(after)
    if after is not None and not query.ascending:
        upper.append(after - 1)
    return (
        max((one for one in lower if one is not None), default=None),
        min((one for one in upper if one is not None), default=None),
    )


def _branch(keys: Sequence[str], values: dict[str, Any], *, ascending: bool) -> str:
    """Write the numbers that have all of these keys; `keys` are names of parameters."""
    first, *others = [f"m{number}" for number in range(len(keys))] or ["statement"]
    joins = "".join(f" join mention {other} on {other}.seq = {first}.seq" for other in others)
    if keys:
        joins += f" join statement on statement.seq = {first}.seq"
    # Bounds and order go by the first filter's own column: PostgreSQL carries equality over a join, but no range.
    wanted = [f"not {_VOIDED}", *(f"m{number}.key = %({key})s" for number, key in enumerate(keys))]
    if values["after"] is not None:
        wanted.append(f"{first}.seq > %(after)s")
    if values["upto"] is not None:
        wanted.append(f"{first}.seq <= %(upto)s")
    if values["by"] is not None:
        wanted.append("statement.credential_id = %(by)s")
    return f"""(
        select {first}.seq from {f"mention {first}" if keys else first}{joins} where {" and ".join(wanted)}
        order by {first}.seq {_direction(ascending=ascending)} limit %(limit)s
    )"""  # noqa: S608 - no text of a client's


def _direction(*, ascending: bool) -> str:
    return "asc" if ascending else "desc"
