"""What a destination takes that is handed rows, not files: what changed, row by row, with an answer for each."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Protocol, runtime_checkable

from marshmallow import ValidationError, validates

from connectors.documents import DestinationSchema, TextList, nearest, say

FEEDS = ("readiness", "records", "measures", "impacts", "health")
"""All there are, in the order in which they are best sent."""


@dataclass(frozen=True, slots=True)
class Row:
    """One published row on its way out, or word that it is gone."""

    feed: str
    """`records`, `measures`, `impacts`, `readiness` or `health`."""
    key: str
    """Unique within its feed, and the same for ever: at most 190 ASCII characters."""
    version: int
    """Grows with every change of the row; of two versions the higher is the later."""
    checksum: str
    """SHA-256 (64 hex digits) of what we hold; the destination keeps it beside the row and answers it in `held`."""
    deleted: bool
    user: Mapping[str, Any] | None
    """The learner, as this destination knows people: see `bridge/README.md`; None for rows about no person."""
    body: Mapping[str, Any] = field(default_factory=dict)
    """JSON-able values; empty when deleted."""


class Outcome(StrEnum):
    """What became of one row."""

    STORED = "stored"
    UNCHANGED = "unchanged"
    """It holds this version, or a later one, already."""
    DELETED = "deleted"
    UNMATCHED = "unmatched"
    """Stored, but the destination knows nobody like its user yet."""
    LEFT_OUT = "left out"
    """It has nobody, or no place, for this row now: nothing of it is kept there, and `held` does not name it.

    Worth sending again from time to time, since people join and documents change.
    """
    REFUSED = "refused"
    """It will not take this row as it is; trying again changes nothing."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What the destination did with one row."""

    key: str
    outcome: Outcome
    message: str | None = None
    """In plain words, for whoever has to see to it."""


@dataclass(frozen=True, slots=True)
class Held:
    """One row as the destination holds it now."""

    key: str
    version: int
    checksum: str
    """As we sent it; where its contents were changed there, any other text."""


class RowDestinationSchema(DestinationSchema):
    """The keys of every destination document that takes rows; a type adds its own."""

    feeds = TextList(load_default=FEEDS)
    """What it is sent; all, unless it says otherwise."""
    programs = TextList(load_default=None)
    """Rows of these programs alone, and those of none (health); None: of all."""

    @validates("feeds")
    def check_feeds(self, value: Sequence[str], **_: object) -> None:
        """Refuse a feed that there is not."""
        faults: dict[str | int, Any] = {
            place: [say(f"There is no feed {name!r}.", nearest(name, FEEDS))]
            for place, name in enumerate(value)
            if name not in FEEDS
        }
        if faults:
            raise ValidationError(faults)


@runtime_checkable
class RowDestination(Protocol):
    """A system that takes rows."""

    @property
    def name(self) -> str:
        """Unique among destinations."""

    @property
    def title(self) -> str:
        """What people call it."""

    @property
    def feeds(self) -> Sequence[str]:
        """What it wants of `FEEDS`, in the order in which it wants it."""

    @property
    def programs(self) -> Sequence[str] | None:
        """Whose rows it wants, beside those of no program; None: of all."""

    @property
    def site(self) -> str | None:
        """The `homePage` of the accounts by which it knows people, such as `https://moodle.example`."""

    @property
    def batch(self) -> int:
        """How many rows it takes in one call."""

    def send(self, rows: Sequence[Row]) -> Iterable[Answer]:
        """Hand over at most `batch` rows of one feed and give an answer for each, in any order.

        Safe to repeat: a row that is there already changes nothing. What it does not answer is sent again. Raises
        DestinationUnavailable when it is worth trying again later, DestinationRefused when a person must act.
        """

    def held(self, feed: str) -> Iterator[Held]:
        """Give what it holds of a feed, by key, page by page; raises as `send` does."""
