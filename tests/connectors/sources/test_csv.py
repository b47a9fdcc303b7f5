"""A CSV file as a source: what is given out, what is told, and when a file counts as read."""

import csv
import errno
import gzip
import io
import json
import os
import re
import tracemalloc
from functools import partial
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from connectors import SourceBroken, SourceRefused, SourceUnavailable
from connectors.sources import PAGE_SIZE
from connectors.sources.layouts import key_text

GOOD = "id,owner,opened\n1,ann,2026-01-31\n2,bob,2026-02-01\n"


# What is given out


def test_row_holds_typed_values_by_column_name(write, source, pull):
    write("id,owner,opened,hours,ok\r\n7,ann,31/1/2026 9:05,2.5,yes\r\n8,?,?,,?\r\n")

    pulled = pull(
        source(
            nulls=["", "?"],
            columns={
                "opened": {"type": "datetime", "format": "%d/%m/%Y %H:%M", "timezone": "Europe/Berlin"},
                "hours": {"type": "number"},
                "ok": {"type": "boolean", "true": ["yes"], "false": ["no"]},
            },
        )
    )

    assert [row.data for row in pulled.rows] == [
        {"id": "7", "owner": "ann", "opened": "2026-01-31T08:05:00Z", "hours": 2.5, "ok": True},
        {"id": "8", "owner": None, "opened": None, "hours": None, "ok": None},
    ]
    assert [(row.key, row.row, row.cursor) for row in pulled.rows] == [("7", 2, None), ("8", 3, None)]


def test_spaces_count_in_texts_but_not_in_typed_cells_nor_in_the_header(write, source, pull):
    write("id , owner ,hours\n1, ann , 2 \n2,bob,  \n")

    pulled = pull(source(columns={"hours": {"type": "integer"}}))

    assert [row.data for row in pulled.rows] == [
        {"id": "1", "owner": " ann ", "hours": 2},
        {"id": "2", "owner": "bob", "hours": None},
    ]


def test_header_may_have_spaces_within_and_columns_without_a_name(write, source, pull):
    write("Ticket id,Opened at,\n1,today,x\n")

    assert pull(source(key="Ticket id")).rows[0].data == {"Ticket id": "1", "Opened at": "today"}


@pytest.mark.parametrize(
    ("text", "rows"),
    [
        ("id,owner\r\n1,ann\r\n2,bob\r\n", [2, 3]),  # CRLF
        ("id,owner\r1,ann\r2,bob\r", [2, 3]),  # old Mac
        ("id,owner\n1,ann\n2,bob", [2, 3]),  # no line end at the end
        ("\n\nid,owner\n\n1,ann\n,\n  \n2,bob\n\n", [5, 8]),  # blank lines, and lines of delimiters and spaces only
        ('id,owner\n1,"ann"\n2,"bob"\n', [2, 3]),  # quotes are no part of the text
    ],
)
def test_lines_may_end_and_be_left_blank_in_any_way(write, source, pull, text, rows):
    write(text)

    pulled = pull(source())

    assert [(row.key, row.data["owner"], row.row) for row in pulled.rows] == [
        ("1", "ann", rows[0]),
        ("2", "bob", rows[1]),
    ]
    assert pulled.problems == []


@pytest.mark.parametrize(
    ("encoding", "declared"),
    [
        ("utf-8", "utf-8"),
        ("utf-8-sig", "utf-8"),  # with a byte order mark, as Excel writes it
        ("utf-8-sig", "UTF8"),
        ("utf-16", "utf-16"),
        ("utf-16-le", "utf-16-le"),
        ("latin-1", "latin-1"),
        ("cp1252", "windows-1252"),
    ],
)
def test_file_is_read_in_the_declared_encoding(write, source, pull, encoding, declared):
    write("id,owner\n1,Müller\n".encode(encoding))

    assert pull(source(encoding=declared)).rows[0].data == {"id": "1", "owner": "Müller"}


