"""Gradebook columns kept in step with a Canvas that throttles, fails, and whose teachers and students come and go."""

import json
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from canvas_site import SHARD, TOKEN, URL, CanvasSite
from helpdesk import FakeClock

from connectors import (
    ConfigError,
    DestinationRefused,
    DestinationUnavailable,
    Outcome,
    OutgoingRow,
    RowDestination,
    load_destination,
)
from connectors.canvas import PROGRESS_SECONDS
from connectors.destinations import canvas as module
from connectors.destinations.postings import MOST_FAILURES

LEVEL, TIMES, NEXT = (one["title"] for one in module._DEFAULT)
COURSE = {"course": "565", "program": "sales"}


def user(number: int | str, **known: Any) -> dict[str, Any]:
    accounts = [{"home_page": URL, "name": str(number)}]
    return {"accounts": accounts, "emails": [], "idnumber": None, "username": None, "name": "N", **known}


def row(number: int, version: int = 1, *, program: str = "sales", who: Any = None, **body: Any) -> OutgoingRow:
    body = {"highest_tier_name": "Decides right", "uses_since": number, "next_practice": None, **body}
    key, checksum = f"{number:032x}/{program}", f"{number:060x}{version:04x}"
    return OutgoingRow("records", key, version, checksum, False, user(number) if who is None else who, body)


def gone(number: int, version: int = 2, *, program: str = "sales") -> OutgoingRow:
    return OutgoingRow("records", f"{number:032x}/{program}", version, f"{version:064x}", True, None, {})


@pytest.fixture
def site() -> Iterator[CanvasSite]:
    with CanvasSite(FakeClock()).online() as made:
        yield made


def outcomes(answers: Any) -> dict[int, Outcome]:
    return {int(one.key.partition("/")[0], 16): one.outcome for one in answers}


def held(there: RowDestination, feed: str = "records") -> dict[str, tuple[int, str]]:
    return {one.key: (one.version, one.checksum) for one in there.held(feed)}


def expected(rows: Any) -> dict[str, tuple[int, str]]:
    return {one.key: (one.version, one.checksum) for one in rows}


# --- what stands in the gradebook ------------------------------------------------------------------------------------


def test_columns_are_made_once_and_hold_what_the_rows_say(site):
    book = site.course(565, students=3)
    there = site.destination()
    rows = [row(1), row(2, next_practice="Call one customer."), row(3, highest_tier_name=None)]

    assert set(outcomes(there.send(rows)).values()) == {Outcome.STORED}
    site.destination().send(rows)

    assert book.shown() == [LEVEL, TIMES, NEXT]
    assert book.cells(LEVEL) == {1: "Decides right", 2: "Decides right"}
    assert book.cells(TIMES) == {1: "1", 2: "2", 3: "3"}
    assert book.cells(NEXT) == {2: "Call one customer."}
    assert len(book.columns) == 4
    assert all(one["read_only"] for one in book.columns.values())
    assert held(there) == expected(rows)


def test_value_that_went_away_takes_its_cell_along(site):
    book = site.course(565, students=1)
    there = site.destination()
    there.send([row(1, next_practice="Call one customer.")])

    there.send([row(1, 2, next_practice=None)])

    assert book.cells(NEXT) == {}
    assert book.cells(TIMES) == {1: "1"}


def test_row_that_is_gone_is_found_without_user_and_body(site):
    book = site.course(565, students=2)
    site.destination().send([row(1), row(2)])
    there = site.destination()

    assert outcomes(there.send([gone(1)])) == {1: Outcome.DELETED}
    assert outcomes(there.send([gone(1), gone(9)])) == {1: Outcome.DELETED, 9: Outcome.DELETED}

    assert {student for _, student in book.data} == {2}
    assert held(there) == expected([row(2)])


def test_older_version_changes_nothing_and_the_same_mends_what_was_changed(site):
    book = site.course(565, students=1)
    there = site.destination()
    there.send([row(1, 5, uses_since=7)])

    assert outcomes(there.send([row(1, 4)])) == {1: Outcome.UNCHANGED}
    assert book.cells(TIMES) == {1: "7"}

    book.data[book.column(TIMES), 1] = "a teacher's word"
    assert held(there) == {row(1).key: (5, "changed")}
    assert outcomes(there.send([row(1, 5, uses_since=7)])) == {1: Outcome.STORED}
    assert held(there) == expected([row(1, 5)])


