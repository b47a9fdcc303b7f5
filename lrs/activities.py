"""Activities, as the statements describe them (xAPI 1.0.3, Communication 2.5)."""

from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from lrs import terms
from lrs.models import ActivityDefinition
from lrs.xapi import activities as rules
from lrs.xapi.terms import Term

MAX_DEFINITIONS = 1000
"""An activity is merged from its newest definitions, so that one whose every statement has another stays quick."""


def get(session: Session, activity_id: str) -> dict[str, Any]:
    """Give the Activity, with its definition merged from all that statements gave it; without any, the bare id."""
    term = Term("activity", activity_id)
    found = terms.find(session, [term])
    if term not in found:
        return rules.activity(activity_id, [])
    newest = (
        select(ActivityDefinition.definition)
        .where(ActivityDefinition.term_id == found[term])
        .order_by(ActivityDefinition.seq.desc(), ActivityDefinition.digest)
        .limit(MAX_DEFINITIONS)
    )
    return rules.activity(activity_id, session.scalars(newest).all()[::-1])
