"""Quarantine: what the rules in force could not evaluate, and the raw items it is about.

An item stands here once for each rule that failed on it; it leaves when the rule or the source record is changed so
that it can be read. Nothing else waits for it: the item's other rules have gone on.
"""

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import text
from sqlalchemy.orm import Session

from bridge.errors import UnknownName
from bridge.times import exact_text

_COUNTED = """
    with counted_quarantine as (
        select quarantine.* from quarantine join rule on rule.id = quarantine.rule_id and rule.state = 'active'
        where rule.kind <> 'learning'
            or not exists (select from voided_statement voided where voided.seq = quarantine.origin)
    )
"""
"""What rules in force failed on, without voided statements: their facts would not count either."""

_COUNT = text(f"{_COUNTED} select count(*) from counted_quarantine")  # noqa: S608 - a constant

_GROUPS = text(f"""{_COUNTED}
    select rule.id as rule_id, rule.document || '/' || rule.name as rule, expression, reason, count(*) as items
    from counted_quarantine quarantine join rule on rule.id = quarantine.rule_id
    where cast(:rule as text) is null or rule.document || '/' || rule.name = :rule
    group by 1, 2, 3, 4 order by items desc, 2, 3, 4 limit :limit
""")  # noqa: S608 - a constant

_ITEMS = text(f"""{_COUNTED}
    select wanted.place, statement.id as statement, statement.payload, record.source, record.key,
        held.version_id as version, version.pulled_at, version.data
    from unnest(cast(:rules as integer[]), cast(:expressions as text[]), cast(:reasons as text[]))
        with ordinality as wanted (rule_id, expression, reason, place)
    join rule on rule.id = wanted.rule_id
    cross join lateral (
        select origin, version_id from counted_quarantine
        where rule_id = wanted.rule_id and expression = wanted.expression and reason = wanted.reason
        order by origin limit :limit
    ) held
    left join statement on rule.kind = 'learning' and statement.seq = held.origin
    left join source_record record on rule.kind = 'performance' and record.id = held.origin
    left join source_record_version version on version.id = held.version_id
    order by wanted.place, held.origin
""")  # noqa: S608 - a constant

_RULES = text("select document || '/' || name from rule where state = 'active'")


@dataclass(frozen=True, slots=True)
class Held:
    """An item that a rule failed on: a statement, or a version of a source record."""

    statement: str | None
    source: str | None
    key: str | None
    version: int | None
    pulled_at: str | None
    raw: dict[str, Any]

    def told(self, *, raw: bool) -> dict[str, Any]:
        """Give it as JSON types, with or without its content."""
        if self.statement is not None:
            named: dict[str, Any] = {"statement": self.statement}
        else:
            named = {"source": self.source, "key": self.key, "version": self.version, "pulled_at": self.pulled_at}
        return named | ({"raw": self.raw} if raw else {})


@dataclass(frozen=True, slots=True)
class Group:
    """Items on which one expression of one rule failed for one reason."""

    rule: str
    """`document/rule`."""
    expression: str
    reason: str
    items: int
    """How many there are; `listed` are the first of them."""
    rule_id: int = field(repr=False)
    listed: Sequence[Held] = ()


def count(session: Session) -> int:
    """Give how often rules in force failed on what counts: the sum over all groups."""
    return int(session.scalar(_COUNT) or 0)


def groups(session: Session, *, rule: str | None = None, limit: int = 100) -> list[Group]:
    """Give what could not be evaluated, the most frequent first, without the items.

    `rule`: only that of this rule (`document/rule`); raises UnknownName when there is none in force.
    """
    if rule is not None and rule not in (known := session.scalars(_RULES).all()):
        raise UnknownName("rule", rule, known)
    found = session.execute(_GROUPS, {"rule": rule, "limit": limit})
    return [Group(row.rule, row.expression, row.reason, row.items, row.rule_id) for row in found]


def with_items(session: Session, found: Sequence[Group], *, limit: int) -> list[Group]:
    """Give the same groups with their first items."""
    wanted = {
        "rules": [group.rule_id for group in found],
        "expressions": [group.expression for group in found],
        "reasons": [group.reason for group in found],
        "limit": limit,
    }
    listed: list[list[Held]] = [[] for _ in found]
    for row in session.execute(_ITEMS, wanted):
        listed[row.place - 1].append(
            Held(
                statement=str(row.statement) if row.statement else None,
                source=row.source,
                key=row.key,
                version=row.version,
                pulled_at=exact_text(row.pulled_at) if row.pulled_at else None,
                raw=row.data if row.payload is None else json.loads(row.payload, parse_float=_number),
            )
        )
    return [
        Group(group.rule, group.expression, group.reason, group.items, group.rule_id, tuple(items))
        for group, items in zip(found, listed, strict=True)
    ]


def _number(written: str) -> float | str:
    """Keep a number that no float can hold as it was sent."""
    value = float(written)
    return value if math.isfinite(value) else written
