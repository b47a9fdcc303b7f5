"""A real Roundup, filled, changed, retired and throttled while it is polled through the shipped manifest."""

import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import installed
import pytest
from installed import Roundup
from polls import Polled, small_pages

from connectors import SourceRefused, SourceUnavailable


@pytest.fixture(scope="module")
def tracker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Roundup]:
    with installed.roundup(tmp_path_factory.mktemp("roundup")) as running:
        running.make("user", username="ann", address="ann@example.com", password="secret", roles="User")
        running.make("user", username="bob", address="bob@example.com", password="secret", roles="User")
        for name, zone in (("east", "9"), ("west", "-5")):
            address = f"{name}@example.com"
            running.make("user", username=name, address=address, password="secret", roles="Admin", timezone=zone)
        yield running


def polled(tracker: Roundup, stream: str = "issues", *, user: str = "admin", **keys) -> Polled:
    account = {"url": tracker.url, "user": user, "password": {"secret": "roundup-password"}}
    document = {"kind": "source", "name": "tracker", "type": "roundup", "stream": stream, "account": account}
    return Polled({**document, "allow_private": ["127.0.0.1"], **keys}, {"ROUNDUP_PASSWORD": "secret"})


def issue(tracker: Roundup, title: str, **values: str) -> str:
    return tracker.make("issue", title=title, **{"status": "unread", "priority": "bug", **values})


def test_every_version_that_is_shown_comes_once(tracker):
    first, second = issue(tracker, "Printer", assignedto="ann"), issue(tracker, "Screen", assignedto="bob")
    poll = polled(tracker)

    assert {first, second} <= poll().keys()
    assert poll() == {}
    for values in ({"assignedto": "bob"}, {"status": "resolved"}, {"status": "chatting"}, {"status": "resolved"}):
        tracker.change("issue", first, **values)
        assert poll().keys() == {first}  # also when it was changed within the second of the last poll
    assert poll() == {}

    seen = [(row["assignedto"]["username"], row["status"]["name"]) for row in poll.versions[first]]
    assert seen == [("ann", "unread"), *(("bob", name) for name in ("unread", "resolved", "chatting", "resolved"))]
    assert len(poll.versions[second]) == 1
    assert poll.problems == []


def test_version_says_who_made_it_and_when(tracker):
    number = issue(tracker, "Keyboard")
    version = polled(tracker)()[number]

    assert version is not None
    assert version["actor"]["username"] == version["creator"]["username"] == "admin"
    assert version["creation"] == version["activity"]
    assert "link" not in version


@pytest.mark.parametrize("user", ["east", "west"])
def test_user_in_another_time_zone_misses_nothing_and_doubles_nothing(tracker, user):
    issue(tracker, "Before")
    poll = polled(tracker, user=user, lookback="0s")
    poll()
    time.sleep(1.1)  # another second: what changed in the last one is read again

    number = issue(tracker, "Afterwards")
    asked = poll()

    assert asked.keys() == {number}


def test_document_of_ones_own_that_sends_times_without_a_zone_misses_changes_and_check_finds_out(tracker):
    """What the form of times in the manifest protects from; a user who is behind UTC is shown nothing new."""
    poll = polled(tracker, user="west")
    poll.document = {
        "kind": "source",
        "name": "tracker",
        "type": "rest",
        "base_url": f"{tracker.url}/rest/data",
        "allow_private": ["127.0.0.1"],
        "auth": {"type": "basic", "user": "west", "password": {"secret": "roundup-password"}},
        "request": {"path": "/issue", "params": {"activity": "{low};", "@sort": "activity,id", "@fields": "activity"}},
        "page": {"type": "single"},
        "records": "data.collection",
        "key": "id",
        "cursor": {"field": "activity", "format": "%Y-%m-%d.%H:%M:%S", "timezone": "UTC", "ordered": True},
    }
    issue(tracker, "Before")
    poll()

    issue(tracker, "Missed")

    assert poll() == {}
    found = poll.check()["timezone"]
    assert found.state == "failed"
    assert "The API user's time zone is 5 hours behind UTC, so changes are silently missed" in found.text


