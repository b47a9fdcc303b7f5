"""The pages of a program's teams: which skills are missing, and what stands in the way. Signed-in people only."""

from collections.abc import Collection
from datetime import UTC, datetime

from flask import Blueprint, Response, abort, jsonify, render_template

from bridge import narrowing, obstacles, programs, readiness, suppression
from bridge.errors import NotReady, UnknownName
from bridge.mapping import Documents, Program
from bridge.views import seen, signing_in
from lrs import db

blueprint = Blueprint("capability", __name__, template_folder="templates", url_prefix="/programs")
blueprint.before_request(signing_in.require)


@blueprint.get("/<name>/skills")
@seen.narrowed
def skills(name: str) -> str:
    """Show how ready each team is in each skill."""
    program, found = _matrix(name)
    return render_template(
        "skills.html",
        program=program,
        found=found,
        sources=readiness.SOURCES,
        weights=readiness.weights(program),
        known_from=readiness.KNOWN_FROM,
        half_life=readiness.half_life_weeks(program),
        least=suppression.LEAST,
    )


@blueprint.get("/<name>/skills.<any(json, csv):ending>")
@seen.narrowed
def skills_file(name: str, ending: str) -> Response:
    """Give the same as a file."""
    return _file(_matrix(name)[1], f"{name}-skills", ending)


@blueprint.get("/<name>/obstacles")
@seen.narrowed
def hindrances(name: str) -> str:
    """Show what stands in the way, and how far people come."""
    program, found = _hindrances(name)
    return render_template(
        "obstacles.html",
        program=program,
        found=found,
        categories=obstacles.CATEGORIES,
        around=obstacles.AROUND.days,
        least=suppression.LEAST,
    )


@blueprint.get("/<name>/obstacles.<any(json, csv):ending>")
@seen.narrowed
def hindrances_file(name: str, ending: str) -> Response:
    """Give the same as a file."""
    return _file(_hindrances(name)[1], f"{name}-obstacles", ending)


@blueprint.errorhandler(404)
def missing(error: Exception) -> tuple[str, int]:
    """Say what was not found, and lead back."""
    return render_template("missing.html", text=getattr(error, "description", str(error))), 404


@blueprint.errorhandler(403)
def closed(error: Exception) -> tuple[str, int]:
    """Say why this is not shown, and lead back."""
    return render_template("closed.html", text=getattr(error, "description", str(error))), 403


def _matrix(name: str) -> tuple[Program, readiness.Matrix]:
    current, program = _program(name)
    found = readiness.matrix(db.session, program, current.metrics, now=datetime.now(UTC))
    teams = _teams(program)
    return program, found if teams is None else found.of_teams(teams)


def _hindrances(name: str) -> tuple[Program, obstacles.Hindrances]:
    _, program = _program(name)
    found = obstacles.hindrances(db.session, program, now=datetime.now(UTC))
    teams = _teams(program)
    return program, found if teams is None else found.of_teams(teams)


def _teams(program: Program) -> Collection[str] | None:
    """Name the teams whose figures are shown, and no figure of all teams; None: all, and that too."""
    current = seen.current()
    if current.courses is not None:
        abort(403, "These are figures of whole teams; this key sees the people of some courses alone.")
    if current.teams is not None and program.analysis.team != narrowing.TEAM:
        abort(
            403,
            f"This program counts by the attribute {program.analysis.team!r}; this key sees people by their "
            f"{narrowing.TEAM!r}.",
        )
    return current.teams


def _file(found: readiness.Matrix | obstacles.Hindrances, name: str, ending: str) -> Response:
    if ending == "json":
        response = jsonify(found.told())
    else:
        response = Response(found.as_csv(), content_type="text/csv; charset=utf-8")
    response.headers["Content-Disposition"] = f'attachment; filename="{name}.{ending}"'
    return response


def _program(name: str) -> tuple[Documents, Program]:
    try:
        current = seen.in_force()
        return current, programs.find(current, name)
    except (NotReady, UnknownName) as error:
        abort(404, str(error))
