"""Folders and files: which are read, which document holds, and what is refused before it costs much."""

import os
import time

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bridge.mapping import Documents, MappingError, load_folders, read_folders

RULE = """\
kind: learning
name: moodle
rules:
  - name: one
    when: {when}
    fact: completed
"""
METRIC = """\
kind: performance
name: tickets
source: tickets
metrics:
  - name: hours
    family: duration
    direction: down
    owner: row.owner
    occurred_at: row.at
    value: row.hours
"""
PROGRAM = """\
kind: program
name: talking
courses: ["https://lms/course/1"]
completion: {of: ["https://lms/lesson/1"]}
"""


def test_the_problems_of_all_files_are_told_at_once(load, tmp_path):
    with pytest.raises(MappingError) as refused:
        load(PROGRAM + "window_days: 0\n", "kind: [\n", RULE.format(when="vreb == 'x'") + "    scor: x\n", b"\xff")

    places = [str(problem).removeprefix(f"{tmp_path}/").partition(": ")[0] for problem in refused.value.problems]
    assert places == ["a.yaml:5:14", "b.yaml:1:7", "c.yaml:5:11", "c.yaml:7:5", "d.yaml:1:1"]
    assert str(refused.value).count("\n") == 4


@given(st.data())
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_however_a_file_is_damaged_it_loads_or_is_refused_at_a_place_in_it(load, data):
    text = data.draw(st.sampled_from([PROGRAM, METRIC, RULE.format(when="{a: 'b', c: [d, \"e\"]}")]))
    for _ in range(data.draw(st.integers(1, 4))):
        begin = data.draw(st.integers(0, len(text)))
        end = begin + data.draw(st.integers(0, 3))
        text = text[:begin] + data.draw(st.text("\t\n '\"[]{}:,-#&*!|>%@`\\?\u00a0x", max_size=3)) + text[end:]

    try:
        load(text)
    except MappingError as refused:
        lines = text.split("\n")
        for problem in refused.problems:
            assert 1 <= problem.line <= len(lines)
            assert 1 <= problem.column <= len(lines[problem.line - 1]) + 1


def test_a_file_that_is_no_utf8_is_refused_at_the_byte(load):
    with pytest.raises(MappingError, match=r"a\.yaml:2:11: The byte 0xdf is no UTF-8\. Save the file as UTF-8\."):
        load(b"kind: program\nname: Stra\xdfe\n")


def test_a_byte_order_mark_and_windows_line_ends_are_fine(load):
    documents = load(b"\xef\xbb\xbf" + PROGRAM.replace("\n", "\r\n").encode())

    assert list(documents.programs) == ["talking"]


@pytest.mark.parametrize(
    "text",
    [
        "a: &a [x,x,x,x,x,x,x,x,x]\nb: &b [*a,*a,*a,*a,*a,*a,*a,*a,*a]\nc: &c [*b,*b,*b,*b,*b,*b,*b,*b,*b]\n",
        "kind: program\nname: a\ncourses: " + "[" * 50_000,
        "kind: program\nname: a\ncourses: " + "{a: " * 50_000,
        "kind: program\nname: a\n" + "? " * 20_000,
        "kind: learning\nname: a\nrules: [{when: '" + "x" * 120_000 + "'}]\n",
        "x" * 10_000_000,
        "kind: program\nname: a\nwindow_days: " + "9" * 100_000,
        "kind: program\nname: a\ncourses: [" + "a," * 60_000 + "]\n",
        "".join(f"---\nkind: report\nname: p{number}\n" for number in range(4_000)),
        "kind: learning\nname: a\nrules: [{name: a, fact: started, when: '" + "(" * 1_900 + "'}]\n",
    ],
    ids=[
        "alias bomb", "deep lists", "deep maps", "deep keys", "huge text", "huge file", "huge number", "long list",
        "many documents", "deep CEL",
    ],
)  # fmt: skip
def test_a_hostile_file_is_refused_before_it_costs_much(load, text):
    """No timed test: the limit is 30 times what the slowest takes; the first of these would never end."""
    began = time.process_time()

    with pytest.raises(MappingError):
        load(text)

    assert time.process_time() - began < 60


def test_a_pipe_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "a.yaml")

    with pytest.raises(MappingError, match="This is not a regular file"):
        load_folders([tmp_path])


def test_a_path_that_is_not_there_is_a_problem_of_its_own(tmp_path):
    with pytest.raises(MappingError, match=r"mappngs: There is no such file or folder\. Check the path\."):
        load_folders([tmp_path / "mappngs"])


def test_folders_inside_and_files_of_editors_are_left_out(load, tmp_path):
    (tmp_path / "inner.yaml").mkdir()
    (tmp_path / "inner.yaml" / "b.yaml").write_text("no document")
    (tmp_path / ".#a.yaml").write_text("no document")
    (tmp_path / "README.md").write_text("no document")

    assert list(load(PROGRAM).programs) == ["talking"]


def test_a_folder_without_documents_is_noticed(tmp_path):
    assert load_folders([tmp_path]).notices == (f"{tmp_path}: there is no file ending in .yaml, .yml or .jsonld.",)


