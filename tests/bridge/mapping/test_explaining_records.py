"""What `mapping explain` is told about a source record."""

import pytest

from bridge.mapping import Version
from bridge.mapping.facts import Evaluated

DOCUMENT = """\
kind: performance
name: tickets
source: desk
when: row.state == 'closed'
changed_at: row.updated
metrics:
  - name: hours
    family: duration
    direction: down
    when: row.kind != 'spam'
    owner: {owner}
    occurred_at: row.closed
    value: hours(row.closed, row.opened)
"""
ROW = {
    "kind": "ticket",
    "state": "closed",
    "owner": "Ana",
    "opened": "2026-10-05T08:00:00Z",
    "closed": "2026-10-05T10:00:00Z",
}


@pytest.fixture
def explain(load):
    def explain_versions(*rows, owner="row.owner"):
        documents = load(DOCUMENT.replace("{owner}", owner))
        versions = [Version(number, row) for number, row in enumerate(rows, 1)]
        [trace] = documents.record_reader("desk").explain(versions)
        assert trace.content_hash == documents.rules[0].content_hash
        assert list(trace.facts) == documents.record_reader("desk").read(versions).facts
        return trace

    return explain_versions


def test_every_expression_is_told_with_what_it_gave(explain):
    trace = explain(ROW)

    assert (trace.rule, trace.tried, trace.matched) == ("tickets/hours", True, True)
    assert trace.because == "all conditions hold"
    assert trace.values == (
        Evaluated("document.when", "row.state == 'closed'", True),
        Evaluated("when", "row.kind != 'spam'", True),
        Evaluated("occurred_at", "row.closed", "2026-10-05T10:00:00Z"),
        Evaluated("value", "hours(row.closed, row.opened)", 2.0),
        Evaluated("owner.is", "row.owner", "Ana"),
    )
    assert [fact.value for fact in trace.facts] == [2.0]


@pytest.mark.parametrize(
    ("changes", "because", "values"),
    [
        ({"state": "open"}, "document.when is 'false'", 1),
        ({"kind": "spam"}, "when is 'false'", 2),
        ({"owner": None}, "all conditions hold, but there is no time, value, weight or owner", 5),
        ({"opened": "soon"}, "all conditions hold, but a value cannot be read", 5),
    ],
)
def test_what_gives_no_fact_says_why(explain, changes, because, values):
    trace = explain(ROW | changes)

    assert trace.because == because
    assert len(trace.values) == values
    assert trace.facts == ()


def test_what_failed_is_told_where_it_failed(explain):
    trace = explain(ROW | {"opened": "soon"})

    assert trace.failure.expression == "hours(row.closed, row.opened)"
    [failed] = [value for value in trace.values if value.error]
    assert failed.key == "value"
    assert failed.error == trace.failure.reason


def test_a_deleted_record_is_not_tried(explain):
    trace = explain(ROW, None)

    assert (trace.tried, trace.because, trace.values) == (False, "the record is deleted", ())


def test_who_held_it_when_is_told_by_versions(explain):
    trace = explain(
        ROW | {"updated": "2026-10-05T09:00:00Z"},
        None,
        ROW | {"updated": "2026-10-05T11:00:00Z", "owner": "Ben"},
        owner="{at_the_time: row.owner}",
    )

    assert [(value.key, value.value) for value in trace.values[4:]] == [
        ("version 1: changed_at", "2026-10-05T09:00:00Z"),
        ("version 1: owner.at_the_time", "Ana"),
        ("version 3: changed_at", "2026-10-05T11:00:00Z"),
        ("version 3: owner.at_the_time", "Ben"),
    ]
    assert [fact.alias_key for fact in trace.facts] == ["user:desk|Ana"]


def test_owners_of_a_list_are_told_by_entries(explain):
    team = [{"user": "Ana", "share": 3}, {"user": "Ben", "share": 1}]

    trace = explain(ROW | {"team": team}, owner="{split: {list: row.team, owner: item.user, share: item.share}}")

    assert [(value.key, value.value) for value in trace.values[4:]] == [
        ("owner.list", team),
        ("owner.list[0].owner", "Ana"),
        ("owner.list[0].share", 3),
        ("owner.list[1].owner", "Ben"),
        ("owner.list[1].share", 1),
    ]


def test_a_list_that_is_none_is_told_as_a_failure(explain):
    trace = explain(ROW | {"team": "Ana"}, owner="{split: {list: row.team, owner: item.user}}")

    assert trace.failure.reason == "it gave a text, a list is expected"
