"""One statement as the rules look at it."""

from collections.abc import Sequence
from functools import cached_property
from typing import Any

ROLES = ("parent", "grouping", "category", "other")
"""Of context activities, nearest first."""

_MOODLE_INFO = "http://lrs.learninglocker.net/define/extensions/info"
"""Context extension in which logstore_xapi names the Moodle event: the surest thing to tell statements apart by."""

_FINDINGS = "https://w3id.org/xapi/lrs-bridge/verbs/"
"""Verbs of what we found out ourselves (`connectors.destinations.findings`; a test compares)."""

Activity = dict[str, Any]


class Seen:
    """The parts of one statement that rules ask about, whatever the statement holds; looked up when first needed."""

    def __init__(self, statement: dict[str, Any]) -> None:
        self.statement = statement
        self.verb = text_at(map_at(statement, "verb"), "id")
        self.context = map_at(statement, "context")
        self.event = text_at(map_at(map_at(self.context, "extensions"), _MOODLE_INFO), "event_name")
        self.object: Activity = map_at(statement, "object")
        self.type = type_at(self.object)
        self.seconds_of_patterns = 0.0
        """What regular expressions on it have taken."""

    @property
    def is_of_activity(self) -> bool:
        """Whether the object is an activity."""
        return bool(self.object.get("objectType", "Activity") == "Activity")

    @property
    def is_finding(self) -> bool:
        """Whether it says what we found out ourselves: read as evidence, it would confirm itself."""
        return self.verb.startswith(_FINDINGS)

    @cached_property
    def activities(self) -> dict[str, Sequence[Activity]]:
        """The context activities by role; a single one may stand without its list, as in xAPI 1.0.0."""
        found = map_at(self.context, "contextActivities")
        return {role: [one for one in _list(found.get(role)) if isinstance(one, dict)] for role in ROLES}

    def ids(self, *roles: str) -> list[str]:
        """Give the ids of the context activities in these roles."""
        return [one["id"] for role in roles for one in self.activities[role] if isinstance(one.get("id"), str)]

    @cached_property
    def normalised(self) -> dict[str, Any]:
        """The statement with each role of its context activities as a list, which paths of profiles count on."""
        there = map_at(self.context, "contextActivities")
        if all(isinstance(there.get(role, []), list) for role in ROLES):
            return self.statement
        listed = there | {role: self.activities[role] for role in ROLES if role in there}
        return self.statement | {"context": self.context | {"contextActivities": listed}}


def map_at(value: dict[str, Any], key: str) -> dict[str, Any]:
    """Give the map under a key; an empty one where something else is, or nothing."""
    inner = value.get(key)
    return inner if isinstance(inner, dict) else {}


def text_at(value: dict[str, Any], key: str) -> str:
    """Give the text under a key; an empty one where something else is, or nothing."""
    inner = value.get(key)
    return inner if isinstance(inner, str) else ""


def type_at(activity: Activity) -> str:
    """Give the type of an activity, an empty text where it has none."""
    return text_at(map_at(activity, "definition"), "type")


def _list(value: object) -> list[Any]:
    return value if isinstance(value, list) else [value]
