"""People who were launched: what they may see, for how long, and who they are among the learners.

The rules guarded here:

- A session belongs to one platform, one deployment, one person, one role and one course; another launch is another
  session, and none can be widened.
- A learner sees themselves. A teacher sees those of the course's roster who have records in a program of this course.
  An administrator who comes from outside a course sees everybody where the registration says so, else themselves.
- Who somebody is follows from their aliases at each request: a decision that changes who is who holds at once. An alias
  that is contested leads to nobody.
- A session ends after an hour, and with its registration; its cookie opens no other page of ours.
"""

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import delete, text, update
from sqlalchemy.orm import Session

from bridge.lti import platforms
from bridge.lti.logins import digest
from bridge.lti.platforms import Person
from bridge.mapping import Documents, Program
from bridge.models import Learner, LtiPlatform, LtiSession
from connectors import lti

COOKIE = "lti-session"
"""Of each session, at its own path."""
LASTS = timedelta(hours=1)
TICKET = timedelta(minutes=2)
"""So long a button that opens a new window is good."""
ROSTER_FRESH = timedelta(minutes=10)
"""Who left a course is seen by its teacher no longer than this."""

_KNOWN = text("""
    select key, learner_id from alias where key = any(cast(:aliases as text[])) and learner_id is not null
""")
_WITH_RECORDS = text("""
    select distinct learner_id from record
    where program = any(cast(:programs as text[]))
    and (cast(:learners as bigint[]) is null or learner_id = any(cast(:learners as bigint[])))
""")


@dataclass(frozen=True, slots=True)
class Started:
    """A new session, and the secret that opens it."""

    id: str
    secret: str = field(repr=False)


def start(session: Session, platform: LtiPlatform, launch: lti.Launch, *, now: datetime) -> Started:
    """Begin the session of somebody who was launched."""
    session.execute(delete(LtiSession).where(LtiSession.expires_at <= now))
    made = Started(secrets.token_urlsafe(12), secrets.token_urlsafe(32))
    session.add(
        LtiSession(
            id=made.id,
            secret_hash=digest(made.secret),
            platform_id=platform.id,
            deployment_id=launch.deployment,
            role=_role(platform, launch),
            aliases=platforms.aliases_of(
                platform, Person(launch.subject, launch.email, launch.employee, launch.custom)
            ),
            name=launch.name,
            course=platforms.course_of(platform, launch),
            launch={
                "course_title": launch.context_title,
                "members_url": launch.members_url,
                "deep_linking": launch.deep_linking if launch.message is lti.Message.DEEP_LINKING else None,
                "resource_link": launch.resource_link if platforms.needs_custom(platform) else None,
            },
            expires_at=now + LASTS,
        )
    )
    return made


def find(session: Session, number: str, secret: str, *, now: datetime) -> LtiSession | None:
    """Give the session that an address and a cookie belong to."""
    row = session.get(LtiSession, number)
    if row is None or row.expires_at <= now or not secrets.compare_digest(row.secret_hash, digest(secret)):
        return None
    return row


def ticket(session: Session, row: LtiSession, *, now: datetime) -> str:
    """Give what opens the session once more, once: in a window of its own, where cookies are taken."""
    made = secrets.token_urlsafe(32)
    row.ticket_hash, row.ticket_expires_at = digest(made), now + TICKET
    session.flush()
    return made


def redeem(session: Session, number: str, given: str, *, now: datetime) -> Started | None:
    """Take a ticket for a new secret of its session, which the former one opens no longer; None: it is not good."""
    made = Started(number, secrets.token_urlsafe(32))
    good = (LtiSession.id == number) & (LtiSession.ticket_hash == digest(given)) & (LtiSession.ticket_expires_at > now)
    taken = update(LtiSession).where(good, LtiSession.expires_at > now)
    found = session.execute(
        taken.values(ticket_hash=None, ticket_expires_at=None, secret_hash=digest(made.secret)).returning(LtiSession.id)
    ).one_or_none()
    return made if found else None


def end(session: Session, row: LtiSession) -> None:
    """End a session."""
    session.execute(delete(LtiSession).where(LtiSession.id == row.id))


# --- who and whom -----------------------------------------------------------------------------------------------------


def learner(session: Session, row: LtiSession) -> Learner | None:
    """Give who this person is; None while nobody knows."""
    found = _first_known(row.aliases, _known(session, row.aliases))
    return session.get(Learner, found) if found is not None else None


def programs(row: LtiSession, documents: Documents) -> list[Program]:
    """Give the programs that a teacher or administrator comes for, by title."""
    ordered = sorted(documents.programs.values(), key=lambda one: one.title)
    match row.role:
        case lti.Role.TEACHER:
            return [program for program in ordered if row.course is not None and row.course in program.courses]
        case lti.Role.ADMINISTRATOR:
            return ordered
        case _:
            return []


def people(session: Session, row: LtiSession, program: Program) -> list[int]:
    """Give the ids of the learners with records in a program whom a teacher or administrator may see."""
    seen: Sequence[int] | None = []
    if row.role == lti.Role.ADMINISTRATOR:
        seen = None
    elif row.role == lti.Role.TEACHER and row.course is not None and row.course in program.courses:
        seen = _of_members(session, row.members or [])
    return sorted(session.scalars(_WITH_RECORDS, {"programs": [program.name], "learners": seen}))


def may_see(session: Session, row: LtiSession, documents: Documents, learner: int) -> bool:
    """Tell whether a teacher or administrator may see this learner in one of their programs."""
    return any(learner in people(session, row, program) for program in programs(row, documents))


def roster_is_due(row: LtiSession, *, now: datetime) -> bool:
    """Tell whether a teacher's roster is to be asked for."""
    return (
        row.role == lti.Role.TEACHER
        and row.course is not None
        and (row.members_at is None or now - row.members_at > ROSTER_FRESH)
    )


def keep_roster(session: Session, row: LtiSession, members: Sequence[lti.Member], *, now: datetime) -> None:
    """Keep who is in the course: of each the aliases, and nothing else."""
    platform = session.get_one(LtiPlatform, row.platform_id)
    found = [platforms.aliases_of(platform, Person(one.user, one.email, one.employee, one.custom)) for one in members]
    row.members, row.members_at = [aliases for aliases in found if aliases], now
    session.flush()


def forget_roster(row: LtiSession) -> None:
    """Let nobody be seen by a roster that cannot be had any more."""
    row.members = None


def _role(platform: LtiPlatform, launch: lti.Launch) -> lti.Role:
    if launch.role is lti.Role.ADMINISTRATOR and not platform.admins_see_all:
        return lti.Role.LEARNER
    return launch.role


def _of_members(session: Session, members: Sequence[Sequence[str]]) -> list[int]:
    known = _known(session, [alias for aliases in members for alias in aliases])
    found = (_first_known(aliases, known) for aliases in members)
    return sorted({one for one in found if one is not None})


def _known(session: Session, aliases: Sequence[str]) -> dict[str, int]:
    rows: Any = session.execute(_KNOWN, {"aliases": list(aliases)})
    return {row.key: row.learner_id for row in rows}


def _first_known(aliases: Sequence[str], known: Mapping[str, int]) -> int | None:
    return next((known[alias] for alias in aliases if alias in known), None)