def test_byte_order_mark_of_an_encoding_that_keeps_it_is_no_part_of_the_header(write, source, pull):
    write("\ufeffid,owner\n1,ann\n".encode("utf-16-le"))

    assert pull(source(encoding="utf-16-le")).rows[0].key == "1"


def test_packed_file_gives_the_same_rows(write, source, pull):
    write(GOOD)
    write(gzip.compress(GOOD.encode()), "tickets.csv.gz")

    assert pull(source(path="tickets.csv.gz")).rows == pull(source()).rows


def test_file_of_only_a_header_gives_one_empty_page_with_state(write, source, pull):
    write("id,owner\n")

    pulled = pull(source())

    assert (pulled.rows, pulled.problems, pulled.pages) == ([], [], 1)
    assert pulled.state


def test_cursor_orders_the_versions_of_a_record(write, source, pull):
    write("id,updated,count\n1,2/1/2026,9\n1,10/1/2026,10\n1,10/1/2026,9\n")

    pulled = pull(
        source(
            cursor=["updated", "count"],
            columns={
                "updated": {"type": "datetime", "format": "%d/%m/%Y", "timezone": "UTC"},
                "count": {"type": "integer"},
            },
        )
    )

    cursors = [row.cursor for row in pulled.rows]
    assert sorted(cursors) == [cursors[0], cursors[2], cursors[1]]
    assert json.loads(json.dumps(cursors[0])) == ["2026-01-02T00:00:00.000000Z", 9]


def test_content_hash_changes_with_the_data_and_with_nothing_else(write, source, pull):
    declared = source(columns={"hours": {"type": "number"}})
    write("id,owner,hours\n1,ann,2\n")
    before = pull(declared).rows[0].content_hash
    write("hours,id,owner\n\n2,1,ann\n")
    moved = pull(declared).rows[0].content_hash
    write("id,owner,hours\n1,ann,3\n")
    changed = pull(declared).rows[0].content_hash

    assert len(before) == 32
    assert moved == before
    assert changed != before


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (["a|b", "c"], ["a", "b|c"]),
        (["a\\", "b"], ["a", "\\b"]),
        (["a\\|b", "c"], ["a|b", "c"]),
        (["", "a"], ["a", ""]),
    ],
)
def test_keys_of_several_columns_are_joined_unambiguously(one, other):
    assert key_text(one) != key_text(other)


def test_key_of_one_column_is_its_text(write, source, pull):
    write("id,part\na|b,7\n")

    assert pull(source()).rows[0].key == "a|b"
    assert pull(source(key=["id", "part"], columns={"part": {"type": "integer"}})).rows[0].key == "a\\|b|7"


# What is told of rows


@pytest.mark.parametrize(
    ("line", "column", "told"),
    [
        ("3,carl", None, "has 2 cells, the header has 4"),
        ("3,carl,2026-01-01,1,", None, "has 5 cells, the header has 4"),
        ("3,carl,31/01/2026,1", "opened", "'31/01/2026' is not a date"),
        ("3,carl,2026-01-01,many", "hours", "'many' is not a number"),
        (f"3,carl,2026-01-01,{'9' * 5000}x", "hours", "9…' is not a number"),  # shortened
        (",carl,2026-01-01,1", "id", "The key is empty"),
        ("  ,carl,2026-01-01,1", "id", "The key is empty"),
        ("k" * 501 + ",carl,2026-01-01,1", "id", "longer than 500"),
        ("1,carl,2026-01-01,1", "id", "'1' stands further up already"),
        ("3,car\0l,2026-01-01,1", "owner", "'car␀l' has bytes"),
        ('3,carl,2026-01-01,"1', None, "A quote is left open"),
        ('3,"carl" x,2026-01-01,1', None, "A quote is left open, or stands inside"),
        (f"3,{'c' * 131_073},2026-01-01,1", None, "longer than 131,072"),
        (f"3,{'c' * 3_000_000},2026-01-01,1", None, "longer than 131,072"),  # longer than we hold in memory
    ],
)
def test_bad_row_is_told_by_row_and_column_and_the_others_go_on(write, source, pull, line, column, told):
    write(f"id,owner,opened,hours\n1,ann,2026-01-31,1\n{line}\n2,bob,2026-02-01,2\n4,dora,,\n")

    pulled = pull(source(columns={"opened": {"type": "date"}, "hours": {"type": "number"}}))

    assert [(row.key, row.row) for row in pulled.rows] == [("1", 2), ("2", 4), ("4", 5)]
    (problem,) = pulled.problems
    assert (problem.row, problem.column) == (3, column)
    assert told in problem.message
    assert problem.raw[:3].strip(", ") in line
    assert len(problem.raw) <= 500


