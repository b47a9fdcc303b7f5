"""What holds for the shipped learning documents together: each statement is for one of them, and none is forgotten."""

import json
from collections import Counter
from pathlib import Path

import moodle_capture
import pytest

from bridge.mapping import load_folders
from connectors import caliper

ROOT = Path(__file__).parents[3]
GOLDEN = ROOT / "tests" / "golden"
INFO = "http://lrs.learninglocker.net/define/extensions/info"


@pytest.fixture(scope="module")
def presets(shipped):
    return [document.name for document in shipped.learning]


def documents(reading):
    return {fact.rule.partition("/")[0] for fact in reading.facts} | {
        rule.partition("/")[0] for rule in reading.left_out
    }


def golden(presets):
    for path in sorted(GOLDEN.glob("*/*.json")):
        if path.parent.name in presets:
            for case in json.loads(path.read_text())["cases"]:
                yield path, case


def test_each_golden_statement_is_read_by_its_own_document_and_by_no_other(shipped, presets):
    for path, case in golden(presets):
        reading = shipped.statement_reader.read(case["item"])

        meant = {path.parent.name} if case["facts"] or "left_out" in case else set()
        assert documents(reading) == meant, path
        assert reading.failures == [], path


def test_plain_verbs_are_left_to_the_admin_until_the_generic_rules_are_asked_for():
    alone = load_folders([ROOT / "mappings"])

    assert "adl" not in [document.name for document in alone.learning]
    for path in sorted((GOLDEN / "adl").glob("*.json")):
        for case in json.loads(path.read_text())["cases"]:
            assert not documents(alone.statement_reader.read(case["item"]))


def test_golden_statements_could_all_lie_in_one_lrs(presets):
    """An id stands for one statement: equal ones are equal statements."""
    by_id: dict[str, set[str]] = {}
    for _, case in golden(presets):
        if "id" in case["item"]:
            by_id.setdefault(case["item"]["id"], set()).add(json.dumps(case["item"], sort_keys=True))

    assert {one: texts for one, texts in by_id.items() if len(texts) > 1} == {}


def test_no_golden_statement_is_read_and_left_out_at_once(shipped, presets):
    for path, case in golden(presets):
        reading = shipped.statement_reader.read(case["item"])

        assert not (reading.facts and reading.left_out), path


def test_no_golden_statement_gives_two_facts_of_one_kind(shipped, presets):
    for path, case in golden(presets):
        kinds = Counter(fact.kind for fact in shipped.statement_reader.read(case["item"]).facts)

        assert set(kinds.values()) <= {1}, path


# --- the capture of a real Moodle ---


@pytest.fixture(scope="module")
def readings(shipped):
    """All 3,796 statements with what is read out of them."""
    return [(statement, shipped.statement_reader.read(statement)) for statement in moodle_capture.statements()]


def test_of_a_real_moodle_93_in_100_statements_give_a_fact_and_all_are_known(readings):
    facts = sum(bool(reading.facts) for _, reading in readings)
    left_out = sum(bool(reading.left_out) for _, reading in readings)

    assert round(facts / len(readings), 3) == 0.930
    assert facts + left_out == len(readings) == 3796


def test_a_real_moodle_is_read_by_the_moodle_document_alone(readings):
    assert {name for _, reading in readings for name in documents(reading)} == {"moodle"}
    assert [reading.failures for _, reading in readings if reading.failures] == []


def test_settings_of_the_plugin_do_not_matter(shipped):
    for statement in moodle_capture.invalid_with_mbox():
        reading = shipped.statement_reader.read(statement)

        assert documents(reading) == {"moodle"}
        assert reading.failures == []


def test_an_attempt_is_counted_once_however_many_questions_it_has(readings):
    quiz = [
        fact
        for statement, reading in readings
        if r"\mod_quiz" in statement["context"]["extensions"][INFO]["event_name"]
        for fact in reading.facts
    ]

    kinds = Counter(fact.kind.value for fact in quiz if fact.attempt)
    assert kinds == {"started": 66, "assessed": 65}
    assert len({fact.attempt for fact in quiz if fact.attempt}) == 66


def test_what_others_do_to_a_learner_is_not_the_learners_own_deed(readings):
    """Last activity is read from what learners do: being put into a group or given an account is none."""
    by_others = ["user_created", "group_member_added", "group_member_removed", "user_enrolment_created"]

    kinds = {
        fact.kind.value
        for statement, reading in readings
        if statement["context"]["extensions"][INFO]["event_name"].rpartition("\\")[2] in by_others
        for fact in reading.facts
    }

    assert kinds == {"enrolled", "unenrolled"}


def test_no_teacher_at_work_is_taken_for_a_learner(readings):
    made = [
        reading.facts
        for statement, reading in readings
        if statement["context"]["extensions"][INFO]["event_name"].rpartition("\\")[2]
        in ["course_module_created", "question_created", "note_created", "notes_viewed", "submission_locked"]
    ]

    assert len(made) == 75 + 34 + 11 + 11 + 4
    assert not any(made)


# --- versions of the Moodle plugin ---


@pytest.mark.parametrize("version", ["4.0.0", "4.2.5", "4.7.0"])
def test_old_versions_of_the_plugin_are_read_by_the_document_for_them(shipped, version):
    statement = _view(version, category="http://id.tincanapi.com/activitytype/source")

    assert documents(shipped.statement_reader.read(statement)) == {"moodle-4-7"}