def test_cells_say_things_as_people_do_and_are_no_formulas(site):
    book = site.course(565, students=1)
    columns = [
        {"title": "Best", "value": "best_score"},
        {"title": "Rate", "value": "rate_since"},
        {"title": "Done", "value": "completed_at"},
        {"title": "Next", "value": "next_practice"},
        {"title": "Team", "value": "team"},
    ]
    there = site.destination(courses=[COURSE | {"columns": columns}])

    there.send(
        [
            row(
                1,
                best_score=0.853,
                rate_since=2.50,
                completed_at="2026-10-30T13:38:00.218Z",
                next_practice="x" * 300,
                team='=HYPERLINK("http://evil")',
            )
        ]
    )

    assert book.cells("Best") == {1: "85 %"}
    assert book.cells("Rate") == {1: "2.5"}
    assert book.cells("Done") == {1: "2026-10-30"}
    assert book.cells("Next") == {1: "x" * 254 + "…"}
    assert book.cells("Team")[1].startswith("'=")
    assert held(there) == expected([row(1)])


def test_measures_and_readiness_have_columns_of_their_own(site):
    book = site.course(565, students=1)
    columns = [
        {"title": "Minutes since", "feed": "measures", "metric": "minutes", "value": "since_mean"},
        {"title": "Ready to object", "feed": "readiness", "skill": "objections", "value": "state"},
    ]
    there = site.destination(courses=[COURSE | {"columns": columns}])
    learner = f"{1:032x}"
    minutes = replace(row(1), feed="measures", key=f"{learner}/sales/minutes", body={"since_mean": 12.0})
    other = replace(minutes, key=f"{learner}/sales/other")
    ready = replace(row(1), feed="readiness", key=f"{learner}/objections", body={"state": "not yet"})

    assert there.feeds == ("readiness", "measures")
    assert [one.outcome for one in there.send([minutes, other])] == [Outcome.STORED, Outcome.LEFT_OUT]
    assert [one.outcome for one in there.send([ready])] == [Outcome.STORED]

    assert book.cells("Minutes since") == {1: "12"}
    assert book.cells("Ready to object") == {1: "not yet"}
    assert held(there, "measures") == expected([minutes])
    assert held(there, "readiness") == expected([ready])
    assert held(there, "records") == {}


def test_a_program_may_be_shown_in_several_courses_and_a_course_show_several(site):
    first, second = site.course(565, students=2), site.course(566, students=3)
    there = site.destination(
        courses=[
            COURSE,
            {"course": "sis_course_id:C-566", "program": "sales"},
            {"course": "566", "program": "care", "columns": [{"title": "Care", "value": "uses_since"}]},
        ]
    )
    rows = [row(1), row(3), row(1, program="care"), row(4)]

    answers = there.send(rows)

    assert [one.outcome for one in answers] == [Outcome.STORED] * 3 + [Outcome.LEFT_OUT]
    assert first.cells(TIMES) == {1: "1"}
    assert second.cells(TIMES) == {1: "1", 3: "3"}
    assert second.cells("Care") == {1: "1"}
    assert held(there) == expected(rows[:3])
    assert there.programs == ("sales", "care")

    second.data[second.column(TIMES), 1] = "other"
    assert held(there)[rows[0].key] == (1, "changed")


# --- who is who ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("who", "found"),
    [
        (user(2), True),
        (user(f"{SHARD}0000000000002"), True),  # as Live Events name people
        (user("99990000000000002"), False),  # of another shard
        (user("x", accounts=[{"home_page": "https://other.example", "name": "2"}]), False),
        (user("x", accounts=[{"home_page": f"{URL}/", "name": "2"}]), True),
        (user("x", idnumber="E2"), True),
        (user("x", username="S2"), True),
        (user("x", emails=["s2@example.COM"]), True),
        (user("x", emails=["s2@example.com", "s1@example.com"]), False),  # two of them
        (user("x", emails=["s1@example.com"], idnumber="E2"), True),  # the surer one counts
        (user("x", idnumber="e2"), False),
        ({}, False),
    ],
)
def test_student_is_found_by_account_sis_id_login_or_one_email(site, who, found):
    book = site.course(565, students=3)

    (answer,) = site.destination().send([row(2, who=who)])

    assert answer.outcome is (Outcome.STORED if found else Outcome.LEFT_OUT)
    assert book.data == {} if not found else {student for _, student in book.data} == {2}


