"""How rosters read one source record."""

from typing import Any

from bridge.mapping import aliases
from bridge.mapping.facts import Failure, RosterEntry
from bridge.mapping.items import EvaluationError, Item
from bridge.mapping.kinds import AliasRule, Roster


def read_roster(roster: Roster, data: dict[str, Any]) -> RosterEntry | Failure:
    """Give the learner that a roster row names."""
    item = Item({"row": data})
    try:
        learner_key = item.text(roster.learner)
        if learner_key is None:
            return Failure("learner", str(roster.learner), "it gave null, and a learner must have a key")
        attributes = {name: item.text(expression) for name, expression in roster.attributes.items()}
        keys = (_alias_key(rule, item) for rule in roster.aliases)
        return RosterEntry(
            learner_key=learner_key,
            name=item.text(roster.name),
            attributes={name: value for name, value in attributes.items() if value is not None},
            alias_keys=tuple(dict.fromkeys(key for key in keys if key)),
        )
    except EvaluationError as err:
        return Failure("roster", err.expression, err.reason)


def _alias_key(rule: AliasRule, item: Item) -> str | None:
    """Give the alias, or None where the row leaves a part of it empty."""
    parts = {name: item.text(expression) for name, expression in rule.parts.items()}
    match rule.kind, parts:
        case "account", {"home_page": str(home_page), "name": str(name)}:
            return aliases.of_account(home_page, name)
        case "user", {"id": str(user)} if rule.source:
            return aliases.of_user(rule.source, user)
        case ("mbox" | "mbox_sha1sum" | "openid") as kind, {"value": str(value)}:
            return aliases.SHAPES[kind](value)
    return None
