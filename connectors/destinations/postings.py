"""Rows of one kind on their way into one Canvas course: planned by what stands there, written in jobs, looked at."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from connectors.canvas import Canvas, JobFailed
from connectors.destinations import cells
from connectors.destinations.cells import MOST
from connectors.destinations.gradebook import Entry, Gradebook, Made, Slot
from connectors.destinations.rows import Outcome, Row
from connectors.errors import DestinationError, DestinationRefused, DestinationUnavailable

CELLS_A_JOB = 1_000
MOST_FAILURES = 24
"""Failed jobs of one call: enough to find one row among 500 that Canvas cannot take, twice."""
REFUSALS = frozenset({400, 401, 403, 404, 422})
"""What Canvas answers where something is wrong with a course or a student, or with the token."""

Told = dict[str, tuple[Outcome, str | None]]
"""What became of rows, by key."""


class _Otherwise(Exception):
    """The course is not as it was when we read it."""


@dataclass(slots=True)
class Sending:
    """Rows of one kind on their way into one course."""

    canvas: Canvas
    book: Gradebook
    slot: Slot
    site: str
    failures: int = 0

    def send(self, rows: Sequence[Row]) -> Told:
        """Give what became of each; what is wrong with the course is told of each of its rows."""
        try:
            return self._send(rows)
        except DestinationError as err:
            self.book.forget()  # what we meant to write may not stand there
            status = err.status if isinstance(err, DestinationRefused) else None
            if status not in REFUSALS or not self.canvas.lets_us_in():
                raise
            return dict.fromkeys((row.key for row in rows), (Outcome.REFUSED, f"Course {self.book.course}: {err}"))

    def _send(self, rows: Sequence[Row], *, again: bool = True) -> Told:
        self.book.read()
        made = self.book.ready(self.slot)
        plan = _Plan(self.book, self.slot, made, self.site)
        for row in sorted(rows, key=lambda one: not one.deleted):
            plan.add(row)  # what is gone first: another's row may come in its place
        if not plan.writing:
            return plan.told
        others: Told = {}
        try:
            for part in _parts(plan.writing):
                others |= self._write(part, plan.writing, anew=again)
        except _Otherwise:
            self.book.forget()
            return self._send(rows, again=False)
        if again and not self.book.is_whole(made):
            self.book.forget()
            return self._send(rows, again=False)
        if not self.book.is_whole(made):
            raise DestinationUnavailable(f"Columns of course {self.book.course} go away while they are written to.")
        missed = plan.missed(self.book.ledger(self.slot, made, anew=True))
        what = f"Canvas said that it had written it into course {self.book.course}, and it is not there."
        return plan.told | dict.fromkeys(missed, (Outcome.REFUSED, what)) | others

    def _write(self, keys: Sequence[str], writing: Mapping[str, "_Writing"], *, anew: bool = False) -> Told:
        """Write the cells of these rows; gives what became of rows that Canvas does not take.

        A job fails as a whole, wherever it broke off, so it is made again, and then in halves. A student who has left
        is refused at once, with all others: `anew` raises _Otherwise then, so that it is read again who is there.
        """
        data = [datum for key in keys for datum in writing[key].data]
        refused = False
        for _ in range(2):
            try:
                self.book.write(data)
            except (JobFailed, DestinationRefused) as err:
                refused = isinstance(err, DestinationRefused)
                if isinstance(err, DestinationRefused) and err.status not in REFUSALS:
                    raise
                self.failures += 1
                if self.failures > MOST_FAILURES:
                    what = f"What is written into course {self.book.course} fails again and again."
                    raise DestinationUnavailable(f"{what} The last time: {err}") from err
                if refused and anew:
                    raise _Otherwise from err
                if refused:
                    break
            else:
                return {}
        if len(keys) > 1:
            half = len(keys) // 2
            return self._write(keys[:half], writing) | self._write(keys[half:], writing)
        if refused:
            return {keys[0]: (Outcome.LEFT_OUT, f"Canvas shows us no such student in course {self.book.course}.")}
        return {keys[0]: (Outcome.REFUSED, f"Canvas's job fails for it in course {self.book.course}.")}


@dataclass(slots=True)
class _Writing:
    """What is written for one row: cells, then what the ledger says of them, lest it say more than there is."""

    learner: str
    data: list[Mapping[str, str]] = field(default_factory=list)
    entries: dict[str, Entry | None] = field(default_factory=dict)
    """By student; None: taken away."""


@dataclass(slots=True)
class _Plan:
    """What is to be written for some rows, by what stands there now."""

    book: Gradebook
    slot: Slot
    made: Made
    site: str
    told: Told = field(default_factory=dict)
    writing: dict[str, _Writing] = field(default_factory=dict)

    def add(self, row: Row) -> None:
        """Plan one row."""
        learner = self.slot.learner(row.key) or ""
        ledger = self.book.ledger(self.slot, self.made)
        before = {student for student, entry in ledger.items() if entry.learner == learner}
        if any(ledger[student].version > row.version for student in before):
            self.told[row.key] = (Outcome.UNCHANGED, None)
            return
        students = self.book.students
        student = students.find(row.user, self.site, self.book.is_of_here) if students and not row.deleted else None
        writing = _Writing(learner)
        for other in sorted(before - {student}):
            self._put(writing, other, ["" for _ in self.made.shown], None)
        self.told[row.key] = self._placed(writing, row, student)
        if writing.data:
            self.writing[row.key] = writing
        for number, entry in writing.entries.items():
            # At once, so that two rows of one call do not write over each other.
            if entry is None:
                ledger.pop(number, None)
            else:
                ledger[number] = entry

    def missed(self, ledger: Mapping[str, Entry]) -> Iterator[str]:
        """Give the keys of rows that do not stand in the ledger as they were written."""
        for key, writing in self.writing.items():
            for student, entry in writing.entries.items():
                now = ledger.get(student)
                # Where one learner was taken away, another may stand by now.
                if now != entry and (entry is not None or (now is not None and now.learner == writing.learner)):
                    yield key

    def _placed(self, writing: _Writing, row: Row, student: str | None) -> tuple[Outcome, str | None]:
        if row.deleted:
            return Outcome.DELETED, None
        if student is None:
            return Outcome.LEFT_OUT, f"Nobody in course {self.book.course} is this learner."
        other = self.book.ledger(self.slot, self.made).get(student)
        if other is not None and other.learner != writing.learner:
            what = f"Two learners are one student in course {self.book.course}: {writing.learner}, {other.learner}."
            return Outcome.LEFT_OUT, f"{what} Merge them, or correct the roster."
        columns = list(self.made.shown)
        shown = cells.texts(columns, row.body)
        entry = Entry(row.version, row.checksum, cells.digest(columns, shown), writing.learner)
        if len(entry.text()) > MOST:
            return Outcome.REFUSED, "Its key is too long for Canvas."
        self._put(writing, student, shown, entry)
        return Outcome.STORED, self._missing()

    def _missing(self) -> str | None:
        if not self.made.missing:
            return None
        titles = ", ".join(repr(column.title) for column in self.made.missing)
        return f"In course {self.book.course} somebody deleted {titles}; not made again (`recreate: false`)."

    def _put(self, writing: _Writing, student: str, shown: Sequence[str], entry: Entry | None) -> None:
        for number, text in zip(self.made.shown.values(), shown, strict=True):
            writing.data.append({"column_id": number, "user_id": student, "content": text})
        content = entry.text() if entry else ""
        writing.data.append({"column_id": self.made.ledger, "user_id": student, "content": content})
        writing.entries[student] = entry


def _parts(writing: Mapping[str, _Writing]) -> Iterator[list[str]]:
    """Part rows into jobs, none of them between its cells."""
    part: list[str] = []
    size = 0
    for key, one in writing.items():
        if part and size + len(one.data) > CELLS_A_JOB:
            yield part
            part, size = [], 0
        part.append(key)
        size += len(one.data)
    if part:
        yield part
