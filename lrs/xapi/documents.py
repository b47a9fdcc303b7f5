"""Documents: the State, Activity Profile and Agent Profile Resources (xAPI 1.0.3, Communication 2.2, 2.3, 2.6 and 2.7).

What their parameters mean, when a write may go ahead (3.1), and how JSON is merged into JSON.
"""

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import Any

import msgspec

from lrs.errors import Conflict, Invalid, PreconditionFailed, Rule
from lrs.xapi import structs, times, validation
from lrs.xapi.structs import Agent
from lrs.xapi.terms import agent_key
from lrs.xapi.versions import Version

_ONLY_THESE = "only the parameters of the specification are allowed, in its spelling and case"
_CONTENT_TYPE_LENGTH = 1000
_CONTENT_TYPE = re.compile(rf"[\t\x20-\x7e]{{1,{_CONTENT_TYPE_LENGTH}}}")
_TAG = re.compile(r'(?:W/)?"([^"]*)"|([^\s,"]+)')
_ANY = "*"

_ONCE = Rule("a parameter comes once", "Communication 3.2", "Send one value.")
_VALUE = Rule("a parameter has the form of what it stands for", "Communication 2.2", "Correct the value.")
_TEXT = Rule("texts hold no NUL character and no half of a surrogate pair", None, "Choose another id.")
_AGENT = Rule(
    "agent is an Agent, not a Group",
    "Communication 2.4, 2.6",
    "For an identified Group, send its identifier within an Agent.",
)
_TYPE_IS_TEXT = Rule(
    f"a Content-Type is ASCII text of at most {_CONTENT_TYPE_LENGTH} characters", "Communication 2.2", "Correct it."
)
_OBJECTS = Rule(
    "a POST merges a JSON object into a JSON object, both with Content-Type application/json",
    "Communication 2.2",
    "Send a JSON object as application/json, or replace the whole document with PUT.",
)
_MATCH = Rule(
    "a write goes ahead only on the document that its If-Match or If-None-Match names",
    "Communication 3.1",
    "GET the document, look at what has changed, and send its current ETag in If-Match.",
)
_GUARDED = Rule(
    "a PUT says by If-Match or If-None-Match what it takes the document to be",
    "Communication 3.1",
    "Check the current state of the resource (GET), and set the If-Match header with its current ETag.",
)
_GUARDED_NEW = Rule(_GUARDED.words, _GUARDED.section, "Send If-None-Match: * for a document that is not there yet.")


# --- which documents -----------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Resource:
    """One of the three document resources."""

    name: str
    path: str
    id: str
    """The parameter that names a document."""
    required: tuple[str, ...]
    """The parameters that name what a document is about."""
    section: str
    optional: tuple[str, ...] = ()

    @property
    def is_state(self) -> bool:
        """State alone can be deleted as a whole, and may be written without preconditions (1.0.3)."""
        return self.id == "stateId"


STATE = Resource(
    "state", "/activities/state", "stateId", ("activityId", "agent"), "Communication 2.3", ("registration",)
)
ACTIVITY_PROFILE = Resource(
    "activity_profile", "/activities/profile", "profileId", ("activityId",), "Communication 2.7"
)
AGENT_PROFILE = Resource("agent_profile", "/agents/profile", "profileId", ("agent",), "Communication 2.6")
RESOURCES = (STATE, ACTIVITY_PROFILE, AGENT_PROFILE)


@dataclass(frozen=True)
class Context:
    """What documents are about (2.3); ids are distinct within one.

    State without a registration is a context of its own, neither that of any registration nor of all: the
    specification can be read either way, its authors mean this one (xAPI-Spec issue 1086).
    """

    resource: Resource
    activity: str | None = None
    agent: str | None = None
    """Who it is: `lrs.xapi.terms.agent_key`."""
    registration: str | None = None

    @cached_property
    def digest(self) -> bytes:
        """Give what stands for it in an index: an IRI may be longer than an entry can be."""
        parts = [self.resource.name, self.activity, self.agent, self.registration]
        return hashlib.sha256(json.dumps(parts).encode()).digest()

    def digest_of(self, document_id: str) -> bytes:
        """Give what stands for one of its documents."""
        return hashlib.sha256(self.digest + document_id.encode()).digest()


