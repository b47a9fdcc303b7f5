"""Canvas Live Events as xAPI statements: Caliper 1.1 envelopes, and Canvas's own format.

Both formats come by the same subscription, to SQS or by HTTPS. What each event holds is documented with examples in
instructure/canvas-lms doc/api/data_services/json/{caliper,canvas}/event-types/*.json (looked at in 2026-11).

| Caliper type, action and object | Canvas event | verb | object | result |
|---|---|---|---|---|
| NavigationEvent NavigatedTo | asset_accessed | viewed | the asset | |
| SessionEvent LoggedIn, LoggedOut | logged_in, logged_out | logged-in, logged-out | the site | |
| AssignableEvent Submitted | submission_created | submit | the assignment | |
| Event Modified, submission | submission_updated | submit | the assignment | |
| AssessmentEvent Submitted | quiz_submitted | submit | the quiz | |
| GradeEvent Graded | grade_change | scored | the assignment | score |
| (none) | course_grade_change | scored | the course | final score |
| Event Created, enrollment | enrollment_created | registered | the course | |
| Event Modified, enrollment | enrollment_updated | registered, unregistered | the course | |
| MessageEvent Posted | discussion_entry_created, discussion_entry_submitted | replied | the entry | |
| ThreadEvent Created | (discussion_topic_created names nobody) | create | the discussion | |
| Event Created, groupMembership | group_membership_created | join | the group | |
| (none) | course_progress | progressed | the course | progress, in per cent |
| (none) | course_completed | completed | the course | completion |

The actor is the learner: whoever was graded, enrolled or put into a group, while who did it becomes the instructor. It
is an account of the Canvas site, named by the global user id, which both formats have, and LTI's $Canvas.user.globalId.
The id is made of the event's (or, in Canvas's format, which has none, of all that it holds), so that an event which is
delivered twice is one statement. What has no place in the table is given back with the reason.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from connectors.caliper import canvas_format, envelopes
from connectors.caliper.deeds import PROGRESS, Deed, JsonMap, Unfit
from connectors.caliper.statements import CATEGORY, ROLE, SIS_ID, home_page_of, statement

__all__ = ["CATEGORY", "PROGRESS", "ROLE", "SIS_ID", "TABLE", "NotConverted", "convert"]

TABLE = 1
"""Raise it when the table takes in more: what was no statement is then looked at again."""


@dataclass(frozen=True, slots=True)
class NotConverted:
    """An event that is no statement, and why."""

    event: JsonMap
    reason: str


def convert(message: JsonMap, *, home_page: str | None = None) -> list[dict[str, Any] | NotConverted]:
    """Give for each event of a message, in its order, the statement, or why there is none.

    A message is a Caliper envelope, one Caliper event, or one event in Canvas's format (`metadata` and `body`).
    `home_page` is the site that the accounts belong to; left out, it is `https://` and the host that the event names.
    """
    if isinstance(message.get("metadata"), dict):
        return [_converted(message, canvas_format.read, home_page)]
    data = message.get("data")
    events = data if isinstance(data, list) else [message]
    return [
        _converted(event, envelopes.read, home_page)
        if isinstance(event, dict)
        else NotConverted({"data": event}, "This is no JSON object.")
        for event in events
    ]


def _converted(event: JsonMap, read: Callable[[JsonMap], Deed], home_page: str | None) -> dict[str, Any] | NotConverted:
    try:
        return statement(event, read(event), home_page or home_page_of(event))
    except Unfit as err:
        return NotConverted(event, str(err))