def test_undecodable_byte_is_told_at_its_cell_as_it_is(write, source, pull):
    write(b"id,owner\n1,ann\n2,M\xfcller\n3,bob\n")

    pulled = pull(source())

    assert [row.key for row in pulled.rows] == ["1", "3"]
    assert (pulled.problems[0].row, pulled.problems[0].column) == (3, "owner")
    assert "bytes that are no utf-8 text. Correct `encoding`" in pulled.problems[0].message
    assert pulled.problems[0].raw == r"2,M\xfcller"


def test_every_bad_cell_of_a_row_is_told(write, source, pull):
    write("id,opened,hours\n1,x,y\n2,,\n")

    pulled = pull(source(columns={"opened": {"type": "date"}, "hours": {"type": "number"}}))

    assert [problem.column for problem in pulled.problems] == ["opened", "hours"]


def test_empty_cursor_is_told(write, source, pull):
    write("id,n\n1,\n2,5\n")

    pulled = pull(source(cursor="n", columns={"n": {"type": "integer"}}))

    assert [(problem.row, problem.column) for problem in pulled.problems] == [(2, "n")]


def test_key_may_come_again_where_a_cursor_orders_versions(write, source, pull):
    write("id,n\n1,1\n1,2\n1,2\n")

    pulled = pull(source(cursor="n", columns={"n": {"type": "integer"}}))

    assert (len(pulled.rows), pulled.problems) == (3, [])


def test_rows_are_counted_as_an_editor_counts_lines(write, source, pull):
    write('id,"owner\nname"\n1,"a\r\nb\nc\rd"\n2,bob\n\n3\n')

    pulled = pull(source())

    assert [(row.key, row.row) for row in pulled.rows] == [("1", 3), ("2", 7)]
    assert pulled.problems[0].row == 9


def test_quote_left_open_costs_its_row_and_not_the_rest(write, source, pull):
    """The cell swallows lines until it is too long; they are read again."""
    lines = [f"{number},{'x' * 100}" for number in range(2, 5000)]
    write("\n".join(["id,owner", '1,"open', *lines]) + "\n")

    pulled = pull(source())

    assert [problem.row for problem in pulled.problems] == [2]
    assert [row.row for row in pulled.rows] == list(range(3, 5001))


def test_problems_are_given_again_at_each_full_read(write, source, pull):
    write("id,owner\n1,ann\n2\n")
    first = pull(source())
    write("id,owner\n1,anna\n2\n")

    assert pull(source(), first.state).problems == first.problems


# What is told of files


