"""Freshdesk: lists that must be told since when, their last page, and what is told beside the tickets."""

from datetime import timedelta

import pytest
from clouds import Freshdesk
from helpdesk import NOON


@pytest.fixture
def account():
    with Freshdesk().online() as made:
        made.fill(5)
        yield made


def test_tickets_come_with_their_times_and_without_what_was_written(account):
    row = account.pull().rows[0]

    assert (row.key, row.data["responder_id"], row.data["fr_escalated"]) == ("1", 7, True)
    assert row.data["stats"]["resolved_at"] == "2026-11-20T07:50:00Z"
    assert "subject" not in row.data


def test_tickets_older_than_a_month_come_at_the_first_pull(account):
    account.put(9, at=NOON - timedelta(days=400))

    assert "9" in account.pull().keys
    assert account.queries[0]["updated_since"] < "2025"


def test_change_in_the_second_of_the_watermark_is_found(account):
    state = account.pull(lookback="0s").state
    account.put(9, at=NOON - timedelta(minutes=10))  # the same second as 5, committed later
    account.clock.move(minutes=15)

    assert "9" in account.pull(state, lookback="0s").keys


def test_what_is_left_is_waited_for_before_it_is_used_up(account):
    account.left = 25  # three for a page of tickets with their times

    account.pull()
    assert account.clock.slept == []
    account.pull()
    assert account.clock.slept == [60]


def test_ratings_name_the_agent_and_are_read_again_for_a_week(account):
    first = account.pull(stream="satisfaction_ratings")
    account.clock.move(minutes=15)
    account.pull(first.state, stream="satisfaction_ratings")

    assert (first.rows[0].data["agent_id"], first.rows[0].data["ratings"]) == (7, {"default_question": 103})
    assert "feedback" not in first.rows[0].data
    assert account.queries[-1]["created_since"] == "2026-11-13T11:49:59Z"


def test_agents_come_with_what_says_who_they_are(account):
    (row,) = account.pull(stream="agents").rows

    assert (row.key, row.data["contact"]) == ("7", {"name": "Ann", "email": "ann@example.com"})


def test_deleted_tickets_are_asked_for_since_the_last_one(account):
    state = account.pull().state
    account.clock.move(minutes=15)
    account.delete(3)
    account.clock.move(minutes=10)

    again = account.pull(state)

    assert [(row.key, row.deleted) for row in again.rows if row.deleted] == [("3", True)]
    assert account.pull(again.state).versions <= again.versions
