"""What a valid statement is: one struct for each object of the specification, and its rules beside it.

Nothing else mirrors xAPI in classes. The structs describe 1.0.3 and 2.0.0 at once; what only 2.0 has is marked
and refused for 1.0 in `lrs.xapi.validation`. Section numbers are those of xAPI 1.0.3, part "Data".

An absent property is UNSET. Null is no value of any property, so it is refused wherever it is not inside extensions.
"""

from collections.abc import Iterator
from datetime import datetime
from typing import Annotated, Any, Literal

from msgspec import UNSET, Meta, Struct, UnsetType, field

from lrs.errors import Rule

VOIDED = "http://adlnet.gov/expapi/verbs/voided"


class Broken(ValueError):
    """A rule that a pattern cannot say; msgspec adds the place and `lrs.xapi.validation` makes it an Invalid."""

    def __init__(self, rule: Rule, at: str = "") -> None:
        super().__init__(rule.words)
        self.rule = rule
        self.at = at
        """JSON pointer from the object that is checked to what is wrong in it."""


# --- texts with a form -------------------------------------------------------------------------------------------

# White space is listed and not \s: a set of nothing but characters is looked up in a table.
_IRI = (
    r"^[A-Za-z][A-Za-z0-9+.-]*:"
    r"[^<>\"{}|\\^`\x00-\x20\x85\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000]+\Z"
)
_MBOX = r"^mailto:[^@\s<>]+@[^@\s<>]+\Z"
_SHA1 = r"^[0-9a-fA-F]{40}\Z"
_SHA2 = r"^(?:[0-9a-fA-F]{56}|[0-9a-fA-F]{64}|[0-9a-fA-F]{96}|[0-9a-fA-F]{128})\Z"
_UUID = r"^[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}\Z"
_MEDIA_TYPE = r"^[\w!#$&^.+-]+/[\w!#$&^.+*-]+(?:\s*;.*)?\Z"
_VERSION = r"^(?:1\.0(?:\.\d+)?|2\.0(?:\.\d+)?)\Z"
# RFC 3339, which allows a space for the T, with a time zone; -00:00 ("zone unknown") is not one.
_TIMESTAMP = r"^\d{4}-\d{2}-\d{2}[Tt ]\d{2}:\d{2}:\d{2}(?:\.\d+)?(?:[Zz]|(?!-00:00)[+-]\d{2}:\d{2})\Z"
# ISO 8601 section 4.4.3.2: weeks alone, or the other units in order; a fraction only in the last one.
_DURATION = (
    r"^(?!.*[.,]\d+[A-Z].*\d)P(?:\d+(?:[.,]\d+)?W"
    r"|(?=\d|T\d)(?:\d+(?:[.,]\d+)?Y)?(?:\d+(?:[.,]\d+)?M)?(?:\d+(?:[.,]\d+)?D)?"
    r"(?:T(?=\d)(?:\d+(?:[.,]\d+)?H)?(?:\d+(?:[.,]\d+)?M)?(?:\d+(?:[.,]\d+)?S)?)?)\Z"
)
# What nearly all are, such as en or en-GB, comes first.
_LANGUAGE = (
    r"^(?:[a-z]{2,3}(?:-[A-Z]{2})?\Z"
    r"|(?i:(?:[a-z]{2,3}(?:-[a-z]{3}){0,3}|[a-z]{4,8})(?:-[a-z]{4})?(?:-(?:[a-z]{2}|\d{3}))?"
    r"(?:-(?:[a-z0-9]{5,8}|\d[a-z0-9]{3}))*(?:-[a-wyz0-9](?:-[a-z0-9]{2,8})+)*(?:-x(?:-[a-z0-9]{1,8})+)?"
    r"|x(?:-[a-z0-9]{1,8})+|i-[a-z]{3,8}|en-gb-oed|sgn-(?:be-fr|be-nl|ch-de))\Z)"
)

Iri = Annotated[str, Meta(pattern=_IRI)]
Uuid = Annotated[str, Meta(pattern=_UUID)]
Timestamp = Annotated[str, Meta(pattern=_TIMESTAMP)]
Duration = Annotated[str, Meta(pattern=_DURATION)]
LanguageTag = Annotated[str, Meta(pattern=_LANGUAGE)]
LanguageMap = dict[LanguageTag, str]
Extensions = dict[Iri, Any]