@pytest.mark.parametrize("version", ["4.8.0", "4.9.0", "5.0.1", "5.1.0"])
def test_new_versions_of_the_plugin_are_read_by_the_document_for_them(shipped, version):
    statement = _view(version, category="http://id.tincanapi.com/activitytype/lms")

    assert documents(shipped.statement_reader.read(statement)) == {"moodle"}


@pytest.mark.parametrize(
    ("kind", "document"),
    [
        ("http://id.tincanapi.com/activitytype/source", "moodle-4-7"),
        ("http://id.tincanapi.com/activitytype/lms", "moodle"),
        (None, "moodle"),  # a login has no category at all
    ],
)
def test_a_plugin_from_git_that_names_no_version_is_told_by_the_category(shipped, kind, document):
    assert documents(shipped.statement_reader.read(_view("", category=kind))) == {document}


def test_an_old_version_alone_tells_it_too(shipped):
    assert documents(shipped.statement_reader.read(_view("4.7.0", category=None))) == {"moodle-4-7"}


def _view(version, *, category):
    info = {"event_name": r"\core\event\course_viewed", "https://github.com/xAPI-vle/moodle-logstore_xapi": version}
    activities = {"category": [{"id": "https://moodle.example.org", "definition": {"type": category}}]}
    return {
        "actor": {"account": {"homePage": "https://moodle.example.org", "name": "31"}},
        "verb": {"id": "http://id.tincanapi.com/verb/viewed"},
        "object": {"id": "https://moodle.example.org/course/view.php?id=5"},
        "timestamp": "2026-10-12T09:30:00Z",
        "context": {"extensions": {INFO: info}, **({"contextActivities": activities} if category else {})},
    }


# --- generic content ---

CMI5 = {"id": "https://w3id.org/xapi/cmi5/context/categories/cmi5"}
SCORM = {"id": "https://w3id.org/xapi/scorm"}
OTHER = {"id": "https://publisher.example.org/tags/sales"}
STORYLINE = "urn:articulate:storyline:6kQd2Nf0aBc"
H5P = {"extensions": {"http://h5p.org/x-api/h5p-local-content-id": 42}}


@pytest.mark.parametrize(
    ("activity", "category", "document"),
    [
        ("https://content.example.org/discovery", [], "adl"),
        ("https://content.example.org/discovery", [OTHER], "adl"),
        ("https://content.example.org/before_sun_rise", [], "adl"),  # no id of Rise
        (STORYLINE, [], "articulate"),
        (STORYLINE, [OTHER], "articulate"),
        ("http://9ZbXyq1TdKUaWm3_rise", [], "articulate"),
        ("http://6QbX4ehYzT1_course_id/5Xw1", [], "articulate"),
        (STORYLINE, [CMI5], "cmi5"),
        (STORYLINE, [OTHER, CMI5], "cmi5"),
        (STORYLINE, [SCORM], "scorm"),
        ("https://lms.example.org/au/1", [CMI5], "cmi5"),
        ("https://lms.example.org/au/1", [OTHER, OTHER, CMI5], "cmi5"),
        ("https://lms.example.org/lesson/1", [SCORM], "scorm"),
        ("https://lms.example.org/lesson/1", [OTHER, SCORM], "scorm"),
        ("https://acme.instructure.com", [{"id": caliper.CATEGORY}], None),  # Canvas passes nobody
    ],
)
def test_a_plain_verb_is_read_by_one_document_whatever_the_content_is_made_with(shipped, activity, category, document):
    statement = {
        "id": "9f8e1d0a-1c5a-4d0b-9a3f-0d7b3f0e1a55",
        "actor": {"mbox": "mailto:ana.alvarez@example.com"},
        "verb": {"id": "http://adlnet.gov/expapi/verbs/passed"},
        "object": {"id": activity},
        "timestamp": "2026-10-12T09:30:00Z",
        "context": {"contextActivities": {"category": category}},
    }

    assert documents(shipped.statement_reader.read(statement)) == ({document} if document else set())


@pytest.mark.parametrize(
    ("category", "document"), [([], "h5p"), ([OTHER], "h5p"), ([CMI5], "cmi5"), ([SCORM], "scorm")]
)
def test_h5p_in_a_player_is_read_by_the_document_of_the_player(shipped, category, document):
    statement = {
        "id": "9f8e1d0a-1c5a-4d0b-9a3f-0d7b3f0e1a55",
        "actor": {"mbox": "mailto:ana.alvarez@example.com"},
        "verb": {"id": "http://adlnet.gov/expapi/verbs/completed"},
        "object": {"id": "https://content.example.org/h5p/42", "definition": H5P},
        "timestamp": "2026-10-12T09:30:00Z",
        "context": {"contextActivities": {"category": category}},
    }

    assert documents(shipped.statement_reader.read(statement)) == {document}


# --- Canvas ---


def test_the_golden_statements_of_canvas_are_what_its_events_become(presets):
    cases = [case for path, case in golden(presets) if path.parent.name == "canvas"]

    assert cases
    for case in cases:
        assert caliper.convert(case["event"]) == [case["item"]]
