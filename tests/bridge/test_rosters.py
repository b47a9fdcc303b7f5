"""Rosters: what their rows say, read row by row, with the same result however the rows come."""

import random
from datetime import date
from pathlib import Path

import pytest
from factories import START, fact, program
from people import DIRECTORIES, HR, LMS, TODAY, arrive, identity, marked, resolve, state, store, whose
from sqlalchemy import select, text
from sqlalchemy.orm import Session

from bridge import learners, people, records
from bridge.models import Learner, SourceRecordVersion

ANN = {"number": "E1", "name": "Ann", "email": "ann@example.com", "crm": "5", "team": "North"}
BO = {"number": "E2", "name": "Bo", "email": "bo@example.com", "crm": "6", "team": "South"}


def problems(session: Session) -> list[tuple[str, str]]:
    return [(one.subject, one.text) for one in learners.problems(session)]


def learner(session: Session, key: str = "E1") -> Learner:
    session.expire_all()
    return session.scalars(select(Learner).where(Learner.key == key)).one()


def periods(session: Session, key: str = "E1") -> list[tuple[str, ...]]:
    return [tuple(row) for row in people.attributes(session, learner(session, key))]


def test_a_row_whose_attributes_alone_say_when_is_a_period(session: Session, tmp_path: Path) -> None:
    roster = """\
  - source: hr
    learner: row.number
    attributes: {team: {value: row.team, from: row.since, to: row.until}}
    aliases: [{employee: row.number}]
"""
    store(session, "hr", {"number": "E1", "id": "1", "team": "North", "since": None, "until": "2026-05-31"}, key="id")
    store(session, "hr", {"number": "E1", "id": "2", "team": "South", "since": "2026-06-01", "until": None}, key="id")

    resolve(session, identity(tmp_path, roster))

    assert problems(session) == []
    assert learner(session).attributes == {"team": "South"}
    assert [one[1] for one in periods(session)] == ["North", "South"]


# --- directories -----------------------------------------------------------------------------------------------------


def test_a_directory_names_no_learner_but_leads_its_aliases_to_one(session: Session, tmp_path: Path) -> None:
    store(session, "hr", ANN)
    store(session, "desk", {"number": "9", "id": "9", "email": "ANN@example.com", "lms": "7"})

    resolve(session, identity(tmp_path))

    assert whose(session)[f"account:{LMS}|7"] == ("E1", "link desk 9")
    assert whose(session)["user:desk|9"] == ("E1", "link desk 9")
    assert session.scalars(select(Learner.key)).all() == ["E1"]


def test_a_hash_of_an_address_as_the_roster_writes_it_is_known(session: Session, tmp_path: Path) -> None:
    hashed = "mbox_sha1sum:3e75d34d5a4e7f21ab34ba0e86c2d5e8d2f11c87"
    written = _sha1("Ann@Example.com")
    arrive(session, hashed, f"mbox_sha1sum:{written}", f"mbox_sha1sum:{_sha1('ann@example.com')}")
    store(session, "hr", ANN | {"email": "Ann@Example.com"})

    resolve(session, identity(tmp_path))

    found = whose(session)
    assert found[f"mbox_sha1sum:{written}"] == ("E1", "mbox_sha1sum")
    assert found[f"mbox_sha1sum:{_sha1('ann@example.com')}"] == ("E1", "mbox_sha1sum")
    assert found[hashed] == (None, None)


def _sha1(address: str) -> str:
    from hashlib import sha1

    return sha1(f"mailto:{address}".encode(), usedforsecurity=False).hexdigest()


@pytest.mark.parametrize(("link_by", "rule"), [("[exact, email]", "email"), ("[exact]", None)])
def test_the_document_says_which_links_are_followed(
    session: Session, tmp_path: Path, link_by: str, rule: str | None
) -> None:
    account = f"account:{LMS}|Ann@example.com"
    arrive(session, account)
    store(session, "hr", ANN)

    resolve(session, identity(tmp_path, more=f"unclaimed: wait\nlink_by: {link_by}\nemails: {{accounts: ['{LMS}']}}"))

    assert whose(session)[account] == ("E1" if rule else None, rule)