def test_shard_is_asked_for_once(site):
    site.course(565, students=9)

    site.destination().send([row(n, who=user(f"{SHARD}{n:013d}")) for n in range(1, 10)])

    assert site.asked.count(f"GET /api/v1/courses/{SHARD}0000000000565") == 1


def test_nobody_is_written_to_for_an_email_that_two_students_have(site):
    book = site.course(565, students=1)
    site.enrol(book, 2, email="s1@example.com")

    (answer,) = site.destination().send([row(1, who=user("x", emails=["s1@example.com"]))])

    assert answer.outcome is Outcome.LEFT_OUT


def test_who_joins_later_is_written_when_the_row_comes_again(site):
    book = site.course(565, students=1)
    there = site.destination()
    assert outcomes(there.send([row(5)])) == {5: Outcome.LEFT_OUT}
    assert held(there) == {}

    site.enrol(book, 5)
    site.clock.move(hours=1)

    assert outcomes(there.send([row(5)])) == {5: Outcome.STORED}


def test_learner_who_turns_out_to_be_another_student_moves(site):
    book = site.course(565, students=2)
    there = site.destination()
    there.send([row(1)])

    there.send([row(1, 2, who=user(2))])

    assert {student for _, student in book.data} == {2}
    assert held(there) == expected([row(1, 2)])


def test_two_learners_who_change_places_end_up_right(site):
    book = site.course(565, students=2)
    there = site.destination()
    there.send([row(1), row(2)])
    swapped = [row(1, 2, who=user(2), uses_since=11), row(2, 2, who=user(1), uses_since=22)]

    for _ in range(3):  # where one stands in the other's place, it comes again
        there.send(swapped)

    assert book.cells(TIMES) == {1: "22", 2: "11"}
    assert held(there) == expected(swapped)


def test_two_learners_who_are_one_student_do_not_write_over_each_other(site):
    book = site.course(565, students=1)
    there = site.destination()

    first = there.send([row(1), row(2, who=user(1))])
    again = there.send([row(2, 2, who=user(1)), row(1, 2)])

    assert outcomes(first) == outcomes(again) == {1: Outcome.STORED, 2: Outcome.LEFT_OUT}
    assert "Two learners are one student" in str(first[1].message)
    assert book.cells(TIMES) == {1: "1"}


# --- columns that others touch ---------------------------------------------------------------------------------------


def test_column_that_a_teacher_deleted_is_made_again(site, caplog):
    book = site.course(565, students=2)
    there = site.destination()
    rows = [row(1), row(2)]
    there.send(rows)
    site.delete_column(book, TIMES)
    assert {checksum for _, checksum in held(there).values()} == {"changed"}

    there.send(rows)

    assert sorted(book.shown()) == sorted([LEVEL, TIMES, NEXT])
    assert book.cells(TIMES) == {1: "1", 2: "2"}
    assert held(there) == expected(rows)
    assert f"The column {TIMES!r} of course 565 was deleted" in caplog.text


def test_or_not_made_again_and_told_where_the_document_says_so(site):
    book = site.course(565, students=2)
    there = site.destination(recreate=False)
    rows = [row(1), row(2)]
    there.send(rows)
    site.delete_column(book, TIMES)

    answers = there.send(rows)
    there.send(rows)

    assert book.shown() == [LEVEL, NEXT]
    assert {one.outcome for one in answers} == {Outcome.STORED}
    assert f"somebody deleted {TIMES!r}" in str(answers[0].message)
    assert held(there) == expected(rows)


def test_hidden_ledger_that_was_deleted_is_made_again_without_doubles(site):
    book = site.course(565, students=1)
    there = site.destination()
    there.send([row(1)])
    ledger = next(one for one in book.columns.values() if one["hidden"])
    ledger["deleted"] = True
    assert held(there) == {}

    there.send([row(1)])

    assert sorted(book.shown()) == sorted([LEVEL, TIMES, NEXT])
    assert held(there) == expected([row(1)])


