"""A record that is changed later gives another fact, and what it gave before is kept."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bridge.mapping import Version
from bridge.mapping.rows import MAX_VERSIONS

DOCUMENT = """\
kind: performance
name: tickets
source: desk
when: row.state == 'closed'
changed_at: row.updated
metrics:
  - name: csat
    family: rating
    direction: up
    owner: {split: {list: row.team, owner: item.user, share: item.part}}
    occurred_at: row.closed
    value: row.csat
  - name: amount
    family: amount
    direction: up
    owner: row.owner
    occurred_at: row.closed
    value: row.amount
"""
ROW = {"state": "closed", "owner": "Ana", "team": [{"user": "Ana", "part": 1}], "closed": "2026-10-05", "amount": 100}


@pytest.fixture
def reader(load):
    return load(DOCUMENT).record_reader("desk")


@pytest.fixture
def read(reader):
    """Read versions, numbered from 1, each given by what it has that is not in ROW; None is a deletion."""

    def read_changes(*changes):
        rows = (None if change is None else ROW | change for change in changes)
        return reader.read([Version(number, row) for number, row in enumerate(rows, 1)])

    return read_changes


def now(reading):
    return {(fact.metric, fact.alias_key.partition("|")[2]): (fact.value, fact.version_id) for fact in reading.facts}


def before(reading):
    """Give (metric, owner, value, since, until) of each entry."""
    return [
        (fact.metric, fact.alias_key.partition("|")[2], fact.value, fact.version_id, fact.until_version_id)
        for fact in reading.history
    ]


def test_a_fact_comes_from_the_newest_version(read):
    reading = read({}, {"note": "nothing that is read"}, {})

    assert now(reading) == {("amount", "Ana"): (100.0, 3)}
    assert before(reading) == []


def test_a_late_value_leaves_the_others_as_they_were(read):
    reading = read({}, {"csat": 4})

    assert now(reading) == {("amount", "Ana"): (100.0, 2), ("csat", "Ana"): (4.0, 2)}
    assert before(reading) == []


def test_a_changed_value_is_kept_from_its_first_version_until_the_one_that_changed_it(read):
    reading = read({}, {"note": "x"}, {"amount": 120}, {"amount": 120}, {"amount": 90})

    assert now(reading) == {("amount", "Ana"): (90.0, 5)}
    assert before(reading) == [("amount", "Ana", 100.0, 1, 3), ("amount", "Ana", 120.0, 3, 5)]


def test_a_reopened_record_gives_nothing_until_it_is_closed_again(read):
    open_again = read({}, {"state": "open"})
    closed_again = read({}, {"state": "open"}, {"closed": "2026-10-07"})

    assert now(open_again) == {}
    assert before(open_again) == [("amount", "Ana", 100.0, 1, 2)]
    assert now(closed_again) == {("amount", "Ana"): (100.0, 3)}
    assert before(closed_again) == [("amount", "Ana", 100.0, 1, 2)]
    assert closed_again.facts[0].occurred_at > closed_again.history[0].occurred_at


def test_what_was_taken_back_and_came_again_is_told(read):
    reading = read({}, {"state": "open"}, {})

    assert now(reading) == {("amount", "Ana"): (100.0, 3)}
    assert before(reading) == [("amount", "Ana", 100.0, 1, 2)]


def test_a_reassigned_record_is_the_new_owners(read):
    reading = read({}, {"owner": "Ben"})

    assert now(reading) == {("amount", "Ben"): (100.0, 2)}
    assert before(reading) == [("amount", "Ana", 100.0, 1, 2)]


def test_a_new_share_is_a_change(read):
    reading = read({"csat": 4}, {"csat": 4, "team": [{"user": "Ana", "part": 1}, {"user": "Ben", "part": 3}]})

    assert {key: fact.weight for key, fact in zip(now(reading), reading.facts, strict=True)} == {
        ("csat", "Ana"): 0.25,
        ("csat", "Ben"): 0.75,
        ("amount", "Ana"): 1.0,
    }
    assert before(reading) == [("csat", "Ana", 4.0, 1, 2)]
    assert reading.history[0].weight == 1.0


def test_a_deleted_record_gives_nothing_and_keeps_what_it_gave(read):
    deleted = read({"csat": 5}, None)
    back_again = read({}, None, {"amount": 80})

    assert now(deleted) == {}
    assert before(deleted) == [("csat", "Ana", 5.0, 1, 2), ("amount", "Ana", 100.0, 1, 2)]
    assert now(back_again) == {("amount", "Ana"): (80.0, 3)}
    assert before(back_again) == [("amount", "Ana", 100.0, 1, 2)]


def test_only_the_newest_version_can_fail(read):
    mended = read({"amount": "much"}, {"amount": 100})
    broken = read({"amount": 100}, {"amount": "much"})

    assert mended.failures == []
    assert before(mended) == []
    assert [failure.expression for failure in broken.failures] == ["row.amount"]
    assert now(broken) == {}
    assert before(broken) == [("amount", "Ana", 100.0, 1, 2)]


@pytest.mark.parametrize("version", [1, True, 1.0])
def test_values_that_only_python_calls_equal_are_told_apart(load, version):
    """In CEL a whole number does not go with another kind, so a version of another type may fail or not."""
    reader = load(DOCUMENT.replace("value: row.amount", "value: row.amount + 1")).record_reader("desk")

    reading = reader.read([Version(1, ROW | {"amount": 1}), Version(2, ROW | {"amount": version})])

    alone = reader.read([Version(2, ROW | {"amount": version})])
    assert reading.facts == alone.facts
    assert [failure.rule for failure in reading.failures] == [failure.rule for failure in alone.failures]


def test_versions_beyond_the_newest_are_not_looked_at(read):
    amounts = [{"amount": number} for number in range(MAX_VERSIONS + 50)]

    reading = read(*amounts)

    assert len(reading.history) == MAX_VERSIONS - 1
    assert reading.history[0].version_id == 51


CHANGES = st.one_of(
    st.none(),
    st.fixed_dictionaries(
        {},
        optional={
            "state": st.sampled_from(["open", "closed"]),
            "owner": st.sampled_from(["Ana", "Ben", None]),
            "amount": st.sampled_from([1, 1.0, 2, None, "much"]),
            "csat": st.sampled_from([4, 5]),
            "closed": st.sampled_from(["2026-10-05", "2026-10-07"]),
        },
    ),
)


@given(st.lists(CHANGES, min_size=1, max_size=12))
@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_history_tells_for_each_version_what_counted_then(reader, changes):
    versions = [Version(number, None if row is None else ROW | row) for number, row in enumerate(changes, 1)]
    whole = reader.read(versions)

    for version in versions:
        counted = {told_of(fact) for fact in reader.read(versions[: version.id]).facts}
        told = {told_of(past) for past in whole.history if past.version_id <= version.id < past.until_version_id}
        assert told <= counted
        assert counted <= told | {told_of(fact) for fact in whole.facts}
    keys = [(past.rule, past.version_id, past.alias_key) for past in whole.history]
    assert len(set(keys)) == len(keys)


def told_of(fact):
    return (fact.rule, fact.alias_key, fact.occurred_at, fact.value, fact.weight)


def test_no_versions_give_nothing(reader):
    assert reader.read([]).facts == []
    assert [trace.tried for trace in reader.explain([])] == [False, False]


def test_a_source_that_no_document_reads_gives_nothing(load):
    reader = load(DOCUMENT).record_reader("elsewhere")

    assert reader.read([Version(1, ROW)]).facts == []
    assert reader.explain([Version(1, ROW)]) == ()