def test_a_changed_document_settles_all_anew(session: Session, tmp_path: Path) -> None:
    arrive(session, f"account:{LMS}|ann@example.com", "openid:https://id.example.com/zoe")
    store(session, "hr", ANN)
    resolve(session, identity(tmp_path))
    assert whose(session)[f"account:{LMS}|ann@example.com"] == (None, None)

    resolve(session, identity(tmp_path, more=f"unclaimed: learner\nemails: {{accounts: ['{LMS}']}}"))

    assert whose(session)[f"account:{LMS}|ann@example.com"] == ("E1", "email")
    assert whose(session)["openid:https://id.example.com/zoe"] == ("openid:https://id.example.com/zoe", "own")


# --- only what changes -----------------------------------------------------------------------------------------------


def test_only_aliases_whose_learner_changes_are_marked(session: Session, tmp_path: Path) -> None:
    document = identity(tmp_path)
    store(session, "hr", ANN, BO)
    resolve(session, document)
    marked(session)

    store(session, "hr", ANN, BO | {"crm": "60"})
    resolve(session, document)

    found = whose(session)
    assert found["user:crm|6"] == (None, None)
    marks = marked(session)
    assert {"user:crm|6", "user:crm|60"} <= marks
    # beside those two, one of Bo's, who lost an alias
    assert [found[alias][0] for alias in marks - {"user:crm|6", "user:crm|60"}] == ["E2"]


def test_the_same_rosters_again_touch_nothing(session: Session, tmp_path: Path) -> None:
    store(session, "hr", ANN, BO)
    resolve(session, identity(tmp_path))
    session.flush()
    tables = ("alias", "learner", "learner_attribute", "claim", "alias_link", "identity_problem")
    query = " union all ".join(f"select '{table}', xmin::text, ctid::text from {table}" for table in tables)  # noqa: S608
    before = sorted(session.execute(text(query)).all())
    marked(session)

    store(session, "hr", ANN, BO)
    resolve(session, identity(tmp_path))

    session.flush()
    assert sorted(session.execute(text(query)).all()) == before
    assert marked(session) == set()


def test_a_new_name_or_team_marks_the_learner_and_moves_nothing(session: Session, tmp_path: Path) -> None:
    store(session, "hr", ANN, BO)
    resolve(session, identity(tmp_path))
    before = whose(session)
    marked(session)

    store(session, "hr", ANN | {"team": "West", "name": "Ann A."})
    resolve(session, identity(tmp_path))

    assert whose(session) == before
    [alias] = marked(session)  # one is enough for the record
    assert whose(session)[alias][0] == "E1"
    assert (learner(session).name, learner(session).attributes) == ("Ann A.", {"team": "West"})


def test_who_loses_all_aliases_loses_the_record_too(session: Session, tmp_path: Path) -> None:
    store(session, "hr", ANN)
    resolve(session, identity(tmp_path))
    fact(session, "user:crm|5", kind="progressed", activity=program().courses[0], course=program().courses[0])
    records.refresh_all(session, [program()], {})

    store(session, "hr", ANN | {"crm": None, "email": None})
    resolve(session, identity(tmp_path))
    records.refresh_stale(session, [program()], {})

    assert session.scalar(text("select count(*) from record")) == 0
    assert learner(session).name == "Ann"


def test_a_record_that_is_gone_claims_nothing(session: Session, tmp_path: Path) -> None:
    store(session, "hr", ANN)
    resolve(session, identity(tmp_path))

    [record] = session.execute(text("select id from source_record")).scalars()
    session.add(SourceRecordVersion(record_id=record, content_hash=b"gone", data={}, deleted=True))
    session.flush()
    resolve(session, identity(tmp_path))

    assert whose(session)["user:crm|5"] == (None, None)
    assert session.scalars(select(Learner.key)).all() == []


def test_a_roster_that_is_taken_out_claims_nothing(session: Session, tmp_path: Path) -> None:
    store(session, "hr", ANN)
    resolve(session, identity(tmp_path))

    resolve(session, identity(tmp_path, DIRECTORIES))

    assert set(whose(session).values()) == {(None, None)}
    assert session.scalars(select(Learner.key)).all() == []


def test_new_aliases_are_settled_without_looking_at_those_that_wait(session: Session, tmp_path: Path) -> None:
    document = identity(tmp_path, more="unclaimed: learner")
    arrive(session, "user:crm|77", "openid:https://id.example.com/a")
    resolve(session, document)
    before = dict(session.execute(text("select key, xmin::text from alias")).all())

    arrive(session, "openid:https://id.example.com/b")
    resolve(session, document)

    after = dict(session.execute(text("select key, xmin::text from alias")).all())
    assert {key: after[key] for key in before} == before
    assert whose(session)["openid:https://id.example.com/b"] == ("openid:https://id.example.com/b", "own")


