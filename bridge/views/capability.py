"""The pages of a program's teams: which skills are missing, and what stands in the way. Signed-in people only."""

from datetime import UTC, datetime

from flask import Blueprint, Response, abort, jsonify, render_template

from bridge import documents, obstacles, programs, readiness, suppression
from bridge.errors import UnknownName
from bridge.mapping import Documents, Program
from bridge.views import signing_in
from lrs import db

blueprint = Blueprint("capability", __name__, template_folder="templates", url_prefix="/programs")
blueprint.before_request(signing_in.require)


@blueprint.get("/<name>/skills")
def skills(name: str) -> str:
    """Show how ready each team is in each skill."""
    current, program = _program(name)
    return render_template(
        "skills.html",
        program=program,
        found=readiness.matrix(db.session, program, current.metrics, now=datetime.now(UTC)),
        weights=readiness.SOURCES,
        known_from=readiness.KNOWN_FROM,
        half_life=readiness.HALF_LIFE_WEEKS,
        least=suppression.LEAST,
    )


@blueprint.get("/<name>/skills.<any(json, csv):ending>")
def skills_file(name: str, ending: str) -> Response:
    """Give the same as a file."""
    current, program = _program(name)
    return _file(
        readiness.matrix(db.session, program, current.metrics, now=datetime.now(UTC)), f"{name}-skills", ending
    )


@blueprint.get("/<name>/obstacles")
def hindrances(name: str) -> str:
    """Show what stands in the way, and how far people come."""
    _, program = _program(name)
    return render_template(
        "obstacles.html",
        program=program,
        found=obstacles.hindrances(db.session, program, now=datetime.now(UTC)),
        categories=obstacles.CATEGORIES,
        around=obstacles.AROUND.days,
        least=suppression.LEAST,
    )


@blueprint.get("/<name>/obstacles.<any(json, csv):ending>")
def hindrances_file(name: str, ending: str) -> Response:
    """Give the same as a file."""
    _, program = _program(name)
    return _file(obstacles.hindrances(db.session, program, now=datetime.now(UTC)), f"{name}-obstacles", ending)


@blueprint.errorhandler(404)
def missing(error: Exception) -> tuple[str, int]:
    """Say what was not found, and lead back."""
    return render_template("missing.html", text=getattr(error, "description", str(error))), 404


def _file(found: readiness.Matrix | obstacles.Hindrances, name: str, ending: str) -> Response:
    if ending == "json":
        response = jsonify(found.told())
    else:
        response = Response(found.as_csv(), content_type="text/csv; charset=utf-8")
    response.headers["Content-Disposition"] = f'attachment; filename="{name}.{ending}"'
    return response


def _program(name: str) -> tuple[Documents, Program]:
    current = documents.current(db.session)
    if current is None:
        abort(404, "No documents are in force yet.")
    try:
        return current, programs.find(current, name)
    except UnknownName as error:
        abort(404, str(error))
