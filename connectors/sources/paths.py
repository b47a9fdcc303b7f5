"""Paths into JSON: `fields.updated`, or a list of steps where a name has a dot in it: ["@odata.nextLink"]."""

from collections.abc import Mapping
from typing import Any, ClassVar

from marshmallow import ValidationError

from connectors.documents import Key, say

Steps = tuple[str, ...]
"""Names from the outside in; none means the whole."""


def find(data: Any, steps: Steps) -> Any:  # noqa: ANN401
    """Give the value at a path; None where there is none."""
    for step in steps:
        if not isinstance(data, Mapping):
            return None
        data = data.get(step)
    return data


def shown(steps: Steps) -> str:
    """Give a path as people write it."""
    return ".".join(steps)


def put(data: dict[str, Any], steps: Steps, value: object) -> None:
    """Set a value at a path, making the blocks on the way."""
    for step in steps[:-1]:
        data = data.setdefault(step, {})
    data[steps[-1]] = value


def without(data: dict[str, Any], steps: Steps) -> dict[str, Any]:
    """Give the data without what is at the path, in all entries of a list on the way, sharing the rest."""
    first, rest = steps[0], steps[1:]
    if first not in data:
        return data
    if not rest:
        return {name: value for name, value in data.items() if name != first}
    inner = data[first]
    if isinstance(inner, list):
        return {**data, first: [without(one, rest) if isinstance(one, dict) else one for one in inner]}
    return {**data, first: without(inner, rest)} if isinstance(inner, dict) else data


class PathField(Key):
    """A path."""

    json_schema: ClassVar[Mapping[str, Any]] = {
        "anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}, "minItems": 1}]
    }

    def _deserialize(self, value: Any, *_: Any, **__: Any) -> Steps:  # noqa: ANN401
        steps = value.split(".") if isinstance(value, str) else value
        if not isinstance(steps, list) or not steps or not all(isinstance(step, str) and step for step in steps):
            what = f"{value!r} is no path."
            raise ValidationError(say(what, 'Write names with dots between, or a list: fields.updated, ["a.b", c].'))
        return tuple(steps)


class PathsField(Key):
    """A list of paths; a text alone is a list of one."""

    json_schema: ClassVar[Mapping[str, Any]] = {
        "anyOf": [{"type": "string"}, {"type": "array", "items": PathField.json_schema, "minItems": 1}]
    }

    def _deserialize(self, value: Any, *_: Any, **__: Any) -> list[Steps]:  # noqa: ANN401
        items = [value] if isinstance(value, str) else value
        if not isinstance(items, list) or not items:
            raise ValidationError(say(f"{value!r} is no list of paths.", "Write it like [id, fields.updated]."))
        one = PathField()
        paths, faults = [], {}
        for place, item in enumerate(items):
            try:
                paths.append(one.deserialize(item))
            except ValidationError as err:
                faults[place] = err.messages
        if faults:
            raise ValidationError(faults)
        return paths
