"""Whether a statement is what a rule's `match` asks for.

A match is turned into conditions once, and each can say why it does not hold, for `mapping explain`.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, fields
from functools import lru_cache
from time import monotonic
from typing import Protocol

from bridge.mapping import binding, templates
from bridge.mapping.conditions import Required, both, required
from bridge.mapping.items import MAX_SECONDS, EvaluationError
from bridge.mapping.kinds import ActivityMatch, Learning, LearningRule, Match, Profile, Template
from bridge.mapping.problems import shown
from bridge.mapping.profiles import Profiles
from bridge.mapping.seen import ROLES, Activity, Seen, text_at, type_at

PRESENT, ABSENT = "present", "absent"
"""What `registration` may say beside UUIDs."""

MAX_PATTERN_LENGTH = 200
_REMEMBERED_LENGTH = 500
"""Longer ids are not remembered with what patterns found in them, so that what is remembered stays small."""


class Condition(Protocol):
    """One thing that a match asks for."""

    def holds(self, seen: Seen) -> bool:
        """Tell whether the statement is so. Raises EvaluationError where that takes too long."""

    def refusal(self, seen: Seen) -> str:
        """Say why it is not: what is expected, and what is there."""


def conditions_of(match: Match | None, profiles: Profiles) -> tuple[Condition, ...]:
    """Give what a match asks for, what is cheap to tell first; nothing for no match."""
    return tuple(_conditions(match, profiles)) if match else ()


def needed(document: Learning, rule: LearningRule, profiles: Profiles) -> Required:
    """Give the verbs, events and types one of which a statement must have for a rule to match, None where unknown.

    So the rules of a statement are found without trying them all.
    """
    found = both(required(document.when), required(rule.when))
    for match in (document.match, rule.match):
        if match:
            found = both(found, _needed_by(match, profiles))
    return found


def used(document: Learning, rule: LearningRule, profiles: Profiles) -> list[Template | Profile]:
    """Give what a rule uses of profiles, which decides what it matches as much as its own text does."""
    matches = [match for match in (document.match, rule.match) if match]
    found: list[Template | Profile] = [profiles.templates[name] for match in matches for name in match.template]
    return found + [profiles.profiles[name] for match in matches for name in match.profile]


def check_pattern(pattern: str) -> str:
    """Give a regular expression back if it is one; raises ValueError that says what is wrong."""
    if len(pattern) > MAX_PATTERN_LENGTH:
        raise ValueError(f"it has {len(pattern):,} characters, and {MAX_PATTERN_LENGTH} are allowed")
    try:
        binding.matches("", pattern)
    except binding.Uncomputable as err:
        raise ValueError(str(err).removeprefix("it is no regular expression: ").rstrip(".")) from err
    return pattern


def _needed_by(match: Match, profiles: Profiles) -> Required:
    followed = [profiles.templates[name] for name in match.template]
    types = match.activity.type if match.activity else ()
    return both(
        {"verb": _known(match.verb), "event": None, "type": _known(types)},
        {"verb": _known([one.verb for one in followed]), "event": None, "type": _known([one.type for one in followed])},
    )


def _known(texts: Sequence[str | None]) -> frozenset[str] | None:
    """Give the texts as one of which must be there; None where any may be."""
    return frozenset(filter(None, texts)) if texts and None not in texts else None


def _conditions(match: Match, profiles: Profiles) -> Iterator[Condition]:
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
    if match.profile:
        yield _Profiled(tuple(profiles.profiles[name] for name in match.profile))
    if match.template:
        yield _Templated(tuple(profiles.templates[name] for name in match.template))


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
        return seen.is_of_activity and _fits(self.asked, seen.object, seen)

    def refusal(self, seen: Seen) -> str:
        return _refusal("activity", _described(self.asked), _named(seen.object))


@dataclass(frozen=True, slots=True)
class _InContext:
    key: str
    roles: tuple[str, ...]
    asked: ActivityMatch

    def holds(self, seen: Seen) -> bool:
        return any(_fits(self.asked, one, seen) for role in self.roles for one in seen.activities[role])

    def refusal(self, seen: Seen) -> str:
        there = [_named(one) for role in self.roles for one in seen.activities[role]]
        return _refusal(self.key, _described(self.asked), ", ".join(there[:3]) or "none")


@dataclass(frozen=True, slots=True)
class _Templated:
    templates: tuple[Template, ...]

    def holds(self, seen: Seen) -> bool:
        return any(templates.refusal(template, seen) is None for template in self.templates)

    def refusal(self, seen: Seen) -> str:
        template = self.templates[0]
        unlike = templates.refusal(template, seen)
        return f"match.template does not hold: {shown(template.id)} is followed only if {unlike}"


@dataclass(frozen=True, slots=True)
class _Profiled:
    profiles: tuple[Profile, ...]

    def holds(self, seen: Seen) -> bool:
        categories = frozenset(seen.ids("category"))
        return any(
            seen.verb in profile.concepts.get("Verb", {})
            or not categories.isdisjoint((profile.name, *profile.versions))
            for profile in self.profiles
        )

    def refusal(self, seen: Seen) -> str:
        wanted = f"a verb of {_any_of([profile.name for profile in self.profiles])}, or its category,"
        return _refusal("profile", wanted, shown(seen.verb))


def _fits(asked: ActivityMatch, activity: Activity, seen: Seen) -> bool:
    name = text_at(activity, "id")
    return (
        (not asked.id or name in asked.id)
        and (not asked.prefix or name.startswith(asked.prefix))
        and (not asked.type or type_at(activity) in asked.type)
        and (not asked.pattern or any(_found(seen, pattern, name) for pattern in asked.pattern))
    )


def _found(seen: Seen, pattern: str, name: str) -> bool:
    """Look for a pattern, as long as all of them together have not taken too long for this statement."""
    if seen.seconds_of_patterns > MAX_SECONDS:
        reason = f"it took too long: the patterns before it took more than {MAX_SECONDS:g} s for this statement"
        raise EvaluationError(f"pattern: {pattern}", reason)
    began = monotonic()
    try:
        return _remembered(pattern, name) if len(name) <= _REMEMBERED_LENGTH else _search(pattern, name)
    finally:
        seen.seconds_of_patterns += monotonic() - began


def _search(pattern: str, name: str) -> bool:
    """Look for a pattern with CEL's `matches`: its time is linear in the text, whatever the pattern says."""
    try:
        return binding.matches(name, pattern)
    except binding.Uncomputable:  # an id that is no Unicode: JSON can hold half of a surrogate pair
        return False


_remembered = lru_cache(maxsize=10_000)(_search)
"""The same activities come again and again, and CEL compiles the pattern each time: 50 us, up to 200 ms."""


def _refusal(key: str, wanted: str, found: str) -> str:
    return f"match.{key} does not hold: {wanted} is expected, and there is {found}"


def _any_of(texts: Sequence[str]) -> str:
    return " or ".join(shown(text) for text in texts)


def _described(asked: ActivityMatch) -> str:
    return " and ".join(f"{one.name} {_any_of(texts)}" for one in fields(asked) if (texts := getattr(asked, one.name)))


def _named(activity: Activity) -> str:
    kind = type_at(activity)
    return f"{shown(text_at(activity, 'id'))} of type {shown(kind)}" if kind else shown(text_at(activity, "id"))
