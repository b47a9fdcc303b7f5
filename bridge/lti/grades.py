"""Scores of a program in the gradebooks of its courses, by command alone: what was reached in tests, and nothing else.

Readiness is no grade, and so is no effect: neither is ever sent. A score is the best one of the record, so that sending
it again changes nothing.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from sqlalchemy import select, text
from sqlalchemy.orm import Session

from bridge.lti import keys, platforms
from bridge.lti.platforms import Person
from bridge.mapping import Program
from bridge.models import LtiCourse, LtiPlatform
from bridge.tokens import TokenStore
from connectors import SourceRefused, lti

_SCORES = text("""
    select alias.key, record.best_score, record.completed_at is not null as completed
    from alias join record on record.learner_id = alias.learner_id
    where alias.key = any(cast(:aliases as text[])) and record.program = :program and record.best_score is not null
""")


@dataclass(slots=True)
class Sent:
    """What became of the scores of a course."""

    course: str
    sent: int = 0
    without_score: int = 0
    refused: dict[str, str] = field(default_factory=dict)
    """Why, by the person's id on the platform: teachers have no grade, say."""


def send(session: Session, platform: LtiPlatform, program: Program, tokens: TokenStore, *, now: datetime) -> list[Sent]:
    """Put the best scores of a program into the gradebooks of its courses that are known; raises what connectors do."""
    key, wire = keys.signing(session, tokens), platforms.wire(session, platform)
    known = select(LtiCourse).filter_by(platform_id=platform.id).where(LtiCourse.course.in_(program.courses))
    found = []
    for course in session.scalars(known.order_by(LtiCourse.context_id)):
        if course.grades is None:
            raise SourceRefused(
                f"{course.course} gives us no gradebook. Register with `lrs-bridge lti invite --grades`, or allow "
                "Assignment and Grade Services there; then let a teacher open the page once more."
            )
        members = lti.members(wire, key, course.members_url, resource_link=course.resource_link)
        found.append(_send_to(session, platform, program, course, members, wire, key, now))
    return found


def _send_to(
    session: Session,
    platform: LtiPlatform,
    program: Program,
    course: LtiCourse,
    members: list[lti.Member],
    wire: lti.Platform,
    key: lti.ToolKey,
    now: datetime,
) -> Sent:
    told = Sent(str(course.course))
    scores = _scores(session, platform, program, members)
    column = lti.Gradebook(
        wire, key, course.grades or {}, tag=f"lrs-bridge/{program.name}", title=f"{program.title}: best score"
    )
    try:
        for member in members:
            if member.user not in scores:
                told.without_score += 1
                continue
            score, completed = scores[member.user]
            try:
                column.put(lti.Score(member.user, score, completed, now))
                told.sent += 1
            except SourceRefused as err:  # this one alone
                told.refused[member.user] = str(err)
    finally:
        column.close()
    return told


def _scores(
    session: Session, platform: LtiPlatform, program: Program, members: list[lti.Member]
) -> Mapping[str, tuple[float, bool]]:
    """Give (best score, completed) by the person's id on the platform."""
    aliases = {
        one.user: platforms.aliases_of(platform, Person(one.user, one.email, one.employee, one.custom))
        for one in members
    }
    everything = [alias for some in aliases.values() for alias in some]
    rows = session.execute(_SCORES, {"aliases": everything, "program": program.name})
    known = {row.key: (row.best_score, row.completed) for row in rows}
    by_user = {user: next((known[one] for one in some if one in known), None) for user, some in aliases.items()}
    return {user: found for user, found in by_user.items() if found is not None}
