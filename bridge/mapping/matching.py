"""Whether a statement is what a rule's `match` asks for.

A match is turned into conditions once, and each can say why it does not hold, for `mapping explain`.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, fields
from functools import cache, cached_property, lru_cache
from typing import Any, Protocol

import cel

from bridge.mapping.kinds import ActivityMatch, Learning, LearningRule, Match
from bridge.mapping.problems import shown

PRESENT, ABSENT = "present", "absent"
"""What `registration` may say beside UUIDs."""

MAX_PATTERN_LENGTH = 200
_REMEMBERED_LENGTH = 500
"""Longer ids are not remembered with what patterns found in them, so that what is remembered stays small."""

_MOODLE_INFO = "http://lrs.learninglocker.net/define/extensions/info"
"""Context extension in which logstore_xapi names the Moodle event: the surest thing to tell statements apart by."""

ROLES = ("parent", "grouping", "category", "other")
"""Of context activities, nearest first."""

Activity = dict[str, Any]


class Seen:
    """The parts of one statement that rules ask about, whatever the statement holds; looked up when first needed."""

    def __init__(self, statement: dict[str, Any]) -> None:
        self.statement = statement
        self.verb = text_at(map_at(statement, "verb"), "id")
        self.context = map_at(statement, "context")
        self.event = text_at(map_at(map_at(self.context, "extensions"), _MOODLE_INFO), "event_name")

    @cached_property
    def object(self) -> Activity:
        """The object, of whatever type it is."""
        return map_at(self.statement, "object")

    @cached_property
    def activities(self) -> dict[str, Sequence[Activity]]:
        """The context activities by role; a single one may stand without its list, as in xAPI 1.0.0."""
        found = map_at(self.context, "contextActivities")
        return {role: [one for one in _list(found.get(role)) if isinstance(one, dict)] for role in ROLES}

    def ids(self, *roles: str) -> list[str]:
        """Give the ids of the context activities in these roles."""
        return [one["id"] for role in roles for one in self.activities[role] if isinstance(one.get("id"), str)]


class Condition(Protocol):
    """One thing that a match asks for."""

    def holds(self, seen: Seen) -> bool:
        """Tell whether the statement is so."""

    def refusal(self, seen: Seen) -> str:
        """Say why it is not: what is expected, and what is there."""


def conditions(match: Match | None) -> tuple[Condition, ...]:
    """Give what a match asks for, what is cheap to tell first; nothing for no match."""
    return tuple(_conditions(match)) if match else ()


@dataclass(frozen=True, slots=True)
class Needed:
    """What a statement must have to match a rule at all; None: anything. So rules are found without trying them."""

    verbs: frozenset[str] | None
    events: frozenset[str] | None
    """Moodle's."""

    def words(self) -> str:
        """Say it to people."""
        parts = [("verb", self.verbs), ("event", self.events)]
        return " and ".join(f"the {what} {_any_of(sorted(texts))}" for what, texts in parts if texts) + " is needed"


def needed(document: Learning, rule: LearningRule) -> Needed:
    """Give what a rule needs by itself and by its document."""
    verbs: frozenset[str] | None = None
    for match in (document.match, rule.match):
        if match and match.verb:
            verbs = frozenset(match.verb) if verbs is None else verbs & frozenset(match.verb)
    return Needed(verbs, None)


def check_pattern(pattern: str) -> str:
    """Give a regular expression back if it is one; raises ValueError that says what is wrong."""
    if len(pattern) > MAX_PATTERN_LENGTH:
        raise ValueError(f"it has {len(pattern):,} characters, and {MAX_PATTERN_LENGTH} are allowed")
    try:
        _search(pattern, "")
    except RuntimeError as err:
        _, _, reason = str(err).rpartition("error: " if "parse error" in str(err) else "regex:\n")
        raise ValueError(reason.partition(". ")[0].rstrip(".")) from err
    return pattern


def map_at(value: dict[str, Any], key: str) -> dict[str, Any]:
    """Give the map under a key; an empty one where something else is, or nothing."""
    inner = value.get(key)
    return inner if isinstance(inner, dict) else {}


