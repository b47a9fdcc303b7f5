"""How rosters read one row."""

import pytest

from bridge.mapping import Attribute, Failure, RosterEntry, read_roster

PEOPLE = """\
kind: source
name: hr
type: csv
---
kind: source
name: desk
type: csv
---
kind: identity
name: people
rosters:
  - source: hr
    learner: row.number
    name: row.name
    attributes: {team: row.team, manager: row.manager}
    aliases:
      - account: {home_page: "'https://lms'", name: row.lms_id}
      - mbox: row.mail
      - mbox_sha1sum: row.hash
      - openid: row.openid
      - user: {source: desk, id: row.desk_id}
"""


def test_a_roster_row_names_a_learner_with_its_aliases(load):
    [roster] = load(PEOPLE).identity.rosters

    entry = read_roster(
        roster,
        {"number": 1001, "name": "Ana", "team": "North", "manager": "", "lms_id": "3", "mail": " Ana@Example.com ",
         "hash": "AB", "openid": "https://ana", "desk_id": "Ana A."},
    )  # fmt: skip

    assert entry == RosterEntry(
        learner_key="1001",
        name="Ana",
        attributes=(Attribute("team", "North"),),
        alias_keys=(
            "account:https://lms|3",
            "mbox:mailto:ana@example.com",
            "mbox_sha1sum:ab",
            "openid:https://ana",
            "user:desk|Ana A.",
        ),
        addresses=(("mbox:mailto:ana@example.com", "Ana@Example.com"),),
    )


def test_an_alias_whose_parts_are_empty_is_left_out(load):
    [roster] = load(PEOPLE).identity.rosters

    entry = read_roster(roster, {"number": "E1", "lms_id": "", "mail": None, "desk_id": "7"})

    assert entry == RosterEntry("E1", None, (), ("user:desk|7",))


@pytest.mark.parametrize(
    ("row", "failure"),
    [
        ({}, Failure("learner", "row.number", "it gave null, and a learner must have a key")),
        (
            {"number": "E1", "mail": True},
            Failure("roster", "row.mail", "it gave true or false ('true'), a text is expected"),
        ),
    ],
)
def test_a_row_that_names_nobody_says_why(load, row, failure):
    [roster] = load(PEOPLE).identity.rosters

    assert read_roster(roster, row) == failure