PATTERNS: dict[str, Rule] = {
    _IRI: Rule("an IRI has a scheme", "4.3", "Write it in full, like http://example.com/activities/1."),
    _MBOX: Rule("mbox is mailto: and an address", "2.4.2.3", "Write it like mailto:ana@example.com."),
    _SHA1: Rule("mbox_sha1sum is 40 hexadecimal digits", "2.4.2.3", "Hash the mbox IRI, mailto: included."),
    _SHA2: Rule("sha2 is a SHA-2 hash in hexadecimal digits", "2.4.11", "Send the SHA-256 of the attachment's bytes."),
    _UUID: Rule("a UUID has its standard form", "4.4", "Write it like 5c1b7f0e-8f2a-4d0b-9a57-1a2b3c4d5e6f."),
    _MEDIA_TYPE: Rule("contentType is a media type", "2.4.11", "Write it like text/plain."),
    _VERSION: Rule("version is 1.0.x or 2.0.x", "2.4.10", "Leave version out; it is set for you."),
    _TIMESTAMP: Rule(
        "a timestamp is an RFC 3339 date and time with a time zone other than -00:00",
        "4.5",
        "Write it like 2026-01-31T13:45:00.000Z.",
    ),
    _DURATION: Rule("a duration is an ISO 8601 duration in units", "4.6", "Write it like PT1H30M or P4W."),
    _LANGUAGE: Rule("a language is an RFC 5646 tag", "4.2", "Use a tag like en or en-GB; und when it is not known."),
}
"""The rule behind each pattern: msgspec's message carries nothing but the pattern."""


# --- actors ------------------------------------------------------------------------------------------------------


class Part(Struct, forbid_unknown_fields=True, rename="camel", gc=False):
    """An object of the specification: its properties and no others, in the specification's spelling."""


class Account(Part):
    """2.4.2.4."""

    home_page: Iri
    name: str


class Actor(Part):
    """2.4.2.3: what identifies an agent or a group."""

    name: str | UnsetType = UNSET
    mbox: Annotated[str, Meta(pattern=_MBOX)] | UnsetType = UNSET
    mbox_sha1sum: Annotated[str, Meta(pattern=_SHA1)] | UnsetType = field(default=UNSET, name="mbox_sha1sum")
    openid: Iri | UnsetType = UNSET
    account: Account | UnsetType = UNSET

    def identifiers(self) -> int:
        """Count the inverse functional identifiers."""
        return 4 - (self.mbox, self.mbox_sha1sum, self.openid, self.account).count(UNSET)


_ONE_IDENTIFIER = Rule(
    "an Agent has exactly one of mbox, mbox_sha1sum, openid and account",
    "2.4.2.1",
    "Keep the one that names the person for good, such as account, and drop the others.",
)
_GROUP_IDENTIFIER = Rule(
    "a Group has at most one of mbox, mbox_sha1sum, openid and account",
    "2.4.2.2",
    "Keep one of them, or none and list the members.",
)
_GROUP_MEMBERS = Rule("a Group without an identifier lists its members", "2.4.2.2", "Add member, a list of Agents.")


class Agent(Actor, tag="Agent", tag_field="objectType"):
    """2.4.2.1."""

    def __post_init__(self) -> None:
        if self.identifiers() != 1:
            raise Broken(_ONE_IDENTIFIER)


class Group(Actor, tag="Group", tag_field="objectType"):
    """2.4.2.2."""

    member: list[Agent] | UnsetType = UNSET

    def __post_init__(self) -> None:
        identifiers = self.identifiers()
        if identifiers > 1:
            raise Broken(_GROUP_IDENTIFIER)
        if identifiers == 0 and self.member is UNSET:
            raise Broken(_GROUP_MEMBERS)


# --- verbs and activities ----------------------------------------------------------------------------------------


class Verb(Part):
    """2.4.3."""

    id: Iri
    display: LanguageMap | UnsetType = UNSET


class Component(Part):
    """One choice, step or the like of an interaction (2.4.4.1)."""

    id: str
    description: LanguageMap | UnsetType = UNSET


