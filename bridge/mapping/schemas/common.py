"""What the schemas of all kinds of documents share."""

from collections.abc import Mapping
from typing import Any, ClassVar

from marshmallow import EXCLUDE, Schema, ValidationError, validates_schema

from bridge.mapping.fields import Cel, Complaint, Name, Text
from bridge.mapping.problems import nearest


def row(**settings: Any) -> Cel:  # noqa: ANN401 - as marshmallow has them
    """Give a field for an expression over a source record."""
    return Cel(statement=False, **settings)


def statement(**settings: Any) -> Cel:  # noqa: ANN401 - as marshmallow has them
    """Give a field for an expression over a statement."""
    return Cel(statement=True, **settings)


class Strict(Schema):
    """Refuses keys that it does not know, naming the nearest that it does."""

    json_schema: ClassVar[Mapping[str, Any]] = {}
    """What JSON Schema can say of the map beside its keys, for editors."""

    class Meta:
        unknown = EXCLUDE  # `refuse_unknown` does it, with a better message

    @validates_schema(pass_original=True, skip_on_field_errors=False)
    def refuse_unknown(self, _: object, original: object, **__: object) -> None:
        """Complain about each unknown key."""
        if not isinstance(original, dict):
            return
        known = {field.data_key or name for name, field in self.fields.items()}
        unknown = original.keys() - known
        if unknown:
            raise ValidationError(
                {
                    key: [
                        Complaint(
                            f"The key {key!r} is not known here", nearest(key, known, what="keys"), about_key=True
                        )
                    ]
                    for key in sorted(unknown)
                }
            )


class DocumentSchema(Strict):
    kind = Text(required=True)
    name = Name(required=True)
    title = Text()


def arguments(data: dict[str, Any], *lists: str) -> dict[str, Any]:
    """Give the arguments of a document's class: no `kind`, a title in any case, lists as tuples."""
    arguments = {key: value for key, value in data.items() if key != "kind"}
    arguments.setdefault("title", data["name"])
    return arguments | {key: tuple(data[key]) for key in lists if key in data}


def unique(values: list[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(values))


def refuse_twins(key: str, names: list[str]) -> None:
    twins = {place: name for place, name in enumerate(names) if name in names[:place]}
    if twins:
        raise ValidationError(
            {
                key: {
                    place: {"name": [Complaint(f"{name!r} stands twice", "Give it another name.")]}
                    for place, name in twins.items()
                }
            }
        )