def test_column_deleted_while_it_is_written_to_is_noticed(site):
    book = site.course(565, students=2)
    there = site.destination()
    there.send([row(1)])

    def delete(request: Any) -> None:
        if request.method == "PUT" and "column_data" in str(request.url):
            site.before = lambda _request: None
            site.delete_column(book, TIMES)

    site.before = delete
    rows = [row(1, 2), row(2, 2)]
    assert set(outcomes(there.send(rows)).values()) == {Outcome.STORED}

    assert book.cells(TIMES) == {1: "1", 2: "2"}
    assert held(there) == expected(rows)


def test_columns_that_never_stay_are_given_up_for_now(site):
    book = site.course(565, students=1)

    def delete(request: Any) -> None:
        if request.method == "PUT" and "column_data" in str(request.url):
            site.delete_column(book, TIMES)

    site.before = delete

    with pytest.raises(DestinationUnavailable, match="go away while"):
        site.destination().send([row(1)])


def test_a_teachers_own_column_of_the_same_title_is_never_touched(site):
    book = site.course(565, students=1)
    book.columns[7] = {"title": TIMES, "hidden": False, "read_only": False, "deleted": False}
    book.data[7, 1] = "my own notes"

    site.destination().send([row(1)])

    assert book.data[7, 1] == "my own notes"
    assert book.shown().count(TIMES) == 2


def test_column_that_somebody_renamed_is_still_ours(site):
    book = site.course(565, students=1)
    there = site.destination()
    there.send([row(1)])
    book.columns[book.column(TIMES)]["title"] = "Uses"

    there.send([row(1, 2, uses_since=5)])

    assert book.cells("Uses") == {1: "5"}
    assert len(book.shown()) == 3


def test_column_that_a_teacher_hides_or_opens_stays_so_and_is_kept_in_step(site):
    book = site.course(565, students=3)
    there = site.destination()
    there.send([row(1), row(2)])
    book.columns[book.column(TIMES)] |= {"hidden": True, "read_only": False}

    there.send([row(1, 2, uses_since=9), row(3)])

    assert book.cells(TIMES) == {1: "9", 2: "2", 3: "3"}
    assert TIMES not in book.shown()
    assert held(there) == expected([row(1, 2), row(2), row(3)])
    book.data[book.column(TIMES), 2] = "mine"  # what a teacher writes into it is a difference
    assert held(there)[row(2).key] == (1, "changed")


def test_column_that_the_document_has_no_more_goes_and_a_new_one_comes(site):
    book = site.course(565, students=1)
    site.destination().send([row(1)])
    columns = [{"title": LEVEL, "value": "highest_tier_name"}, {"title": "Team", "value": "team", "hidden": True}]
    there = site.destination(courses=[COURSE | {"columns": columns}])
    assert held(there)[row(1).key] == (1, "changed")

    there.send([row(1, team="North")])

    assert book.shown() == [LEVEL]
    assert book.cells("Team") == {1: "North"}
    assert held(there) == expected([row(1)])


def test_what_no_part_of_the_document_shows_any_more_goes_with_its_ledger(site):
    book = site.course(565, students=2)
    other = site.destination(name="second")
    other.send([row(1)])
    site.destination().send([row(1), row(2)])
    there = site.destination(courses=[{"course": "565", "program": "care"}])

    assert outcomes(there.send([gone(1)])) == {1: Outcome.DELETED}

    assert book.shown() == [LEVEL, TIMES, NEXT]  # those of the second
    assert len([one for one in book.columns.values() if not one["deleted"]]) == 4
    assert held(other) == expected([row(1)])


def test_course_that_is_refused_is_told_also_when_only_rows_are_gone(site):
    site.course(565).refused = 404

    (answer,) = site.destination().send([gone(1, program="old")])

    assert (answer.outcome, "Course 565" in str(answer.message)) == (Outcome.REFUSED, True)


def test_two_destinations_in_one_course_leave_each_other_alone(site):
    book = site.course(565, students=1)
    one, other = site.destination(), site.destination(name="second")

    one.send([row(1)])
    other.send([row(1, 9, uses_since=99)])
    one.send([row(1, 2)])

    assert book.shown().count(TIMES) == 2
    assert held(one) == expected([row(1, 2)])
    assert held(other) == expected([row(1, 9)])


