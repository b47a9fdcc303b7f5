"""Canvas Live Events made statements; what each becomes is shown by the golden cases in tests/golden/canvas."""

import json
import uuid
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors import caliper
from connectors.caliper import NotConverted, convert
from lrs.xapi import validation
from lrs.xapi.versions import Version

GOLDEN = Path(__file__).parents[1] / "golden" / "canvas"
CASES = [case for path in sorted(GOLDEN.glob("*.json")) for case in json.loads(path.read_text())["cases"]]
EVENTS = [case["event"] for case in CASES]


def event(name: str, place: int = 0) -> dict[str, Any]:
    """Give a golden event, to be changed."""
    return deepcopy(json.loads((GOLDEN / f"{name}.json").read_text())["cases"][place]["event"])


def reason(message: dict[str, Any]) -> str:
    [found] = convert(message)
    assert isinstance(found, NotConverted)
    return found.reason


def statement(message: dict[str, Any], **settings: Any) -> dict[str, Any]:
    [found] = convert(message, **settings)
    assert isinstance(found, dict)
    return found


def test_every_statement_that_is_made_is_valid_xapi() -> None:
    for message in EVENTS:
        validation.validate(json.dumps(statement(message)).encode(), Version.ONE)


def test_an_event_delivered_again_is_the_same_statement() -> None:
    for message in EVENTS:
        again = {**message, "sendTime": "2026-10-05T10:00:00.000Z"} if "data" in message else message

        assert statement(again) == statement(message)


def test_ids_are_of_version_5_and_no_two_events_share_one() -> None:
    ids = [statement(message)["id"] for message in EVENTS]

    assert len(set(ids)) == len(ids)
    assert {uuid.UUID(one).version for one in ids} == {5}


def test_one_person_is_one_account_in_both_formats() -> None:
    caliper_one, canvas_one = statement(event("logged-in-or-out", 0)), statement(event("logged-in-or-out", 1))

    assert caliper_one["actor"] == canvas_one["actor"]
    assert caliper_one["actor"]["account"]["homePage"] == "https://acme.instructure.com"


def test_the_site_can_be_given_where_events_name_several_hosts() -> None:
    made = statement(event("logged-in-or-out"), home_page="https://learn.example.org")

    assert made["actor"]["account"]["homePage"] == made["object"]["id"] == "https://learn.example.org"


def test_an_event_of_a_background_job_names_no_host_and_asks_for_the_site() -> None:
    message = event("requirement-met")
    del message["metadata"]["hostname"]

    assert reason(message) == "It does not name the site: give its address."
    assert statement(message, home_page="https://learn.example.org")["verb"]["display"] == {"en": "progressed"}


def test_local_ids_become_global_ones() -> None:
    message = event("course-completed")
    message["metadata"]["root_account_id"] = "99990000000000001"

    made = statement(message)

    assert made["object"]["id"] == "urn:instructure:canvas:course:99990000000000565"
    assert made["actor"]["account"]["name"] == "99990000000000048"


def test_the_learner_is_the_actor_when_a_teacher_does_it() -> None:
    made = statement(event("graded"))

    assert made["actor"]["account"]["name"] == "31470000000000048"
    assert made["context"]["instructor"]["account"]["name"] == "31470000000000987"


def test_what_canvas_grades_by_itself_has_no_instructor() -> None:
    message = event("graded")
    message["data"][0]["actor"] = {"id": "http://acme.instructure.com/", "type": "SoftwareApplication"}
    message["data"][0]["object"]["extensions"] = {}

    assert "instructor" not in statement(message)["context"]


def test_all_events_of_an_envelope_are_answered_in_their_order() -> None:
    first, second = event("viewed")["data"][0], event("graded")["data"][0]
    unknown = {**first, "type": "ToolUseEvent", "action": "Used"}

    found = convert({"sensor": "http://acme.instructure.com/", "data": [first, unknown, "nothing", second]})

    made = [one["verb"]["display"]["en"] if isinstance(one, dict) else one.event for one in found]
    assert made == ["viewed", unknown, {"data": "nothing"}, "scored"]