_DISTINCT_COMPONENTS = Rule(
    "the ids in a list of interaction components are distinct",
    "2.4.4.1",
    "Give each component its own id; responses could not be told apart.",
)

_INTERACTION_TYPE = Rule(
    "correctResponsesPattern and interaction components go with an interactionType",
    "2.4.4.1",
    "Add interactionType: other, when none of the others fits.",
)
_COMPONENTS = ("choices", "scale", "source", "target", "steps")

InteractionType = Literal[
    "true-false",
    "choice",
    "fill-in",
    "long-fill-in",
    "matching",
    "performance",
    "sequencing",
    "likert",
    "numeric",
    "other",
]


class Definition(Part):
    """2.4.4.1."""

    name: LanguageMap | UnsetType = UNSET
    description: LanguageMap | UnsetType = UNSET
    type: Iri | UnsetType = UNSET
    more_info: Iri | UnsetType = UNSET
    extensions: Extensions | UnsetType = UNSET
    interaction_type: InteractionType | UnsetType = UNSET
    correct_responses_pattern: list[str] | UnsetType = UNSET
    choices: list[Component] | UnsetType = UNSET
    scale: list[Component] | UnsetType = UNSET
    source: list[Component] | UnsetType = UNSET
    target: list[Component] | UnsetType = UNSET
    steps: list[Component] | UnsetType = UNSET

    def __post_init__(self) -> None:
        lists = (self.choices, self.scale, self.source, self.target, self.steps)
        if lists.count(UNSET) == len(lists) and self.correct_responses_pattern is UNSET:
            return
        for name, components in zip(_COMPONENTS, lists, strict=True):
            if components is not UNSET and len({one.id for one in components}) < len(components):
                raise Broken(_DISTINCT_COMPONENTS, f"/{name}")
        if self.interaction_type is UNSET:
            raise Broken(_INTERACTION_TYPE)


class Activity(Part, tag="Activity", tag_field="objectType"):
    """2.4.4.1."""

    id: Iri
    definition: Definition | UnsetType = UNSET


class StatementRef(Part, tag="StatementRef", tag_field="objectType"):
    """2.4.4.3."""

    id: Uuid


# --- result and context ------------------------------------------------------------------------------------------

_SCORE_RANGE = Rule(
    "a score's min is below its max, and raw lies between them",
    "2.4.5.1",
    "Correct raw, min and max, or leave min and max out when they are not known.",
)


class Score(Part):
    """2.4.5.1."""

    scaled: Annotated[float, Meta(ge=-1, le=1)] | UnsetType = UNSET
    raw: float | UnsetType = UNSET
    min: float | UnsetType = UNSET
    max: float | UnsetType = UNSET

    def __post_init__(self) -> None:
        low = float("-inf") if self.min is UNSET else self.min
        high = float("inf") if self.max is UNSET else self.max
        if low >= high or (self.raw is not UNSET and not low <= self.raw <= high):
            raise Broken(_SCORE_RANGE)


class Result(Part):
    """2.4.5."""

    score: Score | UnsetType = UNSET
    success: bool | UnsetType = UNSET
    completion: bool | UnsetType = UNSET
    response: str | UnsetType = UNSET
    duration: Duration | UnsetType = UNSET
    extensions: Extensions | UnsetType = UNSET


class ContextActivities(Part):
    """2.4.6.2; a single Activity in place of a list is made a list before it comes here."""

    parent: list[Activity] | UnsetType = UNSET
    grouping: list[Activity] | UnsetType = UNSET
    category: list[Activity] | UnsetType = UNSET
    other: list[Activity] | UnsetType = UNSET


class ContextAgent(Part, tag="contextAgent", tag_field="objectType"):
    """2.0, 4.2.2.6: an agent that takes part in a role."""

    agent: Agent
    relevant_types: Annotated[list[Iri], Meta(min_length=1)] | UnsetType = UNSET


class ContextGroup(Part, tag="contextGroup", tag_field="objectType"):
    """2.0, 4.2.2.6: a group that takes part in a role."""

    group: Group
    relevant_types: Annotated[list[Iri], Meta(min_length=1)] | UnsetType = UNSET