@pytest.mark.parametrize("requests", range(1, 14))
def test_killed_after_any_request_and_done_again_it_is_as_if_done_once(site, requests):
    book = site.course(565, students=2)

    class Killed(BaseException):
        """The process is no more."""

    def kill(_request: Any) -> None:
        if len(site.requests) > requests:
            raise Killed

    site.before = kill
    with suppress(Killed):
        site.destination().send([row(1), row(2)])
    site.before = lambda _request: None
    there = site.destination()
    there.send([row(1), row(2)])

    assert sorted(book.shown()) == sorted([LEVEL, TIMES, NEXT])
    assert len([one for one in book.columns.values() if not one["deleted"]]) == 4
    assert book.cells(TIMES) == {1: "1", 2: "2"}
    assert held(there) == expected([row(1), row(2)])


# --- jobs ------------------------------------------------------------------------------------------------------------


def test_progress_is_looked_at_later_and_later(site):
    site.course(565, students=1)
    site.looks = 5

    site.destination().send([row(1)])

    assert site.clock.slept == [0.5, 1.0, 2.0, 4.0, 8.0]


def test_job_that_takes_too_long_is_looked_at_another_time(site):
    book = site.course(565, students=1)
    site.looks = 10_000

    with pytest.raises(DestinationUnavailable, match="after 1"):
        site.destination().send([row(1)])
    assert sum(site.clock.slept) <= PROGRESS_SECONDS + 10

    site.looks = 1
    site.destination().send([row(1)])
    assert book.cells(TIMES) == {1: "1"}


@pytest.mark.parametrize("after", [0, 1, 5, 7])
def test_job_that_fails_half_way_is_made_again(site, after):
    book = site.course(565, students=4)
    site.failing.append(after)
    there = site.destination()
    rows = [row(n) for n in range(1, 5)]

    assert set(outcomes(there.send(rows)).values()) == {Outcome.STORED}

    assert len(site.jobs) == 2
    assert book.cells(TIMES) == {n: str(n) for n in range(1, 5)}
    assert held(there) == expected(rows)


def test_one_row_that_canvas_cannot_take_keeps_no_other_out(site):
    book = site.course(565, students=60)
    site.poison = {37}
    there = site.destination()

    found = outcomes(there.send([row(n) for n in range(1, 61)]))

    assert found == {n: Outcome.REFUSED if n == 37 else Outcome.STORED for n in range(1, 61)}
    assert set(book.cells(TIMES)) == {*range(1, 61)} - {37}
    assert held(there) == expected([row(n) for n in range(1, 61) if n != 37])


def test_jobs_that_all_fail_are_canvass_trouble_and_no_rows_fault(site):
    site.course(565, students=100)
    site.poison = {*range(1, 101)}

    with pytest.raises(DestinationUnavailable, match="again and again"):
        site.destination().send([row(n) for n in range(1, 101)])

    assert len(site.jobs) == MOST_FAILURES + 1


def test_after_failing_nothing_is_taken_for_written(site):
    book = site.course(565, students=1)
    there = site.destination()
    site.poison = {1}
    (answer,) = there.send([row(1)])
    assert answer.outcome is Outcome.REFUSED

    site.poison = set()
    assert outcomes(there.send([row(1)])) == {1: Outcome.STORED}
    assert book.cells(TIMES) == {1: "1"}


def test_students_who_left_since_hold_up_nobody(site):
    book = site.course(565, students=60)
    there = site.destination()
    there.send([row(n) for n in range(1, 61)])
    for number in range(3, 60, 3):
        del book.students[number]

    found = outcomes(there.send([row(n, 2) for n in range(1, 61)]))

    assert found == {n: Outcome.STORED if n in book.students else Outcome.LEFT_OUT for n in range(1, 61)}
    assert held(there) == expected([row(n, 2) for n in book.students])


def test_student_whom_canvas_shows_and_does_not_let_us_write_to_is_left_out(site):
    book = site.course(565, students=4)
    there = site.destination()

    def leave(request: Any) -> None:
        if _is_bulk(request):
            book.students.pop(2, None)
        else:
            site.enrol(book, 2)

    site.before = leave

    found = outcomes(there.send([row(n) for n in range(1, 5)]))

    assert found == {n: Outcome.LEFT_OUT if n == 2 else Outcome.STORED for n in range(1, 5)}


def test_what_was_to_be_cleared_and_was_not_is_cleared_the_next_time(site):
    book = site.course(565, students=1)
    there = site.destination()
    there.send([row(1)])
    site.looks = 10_000
    with pytest.raises(DestinationUnavailable):
        there.send([gone(1)])

    site.looks = 1
    there.send([replace(gone(1), user=user(1))])

    assert book.data == {}


