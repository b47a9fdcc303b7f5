"""Reading statements: JSON text in, valid `Statement` structs out, or `Invalid` with the place and the remedy."""

import json
import re
from collections.abc import Container, Iterable
from contextlib import suppress
from typing import Any

import msgspec

from lrs.errors import Invalid, Rule
from lrs.xapi import structs
from lrs.xapi.structs import Broken, Statement
from lrs.xapi.versions import Version

MAX_DEPTH = 100
"""Objects and lists within each other: far more than statements have, far less than Python can follow."""

_UNIQUE_KEYS = Rule("a JSON object has each key once", "2.2", "Send one value under each key.")
_JSON = Rule("a statement is JSON in UTF-8", "Communication 1.5.1", "Send the text that a JSON library writes.")
_PLAIN = Rule("a body is sent as it is", None, "Content-Encoding is not read here: send the JSON without gzip.")
_TEXT = Rule(
    "texts hold no NUL character and no half of a surrogate pair",
    None,
    "Drop the character \\u0000, and write characters beyond the basic plane as a pair or as UTF-8.",
)
_DEPTH = Rule(f"a statement is nested at most {MAX_DEPTH} deep", None, "Send flatter extensions.")
_NULL = Rule("null is allowed inside extensions only", "2.2", "Leave the property out.")
_UNKNOWN = Rule(
    "only the properties of the specification are allowed, in its spelling and case",
    "2.2",
    "Put what is your own under extensions.",
)
_MISSING = Rule("a required property is missing", "2.4", "Add it.")
_OBJECT_TYPE = Rule("objectType says which kind stands there, in this spelling and case", "2.4.4", "Correct it.")
_TYPE = Rule("each property has its type and range", "2.2", "Send a value of that type.")
_ONLY_TWO = Rule("this property came with xAPI 2.0", None, "Send the request with X-Experience-API-Version: 2.0.0.")
_VERSION = Rule("version is one that the request's version covers", "2.4.10", "Leave version out; it is set for you.")
_ATTACHMENT = Rule(
    "an attachment is sent along (multipart/mixed) or has a fileUrl",
    "2.4.11",
    "Send its bytes in a part of their own, with the header X-Experience-API-Hash, or add fileUrl.",
)

_SUSPECT_ESCAPE = re.compile(r"\\u(?:0000|[dD][89a-fA-F])")
_UNUSUAL_ESCAPE = re.compile(rb"\\u(?:0000|[dD][89a-fA-F]|0022)")
_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")


def split(body: bytes) -> tuple[list[msgspec.Raw], bool]:
    """Cut a request body into the texts of its statements; also tell whether it was a list."""
    try:
        if body.lstrip()[:1] == b"[":
            return msgspec.json.decode(body, type=list[msgspec.Raw]), True
        return [msgspec.json.decode(body, type=msgspec.Raw)], False
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as err:
        if not body.strip():
            raise Invalid("The body is empty.", _JSON) from err
        if body.startswith(b"\x1f\x8b"):
            raise Invalid("The body is packed with gzip.", _PLAIN) from err
        # msgspec takes half of a surrogate pair for a text that is cut off.
        with suppress(ValueError, RecursionError):
            _check_texts(json.loads(body) if _UNUSUAL_ESCAPE.search(body) else None)
        raise Invalid(f"The body is not JSON: {err}.", _JSON) from err


def validate(text: bytes, version: Version, *, attached: Container[str] | None = ()) -> Statement:
    """Read one statement; raises Invalid.

    `attached`: the SHA-2 hashes, in lower case, of what was sent along; any other attachment needs a fileUrl. None for
    what is stored: its attachments were seen to when it came.
    """
    data = _parse(text)
    if isinstance(data, dict):
        _complete(data)
    try:
        statement = msgspec.convert(data, Statement)
    except msgspec.ValidationError as err:
        raise translate(err) from err
    _check_version(statement, version)
    if attached is not None:
        _check_attachments(statement, attached)
    return statement


