"""`/api/v1/learners` and what belongs to it: who is who, who waits, and changing it."""

from datetime import UTC, date, datetime
from typing import Any

import marshmallow
from flask import Blueprint, Response, g, request
from marshmallow import validate

from bridge import decisions, jobs, people
from bridge.bells import ring
from bridge.decisions import Author
from bridge.models import IdentityDecision
from bridge.views import api
from bridge.views.mappings import in_force
from lrs import db

MOST_ALIASES = 1_000
"""In one split."""

blueprint = Blueprint("people", __name__, url_prefix=api.VERSION)


class _Text(marshmallow.fields.String):
    """A text that the database can hold."""

    def __init__(self, **settings: Any) -> None:  # noqa: ANN401 - as marshmallow has them
        holdable = validate.ContainsNoneOf("\0", error="A NUL character cannot be stored.")
        super().__init__(validate=[validate.Length(1, decisions.MAX_REASON), holdable], **settings)


class MergeBody(marshmallow.Schema):
    """Two learners, each by key or alias; the first one's key is kept."""

    keep = _Text(required=True)
    other = _Text(required=True)
    because = _Text(allow_none=True)


class SplitBody(marshmallow.Schema):
    """Aliases, and whose they are: without `to` a new learner's."""

    aliases = marshmallow.fields.List(_Text(), required=True, validate=validate.Length(1, MOST_ALIASES))
    to = _Text(allow_none=True)
    because = _Text(allow_none=True)


class UndoBody(marshmallow.Schema):
    """Why, if somebody says."""

    because = _Text(allow_none=True)


class DecisionsQuery(api.PageQuery):
    """A list of decisions: all, or those about a learner by key or alias."""

    learner = marshmallow.fields.String()


@blueprint.get("/learners")
def list_learners() -> Response:
    """Answer a page of learners, by key."""
    asked = api.page(api.query(api.PageQuery()), fits=_is_key)
    found = people.page(db.session, after=asked.after, limit=asked.limit + 1)
    return api.answer_page(found, asked, row=lambda row: dict(row._mapping), position=lambda row: row.key)  # noqa: SLF001 - SQLAlchemy's own name for it


@blueprint.get("/learners/<path:word>")
def show_learner(word: str) -> Response:
    """Answer a learner by key or alias: aliases with their rules, attributes with their periods, decisions."""
    learner = people.find(db.session, word)
    made = decisions.history(db.session, learner.key)
    return api.answer(people.told(db.session, learner) | {"history": [decisions.told(one) for one in made]})


@blueprint.get("/unmatched")
def list_unmatched() -> Response:
    """Answer a page of aliases that lead to nobody, those with the most waiting facts first."""
    asked = api.page(api.query(api.PageQuery()), fits=_is_waiting)
    after = None if asked.after is None else tuple(asked.after)
    found = people.unmatched(db.session, after=after, limit=asked.limit + 1)
    return api.answer_page(
        found,
        asked,
        row=lambda row: {"alias": row.key, "name": row.name, "rule": row.rule, "facts": row.facts},
        position=lambda row: [row.facts, row.key],
    )


@blueprint.get("/suggestions")
def list_suggestions() -> Response:
    """Answer whom an unmatched alias might be, by name alone: for a person to decide."""
    api.query(marshmallow.Schema())
    found = people.suggestions(db.session)
    return api.answer({"items": [people.told_suggestion(one) for one in found]})


@blueprint.get("/decisions")
def list_decisions() -> Response:
    """Answer a page of what people decided, the newest first, with what was undone."""
    query = api.query(DecisionsQuery())
    asked = api.page(query, fits=_is_number)
    found = decisions.history(db.session, query.get("learner"), after=asked.after, limit=asked.limit + 1)
    return api.answer_page(found, asked, row=decisions.told, position=lambda one: one.id)


@blueprint.post("/learners/merge")
def merge() -> Response:
    """Decide that two learners are one."""
    sent = api.body(MergeBody())
    identity, author = in_force().identity, _author(sent)
    return _decided(decisions.merge(db.session, identity, sent["keep"], sent["other"], author=author, today=_today()))


@blueprint.post("/learners/split")
def split() -> Response:
    """Decide that aliases are another learner's, or a new one's."""
    sent = api.body(SplitBody())
    identity, author = in_force().identity, _author(sent)
    return _decided(
        decisions.split(db.session, identity, sent["aliases"], to=sent.get("to"), author=author, today=_today())
    )


@blueprint.post("/decisions/<int:number>/undo")
def undo(number: int) -> Response:
    """Take a decision back; the body may be left out."""
    sent = api.body(UndoBody()) if request.content_length else {}
    identity, author = in_force().identity, _author(sent)
    return _decided(decisions.undo(db.session, identity, number, author=author, today=_today()))


def _decided(decision: IdentityDecision) -> Response:
    content = decisions.told(decision)
    db.session.commit()
    ring("facts", jobs.build_records)
    return api.answer(content)


def _author(sent: dict[str, Any]) -> Author:
    return Author(f"{g.grant.name} ({g.grant.key})", sent.get("because"))


def _is_key(position: object) -> bool:
    return isinstance(position, str) and "\0" not in position


def _is_waiting(position: object) -> bool:
    match position:
        case [facts, key]:
            return _is_number(facts) and _is_key(key)
    return False


def _is_number(position: object) -> bool:
    return type(position) is int and abs(position) < 2**63


def _today() -> date:
    return datetime.now(UTC).date()