def test_five_thousand_students(site):
    book = site.course(565, students=5_000)
    site.cost = 2.0
    there = site.destination()
    rows = [row(n, next_practice=f"Practise {n}.") for n in range(1, 5_001)]

    for begin in range(0, 5_000, there.batch):
        assert set(outcomes(there.send(rows[begin : begin + there.batch])).values()) == {Outcome.STORED}

    assert book.cells(TIMES) == {n: str(n) for n in range(1, 5_001)}
    assert book.cells(NEXT) == {n: f"Practise {n}." for n in range(1, 5_001)}
    assert held(there) == expected(rows)
    assert site.throttled == 0
    assert site.asked.count("GET /api/v1/courses/565/users") == 50  # once, by pages of 100
    assert max(len(json.loads(one.body)["column_data"]) for one in site.requests if _is_bulk(one)) <= 1_000


def _is_bulk(request: Any) -> bool:
    return request.method == "PUT" and str(request.url).endswith("custom_gradebook_column_data")


# --- throttling and refusals -----------------------------------------------------------------------------------------


def test_room_that_gets_short_is_waited_for(site):
    site.course(565, students=1)
    site.cost = 130.0

    site.destination().send([row(1)])

    assert site.throttled == 0
    assert any(seconds > 1 for seconds in site.clock.slept)


@pytest.mark.parametrize(
    "reply",
    [
        (403, {"Content-Type": "text/plain", "X-Rate-Limit-Remaining": "0.0"}, "403 Forbidden (Rate Limit Exceeded)\n"),
        (429, {"Content-Type": "text/plain"}, "429 Forbidden (Rate Limit Exceeded)\n"),
        (503, {}, ""),
    ],
    ids=["403", "429", "503"],
)
def test_throttled_request_is_made_again(site, reply):
    book = site.course(565, students=1)
    site.faults.extend([None, reply, None, reply, reply])

    assert outcomes(site.destination().send([row(1)])) == {1: Outcome.STORED}
    assert book.cells(TIMES) == {1: "1"}


def test_throttling_without_end_says_when_to_come_back(site):
    site.course(565, students=1)
    reply = (403, {"Content-Type": "text/plain"}, "403 Forbidden (Rate Limit Exceeded)\n")
    site.faults.extend([reply] * 10)

    with pytest.raises(DestinationUnavailable) as raised:
        site.destination().send([row(1)])

    assert raised.value.retry_after == 20


def test_half_of_all_requests_fail_and_in_the_end_all_is_there(site):
    book = site.course(565, students=30)
    rows = [row(n) for n in range(1, 31)]
    number = iter(range(10**6))

    def fail(_request: Any) -> None:
        if next(number) % 2:
            site.faults.append((500, {}, "no"))

    site.before = fail
    for _ in range(5):
        try:
            answers = site.destination().send(rows)
        except DestinationUnavailable:
            continue
        break
    site.before = lambda _request: None

    assert set(outcomes(answers).values()) == {Outcome.STORED}
    assert book.cells(TIMES) == {n: str(n) for n in range(1, 31)}
    assert len(book.shown()) == 3


def test_token_that_is_no_good_stops_everything(site):
    site.course(565, students=1)
    site.token = "another"

    for attempt in (lambda: site.destination().send([row(1)]), lambda: list(site.destination().held("records"))):
        with pytest.raises(DestinationRefused, match="401") as raised:
            attempt()
        assert TOKEN not in str(raised.value)


@pytest.mark.parametrize("status", [401, 403, 404])
def test_course_that_is_refused_keeps_no_other_out(site, status):
    site.course(565, students=1).refused = status
    other = site.course(566, students=1)
    there = site.destination(courses=[COURSE, {"course": "566", "program": "care"}])

    answers = there.send([row(1), row(1, program="care")])

    assert [one.outcome for one in answers] == [Outcome.REFUSED, Outcome.STORED]
    assert "Course 565: " in str(answers[0].message)
    assert other.cells(TIMES) == {1: "1"}


def test_next_page_elsewhere_is_not_followed(site):
    site.course(565, students=1)
    link = {"Link": '<https://evil.example/api/v1/x?page=2>; rel="next"', "Content-Type": "application/json"}
    site.faults.extend([None, (200, link, "[]")])

    with pytest.raises(DestinationRefused, match="not on a host"):
        site.destination().send([row(1)])


