"""What makes two statements equal (xAPI 1.0.3, Data 2.3.1, statement comparison)."""

import json
import re
from decimal import Decimal
from typing import Any

from lrs.xapi import times

_ASSIGNED = ("id", "authority", "stored", "version")
_BEYOND_HUNDREDTHS = re.compile(r"([.,]\d\d)\d+(?=S\Z)")


def equal(sent: str, stored: str) -> bool:
    """Tell whether a statement sent under a known id is the one that is stored under it.

    What an LRS may assign or serialise in its own way makes no difference: id, authority, stored, version; a timestamp
    that the sender left out; the notation of timestamps and numbers; activity definitions and verb displays; the order
    of a group's members; letter case in an mbox or a UUID; a single context activity or a list of one. A duration is
    compared as text down to 0.01 s (4.6). All else does, also within extensions and the description of attachments.
    """
    one, other = _parse(sent), _parse(stored)
    if "timestamp" not in one:
        other.pop("timestamp", None)
    return _canonical(_claim(one)) == _canonical(_claim(other))


def _parse(text: str) -> dict[str, Any]:
    parsed: dict[str, Any] = json.loads(text, parse_int=_number, parse_float=_number)
    return parsed


def _number(text: str) -> str:
    # 1, 1.0 and 1e0 are one number; the NUL, which no stored text can hold, keeps it apart from the text "1".
    try:
        sign, digits, exponent = Decimal(text).as_tuple()
    except ArithmeticError:  # an exponent of more than 18 digits
        return f"\0{text}"
    # Not Decimal.normalize, which rounds to 28 digits.
    written = "".join(map(str, digits)).lstrip("0")
    significant = written.rstrip("0")
    if not significant:
        return "\x000"
    return f"\0{'-' * sign}{significant}e{int(exponent) + len(written) - len(significant)}"


def _canonical(data: object) -> str:
    return json.dumps(data, sort_keys=True)


def _claim(data: dict[str, Any]) -> dict[str, Any]:
    """Reduce a statement or SubStatement to what counts."""
    claim = {name: value for name, value in data.items() if name not in _ASSIGNED}
    claim["actor"] = _actor(data["actor"])
    claim["verb"] = {"id": data["verb"]["id"]}
    claim["object"] = _target(data["object"])
    if "timestamp" in data:
        claim["timestamp"] = _instant(data["timestamp"])
    if "duration" in data.get("result", {}):
        claim["result"] = data["result"] | {"duration": _BEYOND_HUNDREDTHS.sub(r"\1", data["result"]["duration"])}
    if "context" in data:
        claim["context"] = _context(data["context"])
    return claim


def _actor(data: dict[str, Any]) -> dict[str, Any]:
    actor = dict(data)
    for name in ("mbox", "mbox_sha1sum"):
        if name in actor:
            actor[name] = actor[name].lower()
    if "member" in actor:
        actor["member"] = sorted((_actor(member) for member in actor["member"]), key=_canonical)
    return actor


def _target(data: dict[str, Any]) -> dict[str, Any]:
    match data.get("objectType", "Activity"):
        case "Activity":
            return _activity(data)
        case "Agent" | "Group":
            return _actor(data)
        case "StatementRef":
            return data | {"id": data["id"].lower()}
        case "SubStatement":
            return _claim(data)
        case kind:
            raise ValueError(f"no object of a statement has the type {kind!r}")


def _activity(data: dict[str, Any]) -> dict[str, Any]:
    return {"objectType": "Activity", "id": data["id"]}


def _context(data: dict[str, Any]) -> dict[str, Any]:
    context = dict(data)
    for name in ("instructor", "team"):
        if name in context:
            context[name] = _actor(context[name])
    if "registration" in context:
        context["registration"] = context["registration"].lower()
    if "contextActivities" in context:
        context["contextActivities"] = {
            name: [_activity(one) for one in (value if isinstance(value, list) else [value])]
            for name, value in context["contextActivities"].items()
        }
    for name, member in (("contextAgents", "agent"), ("contextGroups", "group")):
        if name in context:
            context[name] = [role | {member: _actor(role[member])} for role in context[name]]
    return context


def _instant(timestamp: str) -> str:
    """Write an instant in one way: in UTC, without zeros at the end of its fraction."""
    seconds, _, fraction = times.to_utc(timestamp).removesuffix("Z").partition(".")
    return f"{seconds}.{fraction.rstrip('0')}"
