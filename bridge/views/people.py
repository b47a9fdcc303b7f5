"""`/api/v1/learners` and what belongs to it: who is who, who waits, and changing it."""

from collections.abc import Collection
from datetime import UTC, date, datetime
from typing import Any

import marshmallow
from flask import Blueprint, Response, g, request
from marshmallow import validate

from bridge import decisions, jobs, narrowing, people
from bridge.bells import ring
from bridge.decisions import Author
from bridge.models import IdentityDecision
from bridge.views import answers, api, seen
from lrs import db

MOST_ALIASES = 1_000
"""In one split."""
_DECIDING = (404, 409)

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
@api.operation("List learners by key.", query=api.PageQuery, answers=answers.Learners)
@seen.narrowed
def list_learners() -> Response:
    """Answer a page of learners, by key."""
    asked = api.page(api.query(), fits=api.is_text)
    found = people.page(db.session, after=asked.after, limit=asked.limit + 1, seen=seen.current())
    shown = _attributes()
    return api.answer_page(
        found,
        asked,
        row=lambda row: {
            "key": row.key,
            "name": row.name,
            "attributes": {name: value for name, value in row.attributes.items() if shown is None or name in shown},
            "aliases": row.aliases,
        },
        position=lambda row: row.key,
    )


@blueprint.get("/learners/<path:word>")
@api.operation(
    "Show a learner by key or alias: aliases, attributes with their periods, and decisions about them.",
    answers=answers.Learner,
    errors=[404],
)
@seen.narrowed
def show_learner(word: str) -> Response:
    """Answer a learner by key or alias: aliases with their rules, attributes with their periods, decisions.

    What people decided names others too, so it is told to those alone who see everything.
    """
    api.query()
    learner = people.find(db.session, word, seen.current())
    made = [] if seen.current() else decisions.history(db.session, learner.key)
    told = people.told(db.session, learner, only=_attributes())
    return api.answer(told | {"history": [decisions.told(one) for one in made]})


@blueprint.get("/unmatched")
@api.operation(
    "List aliases that lead to nobody, those with the most waiting facts first.",
    query=api.PageQuery,
    answers=answers.Unmatched,
)
def list_unmatched() -> Response:
    """Answer a page of aliases that lead to nobody, those with the most waiting facts first."""
    asked = api.page(api.query(), fits=_is_waiting)
    after = None if asked.after is None else tuple(asked.after)
    found = people.unmatched(db.session, after=after, limit=asked.limit + 1)
    return api.answer_page(
        found,
        asked,
        row=lambda row: {"alias": row.key, "name": row.name, "rule": row.rule, "facts": row.facts},
        position=lambda row: [row.facts, row.key],
    )


@blueprint.get("/suggestions")
@api.operation("List whom an unmatched alias might be, by name alone.", answers=answers.Suggestions)
def list_suggestions() -> Response:
    """Answer whom an unmatched alias might be, by name alone: for a person to decide."""
    api.query()
    found = people.suggestions(db.session)
    return api.answer({"items": [people.told_suggestion(one) for one in found]})


@blueprint.get("/decisions")
@api.operation(
    "List what people decided about who is who, the newest first.",
    query=DecisionsQuery,
    answers=answers.Decisions,
    errors=[404],
)
def list_decisions() -> Response:
    """Answer a page of what people decided, the newest first, with what was undone."""
    query = api.query()
    asked = api.page(query, fits=_is_number)
    found = decisions.history(db.session, query.get("learner"), after=asked.after, limit=asked.limit + 1)
    return api.answer_page(found, asked, row=decisions.told, position=lambda one: one.id)


@blueprint.post("/learners/merge")
@api.operation("Decide that two learners are one.", body=MergeBody, answers=answers.Decision, errors=_DECIDING)
def merge() -> Response:
    """Decide that two learners are one."""
    sent = api.body()
    identity, author = seen.in_force().identity, _author(sent)
    return _decided(decisions.merge(db.session, identity, sent["keep"], sent["other"], author=author, today=_today()))


@blueprint.post("/learners/split")
@api.operation(
    "Decide that aliases are another learner's, or a new one's.",
    body=SplitBody,
    answers=answers.Decision,
    errors=_DECIDING,
)
def split() -> Response:
    """Decide that aliases are another learner's, or a new one's."""
    sent = api.body()
    identity, author = seen.in_force().identity, _author(sent)
    return _decided(
        decisions.split(db.session, identity, sent["aliases"], to=sent.get("to"), author=author, today=_today())
    )


@blueprint.post("/decisions/<int:number>/undo")
@api.operation("Take a decision back.", body=UndoBody, answers=answers.Decision, errors=_DECIDING)
def undo(number: int) -> Response:
    """Take a decision back; the body may be left out."""
    sent = api.body() if request.content_length else {}
    identity, author = seen.in_force().identity, _author(sent)
    return _decided(decisions.undo(db.session, identity, number, author=author, today=_today()))


def _decided(decision: IdentityDecision) -> Response:
    content = decisions.told(decision)
    db.session.commit()
    ring("facts", jobs.build_records)
    return api.answer(content)


def _author(sent: dict[str, Any]) -> Author:
    return Author(f"{g.grant.name} ({g.grant.key})", sent.get("because"))


def _attributes() -> Collection[str] | None:
    """Name the attributes that the caller is shown; None: all.

    Others may name other people, such as a manager.
    """
    return narrowing.attributes(seen.in_force()) if seen.current() else None


def _is_waiting(position: object) -> bool:
    match position:
        case [facts, key]:
            return _is_number(facts) and api.is_text(key)
    return False


def _is_number(position: object) -> bool:
    return type(position) is int and abs(position) < 2**63


def _today() -> date:
    return datetime.now(UTC).date()
