"""The document resources (xAPI 1.0.3, Communication 2.2): activities/state, activities/profile and agents/profile."""

from functools import partial

from flask import Blueprint, Response, g, request

from lrs import documents
from lrs.database import db
from lrs.errors import Conflict
from lrs.views import bodies, query, tagged
from lrs.xapi import documents as rules
from lrs.xapi.documents import Preconditions, Resource


def blueprints() -> list[Blueprint]:
    """Make a blueprint for each of the three."""
    return [_blueprint(resource) for resource in rules.RESOURCES]


def _blueprint(resource: Resource) -> Blueprint:
    blueprint = Blueprint(resource.name, __name__, url_prefix=resource.path)
    for method, answer in {"GET": _get, "PUT": _put, "POST": _post, "DELETE": _delete}.items():
        blueprint.add_url_rule("", method.lower(), partial(answer, resource), methods=[method])
    blueprint.register_error_handler(Conflict, _explain)
    return blueprint


def _get(resource: Resource) -> Response:
    """Answer one document as it was sent, or the ids of a context's documents."""
    asked = rules.asked_to_read(resource, query.parameters())
    if asked.document_id is None:
        found = documents.ids(db.session, asked.context, since=asked.since)
        return tagged.json(found.ids, updated=found.updated)
    document = documents.get(db.session, asked.context, asked.document_id)
    response = tagged.answer(
        document.content,
        document.content_type or "application/octet-stream",
        etag=document.etag,
        updated=document.updated,
    )
    # Whoever may write documents chooses what a browser would make of them, on the host of our own pages.
    response.headers["X-Content-Type-Options"] = "nosniff"
    response.headers["Content-Security-Policy"] = "sandbox"
    return response


def _put(resource: Resource) -> Response:
    """Store a document, or replace it."""
    asked = rules.asked_to_write(resource, query.parameters())
    content = _content()
    documents.put(
        db.session,
        asked.context,
        asked.document_id or "",
        content,
        given=_preconditions(),
        version=g.version,
        lenient=g.grant.lenient,
    )
    db.session.commit()
    return Response(status=204)


def _post(resource: Resource) -> Response:
    """Store a document, or merge it into the one that is there."""
    asked = rules.asked_to_write(resource, query.parameters())
    documents.post(db.session, asked.context, asked.document_id or "", _content(), given=_preconditions())
    db.session.commit()
    return Response(status=204)


def _delete(resource: Resource) -> Response:
    """Delete a document; all state of a context when no id is given."""
    asked = rules.asked_to_delete(resource, query.parameters())
    if asked.document_id is None:
        documents.delete_all(db.session, asked.context, given=_preconditions())
    else:
        documents.delete(db.session, asked.context, asked.document_id, given=_preconditions())
    db.session.commit()
    return Response(status=204)


def _content() -> tuple[str | None, bytes]:
    rules.check_content_type(request.content_type)
    return request.content_type, bodies.read()


def _preconditions() -> Preconditions:
    return rules.read_preconditions(request.headers.get("If-Match"), request.headers.get("If-None-Match"))


def _explain(err: Conflict) -> Response:
    """Answer a PUT without preconditions on what is there: in plain text, what to do (3.1)."""
    db.session.rollback()
    remedy = err.rule.remedy if err.rule else ""
    return Response(f"{err.error} {remedy}\n", err.status, content_type="text/plain; charset=utf-8")
