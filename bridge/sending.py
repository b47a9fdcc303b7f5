"""Sending a feed's rows to a destination, batch by batch, until nothing is left to be sent.

The rules guarded here:

- What a destination answered is stored before the next batch leaves: who is killed sends at most one batch again.
- No transaction is open while a destination is asked.
- A destination that is busy is asked again after short pauses. If it is down, sending stops, and the delivery is tried
  again later; a batch that fails while others go through is sent in halves until the rows that it fails for are known,
  and these stop no other.
"""

import logging
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from sqlalchemy.orm import Session

from bridge import deliveries, sent_rows
from bridge.sent_rows import Aim
from connectors import Answer, DestinationUnavailable, OutgoingRow

log = logging.getLogger(__name__)

PAUSES = (1.0, 2.0, 4.0, 8.0)
"""Seconds before a batch is tried again in one go; longer waits are the delivery's own (`deliveries.RETRY_SECONDS`)."""


@dataclass
class Sending:
    """One go at a delivery; whoever calls ends the transaction each time that `run` gives something."""

    session: Session
    aim: Aim
    now: Callable[[], datetime]
    is_over: Callable[[], bool] = lambda: False
    rows: int = 0
    """That were answered for."""
    unanswered: int = 0
    failing: int = 0
    """Rows that it fails for, each by itself."""
    error: DestinationUnavailable | None = None
    """Why not all was sent."""
    unfinished: bool = False
    """The time was over before all had been sent."""
    _failed: list[Sequence[OutgoingRow]] = field(default_factory=list)
    _failures: int = 0
    """Since the last answer."""

    def run(self) -> Iterator[int]:
        """Send all there is, and give after each batch how many rows were answered for.

        Raises DestinationUnavailable when it is down, and DestinationRefused.
        """
        if renewed := sent_rows.renew(self.session, self.aim, now=self.now()):
            yield renewed
        after = ""
        while True:
            size = max(1, self.aim.destination.batch)
            rows = sent_rows.due(self.session, self.aim, now=self.now(), after=after, limit=size)
            yield 0
            if not rows:
                break
            after = rows[-1].key
            yield from self._batch(rows)
            if self.is_over():
                self.unfinished = True
                return
        for failed in self._failed:
            yield from self._halves(failed)
        if self.error is not None and not self.rows:
            raise self.error

    def _batch(self, rows: Sequence[OutgoingRow]) -> Iterator[int]:
        try:
            answers = self._asked(rows, PAUSES)
        except DestinationUnavailable as error:
            if self._failures > 1 or _is_long(error):
                raise  # two batches, one after the other: it is down
            self.error = error
            self._failed.append(rows)
        else:
            yield self._note(rows, answers)

    def _halves(self, rows: Sequence[OutgoingRow]) -> Iterator[int]:
        middle = len(rows) // 2
        for half in (rows[:middle], rows[middle:]) if middle else (rows,):
            try:
                answers = self._asked(half, PAUSES[:1])
            except DestinationUnavailable as error:
                if self._failures > 3 + self.aim.destination.batch.bit_length():
                    raise  # more than it takes from a batch to one row of it
                self.error = error
                if len(half) > 1:
                    yield from self._halves(half)
                else:
                    self.failing += 1
            else:
                yield self._note(half, answers)

    def _asked(self, rows: Sequence[OutgoingRow], pauses: Sequence[float]) -> list[Answer]:
        for seconds in (*pauses, None):
            try:
                answers = list(self.aim.destination.send(rows))
            except DestinationUnavailable as error:
                wait = error.retry_after or 0
                if seconds is None or _is_long(error):
                    self._failures += 1
                    raise
                log.info("%s takes no rows now; trying again in %g s.", self.aim.destination.name, max(seconds, wait))
                time.sleep(max(seconds, wait))
            else:
                self._failures = 0
                return answers
        raise AssertionError("the last try returns or raises")

    def _note(self, rows: Sequence[OutgoingRow], answers: Sequence[Answer]) -> int:
        known = sent_rows.note(self.session, self.aim, rows, answers, now=self.now())
        if known:
            deliveries.progressed(self.session, self.aim.delivery)
        self.rows += len(known)
        self.unanswered += len(rows) - len(known)
        return len(known)


def _is_long(error: DestinationUnavailable) -> bool:
    """Tell whether a destination asks for more than a pause."""
    return error.retry_after is not None and error.retry_after > max(PAUSES)
