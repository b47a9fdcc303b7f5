"""How a system hands out its pages: one schema a way, each of which makes a `Pager`.

A position is JSON that says where to go on; {} is the first page. It is kept in the state, so that a pull that was
broken off goes on where it was.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Protocol

from marshmallow import ValidationError, fields, post_load, validate, validates_schema
from requests.utils import parse_header_links

from connectors.documents import StrictSchema, Text, say
from connectors.errors import SourceBroken
from connectors.sources.asking import Ask
from connectors.sources.choices import Block, YesNo
from connectors.sources.durations import Length
from connectors.sources.paths import PathField, Steps, find, shown

Position = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Answer:
    """What a system answered."""

    url: str
    body: Any
    headers: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Common:
    """What every way to page has."""

    expires: timedelta
    """Older positions are not used: the system may have forgotten, or moved, what they stand for."""
    roll_after: int | None
    """After so many pages the window is begun anew at the last row seen."""
    roll_on: tuple[int, ...]
    """Statuses that mean that the system will not page further: then likewise."""
    keeps: bool
    """The system hands out where the next pull goes on, and decides itself what has changed since."""


class Pager(Protocol):
    """A way to page."""

    common: Common

    def place(self, ask: Ask, position: Position) -> Ask:
        """Give the request for the page at a position."""

    def next(self, position: Position, answer: Answer, count: int) -> Position | None:
        """Give the position after a page of `count` rows; None when it was the last one."""

    def kept(self, answer: Answer) -> Position | None:
        """Give the position from which the next pull goes on, where the system hands one out."""


@dataclass(frozen=True, slots=True)
class Single:
    """Everything is in one answer."""

    common: Common

    def place(self, ask: Ask, _position: Position) -> Ask:
        """There is only one."""
        return ask

    def next(self, _position: Position, _answer: Answer, _count: int) -> Position | None:
        """There is no other."""
        return None

    def kept(self, _answer: Answer) -> Position | None:
        """There is none."""
        return None


@dataclass(frozen=True, slots=True)
class Counted:
    """Pages by number, or by the number of rows before them."""

    common: Common
    param: str | None
    body: Steps | None
    start: int
    by_rows: bool
    more: Steps | None
    short_is_last: int | None
    """A page with fewer rows than this is the last one; None where rows may be missing from any page."""

    def place(self, ask: Ask, position: Position) -> Ask:
        """Set the number."""
        return _set(ask, self.param, self.body, position.get("at", self.start))

    def next(self, position: Position, answer: Answer, count: int) -> Position | None:
        """Count on; the end is an empty page, unless the system says so before."""
        if not count or (self.short_is_last and count < self.short_is_last):
            return None
        if self.more and not find(answer.body, self.more):
            return None
        return {"at": position.get("at", self.start) + (count if self.by_rows else 1)}

    def kept(self, _answer: Answer) -> Position | None:
        """There is none: numbers mean something else tomorrow."""
        return None


@dataclass(frozen=True, slots=True)
class Linked:
    """The address of the next page stands in the answer: in its Link header (RFC 8288), or at a path in its body."""

    common: Common
    path: Steps | None
    """None: in the header."""
    keep: Steps | None
    more: Steps | None = None
    """Where the system says that more comes, for those that name a next page even then."""

    def place(self, ask: Ask, position: Position) -> Ask:
        """Go where the answer said."""
        return ask.with_url(position["url"]) if position else ask

    def next(self, _position: Position, answer: Answer, _count: int) -> Position | None:
        """Read the address."""
        if self.more and not find(answer.body, self.more):
            return None
        if self.path is None:
            links = parse_header_links(answer.headers.get("Link", ""))
            url = next((link["url"] for link in links if link.get("rel") == "next"), None)
        else:
            url = find(answer.body, self.path)
        return self._position(answer, url)

    def kept(self, answer: Answer) -> Position | None:
        """Read the address to begin with next time, as Dataverse's delta link."""
        return self._position(answer, find(answer.body, self.keep)) if self.keep else None

    def _position(self, answer: Answer, url: object) -> Position | None:
        if url is not None and not isinstance(url, str):
            raise SourceBroken(f"{answer.url} names a next page that is no text. Correct `page`.")
        return {"url": Ask("GET", answer.url, {}, None, {}).with_url(url).url} if url else None


@dataclass(frozen=True, slots=True)
class Token:
    """A text that only the system understands leads to the next page."""

    common: Common
    path: Steps
    param: str | None
    body: Steps | None
    more: Steps | None
    end: Steps | None
    keep: Steps | None
    alone: bool
    """With a token, parameters that hold a slot are left out."""

    def place(self, ask: Ask, position: Position) -> Ask:
        """Send the token."""
        return _set(ask, self.param, self.body, position["token"]) if position else ask

    def next(self, _position: Position, answer: Answer, _count: int) -> Position | None:
        """Read the token. An empty page need not be the last one."""
        if (self.end and find(answer.body, self.end)) or (self.more and not find(answer.body, self.more)):
            return None
        return self._position(answer, self.path)

    def kept(self, answer: Answer) -> Position | None:
        """Read the token to begin with next time, as Zendesk's `after_cursor`."""
        return self._position(answer, self.keep) if self.keep else None

    def _position(self, answer: Answer, steps: Steps) -> Position | None:
        token = find(answer.body, steps)
        if isinstance(token, bool) or not isinstance(token, (str, int, type(None))):
            raise SourceBroken(f"The {shown(steps)!r} of {answer.url} is no token. Correct `page`.")
        return None if token in (None, "") else {"token": token}


