"""A hundred differences of every kind, planted by chance: each is found as what it is, mended or told, none made up.

`seed` decides what is planted where; a failing test names it.
"""

import random
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from company import COURSE, LESSON, LMS, QUIZ, Company, _statement, done, scored
from factories import fact
from sqlalchemy import text
from sqlalchemy.orm import Session
from test_reconcile import NOW, Vendor, delete_record, held, pulled

from bridge import documents, sources
from bridge.mapping import reconciled
from bridge.mapping.names import name_key
from bridge.models import Alias, Learner, Reconciliation
from bridge.reconcile import identities, kept, running
from bridge.reconcile import sources as of_sources
from bridge.reconcile.kept import Area
from connectors import Completion, Page, Person, Row
from lrs import db

SEEDS = (1, 20)
PLANTED = 100

seeds = pytest.mark.parametrize("seed", SEEDS)
Planted = set[tuple[str, str]]
"""(kind, subject) of each."""


def found(pages: Sequence[kept.Page]) -> Planted:
    told = [(one.kind, one.subject) for page in pages for one in page.found]
    assert len(set(told)) == len(told)
    assert not any(page.unnamed for page in pages)
    return set(told)


def reconcile(area: Area, *names: str) -> tuple[Reconciliation, Planted]:
    """Compare as the schedule does; gives the comparison and what it found."""
    [row] = running.run([area], names=names)
    assert row.error is None
    told = [(one.kind, one.subject) for one in kept.differences(db.session, row)]
    assert row.kinds == Counter(kind for kind, _ in told)
    assert row.repaired + row.open == len(told) == len(set(told))
    return row, set(told)


def shares(dice: random.Random, things: Sequence[Any], kinds: Sequence[str]) -> dict[str, list[Any]]:
    """Choose a hundred things and give each kind some of them, at least one."""
    chosen = dice.sample(things, PLANTED)
    which = [*kinds, *dice.choices(kinds, k=PLANTED - len(kinds))]
    return {kind: [one for one, of in zip(chosen, which, strict=True) if of == kind] for kind in kinds}


# --- sources ---------------------------------------------------------------------------------------------------------


@dataclass
class Listing(Vendor):
    """A vendor whose list may name a record twice, as it was and as it is, on two pages."""

    twice: dict[str, tuple[datetime, str]] = field(default_factory=dict)

    def backfill(self, low: datetime, high: datetime, state: dict[str, Any] | None) -> Iterator[Page]:
        for page in super().backfill(low, high, state):
            again = [row.key for row in page.rows if row.key in self.twice]
            for key in again:
                yield Page((version(key, self.twice[key][1], self.twice[key][0]),), (), {})
            yield page


RECORDS = 500
LATER = datetime.now(UTC) + timedelta(hours=1)
"""Nothing that is stored now is fresh then."""


@pytest.fixture
def vendor(session: Session) -> Listing:
    """Records of some ten days, pulled well."""
    made = Listing(
        {f"r{number:03}": (NOW - timedelta(minutes=30 * number + 90), f"v{number}") for number in range(RECORDS)}
    )
    pulled(session, made)
    return made


def compare_sources(session: Session, vendor: Vendor) -> list[kept.Page]:
    spans = of_sources.spans(session, vendor, days=14)
    return [page for span in spans for page in of_sources.compare(session, vendor, span, now=LATER)]


def store(session: Session, vendor: Vendor, row: Row) -> None:
    sources.store_fetched(session, vendor.name, Page((row,), (), None), seen_at=NOW)


def after(dice: random.Random, time: datetime) -> datetime:
    """Give a time between this one and the last good pull."""
    return time + dice.uniform(0.1, 1) * (NOW - timedelta(minutes=30) - time)


def version(key: str, value: str | None, at: datetime) -> Row:
    """A version of a record, or word that it is gone."""
    row = Vendor({key: (at, value or "")}).row(key)
    return row if value is not None else Row(key, {}, b"", row.cursor, 1, deleted=True)


