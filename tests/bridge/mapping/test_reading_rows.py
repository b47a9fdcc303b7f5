"""How performance documents and rosters read one row."""

from datetime import UTC, datetime

import pytest

from bridge.mapping import Failure, PerformanceFact, RosterEntry, read_record, read_roster

TICKETS = """\
kind: performance
name: tickets
source: desk
{more}metrics:
  - name: hours
    family: duration
    direction: down
    owner: row.owner
    occurred_at: row.closed
    value: hours(row.closed, row.opened)
  - name: in_time
    family: binary
    direction: up
    when: row.due != null
    owner: row.owner
    occurred_at: row.closed
    value: row.closed <= row.due
"""
ROW = {
    "owner": 17,
    "state": "done",
    "opened": "2026-10-05T08:00:00Z",
    "closed": "2026-10-05T10:00:00Z",
    "due": "2026-10-06T00:00:00Z",
}
PEOPLE = """\
kind: source
name: hr
type: csv
---
kind: source
name: desk
type: csv
---
kind: identity
name: people
rosters:
  - source: hr
    learner: row.number
    name: row.name
    attributes: {team: row.team, manager: row.manager}
    aliases:
      - account: {home_page: "'https://lms'", name: row.lms_id}
      - mbox: row.mail
      - mbox_sha1sum: row.hash
      - openid: row.openid
      - user: {source: desk, id: row.desk_id}
"""


@pytest.fixture
def read(load):
    def read_with(more="", **changes):
        documents = load(TICKETS.replace("{more}", more))
        return read_record(documents.performance_of("desk"), ROW | changes)

    return read_with


def test_each_metric_gives_a_value_with_its_owner_and_time(read):
    at = datetime(2026, 10, 5, 10, tzinfo=UTC)

    assert read().facts == [
        PerformanceFact("tickets/hours", "hours", "user:desk|17", at, 2.0),
        PerformanceFact("tickets/in_time", "in_time", "user:desk|17", at, 1.0),
    ]


def test_a_condition_of_the_document_stands_for_all_metrics(read):
    assert read("when: row.state == 'open'\n").facts == []
    assert len(read("when: row.state == 'done'\n").facts) == 2


def test_a_metric_whose_condition_does_not_hold_gives_nothing(read):
    assert [fact.metric for fact in read(due=None).facts] == ["hours"]


@pytest.mark.parametrize(
    "missing", [{"owner": None}, {"owner": ""}, {"owner": "  "}, {"closed": None}, {"opened": None}]
)
def test_without_owner_time_or_value_there_is_no_fact_and_no_failure(read, missing):
    reading = read(**missing, due=None)

    assert reading.facts == []
    assert reading.failures == []


def test_a_metric_that_fails_leaves_the_others(read):
    reading = read(opened="soon")

    assert [fact.metric for fact in reading.facts] == ["in_time"]
    assert reading.failures == [
        Failure(
            "tickets/hours",
            "hours(row.closed, row.opened)",
            "'soon' is no time as ISO 8601 has it, like 2026-10-05T08:00:00Z",
        )
    ]


def test_a_condition_of_the_document_that_fails_is_told_once(read):
    reading = read("when: row.owner > 'a'\n")

    assert reading.facts == []
    assert [failure.rule for failure in reading.failures] == ["tickets"]


def test_a_roster_row_names_a_learner_with_its_aliases(load):
    [roster] = load(PEOPLE).identity.rosters

    entry = read_roster(
        roster,
        {"number": 1001, "name": "Ana", "team": "North", "manager": "", "lms_id": "3", "mail": " Ana@Example.com ",
         "hash": "AB", "openid": "https://ana", "desk_id": "Ana A."},
    )  # fmt: skip

    assert entry == RosterEntry(
        learner_key="1001",
        name="Ana",
        attributes={"team": "North"},
        alias_keys=(
            "account:https://lms|3",
            "mbox:mailto:ana@example.com",
            "mbox_sha1sum:ab",
            "openid:https://ana",
            "user:desk|Ana A.",
        ),
    )


def test_an_alias_whose_parts_are_empty_is_left_out(load):
    [roster] = load(PEOPLE).identity.rosters

    entry = read_roster(roster, {"number": "E1", "lms_id": "", "mail": None, "desk_id": "7"})

    assert entry == RosterEntry("E1", None, {}, ("user:desk|7",))


@pytest.mark.parametrize(
    ("row", "failure"),
    [
        ({}, Failure("learner", "row.number", "it gave null, and a learner must have a key")),
        (
            {"number": "E1", "mail": True},
            Failure("roster", "row.mail", "it gave true or false ('true'), a text is expected"),
        ),
    ],
)
def test_a_row_that_names_nobody_says_why(load, row, failure):
    [roster] = load(PEOPLE).identity.rosters

    assert read_roster(roster, row) == failure
