"""Whose a metric's value is, in every form that a document can tell it in."""

from datetime import UTC, datetime

import pytest

from bridge.mapping import Failure, Version

DOCUMENT = """\
kind: performance
name: tickets
source: desk
changed_at: row.updated
metrics:
  - name: solved
    family: count
    direction: up
    owner: {owner}
    occurred_at: row.closed
    value: "1"
    weight: row.weight
"""
CLOSED = "2026-10-05T12:00:00Z"


@pytest.fixture
def owners(load):
    """Give the aliases with their weights by the newest of a record's versions, or its failures."""

    def read(owner, *versions):
        reader = load(DOCUMENT.replace("{owner}", owner)).record_reader("desk")
        rows = [{"closed": CLOSED, "weight": 1, **row} if row is not None else None for row in versions]
        reading = reader.read([Version(number, row) for number, row in enumerate(rows, 1)])
        return reading.failures or {fact.alias_key: fact.weight for fact in reading.facts}

    return read


def at(hour, **fields):
    """Make a version that came to be at an hour of the day on which the ticket was closed at 12."""
    return {"updated": f"2026-10-05T{hour:02}:00:00Z", **fields}


@pytest.mark.parametrize("owner", ["row.owner", "{is: row.owner}"])
def test_an_owner_is_who_holds_it_in_the_newest_version(owners, owner):
    assert owners(owner, at(9, owner="Ana"), at(15, owner="Ben")) == {"user:desk|Ben": 1.0}


@pytest.mark.parametrize(
    ("versions", "found"),
    [
        ([at(9, owner="Ana"), at(15, owner="Ben")], "Ana"),
        ([at(9, owner="Ana"), at(12, owner="Ben")], "Ben"),  # at the very time
        ([at(9, owner="Ana"), at(11, owner="Ben"), at(15, owner="Cem")], "Ben"),
        ([at(14, owner="Ana"), at(15, owner="Ben")], "Ana"),  # known only since later: the first that is known
        ([at(11, owner="Ana"), at(11, owner="Ben"), at(15, owner="Cem")], "Ben"),  # in one minute: the later version
        ([at(9, owner="Ana"), {"owner": "Nobody knows when"}, at(15, owner="Ben")], "Ana"),
        ([at(9, owner="Ana"), None, at(15, owner="Ben")], "Ana"),  # gone and back again
        ([{"owner": "Ana"}, at(9, owner="Ana")], "Ana"),  # nothing but its time is new
        ([at(11, owner="Ben"), at(9, owner="Ana"), at(15, owner="Cem")], "Ben"),  # times decide, not the order
    ],
)
def test_the_owner_at_the_time_is_who_held_it_then(owners, versions, found):
    assert owners("{at_the_time: row.owner}", *versions) == {f"user:desk|{found}": 1.0}


def test_nobody_has_what_nobody_held_at_the_time(owners):
    assert owners("{at_the_time: row.owner}", at(9, owner="Ana"), at(11), at(15, owner="Ben")) == {}


def test_the_owner_at_the_time_cannot_be_told_without_a_time_of_any_version(owners):
    assert owners("{at_the_time: row.owner}", {"owner": "Ana"}) == [
        Failure(
            "tickets/solved",
            "row.updated",
            "it gave null in every version, so nobody can tell who held the record when",
        )
    ]


HISTORY = "{by_history: {list: row.history, owner: item.to, at: item.at}}"


@pytest.mark.parametrize(
    ("history", "found"),
    [
        ([{"to": "Ana", "at": "2026-10-05T09:00:00Z"}, {"to": "Ben", "at": "2026-10-05T15:00:00Z"}], {"Ana"}),
        ([{"to": "Ben", "at": "2026-10-05T15:00:00Z"}, {"to": "Ana", "at": "2026-10-05T09:00:00Z"}], {"Ana"}),
        ([{"to": "Ana", "at": "2026-10-05T09:00:00Z"}, {"to": None, "at": "2026-10-05T10:00:00Z"}], set()),
        ([{"to": "Ana", "at": "2026-10-05T13:00:00Z"}], set()),  # handed out when it was closed already
        ([], set()),
        (None, set()),
    ],
)
def test_the_owner_by_history_is_who_got_it_last_before(owners, history, found):
    assert owners(HISTORY, at(15, history=history)).keys() == {f"user:desk|{name}" for name in found}


