"""What goes wrong with vendors, each trap against each cloud of ours: what is stored, waited for and told.

The contract that it is held to is that of the runner, in connectors/README.md.
"""

from datetime import timedelta

import pytest
from clouds import CLOUDS, Freshdesk, HubSpot, Salesforce
from helpdesk import NOON

from connectors import SourceBroken, SourceRefused, SourceUnavailable
from connectors.sources import vendors

ON_LOOPBACK = {"odoo", "roundup", "rt", "tryton"}
"""Those that the tests drive for real (tests/systems), or that have a fake beside their own test."""
WITHOUT_DELETIONS = {"intercom", "jira", "servicenow"}
"""Those that show none, or not to everybody."""


@pytest.fixture(params=CLOUDS, ids=lambda cloud: cloud.VENDOR)
def cloud(request):
    with request.param().online() as made:
        yield made


@pytest.fixture
def keys(cloud):
    """Two pages and a row."""
    return cloud.fill(2 * cloud.SIZE + 1)


def refuse_once(cloud, reply, number):
    """Give a reply in place of the answer to the request of that number, from now on."""
    cloud.faults.extend([None] * (number - 1) + [reply])


def test_every_vendor_in_the_cloud_has_one_here():
    assert {cloud.VENDOR for cloud in CLOUDS} | ON_LOOPBACK == set(vendors.VENDORS)


def test_all_records_come_once_and_then_nothing_new(cloud, keys):
    first = cloud.pull()
    cloud.clock.move(minutes=15)
    again = cloud.pull(first.state)

    assert sorted(first.keys) == sorted(keys)
    assert first.problems == again.problems == []
    assert again.versions <= first.versions


def test_pull_that_was_killed_goes_on_after_the_last_page_that_was_stored(cloud, keys):
    pages = cloud.pages()
    stored = next(page for page in pages if page.state is not None)
    pages.close()

    rest = cloud.pull(stored.state)

    assert {row.key for row in stored.rows} | set(rest.keys) == set(keys)
    assert {row.key for row in stored.rows[:-1]}.isdisjoint(
        rest.keys
    )  # where an order was checked, the last one is again


def test_too_many_requests_are_waited_for(cloud, keys):
    reply, seconds = cloud.busy()
    refuse_once(cloud, reply, 2)

    assert sorted(cloud.pull().keys) == sorted(keys)
    assert seconds in cloud.clock.slept


def test_long_wait_is_handed_on_with_what_was_read_until_then(cloud, keys):
    reply, seconds = cloud.long_busy()
    refuse_once(cloud, reply, 3)
    stored = []

    with pytest.raises(SourceUnavailable) as caught:
        stored.extend(page for page in cloud.pages())

    assert caught.value.retry_after == seconds
    assert cloud.clock.slept == []
    state = [page.state for page in stored if page.state is not None]
    rows = {row.key for page in stored for row in page.rows}
    assert rows | set(cloud.pull(state[-1] if state else None).keys) == set(keys)


def test_half_an_answer_is_asked_for_again(cloud, keys):
    refuse_once(cloud, (200, {"Content-Type": "application/json"}, '{"results": ['), 2)

    assert sorted(cloud.pull().keys) == sorted(keys)
    assert cloud.clock.slept


def test_token_that_ended_is_renewed_once_and_a_key_that_is_no_good_is_told(cloud, keys):
    refusal = cloud.expired()
    refuse_once(cloud, refusal.reply, 2)

    if cloud.TOKEN_URL:
        assert sorted(cloud.pull().keys) == sorted(keys)
        assert cloud.token == 2
    else:
        with pytest.raises(SourceRefused) as caught:
            cloud.pull()
        assert caught.value.status == 401
        assert "Check the key and secret." in str(caught.value)
        assert refusal.told in str(caught.value)


