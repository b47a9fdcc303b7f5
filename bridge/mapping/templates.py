"""Whether a statement follows a statement template of an xAPI Profile.

https://github.com/adlnet/xapi-profiles/blob/master/xapi-profiles-communication.md#21-statement-template-validation.
We depart from it in one thing: of a statement that another one refers to it is not asked which template it follows.
"""

from collections.abc import Sequence
from typing import Any

from bridge.mapping.kinds import Template, TemplateRule
from bridge.mapping.problems import shown
from bridge.mapping.seen import Seen, map_at, text_at, type_at

_UNMATCHABLE = object()
"""Stands for a value in which the selector of a rule found nothing."""


def refusal(template: Template, seen: Seen) -> str | None:
    """Say why a statement does not follow a template; None when it does."""
    return _undetermined(template, seen) or next(
        (f"its rule on {shown(rule.location)} holds" for rule in template.rules if not _follows(rule, seen)),
        None,
    )


def _undetermined(template: Template, seen: Seen) -> str | None:
    """Say which of its determining properties, or of its references, is not there."""
    if template.verb is not None and seen.verb != template.verb:
        return f"its verb is {shown(template.verb)}"
    if template.type is not None and not (seen.is_of_activity and seen.type == template.type):
        return f"its object is of type {shown(template.type)}"
    for role, wanted in template.context.items():
        missing = frozenset(wanted) - {type_at(one) for one in seen.activities[role]}
        if missing:
            return f"its {role} activities are of type {shown(min(missing))}"
    there = {text_at(one, "usageType") for one in _maps(seen.statement.get("attachments"))}
    for usage in template.attachments:
        if usage not in there:
            return f"its attachments are for {shown(usage)}"
    referring = {"object": seen.object, "context": map_at(seen.context, "statement")}
    for place in template.refers:
        if referring[place].get("objectType") != "StatementRef":
            return f"its {place} refers to another statement"
    return None


def _follows(rule: TemplateRule, seen: Seen) -> bool:
    values = _values(rule, seen)
    unmatchable = any(value is _UNMATCHABLE for value in values)
    matchable = [value for value in values if value is not _UNMATCHABLE]
    if rule.presence == "included" and (unmatchable or not values):
        return False
    if rule.presence == "excluded":
        return not matchable
    if rule.presence == "recommended" and not values:
        return True
    return (
        (rule.any is None or any(_among(value, rule.any) for value in matchable))
        and (rule.all is None or (not unmatchable and all(_among(value, rule.all) for value in matchable)))
        and (rule.none is None or not any(_among(value, rule.none) for value in matchable))
    )


def _values(rule: TemplateRule, seen: Seen) -> list[Any]:
    found = rule.location.find(seen.normalised)
    if rule.selector is None:
        return found
    return [value for one in found for value in rule.selector.find(one) or [_UNMATCHABLE]]


def _among(value: object, values: Sequence[Any]) -> bool:
    return any(_same(value, one) for one in values)


def _same(value: object, wanted: object) -> bool:
    """Compare as JSON does: 1 is 1.0, and true is not 1. What is wanted is not deep, so neither goes the comparison."""
    match wanted:
        case dict():
            return (
                isinstance(value, dict)
                and value.keys() == wanted.keys()
                and all(_same(value[key], inner) for key, inner in wanted.items())
            )
        case list():
            return (
                isinstance(value, list)
                and len(value) == len(wanted)
                and all(_same(one, inner) for one, inner in zip(value, wanted, strict=True))
            )
        case bool():
            return value is wanted
        case _:
            return not isinstance(value, bool | dict | list) and value == wanted


def _maps(value: object) -> list[dict[str, Any]]:
    return [one for one in value if isinstance(one, dict)] if isinstance(value, list) else []
