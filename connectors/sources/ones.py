"""Single records, asked for by their id: what a webhook names, as it is now.

An id comes from outside, so it must not lead elsewhere: in the path it is quoted as one step, in the midst of a text it
may hold nothing that a query could understand.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any
from urllib.parse import quote

import requests
from marshmallow import ValidationError, fields, post_load, validate, validates_schema

from connectors import http
from connectors.documents import say
from connectors.errors import SourceBroken, SourceRefused
from connectors.sources import details, items
from connectors.sources.asking import Ask, NamingRequestSchema, Template, is_harmless, slots_in
from connectors.sources.calls import Caller
from connectors.sources.cells import printable
from connectors.sources.columns import stamp_text
from connectors.sources.layouts import MAX_KEY_CHARS
from connectors.sources.paths import PathField, Steps, find, shown
from connectors.sources.rows import Page, Row, RowProblem
from connectors.sources.streams import Stream

NOT_THERE = frozenset({requests.codes.not_found, requests.codes.gone})


@dataclass(frozen=True, slots=True)
class One:
    """How one record is asked for."""

    request: Template
    """With the slot {id}, also in its path."""
    record: Steps
    """Where the record lies in the answer; no steps: the answer is the record."""
    gone: frozenset[int]
    """Statuses that mean that the record was deleted."""

    def ask(self, base_url: str, named: str) -> Ask | None:
        """Give the request for a record; None for an id that could lead elsewhere."""
        within = any("{id}" in text and text != "{id}" for text in _texts([self.request.params, self.request.body]))
        if named in (".", "..") or (within and not is_harmless(named)):
            return None
        path = self.request.path.replace("{id}", quote(named, safe=""))
        return replace(self.request, path=path).ask(base_url, {"id": named})


def fetch(one: One, stream: Stream, caller: Caller, ids: Sequence[str], name: str) -> Page:
    """Give these records as they are now, in the order of their ids; a deletion is given the time of ours."""
    rows: list[Row] = []
    problems: list[RowProblem] = []
    for number, named in enumerate(dict.fromkeys(ids), 1):
        read = _read(one, stream, caller, named, number, name)
        if isinstance(read, RowProblem):
            problems.append(read)
        else:
            rows.append(read)
    return Page(tuple(rows), tuple(problems), None)


def _read(one: One, stream: Stream, caller: Caller, named: str, number: int, name: str) -> Row | RowProblem:
    ask = one.ask(caller.system.base_url, named) if len(named) <= MAX_KEY_CHARS else None
    if ask is None:
        return RowProblem(number, None, f"{printable(named, 60)!r} does not do as an id, so nothing was asked.", "")
    try:
        answer = caller.answer(ask)
    except SourceRefused as err:
        if err.status in one.gone:
            return _deleted(stream, named, number, caller.clock.now())
        if err.status in NOT_THERE:
            remedy = "If such records were deleted, declare it in `one`: `gone: [404]`."
            return RowProblem(number, None, printable(f"The record {named} is not there. {remedy} {err}", 1000), "")
        if err.status == requests.codes.forbidden:
            raise SourceRefused(f"We may not read single records of {name}. {err}", status=err.status) from err
        raise
    record = find(answer.body, one.record)
    if not isinstance(record, dict):
        where = f"no record at {shown(one.record)!r}" if one.record else "no record"
        raise SourceBroken(f"{http.shown(answer.url)} gives {where}. Correct `record` of `one`.")
    (record,) = details.added(stream.details, [record], stream.key[0], caller.system.base_url, caller.answer)
    read = items.read(stream, record, number)
    return read if isinstance(read, RowProblem) else read[0]


def _deleted(stream: Stream, named: str, number: int, now: datetime) -> Row:
    cursor = (stamp_text(now),) if stream.cursor else None
    return Row(named, {}, hashlib.sha256(b"{}").digest(), cursor, number, deleted=True)


def _texts(value: Any) -> list[str]:  # noqa: ANN401
    match value:
        case str():
            return [value]
        case Mapping():
            return [text for inner in value.values() for text in _texts(inner)]
        case list():
            return [text for inner in value for text in _texts(inner)]
    return []


class OneSchema(NamingRequestSchema):
    """`{path: "/tickets/{id}", record: ticket, gone: [404, 410]}`, with all that a request may have."""

    record = PathField(load_default=())
    gone = fields.List(
        fields.Integer(
            strict=True,
            validate=validate.Range(min=400, max=499, error=say("This is no refusal.", "Write it like [404, 410].")),
            error_messages={"invalid": say("This is no status.", "Write it like [404, 410].")},
        ),
        load_default=[],
    )

    @validates_schema
    def check_slot(self, data: dict[str, Any], **_: object) -> None:
        """Refuse a request that names no record."""
        if "id" not in {name for part in (data["path"], data["params"], data["body"]) for name in slots_in(part)}:
            what = "Single records are asked for by their id."
            raise ValidationError(say(what, "Put {id} into the path, the parameters or the body."), "path")

    @post_load
    def make(self, data: dict[str, Any], **_: object) -> One:
        """Make it."""
        return One(self.template(data), tuple(data["record"]), frozenset(data["gone"]))