@dataclass(frozen=True)
class Asked:
    """What the parameters of a request name."""

    context: Context
    document_id: str | None
    """None for all of the context."""
    since: datetime | None = None
    """The instant after which a document must have been updated."""


def asked_to_read(resource: Resource, parameters: Mapping[str, Sequence[str]]) -> Asked:
    """Read the parameters of a GET: with the id one document; without it the ids, with `since` only the later ones."""
    several = () if resource.id in parameters else ("since",)
    return _asked(resource, parameters, required=(), optional=(resource.id, *several))


def asked_to_write(resource: Resource, parameters: Mapping[str, Sequence[str]]) -> Asked:
    """Read the parameters of a PUT or POST, which name one document."""
    return _asked(resource, parameters, required=(resource.id,), optional=())


def asked_to_delete(resource: Resource, parameters: Mapping[str, Sequence[str]]) -> Asked:
    """Read the parameters of a DELETE: one document or, of state alone, all of the context (2.3)."""
    if resource.is_state:
        return _asked(resource, parameters, required=(), optional=(resource.id,))
    return asked_to_write(resource, parameters)


def _asked(
    resource: Resource,
    parameters: Mapping[str, Sequence[str]],
    *,
    required: tuple[str, ...],
    optional: tuple[str, ...],
) -> Asked:
    values = read_parameters(
        parameters,
        required=(*resource.required, *required),
        optional=(*resource.optional, *optional),
        section=resource.section,
    )
    agent: Agent | None = values.get("agent")
    context = Context(
        resource, values.get("activityId"), agent_key(agent) if agent else None, values.get("registration")
    )
    return Asked(context, values.get(resource.id), values.get("since"))


def read_parameters(
    parameters: Mapping[str, Sequence[str]], *, required: tuple[str, ...], optional: tuple[str, ...] = (), section: str
) -> dict[str, Any]:
    """Read query parameters by name; raises Invalid whose pointer is the name.

    `agent` becomes an Agent, `since` an instant, a registration lower case.
    """
    known = (*required, *optional)
    for name, given in parameters.items():
        if name not in known:
            raise Invalid(
                f"There is no parameter {name!r} here.",
                Rule(_ONLY_THESE, section, f"There are {', '.join(known)}."),
                pointer=name,
            )
        if len(given) != 1:
            raise Invalid(f"The parameter {name} comes {len(given)} times.", _ONCE, pointer=name)
    for name in required:
        if name not in parameters:
            rule = Rule("a required parameter is missing", section, "Add it.")
            raise Invalid(f"The parameter {name} is missing.", rule, pointer=name)
    return {name: _read(name, given[0]) for name, given in parameters.items()}


def _read(name: str, value: str) -> object:
    try:
        match name:
            case "agent":
                return _read_agent(value)
            case "since":
                return times.from_number(times.to_number(msgspec.convert(value, structs.Timestamp)))
            case "activityId":
                return msgspec.convert(value, structs.Iri)
            case "registration":
                return msgspec.convert(value, structs.Uuid).lower()
            case _:
                return _read_id(value)
    except msgspec.ValidationError as err:
        found = validation.translate(err)
        raise Invalid(f"The parameter {name} is wrong: {found.error}", found.rule, pointer=name) from err
    except Invalid as err:
        raise Invalid(f"The parameter {name} is wrong: {err.error}", err.rule, pointer=name) from err
    except (ValueError, OverflowError) as err:
        raise Invalid(f"The parameter {name} is wrong: {err}.", _VALUE, pointer=name) from err


def _read_agent(value: str) -> Agent:
    agent = validation.validate_actor(value)
    if not isinstance(agent, Agent):
        raise Invalid("It is a Group.", _AGENT)
    return agent


def _read_id(value: str) -> str:
    if re.search("[\x00\ud800-\udfff]", value):
        raise Invalid("It cannot be stored.", _TEXT)
    return value


# --- whether a write may go ahead (3.1) -----------------------------------------------------------------------------


