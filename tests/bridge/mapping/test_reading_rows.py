"""How performance documents read one version of a record."""

from datetime import UTC, datetime

import pytest

from bridge.mapping import Failure, PerformanceFact, Version, rows

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


@pytest.fixture
def read(load):
    def read_with(more="", **changes):
        documents = load(TICKETS.replace("{more}", more))
        return documents.record_reader("desk").read([Version(7, ROW | changes)])

    return read_with


def test_each_metric_gives_a_value_with_its_owner_and_time(read):
    at = datetime(2026, 10, 5, 10, tzinfo=UTC)

    assert read().facts == [
        PerformanceFact("tickets/hours", "hours", "user:desk|17", at, 2.0, weight=1.0, version_id=7),
        PerformanceFact("tickets/in_time", "in_time", "user:desk|17", at, 1.0, weight=1.0, version_id=7),
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


@pytest.mark.parametrize("key", ["owner", "occurred_at", "value"])
def test_what_is_required_and_null_fails(load, key):
    text = TICKETS.replace("{more}", "").replace("row.closed <= row.due", "row.amount").replace("row.due", "row.owner")
    reader = load(text.replace("    when:", f"    required: [{key}]\n    when:")).record_reader("desk")
    row = {"owner": "17", "closed": ROW["closed"], "amount": 3}
    field = {"owner": "owner", "occurred_at": "closed", "value": "amount"}[key]

    missing = reader.read([Version(7, row | {field: "" if key == "owner" else None})])
    there = reader.read([Version(7, row)])

    assert missing.facts == []
    assert missing.failures == [
        Failure("tickets/in_time", f"row.{field}", f"it gave null, and this rule requires '{key}'")
    ]
    assert [fact.value for fact in there.facts] == [3.0]


@pytest.mark.parametrize(("weight", "found"), [(2.5, [2.5]), (None, []), (0, [])])
def test_a_fact_has_the_weight_that_the_metric_gives_it(load, weight, found):
    text = TICKETS.replace("{more}", "").replace("    when: row.due != null\n", "    weight: row.size\n")
    reader = load(text).record_reader("desk")

    facts = reader.read([Version(7, ROW | {"size": weight})]).facts

    assert [fact.weight for fact in facts if fact.metric == "hours"] == [1.0]
    assert [fact.weight for fact in facts if fact.metric == "in_time"] == found


def test_a_weight_below_nothing_fails(load):
    text = TICKETS.replace("{more}", "").replace("    when: row.due != null\n", "    weight: row.size\n")

    reading = load(text).record_reader("desk").read([Version(7, ROW | {"size": -1})])

    assert reading.failures == [Failure("tickets/in_time", "row.size", "it gave -1; a weight is not negative")]


CALLING = """\
calendar: {timezone: Europe/Berlin, hours: "09:00-17:00"}
money: {base: USD, rates: {EUR: 1.08}}
metrics:
  - name: worked
    family: duration
    direction: down
    when: business_hours(row.closed, row.opened) > 0.5
    owner: row.owner
    occurred_at: row.closed
    value: business_hours(row.closed, row.opened)
  - name: sold
    family: amount
    direction: up
    owner: row.owner
    occurred_at: row.closed
    value: money(row.amount, row.currency, row.closed)
"""


def test_expressions_reckon_by_the_calendar_and_the_rates_of_their_document(load):
    text = TICKETS.partition("{more}")[0] + CALLING
    others = "---\n" + text.replace("tickets", "others").replace("worked", "w").replace("sold", "s")
    others = others.replace("Europe/Berlin", "America/New_York").replace("1.08", "2")
    reader = load(text + others).record_reader("desk")

    reading = reader.read([Version(1, ROW | {"opened": "2026-10-05T06:00:00Z", "amount": 100, "currency": "EUR"})])

    assert {fact.rule: fact.value for fact in reading.facts} == {
        "tickets/worked": 3.0,  # from 9:00 to 12:00; in New York it is night
        "tickets/sold": 108.0,
        "others/s": 200.0,
    }
    assert reading.failures == []


def test_a_currency_without_a_rate_fails_with_the_reason(load):
    reader = load(TICKETS.partition("{more}")[0] + CALLING).record_reader("desk")

    reading = reader.read([Version(1, ROW | {"amount": 100, "currency": "CHF"})])

    assert [(failure.rule, failure.reason) for failure in reading.failures] == [
        ("tickets/sold", "there is no rate for CHF; add it to the `rates` of the document's `money`")
    ]


def test_a_record_that_takes_too_long_fails_instead_of_holding_the_others_up(read, monkeypatch):
    monkeypatch.setattr(rows, "MAX_SECONDS", -1)

    reading = read()

    assert reading.facts == []
    assert [failure.rule for failure in reading.failures] == ["tickets/hours", "tickets/in_time"]
    assert reading.failures[0].reason.startswith("it took too long: this document took more than")
