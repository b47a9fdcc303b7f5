"""Voiding and StatementRefs: xAPI 1.0.3, Data 2.3.2 and Communication 2.1.3, in whatever order they arrive."""

from itertools import pairwise, permutations
from typing import Any

import pytest
from xapi_samples import ANA, BAO, COURSE, ID, OTHER_ID, VOIDED, about, statement, voiding

from lrs import references

THIRD_ID = "7e3d9020-ab4c-4f2d-9c79-3c4d5e6f7081"
TARGET = statement(id=ID)
VOIDING = voiding(ID, id=OTHER_ID, actor=BAO)


@pytest.mark.parametrize("arrivals", [[TARGET, VOIDING], [VOIDING, TARGET]], ids=["target first", "voiding first"])
def test_voided_statement_is_given_by_voided_statement_id_alone(client: Any, arrivals: list[Any]) -> None:
    client.store(*arrivals)

    assert client.found(limit="10") == [OTHER_ID]
    assert client.get(statementId=ID).status_code == 404
    assert client.get(voidedStatementId=ID).json["id"] == ID
    assert client.get(statementId=OTHER_ID).status_code == 200
    assert client.get(voidedStatementId=OTHER_ID).status_code == 404


def test_voiding_in_the_batch_of_its_target_counts(client: Any) -> None:
    assert client.post([VOIDING, TARGET]).status_code == 200

    assert client.found() == [OTHER_ID]


def test_voiding_statement_cannot_be_voided(client: Any) -> None:
    client.store(TARGET, VOIDING)

    refused = client.post([statement(), voiding(OTHER_ID)])

    assert refused.status_code == 400
    assert (refused.json["index"], refused.json["pointer"]) == (1, "/object/id")


def test_voiding_that_comes_before_the_voiding_it_names_has_no_effect(client: Any) -> None:
    client.store(TARGET, voiding(OTHER_ID, id=THIRD_ID), VOIDING)

    assert client.get(statementId=OTHER_ID).status_code == 200
    assert client.get(voidedStatementId=ID).status_code == 200
    assert client.post(voiding(OTHER_ID, id=THIRD_ID)).status_code == 200  # sent again: stored already


def test_statement_is_voided_twice_without_harm(client: Any) -> None:
    client.store(TARGET, VOIDING, voiding(ID, id=THIRD_ID))

    assert client.found() == [THIRD_ID, OTHER_ID]


def test_plain_reference_with_another_verb_does_not_void(client: Any) -> None:
    client.store(TARGET, about(ID, id=OTHER_ID))

    assert client.found() == [OTHER_ID, ID]


CHAIN = [
    statement(id=ID),
    about(ID, id=OTHER_ID, actor=BAO, verb={"id": "a:commented"}),
    about(OTHER_ID, id=THIRD_ID, actor=BAO, verb={"id": "a:liked"}),
]


@pytest.mark.parametrize("order", list(permutations(range(3))))
def test_statement_is_found_by_what_it_points_at_however_far(client: Any, order: tuple[int, ...]) -> None:
    client.store(*(CHAIN[i] for i in order))

    expected = {ID, OTHER_ID, THIRD_ID}
    assert set(client.found(activity=COURSE)) == expected
    assert set(client.found(agent=ANA)) == expected
    assert set(client.found(agent=ANA, related_agents="true")) == expected
    assert set(client.found(verb="a:commented")) == {OTHER_ID, THIRD_ID}
    assert set(client.found(verb="a:commented", activity=COURSE)) == {OTHER_ID, THIRD_ID}


def test_statement_that_points_at_a_voided_one_still_matches(client: Any) -> None:
    client.store(TARGET, VOIDING)

    assert client.found(activity=COURSE) == [OTHER_ID]
    assert client.found(verb=VOIDED) == [OTHER_ID]


def test_since_and_until_are_those_of_the_referring_statement(client: Any) -> None:
    client.store(CHAIN[0])
    between = client.get(statementId=ID).json["stored"]
    client.store(CHAIN[1])

    assert client.found(activity=COURSE, since=between) == [OTHER_ID]
    assert client.found(activity=COURSE, until=between) == [ID]


def test_statements_that_point_in_a_circle_are_taken(client: Any) -> None:
    client.store(about(OTHER_ID, id=ID, actor=BAO), about(ID, id=OTHER_ID), about(THIRD_ID, id=THIRD_ID))

    assert set(client.found(agent=ANA)) == {ID, OTHER_ID, THIRD_ID}


def test_a_long_chain_in_one_batch_is_followed_for_its_first_links(client: Any) -> None:
    ids = [f"{number:08x}-0000-4000-8000-000000000000" for number in range(references.MAX_CHAIN + 20)]
    told = statement(id=ids[0], verb={"id": "http://example.com/verbs/told"})
    retold = [about(target, id=own) for target, own in pairwise(ids)]

    assert client.post([*retold[::-1], told]).status_code == 200

    assert set(client.found(verb="http://example.com/verbs/told")) == set(ids[: references.MAX_CHAIN + 1])
