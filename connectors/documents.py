"""Source and destination documents: what all of them share, and how a fault in one is told.

A message in these schemas is `say(what, remedy)`: what is wrong on its first line, what to do on its second.
"""

import difflib
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, ClassVar

from marshmallow import EXCLUDE, Schema, ValidationError, fields, post_load, validates, validates_schema

from connectors.errors import ConfigError, Fault, KeyPath

Document = Mapping[Any, Any]
"""What YAML gave: not yet checked, so even its keys may be anything."""

_NAME = re.compile(r"[a-z0-9]([a-z0-9-]{0,62}[a-z0-9])?")
_INTERVAL = re.compile(r"([1-9][0-9]{0,6})([smhd])")
_UNIT_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}
MIN_EVERY_SECONDS = 10
"""Shorter than this a pull would often still run when the next is due."""
MAX_EVERY_SECONDS = 31 * 86_400
"""Longer than a month is a typing error, or a source to pull by hand."""


def say(what: str, remedy: str) -> str:
    """Give the two lines that every message in a schema is made of."""
    return f"{what}\n{remedy}"


def nearest(word: str, known: Iterable[str], *, otherwise: str | None = None) -> str:
    """Give a remedy for a word that is not among the known: the nearest of them, else `otherwise`, else all."""
    known = sorted(known)
    near = difflib.get_close_matches(word, known, n=1)
    if near:
        return f"Did you mean {near[0]!r}?"
    return otherwise or f"There are: {', '.join(known) or 'none'}."


def validate(schema: Schema, document: Document) -> Any:  # noqa: ANN401
    """Give what the schema makes of the document; raises ConfigError with every fault that it finds."""
    try:
        return schema.load(document)
    except ValidationError as err:
        raise ConfigError(list(_faults(err.messages))) from err


def _faults(messages: object, path: KeyPath = ()) -> Iterator[Fault]:
    if isinstance(messages, Mapping):
        for key, inner in messages.items():
            yield from _faults(inner, path if key == "_schema" else (*path, key))
    elif isinstance(messages, list):
        for message in messages:
            text, _, remedy = str(message).partition("\n")
            yield Fault(path, text, remedy)


class Key(fields.Field[Any]):
    """The value of a key, which is named when it is missing: its place is then that of the whole document."""

    def make_error(self, key: str, **words: Any) -> ValidationError:  # noqa: ANN401 - as marshmallow has them
        name = self.data_key or self.name
        if key == "required":
            return ValidationError(say(f"The key {name!r} is missing.", f"Add `{name}: ...`."))
        if key == "null":
            return ValidationError(say("There is no value here.", "Write one, or take the line out."))
        return super().make_error(key, **words)


class Text(Key, fields.String):
    """A text that is not empty; YAML turns bare 12, yes and 2026-01-31 into something else, which is refused."""

    default_error_messages = {  # noqa: RUF012
        "null": say("There is no value here.", "Write one, or take the line out."),
        "invalid": say("This is not a text.", "Put it in quotes."),
    }

    def _deserialize(self, value: Any, *args: Any, **kwargs: Any) -> str:  # noqa: ANN401
        text = super()._deserialize(value, *args, **kwargs)
        if not text:
            raise ValidationError(self.error_messages["null"])
        return text


class TextList(Key):
    """One text or a list of different ones; `allow_blank` lets "" be one of them."""

    json_schema: ClassVar[Mapping[str, Any]] = {
        "anyOf": [
            {"type": "string"},
            {"type": "array", "items": {"type": "string"}, "minItems": 1, "uniqueItems": True},
        ]
    }
    """What JSON Schema can say of it, for editors."""

    def __init__(self, *, allow_blank: bool = False, **kwargs: Any) -> None:  # noqa: ANN401
        super().__init__(**kwargs)
        self._allow_blank = allow_blank

    def _deserialize(self, value: Any, *_: Any, **__: Any) -> list[str]:  # noqa: ANN401
        texts = value if isinstance(value, list) else [value]
        if not texts:
            raise ValidationError(say("The list is empty.", "Name at least one, or take the line out."))
        faults = {place: [fault] for place, text in enumerate(texts) if (fault := self._fault(text, texts[:place]))}
        if faults:
            raise ValidationError(faults if isinstance(value, list) else faults[0])
        return texts

    def _fault(self, text: object, before: list[object]) -> str | None:
        if not isinstance(text, str):
            return say(f"{text!r} is not a text.", "Put it in quotes.")
        if not text and not self._allow_blank:
            return say("This text is empty.", "Write a name, or take the line out.")
        if text in before:
            return say(f"{text!r} is here twice.", "Take one out.")
        return None


