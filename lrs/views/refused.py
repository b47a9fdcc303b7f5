"""What was refused, seen and replayed by its sender; beyond the specification.

A credential with the scope `all` sees that of every credential, one with `statements/write` its own. Lists come in
pages of 100, oldest first, with `more` as the statements resource has it: a relative path, empty at the end.
"""

import base64
from typing import Any

from flask import Blueprint, Response, current_app, g, jsonify, request, url_for

from lrs import refused, repaired, settings
from lrs.credentials import Grant
from lrs.database import db
from lrs.errors import Conflict, Invalid, Rule
from lrs.events import statements_stored
from lrs.refused import Summary
from lrs.xapi import scopes

_QUERY = Rule("the parameters are after (a number) and waiting (true or false)", None, "Correct or drop them.")

blueprint = Blueprint("refused", __name__, url_prefix="/refused")
repaired_blueprint = Blueprint("repaired", __name__, url_prefix="/repaired")


@blueprint.get("")
def index() -> Response:
    """Answer a page of refused requests, without their bodies."""
    after, waiting = _page()
    rows = refused.find(db.session, of=_whose(), after=after, waiting=waiting)
    more = ""
    if len(rows) == refused.PAGE:
        more = url_for(".index", after=rows[-1].id, waiting="true" if waiting else None)
    return jsonify({"refused": [_told(row) for row in rows], "more": more})


@blueprint.get("/<int:number>")
def show(number: int) -> Response:
    """Answer one refused request, its body as text or, when it is none, in base64."""
    row, body = refused.get(db.session, number, of=_whose())
    try:
        return jsonify(_told(row) | {"body": body.decode()})
    except UnicodeDecodeError:
        return jsonify(_told(row) | {"body_base64": base64.b64encode(body).decode()})


@blueprint.post("/<int:number>")
def replay(number: int) -> Response:
    """Store it as its credential now stands; answer the ids, or what is still wrong."""
    try:
        known = settings.current()
        ids = refused.replay(db.session, number, base_url=known.base_url, files=known.files, of=_whose())
    except (Invalid, Conflict) as err:
        db.session.rollback()
        refused.note(db.session, number, err)
        db.session.commit()
        raise
    db.session.commit()
    # The app itself: receivers are registered for it, not for the proxy.
    statements_stored.send(current_app._get_current_object(), count=len(ids))  # type: ignore[attr-defined]  # noqa: SLF001
    return jsonify(ids)


@blueprint.delete("/<int:number>")
def drop(number: int) -> Response:
    """Forget it."""
    refused.drop(db.session, number, of=_whose())
    db.session.commit()
    return Response(status=204)


@repaired_blueprint.get("/<uuid:statement_id>")
def show_repairs(statement_id: Any) -> Response:  # noqa: ANN401  a UUID, made by the router
    """Answer what a statement was before it was repaired, and the repairs."""
    repair = repaired.find(db.session, str(statement_id), by=_whose())
    return jsonify({"id": str(statement_id), "original": repair.original, "repairs": repair.repairs})


def _whose() -> int | None:
    grant: Grant = g.grant
    return None if grant.allows(scopes.ALL) else grant.id


def _page() -> tuple[int, bool]:
    asked = request.args.to_dict()
    after, waiting = asked.pop("after", "0"), asked.pop("waiting", "false")
    if asked or not (after.isdecimal() and after.isascii() and len(after) < 19) or waiting not in {"true", "false"}:
        raise Invalid("A parameter is wrong.", _QUERY, pointer=next(iter(asked), "after"))
    return int(after), waiting == "true"


def _told(row: Summary) -> dict[str, Any]:
    instants = {
        name: value and value.isoformat()
        for name, value in row._asdict().items()
        if name in {"received_at", "last_received_at", "replayed_at"}
    }
    return row._asdict() | instants
