"""A destination that is a Moodle with our plugin `local_lrsbridge`, which stands beside this file in `moodle_plugin`.

Rows go as one JSON text in one form field, for PHP drops fields beyond its limit in silence, and what the plugin says
it took is compared with what was sent.
"""

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import quote_plus

import msgspec
from marshmallow import ValidationError, post_load, validates_schema

from connectors import http, moodle_completions
from connectors.destinations.rows import Answer, Held, Outcome, Row, RowDestinationSchema
from connectors.documents import Document, Text, TextList, say, validate
from connectors.errors import DestinationRefused, DestinationUnavailable
from connectors.lms import Completion
from connectors.moodle import Calls, Site
from connectors.reach import Reach
from connectors.secrets import SecretField, Secrets
from connectors.sources.choices import YesNo

PUSH = "local_lrsbridge_push_rows"
HELD = "local_lrsbridge_held"
RESEND = "local_lrsbridge_resend_failed"
RESENT_AFTER = timedelta(days=30)
"""Events that failed longer ago are left: they have been sent again often enough, or are for a person."""
BATCH = 200
MOST_BYTES = 800_000
"""Of one form, as it is sent: web servers before Moodle commonly take 1 MiB (nginx, client_max_body_size)."""
HELD_PAGE = 1000
_UPDATE = "Its plugin is of another version than this bridge: update the older of the two."
_Form = TypeVar("_Form", bound=msgspec.Struct)


class MoodleSchema(RowDestinationSchema):
    """The keys of a `type: moodle` document."""

    url = Text(required=True)
    site = Text(load_default=None)
    token = SecretField(required=True)
    allow_private = TextList(load_default=[])
    resend = YesNo()

    @validates_schema(skip_on_field_errors=False)
    def check_url(self, data: dict[str, Any], **_: object) -> None:
        """Refuse what we must not call, as far as the name alone says so; the rest is seen when we connect."""
        if not {"url", "allow_private"} <= data.keys():
            return  # what is wrong with them is told
        if fault := http.url_fault(data["url"]) or http.private_fault(data["url"], data["allow_private"]):
            raise ValidationError(say(*fault), "url")

    @post_load
    def trim(self, data: dict[str, Any], **_: object) -> dict[str, Any]:
        """Write addresses as Moodle writes its own: without a slash at the end."""
        url = data["url"].rstrip("/")
        return {**data, "url": url, "site": data["site"] or url}


