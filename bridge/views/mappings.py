"""`/api/v1/mapping` and `/api/v1/explain`: what the documents in force make of what arrives."""

from datetime import datetime
from typing import Any

import marshmallow
from flask import Blueprint, Response

from bridge import coverage, explaining, times
from bridge.views import answers, api, seen
from lrs import db

SAMPLE, LARGEST_SAMPLE = 10_000, 100_000
"""Statements that one request looks at: the answer does not wait for all of history."""

blueprint: Blueprint = Blueprint("mappings", __name__, url_prefix=api.VERSION)


class Instant(marshmallow.fields.Field[datetime]):
    """A time in the query, as ISO 8601 has it."""

    json_schema = {"type": "string", "format": "date-time"}  # noqa: RUF012 - never changed

    def _deserialize(self, value: Any, *_: object, **__: object) -> datetime:  # noqa: ANN401 - as marshmallow has it
        try:
            return times.instant(str(value))
        except ValueError as error:
            raise marshmallow.ValidationError(str(error)) from error


class CoverageQuery(marshmallow.Schema):
    """What may be asked of the coverage."""

    sample = marshmallow.fields.Integer(load_default=SAMPLE, validate=marshmallow.validate.Range(1, LARGEST_SAMPLE))
    since = Instant()


@blueprint.get("/mapping/coverage")
@api.operation(
    "Say which kinds of statements in a sample, and which sources, anything reads.",
    query=CoverageQuery,
    answers=answers.Coverage,
)
def show_coverage() -> Response:
    """Answer the kinds of statements in a sample and the sources, and whether anything reads them."""
    asked = api.query()
    current = seen.in_force()
    found = coverage.of_statements(db.session, current, since=asked.get("since"), sample=asked["sample"])
    return api.answer(found.told() | {"sources": coverage.of_sources(db.session, current)})


class ExplainQuery(marshmallow.Schema):
    """What is to be explained: one of the two."""

    statement = marshmallow.fields.String()
    record = marshmallow.fields.String()

    @marshmallow.validates_schema
    def _one(self, asked: dict[str, str], **_: object) -> None:
        if len(asked) != 1:
            raise marshmallow.ValidationError("Name one of statement=ID and record=SOURCE/KEY.")


@blueprint.get("/explain")
@api.operation(
    "Say what the rules make of a statement or source record, and why.",
    query=ExplainQuery,
    answers=answers.Explanation,
    errors=[404],
)
def show_explanation() -> Response:
    """Answer what the rules make of a statement or source record, and why."""
    asked = api.query()
    if "statement" in asked:
        return api.answer(explaining.statement(db.session, seen.in_force(), asked["statement"]))
    return api.answer(explaining.record(db.session, seen.in_force(), asked["record"]))
