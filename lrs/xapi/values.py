"""Mending single values and maps of a statement; objects and lists: `lrs.xapi.repairs`."""

from dataclasses import dataclass, field
from typing import Annotated, Any, NamedTuple

import msgspec
from msgspec import inspect

from lrs.xapi import exact, notations, structs
from lrs.xapi.exact import Number
from lrs.xapi.faults import FAULTS

ABSENT: Any = object()
"""In place of a value that is left out."""
IDENTIFIERS = ("mbox", "mbox_sha1sum", "openid", "account")
"""In the order in which Communication, Appendix A, chooses among them."""


class Repair(NamedTuple):
    """What was done to one place of a statement."""

    fault: str
    """A key of `FAULTS`."""
    pointer: str
    """JSON pointer into the statement as it was sent."""


class Place(NamedTuple):
    """A property of a struct."""

    owner: type
    name: str
    required: bool
    pointer: str


def holds(value: Any, kind: Any) -> bool:  # noqa: ANN401  JSON and types are anything
    """Tell whether a value is valid as it stands."""
    try:
        msgspec.convert(exact.plain(value), kind)
    except msgspec.ValidationError:
        return False
    return True


def escape(name: str) -> str:
    """Write a name as part of a JSON pointer."""
    return name.replace("~", "~0").replace("/", "~1")


def _pattern(cls: type[msgspec.Struct], name: str) -> str:
    (found,) = [one.type for one in inspect.type_info(cls).fields if one.encode_name == name]  # type: ignore[attr-defined]
    pattern: str = found.pattern
    return pattern


_MBOX, _UUID = _pattern(structs.Agent, "mbox"), _pattern(structs.StatementRef, "id")
_IRI, _LANGUAGE = _pattern(structs.Verb, "id"), _pattern(structs.Context, "language")
_TIMESTAMP, _DURATION = _pattern(structs.Statement, "timestamp"), _pattern(structs.Result, "duration")