@pytest.mark.parametrize("user", ["admin", "east", "west"])
def test_check_finds_nothing_to_complain_of(tracker, user):
    for number in range(5):
        issue(tracker, f"Check {number}")

    found = polled(tracker, user=user).check()

    tried = {name: found[name].state for name in ("login", "clock", "keys", "order", "timezone")}
    assert set(tried.values()) == {"ok"}, found
    assert [one for one in found.values() if one.state == "failed"] == []


def test_issues_that_change_while_pages_are_read_push_no_other_out(tracker, monkeypatch):
    small_pages(monkeypatch, "roundup", lambda params: params.update({"@page_size": 3}))
    numbers = []
    for number in range(5):
        numbers.append(issue(tracker, f"Page {number}"))
        time.sleep(0.4)  # fewer in one second than on a page
    poll = polled(tracker, start=read_at(tracker, numbers[0]), settle="0s")

    changed = False
    for _ in poll.pages():
        if not changed and numbers[0] in poll.versions:  # issues of the test before may come first
            tracker.change("issue", numbers[0], title="Changed")  # leaves its page for the last one
            changed = True
    poll()

    assert set(numbers) <= poll.versions.keys()
    assert [version["title"] for version in poll.versions[numbers[0]]] == ["Page 0", "Changed"]


def read_at(tracker: Roundup, number: str) -> str:
    """When an issue was changed last."""
    item = f"{tracker.url}/rest/data/issue/{number}"
    stamp = tracker.web.get(item, params={"@fields": "activity"}).json()["data"]["attributes"]["activity"]
    return stamp.replace(".", "T") + "Z"


def test_retired_issue_is_gone_after_the_next_sweep_and_no_other(tracker):
    gone, stays = issue(tracker, "Gone"), issue(tracker, "Stays")
    poll = polled(tracker)
    poll()

    tracker.retire("issue", gone)

    assert poll() == {}  # the list shows nothing of it
    assert poll.sweep() == {gone: None}
    assert poll.versions[stays][-1] is not None


def test_people_and_who_wrote_when_come_as_streams(tracker):
    people = polled(tracker, "users")
    letters = polled(tracker, "messages")
    people(), letters()

    ann = next(rows[-1] for rows in people.versions.values() if rows[-1]["username"] == "ann")
    message = tracker.make("msg", author="ann", date="2026-11-20.10:00:00", content="My card number is 4111")

    assert ann["address"] == "ann@example.com"
    assert letters()[message]["author"]["username"] == "ann"
    assert "4111" not in str(letters.versions)


def test_wrong_password_is_told(tracker):
    poll = polled(tracker)
    poll.secrets = {"ROUNDUP_PASSWORD": "wrong"}

    with pytest.raises(SourceRefused, match=r"401 Unauthorized. Check the key and secret"):
        poll()


@pytest.fixture
def throttled(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Roundup]:
    calls, per_seconds = request.param
    with installed.roundup(tmp_path, calls=calls, per_seconds=per_seconds) as running:
        yield running


@pytest.mark.parametrize("throttled", [(4, 4)], indirect=True)
def test_short_throttling_is_waited_out(throttled):
    throttled.make("user", username="bot", address="bot@example.com", password="secret", roles="Admin")
    issue(throttled, "Printer")
    poll = polled(throttled, user="bot")

    for _ in range(6):
        poll()

    assert poll.clock.slept  # it was throttled indeed
    assert max(poll.clock.slept) <= 2
    assert [len(known) for known in poll.versions.values()] == [1]


@pytest.mark.parametrize("throttled", [(3, 3600)], indirect=True)
def test_long_throttling_says_when_to_come_back_and_loses_nothing(throttled):
    throttled.make("user", username="bot", address="bot@example.com", password="secret", roles="Admin")
    number = issue(throttled, "Printer")
    poll = polled(throttled, user="bot")

    seen = poll()
    poll()
    poll()
    with pytest.raises(SourceUnavailable) as told:
        poll()

    assert seen.keys() == {number}
    assert told.value.retry_after is not None
    assert timedelta(minutes=15) < timedelta(seconds=told.value.retry_after) <= timedelta(minutes=20)