def test_a_later_file_replaces_an_earlier_one_and_says_so(load, tmp_path):
    documents = load(PROGRAM, PROGRAM + "window_days: 30\n")

    assert documents.programs["talking"].window_days == 30
    assert documents.notices == (f"{tmp_path}/b.yaml:1: program 'talking' replaces the one in {tmp_path}/a.yaml:1.",)


def test_a_later_folder_replaces_an_earlier_one_whatever_the_files_are_called(tmp_path):
    for folder, days in (("first", 10), ("second", 20)):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / f"{'z' if days == 10 else 'a'}.yml").write_text(PROGRAM + f"window_days: {days}\n")

    assert load_folders([tmp_path / "first", tmp_path / "second"]).programs["talking"].window_days == 20
    assert load_folders([tmp_path / "second", tmp_path / "first"]).programs["talking"].window_days == 10


def test_a_metric_stands_once_in_all_documents(load, tmp_path):
    with pytest.raises(MappingError) as refused:
        load(METRIC, METRIC.replace("name: tickets", "name: cases"))

    [problem] = refused.value.problems
    assert str(problem) == (
        # the later one, though by name `cases` comes first
        f"{tmp_path}/b.yaml:5:11: The metric 'hours' is there already, in {tmp_path}/a.yaml:5. "
        "Give it another name, or call the document 'tickets' to replace that one."
    )


def test_a_replaced_document_must_be_right_as_well(load):
    with pytest.raises(MappingError, match=r"a\.yaml:5:14: 0 is out of range"):
        load(PROGRAM + "window_days: 0\n", PROGRAM)


def test_a_performance_document_may_wait_for_its_source_but_a_near_name_is_noticed(load, tmp_path):
    source = "kind: source\nname: ticket\ntype: csv\n"

    assert load(METRIC).notices == ()
    assert load(METRIC, source).notices == (
        f"{tmp_path}/a.yaml:1: performance 'tickets' reads no source 'tickets'; did you mean 'ticket'?",
    )


def test_those_who_validate_a_source_can_name_the_place_of_a_fault(load, tmp_path):
    documents = load(
        'kind: source\nname: hr\ntype: csv\ncolumns:\n  active: {type: boolean, true: ["y"], false: [n]}\n'
    )

    source = documents.sources["hr"]
    assert source.data["columns"]["active"] == {"type": "boolean", "true": ["y"], "false": ["n"]}
    assert source.folder == str(tmp_path)
    assert str(source.problem(("columns", "active", "true", 0), "Wrong.", "Mend it.")) == (
        f"{tmp_path}/a.yaml:5:34: Wrong. Mend it."
    )
    assert source.problem(("columns", "nowhere", "x"), "Wrong", "Mend it.").line == 5
    assert source.problem(("path",), "Missing", "Add it.").line == 1


@pytest.mark.parametrize(
    ("before", "after", "place"),
    [
        ('courses: ["https://lms/course/1"]', 'courses: ["https://lms/course/1", "7"]', "a.yaml:3:35: '7'"),
        ('of: ["https://lms/lesson/1"]', "of: [quiz 3]", "a.yaml:4:19: 'quiz 3'"),
        ("completion:", "assessments: [quiz]\ncompletion:", "a.yaml:4:15: 'quiz'"),
    ],
)
def test_what_no_statement_can_be_about_is_refused_in_a_program(load, before, after, place):
    with pytest.raises(MappingError) as refused:
        load(PROGRAM.replace(before, after))

    [problem] = refused.value.problems
    assert f"{place} is no IRI, so no statement is about it. Write the activity's id in full" in str(problem)


def test_a_performance_document_of_ones_own_without_its_source_is_noticed_and_a_shipped_one_is_not(tmp_path):
    (tmp_path / "a.yaml").write_text(METRIC)
    written = read_folders([tmp_path]).documents

    assert Documents.of(written, shipped=tmp_path).notices == ()
    [notice] = Documents.of(written, shipped=tmp_path / "shipped").notices
    assert notice == (
        f"{tmp_path}/a.yaml:3: no source document is called 'tickets': "
        "performance 'tickets' reads nothing until there is one."
    )


@pytest.mark.parametrize(("shipped", "own"), [("people", "mine"), ("people", "aunts")])
def test_of_two_identity_documents_the_later_one_is_told(tmp_path, shipped, own):
    for folder, name in (("shipped", shipped), ("own", own)):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "identity.yaml").write_text(f"kind: identity\nname: {name}\n")

    with pytest.raises(MappingError, match=rf"own/identity.yaml:2:7: .* name it '{shipped}' to replace that one"):
        load_folders([tmp_path / "shipped", tmp_path / "own"])


@pytest.mark.parametrize("written", ["'http://x/done '", "[' http://x/done']"])
def test_a_space_at_an_end_of_what_is_matched_is_refused(load, written):
    with pytest.raises(MappingError, match=r"a\.yaml:5:\d+: There is a space at an end of"):
        load(RULE.replace("when: {when}", f"match: {{verb: {written}}}"))