@seeds
def test_sources(session, vendor, seed):
    dice = random.Random(seed)  # noqa: S311 - it chooses what differs
    clean = compare_sources(session, vendor)
    assert found(clean) == set()
    assert sum(page.agreed for page in clean) == RECORDS

    kinds = (
        "missing",
        "short day",
        "changed",
        "moved",
        "twice",
        "reused",
        "gone",
        "extra",
        "deleted here",
        "restored",
    )
    planted = shares(dice, sorted(vendor.records), kinds)
    for key in [*planted["missing"], *planted["short day"]]:
        delete_record(session, key)
    for key in planted["changed"]:  # behind its own time of change
        vendor.records[key] = vendor.records[key][0], "changed in silence"
    for key in planted["moved"]:  # by a change that no pull brought
        vendor.records[key] = after(dice, vendor.records[key][0]), "moved"
    for key in planted["twice"]:  # it changed while it was listed
        vendor.twice[key] = vendor.records[key]
        vendor.records[key] = vendor.records[key][0] + timedelta(minutes=5), "changed and listed twice"
    for key in dice.sample(sorted(set(vendor.records) - {key for keys in planted.values() for key in keys}), 20):
        vendor.twice[key] = vendor.records[key]  # listed twice alike, which is no difference
    for key in planted["reused"]:  # deleted, and its key given to another one
        at = vendor.records[key][0]
        store(session, vendor, version(key, None, at + timedelta(seconds=1)))
        vendor.records[key] = at + timedelta(seconds=2), "another record"
    for key in planted["gone"]:
        del vendor.records[key]
    extra = [f"x{number}" for number in range(len(planted["extra"]))]  # a long day: there were never such records
    for key, like in zip(extra, planted["extra"], strict=True):
        store(session, vendor, version(key, "never there", vendor.records[like][0]))
    for key in planted["deleted here"]:
        store(session, vendor, version(key, None, vendor.records[key][0] + timedelta(seconds=1)))
    for key in planted["restored"]:  # they went back to a backup of theirs
        store(session, vendor, version(key, "newer", after(dice, vendor.records[key][0])))

    expected = {("missing here", key) for key in [*planted["missing"], *planted["short day"]]}
    for kind in ("changed", "moved", "twice", "reused"):
        expected |= {("changed there", key) for key in planted[kind]}
    expected |= {("gone there", key) for key in [*planted["gone"], *extra]}
    expected |= {("deleted here alone", key) for key in planted["deleted here"]}
    expected |= {("restored there", key) for key in planted["restored"]}
    assert len(expected) == PLANTED
    pages = compare_sources(session, vendor)
    assert found(pages) == expected
    assert {one.state for page in pages for one in page.found} == {"repaired"}
    there = {key: value for key, (_, value) in vendor.records.items()}
    assert {key: value for key, value in held(session, vendor).items() if value is not None} == there
    assert found(compare_sources(session, vendor)) == set()


@seeds
def test_sources_that_cannot_be_asked_for_single_records(session, vendor, seed):
    vendor.can_fetch = False
    dice = random.Random(seed)  # noqa: S311 - as above
    gone = dice.sample(sorted(vendor.records), PLANTED)
    for key in gone:
        del vendor.records[key]

    for _ in range(2):  # they are told until somebody has seen to it
        pages = compare_sources(session, vendor)
        assert found(pages) == {("not listed there", key) for key in gone}
        assert all("declare `deleted`" in one.text and one.state == "open" for page in pages for one in page.found)
    assert None not in held(session, vendor).values()


# --- LMSs ------------------------------------------------------------------------------------------------------------

JUNE = datetime(2026, 6, 1, 9, 0, tzinfo=UTC)
PEOPLE = [Person(str(number), email=f"p{number}@example.com") for number in range(160)]


class Moodle:
    """What an LMS says when it is asked."""

    name, site = "files", LMS

    def __init__(self) -> None:
        self.done: dict[str, datetime | None] = {}
        self.grades: dict[str, float | None] = {}
        self.failed = 0

    def owns(self, course: str) -> bool:
        return course == COURSE

    def completions(self, course: str) -> Iterator[list[Completion]]:
        assert course == COURSE
        for person in PEOPLE:
            grade = self.grades.get(person.id)
            yield [
                Completion(person, LESSON, self.done.get(person.id)),
                Completion(person, QUIZ, None, grade, JUNE if grade is not None else None, is_tracked=False),
            ]

    def resend(self, course: str) -> int:
        assert course == COURSE
        resent, self.failed = self.failed, 0
        return resent


@pytest.fixture
def moodle(company: Company, monkeypatch: pytest.MonkeyPatch) -> Moodle:
    """Of 160 people the first 110 completed a lesson; of these all tried a quiz twice, and the better one counts."""
    lms = Moodle()
    monkeypatch.setattr(reconciled, "LMS_TYPES", frozenset({"directory"}))
    monkeypatch.setattr(documents, "lms", lambda *_, **__: lms)
    company.change(
        "rules.yaml",
        "  - name: quiz\n",
        "  - {name: undone, when: \"verb.endsWith('/uncompleted')\", fact: uncompleted}\n  - name: quiz\n",
    )
    statements = []
    for person in PEOPLE[:110]:
        who = f"p{person.id}"
        statements += [done(who), scored(who, 4.0), scored(who, 6.0, at="2026-05-31T09:00:00Z")]
        lms.done[person.id], lms.grades[person.id] = JUNE, 0.6
    for person in PEOPLE[110:]:  # known by another lesson
        statements.append(_statement(f"p{person.id}", "completed", f"{LMS}/lesson/99", "2026-05-01T09:00:00Z"))
    company.post(*statements)
    company.run()
    return lms


