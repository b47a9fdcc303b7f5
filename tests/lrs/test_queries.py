"""Finding statements: xAPI 1.0.3, Communication 2.1.3."""

from collections.abc import Callable
from typing import Any

import pytest
from xapi_samples import ANA, BAO, COURSE, DID, ID, TEAM, nested, statement

PART = {"id": COURSE + "/part"}
CAI = {"openid": "http://cai.example.com"}


@pytest.fixture
def ids(client: Any) -> dict[str, str]:
    """Store one statement of each kind; gives their ids by name, the oldest first."""
    kinds = {
        "plain": statement(actor=BAO),
        "group": statement(actor=TEAM, object=PART),
        "object": statement(actor=CAI, object=ANA | {"objectType": "Agent"}),
        "instructor": statement(actor=CAI, context={"instructor": ANA}, object=PART),
        "parent": statement(actor=CAI, context={"contextActivities": {"parent": PART}}),
        "nested": statement(actor=CAI, verb={"id": "a:planned"}, object=nested(object=PART)),
        "registered": statement(actor=BAO, context={"registration": ID}),
    }
    return dict(zip(kinds, client.store(*kinds.values()), strict=True))


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ({}, "plain group object instructor parent nested registered"),
        ({"agent": ANA}, "group object"),
        ({"agent": BAO}, "plain group registered"),
        ({"agent": {"mbox": "mailto:BAO@example.com", "name": "whoever"}}, "plain group registered"),
        ({"agent": ANA, "related_agents": "true"}, "group object instructor nested"),
        ({"activity": COURSE}, "plain parent registered"),
        ({"activity": PART["id"]}, "group instructor"),
        ({"activity": PART["id"], "related_activities": "true"}, "group instructor parent nested"),
        (
            {"activity": PART["id"], "related_activities": "true", "agent": ANA, "related_agents": "true"},
            "group instructor nested",
        ),
        ({"verb": "a:planned"}, "nested"),
        ({"verb": DID, "agent": CAI, "related_agents": "true"}, "object instructor parent"),
        ({"registration": ID.upper()}, "registered"),
        ({"registration": ID, "agent": CAI}, ""),
        ({"verb": "a:never"}, ""),
        ({"agent": {"mbox": "mailto:nobody@example.com"}}, ""),
    ],
    ids=repr,
)
def test_filters_are_met_together(client: Any, ids: dict[str, str], query: dict[str, Any], expected: str) -> None:
    newest_first = [ids[name] for name in reversed(expected.split())]

    assert client.found(**query) == newest_first
    assert client.found(**query, ascending="true") == newest_first[::-1]


def test_authority_counts_for_related_agents(client: Any, ids: dict[str, str]) -> None:
    authority = client.get(statementId=ids["plain"]).json["authority"]

    assert client.found(agent=authority) == []
    assert len(client.found(agent=authority, related_agents="true")) == len(ids)


def test_since_is_exclusive_and_until_inclusive(client: Any, ids: dict[str, str]) -> None:
    stored = client.get(statementId=ids["object"]).json["stored"]

    assert client.found(since=stored, ascending="true")[0] == ids["instructor"]
    assert client.found(until=stored)[0] == ids["object"]
    assert client.found(since=stored, until=stored) == []


@pytest.mark.parametrize("ascending", ["true", "false"])
@pytest.mark.parametrize(
    "query", [{}, {"verb": DID}, {"agent": ANA, "related_agents": "true"}, {"since": "2020-01-01T00:00:00Z"}], ids=repr
)
def test_more_gives_the_rest_without_gap_or_repeat(
    client: Any, ids: dict[str, str], query: dict[str, Any], ascending: str
) -> None:
    everything = client.found(**query, ascending=ascending)

    answer = client.get(**query, ascending=ascending, limit="2").json
    seen = answer["statements"]
    while answer["more"]:
        assert answer["more"].startswith("/")  # 21: relative, without scheme and host
        answer = client.follow(answer["more"]).json
        assert 0 < len(answer["statements"]) <= 2
        seen += answer["statements"]

    assert [one["id"] for one in seen] == everything


def test_what_comes_meanwhile_does_not_disturb_the_pages(client: Any, ids: dict[str, str]) -> None:
    first = client.get(limit="3").json
    client.store(statement())

    second = client.follow(first["more"]).json

    assert [one["id"] for one in second["statements"]] == [*reversed(ids.values())][3:6]


@pytest.mark.parametrize("token", ["x", "W10", "W3siZm9vIjogWyIxIl19LCAxXQ", "%00", "w6TDtg"])
def test_path_that_more_did_not_give_is_refused(client: Any, token: str) -> None:
    assert client.follow(f"/xapi/statements/more/{token}").status_code == 400


def test_unknown_id_is_not_found(client: Any) -> None:
    assert client.get(statementId=ID).status_code == 404
    assert client.get(voidedStatementId=ID).status_code == 404


def test_statement_comes_back_as_it_is_stored(client: Any) -> None:
    body = b'{"actor":{"mbox":"mailto:a@b"},"verb":{"id":"a:b"},"object":{"id":"a:b"},"result":{"score":{"raw":1.10}}}'
    (statement_id,) = client.post(body).json

    one = client.get(statementId=statement_id).text
    page = client.get().text

    assert '"result":{"score":{"raw":1.10}}' in one
    assert page == f'{{"statements":[{one}],"more":""}}'


def test_read_mine_gives_what_this_credential_stored(make_client: Callable[..., Any]) -> None:
    ours = make_client("statements/write", "statements/read/mine")
    theirs = make_client("statements/write", "statements/read")
    (mine,) = ours.store(statement())
    (other,) = theirs.store(statement())

    assert ours.found() == ours.found(verb=DID) == [mine]
    assert ours.get(statementId=other).status_code == 404
    assert theirs.found() == [other, mine]
