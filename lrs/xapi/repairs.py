"""Repairing what real clients get wrong, for credentials that are lenient.

`FAULTS` is the whole list; a statement with any other fault stays refused. Only what strict validation refused comes
here, and what comes out is validated again. Rules of repair:

- notation is rewritten; what was learned is never made up: a score is not clamped, a missing time not guessed;
- what says nothing (null, empty text), what has no place here (unknown properties) and what nobody can read is left
  out where the specification allows it to be absent, else the statement stays refused. The original is kept beside;
- all else stays: numbers keep their digits, properties their order, extensions everything inside them.

What may stand where is read from `lrs.xapi.structs`, so the two cannot differ. Section numbers are those of xAPI 1.0.3.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, NamedTuple

import msgspec
from msgspec import inspect

from lrs.xapi import notations, structs
from lrs.xapi.faults import FAULTS
from lrs.xapi.versions import Version


class Repair(NamedTuple):
    """What was done to one place of a statement."""

    fault: str
    """A key of `FAULTS`."""
    pointer: str
    """JSON pointer into the statement as it was sent."""


class Repaired(NamedTuple):
    """A statement after its repairs."""

    text: bytes
    repairs: list[Repair]


def repair(text: bytes, version: Version) -> Repaired | None:
    """Repair a statement that is not valid; None when there is nothing that we know how to repair."""
    try:
        data = json.loads(
            text.decode(),
            object_pairs_hook=_unique,
            parse_int=_Number,
            parse_float=_Number,
            parse_constant=_refuse,
        )
        if not isinstance(data, dict):
            return None
        mender = _Mender(version, [])
        mended = mender.struct(data, _STATEMENT, "")
        written = _write(mended).encode()
    except (ValueError, RecursionError):  # no JSON, a key twice, half surrogate pairs, too deep: never repaired
        return None
    return Repaired(written, mender.repairs) if mender.repairs else None


# --- JSON that keeps what it does not understand ---------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Number:
    """A number by its digits: no float holds them all."""

    text: str

    def __float__(self) -> float:
        return float(self.text)


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    data = dict(pairs)
    if len(data) < len(pairs):
        raise ValueError("a key comes twice")
    return data


def _refuse(name: str) -> None:
    raise ValueError(f"{name} is no JSON value")


def _write(data: Any) -> str:  # noqa: ANN401  JSON is anything
    match data:
        case dict():
            return "{" + ",".join(f"{_write(key)}:{_write(value)}" for key, value in data.items()) + "}"
        case list():
            return "[" + ",".join(map(_write, data)) + "]"
        case _Number():
            return data.text
        case _:
            return json.dumps(data, ensure_ascii=False)


def _plain(data: Any) -> Any:  # noqa: ANN401  JSON is anything
    return json.loads(_write(data))


def _escape(name: str) -> str:
    return name.replace("~", "~0").replace("/", "~1")


# --- what may stand where --------------------------------------------------------------------------------------------


def _struct(cls: type[msgspec.Struct]) -> inspect.StructType:
    found = inspect.type_info(cls)
    assert isinstance(found, inspect.StructType)  # noqa: S101  a Struct has this
    return found


def _pattern(cls: type[msgspec.Struct], name: str) -> str:
    (found,) = [one.type for one in inspect.type_info(cls).fields if one.encode_name == name]  # type: ignore[attr-defined]
    pattern: str = found.pattern
    return pattern


_STATEMENT = _struct(structs.Statement)
_MBOX, _UUID = _pattern(structs.Agent, "mbox"), _pattern(structs.StatementRef, "id")
_IRI, _LANGUAGE = _pattern(structs.Verb, "id"), _pattern(structs.Context, "language")
_TIMESTAMP, _DURATION = _pattern(structs.Statement, "timestamp"), _pattern(structs.Result, "duration")

_TYPED = (
    structs.Agent,
    structs.Group,
    structs.Activity,
    structs.StatementRef,
    structs.SubStatement,
    structs.ContextAgent,
    structs.ContextGroup,
)
"""Those that the specification gives an objectType."""
_OLD_NAMES: Mapping[type, Mapping[str, str]] = {
    structs.Account: {"accountServiceHomePage": "homePage", "accountName": "name"}
}
"""Properties that xAPI 0.9 calls otherwise."""
_IDENTIFIERS = ("mbox", "mbox_sha1sum", "openid", "account")
"""In the order in which Appendix A chooses among them."""
_COMPONENTS = ("choices", "scale", "source", "target", "steps")
_SIGNATURE = "http://adlnet.gov/expapi/attachments/signature"
_AUTHORITY = structs.Agent | structs.Group
_ABSENT: Any = object()
"""In place of a value that is left out."""


def _holds(value: Any, kind: Any) -> bool:  # noqa: ANN401  JSON and types are anything
    try:
        msgspec.convert(_plain(value), kind)
    except msgspec.ValidationError:
        return False
    return True


class _Place(NamedTuple):
    """A property of a struct."""

    owner: type
    name: str
    required: bool
    pointer: str


@dataclass
class _Mender:
    """Walks a statement along the structs and mends what is on the list."""

    version: Version
    repairs: list[Repair]

    def note(self, fault: str, pointer: str) -> None:
        assert fault in FAULTS  # noqa: S101  else it would be a repair that nobody can look up
        self.repairs.append(Repair(fault, pointer))

    def drop(self, fault: str, place: _Place) -> bool:
        """Leave the value out, if it may be absent; tell whether it was."""
        if place.required:
            return False
        self.note(fault, place.pointer)
        return True

    # --- objects

    def struct(self, data: dict[str, Any], kind: inspect.StructType, pointer: str) -> dict[str, Any]:
        known = {one.encode_name: one for one in kind.fields}
        named = self._names(data, kind, known, pointer)
        mended: dict[str, Any] = {}
        for name, (sent_as, value) in named.items():
            at = f"{pointer}/{_escape(sent_as)}"
            if name == "objectType":
                mended[name] = value
                continue
            place = _Place(kind.cls, name, known[name].required, at)
            found = self.value(value, known[name].type, place)
            if found is not _ABSENT:
                mended[name] = found
        self._look_beyond(mended, kind.cls, pointer)
        return mended

    def _names(
        self, data: dict[str, Any], kind: inspect.StructType, known: Mapping[str, Any], pointer: str
    ) -> dict[str, tuple[str, Any]]:
        """Give name in the specification -> (name as sent, value); leaves out what has no place here."""
        allowed = {*known, *(["objectType"] if kind.cls in _TYPED else [])}
        by_case = {name.lower(): name for name in allowed}
        old = _OLD_NAMES.get(kind.cls, {})
        found: dict[str, tuple[str, Any]] = {}
        for sent_as, value in data.items():
            at = f"{pointer}/{_escape(sent_as)}"
            if sent_as in allowed or (sent_as == "objectType" and value == kind.tag):
                found[sent_as] = (sent_as, value)
            elif (name := old.get(sent_as)) and name not in data:
                self.note("old-property", at)
                found[name] = (sent_as, value)
            elif (name := by_case.get(sent_as.lower())) and name not in data and name not in found:
                self.note("property-case", at)
                found[name] = (sent_as, value)
            else:
                self.note("unknown-property", at)
        return found

    def value(self, value: Any, kind: inspect.Type, place: _Place) -> Any:  # noqa: ANN401  one line a kind
        if value is None:
            return _ABSENT if self.drop("null", place) else value
        if isinstance(value, str) and not value.strip() and not _takes_empty(kind):
            return _ABSENT if self.drop("empty-text", place) else value
        if place.owner is structs.Statement and place.name in {"stored", "version", "authority"}:
            return self._assigned(value, place)
        match kind:
            case inspect.StructType() | inspect.UnionType():
                return self._object(value, kind, place)
            case inspect.ListType():
                return self._list(value, kind, place)
            case inspect.DictType(value_type=inspect.StrType()):
                return self._language_map(value, place)
            case inspect.DictType():
                return self._extensions(value, place)
            case inspect.LiteralType():
                return self._interaction_type(value, kind, place)
            case inspect.BoolType():
                return self._boolean(value, place)
            case inspect.FloatType() | inspect.IntType():
                return self._number(value, kind, place)
            case inspect.StrType():
                return self._text(value, kind, place)
            case _:
                return value

    def _object(self, value: Any, kind: inspect.Type, place: _Place) -> Any:  # noqa: ANN401  JSON is anything
        some = kind.types if isinstance(kind, inspect.UnionType) else [kind]
        kinds = {one.tag: one for one in some if isinstance(one, inspect.StructType)}
        if value == []:
            return _ABSENT if self.drop("list-for-object", place) else value
        if isinstance(value, list) and place.name == "account" and isinstance(value[0], dict):
            self.note("list-for-one", place.pointer)
            value = value[0]
        if isinstance(value, str):
            value = self._named_by_text(value, kinds, place)
        if not isinstance(value, dict):
            return value
        chosen = self._choose(value, kinds, place)
        if chosen is None:
            return value
        mended = self.struct(value, chosen, place.pointer)
        if place.name in {"instructor", "team"} and not _identified(mended):
            return _ABSENT if self.drop("unidentified-agent", place) else mended
        return mended

    def _named_by_text(self, value: str, kinds: Mapping[Any, inspect.StructType], place: _Place) -> Any:  # noqa: ANN401
        """Make an object of a verb or an activity that is nothing but its id."""
        if "Verb" in kinds:
            found = notations.iri(value, notations.VERB_PREFIX if value.strip() in notations.VERBS else None)
        elif "Activity" in kinds:
            found = notations.iri(value)
        else:
            return value
        if found is None:
            return value
        self.note("text-for-object", place.pointer)
        return {"id": found}

    def _choose(
        self, data: dict[str, Any], kinds: Mapping[Any, inspect.StructType], place: _Place
    ) -> inspect.StructType | None:
        """Find out which kind stands here, and write its objectType right."""
        (only,) = kinds.values() if len(kinds) == 1 else (None,)
        if only is not None and only.cls not in _TYPED:
            return only
        name = next((one for one in data if one.lower() == "objecttype"), "objectType")  # _names writes it right
        at = f"{place.pointer}/{name}"
        sent = data.get(name, "")
        if sent is None or sent == "":
            if name in data:
                self.note("null" if sent is None else "empty-text", at)
                del data[name]
            guessed = _guess(data, kinds)
            if guessed != ("Activity" if "Activity" in kinds else "Agent"):  # which need not be named
                self.note("missing-object-type", place.pointer)
                data["objectType"] = guessed
            return kinds.get(guessed)
        if not isinstance(sent, str):
            return None
        by_case = {str(tag).lower(): tag for tag in kinds} | {"person": "Agent"}
        tag = sent if sent in kinds else by_case.get(sent.strip().lower())
        if tag not in kinds:
            return None
        if tag != sent:
            self.note("object-type", at)
            data[name] = tag
        return kinds[tag]

    def _assigned(self, value: Any, place: _Place) -> Any:  # noqa: ANN401  JSON is anything
        match place.name:
            case "stored":
                holds = _holds(value, structs.Timestamp)
            case "version":
                holds = isinstance(value, str) and self.version.covers(value)
            case _:
                holds = isinstance(value, dict) and _holds({"objectType": "Agent"} | value, _AUTHORITY)
        if holds:
            return value
        self.note("assigned-property", place.pointer)
        return _ABSENT

    # --- lists

    def _list(self, value: Any, kind: inspect.ListType, place: _Place) -> Any:  # noqa: ANN401  JSON is anything
        item = _Place(place.owner, place.name, False, place.pointer)  # noqa: FBT003  an item may be left out
        if isinstance(value, dict):
            if value and all(isinstance(one, dict) for one in value.values()) and not _is_one(value, kind.item_type):
                self.note("object-for-list", place.pointer)
                pairs = list(value.items())
            elif place.owner is structs.ContextActivities:  # which may hold one by itself
                return self._item(value, kind.item_type, item)
            else:
                self.note("one-for-list" if value else "object-for-list", place.pointer)
                pairs = [("", value)] if value else []
        elif isinstance(value, str):
            self.note("one-for-list", place.pointer)
            pairs = [("", value)]
        elif isinstance(value, list):
            pairs = [(str(index), one) for index, one in enumerate(value)]
        else:
            return value
        at = [f"{place.pointer}/{_escape(key)}" if key else place.pointer for key, _ in pairs]
        items = [
            self._item(one, kind.item_type, item._replace(pointer=where))
            for where, (_, one) in zip(at, pairs, strict=True)
        ]
        kept = [one for one in items if one is not _ABSENT]
        return self._distinct(kept, place) if place.name in _COMPONENTS else kept

    def _item(self, value: Any, kind: inspect.Type, place: _Place) -> Any:  # noqa: ANN401  JSON is anything
        if isinstance(value, str) and _takes_empty(kind):
            return value
        mended = self.value(value, kind, place)
        if not isinstance(mended, dict):
            return mended
        match place.owner:
            case structs.ContextActivities if not mended.get("id"):
                fault = "empty-activity"
            case structs.Group if not _identified(mended):
                fault = "unidentified-agent"
            case structs.Statement | structs.SubStatement if mended.get("usageType") != _SIGNATURE and not _holds(
                mended, structs.Attachment
            ):
                fault = "attachment"
            case _:
                return mended
        self.note(fault, place.pointer)
        return _ABSENT

    def _distinct(self, components: list[Any], place: _Place) -> list[Any]:
        """Give each component an id of its own (2.4.4.1); equal ones count once."""
        kept: list[Any] = []
        seen: dict[str, Any] = {}
        for index, one in enumerate(components):
            name = one.get("id") if isinstance(one, dict) else None
            if not isinstance(name, str) or name not in seen:
                kept.append(one)
                if isinstance(name, str):
                    seen[name] = one
                continue
            self.note("component-ids", f"{place.pointer}/{index}")
            if one == seen[name]:
                continue
            number = 2
            while f"{name}-{number}" in seen or any(
                isinstance(other, dict) and other.get("id") == f"{name}-{number}" for other in components
            ):
                number += 1
            renamed = one | {"id": f"{name}-{number}"}
            seen[renamed["id"]] = one
            kept.append(renamed)
        return kept

    # --- maps

    def _language_map(self, value: Any, place: _Place) -> Any:  # noqa: ANN401  JSON is anything
        if value == []:
            if self.drop("list-for-object", place):
                return _ABSENT
            self.note("list-for-object", place.pointer)
            return {}
        if isinstance(value, str):
            self.note("text-for-language-map", place.pointer)
            return {"und": value}
        if not isinstance(value, dict):
            return value
        mended: dict[str, Any] = {}
        for key, one in value.items():
            at = f"{place.pointer}/{_escape(key)}"
            words = self._words(one, at)
            if words is _ABSENT:
                continue
            tag = key if _holds(key, structs.LanguageTag) else notations.language(key) or "und"
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
                return _ABSENT
            case bool() | _Number():
                self.note("no-text", pointer)
                return _write(value)
            case _:
                self.note("language-map-value", pointer)
                return _ABSENT

    def _extensions(self, value: Any, place: _Place) -> Any:  # noqa: ANN401  JSON is anything
        if value == []:
            return _ABSENT if self.drop("list-for-object", place) else value
        if not isinstance(value, dict):
            return value
        mended: dict[str, Any] = {}
        for key, one in value.items():
            name = key
            if not _holds(key, structs.Iri):
                name = notations.iri(key, notations.EXTENSION_PREFIX) or notations.EXTENSION_PREFIX + "-"
                if name in value or name in mended:
                    return value
                self.note("extension-key", f"{place.pointer}/{_escape(key)}")
            mended[name] = one
        return mended

    # --- single values

    def _interaction_type(self, value: Any, kind: inspect.LiteralType, place: _Place) -> Any:  # noqa: ANN401
        if not isinstance(value, str) or value in kind.values:
            return value
        found = notations.interaction_type(value, kind.values)  # type: ignore[arg-type]  # they are texts
        self.note("interaction-type", place.pointer)
        return _ABSENT if found is None else found

    def _boolean(self, value: Any, place: _Place) -> Any:  # noqa: ANN401  JSON is anything
        if isinstance(value, bool):
            return value
        text = value.text if isinstance(value, _Number) else value
        found = notations.boolean(text) if isinstance(text, str) else None
        self.note("boolean-as-text" if found is not None else "no-boolean", place.pointer)
        return _ABSENT if found is None else found

    def _number(self, value: Any, kind: inspect.FloatType | inspect.IntType, place: _Place) -> Any:  # noqa: ANN401
        number: Any = value
        if isinstance(value, str) and (found := notations.number(value)) is not None:
            self.note("number-as-text", place.pointer)
            number = _Number(found)
        if not isinstance(number, _Number):
            return _ABSENT if self.drop("no-number", place) else value
        low, high = kind.ge, kind.le
        if (low is not None and float(number) < low) or (high is not None and float(number) > high):
            return _ABSENT if self.drop("scaled-range", place) else value
        return number

    def _text(self, value: Any, kind: inspect.StrType, place: _Place) -> Any:  # noqa: ANN401  JSON is anything
        if isinstance(value, list) and place.name in {"name", *_IDENTIFIERS} and value and isinstance(value[0], str):
            self.note("list-for-one", place.pointer)
            value = value[0]
        if not isinstance(value, str):
            if kind.pattern is None and (isinstance(value, bool | _Number) or place.name == "response"):
                self.note("no-text", place.pointer)
                return _write(value)
            if place.name in {"duration", "registration"} or value == []:
                return _ABSENT if self.drop("unreadable", place) else value
            return value
        if kind.pattern is None or _holds(value, _pattern_type(kind)):
            return value
        return self._rewritten(value, kind, place)

    def _rewritten(self, value: str, kind: inspect.StrType, place: _Place) -> Any:  # noqa: ANN401  JSON is anything
        fault, found = _rewrite(value, kind.pattern or "", place)
        if found is not None and found != value and _holds(found, _pattern_type(kind)):
            self.note(fault, place.pointer)
            return found
        # Without these, a statement would say something else: when, by whom, about what.
        if place.name == "timestamp" or place.name in _IDENTIFIERS or place.name == "fileUrl":
            return value
        return _ABSENT if self.drop("unreadable", place) else value

    # --- rules beyond one property

    def _look_beyond(self, data: dict[str, Any], owner: type, pointer: str) -> None:
        if owner in {structs.Agent, structs.Group}:
            self._one_identifier(data, pointer)
        if owner is structs.Score:
            self._score(data, pointer)
        if owner in {structs.Statement, structs.SubStatement}:
            self._activity_only(data, pointer)

    def _one_identifier(self, data: dict[str, Any], pointer: str) -> None:
        found = [name for name in _IDENTIFIERS if name in data]
        good = [name for name in found if _holds({name: data[name], "objectType": "Agent"}, structs.Agent)]
        for name in found:
            if good and name != good[0]:
                self.note("identifiers", f"{pointer}/{name}")
                del data[name]

    def _score(self, data: dict[str, Any], pointer: str) -> None:
        bounds = {name: float(data[name]) for name in ("raw", "min", "max") if isinstance(data.get(name), _Number)}
        low, high = bounds.get("min", float("-inf")), bounds.get("max", float("inf"))
        raw = bounds.get("raw")
        wrong = ["min", "max"] if low >= high else []
        if not wrong and raw is not None:
            wrong = ["min"] * (raw < low) + ["max"] * (raw > high)
        for name in wrong:
            self.note("score-bounds", f"{pointer}/{name}")
            del data[name]

    def _activity_only(self, data: dict[str, Any], pointer: str) -> None:
        target, context = data.get("object"), data.get("context")
        if not isinstance(target, dict) or not isinstance(context, dict):
            return
        if target.get("objectType", "Activity") == "Activity":
            return
        for name in ("revision", "platform"):
            if name in context:
                self.note("activity-only", f"{pointer}/context/{name}")
                del context[name]


def _takes_empty(kind: inspect.Type) -> bool:
    return isinstance(kind, inspect.StrType) and kind.pattern is None


def _identified(actor: Mapping[str, Any]) -> bool:
    return any(name in actor for name in (*_IDENTIFIERS, "member"))


def _is_one(data: Mapping[str, Any], item: inspect.Type) -> bool:
    """Tell whether this is one item rather than a list that PHP wrote as an object."""
    return isinstance(item, inspect.StructType) and any(one.encode_name in data for one in item.fields)


def _guess(data: Mapping[str, Any], kinds: Mapping[Any, inspect.StructType]) -> str:
    if len(kinds) == 1:
        return str(next(iter(kinds)))
    names = {name.lower() for name in data}
    if "SubStatement" in kinds and {"actor", "verb", "object"} <= names:
        return "SubStatement"
    if "member" in names:
        return "Group"
    if "Activity" in kinds and ("id" in names or names.isdisjoint(_IDENTIFIERS)):
        return "Activity"
    return "Agent"


def _pattern_type(kind: inspect.StrType) -> Any:  # noqa: ANN401  an annotated type is no class
    return Annotated[str, msgspec.Meta(pattern=kind.pattern)]


def _rewrite(value: str, pattern: str, place: _Place) -> tuple[str, str | None]:
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


def _rewrite_iri(value: str, place: _Place) -> tuple[str, str | None]:
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
