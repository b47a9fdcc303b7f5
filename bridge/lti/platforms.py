"""LTI platforms as they are registered, and how their people and courses are known here.

The rules guarded here:

- A registration is an issuer and a client id: all of Canvas is one issuer, and so is a Moodle with two tools. A launch
  moreover names a deployment that an administrator of ours has written down, or the platform at its registration.
- A person's account is the one that the platform's statements name: its home page belongs to the registration, so the
  same number on another platform is somebody else.
- Who says their own mail address or employee number there could be anybody: those are looked at only where the
  registration says that the platform vouches for them (`match_by`).
- A course is told from the signed message by a pattern of the registration's. `custom` parameters are for platforms
  where only administrators set them: in Moodle each teacher can.
- What an administrator has named are the issuer and the home page: only these may be on a private network. All other
  addresses of a platform that registered itself are its own words, and must be of the open internet.
- An invitation lets one platform register, once, within its time, and only the issuer that it names.
"""

import hashlib
import re
import secrets
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any
from urllib.parse import urlsplit

from sqlalchemy import delete, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from bridge.errors import NotFound, SettingsError
from bridge.mapping import aliases
from bridge.models import LtiDeployment, LtiInvitation, LtiPlatform, LtiSession
from bridge.times import utc_text
from connectors import lti

INVITATION = timedelta(hours=24)
MOODLE_COURSE = "{home_page}/course/view.php?id={context_id}"
"""As logstore_xapi names courses in statements."""
CANVAS_COURSE = "https://{custom.canvas_domain}/courses/{custom.canvas_course_id}"
_PLACE = re.compile(r"\{([a-z_]+(?:\.[A-Za-z0-9_.-]+)?)\}")
_PART = re.compile(r"[A-Za-z0-9_.~:@+-]{1,255}")
"""What may stand in an address without meaning anything."""
_HOST = re.compile(r"[A-Za-z0-9.-]+(:\d+)?|\[[0-9A-Fa-f:.]+\](:\d+)?")
_KNOWN = frozenset({"home_page", "issuer", "context_id", "sub"})


class Match(StrEnum):
    """By what a platform's people are found among the learners."""

    ACCOUNT = "account"
    """The account that statements name."""
    EMPLOYEE = "employee"
    """Moodle's idnumber, Canvas's SIS id: where only administrators write it."""
    EMAIL = "email"
    """Where the platform lets nobody take another one's address."""


@dataclass(frozen=True, kw_only=True)
class Given:
    """What a registration says beside the platform's own addresses; None: as usual for the platform."""

    title: str | None = None
    home_page: str | None = None
    account_name: str | None = None
    course_url: str | None = None
    match_by: Sequence[str] = (Match.ACCOUNT,)
    admins_see_all: bool = False
    grades: bool = False
    """Whether we ask the platform, when it registers itself, to let us write into gradebooks."""

    def told(self) -> dict[str, Any]:
        """Give it as JSON types."""
        return {**self.__dict__, "match_by": list(self.match_by)}


@dataclass(frozen=True, slots=True)
class Person:
    """What a platform says of somebody."""

    user: str
    email: str | None = None
    employee: str | None = None
    custom: Mapping[str, str] = field(default_factory=dict)


def register(session: Session, platform: lti.Platform, given: Given, *, family: str = "") -> LtiPlatform:
    """Write a registration down, or change the one of this issuer and client id; deployments are added.

    Raises SettingsError for what cannot be.
    """
    values = _values(platform, given, family)
    kept = insert(LtiPlatform).values(issuer=platform.issuer, client_id=platform.client_id, **values)
    session.execute(kept.on_conflict_do_update(index_elements=["issuer", "client_id"], set_=values))
    row = session.scalars(select(LtiPlatform).filter_by(issuer=platform.issuer, client_id=platform.client_id)).one()
    session.refresh(row)
    for deployment in platform.deployments:
        added = insert(LtiDeployment).values(platform_id=row.id, deployment_id=deployment)
        session.execute(added.on_conflict_do_nothing())
    return row


def everyone(session: Session) -> list[dict[str, Any]]:
    """Tell of each registration, by issuer and client id."""
    ordered = select(LtiPlatform).order_by(LtiPlatform.issuer, LtiPlatform.client_id)
    return [told(session, row) for row in session.scalars(ordered)]