def test_a_learner_of_its_own_is_called_as_its_alias_was_called_last(session: Session, tmp_path: Path) -> None:
    document, key = identity(tmp_path, more="unclaimed: learner"), "openid:https://id.example.com/a"
    arrive(session, key, name="Zoe")
    resolve(session, document)
    assert learner(session, key).name == "Zoe"

    session.execute(text("update alias set name = 'Zoe Z.', settled = false"))  # as facts.py does
    resolve(session, document)

    assert learner(session, key).name == "Zoe Z."


# --- rows of one learner ---------------------------------------------------------------------------------------------


def test_of_two_rows_of_a_learner_the_first_is_kept_and_the_other_listed(session: Session, tmp_path: Path) -> None:
    document = identity(tmp_path, HR.replace("learner: row.number", "learner: row.person"))
    store(session, "hr", ANN | {"number": "2", "person": "E1", "crm": "50"})
    resolve(session, document)
    store(session, "hr", ANN | {"number": "1", "person": "E1"})
    resolve(session, document)

    assert whose(session)["user:crm|5"] == ("E1", "roster hr")
    assert whose(session)["user:crm|50"] == (None, None)
    assert [subject for subject, _ in problems(session)] == ["hr 2"]

    store(session, "hr", ANN | {"number": "1", "person": "E9"})
    resolve(session, document)

    assert whose(session)["user:crm|50"] == ("E1", "roster hr")
    assert problems(session) == [(subject, words) for subject, words in problems(session) if "E1 and E9" in words]


def test_several_rosters_say_each_their_part_of_a_learner(session: Session, tmp_path: Path) -> None:
    moodle = """\
  - source: desk
    learner: row.employee
    name: row.called
    attributes: {team: row.department, city: row.city}
    aliases: [{user: {source: desk, id: row.id}}]
"""
    store(session, "hr", ANN)
    store(
        session,
        "desk",
        {"number": "9", "id": "9", "employee": "E1", "called": "Annie", "department": "X", "city": "Oslo"},
    )

    resolve(session, identity(tmp_path, HR + moodle))

    assert whose(session)["user:desk|9"] == ("E1", "roster desk")
    assert (learner(session).name, learner(session).attributes) == ("Ann", {"team": "North", "city": "Oslo"})
    assert problems(session) == []


def test_rows_with_periods_stand_beside_each_other(session: Session, tmp_path: Path) -> None:
    document = identity(tmp_path, HR.replace("learner: row.number", "learner: row.person"))
    store(session, "hr", ANN | {"number": "1", "person": "E1", "until": "2026-03-31"})
    store(session, "hr", ANN | {"number": "2", "person": "E1", "since": "2026-04-01", "team": "West"})

    resolve(session, document)

    assert periods(session) == [("team", "North", None, "2026-03-31"), ("team", "West", "2026-04-01", None)]
    assert learner(session).attributes == {"team": "West"}
    assert problems(session) == []


def test_an_attribute_may_have_a_period_of_its_own(session: Session, tmp_path: Path) -> None:
    store(
        session, "hr", ANN | {"manager": "Cy", "manager_since": "2026-02-01T08:00:00Z", "manager_until": "2026-09-30"}
    )

    resolve(session, identity(tmp_path))

    assert ("manager", "Cy", "2026-02-01", "2026-09-30") in periods(session)
    assert learner(session).attributes == {"team": "North"}


def test_of_periods_that_overlap_the_one_that_begins_later_holds_and_it_is_listed(
    session: Session, tmp_path: Path
) -> None:
    document = identity(tmp_path, HR.replace("learner: row.number", "learner: row.person"))
    store(session, "hr", ANN | {"number": "1", "person": "E1", "since": "2026-01-01", "until": "2026-12-31"})
    store(
        session,
        "hr",
        ANN | {"number": "2", "person": "E1", "since": "2026-03-01", "until": "2026-05-31", "team": "West"},
    )

    resolve(session, document)

    assert [row for row in periods(session) if row[0] == "team"] == [
        ("team", "North", "2026-01-01", "2026-02-28"),
        ("team", "West", "2026-03-01", "2026-05-31"),
        ("team", "North", "2026-06-01", "2026-12-31"),
    ]
    [(subject, words)] = problems(session)
    assert subject == "E1"
    assert "'North' and 'West' from 2026-03-01 to 2026-05-31; 'West' is taken" in words