class Context(Part):
    """2.4.6."""

    registration: Uuid | UnsetType = UNSET
    instructor: Agent | Group | UnsetType = UNSET
    team: Group | UnsetType = UNSET
    context_activities: ContextActivities | UnsetType = UNSET
    revision: str | UnsetType = UNSET
    platform: str | UnsetType = UNSET
    language: LanguageTag | UnsetType = UNSET
    statement: StatementRef | UnsetType = UNSET
    extensions: Extensions | UnsetType = UNSET
    context_agents: list[ContextAgent] | UnsetType = UNSET
    """Only in 2.0."""
    context_groups: list[ContextGroup] | UnsetType = UNSET
    """Only in 2.0."""


class Attachment(Part):
    """2.4.11."""

    usage_type: Iri
    display: LanguageMap
    content_type: Annotated[str, Meta(pattern=_MEDIA_TYPE)]
    length: Annotated[int, Meta(ge=0)]
    sha2: Annotated[str, Meta(pattern=_SHA2)]
    description: LanguageMap | UnsetType = UNSET
    file_url: Iri | UnsetType = UNSET


# --- statements --------------------------------------------------------------------------------------------------

_NO_SUCH_TIME = Rule("a timestamp is a date and time that exists", "4.5", "Check day, month, hour and time zone.")
_ACTIVITY_ONLY = Rule(
    "context.revision and context.platform go with an Activity as object only",
    "2.4.6",
    "Leave them out, or put them in context.extensions.",
)
_VOIDING_OBJECT = Rule(
    "the object of a voiding statement is a StatementRef",
    "2.3.2",
    'Write the object as {"objectType": "StatementRef", "id": "<the id of the statement to void>"}.',
)
_AUTHORITY_GROUP = Rule(
    "a Group as authority is anonymous and has two members, one of them an account (the OAuth consumer)",
    "2.4.9",
    "Leave authority out; it is set for you.",
)


class _Claim(Part):
    """What a statement and a SubStatement have in common (2.4)."""

    actor: Agent | Group
    verb: Verb
    result: Result | UnsetType = UNSET
    context: Context | UnsetType = UNSET
    timestamp: Timestamp | UnsetType = UNSET
    attachments: list[Attachment] | UnsetType = UNSET

    def check(self, target: object) -> None:
        """Hold the rules that both have; `target` is the statement's object."""
        context = self.context
        if context is not UNSET and not isinstance(target, Activity):
            for name, value in (("revision", context.revision), ("platform", context.platform)):
                if value is not UNSET:
                    raise Broken(_ACTIVITY_ONLY, f"/context/{name}")
        if self.verb.id == VOIDED and not isinstance(target, StatementRef):
            raise Broken(_VOIDING_OBJECT, "/object")
        _check_time(self.timestamp, "/timestamp")


class SubStatement(_Claim, tag="SubStatement", tag_field="objectType", kw_only=True):
    """2.4.4.3."""

    object: Activity | Agent | Group | StatementRef

    def __post_init__(self) -> None:
        self.check(self.object)


class Statement(_Claim, kw_only=True):
    """2.4."""

    object: Activity | Agent | Group | StatementRef | SubStatement
    id: Uuid | UnsetType = UNSET
    stored: Timestamp | UnsetType = UNSET
    authority: Agent | Group | UnsetType = UNSET
    version: Annotated[str, Meta(pattern=_VERSION)] | UnsetType = UNSET

    def __post_init__(self) -> None:
        self.check(self.object)
        _check_time(self.stored, "/stored")
        if isinstance(self.authority, Group) and not _is_oauth(self.authority):
            raise Broken(_AUTHORITY_GROUP, "/authority")

    def claims(self) -> Iterator["Statement | SubStatement"]:
        """Give the statement and, when its object is one, the SubStatement."""
        yield self
        if isinstance(self.object, SubStatement):
            yield self.object


def _check_time(timestamp: str | UnsetType, at: str) -> None:
    if timestamp is UNSET:
        return
    try:
        datetime.fromisoformat(timestamp.upper())
    except ValueError as err:
        raise Broken(_NO_SUCH_TIME, at) from err


def _is_oauth(group: Group) -> bool:
    if group.identifiers() or group.member is UNSET or len(group.member) != 2:
        return False
    return any(member.account is not UNSET for member in group.member)
