"""The shipped documents: they stand alone, carry the demo, and read all of its data."""

import gzip
import json
from collections import Counter
from pathlib import Path

import pytest

from bridge.mapping import RosterEntry, Unclaimed, load_folders, read_roster
from connectors import load_source

ROOT = Path(__file__).parents[3]
MAPPINGS = ROOT / "mappings"


def test_the_shipped_documents_validate_alone_and_without_a_word():
    documents = load_folders([MAPPINGS])

    assert documents.identity.unclaimed is Unclaimed.LEARNER
    assert documents.notices == ()


def test_the_demo_replaces_the_shipped_identity_and_says_so():
    documents = load_folders([MAPPINGS, MAPPINGS / "demo"])

    assert documents.identity.unclaimed is Unclaimed.WAIT
    [notice] = documents.notices
    assert notice.startswith(f"{MAPPINGS}/demo/identity.yaml:2: identity 'people' replaces the one in {MAPPINGS}")


def test_the_demo_reads_the_data_that_lie_beside_it(shipped):
    for name, source in shipped.sources.items():
        pages = load_source(source.data, base=Path(source.folder)).pull(None)

        assert len(next(iter(pages)).rows) > 0, name


def test_every_row_of_the_demo_roster_names_a_learner_with_all_aliases(shipped):
    source = shipped.sources["roster"]
    [roster] = shipped.identity.rosters

    rows = [row for page in load_source(source.data, base=Path(source.folder)).pull(None) for row in page.rows]
    entries = [read_roster(roster, row.data) for row in rows]

    assert len(entries) == 20
    for entry in entries:
        assert isinstance(entry, RosterEntry)
        assert [key.partition(":")[0] for key in entry.alias_keys] == ["account", "mbox", "user", "user"]
        assert {attribute.name for attribute in entry.attributes} == {"team", "manager", "role"}


@pytest.fixture(scope="module")
def statements():
    with gzip.open(ROOT / "bridge" / "demo" / "data" / "moodle-statements.jsonl.gz", "rt", encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]


def test_no_rule_fails_on_a_real_statement_and_none_gives_two_facts(shipped, statements):
    for statement in statements:
        reading = shipped.statement_reader.read(statement)

        assert reading.failures == []
        assert len(reading.facts) <= 1


def test_real_statements_give_these_facts(shipped, statements):
    """Counted from events and verbs with a script of its own, not by the rules."""
    kinds = Counter(fact.kind.value for item in statements for fact in shipped.statement_reader.read(item).facts)

    assert kinds == {
        "enrolled": 110,
        "unenrolled": 4,
        "started": 133,
        "progressed": 2169,
        "practised": 72,
        "assessed": 118,
        "completed": 494,
        "uncompleted": 311,
        "surveyed": 53,
        "recognised": 3,
    }


def test_every_fact_of_a_real_statement_knows_its_course_unless_it_is_about_the_site(shipped, statements):
    for statement in statements:
        for fact in shipped.statement_reader.read(statement).facts:
            about_the_site = fact.activity == "http://moodle.localhost:8099" or "/badges/" in fact.activity
            courses = [None] if about_the_site else shipped.programs["customer-conversations"].courses
            assert fact.course in courses
