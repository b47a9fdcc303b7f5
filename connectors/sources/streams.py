"""What a document says of one stream of records: what to ask, where the records lie, what names and orders them."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from marshmallow import ValidationError, fields, post_load, validate, validates_schema

from connectors.documents import StrictSchema, Text, say
from connectors.sources.asking import Ask, RequestSchema, Template
from connectors.sources.choices import Anything, Block, Choice, YesNo
from connectors.sources.codecs import Codec, codec
from connectors.sources.columns import zone
from connectors.sources.details import Details, DetailsSchema
from connectors.sources.durations import Length, Moment
from connectors.sources.paginators import PAGINATORS, Keyset, Pager, Position, Single, Token
from connectors.sources.paths import PathField, PathsField, Steps
from connectors.sources.slices import Backfill, BackfillSchema
from connectors.sources.sweeps import Sweeping, SweepSchema

BEGINNING = datetime(2000, 1, 1, tzinfo=UTC)
"""Where a first pull starts when the document does not say: before all records there are."""


@dataclass(frozen=True, slots=True)
class Cursor:
    """The time of change that orders the versions of a record, and the records of a stream."""

    path: Steps
    codec: Codec
    """As records have it."""
    sent: Codec
    """As requests have it."""
    lookback: timedelta
    """So much is asked for again at each pull: records that were committed late."""
    settle: timedelta
    """So much is left for the next pull: changes that the system does not show yet."""
    start: datetime
    ordered: bool
    """Answers come oldest change first, so that each page moves the watermark."""
    exclusive: timedelta
    """The system leaves out what has the very time that it is asked for, so this much earlier is asked for."""


@dataclass(frozen=True, slots=True)
class Mark:
    """How a record says that it is gone: one of the values at the path; with no values, every record says so."""

    path: Steps
    values: tuple[Any, ...]
    key: tuple[Steps, ...] = ()
    """What names such a record, where it is a stub with names of its own; none: as all records."""


@dataclass(frozen=True, slots=True)
class Stream:
    """One stream of records."""

    request: Template
    page: Pager
    records: Steps
    """Where the list lies in an answer; no steps: the answer is the list."""
    key: tuple[Steps, ...]
    cursor: Cursor | None
    deleted: Mark | None
    feed: "Stream | None"
    """A stream of its own that tells of deletions."""
    omit: tuple[Steps, ...]
    require: tuple[Steps, ...]
    details: tuple[Details, ...] = ()
    sweep: Sweeping | None = None
    """Each time that all of it is read, what does not come is gone."""
    listing: "Stream | None" = None
    """A stream of its own that lists what there is, for such sweeps."""
    lists_only: bool = False
    """It is such a list: its records are names and no more."""
    every: timedelta = timedelta(0)
    """It is read no more often than this, however often the others are: all of it comes each time."""

    @property
    def is_windowed(self) -> bool:
        """Whether it is asked for what changed since; else all of it comes at each pull."""
        return "low" in self.request.slots

    @property
    def rolls_after(self) -> int | None:
        """After how many pages the window is begun anew at the last row.

        An ordered stream does so after each, unless its document says otherwise: a row that changes meanwhile leaves
        its page for the end of the stream, every later row moves up by one, and the first of the next page would never
        be seen. Tokens do not help where they are offsets in disguise, and who knows. The price is one row read twice a
        page.
        """
        common = self.page.common
        if common.roll_after or common.roll_on or not self.can_roll:
            return common.roll_after
        return None if common.keeps or isinstance(self.page, Keyset) else 1

    @property
    def can_end(self) -> bool:
        """Whether it can be asked for what changed before a time, or is read up to there and no further."""
        return "high" in self.request.slots or self.can_roll

    @property
    def can_roll(self) -> bool:
        """Whether a window can be begun anew at a row."""
        return self.is_windowed and self.cursor is not None and self.cursor.ordered

    def ask(
        self,
        base_url: str,
        position: Position,
        window: tuple[datetime, datetime] | None,
        low_id: Any = None,  # noqa: ANN401
    ) -> Ask:
        """Give the request for the page at a position of a window [low, high), which a stream read as a whole has not.

        A keyset begins after `low_id`; None: before all ids.
        """
        slots: dict[str, Any] = {}
        if self.cursor and window:
            slots["low"] = self.cursor.sent.write(window[0] - self.cursor.exclusive)
            slots["high"] = self.cursor.sent.write(window[1])
        if isinstance(self.page, Keyset):
            slots["low_id"] = self.page.first_id if low_id is None else low_id
        without = ("low", "high") if isinstance(self.page, Token) and self.page.alone and position else ()
        return self.page.place(self.request.ask(base_url, slots, without=without), position)


class CursorSchema(StrictSchema):
    """`{field: updated_at, format: iso, lookback: 10m, settle: 1m, start: 2025-01-01T00:00:00Z, ordered: true}`."""

    field = PathField(required=True)
    format = Text(load_default="iso")
    send = Text(load_default=None)
    timezone = Text(load_default=None)
    lookback = Length(load_default=timedelta(minutes=10))
    settle = Length(load_default=timedelta(minutes=1))
    start = Moment(load_default=BEGINNING)
    ordered = YesNo()
    exclusive = Length(load_default=timedelta(0))

    @post_load
    def make(self, data: dict[str, Any], **_: object) -> Cursor:
        """Make it."""
        local = zone(data["timezone"]) if data["timezone"] else None
        made = {}
        for key in ("format", "send"):
            try:
                made[key] = codec(data[key] or data["format"], local)
            except ValidationError as err:
                raise ValidationError(err.messages, key) from err
        return Cursor(
            path=data["field"],
            codec=made["format"],
            sent=made["send"],
            lookback=data["lookback"],
            settle=data["settle"],
            start=data["start"],
            ordered=data["ordered"],
            exclusive=data["exclusive"],
        )


class _StreamKeys(StrictSchema):
    """The keys of a stream and of a feed of deletions."""

    request = Block(RequestSchema, required=True)
    page = Choice(PAGINATORS, required=True)
    records = PathField(load_default=())
    key = PathsField(required=True)
    cursor = Block(CursorSchema, load_default=None)
    omit = PathsField(load_default=[])
    require = PathsField(load_default=[])

    @validates_schema
    def check_window(self, data: dict[str, Any], **_: object) -> None:
        """Refuse parts that do not fit together."""
        slots, cursor, page = data["request"].slots, data["cursor"], data["page"]
        by_id = isinstance(page, Keyset) and page.by_id
        if cursor is None and slots - ({"low_id"} if by_id else set()):
            what = f"The request asks by {{{min(slots)}}}, but there is no cursor to know it from."
            raise ValidationError(say(what, "Declare `cursor`, or take the slot out."), "cursor")
        if "high" in slots and "low" not in slots:
            raise ValidationError(say("A window has two sides.", "Ask by {low} as well."), "request")
        if isinstance(page, Keyset) != ("low_id" in slots):
            what = "The slot {low_id} and the page type `keyset` belong together."
            raise ValidationError(say(what, "Ask for what comes after ({low}, {low_id}), or page otherwise."), "page")
        if isinstance(page, Keyset) and cursor and cursor.ordered == page.by_id:
            what = "A keyset goes by the order of rows."
            remedy = "Have them sorted by cursor and id, and write `ordered: true`; or by id alone, and write `by: id`."
            raise ValidationError(say(what, remedy), "cursor")
        rolls = page.common.roll_after or page.common.roll_on
        if rolls and (page.common.keeps or not (cursor and cursor.ordered and "low" in slots)):
            what = "A window can be begun anew at the last row only where rows come in the order of the cursor."
            remedy = "Ask by {low}, have them sorted, write `ordered: true`, and keep no token."
            raise ValidationError(say(what, remedy), "page")

    def stream(self, data: dict[str, Any]) -> Stream:
        """Make the stream."""
        deleted, key, cursor = data.get("deleted"), tuple(data["key"]), data["cursor"]
        swept = deleted if isinstance(deleted, Swept) else None
        listing = swept.stream(key, cursor) if swept else None
        return Stream(
            request=data["request"],
            page=data["page"],
            records=tuple(data["records"]),
            key=key,
            cursor=cursor,
            deleted=deleted if isinstance(deleted, Mark) else None,
            feed=deleted if isinstance(deleted, Stream) else None,
            omit=tuple(data["omit"]),
            require=tuple(data["require"]),
            details=tuple(data.get("details", ())),
            sweep=swept.rules(data["page"], cursor, every=timedelta(0)) if swept and not listing else None,
            listing=listing,
            every=data.get("every", timedelta(0)),
        )


class FeedSchema(_StreamKeys):
    """`{type: feed, request: ..., page: ..., records: ..., key: ..., cursor: ..., every: 6h}`: what was deleted."""

    type = Text(required=True)
    every = Length(load_default=timedelta(0))

    @validates_schema
    def check_every(self, data: dict[str, Any], **_: object) -> None:
        """Refuse to wait with what costs little."""
        if data["every"] and "low" in data["request"].slots:
            what = "A list that is asked for since a time is short, and is read at each pull."
            raise ValidationError(say(what, "Take the line out."), "every")

    @post_load
    def make(self, data: dict[str, Any], **_: object) -> Stream:
        """Make it."""
        return self.stream({**data, "deleted": Mark((), ())})


class FlagSchema(StrictSchema):
    """`{type: flag, field: status, is: [deleted]}`: a record says itself that it is gone, perhaps by another `key`."""

    type = Text(required=True)
    field = PathField(required=True)
    key = PathsField(load_default=[])
    values = Anything(required=True, data_key="is")

    @post_load
    def make(self, data: dict[str, Any], **_: object) -> Mark:
        """Make it; one value stands for a list of one."""
        values = data["values"] if isinstance(data["values"], list) else [data["values"]]
        if not values or any(isinstance(value, (Mapping, list)) for value in values):
            raise ValidationError(say("These are no values.", "Write them like is: [deleted]."), "is")
        return Mark(data["field"], tuple(values), tuple(data["key"]))


@dataclass(frozen=True, slots=True)
class Swept:
    """How a document says that deletions are learned of by sweeps."""

    request: Template | None
    """None: the stream itself is read as a whole."""
    page: Pager | None
    records: Steps
    key: tuple[Steps, ...]
    every: timedelta | None
    at_most: float
    readings: int | None

    def stream(self, key: tuple[Steps, ...], cursor: Cursor | None) -> Stream | None:
        """Give the stream that lists all records; None where they come anyway."""
        if self.request is None or self.page is None:
            return None
        sweep = self.rules(self.page, cursor, every=timedelta(days=1), readings=2)
        named = self.key or key
        return Stream(
            self.request, self.page, self.records, named, None, None, None, (), (), sweep=sweep, lists_only=True
        )

    def rules(self, page: Pager, cursor: Cursor | None, *, every: timedelta, readings: int | None = None) -> Sweeping:
        """Give the rules; numbered pages are read twice if the document does not say otherwise."""
        usual = readings or (1 if isinstance(page, (Single, Keyset)) else 2)
        return Sweeping(
            every=every if self.every is None else self.every,
            at_most=self.at_most,
            readings=self.readings or usual,
            apart=cursor.lookback + cursor.settle if cursor else timedelta(0),
            timed=cursor is not None,
        )


class RestSweepSchema(SweepSchema):
    """`{type: sweep, every: 1d, at_most: 0.25, readings: 2, request: ..., page: ..., records: ..., key: ...}`."""

    every = Length(load_default=None)
    readings = fields.Integer(
        strict=True,
        load_default=None,
        validate=validate.Range(min=1, max=9, error=say("This is no number of readings.", "Write 1 to 9.")),
        error_messages={"invalid": say("This is not a whole number.", "Write 1 to 9.")},
    )
    request = Block(RequestSchema, load_default=None)
    page = Choice(PAGINATORS, load_default=None)
    records = PathField(load_default=())
    key = PathsField(load_default=[])

    @validates_schema
    def check_list(self, data: dict[str, Any], **_: object) -> None:
        """Refuse half a list, and one that does not list everything."""
        request, page = data["request"], data["page"]
        if (request is None) != (page is None):
            what = "A list of all records has a request and pages."
            raise ValidationError(say(what, "Write both, or neither for a stream that is read as a whole."), "request")
        if request is None:
            return
        if request.slots - {"low_id"}:
            what = "A sweep lists all records there are, whenever they changed."
            raise ValidationError(say(what, "Take {low} and {high} out."), "request")
        if isinstance(page, Keyset) != ("low_id" in request.slots):
            what = "The slot {low_id} and the page type `keyset` belong together."
            raise ValidationError(say(what, "Ask for what comes after {low_id}, or page otherwise."), "page")
        if isinstance(page, Keyset) and not page.by_id:
            raise ValidationError(say("All records come in the order of their ids.", "Write `by: id`."), "page")

    @post_load
    def make(self, data: dict[str, Any], **_: object) -> Swept:
        """Make it."""
        made = {name: data[name] for name in ("request", "page", "every", "at_most", "readings")}
        return Swept(**made, records=tuple(data["records"]), key=tuple(data["key"]))


class StreamSchema(_StreamKeys):
    """The keys of a stream."""

    deleted = Choice({"flag": FlagSchema, "feed": FeedSchema, "sweep": RestSweepSchema}, load_default=None)
    backfill = Block(BackfillSchema, load_default=Backfill())
    details = fields.List(Block(DetailsSchema), load_default=[])

    @validates_schema
    def check_details(self, data: dict[str, Any], **_: object) -> None:
        """Refuse to ask by a name that is made of several."""
        if data["details"] and len(data["key"]) != 1:
            what = "Details are asked for by one id."
            raise ValidationError(say(what, "Give `key` one path, or take `details` out."), "details")

    @validates_schema
    def check_backfill(self, data: dict[str, Any], **_: object) -> None:
        """Refuse to leave to slices what has none, or no beginning."""
        if not data["backfill"].declared:
            return
        if "low" not in data["request"].slots:
            what = "The stream is read as a whole at each pull, so no past is left over."
            raise ValidationError(say(what, "Take the block out."), "backfill")
        if data["cursor"].start == BEGINNING:
            what = "Nobody knows how far back the past goes."
            raise ValidationError(say(what, 'Say from when: `start: "2025-01-01T00:00:00Z"`.'), "backfill")

    @validates_schema
    def check_deletions(self, data: dict[str, Any], **_: object) -> None:
        """Refuse deletions that could not be put in order with the versions of a record."""
        feed = data["deleted"]
        if isinstance(feed, Swept):
            self._check_sweep(feed, data)
        if not isinstance(feed, Stream):
            return
        if (feed.cursor is None) != (data["cursor"] is None):
            what = "A deletion is put in order with the versions of its record by the cursor."
            raise ValidationError(say(what, "Declare `cursor` for both or for neither."), "deleted")
        if len(feed.key) != len(data["key"]):
            what = "The feed names records otherwise than the stream does."
            raise ValidationError(say(what, "Give `key` as many paths."), "deleted")

    def _check_sweep(self, swept: Swept, data: dict[str, Any]) -> None:
        is_windowed = "low" in data["request"].slots
        if is_windowed and swept.request is None:
            what = "The stream shows what changed, so what it does not show need not be gone."
            raise ValidationError(say(what, "Give the sweep a `request` and `page` that list all records."), "deleted")
        if not is_windowed and swept.request is not None:
            what = "The stream itself lists all records at each pull."
            raise ValidationError(say(what, "Take `request`, `page`, `records` and `key` out of the sweep."), "deleted")
        if len(swept.key or data["key"]) != len(data["key"]):
            what = "The sweep names records otherwise than the stream does."
            raise ValidationError(say(what, "Give `key` as many paths."), "deleted")