def _canvas(entity: dict[str, Any]) -> dict[str, Any]:
    return entity["extensions"]["com.instructure.canvas"]


def _enrollment(one: dict[str, Any]) -> dict[str, Any]:
    return _canvas(one["object"])


def _changed(name: str, change: Any) -> dict[str, Any]:
    message = event(name)
    change(message["data"][0])
    return message


@pytest.mark.parametrize(
    ("message", "why"),
    [
        # A teacher's enrolment.
        (
            _changed("enrolled", lambda one: _enrollment(one).update(type="TeacherEnrollment")),
            "TeacherEnrollment is no learner's enrolment.",
        ),
        # Ended by its date.
        (
            _changed("enrolled", lambda one: _enrollment(one).update(workflow_state="completed")),
            "The state 'completed' neither gives access to the course nor takes it away.",
        ),
        # enrollment_state_updated, which has no user.
        (
            _changed(
                "enrolled", lambda one: one["object"].update(extensions={"com.instructure.canvas": {"state": "x"}})
            ),
            "It names no learner; enrollment_created and enrollment_updated do.",
        ),
        # A teacher's comment on a submission.
        (
            _changed("work-handed-in", lambda one: one["actor"].update(id="urn:instructure:canvas:user:9")),
            "Somebody else than the learner changed the submission.",
        ),
        # A file that a program fetched.
        (
            _changed("viewed", lambda one: one.update(actor={"id": "http://acme.instructure.com/"})),
            "Its actor is no user of Canvas.",
        ),
        (_changed("viewed", lambda one: one.update(eventTime=None)), "It has no time."),
        (
            _changed("viewed", lambda one: one.update(object={"id": "https://elsewhere.example.org"})),
            "Its object, or what that belongs to, has no id of Canvas.",
        ),
        (
            _changed("discussion-joined", lambda one: _canvas(one["object"]).update(is_announcement=True)),
            "An announcement is teaching, not learning.",
        ),
        (
            _changed("viewed", lambda one: one.update(type="Event", action="Created")),
            "Event Created says nothing of a learner, or is not known here.",
        ),
        (
            {"metadata": {"event_name": "course_created"}, "body": {}},
            "course_created says nothing of a learner, or is not known here.",
        ),
        # Deleted with the enrolment.
        (
            {
                "metadata": {"event_name": "course_grade_change"},
                "body": {"workflow_state": "deleted", "final_score": 9},
            },
            "The course has no score.",
        ),
        ({"metadata": {}, "body": {}}, "An event without a name says nothing of a learner, or is not known here."),
        (
            {"actor": {"mbox": "mailto:ana.alvarez@example.com"}},  # a statement
            "This is no Caliper event, which has a type and an action, nor one with metadata and body.",
        ),
    ],
)
def test_what_is_no_learners_deed_is_given_back_with_the_reason(message: dict[str, Any], why: str) -> None:
    assert reason(message) == why


_SCRAPS = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=10), inner, max_size=3),
    max_leaves=6,
)


@given(data=st.data())
def test_whatever_stands_in_an_event_it_is_answered(data: st.DataObject) -> None:
    message = deepcopy(data.draw(st.sampled_from(EVENTS)))
    for _ in range(data.draw(st.integers(1, 3))):
        place: Any = message
        while isinstance(place, dict | list) and place:
            key = data.draw(st.sampled_from(list(place) if isinstance(place, dict) else range(len(place))))
            if not isinstance(place[key], dict | list) or not place[key] or data.draw(st.booleans()):
                place[key] = data.draw(_SCRAPS)
                break
            place = place[key]

    found = convert(message)

    assert all(isinstance(one, dict | NotConverted) for one in found)
    json.dumps([one if isinstance(one, dict) else one.reason for one in found])


def test_everything_public_is_what_presets_and_commands_use() -> None:
    made = statement(event("viewed"))

    assert made["context"]["contextActivities"]["category"] == [{"id": caliper.CATEGORY}]
    assert made["context"]["extensions"] == {caliper.ROLE: "Learner", caliper.SIS_ID: "E1048"}
    assert statement(event("requirement-met"))["result"] == {"extensions": {caliper.PROGRESS: 25}}
