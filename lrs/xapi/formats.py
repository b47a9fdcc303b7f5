"""The forms in which statements are returned (xAPI 1.0.3, Communication 2.1.3, parameter `format`).

`exact` is the text as it is stored, and needs nothing of what is here. The other two rewrite it place by place: what is
no Agent, Group, Verb or Activity is carried over as text, so that numbers and extensions stay as they were sent.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import partial

import msgspec

from lrs.xapi import languages
from lrs.xapi.languages import Preference

_IDENTIFIERS = ("mbox", "mbox_sha1sum", "openid", "account")
_COMPONENTS = ("choices", "scale", "source", "target", "steps")

_read_members = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_read_list = msgspec.json.Decoder(list[msgspec.Raw]).decode
_read_text = msgspec.json.Decoder(str).decode


class Format(StrEnum):
    """Values of the parameter `format`."""

    EXACT = "exact"
    IDS = "ids"
    CANONICAL = "canonical"


def ids(payload: str) -> str:
    """Give a statement with no more of its Agents, Groups, Verbs and Activities than identifies them.

    An identified Group goes without its members; those of an anonymous one are all that it is known by.
    """
    return _statement(payload, _Form(_identified, _only_id, _only_id))


def canonical(payload: str, wanted: Sequence[Preference], definitions: Mapping[str, str]) -> str:
    """Give a statement with the LRS's own definition of each Activity, and one language in each language map.

    `definitions`: JSON texts by activity id; an Activity that is not there keeps its own. Verbs keep their own display.
    Agents and Groups stay as they were sent.
    """

    def verb(text: str) -> str:
        return _write(_one_language(_members(text), ("display",), wanted))

    def activity(text: str) -> str:
        members = _members(text)
        definition = definitions.get(_read_text(members["id"])) or members.get("definition")
        if definition is not None:
            members["definition"] = _definition(definition, wanted)
        return _write(members)

    return _statement(payload, _Form(_as_sent, verb, activity))


def activities(payload: str) -> set[str]:
    """Give the ids of the Activities in a statement: those that `canonical` wants definitions of."""
    found: set[str] = set()

    def note(text: str) -> str:
        found.add(_read_text(_members(text)["id"]))
        return text

    _statement(payload, _Form(_as_sent, _as_sent, note))
    return found


# --- walking through a statement -----------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Form:
    """How each kind of thing is written: JSON text in, JSON text out."""

    actor: Callable[[str], str]
    verb: Callable[[str], str]
    activity: Callable[[str], str]


def _statement(text: str, form: _Form) -> str:
    """Rewrite a statement or SubStatement."""
    members = _members(text)
    members["actor"] = form.actor(members["actor"])
    members["verb"] = form.verb(members["verb"])
    members["object"] = _object(members["object"], form)
    if "authority" in members:
        members["authority"] = form.actor(members["authority"])
    if "context" in members:
        members["context"] = _context(members["context"], form)
    return _write(members)


def _object(text: str, form: _Form) -> str:
    match _kind(_members(text)):
        case "Agent" | "Group":
            return form.actor(text)
        case "SubStatement":
            return _statement(text, form)
        case "StatementRef":
            return text
        case _:
            return form.activity(text)


def _context(text: str, form: _Form) -> str:
    members = _members(text)
    for name in ("instructor", "team"):
        if name in members:
            members[name] = form.actor(members[name])
    if "contextActivities" in members:
        # Always lists: `lrs.xapi.statements.prepare` makes them of single ones.
        kinds = _members(members["contextActivities"])
        members["contextActivities"] = _write({kind: _each(some, form.activity) for kind, some in kinds.items()})
    for name, member in (("contextAgents", "agent"), ("contextGroups", "group")):
        if name in members:
            members[name] = _each(members[name], partial(_with, member, form.actor))
    return _write(members)


def _with(name: str, rewrite: Callable[[str], str], text: str) -> str:
    members = _members(text)
    members[name] = rewrite(members[name])
    return _write(members)


# --- what is written in place of each kind -------------------------------------------------------------------------


def _as_sent(text: str) -> str:
    return text


def _only_id(text: str) -> str:
    return _write({"id": _members(text)["id"]})


def _identified(text: str) -> str:
    members = _members(text)
    kept = {name: members[name] for name in ("objectType", *_IDENTIFIERS) if name in members}
    if not kept.keys() - {"objectType"}:
        kept["member"] = _each(members["member"], _identified)
    return _write(kept)


def _definition(text: str, wanted: Sequence[Preference]) -> str:
    members = _one_language(_members(text), ("name", "description"), wanted)
    for name in _COMPONENTS:
        if name in members:
            members[name] = _each(
                members[name], lambda one: _write(_one_language(_members(one), ("description",), wanted))
            )
    return _write(members)


def _one_language(members: dict[str, str], names: Sequence[str], wanted: Sequence[Preference]) -> dict[str, str]:
    for name in names:
        if name in members:
            texts = _members(members[name])
            tag = languages.choose(list(texts), wanted)
            members[name] = "{}" if tag is None else _write({tag: texts[tag]})
    return members


# --- JSON texts ----------------------------------------------------------------------------------------------------


def _members(text: str) -> dict[str, str]:
    return {name: bytes(value).decode() for name, value in _read_members(text).items()}


def _each(text: str, rewrite: Callable[[str], str]) -> str:
    return f"[{','.join(rewrite(one) for one in _elements(text))}]"


def _elements(text: str) -> Iterator[str]:
    return (bytes(one).decode() for one in _read_list(text))


def _kind(members: dict[str, str]) -> str | None:
    return _read_text(members["objectType"]) if "objectType" in members else None


def _write(members: dict[str, str]) -> str:
    """Write a JSON object whose keys are the specification's or language tags, so need no escaping."""
    return "{" + ",".join(f'"{name}":{value}' for name, value in members.items()) + "}"