@pytest.mark.parametrize(
    ("history", "expression", "reason"),
    [
        ([{"to": "Ana"}], "item.at", "it gave null, so nobody can tell from when on it was held"),
        ("Ana", "row.history", "it gave a text, a list is expected"),
        ([{}] * 501, "row.history", "it gave a list of 501; up to 500 are read"),
        ([{"to": ["Ana"], "at": CLOSED}], "item.to", "it gave a list ('['Ana']'), a text is expected"),
    ],
)
def test_a_history_that_cannot_be_read_fails(owners, history, expression, reason):
    assert owners(HISTORY, at(15, history=history)) == [Failure("tickets/solved", expression, reason)]


SHARED = "{shared_by_time: row.owner, from: row.opened, to: row.closed}"


@pytest.mark.parametrize(
    ("versions", "found"),
    [
        ([at(8, owner="Ana"), at(11, owner="Ben")], {"Ana": 0.75, "Ben": 0.25}),
        ([at(8, owner="Ana"), at(9, owner="Ben"), at(11, owner="Ana")], {"Ana": 0.5, "Ben": 0.5}),
        ([at(7, owner="Ana"), at(14, owner="Ben")], {"Ana": 1.0}),  # all of it before and after does not count
        ([at(10, owner="Ana"), at(11, owner="Ben")], {"Ana": 0.75, "Ben": 0.25}),  # before the first one: as then
        ([at(8), at(10, owner="Ana"), at(11, owner="Ben")], {"Ana": 0.5, "Ben": 0.5}),  # nobody's time is nobody's
        ([at(6, owner="Ana"), at(7, owner="Ben"), at(13, owner="Cem")], {"Ben": 1.0}),
        ([at(7, owner="Ana"), at(11, owner="Ben"), at(15, owner="Cem")], {"Ana": 0.75, "Ben": 0.25}),
        ([at(5, owner="Cem"), at(6, owner="Ana"), at(11, owner="Ben"), at(15)], {"Ana": 0.75, "Ben": 0.25}),
    ],
)
def test_owners_by_time_share_as_long_as_they_held_it(owners, versions, found):
    opened = [row | {"opened": "2026-10-05T08:00:00Z"} for row in versions]

    assert owners(SHARED, *opened) == {f"user:desk|{name}": share for name, share in found.items()}


def test_of_no_time_at_all_everything_is_the_holders(owners):
    versions = (at(9, owner="Ana", opened=CLOSED), at(14, owner="Ben", opened=CLOSED))

    assert owners(SHARED, *versions) == {"user:desk|Ana": 1.0}


def test_time_cannot_run_backwards(owners):
    [failure] = owners(SHARED, at(9, owner="Ana", opened="2026-10-05T13:00:00Z"))

    assert failure.expression == "row.closed"
    assert failure.reason.endswith("and `from` gave 2026-10-05T13:00:00+00:00, which is later")


@pytest.mark.parametrize("missing", ["opened", "closed"])
def test_without_the_times_there_is_no_owner_by_time(owners, missing):
    assert owners(SHARED, at(9, owner="Ana", opened="2026-10-05T08:00:00Z") | {missing: None}) == {}


SPLIT = "{split: {list: row.team, owner: item.user, share: item.percent}}"


@pytest.mark.parametrize(
    ("team", "found"),
    [
        ([("Ana", 60), ("Ben", 40)], {"Ana": 0.6, "Ben": 0.4}),
        ([("Ana", 3), ("Ben", 1)], {"Ana": 0.75, "Ben": 0.25}),  # whatever they sum up to
        ([("Ana", 1), ("Ben", 2), ("Ana", 1)], {"Ana": 0.5, "Ben": 0.5}),  # one who is named twice has one share
        ([("Ana", 1), ("Ben", 0), ("Cem", None)], {"Ana": 1.0}),
        ([("Ana", 1), (None, 1)], {"Ana": 1.0}),
        ([], {}),
        (None, {}),
    ],
)
def test_a_split_gives_everybody_their_share(owners, team, found):
    rows = team and [{"user": user, "percent": percent} for user, percent in team]

    assert owners(SPLIT, at(15, team=rows)) == {
        f"user:desk|{name}": pytest.approx(part) for name, part in found.items()
    }


@pytest.mark.parametrize(
    ("percents", "reason"),
    [
        ([60, -10], "it gave -10; a share is not negative"),
        ([0, 0], "the shares sum up to 0"),
        ([None], "the shares sum up to 0"),
        (["most"], "it gave a text ('most'), a finite number is expected"),
    ],
)
def test_shares_that_are_none_fail(owners, percents, reason):
    team = [{"user": f"U{number}", "percent": percent} for number, percent in enumerate(percents)]

    assert owners(SPLIT, at(15, team=team)) == [Failure("tickets/solved", "item.percent", reason)]


