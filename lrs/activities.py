"""Activities, as the statements describe them (xAPI 1.0.3, Communication 2.5)."""

from collections import defaultdict
from collections.abc import Collection
from typing import Any

import msgspec
from sqlalchemy import select, true
from sqlalchemy.orm import Session

from lrs import models, terms
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


def definitions(session: Session, activity_ids: Collection[str]) -> dict[str, str]:
    """Give the merged definitions of many activities at once, JSON texts by id; without those that have none."""
    found = terms.find(session, [Term("activity", one) for one in activity_ids])
    newest = (
        select(ActivityDefinition.definition, ActivityDefinition.seq, ActivityDefinition.digest)
        .where(ActivityDefinition.term_id == models.Term.id)
        .order_by(ActivityDefinition.seq.desc(), ActivityDefinition.digest)
        .limit(MAX_DEFINITIONS)
        .lateral()
    )
    rows = session.execute(
        select(models.Term.id, newest.c.definition)
        .join(newest, true())
        .where(models.Term.id.in_(found.values()))
        .order_by(newest.c.seq, newest.c.digest.desc())
    )
    by_term: defaultdict[int, list[str]] = defaultdict(list)
    for term_id, definition in rows:
        by_term[term_id].append(definition)
    merged = {term.text: rules.activity(term.text, by_term[term_id]) for term, term_id in found.items()}
    return {
        activity_id: msgspec.json.encode(activity["definition"]).decode()
        for activity_id, activity in merged.items()
        if "definition" in activity
    }
