"""What a source gives: pages of rows, with the problems found on the way and the state to go on from."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal, Protocol, Self, runtime_checkable

from connectors.reach import Reach

PAGE_SIZE = 1000
"""Rows and problems together on one page: what a caller holds in memory and stores in one transaction."""

State = dict[str, Any]
"""JSON that only the source understands; it keeps no secrets.

Some keys of a pull's state are for others to read, where they are there: `watermark`, the time of the newest change
seen; `quota`, what the system last said is left of our requests, `{"left": 17, "resets_at":
"2026-11-20T12:00:00.000000Z" or None, "seen_at": ...}`; and `lateness_seconds`, by how much at most a record of the
last 30 days came later than its time of change says, which is to stay well below the `lookback` in `lookback_seconds`.
"""


@dataclass(frozen=True, slots=True)
class Row:
    """One record as the source has it now, in JSON-able values: texts, numbers, booleans, None."""

    key: str
    """Names the record within its source."""
    data: dict[str, Any]
    content_hash: bytes
    """SHA-256 of `data` as canonical JSON: equal when, and only when, nothing has changed."""
    cursor: tuple[Any, ...] | None
    """Orders the versions of one record, by the values in turn; None where the source cannot tell."""
    row: int
    """Where it stood, as an editor counts lines."""
    deleted: bool = False
    """The source says that the record is gone; `data` may be empty then, and `content_hash` does not matter.

    Where the source has cursors a deletion needs one too, for without one it would be the oldest version.
    """


@dataclass(frozen=True, slots=True)
class RowProblem:
    """One row, or one cell of it, that could not be used, told to the person who can mend it."""

    row: int | None
    column: str | None
    message: str
    """What is wrong and what to do."""
    raw: str
    """The row as it stood, shortened; never a NUL or a lone surrogate, which databases refuse."""


@dataclass(frozen=True, slots=True)
class Sweep:
    """A piece of a pass over all records there are; after a complete pass, what no piece of it named is gone."""

    number: str
    """Which pass: the same on all its pages, another for every pass."""
    keys: tuple[str, ...]
    """Records that are there, as `Row.key`."""
    complete: bool
    """True with the last page of the pass, and only when all of it was read."""
    cursor: tuple[Any, ...] | None
    """Puts the deletions in order with the versions of records; None where the source has no cursors."""
    at_most: float
    """The share of all records, 0 to 1, beyond which the pass is not believed and nothing is deleted."""


@dataclass(frozen=True, slots=True)
class Page:
    """A bounded piece of what was pulled, to be stored in one transaction together with its state."""

    rows: tuple[Row, ...]
    problems: tuple[RowProblem, ...]
    state: State | None
    """What to hand back at the next pull if this page is the last one stored; None: keep what you have.

    A source that must be read as a whole, such as a file, gives it with the last page only.
    """
    sweep: Sweep | None = None


@dataclass(frozen=True, slots=True)
class Finding:
    """What `check` found out about one thing that can go wrong."""

    name: str
    """What was looked at: login, clock, timezone, order, keys, permissions, ..."""
    state: Literal["ok", "warning", "failed", "skipped"]
    text: str
    """What was seen, with its figures."""
    remedy: str
    """What to do, or what to ask the vendor's admin for; empty when ok."""


class Source(Protocol):
    """A system that performance records are pulled from."""

    @property
    def name(self) -> str:
        """Unique among sources."""

    @property
    def title(self) -> str:
        """What people call it."""

    @property
    def every_seconds(self) -> int:
        """How often it is to be pulled."""

    def pull(self, state: State | None) -> Iterator[Page]:
        """Give what there is, at most PAGE_SIZE rows and problems at a time; nothing when unchanged since `state`.

        Rows may come again, so the caller upserts by key and compares hashes. When the iterator ends of itself, the
        problems given are all there are, and replace those of earlier pulls. Raises SourceError, also between pages:
        the pages until then may be kept.
        """

    def check(self) -> Iterator[Finding]:
        """Try out what can go wrong, on about a page, and tell what was found; nothing is stored or remembered.

        Raises nothing that has to do with the source: what fails is a finding; what cannot be tried then is skipped.
        """

    def sample(self, limit: int) -> Page:
        """Give at most `limit` rows and problems, recent ones where the source can say which those are.

        The state is None and nothing is remembered. Raises SourceError.
        """


@runtime_checkable
class Reaching(Protocol):
    """A source that needs something of the world that only its caller has."""

    def reaching(self, reach: Reach) -> Self:
        """Give it with that."""


@runtime_checkable
class Backfillable(Protocol):
    """A source whose past can be read beside its present, in a lane of its own."""

    def began(self, state: State) -> datetime | None:
        """Give from when on `pull` reads, by a state of its pages, where it leaves the past to slices; else None.

        It is in the state of the very first page, which comes before anything is asked of the system. When it is known,
        and whenever it differs from what it was, plan `slices(None, began)`: not before, or what happens between the
        two is read by neither.
        """

    def slices(self, since: datetime | None, until: datetime | None) -> Sequence[tuple[datetime, datetime]]:
        """Cut [since, until) into pieces to be read one by one, newest first.

        None stands for the `start` of the document, and for now. A source that cannot bound a piece gives one; none at
        all where every pull reads everything.
        """

    def backfill(self, low: datetime, high: datetime, state: State | None) -> Iterator[Page]:
        """Give what last changed in [low, high), going on from the slice's own `state`; raises as `pull` does.

        Rows of elsewhere may come as well. It takes at most the share of the quota that the document gives it. When the
        iterator ends of itself the slice was read; its problems are all that it has, beside those of pulls.
        """


@runtime_checkable
class Fetchable(Protocol):
    """A source that can be asked for single records, as when a webhook names one."""

    @property
    def can_fetch(self) -> bool:
        """Whether the document says how; else `fetch` raises SourceRefused."""

    def fetch(self, ids: Sequence[str]) -> Page:
        """Give these records as they are now, by `Row.key`, at most PAGE_SIZE; the state is None. Raises SourceError.

        A record that is not there any more is a deletion where the document says so, else a problem.
        """
