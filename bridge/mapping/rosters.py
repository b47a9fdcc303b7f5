"""How rosters read one source record."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from bridge.mapping import aliases
from bridge.mapping.facts import Failure
from bridge.mapping.items import EvaluationError, Item
from bridge.mapping.kinds import AliasRule, Roster


@dataclass(frozen=True, slots=True, order=True)
class Attribute:
    """What a roster row says of a learner, from one day to another: ISO 8601 dates, both included."""

    name: str
    value: str
    valid_from: str | None = None
    valid_to: str | None = None


@dataclass(frozen=True, slots=True)
class RosterEntry:
    """What a roster row says: of a learner, or without a key, that aliases belong together."""

    learner_key: str | None
    name: str | None
    attributes: tuple[Attribute, ...]
    alias_keys: tuple[str, ...]
    addresses: tuple[tuple[str, str], ...] = ()
    """(alias, mail address as it was written) where the two differ: for hashes of what was written."""
    periodic: bool = False
    """It says from when or until when, so others of the same learner may stand beside it."""


def read_roster(roster: Roster, data: dict[str, Any]) -> RosterEntry | Failure:
    """Give what a roster row says.

    A row without a key for its learner is a failure, but where the expressions are ready made: then it says as much as
    one of a roster without `learner`.
    """
    item = Item({"row": data})
    try:
        learner_key = item.text(roster.learner)
        if learner_key is None and roster.learner is not None and roster.format in (None, "csv"):
            return Failure("learner", str(roster.learner), "it gave null, and a learner must have a key")
        named = [alias for rule in roster.aliases if (alias := _alias(rule, item))]
        since, until = _day(item, roster.valid_from), _day(item, roster.valid_to)
        if since is not None and until is not None and until < since:
            return Failure("valid_to", str(roster.valid_to), f"it gave {until}, which is before {since}")
        attributes = tuple(sorted(_attributes(roster, item, since, until)))
        return RosterEntry(
            learner_key=learner_key,
            name=item.text(roster.name),
            attributes=attributes,
            alias_keys=tuple(dict.fromkeys(alias for alias, _ in named)),
            addresses=tuple(dict.fromkeys(pair for alias, written in named for pair in _written(alias, written))),
            periodic=bool(since or until or any(one.valid_from or one.valid_to for one in attributes)),
        )
    except EvaluationError as err:
        return Failure("roster", err.expression, err.reason)


def _attributes(roster: Roster, item: Item, since: str | None, until: str | None) -> Iterator[Attribute]:
    for name, rule in roster.attributes.items():
        if (value := item.text(rule.value)) is None:
            continue
        first, last = _day(item, rule.valid_from) or since, _day(item, rule.valid_to) or until
        if first is not None and last is not None and last < first:
            raise EvaluationError(rule.valid_to or rule.value, f"{name} would end on {last}, before it begins")
        yield Attribute(name, value, first, last)


def _day(item: Item, expression: Any) -> str | None:  # noqa: ANN401 - an Expression or None
    """Give a date in UTC; an empty text is none."""
    if expression is None or item.value(expression) in (None, ""):
        return None
    moment = item.moment(expression)
    return moment.date().isoformat() if moment else None


def _alias(rule: AliasRule, item: Item) -> tuple[str, str | None] | None:
    """Give the alias, and a mail address as it was written; None where the row leaves a part of it empty."""
    parts = {name: item.text(expression) for name, expression in rule.parts.items()}
    match rule.kind, parts:
        case "account", {"home_page": str(home_page), "name": str(name)}:
            return aliases.of_account(home_page, name), None
        case "user", {"id": str(user)} if rule.source:
            return aliases.of_user(rule.source, user), None
        case "mbox", {"value": str(value)}:
            return aliases.of_mbox(value), aliases.without_mailto(value)
        case ("mbox_sha1sum" | "openid" | "employee") as kind, {"value": str(value)}:
            return aliases.SHAPES[kind](value), None
    return None


def _written(alias: str, written: str | None) -> Iterator[tuple[str, str]]:
    """Give the other ways in which an address may have been hashed: as it stands here, and that in lower case."""
    for one in (written, written and written.lower()):
        if one is not None and one != alias.removeprefix("mbox:mailto:"):
            yield alias, one
