"""What the LRS adds to a statement before it stores it, all in one pure function."""

from typing import NamedTuple

import msgspec
from msgspec import Raw

from lrs.xapi import times
from lrs.xapi.structs import Statement, SubStatement

_members = msgspec.json.Decoder(dict[str, Raw]).decode


class Prepared(NamedTuple):
    """A statement's JSON text, but for what is decided as it is stored: `finish` adds it."""

    head: str
    untimed: bool
    """Whether the sender left timestamp out, so that it becomes `stored` (2.4.7)."""


def prepare(
    text: bytes | Raw, statement: Statement, *, statement_id: str, authority: str, default_version: str
) -> Prepared:
    """Give the JSON text to store and to return: what was sent, with the LRS's own properties (2.4).

    `text` is what was sent and `statement` what it was validated as; `authority` is JSON. Values are carried over as
    text: numbers of any size, the order of properties and extensions come back as they were sent. Rewritten are only
    timestamps with a time zone other than UTC, and single context activities, which become lists (2.4.6.2).
    """
    members = {"id": f'"{statement_id}"'}
    members.update(_rewritten(_members(text), statement))
    members["id"] = f'"{statement_id}"'
    members.setdefault("version", f'"{default_version}"')
    members["authority"] = authority
    members.pop("stored", None)
    return Prepared(_object(members)[:-1], "timestamp" not in members)


def finish(prepared: Prepared, stored: str) -> str:
    """Give the whole text; `store_statements` (migration 0007) does the same in the database, which knows the time."""
    timestamp = f',"timestamp":"{stored}"' if prepared.untimed else ""
    return f'{prepared.head}{timestamp},"stored":"{stored}"}}'


def _rewritten(sent: dict[str, Raw], claim: Statement | SubStatement) -> dict[str, str]:
    members = {name: _text(value) for name, value in sent.items()}
    if isinstance(claim.timestamp, str):
        members["timestamp"] = f'"{times.to_utc(claim.timestamp)}"'
    if "context" in sent:
        members["context"] = _context(sent["context"])
    if isinstance(claim.object, SubStatement):
        members["object"] = _object(_rewritten(_members(sent["object"]), claim.object))
    return members


def _context(text: Raw) -> str:
    sent = _members(text)
    if "contextActivities" not in sent:
        return _text(text)
    activities = {name: _text(value).strip() for name, value in _members(sent["contextActivities"]).items()}
    if not any(value.startswith("{") for value in activities.values()):
        return _text(text)
    lists = {name: f"[{value}]" if value.startswith("{") else value for name, value in activities.items()}
    members = {name: _text(value) for name, value in sent.items()}
    members["contextActivities"] = _object(lists)
    return _object(members)


def _text(raw: Raw) -> str:
    return bytes(raw).decode()


def _object(members: dict[str, str]) -> str:
    """Write a JSON object whose keys are the specification's, so need no escaping."""
    return "{" + ",".join(f'"{name}":{value}' for name, value in members.items()) + "}"
