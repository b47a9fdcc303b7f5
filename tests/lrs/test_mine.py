"""What statements/read/mine reads: what its credential stored, and no word of anything else (Communication 4.2)."""

from collections.abc import Callable
from typing import Any

import pytest
from xapi_samples import ANA, BAO, DID, ID, OTHER_ID, about, statement, voiding

SECRET_VERB = "http://example.com/verbs/failed"
THIRD_ID = "7e3d9a20-ab4c-4f2d-9c79-3c4d5e6f7081"
SECRETS = [
    {"verb": SECRET_VERB},
    {"agent": BAO},
    {"agent": BAO, "related_agents": "true"},
    {"activity": "http://lms.example.com/course/9"},
    {"activity": "http://lms.example.com/course/9", "related_activities": "true"},
    {"registration": OTHER_ID},
    # one of its own, one of the other's
    {"agent": ANA, "verb": SECRET_VERB},
]


@pytest.fixture
def mine(make_client: Callable[..., Any]) -> Any:
    return make_client("statements/write", "statements/read/mine")


@pytest.fixture
def theirs(make_client: Callable[..., Any]) -> Any:
    return make_client("all", name="Another")


def secret(**changes: Any) -> dict[str, Any]:
    return statement(
        id=ID,
        actor=BAO,
        verb={"id": SECRET_VERB},
        object={"id": "http://lms.example.com/course/9"},
        context={"registration": OTHER_ID},
        **changes,
    )


def test_anothers_statement_is_not_there(mine: Any, theirs: Any) -> None:
    theirs.store(secret())
    [own] = mine.store(statement())

    assert mine.found() == [own]
    assert mine.get(statementId=ID).status_code == 404
    theirs.store(voiding(ID))
    assert mine.get(voidedStatementId=ID).status_code == 404
    assert theirs.get(voidedStatementId=ID).status_code == 200


def test_pages_have_ones_own_alone_in_every_form(mine: Any, theirs: Any) -> None:
    own = []
    for _ in range(3):
        theirs.store(statement())
        own += mine.store(statement())

    for form in ("exact", "ids", "canonical"):
        page = mine.get(limit="2", format=form).json
        last = mine.follow(page["more"]).json
        assert [one["id"] for one in page["statements"] + last["statements"]] == own[::-1]
        assert last["more"] == ""


def test_a_path_of_more_is_no_use_to_another(mine: Any, theirs: Any) -> None:
    theirs.store(statement(), statement())

    more = theirs.get(limit="1").json["more"]

    assert mine.follow(more).status_code == 403


def test_attachments_are_those_of_ones_own(mine: Any, theirs: Any) -> None:
    theirs.store(secret())

    assert mine.get(statementId=ID, attachments="true").status_code == 404


@pytest.mark.parametrize("query", SECRETS, ids=str)
@pytest.mark.parametrize("first", ["the reference", "its target"])
def test_pointing_at_anothers_statement_tells_nothing_of_it(mine: Any, theirs: Any, query: Any, first: str) -> None:
    stores = [lambda: mine.store(about(ID, id=THIRD_ID)), lambda: theirs.store(secret())]
    for store in stores if first == "the reference" else stores[::-1]:
        store()

    assert mine.get(**query).json == {"statements": [], "more": ""}
    assert mine.get(**query, limit="1", ascending="true").json == {"statements": [], "more": ""}
    assert mine.found(agent=ANA, verb=DID) == [THIRD_ID]
    assert THIRD_ID in theirs.found(**query)


@pytest.mark.parametrize("query", SECRETS, ids=str)
def test_nor_does_pointing_at_it_by_way_of_ones_own(mine: Any, theirs: Any, query: Any) -> None:
    theirs.store(secret())
    mine.store(about(ID, id=OTHER_ID), about(OTHER_ID, id=THIRD_ID))

    assert mine.found(**query) == []


def test_nor_does_voiding_it(mine: Any, theirs: Any) -> None:
    theirs.store(secret())
    [own] = mine.store(voiding(ID))

    assert mine.found(verb=SECRET_VERB) == []
    assert mine.found(verb="http://adlnet.gov/expapi/verbs/voided") == [own]


def test_a_reference_written_with_escapes_tells_nothing_either(mine: Any, theirs: Any) -> None:
    theirs.store(secret())
    body = b'{"actor":{"mbox":"mailto:a@b.c"},"verb":{"id":"http://x/v"},"object":{"objectType":"Statement\\u0052ef","id":"%b"}}'
    assert mine.post(body % ID.encode()).status_code == 200

    assert mine.found(verb=SECRET_VERB) == []


def test_pointing_at_ones_own_finds_as_ever(mine: Any) -> None:
    mine.store(secret())
    mine.store(about(ID, id=OTHER_ID), about(OTHER_ID, id=THIRD_ID))

    assert mine.found(verb=SECRET_VERB, agent=BAO) == [THIRD_ID, OTHER_ID, ID]
    assert mine.found(verb=SECRET_VERB, agent=ANA) == [THIRD_ID, OTHER_ID]


def test_a_circle_of_references_has_an_end(mine: Any) -> None:
    mine.store(about(OTHER_ID, id=ID), about(ID, id=OTHER_ID))

    assert mine.found(verb=DID) == [OTHER_ID, ID]
    assert mine.found(verb=SECRET_VERB) == []


def test_pages_are_as_full_as_if_the_hidden_were_not_there(mine: Any, theirs: Any) -> None:
    theirs.store(secret())
    own = []
    for _ in range(3):
        own += mine.store(statement(verb={"id": SECRET_VERB}))
        mine.store(about(ID), about(ID), about(ID))

    page = mine.get(verb=SECRET_VERB, limit="2").json
    last = mine.follow(page["more"]).json

    assert [one["id"] for one in page["statements"]] == own[:0:-1]
    assert [one["id"] for one in last["statements"]] == own[:1]
    assert last["more"] == ""
