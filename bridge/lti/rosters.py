"""Who is in a course, asked of the platform by Names and Roles: for its teacher's pages, and as a roster of who is who.

A platform tells where a course's roster is in launches alone, so it is kept of each course that a teacher came from.
"""

import logging
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from bridge.lti import keys, platforms, sessions
from bridge.models import LtiCourse, LtiPlatform, LtiSession
from bridge.tokens import TokenStore
from connectors import ConnectorError, lti

log = logging.getLogger(__name__)


def note(session: Session, platform: LtiPlatform, launch: lti.Launch, *, now: datetime) -> None:
    """Keep where the roster of a teacher's course is."""
    if launch.role is not lti.Role.TEACHER or launch.members_url is None:
        return
    values = {
        "title": launch.context_title,
        "course": platforms.course_of(platform, launch),
        "members_url": launch.members_url,
        "grades": launch.grades,
        "resource_link": launch.resource_link if platforms.needs_custom(platform) else None,
        "seen_at": now,
    }
    kept = insert(LtiCourse).values(platform_id=platform.id, context_id=launch.context_id, **values)
    session.execute(kept.on_conflict_do_update(index_elements=["platform_id", "context_id"], set_=values))


def bring(session: Session, row: LtiSession, tokens: TokenStore, *, now: datetime) -> str | None:
    """Bring the roster of a teacher's course up to date where it is due; says what is wrong if nobody can be shown.

    A roster that cannot be had is believed as long as it is fresh, and then nobody is seen.
    """
    if not sessions.roster_is_due(row, now=now):
        return None
    url = row.launch.get("members_url")
    if url is None:
        return (
            "Your LMS does not tell lrs-bridge who is in this course. Its administrator allows it, as Names and Roles."
        )
    platform = session.get_one(LtiPlatform, row.platform_id)
    try:
        found = lti.members(
            platforms.wire(session, platform),
            keys.signing(session, tokens),
            str(url),
            resource_link=row.launch.get("resource_link"),
        )
    except ConnectorError as err:
        log.warning("the roster of a course of %s cannot be had: %s", platform.issuer, err)
        sessions.forget_roster(row)
        return f"Who is in this course cannot be asked now. {err}"
    sessions.keep_roster(session, row, found, now=now)
    return None


def courses(session: Session, platform: LtiPlatform) -> list[dict[str, Any]]:
    """Tell of each course whose roster can be asked for."""
    found = session.scalars(select(LtiCourse).filter_by(platform_id=platform.id).order_by(LtiCourse.context_id))
    return [{"context": one.context_id, "title": one.title, "course": one.course} for one in found]


def people(session: Session, platform: LtiPlatform, tokens: TokenStore) -> list[Mapping[str, Any]]:
    """Give everybody in the courses that are known, each once, as the platform tells it (format `lti` of a roster).

    Raises what connectors raise.
    """
    found: dict[str, Mapping[str, Any]] = {}
    key, wire = keys.signing(session, tokens), platforms.wire(session, platform)
    for course in session.scalars(select(LtiCourse).filter_by(platform_id=platform.id).order_by(LtiCourse.seen_at)):
        for member in lti.members(wire, key, course.members_url, resource_link=course.resource_link):
            found[member.user] = member.told
    return list(found.values())
