"""All statements or an even sample of them, batch by batch, for whoever looks through history without a position.

A sample is drawn by a hash of the statements' numbers: the same statements each time, spread over all of time.
"""

import uuid
from array import array
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from sqlalchemy import text
from sqlalchemy.orm import Session

from lrs import terms
from lrs.xapi import times
from lrs.xapi.terms import Term

BATCH = 1_000
"""Statements held at once."""

_SAYING = "and exists (select from mention where key = any(cast(:keys as bigint[])) and mention.seq = statement.seq)"
_WHERE = "where statement.seq > :after {saying}"
_COUNT = "select count(*) from statement {where}"
_NEXT = "select seq, id, payload from statement {where} order by seq limit :limit"
_DRAW = """
    select seq from (
        select seq from statement {where} order by hashint8extended(seq, 0), seq limit :size
    ) drawn order by seq
"""
_NEWEST = "select seq, id, payload from statement {where} order by seq desc limit :limit"
_THESE = text("select seq, id, payload from statement where seq = any(cast(:seqs as bigint[])) order by seq")


class Sampled(NamedTuple):
    """A statement as it is stored."""

    seq: int
    id: uuid.UUID
    payload: str


class Selection:
    """Statements stored at or after an instant, and with one of some verbs, where these are given."""

    def __init__(self, session: Session, *, since: datetime | None = None, verbs: Iterable[str] | None = None) -> None:
        self._session = session
        self._values: dict[str, Any] = {"after": _number(since) - 1 if since else -1}
        if verbs is not None:
            found = terms.find(session, [Term("verb", verb) for verb in verbs])
            self._values["keys"] = [terms.direct_key(term_id) for term_id in found.values()]
        self._where = _WHERE.format(saying="" if verbs is None else _SAYING)

    def count(self) -> int:
        """Give how many there are; costs a look at each of their numbers."""
        return int(self._session.scalar(self._text(_COUNT), self._values) or 0)

    def batches(self) -> Iterator[Sequence[Sampled]]:
        """Give all of them, oldest first."""
        values = dict(self._values)
        while batch := self._read(self._text(_NEXT), values | {"limit": BATCH}):
            yield batch
            values["after"] = batch[-1].seq

    def newest(self, size: int) -> Sequence[Sampled]:
        """Give so many of those that came last, the newest first; they are held at once."""
        return self._read(self._text(_NEWEST), self._values | {"limit": size})

    def sample(self, size: int) -> Iterator[Sequence[Sampled]]:
        """Give so many of them, or all if there are no more, oldest first."""
        drawn = array("q", self._session.scalars(self._text(_DRAW), self._values | {"size": size}))
        for start in range(0, len(drawn), BATCH):
            yield self._read(_THESE, {"seqs": drawn[start : start + BATCH].tolist()})

    def _text(self, form: str) -> Any:  # noqa: ANN401 - a text clause
        return text(form.format(where=self._where))

    def _read(self, query: Any, values: dict[str, Any]) -> Sequence[Sampled]:  # noqa: ANN401 - a text clause
        return [Sampled(*row) for row in self._session.execute(query, values)]


def _number(instant: datetime) -> int:
    return (instant - times.EPOCH) // timedelta(microseconds=1)
