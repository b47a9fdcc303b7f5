"""A real Request Tracker, filled, changed and emptied while users in three time zones poll it."""

import time
from collections.abc import Iterator

import installed
import pytest
from installed import RT_USERS, RequestTracker
from polls import Polled, small_pages

from connectors import SourceRefused

pytestmark = pytest.mark.rt


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RequestTracker]:
    with installed.request_tracker(tmp_path_factory.mktemp("rt")) as running:
        yield running


def polled(
    desk: RequestTracker, stream: str = "tickets", *, user: str = "bob", zone: str | None = None, **keys
) -> Polled:
    account = {"url": desk.url, "token": {"secret": "rt-token"}, "timezone": zone or RT_USERS[user]}
    document = {"kind": "source", "name": "desk", "type": "rt", "stream": stream, "account": account}
    return Polled({**document, "allow_private": ["127.0.0.1"], **keys}, {"RT_TOKEN": desk.tokens[user]})


def test_every_version_that_is_shown_comes_once(desk):
    first, second = desk.ticket("Printer", owner="nick"), desk.ticket("Screen", owner="bob")
    poll = polled(desk)

    assert {first, second} <= poll().keys()
    assert poll() == {}
    for values in (
        {"Owner": "toru"},
        {"Status": "resolved"},
        {"Status": "open"},
        {"CustomFields": {"CSAT score": "4"}},
    ):
        desk.change(first, **values)
        assert poll().keys() == {first}
    assert poll() == {}

    seen = [(row["Owner"]["Name"], row["Status"]) for row in poll.versions[first]]
    assert seen == [("nick", "new"), ("toru", "new"), ("toru", "resolved"), ("toru", "open"), ("toru", "open")]
    newest = poll.versions[first][-1]
    assert newest["Owner"]["EmailAddress"] == "toru@example.com"
    assert [(field["name"], field["values"]) for field in newest["CustomFields"]] == [("CSAT score", ["4"])]
    assert newest["Resolved"] > "2026"  # though it is open again
    assert poll.versions[second][-1]["Resolved"] == "1970-01-01T00:00:00Z"
    assert [problem for problem in poll.problems if problem.row is not None] == []


@pytest.mark.parametrize("user", RT_USERS)
def test_user_in_any_time_zone_misses_nothing_and_doubles_nothing(desk, user):
    desk.ticket("Before")
    time.sleep(1.1)
    poll = polled(desk, user=user, lookback="0s", settle="0s")
    poll()
    time.sleep(1.1)  # another second: what changed in the last one is read again

    number = desk.ticket("Afterwards")
    again = polled(desk, user=user, lookback="0s", settle="0s")
    again.state = poll.state

    assert poll().keys() == {number}
    assert len(again().keys()) == 2  # nothing but the ticket at the watermark, and the new one


@pytest.mark.parametrize(("user", "hours"), [("nick", "5 hours behind"), ("toru", "9 hours ahead of")])
def test_check_finds_a_time_zone_that_was_not_said(desk, user, hours):
    desk.ticket("Before")

    found = polled(desk, user=user, zone="UTC").check()["timezone"]

    assert found.state == "failed"
    assert f"The API user's time zone is {hours}" in found.text
    assert polled(desk, user=user).check()["timezone"].state == "ok"


def test_wrong_time_zone_misses_what_changed(desk):
    """What `timezone` protects from, and that the tests above can fail."""
    poll = polled(desk, user="nick", zone="UTC")
    poll()
    desk.ticket("Missed")

    assert poll() == {}


def test_tickets_that_change_while_pages_are_read_push_no_other_out(desk, monkeypatch):
    small_pages(monkeypatch, "rt", lambda params: params.update(per_page=3))
    numbers = []
    for number in range(5):
        numbers.append(desk.ticket(f"Page {number}"))
        time.sleep(0.4)
    poll = polled(desk)

    for _, number in zip(poll.pages(), numbers, strict=False):
        desk.change(number, Subject="Changed")
    poll()

    assert set(numbers) <= poll.versions.keys()


def test_deleted_ticket_is_gone_after_the_next_sweep_and_no_other(desk):
    gone, stays = desk.ticket("Gone"), desk.ticket("Stays")
    poll = polled(desk)
    poll()

    desk.delete(gone)

    assert poll() == {}  # no list shows it
    assert poll.sweep() == {gone: None}
    assert poll.versions[stays][-1] is not None


def test_transactions_tell_who_set_what_and_users_who_they_are(desk):
    number = desk.ticket("Keyboard", owner="nick")
    poll, users = polled(desk, "transactions"), polled(desk, "users")
    poll(), users()

    desk.change(number, Owner="toru")
    desk.change(number, Status="resolved")

    new = [row for row in poll().values() if row["ObjectId"] == number and row["Type"] in ("Set", "Status")]
    names = {key: rows[-1]["Name"] for key, rows in users.versions.items()}
    owner, status = sorted(new, key=lambda row: row["Type"])
    assert (names[owner["OldValue"]], names[owner["NewValue"]]) == ("nick", "toru")
    assert (status["OldValue"], status["NewValue"], status["Creator"]["id"]) == ("new", "resolved", "root")
    assert poll() == {}


def test_user_who_was_switched_off_still_has_a_name(desk):
    desk.switch_off("former")

    assert "former" in {row["Name"] for row in polled(desk, "users")().values()}


def test_withdrawn_token_is_told(desk):
    poll = polled(desk)
    poll.secrets = {"RT_TOKEN": "1-27-0123456789abcdef0123456789abcdef"}

    with pytest.raises(SourceRefused, match=r"401 Unauthorized. Check the key and secret"):
        poll()