@pytest.mark.parametrize(
    ("content", "keys", "column", "told"),
    [
        ("number,owner\n1,ann\n", {}, "id", "There are: number, owner"),
        ("idd,owner\n1,ann\n", {}, "id", "Did you mean 'idd'?"),
        ("id;owner\n1;ann\n", {}, "id", "is the `delimiter` ';'?"),
        ("id,owner\n1,ann\n", {"columns": {"opened": {"type": "date"}}}, "opened", "no column 'opened'"),
        ("id,owner,id\n1,ann,2\n", {}, "id", "two columns 'id', 1 and 3"),
        (b"id,M\xfcller\n1,ann\n", {}, None, "Correct `encoding`"),
        ("id,owner\n1,ann\n".encode("utf-16"), {}, None, "Write `encoding: utf-16`"),
        (b"\xef\xbb\xbfid,owner\n", {"encoding": "cp1252"}, None, "Write `encoding: utf-8`"),
        ("id,owner\n".encode("utf-16-le"), {}, None, "Correct `encoding`"),  # no mark, but a NUL in each character
        ('id,"owner\n1,ann\n', {}, None, "A quote is left open"),
        (gzip.compress(b"id\n1\n"), {}, None, "Write `compression: gzip`"),
        (b"PK\x03\x04and so on", {}, None, "Save it as CSV"),
        ("id,owner\n1,ann\n", {"compression": "gzip"}, None, "compression: none"),
        (gzip.compress(b"id\n1\n")[:-8] + b"\0" * 8, {"compression": "gzip"}, None, "not sound gzip"),  # checksum
        (
            "id\n1\n".encode("utf-32-le") + b"\xff" * 4,
            {"encoding": "utf-32-le"},
            None,
            "row 1 or one soon after",
        ),  # no way to go on after it
    ],
)
def test_file_that_makes_no_sense_is_refused_whole(write, source, pull, content, keys, column, told):
    path = write(content)

    with pytest.raises(SourceBroken, match=re.escape(told)) as caught:
        pull(source(**keys))

    assert caught.value.column == column
    assert str(path) in str(caught.value)


def test_file_of_which_no_row_can_be_used_is_refused_after_one_page(write, source, pull):
    write("id,opened\n" + "".join(f"{number},31/1/2026\n" for number in range(3000)))

    with pytest.raises(SourceBroken, match=r"column 'opened' of row 2: '31/1/2026' is not a date") as caught:
        pull(source(columns={"opened": {"type": "date"}}))

    assert (caught.value.row, caught.value.column) == (2, "opened")


@pytest.mark.parametrize(
    ("prepare", "error", "told"),
    [
        (Path.exists, SourceUnavailable, "There is no file"),  # an export may be moved away and back
        (Path.touch, SourceUnavailable, "it is empty"),
        (Path.mkdir, SourceRefused, "is not a file"),
        (os.mkfifo, SourceRefused, "is not a file"),  # else we would wait for a writer for ever
    ],
)
def test_what_is_no_file_is_told(tmp_path, source, pull, prepare, error, told):
    prepare(tmp_path / "tickets.csv")

    with pytest.raises(error, match=told):
        pull(source())


def test_file_below_a_file_is_not_there(write, source, pull):
    write(GOOD)

    with pytest.raises(SourceUnavailable, match="There is no file"):
        pull(source(path="tickets.csv/more.csv"))


@pytest.mark.parametrize(
    ("number", "error", "told"),
    [
        (errno.EACCES, SourceRefused, "may not be read by this user"),
        (errno.EIO, SourceUnavailable, "cannot be read: Input/output error"),
        (errno.ESTALE, SourceUnavailable, "cannot be read: Stale file handle"),  # a network drive that went away
    ],
)
def test_operating_systems_no_is_told(write, source, pull, monkeypatch, number, error, told):
    """Said by a stand-in, since root, who runs tests in containers, may read everything."""
    write(GOOD)

    def refuse(*_args, **_kwargs):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(Path, "open", refuse)

    with pytest.raises(error, match=told):
        pull(source())


# When a file counts as read


def test_unchanged_file_gives_nothing(write, source, pull):
    write(GOOD)
    state = pull(source()).state

    assert json.loads(json.dumps(state)) == state
    assert pull(source(), state).pages == 0


def test_same_bytes_written_again_give_nothing(write, source, pull):
    write(GOOD)
    state = pull(source()).state
    write(GOOD).touch()

    assert pull(source(), state).pages == 0