@dataclass(frozen=True, slots=True)
class Keyset:
    """Every request asks for what comes after the last row, by cursor and id: nothing can slip between two pages."""

    common: Common
    first_id: Any
    """What stands for "before every id"."""
    more: Steps | None = None
    """Where the system says that more comes; without it the end is an empty page."""
    by_id: bool = False
    """Rows come in the order of their ids alone, within a window that stands still until it is read."""

    def place(self, ask: Ask, _position: Position) -> Ask:
        """The runner fills the slots."""
        return ask

    def next(self, position: Position, answer: Answer, count: int) -> Position | None:
        """Go on until nothing comes: pages may be short where rows may not be seen by us."""
        if self.more and not find(answer.body, self.more):
            return None
        return {"page": position.get("page", 0) + 1} if count else None

    def kept(self, _answer: Answer) -> Position | None:
        """There is none: the last row is kept anyway."""
        return None


def _set(ask: Ask, param: str | None, body: Steps | None, value: object) -> Ask:
    if body is not None:
        return ask.with_body(body, value)
    return ask.with_param(str(param), value)


def _whole(least: int, **keys: Any) -> fields.Integer:  # noqa: ANN401
    wrong = say("This is not such a number.", f"Write a whole number from {least}.")
    return fields.Integer(
        strict=True, validate=validate.Range(min=least, error=wrong), error_messages={"invalid": wrong}, **keys
    )


class RollSchema(StrictSchema):
    """`{after_pages: 300, on_status: [400]}`."""

    after_pages = _whole(1, load_default=None)
    on_status = fields.List(_whole(400), load_default=[])


class PageSchema(StrictSchema):
    """The keys of every way to page."""

    EXPIRES = timedelta(days=1)

    type = Text(required=True)
    expires = Length(load_default=None)
    roll = Block(RollSchema, load_default=None)

    def common(self, data: dict[str, Any]) -> Common:
        """Make what every way has."""
        roll = data["roll"] or {"after_pages": None, "on_status": []}
        return Common(
            expires=self.EXPIRES if data["expires"] is None else data["expires"],
            roll_after=roll["after_pages"],
            roll_on=tuple(roll["on_status"]),
            keeps=data.get("keep") is not None,
        )


class SingleSchema(PageSchema):
    """`{type: single}`: everything is in one answer."""

    @post_load
    def make(self, data: dict[str, Any], **_: object) -> Single:
        """Make it."""
        return Single(self.common(data))


class _Placed(PageSchema):
    """Ways that send something: as a parameter, or at a path in the body."""

    param = Text(load_default=None)
    body = PathField(load_default=None)

    @validates_schema
    def check_place(self, data: dict[str, Any], **_: object) -> None:
        """Refuse both places, and none."""
        if (data["param"] is None) == (data["body"] is None):
            raise ValidationError(say("It must be sent in one place.", "Name either `param` or `body`."), "param")


class CountedSchema(_Placed):
    """`{type: page, param: page, start: 1}` and `{type: offset, param: offset}`."""

    EXPIRES = timedelta(hours=1)  # rows move from page to page meanwhile

    start = _whole(0, load_default=None)
    more = PathField(load_default=None)
    short_is_last = _whole(1, load_default=None)

    @post_load
    def make(self, data: dict[str, Any], **_: object) -> Counted:
        """Make it."""
        by_rows = data["type"] == "offset"
        start = data["start"] if data["start"] is not None else (0 if by_rows else 1)
        return Counted(
            self.common(data), data["param"], data["body"], start, by_rows, data["more"], data["short_is_last"]
        )


class LinkHeaderSchema(PageSchema):
    """`{type: link_header}`."""

    @post_load
    def make(self, data: dict[str, Any], **_: object) -> Linked:
        """Make it."""
        return Linked(self.common(data), None, None)


class NextUrlSchema(PageSchema):
    """`{type: next_url, path: links.next}`; `keep` is the path of the address that the next pull begins with."""

    path = PathField(required=True)
    more = PathField(load_default=None)
    keep = PathField(load_default=None)

    @post_load
    def make(self, data: dict[str, Any], **_: object) -> Linked:
        """Make it."""
        return Linked(self.common(data), data["path"], data["keep"], data["more"])


class TokenSchema(_Placed):
    """`{type: token, path: nextPageToken, param: nextPageToken}`."""

    path = PathField(required=True)
    more = PathField(load_default=None)
    end = PathField(load_default=None)
    keep = PathField(load_default=None)
    alone = YesNo()

    @post_load
    def make(self, data: dict[str, Any], **_: object) -> Token:
        """Make it."""
        rest = (data["path"], data["param"], data["body"], data["more"], data["end"], data["keep"], data["alone"])
        return Token(self.common(data), *rest)


class KeysetSchema(PageSchema):
    """`{type: keyset}`: the request has the slots {low} and {low_id}; `by: id` where rows come in the order of ids."""

    first_id = fields.Raw(load_default="")
    more = PathField(load_default=None)
    by = Text(
        load_default="cursor",
        validate=validate.OneOf(["cursor", "id"], error=say("This is no order.", "Write cursor or id.")),
    )

    @validates_schema
    def check_id(self, data: dict[str, Any], **_: object) -> None:
        """Refuse what no id can be."""
        if isinstance(data["first_id"], bool) or not isinstance(data["first_id"], (str, int)):
            raise ValidationError(say("This comes before no id.", 'Write "" or 0.'), "first_id")

    @post_load
    def make(self, data: dict[str, Any], **_: object) -> Keyset:
        """Make it."""
        return Keyset(self.common(data), data["first_id"], data["more"], by_id=data["by"] == "id")


PAGINATORS = {
    "single": SingleSchema,
    "page": CountedSchema,
    "offset": CountedSchema,
    "link_header": LinkHeaderSchema,
    "next_url": NextUrlSchema,
    "token": TokenSchema,
    "keyset": KeysetSchema,
}
"""The ways to page, by the `type` of their blocks."""