def validate_actor(text: str) -> structs.Agent | structs.Group:
    """Read an agent or an identified group, as the query parameter `agent` gives it; raises Invalid."""
    data = _parse(text.encode("utf-8", "surrogatepass"))
    _default_type(data, "Agent")
    try:
        return msgspec.convert(data, structs.Agent | structs.Group)
    except msgspec.ValidationError as err:
        raise translate(err) from err


def _parse(text: bytes) -> Any:  # noqa: ANN401  JSON is anything
    data = _parse_plain(text)
    if data is None:
        data = _parse_thoroughly(text)
    # Rare, so it is looked for only where the text gives cause.
    if text.count(b"{") + text.count(b"[") > MAX_DEPTH:
        _check_depth(data)
    return data


def _parse_plain(text: bytes) -> Any:  # noqa: ANN401
    """Parse what shows at a glance to be in order, in a third of the time; None for all else, right or wrong.

    Keys that come twice show in the count of quotation marks: each string has as many in the text as when it is
    written again, unless one is escaped by its number, which is not the case here. So the counts differ just when a
    key, and with it two marks, was dropped.
    """
    if b"\\u" in text and _UNUSUAL_ESCAPE.search(text):
        return None
    try:
        data = msgspec.json.decode(text)
        made = msgspec.json.encode(data)
    except (ValueError, RecursionError):
        return None
    return data if text.count(b'"') == made.count(b'"') else None


def _parse_thoroughly(text: bytes) -> Any:  # noqa: ANN401
    try:
        decoded = text.decode()
        data = json.loads(decoded, object_pairs_hook=_unique, parse_constant=_refuse_constant)
    except RecursionError as err:
        raise Invalid("The statement is nested too deeply.", _DEPTH) from err
    except ValueError as err:
        raise Invalid(f"The statement is not JSON: {err}.", _JSON) from err
    if _SUSPECT_ESCAPE.search(decoded):
        _check_texts(data)
    return data


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    data = dict(pairs)
    if len(data) < len(pairs):
        keys = [key for key, _ in pairs]
        twice = next(key for key in keys if keys.count(key) > 1)
        raise Invalid(f"The key {twice!r} comes twice in one object.", _UNIQUE_KEYS)
    return data


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is no JSON value")


def _check_depth(data: object) -> None:
    level = [data]
    for _ in range(MAX_DEPTH + 1):
        level = [child for parent in level for child in _children(parent)]
        if not level:
            return
    raise Invalid("The statement is nested too deeply.", _DEPTH)


def _check_texts(data: object) -> None:
    level = [data]
    while level:
        for one in level:
            texts = [one] if isinstance(one, str) else list(one) if isinstance(one, dict) else []
            if any(_UNSTORABLE.search(found) for found in texts):
                raise Invalid("A text of the statement cannot be stored.", _TEXT)
        level = [child for parent in level for child in _children(parent)]


def _children(data: object) -> Iterable[object]:
    match data:
        case dict():
            return data.values()
        case list():
            return data
        case _:
            return ()


# --- what the specification leaves out, so that the structs need not -----------------------------------------------


def _complete(claim: dict[str, Any]) -> None:
    """Name the kinds that may go unnamed, and make lists of single context activities (2.4.6.2)."""
    _default_type(claim.get("actor"), "Agent")
    _default_type(claim.get("authority"), "Agent")
    _default_type(claim.get("object"), "Activity")
    context = claim.get("context")
    if isinstance(context, dict):
        _default_type(context.get("instructor"), "Agent")
        # These three must be named; what stands here instead makes msgspec say so.
        _default_type(context.get("team"), "Agent")
        _default_type(context.get("statement"), "Activity")
        for name in ("contextAgents", "contextGroups"):
            if isinstance(members := context.get(name), list):
                for member in members:
                    _default_type(member, "")
                    if isinstance(member, dict):
                        _default_type(member.get("group"), "Agent")
        activities = context.get("contextActivities")
        if isinstance(activities, dict):
            for name, value in activities.items():
                if isinstance(value, dict):
                    activities[name] = [value]
    target = claim.get("object")
    if isinstance(target, dict) and target.get("objectType") == "SubStatement":
        _complete(target)


