"""The shipped files are what bridge/demo/README.md says, and hang together."""

import csv
import gzip
import hashlib
import io
import json
from functools import cache
from pathlib import Path

import pytest

from bridge.demo import make_data

DEMO = Path(make_data.__file__).parent
DATA = DEMO / "data"
FILES = ("moodle-statements.jsonl.gz", "incidents.csv.gz", "opportunities.csv", "roster.csv")
SITE = "http://moodle.localhost:8099"


@cache
def content(name):
    packed = (DATA / name).read_bytes()
    return gzip.decompress(packed) if name.endswith(".gz") else packed


@cache
def rows(name):
    return list(csv.DictReader(io.StringIO(content(name).decode(), newline="")))


def sha256(data):
    return hashlib.sha256(data).hexdigest()


@pytest.fixture(scope="module")
def statements():
    return [json.loads(line) for line in content("moodle-statements.jsonl.gz").splitlines()]


def table(*header):
    """The README's table with this header, as lists of cells by the first one."""
    lines = iter((DEMO / "README.md").read_text(encoding="utf-8").splitlines())
    assert f"| {' | '.join(header)} |" in lines
    next(lines)
    cells = {}
    for line in lines:
        if not line.startswith("|"):
            return cells
        name, *others = (cell.strip() for cell in line.strip("|").split("|"))
        cells[name] = others
    return cells


def test_readme_tells_the_size_and_the_move_of_every_file():
    told = table("file", "rows of the original", "rows shipped", "moved by, weeks", "bytes")

    weeks = {"incidents.csv.gz": make_data.INCIDENT_WEEKS, "opportunities.csv": make_data.OPPORTUNITY_WEEKS}
    assert set(told) == set(FILES)
    for name, (_, shipped, moved, size) in told.items():
        count = len(content(name).splitlines()) if "jsonl" in name else len(rows(name))
        assert int(shipped) == count, name
        assert int(moved) == weeks.get(name, 0), name
        assert int(size) == (DATA / name).stat().st_size, name


def test_readme_tells_the_sum_of_every_file():
    told = table("shipped", "sha256", "sha256 unpacked")

    assert told == {name: [sha256((DATA / name).read_bytes()), sha256(content(name))] for name in FILES}


def test_readme_tells_the_originals_that_the_script_takes():
    assert table("original", "sha256") == {name: [value] for name, value in make_data.ORIGINALS.items()}


def test_readme_accounts_for_every_statement_left_out():
    left_out = table("left out for", "statements")
    before, after, *_ = table("file", "rows of the original", "rows shipped", "moved by, weeks", "bytes")[
        "moodle-statements.jsonl.gz"
    ]

    assert set(left_out) == {make_data.NULL, make_data.COMPONENT_IDS}
    assert sum(int(count) for (count,) in left_out.values()) == int(before) - int(after)


def test_nothing_but_the_files_told_is_shipped():
    assert {path.name for path in DATA.iterdir()} == {*FILES, ".gitattributes"}


def test_files_stay_small():
    assert all((DATA / name).stat().st_size < 500_000 for name in FILES)
    assert sum((DATA / name).stat().st_size for name in FILES) < 1_000_000


def test_packed_files_carry_no_name_and_no_time():
    for name in ("moodle-statements.jsonl.gz", "incidents.csv.gz"):
        flags_and_time = (DATA / name).read_bytes()[3:8]
        assert flags_and_time == bytes(5), name


@pytest.mark.parametrize(
    ("name", "line_end"), [("incidents.csv.gz", "\n"), ("opportunities.csv", "\r\n"), ("roster.csv", "\n")]
)
def test_tables_are_written_as_the_script_writes_them(name, line_end):
    assert make_data.write_table(make_data.read_table(content(name)), line_end=line_end) == content(name)


# Statements


def test_no_statement_has_null_outside_extensions(statements):
    def nulls(value):
        if isinstance(value, dict):
            return sum(nulls(inner) for key, inner in value.items() if key != "extensions")
        return sum(map(nulls, value)) if isinstance(value, list) else int(value is None)

    assert sum(map(nulls, statements)) == 0


def test_no_statement_has_interaction_components_with_equal_or_empty_ids(statements):
    for statement in statements:
        definition = statement["object"]["definition"]
        for part in ("choices", "scale", "source", "target", "steps"):
            ids = [component["id"] for component in definition.get(part, [])]
            assert "" not in ids
            assert len(ids) == len(set(ids))