@seeds
def test_lms(company, moodle, seed):
    dice = random.Random(seed)  # noqa: S311 - it chooses what differs
    clean, nothing = reconcile(Area.LMS)
    assert (clean.agreed, nothing) == (4 * len(PEOPLE), set())

    known = ("reset", "lowered", "raised", "taken back", "retake", "average")
    planted = shares(dice, range(110), known)
    lost = dice.sample(range(110, 160), 40)
    for number in planted["reset"]:
        moodle.done[str(number)] = None
    for number in planted["lowered"]:  # by hand
        moodle.grades[str(number)] = 0.25
    for number in planted["raised"]:
        moodle.grades[str(number)] = 0.9
    taken_back = [f"p{number}" for number in planted["taken back"]]
    company.post(*(_statement(who, "uncompleted", LESSON, "2026-07-01T09:00:00Z") for who in taken_back))
    for number in planted["retake"]:  # the last attempt counts now, of which a statement told
        moodle.grades[str(number)] = 0.4
    for number in planted["average"]:
        moodle.grades[str(number)] = 0.5
    for number in lost:  # no statement of theirs ever came
        moodle.done[str(number)], moodle.grades[str(number)] = JUNE, 0.7
    moodle.failed = 40
    company.work()

    def at(activity: str, numbers: Sequence[int]) -> list[str]:
        return [f"mbox:mailto:p{number}@example.com {activity}" for number in numbers]

    open_ = {("completed here alone", one) for one in at(LESSON, planted["reset"])}
    open_ |= {("graded lower there", one) for one in at(QUIZ, planted["lowered"])}
    open_ |= {("completion taken back by a statement", one) for one in at(LESSON, planted["taken back"])}
    repaired = {("completion without a statement", one) for one in at(LESSON, lost)}
    repaired |= {("grade without a statement", one) for one in at(QUIZ, [*planted["raised"], *lost])}
    assert len(open_ | repaired) >= PLANTED

    row, told = reconcile(Area.LMS)
    assert told == open_ | repaired
    assert (row.open, row.repaired) == (len(open_), len(repaired))
    assert row.note == f"{COURSE}; events that had failed and are sent again: 40"
    company.work()
    assert reconcile(Area.LMS)[1] == open_  # named until a person has seen to it

    # What had failed comes at last.
    company.post(*(done(f"p{number}") for number in lost), *(scored(f"p{number}", 7.0) for number in lost))
    company.work()
    row, told = reconcile(Area.LMS)
    assert told - open_ == {("statement came", one) for one in [*at(LESSON, lost), *at(QUIZ, lost)]}
    company.work()
    for number in planted["raised"]:  # and what was raised is lowered again
        moodle.grades[str(number)] = 0.6
    row, told = reconcile(Area.LMS)
    assert told - open_ == {("undone there", one) for one in at(QUIZ, planted["raised"])}
    company.work()
    assert reconcile(Area.LMS)[1] == open_


# --- identities ------------------------------------------------------------------------------------------------------

LEARNERS = 300
_FIRST = (
    "Ana",
    "Bela",
    "Chidi",
    "Dara",
    "Emil",
    "Fatou",
    "Goran",
    "Hana",
    "Ines",
    "Joost",
    "Kemal",
    "Lena",
    "Mei",
    "Noor",
)


def full_name(number: int) -> str:
    """A name that nobody else has."""
    return f"{_FIRST[number % len(_FIRST)]} Of{''.join(chr(97 + int(digit)) for digit in str(number))}"


class People:
    """Learners with an account of an LMS and a user of a CRM; each side has facts."""

    def __init__(self, session: Session) -> None:
        self.session, self.aliases, self.facts = session, [], []

    def add(self, key: str, name: str | None, *sides: tuple[str, str, str | None]) -> None:
        """Add a learner, if there is a name, with (alias, side, name of the alias)."""
        learner = None
        if name is not None:
            learner = Learner(key=key, name=name, name_key=name_key(name))
            self.session.add(learner)
        for alias, side, called in sides:
            one = Alias(key=alias, name=called)
            self.aliases.append((one, learner))
            self.facts.append((alias, side))

    def keep(self) -> None:
        self.session.flush()
        for alias, learner in self.aliases:
            alias.learner_id = learner.id if learner else None
            alias.rule = "roster hr" if learner else None
            self.session.add(alias)
        self.session.flush()
        for alias, side in self.facts:
            fact(self.session, alias, **({"kind": "completed"} if side == "learns" else {"metric": "won"}))


