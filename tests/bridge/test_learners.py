"""Who is who: by roster, never by name."""

import pytest
from factories import START as NOW
from factories import page, row
from sqlalchemy import select
from sqlalchemy.orm import Session

from bridge import learners, people, sources
from bridge.mapping import Identity, Unclaimed, load_folders
from bridge.models import Alias, Learner

TODAY = NOW.date()

DOCUMENT = """
kind: identity
name: people
unclaimed: UNCLAIMED
rosters:
  - source: roster
    learner: row.number
    name: row.name
    attributes: {team: row.team}
    aliases:
      - account: {home_page: "'http://moodle.example.com'", name: row.moodle}
      - mbox: row.email
      - user: {source: crm, id: row.crm}
---
kind: source
name: roster
type: csv
every: 1h
path: roster.csv
key: [number]
---
kind: source
name: crm
type: csv
every: 1h
path: crm.csv
key: [number]
"""

ANN = {"number": "E1", "name": "Ann", "team": "North", "moodle": "7", "email": "Ann@Example.com", "crm": "ann.a"}
BEN = {"number": "E2", "name": "Ben", "team": "South", "moodle": "8", "email": None, "crm": "ben.b"}


@pytest.fixture
def identity(tmp_path) -> Identity:
    return make_identity(tmp_path, "wait")


def make_identity(tmp_path, unclaimed: str) -> Identity:
    file = tmp_path / "identity.yaml"
    file.write_text(DOCUMENT.replace("UNCLAIMED", unclaimed))
    return load_folders([file]).identity


def roster(session: Session, *rows: dict[str, str | None]) -> None:
    for data in rows:
        made = row(str(data["number"]), repr(data))
        made.data.clear()
        made.data.update(data)
        sources.store_page(session, "roster", page(made), started_at=NOW)


def alias(session: Session, key: str, name: str | None = None) -> None:
    session.add(Alias(key=key, name=name))
    session.flush()


def who(session: Session) -> dict[str, str | None]:
    session.expire_all()
    rows = session.execute(select(Alias.key, Learner.key).outerjoin(Learner, Learner.id == Alias.learner_id))
    return {alias: learner for alias, learner in rows}  # noqa: C416 - dict() does not see that rows are pairs


def test_a_roster_row_claims_its_aliases_for_its_learner(session: Session, identity: Identity) -> None:
    alias(session, "user:crm|ann.a")
    roster(session, ANN, BEN)

    learners.resolve(session, identity, today=TODAY)

    assert who(session) == {
        "account:http://moodle.example.com|7": "E1",
        "mbox:mailto:ann@example.com": "E1",
        "user:crm|ann.a": "E1",
        "account:http://moodle.example.com|8": "E2",
        "user:crm|ben.b": "E2",
    }
    ann = session.scalars(select(Learner).where(Learner.key == "E1")).one()
    assert (ann.name, ann.attributes) == ("Ann", {"team": "North"})


def test_nobody_is_matched_by_name(session: Session, identity: Identity) -> None:
    alias(session, "user:crm|other", name="Ann")
    roster(session, ANN)

    learners.resolve(session, identity, today=TODAY)

    assert who(session)["user:crm|other"] is None


def test_an_alias_that_two_learners_claim_goes_to_none_and_is_listed(session: Session, identity: Identity) -> None:
    roster(session, ANN, BEN | {"crm": "ann.a"})

    learners.resolve(session, identity, today=TODAY)

    assert who(session)["user:crm|ann.a"] is None
    assert [one.subject for one in learners.problems(session)] == ["user:crm|ann.a"]
    assert "E1 and E2" in learners.problems(session)[0].text


def test_a_row_without_a_learner_key_is_listed_and_the_others_go_on(session: Session, identity: Identity) -> None:
    sources.store_page(session, "roster", page(row("9", "no columns")), started_at=NOW)
    roster(session, ANN)

    learners.resolve(session, identity, today=TODAY)

    assert who(session)["user:crm|ann.a"] == "E1"
    assert [one.subject for one in learners.problems(session)] == ["roster 9"]


def test_a_changed_roster_moves_an_alias_and_a_repaired_one_clears_the_problem(
    session: Session, identity: Identity
) -> None:
    roster(session, ANN, BEN | {"crm": "ann.a"})
    learners.resolve(session, identity, today=TODAY)
    before = learners.signature(session, identity, "hash")

    roster(session, ANN | {"crm": "someone"}, BEN | {"crm": "ann.a"})
    assert learners.signature(session, identity, "hash") != before
    learners.resolve(session, identity, today=TODAY)

    assert who(session)["user:crm|ann.a"] == "E2"
    assert list(learners.problems(session)) == []


@pytest.mark.parametrize(
    ("unclaimed", "account"), [(Unclaimed.LEARNER, "account:http://moodle.example.com|99"), (Unclaimed.WAIT, None)]
)
def test_an_actor_whom_nobody_claims_becomes_a_learner_only_where_the_document_says_so(
    session: Session, tmp_path, unclaimed: Unclaimed, account: str | None
) -> None:
    alias(session, "account:http://moodle.example.com|99", name="Zoe")
    alias(session, "user:crm|zoe")

    learners.resolve(session, make_identity(tmp_path, unclaimed), today=TODAY)

    assert who(session) == {"account:http://moodle.example.com|99": account, "user:crm|zoe": None}


def test_a_learner_of_its_own_gives_way_to_a_roster(session: Session, tmp_path) -> None:
    identity = make_identity(tmp_path, "learner")
    alias(session, "account:http://moodle.example.com|7", name="A.")
    learners.resolve(session, identity, today=TODAY)

    roster(session, ANN)
    learners.resolve(session, identity, today=TODAY)

    assert who(session)["account:http://moodle.example.com|7"] == "E1"
    assert session.scalars(select(Learner.key)).all() == ["E1"]


def test_resolving_twice_changes_nothing(session: Session, identity: Identity) -> None:
    roster(session, ANN, BEN)
    learners.resolve(session, identity, today=TODAY)
    before = who(session), session.scalars(select(Learner.id).order_by(Learner.key)).all()

    learners.resolve(session, identity, today=TODAY)

    assert (who(session), session.scalars(select(Learner.id).order_by(Learner.key)).all()) == before


def test_unmatched_people_are_listed_with_the_number_of_facts_that_wait(session: Session, identity: Identity) -> None:
    alias(session, "user:crm|nobody", name="No Body")

    learners.resolve(session, identity, today=TODAY)

    assert [tuple(one) for one in people.unmatched(session)] == [("user:crm|nobody", "No Body", None, 0)]
