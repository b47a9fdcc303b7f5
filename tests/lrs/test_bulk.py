"""Taking many statements and giving them out: what is refused keeps no other out, and nothing comes twice."""

import json
from typing import Any

import pytest
from sqlalchemy import func, select
from sqlalchemy.orm import Session
from xapi_samples import ANA, BAO, COURSE, DID, ID, OTHER_ID, about, statement, text, voiding

from lrs import bulk, store
from lrs.errors import Forbidden, Invalid, NotFound
from lrs.models import Credential, Statement

BASE = {"base_url": "http://lrs.example.com", "secret_key": "only for tests"}
MADE = "1c1b7f0e-8f2a-5d0b-9a57-1a2b3c4d5e6f"


@pytest.fixture
def author(session: Session) -> store.Author:
    return bulk.author(session, None, **BASE)


@pytest.fixture
def take(session: Session, author: store.Author) -> Any:
    def run(*statements: dict[str, Any] | bytes, **options: Any) -> bulk.Taken:
        sent = [
            bulk.Sent(one if isinstance(one, bytes) else text(one), f"{number:08x}{MADE[8:]}")
            for number, one in enumerate(statements)
        ]
        taken = bulk.take(session, sent, author=author, **options)
        session.commit()
        return taken

    return run


def places(taken: bulk.Taken) -> list[tuple[int, int, str | None]]:
    return [(place, error.status, error.pointer) for place, error in taken.refused]


def ids(session: Session) -> set[str]:
    return set(map(str, session.scalars(select(Statement.id))))


def exported(session: Session, asked: dict[str, str] | None = None, **options: Any) -> list[str]:
    return [json.loads(one)["id"] for page in bulk.pages(session, asked or {}, **options) for one in page]


def test_what_is_refused_keeps_no_other_out(take: Any, session: Session) -> None:
    taken = take(statement(id=ID), statement(actor={}), b"no JSON", statement(id=OTHER_ID), b"\xff\xfe")

    assert places(taken) == [(1, 400, "/actor"), (2, 400, None), (4, 400, None)]
    assert (taken.stored, taken.known) == (2, 0)
    assert ids(session) == {ID, OTHER_ID}


def test_taken_again_nothing_comes_twice(take: Any, session: Session) -> None:
    batch = [statement(id=ID), statement(), statement()]

    first, again = take(*batch), take(*batch)

    assert (first.stored, first.known) == (3, 0)
    assert (again.stored, again.known) == (0, 3)
    assert len(ids(session)) == 3


def test_other_statement_under_a_known_id_is_refused_and_the_first_kept(take: Any, session: Session) -> None:
    take(statement(id=ID))

    taken = take(statement(id=OTHER_ID), statement(id=ID.upper(), actor=BAO))

    assert places(taken) == [(1, 409, "/id")]
    assert json.loads(session.scalars(select(Statement.payload).where(Statement.id == ID)).one())["actor"] == ANA


def test_id_that_comes_twice_in_a_batch_is_taken_once(take: Any, session: Session) -> None:
    taken = take(statement(id=ID), statement(id=ID.upper()), statement(id=ID, actor=BAO), statement(id=OTHER_ID))

    assert (taken.stored, taken.known, places(taken)) == (2, 1, [(2, 409, "/id")])


def test_what_is_refused_late_keeps_no_other_out(take: Any, session: Session) -> None:
    """Whether something voids a voiding statement is known to the database alone (2.3.2)."""
    take(statement(id=ID), voiding(ID, id=OTHER_ID))

    taken = take(statement(), voiding(OTHER_ID), voiding(OTHER_ID), statement())

    assert (taken.stored, places(taken)) == (2, [(1, 400, "/object/id"), (2, 400, "/object/id")])
    assert len(ids(session)) == 4


def test_version_is_the_one_that_a_statement_names(take: Any, session: Session) -> None:
    new = {"contextAgents": [{"objectType": "contextAgent", "agent": {**BAO, "objectType": "Agent"}}]}

    taken = take(
        statement(id=ID), statement(id=OTHER_ID, version="2.0.0", context=new), statement(context=new), statement()
    )

    assert places(taken) == [(2, 400, "/context/contextAgents")]
    versions = {one["id"]: one["version"] for one in map(json.loads, session.scalars(select(Statement.payload)))}
    assert (versions[ID], versions[OTHER_ID]) == ("1.0.0", "2.0.0")


def test_stored_and_authority_are_ours(take: Any, session: Session) -> None:
    take(statement(id=ID, stored="2001-01-01T00:00:00Z", authority=BAO, timestamp="2001-01-01T00:00:00.12345678Z"))

    found = json.loads(session.scalars(select(Statement.payload)).one())
    assert found["authority"]["name"] == "import"
    assert found["stored"] > "2026"
    assert found["timestamp"] == "2001-01-01T00:00:00.12345678Z"


