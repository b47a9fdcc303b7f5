"""A block whose `type` says which keys it has: one schema a type."""

from collections.abc import Mapping
from typing import Any

from marshmallow import Schema, ValidationError, fields

from connectors.documents import Key, nearest, say


class Block(Key, fields.Nested):
    """A block with one schema."""


class Anything(Key, fields.Raw):
    """A value of any type."""


class YesNo(fields.Boolean):
    """True or false, and nothing that only looks like it."""

    def __init__(self, *, default: bool = False) -> None:
        wrong = say("This is neither true nor false.", "Write one of the two.")
        super().__init__(truthy={True}, falsy={False}, load_default=default, error_messages={"invalid": wrong})


class Choice(Key):
    """One of several schemas, by `type`."""

    def __init__(self, types: Mapping[str, type[Schema]], **kwargs: Any) -> None:  # noqa: ANN401
        super().__init__(**kwargs)
        self._types = types
        self.json_schema = {
            "type": "object",
            "required": ["type"],
            "properties": {"type": {"enum": list(types)}},
        }

    def _deserialize(self, value: Any, *_: Any, **__: Any) -> Any:  # noqa: ANN401
        if not isinstance(value, Mapping):
            raise ValidationError(say("This is not a block.", f"Write it like {{type: {next(iter(self._types))}}}."))
        named = value.get("type")
        if named not in list(self._types):
            what = f"There is no type {named!r} here." if "type" in value else "The key 'type' is missing."
            raise ValidationError({"type": [say(what, nearest(str(value.get("type", "")), self._types))]})
        return self._types[named]().load(value)
