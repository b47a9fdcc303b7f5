"""What a `forward` document may hold."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from marshmallow import post_load

from bridge.mapping import kinds
from bridge.mapping.fields import Name, Part, Text, Texts, complaint
from bridge.mapping.functions import moment
from bridge.mapping.problems import shown
from bridge.mapping.schemas.common import DocumentSchema, arguments, statement
from bridge.mapping.schemas.learning import MatchSchema, iri


class _Moment(Text):
    """A time with its zone."""

    @property
    def json_schema(self) -> Mapping[str, Any]:  # type: ignore[override]
        return {"type": "string", "format": "date-time"}

    def read(self, value: object) -> str:
        text = super().read(value)
        try:
            found: datetime = moment(text)
        except ValueError as err:
            raise complaint(f"{shown(text)} is no time", "Write it in quotes, like '2026-01-31T00:00:00Z'.") from err
        return found.isoformat()


class ForwardSchema(DocumentSchema):
    to = Name(required=True)
    match = Part(MatchSchema)
    when = statement(wants="flag")
    home_page = Texts(iri)
    since = _Moment()
    not_from = Texts()

    @post_load
    def make(self, data: dict[str, Any], **_: object) -> kinds.Forward:
        """Give the forward document."""
        return kinds.Forward(**arguments(data))
