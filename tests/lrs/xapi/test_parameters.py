"""Query parameters of the statements resource: xAPI 1.0.3, Communication 2.1.3."""

import pytest
from xapi_samples import ID

from lrs.errors import Invalid
from lrs.xapi import parameters
from lrs.xapi.formats import Format
from lrs.xapi.terms import Term


def test_every_parameter_is_read() -> None:
    query = parameters.parse(
        {
            "agent": ['{"mbox":"mailto:Bao@example.com"}'],
            "verb": ["http://example.com/did"],
            "activity": ["http://example.com/a"],
            "registration": [ID.upper()],
            "related_agents": ["true"],
            "related_activities": ["false"],
            "since": ["1970-01-01T00:00:01Z"],
            "until": ["1970-01-01T01:00:02+01:00"],
            "limit": ["7"],
            "ascending": ["true"],
            "attachments": ["true"],
            "format": ["ids"],
        }
    )

    assert query == parameters.Query(
        agent=Term("agent", "mbox:mailto:bao@example.com"),
        verb=Term("verb", "http://example.com/did"),
        activity=Term("activity", "http://example.com/a"),
        registration=Term("registration", ID),
        related_agents=True,
        since=1_000_000,
        until=2_000_000,
        limit=7,
        ascending=True,
        attachments=True,
        format=Format.IDS,
    )


@pytest.mark.parametrize(("limit", "read"), [("0", 500), ("1", 1), ("501", 500), ("9" * 18, 500)])
def test_limit_has_a_maximum_and_0_stands_for_it(limit: str, read: int) -> None:
    assert parameters.parse({"limit": [limit]}).limit == read


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("Verb", "http://example.com/did"),  # wrong case
        ("foo", "1"),
        ("statementId", "1"),
        ("verb", "did"),
        ("activity", ""),
        ("agent", "{"),
        ("agent", "[]"),
        ("agent", "{}"),
        ("agent", '{"mbox":"bao@example.com"}'),
        ("agent", '{"objectType":"Group","member":[]}'),  # anonymous: equals nobody
        ("agent", '{"account":{"homePage":"a:b","name":"\\u0000"}}'),
        ("registration", "1"),
        ("related_agents", "True"),
        ("ascending", "1"),
        ("limit", "-1"),
        ("limit", "1.5"),
        ("limit", "\u0661"),  # a digit, but not one of ours
        ("limit", "9" * 30),
        ("since", "yesterday"),
        ("until", "2026-02-30T00:00:00Z"),
        ("since", "2026-01-31T00:00:00-00:00"),
        ("format", "Exact"),
        ("attachments", "yes"),
        ("format", ""),
    ],
)
def test_wrong_parameter_is_refused_by_its_name(name: str, value: str) -> None:
    with pytest.raises(Invalid) as refused:
        parameters.parse({name: [value]})

    assert refused.value.pointer == name
    assert refused.value.rule


def test_parameter_comes_once() -> None:
    with pytest.raises(Invalid):
        parameters.parse({"verb": ["a:b", "a:c"]})


@pytest.mark.parametrize("other", ["voidedStatementId", "verb", "limit", "ascending"])
def test_statement_id_stands_alone(other: str) -> None:
    value = {"voidedStatementId": ID, "verb": "a:b", "limit": "1", "ascending": "true"}[other]

    with pytest.raises(Invalid):
        parameters.parse({"statementId": [ID], other: [value]})


def test_statement_id_goes_with_attachments_and_format() -> None:
    assert parameters.parse({"statementId": [ID], "attachments": ["false"], "format": ["exact"]}).statement_id == ID