def test_a_split_without_shares_is_in_equal_parts(owners):
    team = [{"user": "Ana"}, {"user": "Ben"}]

    found = owners("{split: {list: row.team, owner: item.user}}", at(15, team=team))

    assert found == {"user:desk|Ana": 0.5, "user:desk|Ben": 0.5}


def test_an_entry_may_be_read_beside_the_row_it_stands_in(owners):
    names = {"a": "Ana", "b": "Ben"}

    found = owners("{split: {list: row.team, owner: 'row.names[item]'}}", at(15, team=["a", "b"], names=names))

    assert found == {"user:desk|Ana": 0.5, "user:desk|Ben": 0.5}


def test_fields_may_be_named_by_other_fields(owners):
    assert owners("'row[row.role]'", at(15, role="agent", agent="Ana")) == {"user:desk|Ana": 1.0}


def test_a_share_is_a_part_of_the_weight(owners):
    team = [{"user": "Ana", "percent": 60}, {"user": "Ben", "percent": 40}]

    assert owners(SPLIT, at(15, team=team, weight=5)) == {"user:desk|Ana": 3.0, "user:desk|Ben": 2.0}


@pytest.mark.parametrize(
    ("kind", "owner", "alias"),
    [
        ("as: user", "Ana A.", "user:desk|Ana A."),
        ("as: user", 17, "user:desk|17"),
        ("as: email", "Ana@Example.com", "mbox:mailto:ana@example.com"),
        ("as: email", "mailto:ana@example.com", "mbox:mailto:ana@example.com"),
        ("as: employee", 1001, "employee:1001"),
        ("as: account, home_page: \"'https://lms.example.com'\"", "ana", "account:https://lms.example.com|ana"),
        ("as: account, home_page: row.site", "ana", "account:https://crm.example.com|ana"),
    ],
)
def test_an_owner_is_an_alias_of_the_kind_that_is_named(owners, kind, owner, alias):
    row = at(9, owner=owner, site="https://crm.example.com")

    assert owners(f"{{is: row.owner, {kind}}}", row) == {alias: 1.0}


def test_equal_addresses_are_one_owner(owners):
    team = [(user, 1) for user in ("Ana@example.com", "ana@EXAMPLE.com ", "ben@example.com", "mailto:ben@example.com")]
    rows = [{"user": user, "percent": percent} for user, percent in [*team, ("cem@example.com", 4)]]

    assert owners(SPLIT[:-1] + ", as: email}", at(15, team=rows)) == {
        "mbox:mailto:ana@example.com": 0.25,
        "mbox:mailto:ben@example.com": 0.25,
        "mbox:mailto:cem@example.com": 0.5,
    }


@pytest.mark.parametrize(
    ("kind", "expression", "reason"),
    [
        ("as: email", "row.owner", "'Ana A.' is no mail address"),
        ("as: account, home_page: row.site", "row.site", "it gave null, and an account is one of a platform"),
    ],
)
def test_an_owner_that_is_no_alias_of_its_kind_fails(owners, kind, expression, reason):
    found = owners(f"{{is: row.owner, {kind}}}", at(9, owner="Ana A."))

    assert found == [Failure("tickets/solved", expression, reason)]


def test_shares_of_several_owners_sum_up_to_one_whole(owners):
    team = [{"user": f"U{number}", "percent": 1} for number in range(3)]

    assert sum(owners(SPLIT, at(15, team=team)).values()) == pytest.approx(1.0)


def test_what_held_once_is_told_without_what_came_later(load):
    """A version's history must say what counted while it was the newest."""
    reader = load(DOCUMENT.replace("{owner}", "{at_the_time: row.owner}")).record_reader("desk")
    rows = [at(9, owner="Ana"), at(11, owner="Ben")]

    reading = reader.read([Version(n, {"closed": CLOSED, "weight": 1, **row}) for n, row in enumerate(rows, 1)])

    assert [fact.alias_key for fact in reading.facts] == ["user:desk|Ben"]
    assert [(fact.alias_key, fact.version_id, fact.until_version_id) for fact in reading.history] == [
        ("user:desk|Ana", 1, 2)
    ]
    assert reading.facts[0].occurred_at == datetime(2026, 10, 5, 12, tzinfo=UTC)