class Every(Key):
    """How often, written as 30s, 15m, 1h or 1d; gives seconds."""

    json_schema: ClassVar[Mapping[str, Any]] = {"type": "string", "pattern": f"^{_INTERVAL.pattern}$"}

    def _deserialize(self, value: Any, *_: Any, **__: Any) -> int:  # noqa: ANN401
        found = _INTERVAL.fullmatch(value) if isinstance(value, str) else None
        if found is None:
            raise ValidationError(
                say(f"{value!r} is no interval.", "Write a whole number and s, m, h or d: 30s, 15m, 1h, 1d.")
            )
        seconds = int(found[1]) * _UNIT_SECONDS[found[2]]
        if not MIN_EVERY_SECONDS <= seconds <= MAX_EVERY_SECONDS:
            raise ValidationError(say(f"{value} is out of bounds.", "Write an interval from 10s to 31d."))
        return seconds


class StrictSchema(Schema):
    """Refuses a key that it does not know, and names the nearest that it does."""

    class Meta:
        unknown = EXCLUDE  # refused below, with better words

    @validates_schema(pass_original=True, skip_on_field_errors=False)
    def refuse_unknown_keys(self, _data: object, original: Document, **_: object) -> None:
        """Refuse what would else be passed over in silence, most often a misspelt key."""
        known = [field.data_key or name for name, field in self.fields.items()]
        unknown = [key for key in original if key not in known]
        if unknown:
            raise ValidationError(
                {key: [say(f"There is no key {key!r} here.", nearest(str(key), known))] for key in unknown}
            )


class ConnectorSchema(StrictSchema):
    """The keys of every source and destination document."""

    kind = Text(required=True)
    name = Text(required=True)
    title = Text()
    type = Text(required=True)

    @validates("name")
    def check_name(self, value: str, **_: object) -> None:
        """Refuse a name that would not do in a command, a file name and an address alike."""
        if not _NAME.fullmatch(value):
            raise ValidationError(
                say(
                    f"{value!r} does not do as a name.",
                    "Use at most 64 small letters a-z, digits and hyphens, with no hyphen at either end.",
                )
            )

    @post_load
    def default_title(self, data: dict[str, Any], **_: object) -> dict[str, Any]:
        """Call the thing by its name where it has no title."""
        return {**data, "title": data.get("title", data["name"])}


class SourceSchema(ConnectorSchema):
    """The keys of every source document."""

    every_seconds = Every(data_key="every", load_default=3600)


class DestinationSchema(ConnectorSchema):
    """The keys of every destination document."""


def check_kind(document: object, kind: str, types: Iterable[str]) -> str:
    """Give the document's type; raises ConfigError when it is of another kind, or of a type that we do not have."""
    if not isinstance(document, Mapping):
        raise ConfigError([Fault((), "This is not a block of `key: value` lines.", f"Begin with `kind: {kind}`.")])
    if document.get("kind") != kind:
        text = f"This is read as a {kind} document, but its kind is {document.get('kind')!r}."
        raise ConfigError([Fault(("kind",), text, f"Write `kind: {kind}`.")])
    if document.get("type") not in list(types):
        text = f"There is no {kind} type {document['type']!r}." if "type" in document else "The key 'type' is missing."
        raise ConfigError([Fault(("type",), text, nearest(str(document.get("type")), types))])
    return str(document["type"])
