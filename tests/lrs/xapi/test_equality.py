"""What makes two statements equal: xAPI 1.0.3, Data 2.3.1."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from xapi_samples import ANA, BAO, COURSE, DID, ID, OTHER_ID, TEAM, nested, statement

from lrs.xapi import equality, statements, validation
from lrs.xapi.versions import Version

ACTIVITY = {"id": COURSE, "definition": {"name": {"en": "One"}}}


def context(**properties: Any) -> dict[str, Any]:
    return statement(context=properties)


def extended(value: object) -> dict[str, Any]:
    return statement(result={"extensions": {"http://example.com/e": value}})


EQUAL = [
    # what the LRS assigns
    (statement(), statement(id=ID, authority=ANA, stored="2026-01-31T13:45:00Z", version="1.0.0")),
    (statement(), statement(timestamp="2026-01-31T13:45:00Z")),  # left out by the sender, so set by the LRS
    # how timestamps are written
    (statement(timestamp="2026-01-31T13:45:00.5+01:00"), statement(timestamp="2026-01-31T12:45:00.500Z")),
    (
        statement(object=nested(timestamp="2026-01-31t13:45:00z")),
        statement(object=nested(timestamp="2026-01-31T13:45:00Z")),
    ),
    # what belongs to the activity and the verb, not to the statement
    (statement(), statement(object=ACTIVITY | {"objectType": "Activity"})),
    (statement(object=nested()), statement(object=nested(object=ACTIVITY))),
    (context(contextActivities={"parent": ACTIVITY}), context(contextActivities={"parent": [{"id": COURSE}]})),
    (statement(), statement(verb={"id": DID, "display": {"en": "did"}})),
    # a group's members have no order
    (statement(actor=TEAM), statement(actor=TEAM | {"member": [BAO, ANA]})),
    (context(team=TEAM), context(team=TEAM | {"member": [BAO, ANA]})),
    # letter case where it means nothing
    (statement(actor=BAO), statement(actor={"mbox": "mailto:Bao@Example.COM"})),
    (context(registration=ID), context(registration=ID.upper())),
    # 4.6: a duration beyond hundredths of a second
    (statement(result={"duration": "PT1.239S"}), statement(result={"duration": "PT1.23S"})),
    # how numbers are written
    (extended(1), extended(1.0)),
    (extended(100), extended(1e2)),
]

DIFFERENT = [
    (statement(), statement(actor=BAO)),
    (statement(), statement(actor=ANA | {"name": "Ana"})),
    (statement(), statement(verb={"id": DID + "x"})),
    (statement(), statement(object={"id": COURSE + "x"})),
    (statement(timestamp="2026-01-31T13:45:00Z"), statement(timestamp="2026-01-31T13:45:00.001Z")),
    (statement(timestamp="2026-01-31T13:45:00Z"), statement()),
    (statement(), statement(result={})),
    (statement(result={"duration": "PT60S"}), statement(result={"duration": "PT1M"})),  # compared as text
    (statement(result={"success": True}), statement(result={"success": False})),
    (statement(actor=TEAM), statement(actor=TEAM | {"member": [ANA]})),
    (statement(object=nested()), statement(object=nested(actor=BAO))),
    (context(registration=ID), context(registration=OTHER_ID)),
    (context(contextActivities={"parent": ACTIVITY}), context(contextActivities={"grouping": ACTIVITY})),
    # extensions are compared as they are, whatever their keys look like
    (extended({"id": 1}), extended({"id": 2})),
    (extended([1, 2]), extended([2, 1])),
    (extended(1), extended(True)),
    (extended(1), extended("1")),
    (extended(None), extended(0)),
    (extended(10**30), extended(10**30 + 1)),
]


@pytest.mark.parametrize(("one", "other"), EQUAL, ids=repr)
def test_difference_that_an_lrs_may_make_is_ignored(one: dict[str, Any], other: dict[str, Any]) -> None:
    assert equality.equal(json.dumps(one), json.dumps(other))


@pytest.mark.parametrize(("one", "other"), DIFFERENT, ids=repr)
def test_any_other_difference_counts(one: dict[str, Any], other: dict[str, Any]) -> None:
    assert not equality.equal(json.dumps(one), json.dumps(other))


@pytest.mark.parametrize(
    "number", ["1e999999999", "-0.0", "0e5", "123456789012345678901234567890.10", "1e99999999999999999999"]
)
def test_numbers_of_any_size_are_compared(number: str) -> None:
    sent = json.dumps(extended("N")).replace('"N"', number)

    assert equality.equal(sent, sent)
    assert not equality.equal(sent, json.dumps(extended(7)))


TIMES = st.datetimes(timezones=st.timezones()).map(lambda time: time.replace(fold=0).isoformat(timespec="microseconds"))
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda children: st.lists(children, max_size=3) | st.dictionaries(st.text(), children, max_size=3),
    max_leaves=6,
)
STATEMENTS = st.fixed_dictionaries(
    {
        "actor": st.sampled_from([ANA, BAO, TEAM]),
        "verb": st.just({"id": DID, "display": {"en": "did"}}),
        "object": st.sampled_from([ACTIVITY, TEAM, {"objectType": "StatementRef", "id": ID}]),
    },
    optional={
        "timestamp": st.sampled_from(
            ["2026-01-31T13:45:00Z", "0001-01-01T00:00:00+05:00", "2026-06-30t23:59:59.1-11:30"]
        ),
        "result": st.dictionaries(
            st.just("extensions"), st.dictionaries(st.just("http://example.com/e"), VALUES, max_size=1)
        ),
        "context": st.fixed_dictionaries(
            {}, optional={"contextActivities": st.sampled_from([{"parent": ACTIVITY}, {"other": [ACTIVITY] * 2}, {}])}
        ),
    },
)


@given(data=STATEMENTS)
def test_statement_equals_what_is_stored_of_it(data: dict[str, Any]) -> None:
    sent = json.dumps(data, ensure_ascii=True)
    try:
        read = validation.validate(sent.encode(), Version.ONE)
    except validation.Invalid:  # a text with a NUL, or half of a pair
        return

    made = statements.prepare(sent.encode(), read, statement_id=ID, authority="{}", default_version="1.0.0")
    stored = statements.finish(made, "2026-02-01T00:00:00.000000Z")

    assert equality.equal(sent, stored)