@dataclass(frozen=True, slots=True)
class Moodle:
    """The site, and what it is sent."""

    name: str
    title: str
    at: Site
    site: str
    feeds: tuple[str, ...]
    programs: tuple[str, ...] | None = None
    batch: int = BATCH
    resends: bool = False
    """Whether its logstore is asked to send again what it could not."""
    reach: Reach = field(default_factory=lambda: Reach(Secrets({})))

    def reaching(self, reach: Reach) -> "Moodle":
        """Give it with secrets and a clock of the caller's."""
        return replace(self, reach=reach)

    def send(self, rows: Sequence[Row]) -> Iterator[Answer]:
        """Hand the rows over, in as many calls as their size asks for; what came back before an error is given.

        Nothing is tried twice in here: who sends knows how long it is worth waiting.
        """
        with Calls(self.at, self.reach, attempts=1) as calls:
            for piece in _pieces(rows):
                yield from self._answers(calls, piece)

    def held(self, feed: str) -> Iterator[Held]:
        """Give what it holds of a feed, as the plugin orders it."""
        after, more = "", True
        with Calls(self.at, self.reach) as calls:
            while more:
                page = self._understood(calls.call(HELD, feed=feed, after=after, limit=HELD_PAGE), _HeldPage)
                yield from (Held(row.key, row.version, row.checksum) for row in page.rows)
                if page.more and (not page.rows or page.rows[-1].key == after):
                    raise DestinationUnavailable(f"{self.at.url} names the same page of {feed} again and again.")
                after, more = page.rows[-1].key if page.rows else after, page.more

    def owns(self, course: str) -> bool:
        """Tell whether the IRI of a course is one of this site."""
        return moodle_completions.course_id(self.site, course) is not None

    def completions(self, course: str) -> Iterator[list[Completion]]:
        """Give what is completed and graded in a course, some people at a time."""
        with Calls(self.at, self.reach) as calls:
            yield from moodle_completions.completions(self.site, calls, course)

    def resend(self, course: str) -> int | None:
        """Let logstore_xapi send again what failed of a course lately; gives how many events, None if not wanted."""
        if not self.resends:
            return None
        since = int((self.reach.clock.now() - RESENT_AFTER).timestamp())
        with Calls(self.at, self.reach) as calls:
            number = moodle_completions.course_id(self.site, course)
            said = self._understood(calls.call(RESEND, courseid=number, since=since), _Resent)
        if not said.installed:
            what = f"{self.at.url} has no logstore_xapi, so nothing can be sent again."
            raise DestinationRefused(f"{what} Install it, or take `resend` out.")
        return said.events

    def _answers(self, calls: Calls, piece: "_Piece") -> Iterator[Answer]:
        said = self._understood(calls.call(PUSH, rows=piece.text), _Pushed)
        left = set(piece.keys)
        for answer in said.answers:
            if answer.key in left:
                left.remove(answer.key)
                yield Answer(answer.key, self._outcome(answer.outcome), answer.message or None)
        if said.received != len(piece.keys) or left:
            taken = f"{self.at.url} says that it got {said.received} of {len(piece.keys)} rows"
            raise DestinationUnavailable(f"{taken} and answered for {len(piece.keys) - len(left)} of them.")

    def _outcome(self, word: str) -> Outcome:
        try:
            return Outcome(word)
        except ValueError as err:
            raise DestinationRefused(f"{self.at.url} answered {word!r} for a row. {_UPDATE}") from err

    def _understood(self, answer: object, form: type[_Form]) -> _Form:
        try:
            return msgspec.convert(answer, form)
        except msgspec.ValidationError as err:
            raise DestinationRefused(f"{self.at.url} answered in a form that we do not know: {err}. {_UPDATE}") from err


class _Said(msgspec.Struct):
    key: str
    outcome: str
    message: str | None = None


class _Pushed(msgspec.Struct):
    received: int
    answers: list[_Said]


class _Resent(msgspec.Struct):
    installed: bool
    events: int


class _HeldRow(msgspec.Struct):
    key: str
    version: int
    checksum: str


class _HeldPage(msgspec.Struct):
    rows: list[_HeldRow]
    more: bool


@dataclass(frozen=True, slots=True)
class _Piece:
    """Rows of one call: their keys, and the JSON text of them all."""

    keys: list[str]
    text: str


def _pieces(rows: Iterable[Row]) -> Iterator[_Piece]:
    """Cut the rows into calls that are small enough; a row that is too large by itself is a call of its own."""
    keys: list[str] = []
    texts: list[str] = []
    size = 0
    for row in rows:
        text = _text(row)
        bytes_sent = len(quote_plus(text))
        if keys and size + bytes_sent > MOST_BYTES:
            yield _Piece(keys, f"[{','.join(texts)}]")
            keys, texts, size = [], [], 0
        keys.append(row.key)
        texts.append(text)
        size += bytes_sent
    if keys:
        yield _Piece(keys, f"[{','.join(texts)}]")


def _text(row: Row) -> str:
    envelope = {
        "feed": row.feed,
        "key": row.key,
        "version": row.version,
        "checksum": row.checksum,
        "deleted": row.deleted,
        "user": row.user,
        "body": row.body,
    }
    return json.dumps(envelope, ensure_ascii=False, allow_nan=False, separators=(",", ":"))


def load(document: Document, *, base: Path) -> Moodle:  # noqa: ARG001 - it has no paths of this machine
    """Give the destination that a document declares. Raises ConfigError."""
    data = validate(MoodleSchema(), document)
    private = frozenset(host.lower() for host in data["allow_private"])
    return Moodle(
        name=data["name"],
        title=data["title"],
        at=Site(data["url"], data["token"], private),
        site=data["site"],
        feeds=tuple(data["feeds"]),
        programs=None if data["programs"] is None else tuple(data["programs"]),
        resends=data["resend"],
    )