@dataclass
class Values:
    """Mends values, and notes what it does."""

    repairs: list[Repair] = field(default_factory=list)

    def note(self, fault: str, pointer: str) -> None:
        """Note a repair."""
        assert fault in FAULTS  # noqa: S101  else it would be a repair that nobody can look up
        self.repairs.append(Repair(fault, pointer))

    def drop(self, fault: str, place: Place) -> bool:
        """Leave the value out, if it may be absent; tell whether it was."""
        if place.required:
            return False
        self.note(fault, place.pointer)
        return True

    # --- maps

    def language_map(self, value: Any, place: Place) -> Any:  # noqa: ANN401  JSON is anything
        """Mend a language map (4.2); a text becomes one."""
        if value == []:
            if self.drop("list-for-object", place):
                return ABSENT
            self.note("list-for-object", place.pointer)
            return {}
        if isinstance(value, str):
            self.note("text-for-language-map", place.pointer)
            return {"und": value}
        if not isinstance(value, dict):
            return value
        mended: dict[str, Any] = {}
        for key, one in value.items():
            at = f"{place.pointer}/{escape(key)}"
            words = self._words(one, at)
            if words is ABSENT:
                continue
            tag = key if holds(key, structs.LanguageTag) else notations.language(key) or "und"
            if tag != key:
                self.note("language-tag", at)
                if tag in value or tag in mended:
                    continue
            mended[tag] = words
        return mended

    def _words(self, value: Any, pointer: str) -> Any:  # noqa: ANN401  JSON is anything
        match value:
            case str():
                return value
            case None:
                self.note("null", pointer)
                return ABSENT
            case bool() | Number():
                self.note("no-text", pointer)
                return exact.write(value)
            case _:
                self.note("language-map-value", pointer)
                return ABSENT

    def extensions(self, value: Any, place: Place) -> Any:  # noqa: ANN401  JSON is anything
        """Mend the keys of extensions (4.1), and nothing inside."""
        if value == []:
            return ABSENT if self.drop("list-for-object", place) else value
        if not isinstance(value, dict):
            return value
        mended: dict[str, Any] = {}
        for key, one in value.items():
            name = key
            if not holds(key, structs.Iri):
                name = notations.iri(key, notations.EXTENSION_PREFIX) or notations.EXTENSION_PREFIX + "-"
                if name in value or name in mended:
                    return value
                self.note("extension-key", f"{place.pointer}/{escape(key)}")
            mended[name] = one
        return mended

    # --- single values

    def interaction_type(self, value: Any, kind: inspect.LiteralType, place: Place) -> Any:  # noqa: ANN401
        """Mend an interactionType."""
        if not isinstance(value, str) or value in kind.values:
            return value
        found = notations.interaction_type(value, kind.values)  # type: ignore[arg-type]  # they are texts
        self.note("interaction-type", place.pointer)
        return found or "other"

    def boolean(self, value: Any, place: Place) -> Any:  # noqa: ANN401  JSON is anything
        """Mend true and false."""
        if isinstance(value, bool):
            return value
        text = value.text if isinstance(value, Number) else value
        found = notations.boolean(text) if isinstance(text, str) else None
        self.note("boolean-as-text" if found is not None else "no-boolean", place.pointer)
        return ABSENT if found is None else found

    def number(self, value: Any, kind: inspect.FloatType | inspect.IntType, place: Place) -> Any:  # noqa: ANN401
        """Mend a number, and leave out what is beyond its range."""
        number: Any = value
        if isinstance(value, str) and (found := notations.number(value)) is not None:
            self.note("number-as-text", place.pointer)
            number = Number(found)
        if not isinstance(number, Number):
            return ABSENT if self.drop("no-number", place) else value
        low, high = kind.ge, kind.le
        if (low is not None and float(number) < low) or (high is not None and float(number) > high):
            return ABSENT if self.drop("scaled-range", place) else value
        return number

    def text(self, value: Any, kind: inspect.StrType, place: Place) -> Any:  # noqa: ANN401  JSON is anything
        """Mend a text by its pattern; one without may be anything but null."""
        if isinstance(value, list) and place.name in {"name", *IDENTIFIERS} and value and isinstance(value[0], str):
            self.note("list-for-one", place.pointer)
            value = value[0]
        if not isinstance(value, str):
            if kind.pattern is None and (isinstance(value, bool | Number) or place.name == "response"):
                self.note("no-text", place.pointer)
                return exact.write(value)
            if place.name in {"duration", "registration"} or value == []:
                return ABSENT if self.drop("unreadable", place) else value
            return value
        if kind.pattern is None or holds(value, _pattern_type(kind)):
            return value
        return self._rewritten(value, kind, place)

    def _rewritten(self, value: str, kind: inspect.StrType, place: Place) -> Any:  # noqa: ANN401  JSON is anything
        fault, found = _rewrite(value, kind.pattern or "", place)
        if found is not None and found != value and holds(found, _pattern_type(kind)):
            self.note(fault, place.pointer)
            return found
        # Without these, a statement would say something else: when, by whom, about what.
        if place.name == "timestamp" or place.name in IDENTIFIERS or place.name == "fileUrl":
            return value
        return ABSENT if self.drop("unreadable", place) else value


def _pattern_type(kind: inspect.StrType) -> Any:  # noqa: ANN401  an annotated type is no class
    return Annotated[str, msgspec.Meta(pattern=kind.pattern)]


def _rewrite(value: str, pattern: str, place: Place) -> tuple[str, str | None]:
    """Give the fault that a text has, and how it is written right."""
    match pattern:
        case _ if pattern == _MBOX:
            return "mbox", notations.mbox(value)
        case _ if pattern == _UUID:
            return "uuid", notations.uuid(value)
        case _ if pattern == _TIMESTAMP:
            return "timestamp", notations.timestamp(value)
        case _ if pattern == _DURATION:
            return "duration", notations.duration(value)
        case _ if pattern == _LANGUAGE:
            return "language-tag", notations.language(value)
        case _ if pattern == _IRI:
            return _rewrite_iri(value, place)
        case _:
            return "spaces", value.strip()


def _rewrite_iri(value: str, place: Place) -> tuple[str, str | None]:
    if (found := notations.iri(value)) is not None:
        return "iri-characters", found
    match place.owner, place.name:
        case structs.Activity, "id":
            return "activity-id", notations.iri(value, notations.ACTIVITY_PREFIX)
        case structs.Verb, "id" if value.strip() in notations.VERBS:
            return "verb", notations.iri(value, notations.VERB_PREFIX)
        case structs.Definition, "type" if value.strip() in notations.TYPES:
            return "activity-type", notations.iri(value, notations.TYPE_PREFIX)
        case _, "homePage" | "moreInfo" | "fileUrl":
            return "web-address", notations.url(value)
        case _:
            return "iri-characters", None