@pytest.mark.parametrize("wrong", [{"since": "2026-05-01", "until": "2026-04-01"}, {"since": "soon"}])
def test_a_period_that_is_none_is_listed_and_the_other_rows_go_on(session: Session, tmp_path: Path, wrong) -> None:
    store(session, "hr", ANN | wrong, BO)

    resolve(session, identity(tmp_path))

    assert [subject for subject, _ in problems(session)] == ["hr E1"]
    assert whose(session)["user:crm|6"] == ("E2", "roster hr")


def test_what_is_in_force_follows_the_date_and_marks_who_it_is_about(session: Session, tmp_path: Path) -> None:
    document = identity(tmp_path)
    store(session, "hr", ANN | {"manager": "Cy", "manager_since": "2026-10-02", "manager_until": "2026-10-03"}, BO)
    resolve(session, document)
    marked(session)

    seen = []
    for day in (1, 2, 3, 4):
        resolve(session, document, date(2026, 10, day))
        seen.append((learner(session).attributes.get("manager"), len(marked(session))))

    assert seen == [(None, 0), ("Cy", 1), ("Cy", 0), (None, 1)]
    resolve(session, document, date(2026, 10, 3))  # a clock that was put back
    assert learner(session).attributes["manager"] == "Cy"


# --- the same, however it comes --------------------------------------------------------------------------------------


@pytest.mark.parametrize("unclaimed", ["wait", "learner"])
@pytest.mark.parametrize("seed", range(12))
def test_changes_one_after_the_other_give_what_all_at_once_gives(
    session: Session, tmp_path: Path, seed: int, unclaimed: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    dice = random.Random(seed)  # noqa: S311 - to be repeated
    monkeypatch.setattr("bridge.rosters.BATCH", 2)
    document = identity(
        tmp_path,
        HR.replace("learner: row.number", "learner: row.person") + DIRECTORIES,
        more=f"unclaimed: {unclaimed}\nemails: {{accounts: ['{LMS}']}}",
    )
    for _ in range(25):
        _change_something(session, dice)
        if dice.random() < 0.6:
            while_settling = dice.choice([1, 3, 5_000])
            for _ in learners.read_rosters(session, document, today=TODAY):
                pass
            while learners.settle(session, document, today=TODAY, limit=while_settling):
                pass
    resolve(session, document)
    step_by_step = state(session)

    for table in ("built", "roster_row", "alias_link", "identity_problem", "learner_attribute"):
        session.execute(text(f"delete from {table}"))  # noqa: S608 - names from above
    session.execute(text("update alias set settled = false, learner_id = null, rule = null"))
    session.execute(text("delete from learner"))
    resolve(session, document)

    fresh = state(session)
    assert {what: set(fresh[what]) ^ set(rows) for what, rows in step_by_step.items()} == {
        what: set() for what in fresh
    }


def _change_something(session: Session, dice: random.Random) -> None:
    mails = [f"{name}@example.com" for name in ("ann", "Ann", "bo", "info")] + [None]
    number = str(dice.randint(1, 4))
    match dice.randint(1, 4):
        case 1:
            row = {"number": number, "person": f"E{dice.randint(1, 3)}", "name": dice.choice(["Ann", "Bo", None])}
            row |= {"email": dice.choice(mails), "crm": dice.choice(["1", "2", None]), "team": dice.choice(["N", "S"])}
            row |= {"since": dice.choice([None, None, "2026-01-01", "2026-06-01"])}
            store(session, "hr", row)
        case 2:
            store(
                session,
                "crm",
                {"number": number, "id": number, "email": dice.choice(mails), "employee": dice.choice(["1", None])},
            )
        case 3:
            store(
                session,
                "desk",
                {"number": number, "id": number, "email": dice.choice(mails), "lms": dice.choice(["7", "8", None])},
            )
        case _:
            new = dice.choice(
                [
                    f"account:{LMS}|7",
                    f"account:{LMS}|bo@example.com",
                    f"mbox_sha1sum:{_sha1('Ann@example.com')}",
                    "mbox:mailto:bo@example.com",
                    "user:crm|2",
                ]
            )
            session.execute(
                text("insert into alias (key, name, named_at) values (:key, 'N', :at) on conflict do nothing"),
                {"key": new, "at": START},
            )
