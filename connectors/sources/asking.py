"""What is asked of a system: a declared request with slots, and what fills them.

A slot is a name in braces. A text that is nothing but a slot becomes the slot's value with its type (`{low}` as a
number stays a number); within a longer text it is written out. There is no other template language, on purpose.
"""

import json
import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar
from urllib.parse import urlencode, urljoin

from marshmallow import ValidationError, fields, post_load, validate, validates_schema

from connectors.documents import StrictSchema, Text, nearest, say
from connectors.errors import SourceBroken
from connectors.sources.codecs import ENCODINGS
from connectors.sources.paths import Steps, put

SLOTS = ("low", "high", "low_id")
"""Begin of the window or place of the last row; end of the window; id of the last row, with the page type `keyset`."""
_SLOT = re.compile(r"\{([A-Za-z_][A-Za-z0-9_.]*)\}")
_HARMLESS = re.compile(r"[A-Za-z0-9_:.@+ -]*")
"""What may be written into the middle of a text, which may be a query in a language with quotes of its own."""


@dataclass(frozen=True, slots=True)
class Ask:
    """One request, ready to be sent but for its signature."""

    method: str
    url: str
    params: Mapping[str, Any]
    body: Mapping[str, Any] | None
    headers: Mapping[str, str]

    @property
    def address(self) -> str:
        """The address with its parameters; a list gives its parameter several times, None leaves it out."""
        query = urlencode({name: _sent(value) for name, value in self.params.items() if value is not None}, doseq=True)
        return f"{self.url}{'&' if '?' in self.url else '?'}{query}" if query else self.url

    @property
    def content(self) -> bytes | None:
        """The body as it is sent."""
        return None if self.body is None else json.dumps(self.body, ensure_ascii=False).encode()

    def with_param(self, name: str, value: object) -> "Ask":
        """Give it with a parameter set."""
        return replace(self, params={**self.params, name: value})

    def with_body(self, steps: Steps, value: object) -> "Ask":
        """Give it with a value set in its body."""
        body = json.loads(self.content or b"{}")
        put(body, steps, value)
        return replace(self, body=body)

    def with_url(self, url: str) -> "Ask":
        """Give it for another address, which carries all parameters."""
        return replace(self, url=urljoin(self.url, url), params={})


@dataclass(frozen=True, slots=True)
class Template:
    """A declared request."""

    method: str
    path: str
    params: Mapping[str, Any]
    body: Mapping[str, Any] | None
    headers: Mapping[str, str]

    @property
    def slots(self) -> set[str]:
        """The slots that it has."""
        return {name for part in (self.params, self.body) for name in slots_in(part)}

    def ask(self, base_url: str, slots: Mapping[str, Any], *, without: Collection[str] = ()) -> Ask:
        """Fill the slots; parameters and body keys that hold one of `without` are left out."""
        return Ask(
            self.method,
            base_url.rstrip("/") + "/" + self.path.lstrip("/"),
            fill({name: value for name, value in self.params.items() if not set(slots_in(value)) & {*without}}, slots),
            fill(self.body, slots),
            self.headers,
        )


