"""What may be asked of the statements resource (xAPI 1.0.3, Communication 2.1.3): query parameters in, a Query out."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from lrs.errors import Invalid, Rule
from lrs.xapi import structs, times, validation
from lrs.xapi.formats import Format
from lrs.xapi.terms import Term, agent_term, registration_term

MAX_LIMIT = 500
"""Statements on a page at most: some 750 kB at Moodle's 1.5 kB each."""

_SECTION = "Communication 2.1.3"
_KNOWN = Rule("only the parameters of the specification are allowed, in its spelling and case", _SECTION, "Drop it.")
_ONCE = Rule("a parameter comes once", _SECTION, "Send one value.")
_VALUE = Rule("a parameter has the form of what it is compared with", _SECTION, "Correct the value.")
_ALONE = Rule(
    "statementId and voidedStatementId stand alone, but for attachments and format", _SECTION, "Drop the others."
)
_IDENTIFIED = Rule("agent is an Agent or a Group with an identifier", _SECTION, "Give its mbox, account or the like.")

_WITH_AN_ID = {"statementId", "voidedStatementId", "attachments", "format"}


@dataclass(frozen=True, kw_only=True)
class Query:
    """What statements are asked for."""

    statement_id: str | None = None
    voided_statement_id: str | None = None
    agent: Term | None = None
    verb: Term | None = None
    activity: Term | None = None
    registration: Term | None = None
    related_agents: bool = False
    related_activities: bool = False
    since: int | None = None
    """Number (`lrs.models.Statement.seq`) after which a statement must have been stored."""
    until: int | None = None
    """Number up to which a statement must have been stored, itself included."""
    limit: int = MAX_LIMIT
    ascending: bool = False
    format: Format = Format.EXACT
    attachments: bool = False
    """Whether the attachments are to come along, as multipart/mixed."""


def parse(parameters: Mapping[str, Sequence[str]]) -> Query:
    """Read the parameters of a GET; raises Invalid whose pointer is the name of the parameter."""
    values: dict[str, Any] = {}
    for name, given in parameters.items():
        if name not in _READERS:
            raise Invalid(f"There is no parameter {name!r}.", _KNOWN, pointer=name)
        if len(given) != 1:
            raise Invalid(f"The parameter {name} comes {len(given)} times.", _ONCE, pointer=name)
        field, read = _READERS[name]
        values[field] = _read(name, given[0], read)
    _check_alone(parameters.keys())
    return Query(**values)


def _read(name: str, value: str, read: Callable[[str], object]) -> object:
    try:
        return read(value)
    except Invalid as err:
        raise Invalid(f"The parameter {name} is wrong: {err.error}", err.rule, pointer=name) from err
    except (ValueError, OverflowError) as err:
        raise Invalid(f"The parameter {name} is wrong: {err}.", _VALUE, pointer=name) from err


def _check_alone(names: set[str] | Any) -> None:  # noqa: ANN401  any set of names
    ids = {"statementId", "voidedStatementId"} & set(names)
    if ids and (len(ids) > 1 or set(names) - _WITH_AN_ID):
        raise Invalid("Parameters that do not go together.", _ALONE, pointer=sorted(ids)[0])


def _typed(kind: Any) -> Callable[[str], str]:  # noqa: ANN401  an annotated type is no class
    def read(value: str) -> str:
        try:
            found: str = msgspec.convert(value, kind)
        except msgspec.ValidationError as err:
            raise validation.translate(err) from err
        return found

    return read


def _agent(value: str) -> Term:
    term = agent_term(validation.validate_actor(value))
    if term is None:
        raise Invalid("an anonymous group equals no other.", _IDENTIFIED)
    return term


def _boolean(value: str) -> bool:
    if value not in {"true", "false"}:
        raise ValueError("it is true or false")
    return value == "true"


def _limit(value: str) -> int:
    if not re.fullmatch(r"\d{1,18}", value, re.ASCII):
        raise ValueError("it is a whole number, 0 or more")
    return min(int(value), MAX_LIMIT) or MAX_LIMIT


def _format(value: str) -> Format:
    if value not in set(Format):
        raise ValueError(f"it is {', '.join(Format)}")
    return Format(value)


_iri, _uuid, _timestamp = _typed(structs.Iri), _typed(structs.Uuid), _typed(structs.Timestamp)

_READERS: dict[str, tuple[str, Callable[[str], object]]] = {
    "statementId": ("statement_id", _uuid),
    "voidedStatementId": ("voided_statement_id", _uuid),
    "agent": ("agent", _agent),
    "verb": ("verb", lambda value: Term("verb", _iri(value))),
    "activity": ("activity", lambda value: Term("activity", _iri(value))),
    "registration": ("registration", lambda value: registration_term(_uuid(value))),
    "related_agents": ("related_agents", _boolean),
    "related_activities": ("related_activities", _boolean),
    "since": ("since", lambda value: times.to_number(_timestamp(value))),
    "until": ("until", lambda value: times.to_number(_timestamp(value))),
    "limit": ("limit", _limit),
    "ascending": ("ascending", _boolean),
    "attachments": ("attachments", _boolean),
    "format": ("format", _format),
}
