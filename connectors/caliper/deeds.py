"""What an event of Canvas says, whichever format it came in, and what both formats share."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

JsonMap = Mapping[str, Any]

URN = "urn:instructure:canvas:"
PROGRESS = "https://w3id.org/xapi/cmi5/result/extensions/progress"
"""Result extension with how far somebody has come, in per cent."""
LOCAL_DIGITS = 13
"""A global id is the number of the shard and, in so many digits, the local id (canvas-lms: switchman)."""

_CANVAS = "com.instructure.canvas"
_MOST = 2.0**53
"""Numbers beyond are no points."""

SAME_KIND = {"quizzes:quiz": "quiz", "discussion_topic": "discussion"}
"""What a visit calls by other names than a submission or a reply does."""

_HAS_ACCESS = frozenset({"active", "invited"})
_LOST_ACCESS = frozenset({"deleted", "inactive", "rejected"})


class Unfit(Exception):
    """Why an event is no statement."""


@dataclass(frozen=True, slots=True)
class Deed:
    """What an event says, whichever format it came in."""

    verb: str
    actor: str
    """Global user id."""
    object: str
    """Its id; empty for the site itself."""
    kind: str
    name: str | None = None
    course: str | None = None
    parent: str | None = None
    attempt: str | None = None
    actor_name: str | None = None
    instructor: str | None = None
    at: str | None = None
    """When it was done, where that is not when the event was made."""
    result: JsonMap = field(default_factory=dict)


def enrolled(enrollment: JsonMap, event: JsonMap) -> Deed:
    """Say who got access to a course or lost it; `enrollment` is how the event describes it. Raises Unfit."""
    state, learner = text_at(enrollment, "workflow_state"), text_at(enrollment, "user_id").rpartition(":")[2]
    if not learner:
        raise Unfit("It names no learner; enrollment_created and enrollment_updated do.")
    if state not in _HAS_ACCESS | _LOST_ACCESS:
        # `completed` is an enrolment that has ended by its date, whatever was learnt.
        raise Unfit(f"The state {state!r} neither gives access to the course nor takes it away.")
    if enrollment.get("type") != "StudentEnrollment":
        raise Unfit(f"{enrollment.get('type') or 'An enrolment of no type'} is no learner's enrolment.")
    course = urn("course", text_at(enrollment, "course_id").rpartition(":")[2], event)
    return Deed(
        "registered" if state in _HAS_ACCESS else "unregistered",
        globalised(learner, event),
        course,
        "course",
        course=course,
        actor_name=text_at(enrollment, "user_name"),
    )


def score(raw: float | None, most: float | None) -> dict[str, Any]:
    """Give a result with the score; empty where there is none.

    More points than there are, for extra work, are not allowed by xAPI (Data 2.4.5.1): then the maximum is left out.
    """
    if raw is None:
        return {}
    if most is None or most <= 0 or raw < 0:
        return {"score": {"raw": raw}}
    if raw > most:
        return {"score": {"raw": raw, "scaled": 1}}
    return {"score": {"raw": raw, "min": 0, "max": most, "scaled": round(raw / most, 4)}}


def urn(kind: str, number: str, event: JsonMap) -> str:
    """Give the id of anything in Canvas; a number may be local to the event's account."""
    return f"{URN}{kind}:{globalised(number, event)}"


def globalised(number: str, event: JsonMap) -> str:
    """Give an id as a global one; some events have local ids, and the account that all belongs to tells the shard."""
    acting = canvas(map_at(event, "actor"))
    root = text_at(map_at(event, "metadata"), "root_account_id") or text_at(acting, "root_account_id")
    if number.isdecimal() and len(number) <= LOCAL_DIGITS < len(root) and root.isdecimal():
        return root[:-LOCAL_DIGITS] + number.zfill(LOCAL_DIGITS)
    return number


def canvas(entity: JsonMap) -> JsonMap:
    """Give what Canvas adds to an entity of Caliper."""
    return map_at(map_at(entity, "extensions"), _CANVAS)


def map_at(value: JsonMap, key: str) -> dict[str, Any]:
    """Give the map under a key; an empty one where something else is, or nothing."""
    inner = value.get(key)
    return inner if isinstance(inner, dict) else {}


def text_at(value: JsonMap, key: str) -> str:
    """Give the text or whole number under a key, as text; an empty one where something else is, or nothing."""
    inner = value.get(key)
    return str(inner) if isinstance(inner, str | int) and not isinstance(inner, bool) else ""


def number_at(value: JsonMap, key: str) -> float | None:
    """Give the number under a key, if there is one that can be reckoned with."""
    inner = value.get(key)
    return inner if isinstance(inner, int | float) and not isinstance(inner, bool) and abs(inner) < _MOST else None
