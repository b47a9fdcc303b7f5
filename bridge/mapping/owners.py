"""Whose a metric's value is: one owner, whoever held the record when, or several with shares."""

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from itertools import pairwise
from typing import Protocol

from bridge.mapping import aliases
from bridge.mapping.expressions import Expression
from bridge.mapping.functions import type_of
from bridge.mapping.items import EvaluationError, Item
from bridge.mapping.kinds import Owner, OwnerForm, OwnerKind

MAX_LISTED = 500
"""Entries of a list of owners; each is evaluated by itself."""

_ADDRESS = re.compile(r"(?:mailto:)?[^@\s]+@[^@\s]+", re.IGNORECASE)

Shares = dict[str, float]
"""What part each alias has in a record; together 1. Empty where nobody is the owner."""

Held = Sequence[tuple[datetime, str | None]]
"""Who held a record from when on, in order; None: nobody."""


class Record(Protocol):
    """One version of a record and what is known of those before it."""

    @property
    def source(self) -> str:
        """Whose users its owners are."""

    @property
    def item(self) -> Item:
        """What expressions read."""

    def listed(self, expression: Expression) -> Iterator[Item]:
        """Give an item for each entry of the list that an expression gives. Raises EvaluationError."""

    def held(self, expression: Expression) -> Held:
        """Give what an expression gave in each version up to this one, each from when it was changed to it on.

        Raises EvaluationError.
        """


def shares(owner: Owner, record: Record, occurred_at: datetime) -> Shares:
    """Give the aliases of the owners at a time. Raises EvaluationError."""
    values = owner.values
    match owner.form:
        case OwnerForm.IS:
            found = {record.item.text(values["is"]): 1.0}
        case OwnerForm.AT_THE_TIME:
            found = {_holder(record.held(values["at_the_time"]), occurred_at, before_all=True): 1.0}
        case OwnerForm.BY_HISTORY:
            found = {_holder(_history(values, record), occurred_at, before_all=False): 1.0}
        case OwnerForm.SHARED_BY_TIME:
            found = _shared(values, record)
        case OwnerForm.SPLIT:
            found = _split(values, record)
    merged: Shares = {}
    for name, share in found.items():
        if name is not None and share > 0:
            alias_key = _alias(owner, record, name)
            merged[alias_key] = merged.get(alias_key, 0.0) + share
    whole = math.fsum(merged.values())
    return {alias_key: share / whole for alias_key, share in merged.items()}


def _holder(held: Held, at: datetime, *, before_all: bool) -> str | None:
    """Give the last one to get it until then; with `before_all` it was the first one's before."""
    holder = held[0][1] if held and before_all else None
    for since, name in held:
        if since > at:
            break
        holder = name
    return holder


def _history(values: Mapping[str, Expression], record: Record) -> Held:
    found = []
    for entry in record.listed(values["list"]):
        if (since := entry.moment(values["at"])) is None:
            raise EvaluationError(values["at"], "it gave null, so nobody can tell from when on it was held")
        found.append((since, entry.text(values["owner"])))
    return sorted(found, key=lambda one: one[0])


def _shared(values: Mapping[str, Expression], record: Record) -> dict[str | None, float]:
    """Give the seconds that each held it between two times; of no time at all, the one who held it then."""
    start, end = record.item.moment(values["from"]), record.item.moment(values["to"])
    if start is None or end is None:
        return {}
    if end < start:
        reason = f"it gave {end.isoformat()}, and `from` gave {start.isoformat()}, which is later"
        raise EvaluationError(values["to"], reason)
    held = record.held(values["shared_by_time"])
    if start == end:
        return {_holder(held, end, before_all=True): 1.0}
    found: dict[str | None, float] = {}
    for since, until, name in _spans(held, start, end):
        found[name] = found.get(name, 0.0) + (until - since).total_seconds()
    return found


def _spans(held: Held, start: datetime, end: datetime) -> Iterator[tuple[datetime, datetime, str | None]]:
    times = [start, *(since for since, _ in held[1:]), end]
    for (since, until), (_, name) in zip(pairwise(times), held, strict=True):
        if max(since, start) < min(until, end):
            yield max(since, start), min(until, end), name


def _split(values: Mapping[str, Expression], record: Record) -> dict[str | None, float]:
    found: dict[str | None, float] = {}
    by = values.get("share")
    for entry in record.listed(values["list"]):
        share = 1.0 if by is None else entry.number(by) or 0.0
        if by is not None and share < 0:
            raise EvaluationError(by, f"it gave {share:g}; a share is not negative")
        if (name := entry.text(values["owner"])) is not None:
            found[name] = found.get(name, 0.0) + share
    if by is not None and found and not any(found.values()):
        raise EvaluationError(by, "the shares sum up to 0")
    return found


def _alias(owner: Owner, record: Record, name: str) -> str:
    match owner.kind:
        case OwnerKind.USER:
            return aliases.of_user(record.source, name)
        case OwnerKind.EMAIL:
            if not _ADDRESS.fullmatch(name):
                raise EvaluationError(next(iter(owner.values.values())), f"{name[:60]!r} is no mail address")
            return aliases.of_mbox(name)
        case OwnerKind.EMPLOYEE:
            return aliases.of_employee(name)
        case OwnerKind.ACCOUNT:
            home_page = record.item.text(owner.home_page)
            if home_page is None:
                raise EvaluationError(owner.home_page or "", "it gave null, and an account is one of a platform")
            return aliases.of_account(home_page, name)


def entries(expression: Expression, value: object) -> Sequence[object]:
    """Give the entries of a list that an expression gave; none of null. Raises EvaluationError."""
    if value is None:
        return ()
    if not isinstance(value, list):
        raise EvaluationError(expression, f"it gave {type_of(value)}, a list is expected")
    if len(value) > MAX_LISTED:
        raise EvaluationError(expression, f"it gave a list of {len(value):,}; up to {MAX_LISTED} are read")
    return value