def test_lenient_repairs_what_strict_refuses(take: Any, session: Session) -> None:
    faulty = statement(result={"response": None, "score": {"raw": 1.10}})

    assert places(take(faulty)) == [(0, 400, "/result/response")]
    assert take(faulty, lenient=True).repaired == 1
    assert take(faulty, lenient=True).known == 1
    assert '"raw":1.1' in session.scalars(select(Statement.payload)).one().replace(" ", "")


def test_work_is_in_the_name_of_one_credential_that_nobody_can_call_with(session: Session) -> None:
    first, again = bulk.author(session, None, **BASE), bulk.author(session, None, **BASE)

    assert first == again
    assert session.scalars(select(Credential.name)).all() == ["import"]


def test_credential_must_be_in_force_and_may_write(make_client: Any, session: Session) -> None:
    writer, reader = make_client("statements/write", name="Old LRS"), make_client("statements/read")

    found = bulk.author(session, writer.key, **BASE)

    assert (json.loads(found.authority)["name"], found.defines) == ("Old LRS", False)
    with pytest.raises(Forbidden):
        bulk.author(session, reader.key, **BASE)
    with pytest.raises(NotFound):
        bulk.author(session, "nobody", **BASE)


def test_position_is_kept_with_what_it_is_of(session: Session) -> None:
    bulk.keep(session, "work", {"at": 1})
    session.commit()
    bulk.keep(session, "work", {"at": 2})
    session.rollback()

    assert bulk.state(session, "work") == {"at": 1}
    bulk.keep(session, "work", {"at": 3})
    assert bulk.state(session, "work") == {"at": 3}
    bulk.forget(session, "work")
    assert bulk.state(session, "work") is None


def test_everything_is_given_out_in_order_page_by_page(
    client: Any, session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bulk, "PAGE", 3)
    stored = client.store(*[statement() for _ in range(7)])

    assert exported(session) == stored
    assert exported(session, with_voided=True) == stored
    assert [len(page) for page in bulk.pages(session, {})] == [3, 3, 1]


def test_it_ends_with_what_was_there_when_it_began(
    client: Any, session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bulk, "PAGE", 1)
    stored = client.store(statement(), statement())
    pages = bulk.pages(session, {})

    client.store(statement())

    assert [json.loads(one)["id"] for page in pages for one in page] == stored


@pytest.mark.parametrize("with_voided", [False, True])
def test_nothing_is_given_out_that_something_older_may_still_precede(
    client: Any, session: Session, *, with_voided: bool
) -> None:
    client.store(statement())  # its terms are known from here on
    with Session(session.get_bind()) as other:
        sent = [bulk.Sent(text(statement(id=ID)), "")]
        bulk.take(other, sent, author=bulk.author(session, client.key, **BASE))
        client.store(statement())

        assert len(exported(session, with_voided=with_voided)) == 1

        other.commit()
    assert len(exported(session, with_voided=with_voided)) == 3


def test_filters_are_those_of_the_query(client: Any, session: Session) -> None:
    first, second, third = client.store(statement(), statement(actor=BAO), statement(object={"id": COURSE + "/2"}))

    assert exported(session, {"agent": json.dumps(BAO)}) == [second]
    assert exported(session, {"activity": COURSE}) == [first, second]
    assert exported(session, {"verb": DID, "since": client.get(statementId=first).json["stored"]}) == [second, third]
    assert exported(session, {"verb": DID + "/none"}) == []


def test_voided_statements_are_given_out_when_asked_for(client: Any, session: Session) -> None:
    client.store(statement(id=ID), voiding(ID, id=OTHER_ID))
    between = client.get(voidedStatementId=ID).json["stored"]

    assert exported(session) == [OTHER_ID]
    assert exported(session, with_voided=True) == [ID, OTHER_ID]
    assert exported(session, {"until": between}, with_voided=True) == [ID]
    assert exported(session, {"since": between}, with_voided=True) == [OTHER_ID]
    with pytest.raises(Invalid, match="no filter but since and until"):
        bulk.pages(session, {"verb": DID}, with_voided=True)


def test_what_was_given_out_is_taken_elsewhere_as_it_was(client: Any, session: Session, take: Any) -> None:
    numbers = b'{"http://example.com/n":1.000000000000000000010e+5}'
    sent = text(statement(id=ID, result={"extensions": "here"})).replace(b'"here"', numbers)
    assert client.post(sent).status_code == 200
    client.store(about(ID, id=OTHER_ID))
    given_out = [one.encode() for page in bulk.pages(session, {}) for one in page]
    count = session.scalar(select(func.count()).select_from(Statement))

    taken = take(*given_out)

    assert (taken.known, count) == (2, 2)
    assert numbers in given_out[0]
