"""Rosters whose expressions are ready made: what a vendor's rows hold, in the words of the identity document.

Each gives the keys of a roster, as an admin would write them; what the admin writes takes their place. The learner is
the employee number; a row without one says only which aliases belong together.
"""

from collections.abc import Callable, Mapping
from typing import Any

from bridge.mapping.kinds import RosterFormat

Keys = dict[str, Any]

RECORDS: Mapping[RosterFormat, tuple[str, ...]] = {
    RosterFormat.SCIM: ("Resources",),
    RosterFormat.MOODLE: ("users",),
    RosterFormat.LTI: ("members",),
}
"""Where the rows stand in an answer, if it is not itself the list of them."""

KEYS: Mapping[RosterFormat, tuple[str, ...]] = {
    RosterFormat.SCIM: ("id",),
    RosterFormat.MOODLE: ("id",),
    RosterFormat.LTI: ("user_id",),
}
"""What names a row."""

_MAILS = 5
"""Addresses of a SCIM user that are looked at."""


def ready(form: RosterFormat, given: Mapping[str, Any]) -> Keys:
    """Give the keys of a roster of this format; `given` says its source, platform and where the CRM's user id is."""
    return _READY[form](given)


def _csv(_given: Mapping[str, Any]) -> Keys:
    return {}


def _scim(given: Mapping[str, Any]) -> Keys:
    """RFC 7643: sections 3.1 (id, externalId), 4.1 (user) and 4.3 (enterprise user)."""
    enterprise = '"urn:ietf:params:scim:schemas:extension:enterprise:2.0:User"'
    inside = f"row[{enterprise}]"
    number = f"{enterprise} in row && has({inside}.employeeNumber) ? {inside}.employeeNumber : row.externalId"
    manager = f"has({inside}.manager.displayName) ? {inside}.manager.displayName : {inside}.manager.value"
    aliases: list[Keys] = [
        {"user": {"source": given["source"], "id": "row.id"}},
        {"employee": f"{inside}.employeeNumber"},
        {"mbox": 'row.userName.contains("@") ? row.userName : null'},
        *({"mbox": f"row.emails[{place}].value"} for place in range(_MAILS)),
    ]
    return {
        "learner": number,
        "name": "has(row.displayName) ? row.displayName : row.name.formatted",
        "attributes": {
            "team": f"{inside}.department",
            "manager": manager,
            "role": "row.title",
            "site": "row.addresses[0].locality",
        },
        "aliases": aliases + _accounts(given, "row.userName"),
    }


def _moodle(given: Mapping[str, Any]) -> Keys:
    """What `core_user_get_users_by_field` answers: user/externallib.php, user_description.

    An account of logstore_xapi is named by the numeric id, or by the username with "send username". A username of
    nothing but digits is left out: it could be somebody else's id.
    """
    username = 'row.username.matches("^[0-9]+$") ? null : row.username'
    aliases = [{"mbox": "row.email"}, {"employee": "row.idnumber"}, *_accounts(given, "row.id", username)]
    if crm := given.get("crm"):
        found = (
            f'row.customfields == null ? null : row.customfields.filter(f, f.shortname == "{crm["field"]}")[0].value'
        )
        aliases.append({"user": {"source": crm["source"], "id": found}})
    return {
        "learner": "row.idnumber",
        "name": "row.fullname",
        "attributes": {"team": "row.department", "site": "row.city"},
        "aliases": aliases,
    }


def _lti(given: Mapping[str, Any]) -> Keys:
    """A member of a membership container: LTI Names and Role Provisioning Services 2.0, section 2.2.

    Moodle's `user_id` is the name of the account in its statements.
    """
    role = 'row.roles.exists(r, r.endsWith("Instructor")) ? "instructor" : "learner"'
    return {
        "learner": "row.lis_person_sourcedid",
        "name": "row.name",
        "attributes": {"role": f"row.roles == null ? null : {role}"},
        "aliases": [
            {"mbox": "row.email"},
            {"employee": "row.lis_person_sourcedid"},
            *_accounts(given, "row.user_id"),
        ],
    }


def _accounts(given: Mapping[str, Any], *names: str) -> list[Keys]:
    """Give the accounts on the platform, if one is named."""
    platform = given.get("platform")
    if platform is None:
        return []
    return [{"account": {"home_page": f"'{platform}'", "name": name}} for name in names]


_READY: Mapping[RosterFormat, Callable[[Mapping[str, Any]], Keys]] = {
    RosterFormat.CSV: _csv,
    RosterFormat.SCIM: _scim,
    RosterFormat.MOODLE: _moodle,
    RosterFormat.LTI: _lti,
}
