"""What `program` and `report` documents may hold."""

from typing import Any

from marshmallow import post_load

from bridge.mapping import kinds
from bridge.mapping.fields import Choice, Iri, Items, Name, Part, Text, WholeNumber
from bridge.mapping.schemas.common import DocumentSchema, Strict, arguments, unique


class _Completion(Strict):
    of = Items(Iri(), required=True, least=1)
    need = Choice(kinds.Need, load_default=kinds.Need.ANY)

    @post_load
    def make(self, data: dict[str, Any], **_: object) -> kinds.Completion:
        """Give what it takes."""
        return kinds.Completion(unique(data["of"]), data["need"])


class ProgramSchema(DocumentSchema):
    courses = Items(Iri(), required=True, least=1)
    assessments = Items(Iri())
    completion = Part(_Completion, required=True)
    metrics = Items(Name(word=True))
    window_days = WholeNumber(1, 3_660)

    @post_load
    def make(self, data: dict[str, Any], **_: object) -> kinds.Program:
        """Give the program."""
        lists = [key for key in ("courses", "assessments", "metrics") if key in data]
        return kinds.Program(**arguments(data | {key: unique(data[key]) for key in lists}))


class ReportSchema(DocumentSchema):
    program = Name(required=True)
    note = Text()
    destinations = Items(Name())

    @post_load
    def make(self, data: dict[str, Any], **_: object) -> kinds.Report:
        """Give the report."""
        return kinds.Report(**arguments(data, "destinations"))
