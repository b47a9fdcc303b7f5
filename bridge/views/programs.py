"""`/api/v1/programs`: programs as contracts, editing and launching them, their impact, and what figures are made of."""

from typing import Any

import marshmallow
from flask import Blueprint, Response, g, request
from marshmallow import validate

from bridge import context, decisions, edits, impacts, jobs, narrowing, programs, provenance
from bridge.errors import NotFound
from bridge.mapping import Documents, json_schema
from bridge.views import answers, api, seen
from lrs import db

blueprint = Blueprint("programs", __name__, url_prefix=f"{api.VERSION}/programs")


class FigureQuery(marshmallow.Schema):
    """Which figure is asked for; without one all of them."""

    figure = marshmallow.fields.String()


class LaunchBody(marshmallow.Schema):
    """Why it is launched anew, if it is."""

    because = marshmallow.fields.String(
        allow_none=True,
        validate=[validate.Length(1, decisions.MAX_REASON), validate.ContainsNoneOf("\0", error="No NUL.")],
    )


_DOCUMENT = {key: value for key, value in json_schema.of_kind("program", {}).items() if key != "$schema"}


@blueprint.get("")
@api.operation("List the programs with how far they are.", answers=answers.Programs)
@seen.narrowed
def list_programs() -> Response:
    """Answer all programs with how far they are."""
    api.query()
    current = seen.in_force()
    return api.answer({"items": [_told(current, name) for name in current.programs]})


@blueprint.get("/<program>")
@api.operation(
    "Show a program: what is open, its document, what was agreed, and what became of it.",
    answers=answers.Program,
    errors=[404],
)
@seen.narrowed
def show_program(program: str) -> Response:
    """Answer a program: what is open, the document in force, what was agreed, and what became of it."""
    api.query()
    return api.answer(_shown(program))


@blueprint.put("/<program>")
@api.operation(
    "Make the program what the body says, in place of the file that says it.",
    body=_DOCUMENT,
    answers=answers.ChangedProgram,
    errors=[404],
)
def put_program(program: str) -> Response:
    """Make the program what the body says, in place of the file that says it, if one does."""
    sent = api.document()
    try:
        edits.put(db.session, context.settings().folders, program, sent, by=_author())
    except edits.Refused as error:
        raise api.Malformed(str(error), [_place(fault) for fault in error.faults]) from error
    return _loaded(program)


@blueprint.delete("/<program>")
@api.operation("Take an edit back: the files hold again.", answers=answers.ChangedProgram, errors=[404, 409])
def take_back_program(program: str) -> Response:
    """Take an edit back: the files hold again. What was agreed at a launch stays."""
    try:
        edits.take_back(db.session, context.settings().folders, program)
    except edits.Refused as error:
        raise api.Conflict(str(error), [_place(fault) for fault in error.faults]) from error
    return _loaded(program)


@blueprint.post("/<program>/launch")
@api.operation("Freeze the contract as it is now.", body=LaunchBody, answers=answers.Program, errors=[404, 409])
def launch_program(program: str) -> Response:
    """Freeze the contract as it is now; the body may be left out."""
    sent = api.body() if request.content_length else {}
    try:
        programs.launch(db.session, seen.in_force(), program, by=_author(), because=sent.get("because"))
    except programs.NeedsAnalysis as error:
        db.session.commit()  # the attempt is kept
        places = [
            {"detail": f"{gap.text} {gap.remedy}", "pointer": "".join(f"/{step}" for step in gap.path)}
            for gap in error.gaps
        ]
        raise api.Conflict(f"The program {program!r} needs analysis before it can be launched.", places) from error
    except programs.AlreadyLaunched as error:
        raise api.Conflict(str(error)) from error
    db.session.commit()
    return api.answer(_shown(program))


@blueprint.get("/<program>/impact")
@api.operation("Show the newest estimate of what a program changed.", answers=answers.Impact, errors=[404])
@seen.narrowed
def show_impact(program: str) -> Response:
    """Answer the newest estimate of what a program changed, as `lrs-bridge impact NAME --json` prints it."""
    api.query()
    programs.find(seen.in_force(), program)
    if program in narrowing.with_few_others(db.session, seen.current()):
        raise api.Closed(narrowing.TOO_FEW_OTHERS)
    found = impacts.newest(db.session, program)
    if found is None:
        raise NotFound(
            f"Nothing has been estimated of the program {program!r} yet; once it is launched, it is every hour."
        )
    return api.answer(impacts.told(found))


def _loaded(name: str) -> Response:
    db.session.commit()
    jobs.load_documents()
    current = seen.in_force()
    return api.answer(_shown(name) if name in current.programs else {"name": name, "state": "not there any more"})


def _shown(name: str) -> dict[str, Any]:
    current = seen.in_force()
    told = _told(current, name)
    written = next(one for one in current.written if (one.kind, one.name) == ("program", name))
    launch = programs.launched(db.session, name)
    return told | {
        "document": written.data,
        "agreed": launch.event.contract if launch else None,
        # Who was drawn to go first is in the details.
        "history": [one | ({"details": {}} if seen.current() else {}) for one in programs.history(db.session, name)],
    }


def _told(current: Documents, name: str) -> dict[str, Any]:
    return programs.told(db.session, current, name) | {"edited": edits.told(edits.find(db.session, name))}


def _author() -> str:
    return f"{g.grant.name} ({g.grant.key})"


def _place(fault: edits.Fault) -> dict[str, str]:
    told = {"detail": fault.detail}
    return told if fault.pointer is None else told | {"pointer": fault.pointer}


@blueprint.get("/<program>/learners/<path:learner>/provenance")
@api.operation(
    "Say what each figure of a learner's record is made of.",
    query=FigureQuery,
    answers=answers.Provenance,
    errors=[404],
)
@seen.narrowed
def show_provenance(program: str, learner: str) -> Response:
    """Answer what each figure of a learner's record is made of."""
    asked = api.query()
    found = provenance.of_record(
        db.session, seen.in_force(), program, learner, asked.get("figure"), seen=seen.current()
    )
    return api.answer(found.told())