def slots_in(value: Any) -> Iterator[str]:  # noqa: ANN401
    """Name the slots anywhere in a value."""
    if isinstance(value, str):
        yield from _SLOT.findall(value)
    elif isinstance(value, Mapping):
        for inner in value.values():
            yield from slots_in(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from slots_in(inner)


def fill(value: Any, slots: Mapping[str, Any]) -> Any:  # noqa: ANN401
    """Give a value with its slots filled; slots that are not given stay as they are written."""
    if isinstance(value, str):
        whole = _SLOT.fullmatch(value)
        if whole and whole[1] in slots:
            return slots[whole[1]]
        return _SLOT.sub(lambda found: _written(found, slots), value)
    if isinstance(value, Mapping):
        return {name: fill(inner, slots) for name, inner in value.items()}
    if isinstance(value, list):
        return [fill(inner, slots) for inner in value]
    return value


def is_harmless(text: str) -> bool:
    """Tell whether a value may be written into the middle of a text, which may be a query with quotes of its own."""
    return _HARMLESS.fullmatch(text) is not None


def _written(found: re.Match[str], slots: Mapping[str, Any]) -> str:
    if found[1] not in slots:
        return found[0]
    text = str(slots[found[1]])
    if found[1] in SLOTS and not is_harmless(text):
        raise SourceBroken(f"The value {text[:60]!r} for {found[0]} could change the query that it is written into.")
    return text


def _sent(value: Any) -> Any:  # noqa: ANN401
    """Write booleans as JSON does, not as Python, and what an encoding is declared for by that."""
    match value:
        case Mapping():
            ((name, inner),) = value.items()
            return ENCODINGS[name](inner)
        case bool():
            return str(value).lower()
        case list():
            return [_sent(inner) for inner in value]
    return value


class _Parameters(fields.Field[dict[str, Any]]):
    """Parameters, or a JSON body: texts, numbers, booleans, lists and blocks."""

    json_schema = {"type": "object"}  # noqa: RUF012

    def __init__(self, slots: tuple[str, ...] = SLOTS, **kwargs: Any) -> None:  # noqa: ANN401
        super().__init__(**kwargs)
        self._slots = slots

    def _deserialize(self, value: Any, *_: Any, **__: Any) -> dict[str, Any]:  # noqa: ANN401
        if not isinstance(value, Mapping) or not all(isinstance(name, str) for name in value):
            raise ValidationError(say("This is not a block of names and values.", "Write one line a name."))
        for slot in slots_in(value):
            if slot not in self._slots:
                what = f"There is no slot {{{slot}}}."
                raise ValidationError(say(what, nearest(slot, self._slots)))
        try:
            return dict(json.loads(json.dumps(value, allow_nan=False)))
        except (TypeError, ValueError) as err:
            raise ValidationError(say(f"This cannot be sent: {err}.", "Put times and dates in quotes.")) from err


class Headers(fields.Field[dict[str, str]]):
    """Headers that are no secrets."""

    json_schema = {"type": "object", "additionalProperties": {"type": "string"}}  # noqa: RUF012

    def _deserialize(self, value: Any, *_: Any, **__: Any) -> dict[str, str]:  # noqa: ANN401
        if not isinstance(value, Mapping) or not all(
            isinstance(text, str) and text.isprintable() for pair in value.items() for text in pair
        ):
            raise ValidationError(say("This is not a block of texts.", 'Write it like {Api-Version: "2.16"}.'))
        if "authorization" in {name.lower() for name in value}:
            what = "A secret does not stand in a document, only its name does."
            raise ValidationError({"Authorization": [say(what, "Use `auth`.")]})
        return dict(value)


class RequestSchema(StrictSchema):
    """`{path: /tickets, params: {updated_since: "{low}"}}`; `method: POST` sends `body` as JSON."""

    IN_PATH: ClassVar[Collection[str]] = ()
    """Slots that the path may have."""

    method = Text(
        load_default="GET",
        validate=validate.OneOf(["GET", "POST"], error=say("We only read.", "Write GET or POST.")),
    )
    path = Text(required=True)
    params = _Parameters(load_default={})
    body = _Parameters(load_default=None)
    headers = Headers(load_default={})

    @validates_schema
    def check_parts(self, data: dict[str, Any], **_: object) -> None:
        """Refuse a path that leads elsewhere, and a body where none is sent."""
        if "://" in data["path"] or data["path"].startswith("//") or {*_SLOT.findall(data["path"])} - {*self.IN_PATH}:
            what = f"{data['path']!r} is not a path below `base_url`."
            raise ValidationError(say(what, "Write it like /tickets; slots go into `params` or `body`."), "path")
        if data["body"] is not None and data["method"] == "GET":
            raise ValidationError(say("A GET has no body.", "Write `method: POST`, or use `params`."), "body")
        for name, value in data["params"].items():
            if isinstance(value, Mapping) and (len(value) != 1 or not set(value) <= set(ENCODINGS)):
                what = "A parameter is a text, a number, or a list of them."
                remedy = f"To send JSON in it, write it below {' or '.join(ENCODINGS)}: {name}: {{json: ...}}."
                raise ValidationError({"params": {name: [say(what, remedy)]}})

    @post_load
    def make(self, data: dict[str, Any], **_: object) -> Template:
        """Make it."""
        return self.template(data)

    def template(self, data: dict[str, Any]) -> Template:
        """Make the request of checked keys."""
        body = {} if data["method"] == "POST" and data["body"] is None else data["body"]
        return Template(data["method"], data["path"], data["params"], body, data["headers"])


class DetailRequestSchema(RequestSchema):
    """`{method: POST, path: /changelog/bulkfetch, body: {issueIdsOrKeys: "{ids}"}}`: a request that names records."""

    params = _Parameters(("ids",), load_default={})
    body = _Parameters(("ids",), load_default=None)


class NamingRequestSchema(RequestSchema):
    """`{path: "/tickets/{id}"}`: a request that names one record."""

    IN_PATH = ("id",)

    params = _Parameters(("id",), load_default={})
    body = _Parameters(("id",), load_default=None)
