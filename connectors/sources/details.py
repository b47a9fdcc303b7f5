"""What a list of records leaves out and the system tells by ids: histories, cycles. Asked for page by page.

One request names up to `size` records, or one where the system takes no list (`size: 1`). What comes is put into each
record under a name of our own, so that it is versioned, compared and mapped with it.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from marshmallow import ValidationError, fields, post_load, validate, validates_schema

from connectors import http
from connectors.documents import StrictSchema, Text, say
from connectors.errors import SourceBroken
from connectors.sources.asking import Ask, DetailRequestSchema, Template, fill
from connectors.sources.choices import Block, Choice
from connectors.sources.paginators import PAGINATORS, Answer, Pager, Position, SingleSchema
from connectors.sources.paths import PathField, Steps, find, shown

MAX_PAGES = 1000
"""Of one request for details: more is a system that goes in circles."""


@dataclass(frozen=True, slots=True)
class Details:
    """One thing that is asked for by ids."""

    name: str
    """Where it is put in the record."""
    request: Template
    each: Any
    """How one id is written in the list {ids}; {id} is the id."""
    size: int
    page: Pager
    records: Steps
    key: Steps
    """Names the record that an entry belongs to."""
    take: Steps
    """What of an entry is put into the record; no steps: the entry as a whole."""


def added(
    details: Iterable[Details], records: list[Any], key: Steps, base_url: str, answer: Callable[[Ask], Answer]
) -> list[Any]:
    """Give the records with the details of each; one that the system tells nothing of stays as it is."""
    for one in details:
        records = _added(one, records, key, base_url, answer)
    return records


def _added(
    details: Details, records: list[Any], key: Steps, base_url: str, answer: Callable[[Ask], Answer]
) -> list[Any]:
    ids = list(dict.fromkeys(str(found) for record in records if (found := _id(record, key)) is not None))
    told: dict[str, Any] = {}
    for begin in range(0, len(ids), details.size):
        some = [fill(details.each, {"id": one}) for one in ids[begin : begin + details.size]]
        ask = details.request.ask(base_url, {"ids": some})
        for entry in _entries(details, ask, answer):
            _put(told, str(find(entry, details.key)), find(entry, details.take))
    return [_with(record, details.name, told, key) for record in records]


def _id(record: Any, key: Steps) -> Any:  # noqa: ANN401
    found = find(record, key)
    return None if isinstance(found, (dict, list, bool)) else found


def _with(record: Any, name: str, told: dict[str, Any], key: Steps) -> Any:  # noqa: ANN401
    found = str(_id(record, key))
    return {**record, name: told[found]} if found in told else record


def _put(told: dict[str, Any], key: str, value: Any) -> None:  # noqa: ANN401
    """Keep what was told; lists of one record that came on several pages are put together."""
    if isinstance(value, list) and isinstance(told.get(key), list):
        told[key] += value
    else:
        told[key] = value


def _entries(details: Details, ask: Ask, answer: Callable[[Ask], Answer]) -> Iterator[Any]:
    position: Position | None = {}
    for _ in range(MAX_PAGES):
        got = answer(details.page.place(ask, position or {}))
        entries = find(got.body, details.records)
        if not isinstance(entries, list):
            where = shown(details.records) or "its top"
            raise SourceBroken(f"{http.shown(got.url)} gives no list at {where!r}. Correct `records` of `details`.")
        yield from entries
        position = details.page.next(position or {}, got, len(entries))
        if position is None:
            return
    raise SourceBroken(f"{http.shown(ask.url)} goes on after {MAX_PAGES} pages. Correct `page` of `details`.")


class DetailsSchema(StrictSchema):
    """`{as: history, request: {..., body: {ids: "{ids}"}}, size: 50, records: results, key: id}`."""

    name = Text(required=True, data_key="as")
    request = Block(DetailRequestSchema, required=True)
    each = fields.Raw(load_default="{id}")
    size = fields.Integer(
        strict=True,
        load_default=100,
        validate=validate.Range(min=1, error=say("This is no number of records.", "Write 1 or more.")),
        error_messages={"invalid": say("This is not a whole number.", "Write 1 or more.")},
    )
    page = Choice(PAGINATORS, load_default=None)
    records = PathField(load_default=())
    key = PathField(required=True)
    take = PathField(load_default=())

    @validates_schema
    def check_slot(self, data: dict[str, Any], **_: object) -> None:
        """Refuse a request that asks for none in particular."""
        if data["request"].slots != {"ids"}:
            what = "Details are asked for by the ids of records, and by nothing else."
            raise ValidationError(say(what, 'Put "{ids}" into the body or the parameters.'), "request")

    @post_load
    def make(self, data: dict[str, Any], **_: object) -> Details:
        """Make it; without `page` there is one answer."""
        page = data["page"] or SingleSchema().load({"type": "single"})
        return Details(**{**data, "page": page, "records": tuple(data["records"]), "take": tuple(data["take"])})
