"""The pages: what there is and how it stands, and each report. Signed-in people only."""

from flask import Blueprint, Response, abort, render_template, request, stream_with_context
from flask.typing import ResponseReturnValue

from bridge import documents, mapping, printing, provenance, reports, status
from bridge.errors import NotFound, NotReady, UnknownName
from bridge.mapping import Documents
from bridge.views import seen, signing_in
from connectors import Report, report_lines
from lrs import db

blueprint = Blueprint("pages", __name__, template_folder="templates")
blueprint.before_request(signing_in.require)

ROWS = 200
"""Learners on one page of a report."""
FACTS = 200
"""Facts of one figure that a page shows."""


@blueprint.get("/")
@seen.narrowed
def home() -> str:
    """List the reports, and what needs a person; that is told to those who see everything."""
    found = documents.current(db.session)
    current = seen.current().of(found) if found else None
    listed = [_card(current, one) for one in current.reports.values()] if current else []
    overview = None if seen.current() else status.overview(db.session)
    return render_template("home.html", reports=listed, overview=overview)


@blueprint.get("/reports/<name>")
@seen.narrowed
def report(name: str) -> ResponseReturnValue:
    """Show a report: `NAME` as a page, `NAME.csv` and `NAME.json` as files."""
    stem, _, ending = name.rpartition(".")
    if ending in {"csv", "json"}:
        return _file(_report(stem), ending)
    after = _storable(request.args.get("after", ""))
    found = _report(name, after=after, limit=ROWS + 1)
    parts = printing.split(found.columns)
    rows = list(found.rows)
    return render_template(
        "report.html",
        report=found,
        rows=rows[:ROWS],
        more_after=rows[ROWS - 1]["learner"] if len(rows) > ROWS else None,
        parts=parts,
        numbers=printing.NUMBERS,
        shown=printing.shown,
    )


@blueprint.get("/reports/<name>/learners/<path:learner>")
@seen.narrowed
def learner(name: str, learner: str) -> str:
    """Show what the figures of a learner in a report are made of."""
    current = _current()
    try:
        program = reports.document(current, name).program
        found = provenance.of_record(db.session, current, program, _storable(learner), seen=seen.current())
    except (UnknownName, NotFound) as error:
        abort(404, str(error))
    # A count is made of what its mean is made of, which is listed once.
    figures = {figure.name: [figure] for figure in found.figures if not figure.same_as}
    for figure in found.figures:
        if figure.same_as:
            figures[figure.same_as].append(figure)
    return render_template(
        "provenance.html",
        report=current.reports[name],
        found=found,
        figures=list(figures.values()),
        shown=FACTS,
        tier_names=reports.TIER_NAMES,
    )


def _card(current: Documents, found: mapping.Report) -> dict[str, object]:
    learners, completed = reports.summary(db.session, current.programs[found.program], seen.current())
    return {"report": found, "learners": learners, "completed": completed}


@blueprint.errorhandler(404)
def missing(error: Exception) -> tuple[str, int]:
    """Say what was not found, and lead back."""
    return render_template("missing.html", text=getattr(error, "description", str(error))), 404


def _current() -> Documents:
    try:
        return seen.in_force()
    except NotReady as error:
        abort(404, str(error))


def _report(name: str, *, after: str = "", limit: int | None = None) -> Report:
    current = _current()
    try:
        return reports.build(db.session, current, name, after=after, limit=limit, seen=seen.current())
    except UnknownName as error:
        abort(404, str(error))


def _storable(key: str) -> str:
    """Leave NULs out: no key has one, and PostgreSQL takes none."""
    return key.replace("\0", "")


def _file(found: Report, form: str) -> Response:
    kinds = {"csv": "text/csv; charset=utf-8", "json": "application/json"}
    name = f'attachment; filename="{found.name}.{form}"'
    lines = stream_with_context(report_lines(found, form))
    return Response(lines, content_type=kinds[form], headers={"Content-Disposition": name})
