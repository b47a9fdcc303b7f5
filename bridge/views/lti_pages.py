"""`/lti/s/<session>`: what people see who were launched from an LMS, each no more than their session allows."""

from datetime import UTC, datetime

from flask import Blueprint, Response, abort, g, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from bridge import context, documents, progress, reports
from bridge.lti import keys, platforms, rosters, sessions
from bridge.mapping import Documents, Program
from bridge.models import LtiPlatform
from bridge.views import lti as door
from connectors import ConnectorError, lti
from lrs import db

blueprint = Blueprint("lti_pages", __name__, template_folder="templates", url_prefix="/lti/s/<number>")

PEOPLE = 200
"""On one page of a course."""
_OPEN = frozenset({"lti_pages.open_window"})
"""Endpoints that a ticket opens instead of a session's cookie."""


@blueprint.before_request
def require() -> ResponseReturnValue | None:
    """Refuse whoever has no session, or another one's."""
    number = (request.view_args or {}).get("number", "")
    if request.endpoint in _OPEN:
        return None
    row = sessions.find(db.session, number, request.cookies.get(sessions.COOKIE, ""), now=_now())
    if row is None:
        return render_template("lti_ended.html"), 401
    g.launched = row
    g.frame_origins = platforms.origins(_platform())
    return None


@blueprint.get("/")
def home(number: str) -> ResponseReturnValue:
    """Show a learner themselves, and whoever teaches the course its people."""
    if g.launched.launch.get("deep_linking"):
        return _links_form()
    if g.launched.role == lti.Role.LEARNER:
        return _standings(None)
    wanted = request.args.get("program")
    current, problem = _current(), _bring()
    found = sessions.programs(g.launched, current)
    if wanted in {program.name for program in found}:
        return redirect(url_for("lti_pages.group", number=number, name=wanted))
    if len(found) == 1 and problem is None:
        return redirect(url_for("lti_pages.group", number=number, name=found[0].name))
    cards = [(program, len(sessions.people(db.session, g.launched, program))) for program in found]
    return render_template("lti_home.html", cards=cards, problem=problem, row=g.launched)


@blueprint.get("/me")
def me(number: str) -> ResponseReturnValue:  # noqa: ARG001 - stands in the address
    """Show somebody their own record, whatever else they may see."""
    return _standings(None)


@blueprint.get("/programs/<name>")
def group(number: str, name: str) -> ResponseReturnValue:  # noqa: ARG001 - as above
    """Show who needs reinforcement in a program."""
    current, problem = _current(), _bring()
    program = next((one for one in sessions.programs(g.launched, current) if one.name == name), None)
    if program is None:
        abort(404)
    seen = sessions.people(db.session, g.launched, program)
    found = progress.of_people(db.session, program, seen, now=_now())
    start = request.args.get("from", 0, type=int)
    start = start if 0 <= start < len(found.people) else 0
    return render_template(
        "lti_group.html",
        group=found,
        people=found.people[start : start + PEOPLE],
        start=start,
        following=start + PEOPLE if len(found.people) > start + PEOPLE else None,
        problem=problem,
        row=g.launched,
    )


@blueprint.get("/learners/<int:learner>")
def learner(number: str, learner: int) -> ResponseReturnValue:  # noqa: ARG001 - as above
    """Show how somebody stands whom the reader may see, in the programs that the reader comes for."""
    current, _ = _current(), _bring()
    if learner > 2**62 or not sessions.may_see(db.session, g.launched, current, learner):
        abort(404)
    return _standings(learner)


@blueprint.post("/links")
def links(number: str) -> ResponseReturnValue:  # noqa: ARG001 - as above
    """Answer the platform with the links that a teacher chose."""
    settings = g.launched.launch.get("deep_linking")
    choices = _choices()
    chosen = [(title, address) for value, title, address in choices if value in request.form.getlist("link")]
    if not settings or not chosen:
        abort(404)
    platform = _platform()
    address, message = lti.deep_link_answer(
        platforms.wire(db.session, platform),
        keys.signing(db.session, context.tokens()),
        g.launched.deployment_id,
        settings,
        chosen,
    )
    sessions.end(db.session, g.launched)  # a request for links is answered once
    db.session.commit()
    g.sends_to = platforms.origin(address)
    return render_template("lti_links_answer.html", address=address, message=message, title=platform.title)


@blueprint.post("/open")
def open_window(number: str) -> ResponseReturnValue:
    """Open a session in a window of its own, by a ticket that is good once."""
    started = sessions.redeem(db.session, number, request.form.get("ticket", ""), now=_now())
    if started is None:
        return render_template("lti_ended.html"), 401
    db.session.commit()
    response = redirect(url_for("lti_pages.home", number=number, program=request.form.get("program") or None), 303)
    door.set_session_cookie(response, started)
    return response


@blueprint.errorhandler(404)
def missing(_: Exception) -> tuple[str, int]:
    """Say no more of what may not be seen than of what is not there."""
    return render_template("lti_missing.html"), 404


@blueprint.errorhandler(ConnectorError)
def refuse(error: ConnectorError) -> tuple[str, int]:
    """Say what cannot be done now."""
    db.session.rollback()
    return render_template("lti_refused.html", text=str(error)), 503


@blueprint.after_request
def harden(response: Response) -> Response:
    """Let the platform alone show these pages in a frame."""
    return door.frame_in(response, g.get("frame_origins"), sends_to=g.get("sends_to"))


def _standings(whose: int | None) -> ResponseReturnValue:
    """Show a learner: the reader, or somebody whom the reader may see, and then in the reader's programs alone."""
    current = _current()
    if whose is None:
        person = sessions.learner(db.session, g.launched)
        if person is None:
            return render_template("lti_unknown.html", row=g.launched), 404
        found = progress.of_learner(db.session, current, person.id, now=_now())
        name = person.name or g.launched.name
    else:
        mine = {program.name for program in sessions.programs(g.launched, current)}
        everything = progress.of_learner(db.session, current, whose, now=_now())
        found = [one for one in everything if one.program.name in mine]
        name = found[0].name if found else None
    return render_template(
        "lti_learner.html",
        found=found,
        name=name,
        own=whose is None,
        row=g.launched,
        caveat=reports.CAVEAT,
    )


def _links_form() -> ResponseReturnValue:
    return render_template("lti_links.html", choices=_choices(), row=g.launched)


def _choices() -> list[tuple[str, str, str]]:
    """Give (value, title, address) of what can be linked to."""
    launch = door.tool().launch
    own = ("own", "How I am doing", launch)
    return [own, *((one.name, one.title, f"{launch}?program={one.name}") for one in _programs())]


def _programs() -> list[Program]:
    return sessions.programs(g.launched, _current())


def _bring() -> str | None:
    problem = rosters.bring(db.session, g.launched, context.tokens(), now=_now())
    db.session.commit()
    return problem


def _platform() -> LtiPlatform:
    return platforms.of_session(db.session, g.launched)


def _current() -> Documents:
    found = documents.current(db.session)
    if found is None:
        abort(404)
    return found


def _now() -> datetime:
    return datetime.now(UTC)