@dataclass(frozen=True)
class Preconditions:
    """The ETags in If-Match and If-None-Match; None where the header was not sent.

    More is taken than RFC 2616 says, for clients would lose their learners' work: tags without quotes (TinCanJS sends
    the bare SHA-1), and weak ones, which proxies make of ours when they compress.
    """

    match: frozenset[str] | None = None
    none_match: frozenset[str] | None = None

    def check(self, etag: str | None) -> None:
        """Hold the document's ETag against them, None when it is not there; raises PreconditionFailed."""
        if self.match is not None and (etag is None or not self.match & {etag, _ANY}):
            there = "there is no document" if etag is None else f'the ETag is "{etag}"'
            raise PreconditionFailed(f"If-Match does not hold: {there}.", _MATCH)
        if self.none_match is not None and etag is not None and self.none_match & {etag, _ANY}:
            raise PreconditionFailed(f'If-None-Match does not hold: the ETag is "{etag}".', _MATCH)


def read_preconditions(if_match: str | None, if_none_match: str | None) -> Preconditions:
    """Read the two headers."""
    return Preconditions(*(None if header is None else _tags(header) for header in (if_match, if_none_match)))


def _tags(header: str) -> frozenset[str]:
    return frozenset(quoted or bare for quoted, bare in _TAG.findall(header))


def check_put(
    resource: Resource, version: Version, given: Preconditions, etag: str | None, *, lenient: bool = False
) -> None:
    """Tell whether a PUT may go ahead on a document with this ETag, None when it is not there.

    Raises PreconditionFailed, and without either header: Conflict for a profile that is there, and Invalid for one that
    is not, as clients MUST send one. State needs none in 1.0.3; in 2.0 it does where something would be overwritten.
    Lenient: nor does a new profile, where nothing would be (TinCanPython sends no header), nor any state (a 409 loses
    the learner's place).
    """
    if given != Preconditions():
        given.check(etag)
        return
    if etag is not None and not (resource.is_state and (lenient or version is Version.ONE)):
        raise Conflict("There is a document with this id already, and the request does not say which.", _GUARDED)
    if etag is None and not resource.is_state and not lenient:
        raise Invalid("The request has neither If-Match nor If-None-Match.", _GUARDED_NEW)


# --- contents --------------------------------------------------------------------------------------------------------


def etag_of(content: bytes) -> str:
    """Give the ETag, without its quotes: the SHA-1 of the contents in hexadecimal digits (3.1)."""
    return hashlib.sha1(content, usedforsecurity=False).hexdigest()


def check_content_type(content_type: str | None) -> None:
    """Take any Content-Type that can be sent back as a header; raises Invalid."""
    if content_type is not None and not _CONTENT_TYPE.fullmatch(content_type):
        raise Invalid("The Content-Type cannot be sent back.", _TYPE_IS_TEXT)


def check_posted(content_type: str | None, content: bytes) -> None:
    """Refuse as a POST what says that it is JSON and is no JSON object (2.2), there or not; raises Invalid."""
    if _is_json(content_type):
        _read_object(content, "posted")


def merge(existing: tuple[str | None, bytes], posted: tuple[str | None, bytes]) -> bytes:
    """Merge a posted document into the one that is there, each a Content-Type and contents; raises Invalid.

    Only the properties at the top are merged (2.2); their values stay as they were written, to the last digit.
    """
    for which, (content_type, _) in (("posted", posted), ("stored", existing)):
        if not _is_json(content_type):
            raise Invalid(f"The {which} document is not application/json.", _OBJECTS)
    return msgspec.json.encode(_read_object(existing[1], "stored") | _read_object(posted[1], "posted"))


def _is_json(content_type: str | None) -> bool:
    return content_type is not None and content_type.partition(";")[0].strip().lower() == "application/json"


def _read_object(content: bytes, which: str) -> dict[str, msgspec.Raw]:
    try:
        # Decoded first: msgspec does not look into the strings of what it leaves raw.
        return msgspec.json.decode(content.decode(), type=dict[str, msgspec.Raw])
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as err:
        raise Invalid(f"The {which} document is no JSON object: {err}.", _OBJECTS) from err
