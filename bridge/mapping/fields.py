"""The marshmallow fields that mapping documents are made of, and complaints that carry their remedy.

A complaint travels through marshmallow as the "message" of a ValidationError; `schemas` gives it its place.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from typing import Any, ClassVar

from marshmallow import ValidationError, fields

from bridge.mapping.business import FIRST_YEAR, LAST_YEAR
from bridge.mapping.expressions import MAX_LENGTH, Expression, ExpressionError, Wants, compile_expression
from bridge.mapping.functions import FUNCTIONS, type_of
from bridge.mapping.problems import nearest, shown

EXPRESSION: dict[str, Any] = {"type": "string", "minLength": 1, "maxLength": MAX_LENGTH}
"""What JSON Schema can say of an expression."""

NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,63}")
_WORD = re.compile(r"[a-z][a-z0-9_]{0,63}")
_IRI = re.compile(r"[^:\s]+:\S+")


@dataclass(frozen=True, slots=True)
class Complaint:
    """What is wrong with a value and what to do; `inside` is a line and column of the text itself."""

    text: str
    remedy: str
    inside: tuple[int, int] | None = None
    about_key: bool = False


def complaint(text: str, remedy: str, **where: Any) -> ValidationError:  # noqa: ANN401 - as Complaint has them
    """Give the error that carries a complaint."""
    return ValidationError([Complaint(text, remedy, **where)])


class _Speaking(fields.Field[Any]):
    """A field that complains in our words when it is missing or empty."""

    wanted = "value of the right type"

    def make_error(self, key: str, **_: object) -> ValidationError:
        name = self.data_key or self.name
        match key:
            case "required":
                return complaint(f"The key {name!r} is missing", f"Add `{name}: ...`.")
            case "null":
                return complaint(f"{name!r} is empty", "Write its value, or leave the key out if it may be left out.")
            case _:
                return complaint(f"{name!r} is no {self.wanted}", f"Write a {self.wanted}.")


class _Reading(_Speaking):
    """A field that reads its value from the value alone."""

    @property
    def json_schema(self) -> dict[str, Any]:
        """What JSON Schema can say of the value, for editors."""
        return {}

    def read(self, value: object) -> object:
        """Give what the value means. Raises ValidationError with a complaint."""
        raise NotImplementedError

    def _deserialize(self, value: object, *_: object, **__: object) -> object:
        return self.read(value)


class Text(_Reading):
    """A text that is not empty."""

    @property
    def json_schema(self) -> dict[str, Any]:
        return {"type": "string", "minLength": 1}

    def read(self, value: object) -> str:
        if not isinstance(value, str) or not value.strip():
            raise _wrong_type(value, "a text", 'Put it in quotes: "..."')
        return value.strip()


class Name(Text):
    """A name that is safe in addresses and file names."""

    def __init__(self, *, word: bool = False, **settings: Any) -> None:  # noqa: ANN401
        super().__init__(**settings)
        self._word = word

    @property
    def json_schema(self) -> dict[str, Any]:
        return {"type": "string", "pattern": f"^(?:{(_WORD if self._word else NAME).pattern})$"}

    def read(self, value: object) -> str:
        name = super().read(value)
        if not (_WORD if self._word else NAME).fullmatch(name):
            joined = "_, beginning with a letter" if self._word else "-"
            raise complaint(f"{shown(name)} is no name", f"Use up to 64 of a-z, 0-9 and {joined}.")
        return name


class Day(Text):
    """A date."""

    @property
    def json_schema(self) -> dict[str, Any]:
        return {"type": "string", "format": "date"}

    def read(self, value: object) -> str:
        text = super().read(value)
        try:
            found = date.fromisoformat(text)
        except ValueError as err:
            raise complaint(f"{shown(text)} is no date", "Write it like 2026-12-25.") from err
        if not FIRST_YEAR <= found.year <= LAST_YEAR:
            raise complaint(f"{shown(text)} is not between {FIRST_YEAR} and {LAST_YEAR}", "Check the year.")
        return found.isoformat()


class Iri(Text):
    """The id of an activity, as statements have it."""

    @property
    def json_schema(self) -> dict[str, Any]:
        return {"type": "string", "pattern": f"^{_IRI.pattern}$"}

    def read(self, value: object) -> str:
        iri = super().read(value)
        if not _IRI.fullmatch(iri):
            remedy = (
                "Write the activity's id in full, as its statements have it: `lrs-bridge mapping coverage` names some."
            )
            raise complaint(f"{shown(iri)} is no IRI, so no statement is about it", remedy)
        return iri


class Texts(_Reading):
    """A text, or a list of texts any of which will do; `check` gives each as it is to be used, or complains."""

    def __init__(self, check: Callable[[str], str] = str, **settings: Any) -> None:  # noqa: ANN401
        super().__init__(**settings)
        self._check = check

    @property
    def json_schema(self) -> dict[str, Any]:
        one = {"type": "string", "minLength": 1}
        return {"anyOf": [one, {"type": "array", "items": one, "minItems": 1}]}

    def read(self, value: object) -> tuple[str, ...]:
        if not isinstance(value, list):
            return (self._read_one(value),)
        if not value:
            raise complaint(f"{self.name!r} is an empty list", "Add at least one text.")
        found: list[str] = []
        wrong: dict[int, Any] = {}
        for place, entry in enumerate(value):
            try:
                found.append(self._read_one(entry))
            except ValidationError as err:
                wrong[place] = err.messages
        if wrong:
            raise ValidationError(wrong)
        return tuple(sorted(set(found)))

    def _read_one(self, value: object) -> str:
        if not isinstance(value, str) or not value.strip():
            raise _wrong_type(value, "a text", 'Put it in quotes: "..."')
        if value != value.strip():
            raise complaint(
                f"There is a space at an end of '{value}'", "Take it out: texts are compared as they stand."
            )
        return self._check(value)


class Choice(_Reading):
    """One of a closed set of words."""

    def __init__(self, words: type[StrEnum], **settings: Any) -> None:  # noqa: ANN401
        super().__init__(**settings)
        self._words = words

    @property
    def json_schema(self) -> dict[str, Any]:
        return {"enum": [word.value for word in self._words]}

    def read(self, value: object) -> StrEnum:
        known = {word.value: word for word in self._words}
        if not isinstance(value, str) or value not in known:
            # In a list the field is called as the list is.
            key = self.data_key or self.name
            raise complaint(f"{shown(value)} cannot stand in `{key}`", nearest(value, known, what="words"))
        return known[value]


class WholeNumber(_Reading):
    """A whole number in a range."""

    def __init__(self, low: int, high: int, **settings: Any) -> None:  # noqa: ANN401
        super().__init__(**settings)
        self._low, self._high = low, high

    @property
    def json_schema(self) -> dict[str, Any]:
        return {"type": "integer", "minimum": self._low, "maximum": self._high}

    def read(self, value: object) -> int:
        if isinstance(value, bool) or not isinstance(value, int):
            raise _wrong_type(value, "a whole number", f"Write one from {self._low} to {self._high:,}, without quotes.")
        if not self._low <= value <= self._high:
            raise complaint(f"{value} is out of range", f"Write a whole number from {self._low} to {self._high:,}.")
        return value


class Cel(_Reading):
    """An expression over a statement or a row; `wants` and `extra` as in `compile_expression`.

    It may call functions that the document supplies only where `supplied` says that the document can.
    """

    def __init__(
        self,
        *,
        statement: bool,
        wants: Wants = "any",
        extra: tuple[str, ...] = (),
        supplied: bool = False,
        **settings: Any,  # noqa: ANN401
    ) -> None:
        super().__init__(**settings)
        self._statement, self._wants, self._extra, self._supplied = statement, wants, extra, supplied

    @property
    def json_schema(self) -> dict[str, Any]:
        return EXPRESSION

    def read(self, value: object) -> Expression:
        if not isinstance(value, str) or not value.strip():
            raise _wrong_type(value, "an expression", 'Put it in quotes: "..."')
        try:
            expression = compile_expression(
                value, statement=self._statement, wants=self._wants, extra=self._extra, supplied=self._supplied
            )
        except ExpressionError as err:
            raise complaint(err.text, err.remedy, inside=(err.line, err.column)) from err
        missing = [name for name in expression.functions if FUNCTIONS[name].call is None]
        if missing and not self._supplied:
            remedy = "Only a `performance` document says what it reckons by."
            raise complaint(f"{missing[0]}() is not there in documents of this kind", remedy)
        return expression


class Items(fields.List[Any], _Speaking):
    """A list; `least` of 1 refuses an empty one."""

    wanted = "list"
    json_schema_else: ClassVar[Mapping[str, Any] | None] = None
    """What may stand there instead of the list."""

    def __init__(self, inner: fields.Field[Any], *, least: int = 0, **settings: Any) -> None:  # noqa: ANN401
        super().__init__(inner, **settings)
        self.least = least

    def _deserialize(self, value: Any, attr: str | None, data: Mapping[str, Any] | None, **settings: Any) -> list[Any]:  # noqa: ANN401
        if not isinstance(value, list):
            raise _wrong_type(value, "a list", "Write [ and ] around it, or each item on a line after a dash.")
        if len(value) < self.least:
            raise complaint(f"{self.name!r} is an empty list", "Add at least one item.")
        return super()._deserialize(value, attr, data, **settings)


class Part(fields.Nested, _Speaking):
    """A map with a schema of its own."""

    wanted = "map"
    json_schema_else: ClassVar[Mapping[str, Any] | None] = None
    """What may stand there instead of the map."""


class Named(fields.Dict, _Speaking):
    """A map whose keys the admin chooses."""

    wanted = "map"


def _wrong_type(value: object, wanted: str, remedy: str) -> ValidationError:
    what = f"This is {type_of(value)}" if isinstance(value, dict | list) else f"{shown(value)} is {type_of(value)}"
    return complaint(f"{what}, {wanted} is expected", remedy)
