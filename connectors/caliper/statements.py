"""Statements from deeds."""

import json
import uuid
from typing import Any

from connectors.caliper.deeds import Deed, JsonMap, Unfit, canvas, globalised, map_at, text_at

CATEGORY = "urn:instructure:canvas:live-events"
"""Category of every statement that is made here."""
ROLE = "urn:instructure:canvas:role"
"""Context extension with the actor's role in the course, as Canvas words it (Learner, StudentEnrollment, ...)."""
SIS_ID = "urn:instructure:canvas:sis-id"
"""Context extension with the actor's id in the student information system; often the employee number."""

_NAMESPACE = uuid.UUID("6f7f4d0e-5d5c-5bb0-9a0a-3f4f2c0f6d2b")
"""Of the ids made here; any fixed value would do, but it must stay."""
_VERBS = {
    "viewed": "http://id.tincanapi.com/verb/viewed",
    "logged in": "https://w3id.org/xapi/adl/verbs/logged-in",
    "logged out": "https://w3id.org/xapi/adl/verbs/logged-out",
    "submitted": "http://activitystrea.ms/schema/1.0/submit",
    "scored": "http://adlnet.gov/expapi/verbs/scored",
    "registered": "http://adlnet.gov/expapi/verbs/registered",
    "unregistered": "http://id.tincanapi.com/verb/unregistered",
    "replied": "http://id.tincanapi.com/verb/replied",
    "created": "http://activitystrea.ms/schema/1.0/create",
    "joined": "http://activitystrea.ms/schema/1.0/join",
    "progressed": "http://adlnet.gov/expapi/verbs/progressed",
    "completed": "http://adlnet.gov/expapi/verbs/completed",
}
_TYPES = {
    "course": "http://adlnet.gov/expapi/activities/course",
    "assignment": "http://id.tincanapi.com/activitytype/school-assignment",
    "quiz": "http://adlnet.gov/expapi/activities/assessment",
    "submission": "http://adlnet.gov/expapi/activities/attempt",
    "discussion": "http://id.tincanapi.com/activitytype/discussion",
    "discussionEntry": "http://id.tincanapi.com/activitytype/forum-reply",
    "wiki_page": "http://activitystrea.ms/schema/1.0/page",
    "attachment": "http://activitystrea.ms/schema/1.0/file",
    "group": "http://activitystrea.ms/schema/1.0/group",
    "site": "http://id.tincanapi.com/activitytype/lms",
}
_OTHER_TYPE = "http://id.tincanapi.com/activitytype/resource"


def statement(event: JsonMap, deed: Deed, home_page: str) -> dict[str, Any]:
    """Make the statement of a deed that an event told, for the site whose accounts these are. Raises Unfit."""
    course = {"id": deed.course, "definition": {"type": _TYPES["course"]}} if deed.course != deed.object else None
    parent = {"id": deed.parent, "definition": {"type": _TYPES["discussion"]}} if deed.parent else None
    above = [one for one in (parent, course) if one and one["id"]]
    attempt = [{"id": deed.attempt, "definition": {"type": _TYPES["submission"]}}] if deed.attempt else []
    role, sis_id = _role(event, deed), _sis_id(event, deed)
    extensions = {key: value for key, value in ((ROLE, role), (SIS_ID, sis_id)) if value}
    definition = {"type": _TYPES.get(deed.kind, _OTHER_TYPE)} | ({"name": {"und": deed.name}} if deed.name else {})
    made = {
        "id": _id(event),
        "actor": _agent(home_page, deed.actor, deed.actor_name),
        "verb": {"id": _VERBS[deed.verb], "display": {"en": deed.verb}},
        "object": {"objectType": "Activity", "id": deed.object or home_page, "definition": definition},
        "timestamp": deed.at or _time(event),
        "context": {
            "platform": "Canvas",
            "contextActivities": {
                "category": [{"id": CATEGORY}],
                **({"parent": above} if above else {}),
                **({"other": attempt} if attempt else {}),
            },
            **({"instructor": _agent(home_page, deed.instructor)} if deed.instructor else {}),
            **({"extensions": extensions} if extensions else {}),
        },
    }
    return made | ({"result": dict(deed.result)} if deed.result else {})


def _agent(home_page: str, user: str, name: str | None = None) -> dict[str, Any]:
    return {"account": {"homePage": home_page, "name": user}} | ({"name": name} if name else {})


def _id(event: JsonMap) -> str:
    return str(uuid.uuid5(_NAMESPACE, json.dumps(text_at(event, "id") or event, sort_keys=True)))


def _time(event: JsonMap) -> str:
    found = text_at(event, "eventTime") or text_at(map_at(event, "metadata"), "event_time")
    if not found:
        raise Unfit("It has no time.")
    return found


def home_page_of(event: JsonMap) -> str:
    """Give the site by its host, in one writing for both formats."""
    host = (
        text_at(map_at(event, "metadata"), "hostname")
        or text_at(map_at(event, "edApp"), "id").partition("//")[2].partition("/")[0]
        or text_at(canvas(event), "hostname")
    )
    if not host:
        raise Unfit("It does not name the site: give its address.")
    return f"https://{host}"


def _role(event: JsonMap, deed: Deed) -> str | None:
    """Give the role of whoever the event came from, if that is the actor."""
    if "metadata" in event:
        about = map_at(event, "metadata")
        acting, role = text_at(about, "user_id"), text_at(about, "context_role")
    else:
        membership = map_at(event, "membership")
        roles = membership.get("roles")
        acting = text_at(map_at(membership, "member"), "id").rpartition(":")[2]
        role = roles[0] if isinstance(roles, list) and roles and isinstance(roles[0], str) else ""
    return role or None if acting and globalised(acting, event) == deed.actor else None


def _sis_id(event: JsonMap, deed: Deed) -> str | None:
    about, body = map_at(event, "metadata"), map_at(event, "body")
    acting, assignee = map_at(event, "actor"), map_at(map_at(event, "object"), "assignee")
    for user, sis_id in (
        (text_at(about, "user_id"), text_at(about, "user_sis_id")),
        (text_at(body, "student_id"), text_at(body, "student_sis_id")),
        (text_at(acting, "id").rpartition(":")[2], text_at(canvas(acting), "user_sis_id")),
        (text_at(assignee, "id").rpartition(":")[2], text_at(canvas(assignee), "sis_id")),
    ):
        if user and sis_id and globalised(user, event) == deed.actor:
            return sis_id
    return None