def test_lost_permission_is_told_and_nothing_is_lost_by_it(cloud, keys):
    first = cloud.pull()
    cloud.clock.move(minutes=15)
    cloud.put(1, **{cloud.NUMBER: 7})
    cloud.clock.move(minutes=10)
    refusal = cloud.forbidden()
    cloud.faults.append(refusal.reply)

    with pytest.raises(SourceRefused) as caught:
        cloud.pull(first.state)
    assert refusal.told in str(caught.value)

    assert cloud.key(1) in cloud.pull(first.state).keys


def test_more_with_one_time_than_a_page_holds_lose_nothing(cloud, keys):
    same = range(1001, 1001 + 3 * cloud.SIZE)
    for number in same:
        cloud.put(number, at=NOON - timedelta(minutes=12))

    pulled = cloud.pull()

    assert set(pulled.keys) == {*keys, *map(cloud.key, same)}
    assert pulled.problems == []


def test_record_that_changes_while_pages_are_read_pushes_none_out(cloud, keys):
    def change(_cloud, number):
        if number == 2:
            cloud.put(1, at=cloud.clock.at - timedelta(seconds=90), **{cloud.NUMBER: 7})

    cloud.before = change
    first = cloud.pull()
    cloud.clock.move(minutes=15)
    second = cloud.pull(first.state)

    assert set(first.keys) | set(second.keys) == set(keys)
    assert any("7" in str(row.data) for row in (*first.rows, *second.rows) if row.key == cloud.key(1))


def test_record_that_was_committed_late_is_found(cloud, keys):
    cloud.put(900, at=NOON - timedelta(minutes=14), shown_at=NOON + timedelta(minutes=2))
    first = cloud.pull()
    cloud.clock.move(minutes=15)

    second = cloud.pull(first.state)

    assert cloud.key(900) not in first.keys
    assert cloud.key(900) in second.keys


def test_field_of_the_customers_own_is_told_when_it_comes(cloud, keys):
    first = cloud.pull()
    cloud.clock.move(minutes=15)
    cloud.put(1, **{cloud.CUSTOM: [{"id": 1, "value": "north"}] if cloud.CUSTOM == "custom_fields" else "north"})
    cloud.clock.move(minutes=10)

    second = cloud.pull(first.state)

    told = {problem.column: problem.message for problem in second.problems}
    if cloud.CUSTOM_PATH is None:
        assert told == {}  # nobody asked for it, or it is one more entry of a list
    else:
        assert "There is a new field of type text" in told[cloud.CUSTOM_PATH]
        assert "north" in str(second.latest()[cloud.key(1)])


def test_field_whose_type_changed_is_told_and_the_record_stored(cloud, keys):
    first = cloud.pull()
    cloud.breaks_contract = True
    cloud.clock.move(minutes=15)
    cloud.put(1, **{cloud.NUMBER: {"value": 7}})
    cloud.clock.move(minutes=10)

    second = cloud.pull(first.state)

    told = {problem.column: problem.message for problem in second.problems}
    assert "now it is block as well. Check the mappings that read it." in told[cloud.NUMBER_PATH]
    assert cloud.key(1) in second.keys


def test_deleted_record_comes_as_such(cloud, keys):
    state = cloud.pull().state
    cloud.clock.move(minutes=15)
    cloud.delete(2)
    cloud.clock.move(hours=6)

    gone = {row.key for row in cloud.pull(state).rows if row.deleted}

    assert gone == (set() if cloud.VENDOR in WITHOUT_DELETIONS else {cloud.key(2)})


def test_secrets_stand_in_nothing_that_is_told(cloud, keys):
    status, headers, body = cloud.forbidden().reply

    def echo(_cloud, number):
        if number == 1:
            sent = str(cloud.requests[-1].headers["Authorization"])
            cloud.faults.append((status, headers, f"{sent} {body}"))

    cloud.before = echo
    with pytest.raises(SourceRefused) as caught:
        cloud.pull()

    assert "***" in str(caught.value)
    assert "s3cret" not in str(caught.value)
    assert "token-1" not in str(caught.value)