@seeds
def test_identities(session, seed):
    dice = random.Random(seed)  # noqa: S311 - it chooses what differs
    kinds = (
        "alias of nobody",
        "alias of two",
        "learning alone",
        "performance alone",
        "two that look like one",
        "one that looks like two",
    )
    planted = shares(dice, range(LEARNERS), kinds)
    which = {number: kind for kind, numbers in planted.items() for number in numbers}
    there, expected, suggested = People(session), set(), {}
    for number in range(LEARNERS):
        key, name = f"e{number}", full_name(number)
        lms, crm = (f"account:{number}", "learns", name), (f"crm:{number}", "performs", None)
        match which.get(number):
            case None:
                there.add(key, name, lms, crm)
            case "alias of nobody" | "alias of two" as kind:
                there.add(key, name, lms, crm)
                there.add("", None, (f"lost:{number}", "performs", name if dice.random() < 0.5 else None))
                expected.add((kind, f"lost:{number}"))
            case "learning alone" as kind:
                there.add(key, name, lms)
                expected.add((kind, key))
            case "performance alone" as kind:
                there.add(key, name, crm)
                expected.add((kind, key))
            case "two that look like one" as kind:
                there.add(key, name, lms)
                there.add(f"f{number}", " ".join(reversed(name.upper().split())), crm)
                expected.add((kind, f"{key} and f{number}"))
                suggested[f"{key} and f{number}"] = f"`lrs-bridge learner merge {key} f{number}`"
            case "one that looks like two" as kind:
                there.add(key, name, lms, (crm[0], "performs", "Wanda Quirk"))
                expected.add((kind, key))
                suggested[key] = f"`lrs-bridge learner split crm:{number}`"
    # Namesakes who have both sides, and other ways to write a name, are nothing to ask anybody about.
    for number in range(10):
        there.add(
            f"n{number}", "Jo Smith", (f"account:n{number}", "learns", "J. Smith"), (f"crm:n{number}", "performs", None)
        )
    there.keep()
    for number in planted["alias of two"]:
        session.execute(text("update alias set rule = 'contested' where key = :key"), {"key": f"lost:{number}"})
    assert len(expected) == PLANTED

    pages = list(identities.compare(session))

    assert found(pages) == expected
    told = {one.subject: one for page in pages for one in page.found}
    assert {one.state for one in told.values()} == {"open"}
    assert all(words in told[subject].text for subject, words in suggested.items())
    whole = LEARNERS - len(planted["learning alone"]) - len(planted["performance alone"])
    assert pages[1].agreed == whole - len(planted["two that look like one"]) + 10
    assert found(list(identities.compare(session))) == expected


def test_clean_identities(session):
    there = People(session)
    for number in range(LEARNERS):
        name = full_name(number)
        there.add(f"e{number}", name, (f"account:{number}", "learns", name), (f"crm:{number}", "performs", None))
    there.keep()

    pages = list(identities.compare(session))

    assert found(pages) == set()
    assert [page.agreed for page in pages] == [2 * LEARNERS, LEARNERS, 0]


def test_those_who_are_too_many_to_name_are_counted_by_kind(session, monkeypatch):
    monkeypatch.setattr(identities, "MOST_NAMED", 3)
    there = People(session)
    for number in range(10):
        there.add(f"e{number}", full_name(number), (f"account:{number}", "learns", None))
        there.add("", None, (f"lost:{number}", "performs", None))
    there.keep()
    row = kept.begin(session, Area.IDENTITIES, "everyone", now=NOW)

    for page in identities.compare(session):
        kept.note(session, row, page)

    assert row.kinds == {"alias of nobody": 10, "learning alone": 10}
    assert row.open == 20
    assert len(kept.differences(session, row)) == 6


def test_what_somebody_decided_is_no_difference_any_more(session):
    there = People(session)
    there.add("e1", "Ann Archer", ("account:1", "learns", "Ann Archer"), ("crm:1", "performs", "Wanda Quirk"))
    there.keep()
    assert found(list(identities.compare(session))) == {("one that looks like two", "e1")}

    session.execute(text("update alias set rule = 'override 3' where key = 'crm:1'"))

    assert found(list(identities.compare(session))) == set()
