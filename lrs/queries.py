"""Finding statements: by id, or by filters in pages.

Each filter is one key of `mention`, whose index has the statements of a key in order. Filters are joined key by key, so
that PostgreSQL may walk the rarest and probe the others. A related filter has two keys (found directly, or only as
related): each way of choosing one key per filter is a branch with its own limit, and the branches are merged.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product

from sqlalchemy import ColumnElement, Select, UnaryExpression, exists, not_, select, union
from sqlalchemy.orm import InstrumentedAttribute, Session, aliased

from lrs import terms
from lrs.errors import NotFound
from lrs.horizon import horizon
from lrs.models import VOIDED_STATEMENT, Mention, Statement
from lrs.xapi.parameters import Query
from lrs.xapi.terms import Term


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
    found = session.scalar(
        select(Statement.payload).where(
            Statement.id == statement_id, _voided() if voided else not_(_voided()), *_stored_by(by)
        )
    )
    if found is None:
        raise NotFound(f"There is no {'voided ' if voided else ''}statement {statement_id}.")
    return found


def find(session: Session, query: Query, *, after: int | None = None, by: int | None = None) -> Page:
    """Give a page of what the query finds, newest first, or oldest first when ascending.

    `after`: where the page before ended (`Page.next`). `by`: only what this credential stored.
    Oldest first, nothing is given that something older could still come before: a reader who goes on from the last
    statement seen misses none.
    """
    keys = _keys(session, query)
    if keys is None:
        return Page([], None)
    lower, upper = _bounds(query, after, horizon(session) if query.ascending else None)
    found = [_branch(chosen, lower, upper, by, query) for chosen in product(*keys)]
    rows = session.execute(_page(found, query)).all()
    payloads = [payload for _, payload in rows[: query.limit]]
    return Page(payloads, rows[query.limit - 1].seq if len(rows) > query.limit else None)


def _keys(session: Session, query: Query) -> list[list[int]] | None:
    """Give each filter's keys; None when a filter names something that no statement mentions."""
    filters: list[tuple[Term, bool]] = [
        (term, related)
        for term, related in (
            (query.agent, query.related_agents),
            (query.activity, query.related_activities),
            (query.registration, False),
            (query.verb, False),
        )
        if term is not None
    ]
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


def _page(branches: Sequence[Select[int]], query: Query) -> Select[int, str]:
    found = (union(*branches) if len(branches) > 1 else branches[0]).subquery()
    return (
        select(Statement.seq, Statement.payload)
        .join(found, found.c.seq == Statement.seq)
        .order_by(_ordered(found.c.seq, query))
        .limit(query.limit + 1)
    )


def _branch(keys: Sequence[int], lower: int | None, upper: int | None, by: int | None, query: Query) -> Select[int]:
    mentions = [aliased(Mention) for _ in keys]
    # Bounds and order go by the first filter's own column: PostgreSQL carries equality over a join, but no range.
    seq = mentions[0].seq if mentions else Statement.seq
    branch = select(seq.label("seq")).select_from(mentions[0] if mentions else Statement)
    if mentions:
        branch = branch.join(Statement, Statement.seq == seq)
    for mention in mentions[1:]:
        branch = branch.join(mention, mention.seq == seq)
    branch = branch.where(not_(_voided()), *(mention.key == key for mention, key in zip(mentions, keys, strict=True)))
    if lower is not None:
        branch = branch.where(seq > lower)
    if upper is not None:
        branch = branch.where(seq <= upper)
    return branch.where(*_stored_by(by)).order_by(_ordered(seq, query)).limit(query.limit + 1)


def _ordered(seq: ColumnElement[int] | InstrumentedAttribute[int], query: Query) -> UnaryExpression[int]:
    return seq.asc() if query.ascending else seq.desc()


def _voided() -> ColumnElement[bool]:
    return exists().where(VOIDED_STATEMENT.c.seq == Statement.seq)


def _stored_by(credential_id: int | None) -> list[ColumnElement[bool]]:
    return [] if credential_id is None else [Statement.credential_id == credential_id]