def told(session: Session, row: LtiPlatform) -> dict[str, Any]:
    """Tell all of a registration."""
    return {
        "issuer": row.issuer,
        "client_id": row.client_id,
        "title": row.title,
        "deployments": sorted(wire(session, row).deployments),
        "auth_url": row.auth_url,
        "token_url": row.token_url,
        "token_audience": row.token_audience,
        "jwks_url": row.jwks_url,
        "home_page": row.home_page,
        "account_name": row.account_name,
        "course_url": row.course_url,
        "match_by": list(row.match_by),
        "admins_see_all": row.admins_see_all,
        "registered_at": utc_text(row.registered_at),
    }


def named(session: Session, issuer: str, client_id: str | None) -> LtiPlatform:
    """Give the registration that a person names; raises NotFound where there is none, or more than one."""
    found = _found(session, issuer, client_id)
    if len(found) != 1:
        why = "There is no platform" if not found else f"There are {len(found)} platforms"
        more = "`lrs-bridge lti list` lists those that there are." if not found else "Name the client id too."
        raise NotFound(
            f"{why} with the issuer {issuer!r}{f' and client id {client_id!r}' if client_id else ''}. {more}"
        )
    return found[0]


def sending(session: Session, issuer: str, client_id: str | None, deployment: str | None) -> LtiPlatform:
    """Give the registration that a login is of, which need not name its client; raises lti.LaunchRefused."""
    found = _found(session, issuer, client_id)
    if len(found) > 1 and deployment is not None:
        found = [row for row in found if deployment in wire(session, row).deployments]
    if len(found) != 1:
        raise lti.LaunchRefused(
            "This platform is not registered here, or does not say which of its registrations this is. An "
            "administrator of lrs-bridge registers it with `lrs-bridge lti register` or `lrs-bridge lti invite`."
        )
    return found[0]


def remove(session: Session, row: LtiPlatform) -> dict[str, Any]:
    """Take a registration away, and end what was launched by it."""
    gone = told(session, row)
    session.execute(delete(LtiPlatform).where(LtiPlatform.id == row.id))
    return gone


def wire(session: Session, row: LtiPlatform) -> lti.Platform:
    """Give a registration as its messages are read by."""
    deployments = session.scalars(select(LtiDeployment.deployment_id).filter_by(platform_id=row.id))
    return lti.Platform(
        issuer=row.issuer,
        client_id=row.client_id,
        auth_url=row.auth_url,
        token_url=row.token_url,
        jwks_url=row.jwks_url,
        deployments=frozenset(deployments),
        token_audience=row.token_audience,
        private_hosts=frozenset(urlsplit(named).hostname or "" for named in (row.issuer, row.home_page)),
    )


def origins(row: LtiPlatform) -> list[str]:
    """Give the origins whose pages may show ours in a frame."""
    return sorted({origin(address) for address in (row.issuer, row.home_page, row.auth_url)})


def origin(address: str) -> str:
    """Give the origin of an address, fit to stand in a header; raises lti.LaunchRefused for one that is not."""
    parts = urlsplit(address)
    if not _HOST.fullmatch(parts.netloc):
        raise lti.LaunchRefused("An address of the platform has no host that a browser could go to.")
    return f"{parts.scheme}://{parts.netloc}"


def all_origins(session: Session) -> list[str]:
    """Give the origins of all platforms."""
    return sorted({origin for row in session.scalars(select(LtiPlatform)) for origin in origins(row)})


def of_session(session: Session, row: LtiSession) -> LtiPlatform:
    """Give the registration that somebody was launched by."""
    return session.get_one(LtiPlatform, row.platform_id)


# --- people and courses -----------------------------------------------------------------------------------------------


def aliases_of(row: LtiPlatform, person: Person) -> list[str]:
    """Give the aliases that a person may be known by here, the surest first."""
    found = {
        Match.ACCOUNT: _account(row, person),
        Match.EMPLOYEE: aliases.of_employee(person.employee) if person.employee else None,
        Match.EMAIL: aliases.of_mbox(person.email) if person.email else None,
    }
    return [alias for one in row.match_by if (alias := found[Match(one)]) is not None]


def course_of(row: LtiPlatform, launch: lti.Launch) -> str | None:
    """Give a launch's course as programs name it; None outside of any."""
    if row.course_url is None or launch.context_id is None:
        return None
    return _filled(row.course_url, row, {"context_id": launch.context_id}, launch.custom)


def needs_custom(row: LtiPlatform) -> bool:
    """Tell whether people are known by parameters that a roster gives only where it is asked for a link's."""
    return "{custom." in row.account_name