def text_at(value: dict[str, Any], key: str) -> str:
    """Give the text under a key; an empty one where something else is, or nothing."""
    inner = value.get(key)
    return inner if isinstance(inner, str) else ""


def _conditions(match: Match) -> Iterator[Condition]:
    if match.verb:
        yield _OneOf("verb", frozenset(match.verb), lambda seen: seen.verb)
    if match.platform:
        yield _OneOf("platform", frozenset(match.platform), lambda seen: text_at(seen.context, "platform"))
    if match.registration:
        yield _Registered(frozenset(match.registration))
    if match.activity:
        yield _Object(match.activity)
    for role in ROLES:
        if asked := getattr(match, role):
            yield _InContext(role, (role,), asked)
    if match.context:
        yield _InContext("context", ROLES, match.context)


@dataclass(frozen=True, slots=True)
class _OneOf:
    key: str
    texts: frozenset[str]
    look: Callable[[Seen], str]

    def holds(self, seen: Seen) -> bool:
        return self.look(seen) in self.texts

    def refusal(self, seen: Seen) -> str:
        return _refusal(self.key, _any_of(sorted(self.texts)), shown(self.look(seen)))


@dataclass(frozen=True, slots=True)
class _Registered:
    wanted: frozenset[str]

    def holds(self, seen: Seen) -> bool:
        registration = text_at(seen.context, "registration").lower()
        return registration in self.wanted or (PRESENT if registration else ABSENT) in self.wanted

    def refusal(self, seen: Seen) -> str:
        return _refusal("registration", " or ".join(sorted(self.wanted)), shown(text_at(seen.context, "registration")))


@dataclass(frozen=True, slots=True)
class _Object:
    asked: ActivityMatch

    def holds(self, seen: Seen) -> bool:
        return seen.object.get("objectType", "Activity") == "Activity" and _fits(self.asked, seen.object)

    def refusal(self, seen: Seen) -> str:
        return _refusal("activity", _described(self.asked), _named(seen.object))


@dataclass(frozen=True, slots=True)
class _InContext:
    key: str
    roles: tuple[str, ...]
    asked: ActivityMatch

    def holds(self, seen: Seen) -> bool:
        return any(_fits(self.asked, one) for role in self.roles for one in seen.activities[role])

    def refusal(self, seen: Seen) -> str:
        there = [_named(one) for role in self.roles for one in seen.activities[role]]
        return _refusal(self.key, _described(self.asked), ", ".join(there[:3]) or "none")


def _fits(asked: ActivityMatch, activity: Activity) -> bool:
    name = text_at(activity, "id")
    return (
        (not asked.id or name in asked.id)
        and (not asked.prefix or name.startswith(asked.prefix))
        and (not asked.type or text_at(map_at(activity, "definition"), "type") in asked.type)
        and (not asked.pattern or any(_found(pattern, name) for pattern in asked.pattern))
    )


def _found(pattern: str, name: str) -> bool:
    return _remembered(pattern, name) if len(name) <= _REMEMBERED_LENGTH else _search(pattern, name)


def _search(pattern: str, name: str) -> bool:
    """Look for a pattern with CEL's `matches`: its time is linear in the text, whatever the pattern says."""
    context = cel.Context({"text": name, "pattern": pattern})
    return _searching().execute(context) is True


_remembered = lru_cache(maxsize=10_000)(_search)
"""The same activities come again and again, and CEL compiles the pattern each time (20 us and more)."""


@cache
def _searching() -> cel.Program:
    return cel.compile("text.matches(pattern)")


def _refusal(key: str, wanted: str, found: str) -> str:
    return f"match.{key} does not hold: {wanted} is expected, and there is {found}"


def _any_of(texts: Sequence[str]) -> str:
    return " or ".join(shown(text) for text in texts)


def _described(asked: ActivityMatch) -> str:
    return " and ".join(f"{one.name} {_any_of(texts)}" for one in fields(asked) if (texts := getattr(asked, one.name)))


def _named(activity: Activity) -> str:
    kind = text_at(map_at(activity, "definition"), "type")
    return f"{shown(text_at(activity, 'id'))} of type {shown(kind)}" if kind else shown(text_at(activity, "id"))


def _list(value: object) -> list[Any]:
    return value if isinstance(value, list) else [value]
