"""Repairing what real clients get wrong, for credentials that are lenient.

`lrs.xapi.faults` is the whole list; a statement with any other fault stays refused. Only what strict validation refused
comes here, and what comes out is validated again. Rules of repair:

- notation is rewritten; what was learned is never made up: a score is not clamped, a missing time not guessed;
- what says nothing (null, empty text), what has no place here (unknown properties) and what nobody can read is left
  out where the specification allows it to be absent, else the statement stays refused. The original is kept beside;
- all else stays: numbers keep their digits, properties their order, extensions everything inside them.

What may stand where is read from `lrs.xapi.structs`, so the two cannot differ. Section numbers are those of xAPI 1.0.3.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import msgspec
from msgspec import inspect

from lrs.xapi import exact, notations, structs
from lrs.xapi.exact import Number
from lrs.xapi.values import ABSENT, IDENTIFIERS, Place, Repair, Values, escape, holds
from lrs.xapi.versions import Version


class Repaired(NamedTuple):
    """A statement after its repairs."""

    text: bytes
    repairs: list[Repair]


def repair(text: bytes, version: Version) -> Repaired | None:
    """Repair a statement that is not valid; None when there is nothing that we know how to repair."""
    try:
        data = exact.read(text)
        if not isinstance(data, dict):
            return None
        mender = _Mender(version=version)
        mended = mender.struct(data, _STATEMENT, "")
        written = exact.write(mended).encode()
    except (ValueError, RecursionError):  # no JSON, a key twice, half surrogate pairs, too deep: never repaired
        return None
    return Repaired(written, mender.repairs) if mender.repairs else None


def repair_agent(text: str) -> str:
    """Repair an agent as a query parameter gives it: launch links have it in the same notation as the statements."""
    try:
        mended = _Mender(version=Version.ONE).value(
            exact.read(text.encode()),
            inspect.type_info(_AUTHORITY),
            Place(structs.Statement, "actor", True, ""),  # noqa: FBT003
        )
        return exact.write(mended)
    except (ValueError, RecursionError):
        return text


# --- what may stand where --------------------------------------------------------------------------------------------


def _struct(cls: type[msgspec.Struct]) -> inspect.StructType:
    found = inspect.type_info(cls)
    assert isinstance(found, inspect.StructType)  # noqa: S101  a Struct has this
    return found


_STATEMENT = _struct(structs.Statement)
_OLD_NAMES: Mapping[type, Mapping[str, str]] = {
    structs.Account: {"accountServiceHomePage": "homePage", "accountName": "name"}
}
"""Properties that xAPI 0.9 calls otherwise."""
_COMPONENTS = ("choices", "scale", "source", "target", "steps")
_SIGNATURE = "http://adlnet.gov/expapi/attachments/signature"
_AUTHORITY = structs.Agent | structs.Group


@dataclass(kw_only=True)
class _Mender(Values):
    """Walks a statement along the structs and mends what is on the list."""

    version: Version

    # --- objects

    def struct(self, data: dict[str, Any], kind: inspect.StructType, pointer: str) -> dict[str, Any]:
        known = {one.encode_name: one for one in kind.fields}
        named = self._names(data, kind, known, pointer)
        mended: dict[str, Any] = {}
        for name, (sent_as, value) in named.items():
            at = f"{pointer}/{escape(sent_as)}"
            if name == "objectType":
                mended[name] = value
                continue
            place = Place(kind.cls, name, known[name].required, at)
            found = self.value(value, known[name].type, place)
            if found is not ABSENT:
                mended[name] = found
        self._look_beyond(mended, kind.cls, pointer)
        return mended

    def _names(
        self, data: dict[str, Any], kind: inspect.StructType, known: Mapping[str, Any], pointer: str
    ) -> dict[str, tuple[str, Any]]:
        """Give name in the specification -> (name as sent, value); leaves out what has no place here."""
        allowed = {*known, *(["objectType"] if kind.tag else [])}
        by_case = {name.lower(): name for name in allowed}
        old = _OLD_NAMES.get(kind.cls, {})
        found: dict[str, tuple[str, Any]] = {}
        for sent_as, value in data.items():
            at = f"{pointer}/{escape(sent_as)}"
            if sent_as in allowed:
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

    def value(self, value: Any, kind: inspect.Type, place: Place) -> Any:  # noqa: ANN401  one line a kind
        if value is None:
            return ABSENT if self.drop("null", place) else value
        if isinstance(value, str) and not value.strip() and not _takes_empty(kind):
            return ABSENT if self.drop("empty-text", place) else value
        if place.owner is structs.Statement and place.name in {"stored", "version", "authority"}:
            return self._assigned(value, place)
        match kind:
            case inspect.StructType() | inspect.UnionType():
                return self._object(value, kind, place)
            case inspect.ListType():
                return self._list(value, kind, place)
            case inspect.DictType(value_type=inspect.StrType()):
                return self.language_map(value, place)
            case inspect.DictType():
                return self.extensions(value, place)
            case inspect.LiteralType():
                return self.interaction_type(value, kind, place)
            case inspect.BoolType():
                return self.boolean(value, place)
            case inspect.FloatType() | inspect.IntType():
                return self.number(value, kind, place)
            case inspect.StrType():
                return self.text(value, kind, place)
            case _:
                return value

    def _object(self, value: Any, kind: inspect.Type, place: Place) -> Any:  # noqa: ANN401  JSON is anything
        some = kind.types if isinstance(kind, inspect.UnionType) else [kind]
        kinds = {one.tag: one for one in some if isinstance(one, inspect.StructType)}
        if value == []:
            return ABSENT if self.drop("list-for-object", place) else value
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
            return ABSENT if self.drop("unidentified-agent", place) else mended
        return mended

    def _named_by_text(self, value: str, kinds: Mapping[Any, inspect.StructType], place: Place) -> Any:  # noqa: ANN401
        """Make an object of a verb or an activity that is nothing but its id."""
        if any(one.cls is structs.Verb for one in kinds.values()):
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
        self, data: dict[str, Any], kinds: Mapping[Any, inspect.StructType], place: Place
    ) -> inspect.StructType | None:
        """Find out which kind stands here, and write its objectType right."""
        (only,) = kinds.values() if len(kinds) == 1 else (None,)
        if only is not None and only.tag is None:
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

    def _assigned(self, value: Any, place: Place) -> Any:  # noqa: ANN401  JSON is anything
        match place.name:
            case "stored":
                valid = holds(value, structs.Timestamp)
            case "version":
                valid = isinstance(value, str) and self.version.covers(value)
            case _:
                valid = isinstance(value, dict) and holds({"objectType": "Agent"} | value, _AUTHORITY)
        if valid:
            return value
        self.note("assigned-property", place.pointer)
        return ABSENT

    # --- lists

    def _list(self, value: Any, kind: inspect.ListType, place: Place) -> Any:  # noqa: ANN401  JSON is anything
        item = Place(place.owner, place.name, False, place.pointer)  # noqa: FBT003  an item may be left out
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
        at = [f"{place.pointer}/{escape(key)}" if key else place.pointer for key, _ in pairs]
        items = [
            self._item(one, kind.item_type, item._replace(pointer=where))
            for where, (_, one) in zip(at, pairs, strict=True)
        ]
        kept = [one for one in items if one is not ABSENT]
        return self._distinct(kept, place) if place.name in _COMPONENTS else kept

    def _item(self, value: Any, kind: inspect.Type, place: Place) -> Any:  # noqa: ANN401  JSON is anything
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
            case structs.Statement | structs.SubStatement if mended.get("usageType") != _SIGNATURE and not holds(
                mended, structs.Attachment
            ):
                fault = "attachment"
            case _:
                return mended
        self.note(fault, place.pointer)
        return ABSENT

    def _distinct(self, components: list[Any], place: Place) -> list[Any]:
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

    # --- rules beyond one property

    def _look_beyond(self, data: dict[str, Any], owner: type, pointer: str) -> None:
        if owner in {structs.Agent, structs.Group}:
            self._one_identifier(data, pointer)
        if owner is structs.Definition and "interactionType" not in data:
            self._interaction(data, pointer)
        if owner is structs.Score:
            self._score(data, pointer)
        if owner in {structs.Statement, structs.SubStatement}:
            self._activity_only(data, pointer)

    def _one_identifier(self, data: dict[str, Any], pointer: str) -> None:
        found = [name for name in IDENTIFIERS if name in data]
        good = [name for name in found if holds({name: data[name], "objectType": "Agent"}, structs.Agent)]
        for name in found:
            if good and name != good[0]:
                self.note("identifiers", f"{pointer}/{name}")
                del data[name]

    def _interaction(self, data: dict[str, Any], pointer: str) -> None:
        if any(name in data for name in ("correctResponsesPattern", *_COMPONENTS)):
            self.note("missing-interaction-type", pointer)
            data["interactionType"] = "other"

    def _score(self, data: dict[str, Any], pointer: str) -> None:
        bounds = {name: float(data[name]) for name in ("raw", "min", "max") if isinstance(data.get(name), Number)}
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
    return any(name in actor for name in (*IDENTIFIERS, "member"))


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
    if "Activity" in kinds and ("id" in names or names.isdisjoint(IDENTIFIERS)):
        return "Activity"
    return "Agent"
