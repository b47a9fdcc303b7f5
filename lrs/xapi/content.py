"""What a statement without an id says, so that it can be known when it is sent again.

Not the specification's comparison (`lrs.xapi.equality`): a sender that lost our answer puts the same events into new
statements, and some of what it adds differs each time. Moodle's plugin makes context.registration from the session of
the process that sends.
"""

import hashlib
from typing import Any

import msgspec
from msgspec import UNSET

from lrs.xapi import times
from lrs.xapi.structs import Activity, Agent, Group, Statement, StatementRef
from lrs.xapi.terms import agent_key

_EVENT = ("http://lrs.learninglocker.net/define/extensions/info", "event_name")
"""Where senders that turn a system's events into statements name the event: two may differ in nothing else."""


def digest(statement: Statement) -> bytes | None:
    """Give the SHA-256 of actor, verb, object, timestamp, result and event name.

    None without a timestamp: then two equal statements may well be two events.
    """
    if statement.timestamp is UNSET:
        return None
    said = [
        _actor(statement.actor),
        statement.verb.id,
        _target(statement.object),
        times.to_utc(statement.timestamp),
        None if statement.result is UNSET else statement.result,
        _event(statement),
    ]
    return hashlib.sha256(msgspec.json.encode(said, order="deterministic")).digest()


def _actor(actor: Agent | Group) -> list[Any]:
    members = actor.member if isinstance(actor, Group) and actor.member is not UNSET else []
    return [agent_key(actor), sorted(agent_key(one) or "" for one in members)]


def _target(target: object) -> list[Any]:
    match target:
        case Activity():
            return ["Activity", target.id]
        case Agent() | Group():
            return ["Agent", _actor(target)]
        case StatementRef():
            return ["StatementRef", target.id.lower()]
        case _:
            return ["SubStatement", target]


def _event(statement: Statement) -> object:
    if statement.context is UNSET or statement.context.extensions is UNSET:
        return None
    info = statement.context.extensions.get(_EVENT[0])
    return info.get(_EVENT[1]) if isinstance(info, dict) else None