def _default_type(data: Any, kind: str) -> None:  # noqa: ANN401  JSON is anything
    if isinstance(data, dict):
        data.setdefault("objectType", kind)


# --- rules that look beyond one object -------------------------------------------------------------------------------


def _check_version(statement: Statement, version: Version) -> None:
    if statement.version is not msgspec.UNSET and not version.covers(statement.version):
        raise Invalid(
            f"version {statement.version} does not go with a {version} request.", _VERSION, pointer="/version"
        )
    if version is Version.TWO:
        return
    for claim, place in zip(statement.claims(), ("", "/object"), strict=False):
        if claim.context is msgspec.UNSET:
            continue
        for name, value in (
            ("contextAgents", claim.context.context_agents),
            ("contextGroups", claim.context.context_groups),
        ):
            if value is not msgspec.UNSET:
                raise Invalid(f"context.{name} is not in xAPI 1.0.", _ONLY_TWO, pointer=f"{place}/context/{name}")


def _check_attachments(statement: Statement, attached: Container[str]) -> None:
    for claim, place in zip(statement.claims(), ("", "/object"), strict=False):
        if claim.attachments is msgspec.UNSET:
            continue
        for index, attachment in enumerate(claim.attachments):
            if attachment.file_url is msgspec.UNSET and attachment.sha2.lower() not in attached:
                raise Invalid(
                    "An attachment was not sent along and has no fileUrl.",
                    _ATTACHMENT,
                    pointer=f"{place}/attachments/{index}",
                )


# --- msgspec's words to ours -----------------------------------------------------------------------------------------

_PLACE = re.compile(r" - at (?:`key` in )?`\$([\w.\[\]]*)`\Z")
_STEP = re.compile(r"\.(\w+)|\[(\d+)\]|\[\.\.\.\]")
# The name that an unknown property has can be any text.
_PROPERTY = re.compile(r"Object (contains unknown|missing required) field `(.*)`\Z", re.DOTALL)


def translate(err: msgspec.ValidationError) -> Invalid:
    """Say what msgspec found as the rule that was broken."""
    message = str(err)
    place = _PLACE.search(message)
    path = place[1] if place else ""
    what = message[: place.start()] if place else message
    pointer = _pointer(path)
    if isinstance(err.__cause__, Broken):
        rule = err.__cause__.rule
        return Invalid(_sentence(rule.words), rule, pointer=pointer + err.__cause__.at)
    if named := _PROPERTY.match(what):
        rule = _UNKNOWN if named[1] == "contains unknown" else _MISSING
        return Invalid(f"{what}.", rule, pointer=f"{pointer}/{_escape(named[2])}")
    if what.endswith("got `null`"):
        return Invalid(f"{what}.", _NULL, pointer=pointer)
    if path.endswith(".objectType"):
        return Invalid(f"{what}.", _OBJECT_TYPE, pointer=pointer)
    for pattern, rule in structs.PATTERNS.items():
        if repr(pattern) in what:
            return Invalid(_sentence(rule.words), rule, pointer=pointer)
    return Invalid(f"{what}.", _TYPE, pointer=pointer)


def _pointer(path: str) -> str:
    """Turn msgspec's path into a JSON pointer; it ends at the map where msgspec does not say which key."""
    steps: list[str] = []
    for step in _STEP.finditer(path):
        if step[0] == "[...]":
            break
        steps.append(step[1] or step[2])
    return "".join(f"/{step}" for step in steps)


def _escape(name: str) -> str:
    return name.replace("~", "~0").replace("/", "~1")


def _sentence(words: str) -> str:
    return f"{words[0].upper()}{words[1:]}."
