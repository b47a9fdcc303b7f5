"""A JSON file as a source: what is given out, what is told, and when a file counts as read."""

import gzip
import json
import tracemalloc

import pytest
import responses
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from connectors import ConfigError, SourceBroken, SourceUnavailable
from connectors.sources import PAGE_SIZE
from connectors.sources import json as json_source

DOCUMENT = {"type": "json", "path": "people.json", "key": ["id"]}


@pytest.fixture
def people(source, write, pull):
    """Write a file and pull it by a document with these keys."""

    def pull_people(content, **keys):
        text = content if isinstance(content, str | bytes) else json.dumps(content)
        write(text, keys.get("path", "people.json"))
        return pull(source(**DOCUMENT | keys))

    return pull_people


# What is given out


def test_each_map_of_the_list_is_a_record_with_all_that_is_in_it(people):
    pulled = people(
        [{"id": 7, "name": {"formatted": "Ann"}, "emails": [{"value": "a@x"}], "active": True, "left": None}]
    )

    [row] = pulled.rows
    assert (row.key, row.row, row.cursor) == ("7", 1, None)
    assert row.data == {
        "id": 7,
        "name": {"formatted": "Ann"},
        "emails": [{"value": "a@x"}],
        "active": True,
        "left": None,
    }
    assert pulled.problems == []


@pytest.mark.parametrize(
    ("content", "records"),
    [
        ([{"id": 1}, {"id": 2}], None),
        ({"totalResults": 2, "Resources": [{"id": 1}, {"id": 2}], "itemsPerPage": 9}, "Resources"),
        ({"answer": {"meta": [1, {"users": []}], "users": [{"id": 1}, {"id": 2}]}, "more": {}}, "answer.users"),
        # an answer that is itself the list
        ([{"id": 1}, {"id": 2}], "Resources"),
    ],
)
def test_the_list_is_where_the_document_says(people, content, records):
    keys = {} if records is None else {"records": records}

    assert [row.key for row in people(content, **keys).rows] == ["1", "2"]


def test_declared_columns_are_typed_as_those_of_csv(people):
    columns = {
        "opened": {"type": "datetime"},
        "hours": {"type": "number"},
        "ok": {"type": "boolean"},
        "count": {"type": "integer"},
    }

    pulled = people(
        [
            {"id": "a", "opened": "2026-01-31T08:05:00+01:00", "hours": "2.5", "ok": True, "count": 3},
            {"id": "b", "opened": None, "hours": 2, "ok": "false", "count": ""},
            {"id": "c"},
        ],
        columns=columns,
    )

    assert [row.data for row in pulled.rows] == [
        {"id": "a", "opened": "2026-01-31T07:05:00Z", "hours": 2.5, "ok": True, "count": 3},
        {"id": "b", "opened": None, "hours": 2, "ok": False, "count": None},
        {"id": "c"},
    ]


def test_a_cursor_orders_versions(people):
    pulled = people(
        [{"id": 1, "at": "2026-01-02T00:00:00Z"}, {"id": 1, "at": "2026-01-03T00:00:00Z"}],
        cursor=["at"],
        columns={"at": {"type": "datetime"}},
    )

    assert [row.cursor for row in pulled.rows] == [("2026-01-02T00:00:00.000000Z",), ("2026-01-03T00:00:00.000000Z",)]


def test_a_gzip_file_is_unpacked(people):
    content = gzip.compress(json.dumps([{"id": 1}]).encode())

    assert [row.key for row in people(content, path="people.json.gz").rows] == ["1"]


@responses.activate
def test_an_address_is_fetched(source, pull):
    responses.get("https://idm.example.com/Users", json={"Resources": [{"id": "a"}]})

    pulled = pull(source(**DOCUMENT | {"path": "https://idm.example.com/Users", "records": "Resources"}))

    assert [row.key for row in pulled.rows] == ["a"]


def test_an_unchanged_file_gives_nothing(people, source, pull):
    first = people([{"id": 1}])

    assert pull(source(**DOCUMENT), first.state).pages == 0
    assert pull(source(**DOCUMENT, records="x"), first.state).pages == 1


