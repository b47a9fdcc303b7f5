"""An LMS against its statements: what none of them said is filled in and marked, and taken back when one comes."""

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime

import pytest
from company import COURSE, LESSON, LMS, QUIZ, Company, done, scored
from sqlalchemy import text

from bridge import documents, jobs
from bridge.mapping import reconciled
from bridge.reconcile import running
from bridge.reconcile.kept import Area
from connectors import Completion, Person
from lrs import db

JUNE = datetime(2026, 6, 1, 9, 0, tzinfo=UTC)
ANN, BO = Person("11", email="ann@example.com"), Person("12", email="Bo@Example.com")


@dataclass
class Moodle:
    """What an LMS says when it is asked."""

    said: list[Completion] = field(default_factory=list)
    name: str = "files"
    site: str | None = LMS

    def owns(self, course: str) -> bool:
        return course.startswith(LMS)

    def completions(self, course: str) -> Iterator[list[Completion]]:
        assert course == COURSE
        for place in range(0, len(self.said), 2):
            yield self.said[place : place + 2]


@pytest.fixture
def moodle(company: Company, monkeypatch: pytest.MonkeyPatch) -> Moodle:
    lms = Moodle()
    monkeypatch.setattr(reconciled, "LMS_TYPES", frozenset({"directory"}))
    monkeypatch.setattr(documents, "lms", lambda *_, **__: lms)
    company.post(done("ann"), scored("ann", 6.0))
    company.run()
    return lms


def compare(company: Company) -> tuple[int, int, int, list[str]]:
    """Give (agreed, repaired, open, what was found), after the workers went on with it."""
    [row] = running.run([Area.LMS])
    found = list(
        db.session.scalars(
            text("select text from difference where reconciliation_id = :id order by id"), {"id": row.id}
        )
    )
    company.work()
    return row.agreed, row.repaired, row.open, found


def filled() -> list[tuple[str, str, float | None]]:
    """Give (kind, alias, value) of the facts that are marked."""
    return [
        tuple(row)
        for row in db.session.execute(
            text("""
                select kind, alias.key, value from counted_fact fact join alias on alias.id = fact.alias_id
                where detail ? 'reconciled' order by 1, 2
            """)
        )
    ]


def test_what_lms_and_statements_both_say_agrees(company, moodle):
    moodle.said = [Completion(ANN, LESSON, JUNE), Completion(ANN, QUIZ, None, 0.6, JUNE), Completion(BO, LESSON, None)]

    assert compare(company) == (6, 0, 0, [])
    assert filled() == []


def test_a_completion_that_no_statement_told_counts_and_is_marked(company, moodle):
    before = company.report().get("E2", {})
    moodle.said = [Completion(BO, LESSON, JUNE)]

    agreed, repaired, open_, [words] = compare(company)

    assert (agreed, repaired, open_) == (1, 1, 0)
    assert "no statement said so: filled in" in words
    assert filled() == [("completed", "mbox:mailto:bo@example.com", None)]
    assert before.get("completed_at") is None
    assert company.report()["E2"]["completed_at"] == "2026-06-01T09:00:00Z"
    assert db.session.scalar(text("select count(*) from statement")) == 2  # none was invented
    assert compare(company)[1:3] == (0, 0)  # and the next comparison agrees


def test_nothing_is_told_of_who_was_erased(company, moodle, lrs_bridge):
    assert lrs_bridge("erase", "E2", "--yes").exit_code == 0
    moodle.said = [Completion(BO, LESSON, JUNE), Completion(ANN, LESSON, JUNE)]

    assert compare(company) == (2, 0, 0, [])
    assert filled() == []


def test_a_grade_above_all_scores_is_filled_in(company, moodle):
    moodle.said = [Completion(ANN, QUIZ, None, 0.9, JUNE)]

    _, repaired, _, [words] = compare(company)

    assert (repaired, words) == (1, "Graded 90% there, 60% here; filled in.")
    assert company.report()["E1"]["best_score"] == 0.9
    assert compare(company)[1:3] == (0, 0)


def test_what_was_filled_in_is_taken_back_when_the_statement_comes(company, moodle):
    moodle.said = [Completion(BO, LESSON, JUNE), Completion(BO, QUIZ, None, 0.8, JUNE)]
    assert compare(company)[1] == 2
    company.post(done("bo"), scored("bo", 8.0))
    company.work()
    attempts = company.report()["E2"]["attempts"]

    _, repaired, open_, found = compare(company)

    assert (repaired, open_) == (2, 0)
    assert set(found) == {"The statement has come; what was filled in is taken back."}
    assert filled() == []
    assert company.report()["E2"]["attempts"] == attempts - 1  # the marked one was counted until then
    assert compare(company)[1:3] == (0, 0)


def test_what_the_lms_undoes_is_taken_back(company, moodle):
    moodle.said = [Completion(BO, LESSON, JUNE)]
    compare(company)
    moodle.said = [Completion(BO, LESSON, None)]

    assert compare(company)[3] == ["Not completed there any more; what was filled in is taken back."]
    assert filled() == []


def test_what_only_statements_say_is_for_a_person(company, moodle):
    moodle.said = [Completion(ANN, LESSON, None)]

    _, repaired, open_, [words] = compare(company)

    assert (repaired, open_) == (0, 1)
    assert "may have been reset" in words
    assert company.report()["E1"]["completed_at"] is not None


def test_a_hundred_planted_differences_are_found_and_nothing_else(company, moodle):
    people = [Person(str(number), email=f"p{number}@example.com") for number in range(140)]
    company.post(*(done(f"p{number}") for number in range(100)), *(scored(f"p{number}", 5.0) for number in range(100)))
    company.work()
    moodle.said = [one for person in people[:100] for one in (Completion(person, LESSON, JUNE), graded(person, 0.5))]
    assert compare(company) == (400, 0, 0, [])
    for person in people[100:130]:  # statements that never came
        moodle.said.append(Completion(person, LESSON, JUNE))
    for person in people[100:125]:
        moodle.said.append(graded(person, 0.7))
    for number in range(25):  # graded anew there, and no statement said so
        moodle.said[2 * number + 1] = graded(people[number], 0.9)
    for number in range(30, 50):  # reset there
        moodle.said[2 * number] = Completion(people[number], LESSON, None)

    agreed, repaired, open_, found = compare(company)

    assert (repaired, open_) == (80, 20)
    assert agreed == 2 * len(moodle.said) - 100
    assert len(filled()) == 80
    assert sum("may have been reset" in words for words in found) == 20
    assert compare(company)[1:3] == (0, 20)


def graded(person: Person, score: float) -> Completion:
    return Completion(person, QUIZ, None, score, JUNE, is_tracked=False)


def test_a_rebuild_gives_what_was_filled_in_again(company, moodle, lrs_bridge):
    moodle.said = [Completion(BO, LESSON, JUNE)]
    compare(company)
    before = company.report()

    assert lrs_bridge("rebuild").exit_code == 0
    company.work()

    assert company.report() == before
    assert filled() == [("completed", "mbox:mailto:bo@example.com", None)]


def test_provenance_says_that_it_was_reconciled(company, moodle, lrs_bridge):
    moodle.said = [Completion(BO, LESSON, JUNE)]
    compare(company)

    told = json.loads(lrs_bridge("provenance", "calm-calls", "E2", "--json").output)

    assert "lms:reconciled" in json.dumps(told)


def test_rules_of_those_without_an_lms_stay_as_they_are(company):
    company.run()
    current = documents.current(db.session)

    assert current is not None
    assert not {rule.document for rule in current.rules} & {reconciled.SOURCE}
    jobs.map_items()
