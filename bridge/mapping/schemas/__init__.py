"""What each kind of mapping document may hold, and how it becomes a value of `kinds`."""

from collections.abc import Iterator, Mapping
from typing import Any

from marshmallow import Schema, ValidationError

from bridge.mapping import kinds, profiles
from bridge.mapping.fields import Complaint
from bridge.mapping.functions import type_of
from bridge.mapping.positions import Path
from bridge.mapping.problems import MappingError, Problem, shown
from bridge.mapping.schemas.forward import ForwardSchema
from bridge.mapping.schemas.identity import IdentitySchema
from bridge.mapping.schemas.learning import LearningSchema
from bridge.mapping.schemas.performance import PerformanceSchema
from bridge.mapping.schemas.program import ProgramSchema, ReportSchema
from bridge.mapping.written import Document

SCHEMAS: Mapping[str, type[Schema]] = {
    "forward": ForwardSchema,
    "identity": IdentitySchema,
    "learning": LearningSchema,
    "performance": PerformanceSchema,
    "program": ProgramSchema,
    "report": ReportSchema,
}
"""The kinds whose schema is ours; `source` and `destination` documents are validated by `connectors`."""

KINDS = frozenset({*SCHEMAS, "source", "destination"})


def parse(document: Document) -> kinds.Kind | None:
    """Give the value that a document describes; None for a kind that others validate. Raises MappingError."""
    if document.kind == profiles.KIND:
        return profiles.parse(document)
    if document.kind not in SCHEMAS:
        return None
    try:
        return SCHEMAS[document.kind]().load(document.data)  # type: ignore[no-any-return]
    except ValidationError as err:
        raise MappingError(_problems(document, err.messages, ())) from err


def _problems(document: Document, messages: Any, path: Path) -> Iterator[Problem]:  # noqa: ANN401 - marshmallow's own
    if isinstance(messages, dict):
        for key, inner in messages.items():
            # Keys that are marshmallow's and not the document's: for a map as a whole, and for one value of a map.
            deeper = key not in ("_schema", "value", "key") or (*path, key) in document.places.values
            yield from _problems(document, inner, (*path, key) if deeper else path)
        return
    for message in messages:
        yield _problem(document, message, path)


def _problem(document: Document, message: object, path: Path) -> Problem:
    match message:
        case Complaint(text, remedy, about_key=True):
            return document.problem_of_key(path, text, remedy)
        case Complaint(text, remedy, inside=(line, column)):
            return document.problem_inside(path, line, column, text, remedy)
        case Complaint(text, remedy):
            return document.problem(path, text, remedy)
        case _:
            value = document.at(path)
            what = "This is a list" if isinstance(value, list) else f"{shown(value)} is {type_of(value)}"
            remedy = "Write `key: value` lines, indented."
            return document.problem(path, f"{what}, a map of keys and values is expected", remedy)
