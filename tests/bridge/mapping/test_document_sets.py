"""A set of documents: its hashes, and its text that stands in for the files."""

import itertools
import json

import pytest

from bridge.mapping import Document, Documents, MappingError, documents

LEARNING = """\
kind: learning
name: lms
title: The LMS
rules:
  - name: done
    when: verb == 'x'
    fact: completed
  - name: seen
    when: verb == 'y'
    fact: progressed
"""
SAME_LEARNING = """\
# Another order, another style, a default said aloud, and another title.
name: "lms"
rules:
- {fact: progressed, name: seen, when: "verb == 'y'", activity: object.id}
- {when: verb == 'x', fact: 'completed', name: done}
kind: learning
title: Our LMS
"""
PERFORMANCE = """\
kind: performance
name: desk
source: desk
metrics:
  - {name: hours, title: Hours, unit: h, family: duration, direction: down,
     owner: row.o, occurred_at: row.t, value: row.v}
"""
IDENTITY = "kind: identity\nname: people\nunclaimed: wait\n"
PROGRAM = "kind: program\nname: p\ncourses: ['x:c']\ncompletion: {of: ['x:a']}\nmetrics: [hours]\n"
REPORT = "kind: report\nname: r\nprogram: p\ndestinations: [out]\n"
DESTINATION = "kind: destination\nname: out\ntype: directory\npath: out\n"
ALL = (LEARNING, PERFORMANCE, IDENTITY, PROGRAM, REPORT, DESTINATION)


def hashes(found):
    return found.rules_hash, found.identity_hash, found.programs_hash


def test_order_style_comments_and_titles_do_not_change_what_is_hashed(load):
    first = hashes(load(*ALL))

    for order in itertools.islice(itertools.permutations((SAME_LEARNING, *ALL[1:])), 0, 720, 90):
        assert hashes(load(*order)) == first
    assert hashes(load("---\n".join(ALL), *["# nothing\n"] * 5)) == first


@pytest.mark.parametrize(
    ("before", "after", "changed"),
    [
        ("verb == 'x'", "verb == 'z'", (True, False, False)),
        ("fact: completed", "fact: assessed", (True, False, False)),
        ("name: done", "name: finished", (True, False, False)),
        ("value: row.v", "value: row.w", (True, False, False)),
        ("source: desk", "source: bench", (True, False, False)),
        ("title: Hours", "title: Time", (False, False, False)),
        ("direction: down", "direction: up", (False, False, False)),
        ("unclaimed: wait", "unclaimed: learner", (False, True, False)),
        ("courses: ['x:c']", "courses: ['x:c', 'x:d']", (False, False, True)),
        ("program: p\n", "program: p\nnote: Mind.\n", (False, False, True)),
        ("path: out", "path: elsewhere", (False, False, True)),
    ],
)
def test_a_hash_changes_with_what_it_stands_for_and_with_nothing_else(load, before, after, changed):
    first = hashes(load(*ALL))
    second = hashes(load(*[text.replace(before, after, 1) for text in ALL]))

    assert tuple(one != other for one, other in zip(first, second, strict=True)) == changed


def test_a_new_version_of_the_engine_changes_the_hash_of_the_rules(load, monkeypatch):
    first = load(*ALL).rules_hash

    monkeypatch.setattr(documents, "ENGINE_VERSION", 2)

    assert load(*ALL).rules_hash != first


def test_the_text_gives_the_same_documents_back_without_their_files(load):
    found = load(*ALL)

    text = found.to_text()
    back = Documents.from_text(text)

    assert back == found
    assert back.to_text() == text
    assert hashes(back) == hashes(found)
    assert back.destinations["out"].folder == found.destinations["out"].folder
    assert json.loads(text)[0].keys() == {"kind", "name", "data", "file", "folder"}


def test_the_shipped_documents_survive_the_round_trip(shipped):
    assert Documents.from_text(shipped.to_text()) == shipped


def test_a_text_that_is_refused_now_says_so_without_places(load, tmp_path):
    text = load(*ALL).to_text().replace('"fact":"completed"', '"fact":"finished"')

    with pytest.raises(MappingError) as refused:
        Documents.from_text(text)

    [problem] = refused.value.problems
    assert (problem.line, problem.column) == (0, 0)
    assert str(problem).startswith(f"{tmp_path}/a.yaml: 'finished' cannot stand in `fact`. ")


def test_what_is_not_said_has_its_default(load):
    found = load(LEARNING.replace("title: The LMS\n", ""), PERFORMANCE.replace(" title: Hours, unit: h,", ""), PROGRAM)

    assert (found.identity.name, found.identity.unclaimed, found.identity.rosters) == ("people", "learner", ())
    assert found.learning[0].title == "lms"
    assert str(found.learning[0].rules[0].values["activity"]) == "object.id"
    assert (found.metrics["hours"].title, found.metrics["hours"].unit) == ("hours", "")
    program = found.programs["p"]
    assert (program.title, program.window_days, program.completion.need, program.assessments) == ("p", 90, "any", ())


def test_repeats_in_a_program_count_once(load):
    program = load(
        PERFORMANCE,
        PROGRAM.replace("['x:c']", "['x:c', 'x:d', 'x:c']").replace("{of: ['x:a']}", "{of: ['x:a', 'x:a'], need: all}"),
    ).programs["p"]

    assert program.courses == ("x:c", "x:d")
    assert program.completion.of == ("x:a",)


def test_a_document_is_called_by_kind_and_name():
    assert str(Document("program", "p", {}, "a.yaml", "/")) == "program 'p'"
