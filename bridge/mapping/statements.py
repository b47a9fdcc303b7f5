"""How the learning rules read one statement."""

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from bridge.mapping import aliases
from bridge.mapping.facts import Failure, LearningFact, StatementReading
from bridge.mapping.functions import moment
from bridge.mapping.items import EvaluationError, Item
from bridge.mapping.kinds import Learning, LearningRule

_MOODLE_INFO = "http://lrs.learninglocker.net/define/extensions/info"
"""Context extension in which logstore_xapi names the Moodle event: the surest thing to tell statements apart by."""


def read_statement(learning: Iterable[Learning], statement: dict[str, Any]) -> StatementReading:
    """Give the facts of all rules that match, and the rules that failed; an anonymous group gives neither."""
    reading = StatementReading()
    alias_key = aliases.of_actor(_map(statement, "actor"))
    if alias_key is None:
        return reading
    item = _item(statement)
    for document in learning:
        for rule in document.rules:
            name = f"{document.name}/{rule.name}"
            try:
                if item.holds(rule.when):
                    reading.facts.append(_fact(name, rule, item, statement, alias_key))
            except EvaluationError as err:
                reading.failures.append(Failure(name, err.expression, err.reason))
    return reading


def _item(statement: dict[str, Any]) -> Item:
    context, activity = _map(statement, "context"), _map(statement, "object")
    parents = _parents(context)
    return Item(
        {
            "statement": statement,
            "actor": _map(statement, "actor"),
            "verb": _text(_map(statement, "verb"), "id"),
            "object": activity,
            "result": _map(statement, "result"),
            "context": context,
            "event": _text(_map(_map(context, "extensions"), _MOODLE_INFO), "event_name"),
            "type": _text(_map(activity, "definition"), "type"),
            "parents": parents,
        },
        parents=parents,
    )


def _fact(name: str, rule: LearningRule, item: Item, statement: dict[str, Any], alias_key: str) -> LearningFact:
    activity = item.text(rule.activity)
    if activity is None:
        raise EvaluationError(rule.activity, "it gave null, and a fact must be about an activity")
    return LearningFact(
        rule=name,
        kind=rule.fact,
        alias_key=alias_key,
        actor_name=_text(_map(statement, "actor"), "name") or None,
        occurred_at=_occurred_at(statement),
        activity=activity,
        course=item.text(rule.course),
        attempt=item.text(rule.attempt),
        score=_score(rule, item),
        success=item.flag(rule.success),
    )


def _score(rule: LearningRule, item: Item) -> float | None:
    score = item.number(rule.score)
    if score is not None and not 0 <= score <= 1:
        raise EvaluationError(rule.score or "", f"it gave {score:g}; a score is 0 to 1: use fraction(result.score)")
    return score


def _occurred_at(statement: dict[str, Any]) -> datetime:
    """Give the time of the event; an LRS adds `timestamp` where the sender had none, and `stored` always."""
    try:
        return moment(statement.get("timestamp") or statement.get("stored"))
    except (TypeError, ValueError) as err:
        raise EvaluationError("timestamp", str(err)) from err


def _parents(context: dict[str, Any]) -> list[str]:
    """Give the ids of parent, then grouping activities; a single one may stand without its list, as in xAPI 1.0.0."""
    activities = _map(context, "contextActivities")
    found: list[str] = []
    for role in ("parent", "grouping"):
        entries = activities.get(role)
        ids = [entry.get("id") for entry in _list(entries) if isinstance(entry, dict)]
        found += [name for name in ids if isinstance(name, str)]
    return found


def _list(value: object) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _map(value: dict[str, Any], key: str) -> dict[str, Any]:
    inner = value.get(key)
    return inner if isinstance(inner, dict) else {}


def _text(value: dict[str, Any], key: str) -> str:
    inner = value.get(key)
    return inner if isinstance(inner, str) else ""