def test_statements_are_as_sent(statements):
    """No id was added, and what the demo's runner makes ids of differs for all but four pairs of equal statements."""
    assert not any("id" in statement for statement in statements)
    assert len({json.dumps(statement, sort_keys=True) for statement in statements}) == len(statements) - 4 == 3725


def test_enrolments_and_completions_are_untouched_by_the_trimming(statements):
    """The counts are those of the original's README and of a grep in it."""
    verbs = [statement["verb"]["id"].rsplit("/", 1)[-1] for statement in statements]

    assert verbs.count("enrolled") == 47
    assert verbs.count("completed") == 597
    assert verbs.count("uncompleted") == 311


# Incidents and opportunities


def test_incident_numbers_and_versions_are_unique():
    versions = {(row["number"], row["sys_updated_at"], row["sys_mod_count"]) for row in rows("incidents.csv.gz")}

    assert len({number for number, *_ in versions}) == 3212
    assert len(versions) == len(rows("incidents.csv.gz"))


def test_incidents_keep_every_column():
    assert len(rows("incidents.csv.gz")[0]) == 36


# The original's row, copied from it by hand: the same row is shipped, each date later by the same whole weeks.
@pytest.mark.parametrize(
    ("number", "original"),
    [
        ("INC0000057", ["29/2/2016 06:10", "?", "6/3/2016 03:00", "1/3/2016 02:55", "6/3/2016 03:00"]),
        ("INC0011665", ["28/3/2016 08:29", "28/3/2016 08:30", "20/4/2016 13:10", "15/4/2016 13:09", "20/4/2016 13:10"]),
        ("INC0028152", ["11/5/2016 08:02", "11/5/2016 08:08", "16/5/2016 09:07", "11/5/2016 09:05", "16/5/2016 09:07"]),
    ],
)
def test_incidents_are_moved_by_the_told_weeks(number, original):
    newest = [row for row in rows("incidents.csv.gz") if row["number"] == number][-1]

    shipped = [newest[column] for column in make_data.INCIDENT_DATES]
    assert shipped == [make_data.move_incident_date(text) for text in original]
    assert shipped[2].split()[1] == original[2].split()[1]


@pytest.mark.parametrize(
    ("key", "original"),
    [
        ("1C1I7A6R", ["2016-10-20", "2017-03-01"]),
        ("XNC9UMYH", ["2017-06-05", "2017-08-30"]),
        ("RLDCYEJU", ["", ""]),  # still open
    ],
)
def test_opportunities_are_moved_by_the_told_weeks(key, original):
    (row,) = [row for row in rows("opportunities.csv") if row["opportunity_id"] == key]

    assert [row["engage_date"], row["close_date"]] == [make_data.move_opportunity_date(text) for text in original]


# The roster


def test_roster_is_what_the_script_makes_of_the_statements_and_the_chosen():
    lines = content("moodle-statements.jsonl.gz").splitlines()
    roster = rows("roster.csv")

    pairs = make_data.pair(
        make_data.learner_names(lines), [row["resolver"] for row in roster], [row["sales_agent"] for row in roster]
    )

    assert make_data.write_table(pairs, line_end="\n") == content("roster.csv")


def test_roster_pairs_each_person_once():
    for column in ("employee_number", "email", "moodle_user_id", "resolver", "sales_agent"):
        assert len({row[column] for row in rows("roster.csv")}) == 20, column


def test_roster_names_only_who_stands_in_the_files(statements):
    accounts = {(one["actor"]["account"]["name"], one["actor"]["name"]) for one in statements}
    resolvers = {row["assigned_to"] for row in rows("incidents.csv.gz")}
    agents = {row["sales_agent"] for row in rows("opportunities.csv")}

    for row in rows("roster.csv"):
        assert (row["moodle_user_id"], row["name"]) in accounts
        assert row["resolver"] in resolvers
        assert row["sales_agent"] in agents
    assert agents == {row["sales_agent"] for row in rows("roster.csv")}


def test_every_incident_was_ever_assigned_to_someone_of_the_roster():
    chosen = {row["resolver"] for row in rows("roster.csv")}
    assigned = {row["number"] for row in rows("incidents.csv.gz") if row["assigned_to"] in chosen}

    assert assigned == {row["number"] for row in rows("incidents.csv.gz")}


def test_roster_numbers_and_addresses_follow_the_moodle_user_id():
    for row in rows("roster.csv"):
        number = int(row["moodle_user_id"]) - 2
        assert (row["employee_number"], row["email"]) == (f"E10{number:02}", f"stu{number:02}@example.com")