def test_pages_are_full_and_memory_stays_flat(write, source, pull):
    entry = {"id": 0, "text": "x" * 1_000}
    number = 5 * PAGE_SIZE + 1
    write(json.dumps({"list": [entry | {"id": one} for one in range(number)]}), "people.json")

    tracemalloc.start()
    seen = sum(len(page.rows) for page in source(**DOCUMENT, records="list").pull(None))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert seen == number
    assert peak < 4 * PAGE_SIZE * 1_500  # a page in the making and one given out, not five


# What is told


@pytest.mark.parametrize(
    ("entry", "column", "words"),
    [
        (7, None, "no map of fields"),
        ({"name": "Ann"}, "id", "key is empty"),
        ({"id": {"value": 1}}, "id", "no text or number"),
        ({"id": 1}, "id", "stands further up already"),
        ({"id": 2, "deep": [{"a": "x\0y"}]}, "deep", "cannot be stored"),
        ({"id": 2, "half": "\ud800"}, "half", "cannot be stored"),
        ({"id": 2, "hours": [1]}, "hours", "not a number"),
    ],
)
def test_an_entry_that_cannot_be_used_is_told_and_the_others_go_on(people, entry, column, words):
    pulled = people([{"id": 1}, entry, {"id": 3}], columns={"hours": {"type": "number"}})

    assert [row.key for row in pulled.rows] == ["1", "3"]
    [problem] = pulled.problems
    assert (problem.row, problem.column) == (2, column)
    assert words in problem.message


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ('{"Resource": [{"id": 1}], "n": 1}', "'Resources' is missing. It holds 'Resource', 'n'."),
        ('{"exception": "x", "errorcode": "invalidtoken", "message": "Invalid token"}', "It says 'Invalid token'"),
        ('{"Resources": {"id": 1}}', "must lead to a list"),
        ("7", "neither a list nor a map"),
        ('[{"id": 1}] [{"id": 2}]', "stands after its end"),
        ('[{"id": 1} {"id": 2}]', "',' is missing"),
        ('[{"id": 1}, {"id": yes}, {"id": 3}]' + " " * 70_000, "no JSON near"),
        ("[" * 100_000, "nested too deeply"),
        ('[{"id": "' + "x" * 2_000_000 + '"}]', "longer than 1,048,576"),
    ],
    ids=[
        "another key",
        "an error of the service",
        "no list",
        "a number",
        "two",
        "no comma",
        "a typing error",
        "deep",
        "long",
    ],
)
def test_a_file_that_cannot_be_read_is_refused_with_the_reason(people, content, words):
    with pytest.raises(SourceBroken, match="cannot be read") as raised:
        people(content, records="Resources")

    assert words in str(raised.value)


@pytest.mark.parametrize(
    "content",
    ["", " ", "[", '[{"id": 1}', '[{"id": 1},', '[{"id": "1', '{"Resources": [{"id": 1}]', '{"Resources": [], "n": 1'],
)
def test_a_file_without_its_end_is_still_being_written(people, content):
    with pytest.raises(SourceUnavailable, match="still being written"):
        people(content, records="Resources")


def test_a_number_that_nothing_can_hold_counts_as_missing(people):
    [row] = people('[{"id": 1, "a": 1e999, "b": NaN, "c": 123456789012345678901234567890}]').rows

    assert row.data == {"id": 1, "a": None, "b": None, "c": 1.2345678901234568e29}


@pytest.mark.parametrize(
    "keys", [{"records": ""}, {"records": 7}, {"compression": "zip"}, {"delimiter": ","}, {"cursor": ["at"]}]
)
def test_a_document_that_makes_no_sense_is_refused(source, keys):
    with pytest.raises(ConfigError):
        source(**DOCUMENT | keys)


_json = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**60), 2**60)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(codec="utf-8", exclude_characters="\0")),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=5), inner, max_size=3)
    ),
    max_leaves=8,
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    entries=st.lists(
        st.dictionaries(st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=5), _json, max_size=4),
        max_size=6,
    ),
    chunk=st.integers(1, 40),
    around=_json,
    indent=st.sampled_from([None, 1]),
)
def test_whatever_the_list_holds_and_however_it_is_cut_it_is_read(people, monkeypatch, entries, chunk, around, indent):
    monkeypatch.setattr(json_source, "_CHUNK_CHARS", chunk)
    entries = [entry | {"id": place} for place, entry in enumerate(entries)]

    pulled = people(json.dumps({"before": around, "list": entries, "after": around}, indent=indent), records="list")

    assert [row.data for row in pulled.rows] == entries
