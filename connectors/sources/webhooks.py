"""A source that is not asked: its system sends what has changed. README.md shows the documents.

With `completes` what comes is a hint: it names records of another source, which are then asked for as they are now, so
that nothing rests on what was sent, nor on its order, nor on all of it having come. Without it what comes is a record.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
from marshmallow import ValidationError, post_load, validates_schema

from connectors.documents import Document, SourceSchema, StrictSchema, Text, say, validate
from connectors.errors import SourceRefused
from connectors.reach import Reach
from connectors.secrets import Secrets
from connectors.sources import items
from connectors.sources.asking import Template
from connectors.sources.choices import Block, Choice
from connectors.sources.paginators import SingleSchema
from connectors.sources.paths import PathField, PathsField, Steps, find, shown
from connectors.sources.rows import PAGE_SIZE, Finding, Page, Row, RowProblem, State
from connectors.sources.signatures import VERIFICATIONS, Delivery, Verification
from connectors.sources.streams import BEGINNING, Cursor, CursorSchema, FlagSchema, Mark, Stream


class _CursorSchema(CursorSchema):
    """`{field: updated_at, format: iso, timezone: UTC}`: nothing is asked for, so there is no more to say."""

    class Meta(StrictSchema.Meta):
        exclude = ("send", "lookback", "settle", "start", "ordered", "exclusive")

    @post_load
    def make(self, data: dict[str, Any], **_: object) -> Cursor:
        """Make it."""
        none = timedelta(0)
        unsaid = {"send": None, "lookback": none, "settle": none, "start": BEGINNING, "ordered": False}
        made: Cursor = super().make({**unsaid, "exclusive": none, **data})
        return made


class _OnlySchema(FlagSchema):
    """`{field: type, is: [ticket.solved]}`."""

    class Meta(StrictSchema.Meta):
        exclude = ("type", "key")

    @post_load
    def make(self, data: dict[str, Any], **_: object) -> Mark:
        """Make it."""
        made: Mark = super().make({**data, "key": []})
        return made


class WebhookSchema(SourceSchema):
    """The keys of a `type: webhook` document."""

    verify = Choice(VERIFICATIONS, required=True)
    completes = Text(load_default=None)
    records = PathField(load_default=())
    meant = Block(_OnlySchema, data_key="only", load_default=None)  # `only` is marshmallow's own
    key = PathsField(required=True)
    cursor = Block(_CursorSchema, load_default=None)
    deleted = Choice({"flag": FlagSchema}, load_default=None)
    omit = PathsField(load_default=[])
    require = PathsField(load_default=[])

    @validates_schema
    def check_use(self, data: dict[str, Any], **_: object) -> None:
        """Refuse what a hint does not need, and records whose deletions could not be put in order."""
        if data["completes"]:
            for name in ("cursor", "deleted", "omit", "require"):
                if data[name]:
                    what = "With `completes` nothing is kept of what comes but the name of the record."
                    raise ValidationError(say(what, f"Take `{name}` out; it belongs to {data['completes']!r}."), name)
        elif data["cursor"] is None:
            what = "Webhooks come in any order, so it must be known which version of a record is the newer one."
            raise ValidationError(
                say(what, "Declare `cursor`, or let them complete a source: `completes: NAME`."), "cursor"
            )


@dataclass(frozen=True, slots=True)
class WebhookSource:
    """How deliveries are verified and read."""

    name: str
    title: str
    every_seconds: int
    verification: Verification
    completes: str | None
    """The source whose records are named; None: what comes is the record."""
    only: Mark | None
    """What is no such record is passed over."""
    stream: Stream
    reach: Reach

    def reaching(self, reach: Reach) -> "WebhookSource":
        """Give it with what its caller has for it: the secrets."""
        return replace(self, reach=reach)

    def verify(self, delivery: Delivery, now: datetime) -> str | None:
        """Give what names the delivery, or None; raises Unverified, and SourceRefused where we have no secret."""
        return self.verification.verify(delivery, self.reach.secrets.value(self.verification.secret), now)

    def keys(self, body: bytes) -> tuple[tuple[str, ...], tuple[RowProblem, ...]]:
        """Give the names of the records that a delivery is about, and what has none that can be used."""
        named: dict[str, None] = {}
        problems: list[RowProblem] = []
        for number, item in enumerate(self._items(body), 1):
            if isinstance(item, RowProblem):
                problems.append(item)
            elif key := items.key(self.stream, item):
                named[key] = None
            else:
                place = shown(self.stream.key[0])
                message = f"There is no id at {place!r}. Correct `key`, or say in `only` which deliveries have one."
                problems.append(RowProblem(number, place, message, ""))
        return tuple(named), tuple(problems)

    def read(self, body: bytes) -> Page:
        """Give the records that a delivery holds."""
        rows: list[Row] = []
        problems: list[RowProblem] = []
        for number, item in enumerate(self._items(body), 1):
            read = item if isinstance(item, RowProblem) else items.read(self.stream, item, number)
            if isinstance(read, RowProblem):
                problems.append(read)
            else:
                rows.append(read[0])
        return Page(tuple(rows), tuple(problems), None)

    def _items(self, body: bytes) -> Iterator[Any]:
        try:
            sent = msgspec.json.decode(body)
        except (msgspec.MsgspecError, ValueError, RecursionError):
            yield RowProblem(None, None, "This is no JSON. Have the system send application/json.", "")
            return
        found = find(sent, self.stream.records)
        listed = found if isinstance(found, list) else [found]
        if len(listed) > PAGE_SIZE:
            yield RowProblem(None, None, f"It holds more than {PAGE_SIZE} records. Have fewer sent at once.", "")
            return
        for item in listed:
            if self._is_meant(item):
                yield item

    def _is_meant(self, item: object) -> bool:
        """Compare as JSON does: true is not 1."""
        if self.only is None:
            return True
        value = find(item, self.only.path)
        return any(value == one and isinstance(value, bool) == isinstance(one, bool) for one in self.only.values)

    def pull(self, _state: State | None) -> Iterator[Page]:
        """Give nothing: what there is was sent."""
        return iter(())

    def check(self) -> Iterator[Finding]:
        """See whether the secret is there; the rest is the sender's to try."""
        try:
            self.reach.secrets.value(self.verification.secret)
        except SourceRefused as err:
            yield Finding("secret", "failed", str(err), "Set it to what the system that sends has as its secret.")
        else:
            yield Finding("secret", "ok", "It is there.", "")
        told = f"Nothing is asked of its system, which sends to /webhooks/{self.name}."
        yield Finding("deliveries", "skipped", told, "Have it send a test.")

    def sample(self, _limit: int) -> Page:
        """Give nothing: nothing can be asked for."""
        return Page((), (), None)


def load(document: Document, *, base: Path) -> WebhookSource:  # noqa: ARG001 - it has no paths, other sources do
    """Give the source that a document declares. Raises ConfigError."""
    data = validate(WebhookSchema(), document)
    return WebhookSource(
        name=data["name"],
        title=data["title"],
        every_seconds=data["every_seconds"],
        verification=data["verify"],
        completes=data["completes"],
        only=data["meant"],
        stream=_stream(data),
        reach=Reach(Secrets({})),
    )


def _stream(data: Mapping[str, Any]) -> Stream:
    """Make what reads records; it is never asked for any."""
    records: Steps = tuple(data["records"])
    return Stream(
        request=Template("GET", "/", {}, None, {}),
        page=SingleSchema().load({"type": "single"}),
        records=records,
        key=tuple(data["key"]),
        cursor=data["cursor"],
        deleted=data["deleted"],
        feed=None,
        omit=tuple(data["omit"]),
        require=tuple(data["require"]),
    )