@pytest.mark.parametrize("content", [GOOD.replace("ann", "eve"), GOOD + "3,carl,\n"])
def test_other_bytes_give_everything_again(write, source, pull, content):
    """Of the same length too, and whatever the time of change says."""
    write(GOOD)
    state = pull(source()).state
    write(content)

    pulled = pull(source(), state)

    assert len(pulled.rows) >= 2
    assert pulled.state["sha256"] != state["sha256"]


def test_other_document_gives_everything_again(write, source, pull):
    write(GOOD)
    state = pull(source()).state

    assert len(pull(source(columns={"opened": {"type": "date"}}), state).rows) == 2


def test_other_title_and_interval_give_nothing(write, source, pull):
    write(GOOD)
    state = pull(source()).state

    assert pull(source(title="Tickets", every="1d"), state).pages == 0


def test_state_comes_with_the_last_page_only(write, source):
    write("id\n" + "".join(f"{number}\n" for number in range(2 * PAGE_SIZE + 1)))

    pages = list(source().pull(None))

    assert [len(page.rows) for page in pages] == [PAGE_SIZE, PAGE_SIZE, 1]
    assert [page.state is not None for page in pages] == [False, False, True]


def test_full_last_page_is_still_the_last(write, source):
    write("id\n" + "".join(f"{number}\n" for number in range(PAGE_SIZE)))

    pages = list(source().pull(None))

    assert [len(page.rows) for page in pages] == [PAGE_SIZE]
    assert pages[0].state


def test_page_counts_problems_too(write, source):
    write("id,n\n" + "".join(f"{number},{'x' * (number % 2)}\n" for number in range(3 * PAGE_SIZE)))

    pages = list(source(columns={"n": {"type": "integer"}}).pull(None))

    assert max(len(page.rows) + len(page.problems) for page in pages) == PAGE_SIZE


def _append(path):
    path.write_bytes(path.read_bytes() + b"more\n")


@pytest.mark.parametrize(
    "meddle",
    [
        _append,  # it grows
        partial(os.truncate, length=100),  # it is written anew
        os.utime,  # the same size, other bytes
    ],
)
def test_file_that_changes_while_it_is_read_is_left_for_later(write, source, meddle):
    path = write("id\n" + "".join(f"{number}\n" for number in range(3 * PAGE_SIZE)))
    pages = source().pull(None)
    first = next(pages)

    meddle(path)

    assert first.state is None
    with pytest.raises(SourceUnavailable, match="rename the file when it is done") as caught:
        list(pages)
    assert caught.value.retry_after > 0


def test_file_that_is_replaced_while_it_is_read_is_read_to_its_end(write, source, tmp_path):
    write("id\n" + "".join(f"{number}\n" for number in range(3 * PAGE_SIZE)))
    pages = source().pull(None)
    next(pages)

    write("id\n1\n", "new.csv").rename(tmp_path / "tickets.csv")

    assert sum(len(page.rows) for page in pages) == 2 * PAGE_SIZE


@pytest.mark.parametrize("cut", [1, 8, 100])  # of the trailer, all of the trailer, of the data
def test_truncated_gzip_is_left_for_later(write, source, pull, cut):
    packed = gzip.compress(("id,owner\n" + "".join(f"{n},{n * 7919}\n" for n in range(500))).encode())
    write(packed[:-cut], "tickets.csv.gz")

    with pytest.raises(SourceUnavailable, match="its gzip data stop half-way"):
        pull(source(path="tickets.csv.gz"))


def test_row_without_a_line_end_in_a_fresh_file_is_left_for_later(write, source, pull):
    path = write("id,hours\n1,10\n2,10")  # 10, or the begin of 1054?
    os.utime(path)

    with pytest.raises(SourceUnavailable, match="its last row has no line end") as caught:
        pull(source())

    assert 0 < caught.value.retry_after <= 30