def test_more_than_freshdesk_pages_through_all_come():
    cloud = Freshdesk()
    cloud.last_page = 2
    for number in range(1, 501):
        cloud.put(number, at=NOON - timedelta(days=2, seconds=-number))

    with cloud.online():
        assert len(cloud.pull().keys) == 500


def test_more_with_one_time_than_hubspot_pages_through_all_come():
    cloud = HubSpot()
    for number in range(1, 10_051):
        cloud.put(number, at=NOON - timedelta(minutes=12))

    with cloud.online():
        assert len(cloud.pull().keys) == 10_050


def test_more_with_one_time_than_freshdesk_pages_through_are_told():
    cloud = Freshdesk()
    cloud.last_page = 2
    for number in range(1, 3 * cloud.SIZE):
        cloud.put(number, at=NOON - timedelta(minutes=12))

    with cloud.online(), pytest.raises(SourceBroken, match="more records that changed at one time") as caught:
        cloud.pull()
    assert "It should be less than or equal to 2" in str(caught.value)


def test_field_that_is_required_and_missing_is_told_record_by_record(cloud):
    cloud.fill(3)

    problems = cloud.pull(require=["nowhere"]).problems

    assert [problem.column for problem in problems] == ["nowhere"] * 3
    assert "Ask the vendor's admin for the permission to read it" in problems[0].message


def test_page_of_unusable_records_does_not_end_a_stream_that_goes_by_the_last_row():
    cloud = Salesforce()
    cloud.fill(7)
    for number in (1, 2, 3, 7):
        cloud.put(number, at=cloud.records[number].at, Region__c="north")

    with cloud.online():
        pulled = cloud.pull(require=["Region__c"])

    assert set(pulled.keys) == {cloud.key(number) for number in (1, 2, 3, 7)}
    assert [problem.column for problem in pulled.problems] == ["Region__c"] * 3


@pytest.mark.parametrize("vendor", [cloud for cloud in CLOUDS if cloud.VENDOR not in ("salesforce", "zendesk")])
def test_single_record_is_the_same_as_in_the_list_and_tells_when_it_is_gone(vendor):
    cloud = vendor()
    cloud.fill(3)

    with cloud.online():
        listed = {row.key: row for row in cloud.pull().rows}
        page = cloud.source().fetch([cloud.key(2), cloud.key(77)])

    assert (page.rows[0].key, page.rows[0].data) == (cloud.key(2), listed[cloud.key(2)].data)
    if cloud.VENDOR in ("jira", "servicenow"):  # they say the same when it may not be seen
        assert "is not there" in page.problems[0].message
    else:
        assert [(row.key, row.deleted) for row in page.rows[1:]] == [(cloud.key(77), True)]


def test_check_finds_all_in_order(cloud, keys):
    findings = {finding.name: finding for finding in cloud.source().check()}

    assert [finding for finding in findings.values() if finding.state == "failed"] == []
    assert {findings[name].state for name in ("reachable", "login", "records", "clock", "keys")} == {"ok"}
    assert len(cloud.source().sample(2).rows) == 2


def test_check_says_what_to_ask_the_vendors_admin_for(cloud, keys):
    refusal = cloud.forbidden()
    cloud.before = lambda _cloud, _number: cloud.faults.append(refusal.reply)

    failed = [finding for finding in cloud.source().check() if finding.state == "failed"]

    assert any(refusal.told in f"{finding.text} {finding.remedy}" for finding in failed)


@pytest.mark.parametrize(
    "vendor", [cloud for cloud in CLOUDS if cloud.VENDOR != "dynamics"], ids=lambda one: one.VENDOR
)
def test_slice_of_the_past_has_what_changed_in_it(vendor):
    cloud = vendor()
    cloud.fill(9)
    source = cloud.source()

    with cloud.online():
        slices = source.slices(NOON - timedelta(hours=5), NOON - timedelta(hours=2))
        rows = {row.key for low, high in slices for page in source.backfill(low, high, None) for row in page.rows}

    assert rows >= {cloud.key(number) for number in (5, 6, 7)}
    assert not rows & {cloud.key(number) for number in (1, 2, 3)}