def _account(row: LtiPlatform, person: Person) -> str | None:
    name = _filled(row.account_name, row, {"sub": person.user}, person.custom, part=None)
    return None if name is None else aliases.of_account(row.home_page, name)


def _filled(
    pattern: str,
    row: LtiPlatform,
    values: Mapping[str, str],
    custom: Mapping[str, str],
    *,
    part: re.Pattern[str] | None = _PART,
) -> str | None:
    """Fill a pattern in; None where a value is missing, or says more than a part of an address may."""
    known = dict(values) | {f"custom.{name}": value for name, value in custom.items()}
    if any(part is not None and not part.fullmatch(known[name]) for name in _PLACE.findall(pattern) if name in known):
        return None
    known |= {"home_page": row.home_page, "issuer": row.issuer}
    if any(name not in known for name in _PLACE.findall(pattern)):
        return None
    return _PLACE.sub(lambda found: known[found[1]], pattern)


# --- invitations ------------------------------------------------------------------------------------------------------


def invite(session: Session, issuer: str, given: Given, *, now: datetime) -> str:
    """Let the platform with this issuer register itself once; gives the token. Raises SettingsError."""
    _check(issuer, given)
    token = secrets.token_urlsafe(32)
    session.execute(delete(LtiInvitation).where(LtiInvitation.expires_at <= now))
    session.add(LtiInvitation(token_hash=_hash(token), issuer=issuer, given=given.told(), expires_at=now + INVITATION))
    return token


def accept(session: Session, token: str, *, now: datetime) -> tuple[str, Given]:
    """Take an invitation away and give (issuer, what was said beforehand); raises lti.LaunchRefused."""
    taken = delete(LtiInvitation).where(LtiInvitation.token_hash == _hash(token), LtiInvitation.expires_at > now)
    row = session.execute(taken.returning(LtiInvitation.issuer, LtiInvitation.given)).one_or_none()
    if row is None:
        raise lti.LaunchRefused(
            "This invitation is not known, was used, or is over. An administrator of lrs-bridge makes another one with "
            "`lrs-bridge lti invite`."
        )
    return row.issuer, Given(**row.given)


def _hash(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()


def _found(session: Session, issuer: str, client_id: str | None) -> Sequence[LtiPlatform]:
    asked = select(LtiPlatform).filter_by(issuer=issuer)
    return session.scalars(asked.filter_by(client_id=client_id) if client_id else asked).all()


def _values(platform: lti.Platform, given: Given, family: str) -> dict[str, Any]:
    _check(platform.issuer, given)
    home_page = (given.home_page or platform.issuer).rstrip("/")
    usual = {"moodle": MOODLE_COURSE, "canvas": CANVAS_COURSE}.get(family)
    for address in (platform.auth_url, platform.token_url, platform.jwks_url):
        _check_address(address)
    return {
        "title": given.title or f"{family or 'LTI platform'} at {urlsplit(home_page).netloc}",
        "auth_url": platform.auth_url,
        "token_url": platform.token_url,
        "jwks_url": platform.jwks_url,
        "token_audience": platform.token_audience,
        "home_page": home_page,
        "account_name": given.account_name or "{sub}",
        "course_url": given.course_url or usual,
        "match_by": list(given.match_by),
        "admins_see_all": given.admins_see_all,
    }


def _check(issuer: str, given: Given) -> None:
    _check_address(issuer)
    if given.home_page is not None:
        _check_address(given.home_page)
    for pattern, needed in ((given.account_name, {"sub", "custom"}), (given.course_url, {"context_id", "custom"})):
        _check_pattern(pattern, needed)
    for word in given.match_by:
        if word not in set(Match):
            raise SettingsError(f"People cannot be matched by {word!r}. There are: {', '.join(Match)}.")


def _check_pattern(pattern: str | None, needed: Collection[str]) -> None:
    if pattern is None:
        return
    places = _PLACE.findall(pattern)
    strange = [one for one in places if one not in _KNOWN and not one.startswith("custom.")]
    if strange or not any(one.partition(".")[0] in needed for one in places):
        words = ", ".join("{custom.NAME}" if one == "custom" else f"{{{one}}}" for one in sorted(needed))
        raise SettingsError(f"{pattern!r} is no pattern that tells one from another. Put in one of: {words}.")


def _check_address(address: str) -> None:
    if fault := lti.address_fault(address):
        raise SettingsError(fault)
    origin(address)
