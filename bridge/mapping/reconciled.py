"""Facts that an LMS reported when it was compared with what its statements had said, where no statement came.

Reconciling (`bridge.reconcile.lms`) keeps what was reported as source records of a source of its own; these rules read
them. So such a fact is derived as any other one is, names where it comes from, and no statement is invented. They are
in force wherever documents have a destination of `LMS_TYPES`.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from bridge.mapping.facts import LearningFact, Version
from bridge.mapping.kinds import FactKind, RuleKey

SOURCE = "lms:reconciled"
"""Source of these records, and document of these rules; no document can be called so."""
LMS_TYPES = frozenset({"canvas", "moodle"})
MARK = "reconciled"
"""In the fact's detail, with the name of the destination that reported it."""
KINDS = (FactKind.COMPLETED, FactKind.ASSESSED)
RULES = tuple(
    RuleKey("performance", SOURCE, str(kind), f"{SOURCE} {kind} 1", fact=kind, source=SOURCE) for kind in KINDS
)


def row(
    kind: FactKind, alias: str, at: datetime, activity: str, course: str, lms: str, value: float | None
) -> dict[str, Any]:
    """Give the data of a record that `read` makes a fact of; a score is 0 to 1."""
    return {
        "kind": str(kind),
        "alias": alias,
        "at": at.isoformat(),
        "activity": activity,
        "course": course,
        "lms": lms,
        "value": value,
    }


def read(versions: Sequence[Version]) -> list[LearningFact]:
    """Give the fact of a record's newest version, none when it has been taken back; the versions come oldest first."""
    data: Mapping[str, Any] | None = versions[-1].data
    if data is None:
        return []
    return [
        LearningFact(
            rule=f"{SOURCE}/{data['kind']}",
            kind=FactKind(data["kind"]),
            alias_key=data["alias"],
            actor_name=None,
            occurred_at=datetime.fromisoformat(data["at"]),
            activity=data["activity"],
            course=data["course"],
            attempt=MARK if data["kind"] == FactKind.ASSESSED else None,
            value=data["value"],
            detail={MARK: data["lms"]},
        )
    ]
