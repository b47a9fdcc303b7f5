"""`/api/v1` for plugins of LMSs: the feeds, as they are now and as they change, and the reports."""

from collections.abc import Callable
from typing import Any

import marshmallow
from flask import Blueprint, Response
from marshmallow import validate

from bridge import reports, shown
from bridge.errors import BadCursor
from bridge.views import answers, api, seen
from lrs import db

blueprint = Blueprint("plugins", __name__, url_prefix=api.VERSION)

_TITLES = {
    "records": "List learners in programs: what they learned, and how often they used it since.",
    "measures": "List metrics of learners before and since completion.",
    "impacts": "List what programs changed, by metric, with how sure that is.",
    "readiness": "List how ready learners are in each skill, and what to practise next.",
    "health": "List sources, streams, destinations, forwards and estimates with how they are doing.",
}


class _Site(marshmallow.Schema):
    site = marshmallow.fields.String(
        metadata={"description": "Tell accounts of this home page alone, such as https://moodle.example."}
    )


class ChangesQuery(api.PageQuery, _Site):
    """Where to read on in which feed."""

    feed = marshmallow.fields.String(required=True, validate=validate.OneOf(shown.FEEDS))
    after = marshmallow.fields.String(metadata={"description": "`next` of the last answer; none: from the beginning."})


class RowsQuery(api.PageQuery, _Site):
    """A page of a feed, and whose rows."""

    program = marshmallow.fields.String()
    team = marshmallow.fields.String(metadata={"description": "In which people are today."})
    course = marshmallow.fields.String(metadata={"description": "An IRI: of learners who took it."})
    user = marshmallow.fields.String(metadata={"description": "Name of an account at `site`."})

    @marshmallow.validates_schema
    def _of_a_site(self, asked: dict[str, Any], **_: object) -> None:
        if "user" in asked and "site" not in asked:
            raise marshmallow.ValidationError("An account is one of a site: send `site` too.", "user")


@blueprint.get("/changes")
@api.operation("Say what changed in a feed since a cursor.", query=ChangesQuery, answers=answers.Changes, errors=[410])
@seen.narrowed
def list_changes() -> Response:
    """Answer the rows that changed, and those that are gone or are not seen any more, with where to read on.

    Without `after` all rows there are, and none that are gone.
    """
    asked = api.query()
    cursor, limit = asked.get("after") or None, asked["limit"]
    try:
        found = shown.changes(db.session, seen.in_force(), seen.current(), asked["feed"], cursor, limit=limit)
    except BadCursor as error:
        raise api.Malformed(str(error), [{"detail": "Leave it out to begin anew.", "parameter": "after"}]) from error
    rows = [row.envelope(asked.get("site")) for row in found.rows]
    return api.answer({"rows": rows, "next": found.next, "more": found.more})


def _listing(feed: str) -> Callable[[], Response]:
    def list_rows() -> Response:
        """Answer a page of the rows as they are now, by key; to keep a copy in step, read `/changes`."""
        query = api.query()
        asked = api.page(query, fits=api.is_text)
        filters = {name: query.get(name) for name in ("program", "team", "course")}
        if "user" in query:
            filters["account"] = (query["site"], query["user"])
        found = shown.current(
            db.session,
            seen.in_force(),
            seen.current(),
            feed,
            after=asked.after or "",
            limit=asked.limit + 1,
            **filters,
        )
        return api.answer_page(
            found, asked, row=lambda row: row.envelope(query.get("site")), position=lambda row: row.key
        )

    return api.operation(_TITLES[feed], query=RowsQuery, answers=answers.Rows)(seen.narrowed(list_rows))


for _feed in shown.FEEDS:
    blueprint.add_url_rule(f"/{_feed}", _feed, _listing(_feed), methods=["GET"])


@blueprint.get("/reports")
@api.operation("List the reports.", answers=answers.Reports)
@seen.narrowed
def list_reports() -> Response:
    """Answer the reports with how many learners they show."""
    api.query()
    current = seen.in_force()
    items = []
    for report in current.reports.values():
        learners, completed = reports.summary(db.session, current.programs[report.program], seen.current())
        items.append(
            {"name": report.name, "title": report.title, "program": report.program, "note": report.note}
            | {"learners": learners, "completed": completed}
        )
    return api.answer({"items": items})


@blueprint.get("/reports/<name>")
@api.operation("Show a page of a report.", query=api.PageQuery, answers=answers.Report, errors=[404])
@seen.narrowed
def show_report(name: str) -> Response:
    """Answer the columns of a report and a page of its rows, by learner."""
    asked = api.page(api.query(), fits=api.is_text)
    found = reports.build(
        db.session, seen.in_force(), name, after=asked.after or "", limit=asked.limit + 1, seen=seen.current()
    )
    columns = [
        {"name": one.name, "title": one.title, "unit": one.unit or None, "type": one.type} for one in found.columns
    ]
    return api.answer_page(
        list(found.rows),
        asked,
        row=dict,
        position=lambda row: row["learner"],
        about={"name": found.name, "title": found.title, "note": found.note, "columns": columns},
    )