def test_file_that_stops_in_the_middle_of_a_character_is_left_for_later(write, source, pull):
    write("id,owner\n1,ann\n".encode("utf-16")[:-1])

    with pytest.raises(SourceUnavailable, match="in the middle of a character"):
        pull(source(encoding="utf-16"))


# Any table, any dialect

CELLS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=20)
DIALECTS = st.fixed_dictionaries(
    {
        "delimiter": st.sampled_from(",;\t|"),
        "lineterminator": st.sampled_from(["\r\n", "\n", "\r"]),
        "quoting": st.just(csv.QUOTE_ALL),
    }
) | st.fixed_dictionaries({"delimiter": st.sampled_from(",;\t|")})  # quoted only where needed, CRLF


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    table=st.lists(st.tuples(CELLS, CELLS), max_size=20),
    dialect=DIALECTS,
    encoding=st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "utf-32", "gb18030"]),
    packed=st.booleans(),
)
def test_any_table_is_read_back_as_it_was_written(write, source, pull, table, dialect, encoding, packed):
    text = io.StringIO(newline="")
    writer = csv.writer(text, **dialect)
    writer.writerow(["id", "one", "two"])
    lines = []
    for number, cells in enumerate(table):
        lines.append(len(re.findall("\r\n|\r|\n", text.getvalue())) + 1)
        writer.writerow([f"key {number}", *cells])
    data = text.getvalue().encode(encoding)
    write(gzip.compress(data) if packed else data)

    pulled = pull(
        source(
            delimiter=dialect["delimiter"],
            encoding="utf-8" if encoding == "utf-8-sig" else encoding,
            compression="gzip" if packed else "none",
            nulls=["nothing stands for no value"],
        )
    )

    assert [(row.data["one"], row.data["two"]) for row in pulled.rows] == table
    assert [row.row for row in pulled.rows] == lines
    assert pulled.problems == []


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(rubbish=st.binary(max_size=300), encoding=st.sampled_from(["utf-8", "cp1252", "utf-16-le", "shift_jis"]))
def test_whatever_the_bytes_there_is_a_clear_outcome(write, source, pull, rubbish, encoding):
    write("id,owner\n".encode(encoding) + rubbish)

    try:
        pulled = pull(source(encoding=encoding))
    except (SourceBroken, SourceUnavailable):
        return

    assert pulled.state
    json.dumps([row.data for row in pulled.rows]).encode()
    for problem in pulled.problems:
        assert "\0" not in problem.message + problem.raw
        (problem.message + problem.raw).encode()


# Memory


def peak_bytes(source, *, after=0):
    """Count the rows, and tell the most memory held beyond that at the start, or after some pages.

    What grows with the rows, grows there too, and tracing all of them would take long.
    """
    pages = source.pull(None)
    count = sum(len(next(pages).rows) for _ in range(after))
    tracemalloc.start()
    try:
        count += sum(len(page.rows) for page in pages)
        return count, tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def write_many(write, count):
    lines = "".join(f"{n % 5000},{n},{n % 97}.5,some words that a ticket may hold\n" for n in range(count))
    write(gzip.compress(f"id,n,hours,text\n{lines}".encode(), compresslevel=1))


def test_memory_stays_flat_over_200_000_rows(write, source):
    versions = source(compression="gzip", cursor="n", columns={"n": {"type": "integer"}, "hours": {"type": "number"}})
    write_many(write, 2 * PAGE_SIZE)
    _, small = peak_bytes(versions)
    write_many(write, 200_000)
    count, large = peak_bytes(versions, after=170)

    assert count == 200_000
    assert large < small + 200_000


def test_memory_for_keys_is_bounded_where_each_may_come_once(write, source):
    write_many(write, 2 * PAGE_SIZE)
    _, small = peak_bytes(source(compression="gzip", key="n"))
    write_many(write, 20_000)
    count, large = peak_bytes(source(compression="gzip", key="n"))

    assert count == 20_000
    assert large - small < 20_000 * 200
