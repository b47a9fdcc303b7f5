"""A block whose `type` says which keys it has: one schema a type."""

from collections.abc import Mapping
from typing import Any

from marshmallow import Schema, ValidationError, fields

from connectors.documents import nearest, say


class Choice(fields.Field[Any]):
    """One of several schemas, by `type`."""

    default_error_messages = {  # noqa: RUF012
        "required": say("This key is missing.", "Add it."),
        "null": say("There is no value here.", "Write a block with a `type`, or take the line out."),
    }

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
            what = f"There is no type {named!r} here." if "type" in value else "This key is missing."
            raise ValidationError({"type": [say(what, nearest(str(named), self._types))]})
        return self._types[named]().load(value)
