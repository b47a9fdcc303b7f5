"""A real Tryton, filled, changed and emptied while it is polled through the shipped manifest."""

from collections.abc import Iterator

import installed
import pytest
from installed import TRYTON_KEY, Tryton
from polls import Polled, small_pages

from connectors import SourceRefused


@pytest.fixture(scope="module")
def crm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tryton]:
    # The zone of the server's machine, which is nowhere near UTC.
    with installed.tryton(tmp_path_factory.mktemp("tryton"), TZ="Asia/Tokyo") as running:
        yield running


def polled(crm: Tryton, stream: str = "opportunities", **keys) -> Polled:
    account = {"url": crm.url, "key": {"secret": "tryton-key"}}
    document = {"kind": "source", "name": "crm", "type": "tryton", "stream": stream, "account": account}
    return Polled({**document, "allow_private": ["127.0.0.1"], **keys}, {"TRYTON_KEY": TRYTON_KEY})


def test_every_version_that_is_shown_comes_once(crm):
    first, second = crm.lead(crm.ann), crm.lead(crm.bob, "12.50")
    poll = polled(crm)

    assert {str(first), str(second)} <= poll().keys()  # though neither was ever changed
    assert poll() == {}
    for step in (
        lambda: crm.change("sale.opportunity", first, employee=crm.bob),
        lambda: crm.press(first, "opportunity"),
        lambda: crm.press(first, "lost"),
        lambda: crm.press(first, "lead"),
    ):
        step()
        assert poll().keys() == {str(first)}
    assert poll() == {}

    seen = [(row["employee"], row["state"]) for row in poll.versions[str(first)]]
    assert seen == [(crm.ann, "lead"), *((crm.bob, state) for state in ("lead", "opportunity", "lost", "lead"))]
    assert [row["amount"]["decimal"] for row in poll.versions[str(second)]] == ["12.50"]
    assert [problem for problem in poll.problems if problem.row is not None] == []  # others tell of fields


def test_time_zone_of_the_company_changes_nothing(crm):
    crm.change("company.company", crm.company, timezone="America/New_York")
    poll = polled(crm, lookback="0s")
    poll()

    number = crm.lead(crm.ann)

    assert poll().keys() == {str(number)}
    assert poll() == {}


def test_check_finds_nothing_to_complain_of(crm):
    for _ in range(5):
        crm.lead(crm.bob)

    found = polled(crm).check()

    tried = {name: found[name].state for name in ("login", "clock", "keys", "order", "timezone")}
    assert set(tried.values()) == {"ok"}, found
    assert [one for one in found.values() if one.state == "failed"] == []


def test_opportunities_that_change_while_pages_are_read_push_no_other_out(crm, monkeypatch):
    small_pages(monkeypatch, "tryton", lambda params: params.update({"s": 2}))
    numbers = [crm.lead(crm.ann) for _ in range(7)]
    poll = polled(crm)

    for place, _ in enumerate(poll.pages()):
        if place < 3:
            crm.change("sale.opportunity", numbers[place], amount={"__class__": "Decimal", "decimal": f"{place}.00"})
    poll()

    assert {str(number) for number in numbers} <= poll.versions.keys()
    assert [poll.versions[str(number)][-1]["amount"]["decimal"] for number in numbers[:3]] == ["0.00", "1.00", "2.00"]


def test_records_of_one_transaction_share_a_time_and_all_come(crm, monkeypatch):
    small_pages(monkeypatch, "tryton", lambda params: params.update({"s": 2}))
    numbers = [crm.lead(crm.ann) for _ in range(5)]
    # As one write: all get the very same last_modified_at, more of them than a page holds.
    crm.change_all("sale.opportunity", numbers, description="Fair")
    poll = polled(crm)
    poll()

    stamps = {str(poll.versions[str(number)][-1]["last_modified_at"]) for number in numbers}
    assert len(stamps) == 1
    assert all(poll.versions[str(number)][-1]["description"] == "Fair" for number in numbers)


def test_deleted_opportunity_is_gone_after_the_next_sweep_and_no_other(crm):
    gone, stays = crm.lead(crm.ann), crm.lead(crm.bob)
    poll = polled(crm)
    poll()

    crm.delete(gone)

    assert poll() == {}  # nothing is shown of it
    assert poll.sweep() == {str(gone): None}
    assert poll.versions[str(stays)][-1] is not None


def test_log_tells_who_did_what(crm):
    number = crm.lead(crm.ann)
    poll = polled(crm, "log")
    poll()

    crm.change("sale.opportunity", number, employee=crm.bob)
    crm.press(number, "opportunity")

    new = [row for row in poll().values() if row["resource"] == f"sale.opportunity,{number}"]
    told = [(row["user"]["login"], row["event"], row["target"]) for row in new]
    assert told == [
        ("admin", "write", "employee"),
        ("admin", "button", "opportunity"),
        ("admin", "transition", "state:opportunity"),
    ]
    assert poll() == {}


def test_people_come_with_what_says_who_they_are(crm):
    employees, users = polled(crm, "employees"), polled(crm, "users")

    emails = {key: row["party"]["email"] for key, row in employees().items()}
    mine = {row["login"]: row for row in users().values()}

    assert emails == {str(crm.ann): "ann@example.com", str(crm.bob): "bob@example.com"}
    assert mine["ann"]["employees"] == [crm.ann]
    crm.change("res.user", mine["bob"]["id"], active=False)
    assert {row["login"]: row["active"] for row in users().values()} == {"bob": 0}


def test_key_that_was_withdrawn_is_told(crm):
    poll = polled(crm)
    poll.secrets = {"TRYTON_KEY": "another"}

    with pytest.raises(SourceRefused, match=r"401 UNAUTHORIZED. Check the key and secret"):
        poll()