def test_pages_in_circles_end(site):
    site.course(565, students=1)
    link = {"Link": f'<{URL}/api/v1/courses/565/users?page=x>; rel="next"', "Content-Type": "application/json"}
    site.faults.extend([None, *[(200, link, "[]")] * 5])

    with pytest.raises(DestinationUnavailable, match="circles"):
        site.destination().send([row(1)])


def test_page_to_log_in_is_no_answer(site):
    site.faults.append((200, {"Content-Type": "text/html"}, "<html>"))

    with pytest.raises(DestinationRefused, match="not with JSON"):
        site.destination().send([row(1)])


def test_nothing_of_learners_is_logged(site, caplog):
    caplog.set_level("DEBUG")
    book = site.course(565, students=2)
    there = site.destination()
    there.send([row(1, next_practice="Talk to Ana.")])
    site.delete_column(book, TIMES)
    site.poison = {2}
    there.send([row(1, 2), row(2, 2)])

    assert "Ana" not in caplog.text
    assert TOKEN not in caplog.text
    assert "@" not in caplog.text


# --- the document ----------------------------------------------------------------------------------------------------


def columns(*declared: dict[str, Any]) -> dict[str, Any]:
    return {"courses": [COURSE | {"columns": list(declared)}]}


@pytest.mark.parametrize(
    ("keys", "place", "told"),
    [
        ({"url": "http://acme.example"}, ("url",), "in the clear"),
        ({"url": f"{URL}/api/v1"}, ("url",), "the interface's address"),
        ({"auth": {"type": "basic"}}, ("auth", "type"), "no type 'basic'"),
        ({"auth": {"type": "bearer", "token": "7~abc"}}, ("auth", "token"), "A secret does not stand"),
        ({"courses": []}, ("courses",), "No course"),
        ({"courses": [{"course": 565, "program": "sales"}]}, ("courses", 0, "course"), "not a text"),
        ({"courses": [{"course": "x", "program": "sales"}]}, ("courses", 0, "course"), "no course"),
        ({"courses": [COURSE, COURSE]}, ("courses", 1, "columns"), "twice"),
        (columns({"title": "A", "value": "wrong"}), ("courses", 0, "columns", 0, "value"), "have no 'wrong'"),
        (columns({"title": "A", "feed": "impacts", "value": "x"}), ("courses", 0, "columns", 0, "feed"), "one learner"),
        (columns({"title": "A", "feed": "measures", "value": "unit"}), ("courses", 0, "columns", 0, "metric"), "Which"),
        (
            columns({"title": "A", "value": "team", "skill": "x"}),
            ("courses", 0, "columns", 0, "skill"),
            "have no skill",
        ),
        (
            {"courses": [COURSE, {"course": "565", "program": "care"}]},
            ("courses", 1, "columns"),
            "are called 'On the job",
        ),
        (
            columns({"title": "A", "value": "team"}, {"title": "A", "value": "role"}),
            ("courses", 0, "columns"),
            "are called 'A'",
        ),
        (columns(*({"title": str(n), "value": "team"} for n in range(7))), ("courses", 0, "columns"), "more than 6"),
        (columns({"title": "A" * 256, "value": "team"}), ("courses", 0, "columns", 0, "title"), "too long"),
        ({"recreate": "no"}, ("recreate",), "neither true nor false"),
    ],
)
def test_fault_in_the_document_is_told_with_its_place(site, keys, place, told):
    with pytest.raises(ConfigError) as refused:
        site.destination(**keys)

    assert refused.value.path == place
    assert told in refused.value.text


def test_refresh_token_of_a_developer_key_is_a_way_in():
    made = load_destination(
        {
            "kind": "destination",
            "name": "canvas",
            "type": "canvas",
            "url": URL,
            "auth": {
                "type": "refresh_token",
                "token_url": f"{URL}/login/oauth2/token",
                "client_id": "10000000000001",
                "client_secret": {"secret": "canvas-key"},
                "refresh_token": {"secret": "canvas-refresh"},
            },
            "courses": [COURSE],
        },
        base=Path("/base"),
    )

    assert isinstance(made, RowDestination)
    assert made.site == URL
