"""Repairs: each fault of the list is mended, with the least change, and nothing else is."""

import json
from pathlib import Path
from typing import Any

import moodle_capture as moodle
import pytest
from hypothesis import given
from hypothesis import strategies as st
from xapi_samples import ANA, BAO, COURSE, DID, ID, OTHER_ID, nested, statement, text

from lrs.errors import Invalid
from lrs.xapi import repairs, validation
from lrs.xapi.faults import FAULTS
from lrs.xapi.versions import Version

DOCUMENT = Path(__file__).parents[3] / "lrs" / "REPAIRS.md"
ADL = "http://adlnet.gov/expapi/"
OLD = "tag:adlnet.gov,2013:expapi:0.9:"


def acting(actor: object) -> dict[str, Any]:
    return statement(actor=actor)


def on(**definition: Any) -> dict[str, Any]:
    return statement(object={"id": COURSE, "definition": definition})


def at(activity_id: object) -> dict[str, Any]:
    return statement(object={"id": activity_id})


def scored(**score: Any) -> dict[str, Any]:
    return statement(result={"score": score})


def result(**changes: Any) -> dict[str, Any]:
    return statement(result=changes)


def within(**changes: Any) -> dict[str, Any]:
    return statement(context=changes)


def beside(**activities: Any) -> dict[str, Any]:
    return within(contextActivities=activities)


def when(timestamp: object) -> dict[str, Any]:
    return statement(timestamp=timestamp)


def attached(**changes: Any) -> dict[str, Any]:
    made = {"usageType": "http://a/b", "display": {"en": "x"}, "contentType": "a/b", "length": 1, "sha2": "a" * 64}
    return statement(attachments=[{k: v for k, v in (made | {"fileUrl": "http://a/f"} | changes).items() if v != ""}])


SCORE = "/result/score"
REPAIRED: list[tuple[str, str, dict[str, Any], dict[str, Any]]] = [
    # Moodle, logstore_xapi
    ("null", "/result/response", statement(result={"response": None, "completion": True}), result(completion=True)),
    (
        "component-ids",
        "/object/definition/target/2",
        on(interactionType="choice", target=[{"id": "a"}, {"id": "b"}, {"id": "a"}]),
        on(interactionType="choice", target=[{"id": "a"}, {"id": "b"}]),
    ),
    (
        "component-ids",
        "/object/definition/choices/2",
        on(interactionType="choice", choices=[{"id": ""}, {"id": "-2"}, {"id": "", "description": {"en": "x"}}]),
        on(interactionType="choice", choices=[{"id": ""}, {"id": "-2"}, {"id": "-3", "description": {"en": "x"}}]),
    ),
    (
        "object-for-list",
        "/object/definition/choices",
        on(interactionType="choice", choices={"1": {"id": "emea"}, "2": {"id": "apac"}}),
        on(interactionType="choice", choices=[{"id": "emea"}, {"id": "apac"}]),
    ),
    # what says nothing
    ("null", "/context/instructor", within(instructor=None), within()),
    ("null", "/context/contextActivities/parent", beside(parent=None), beside()),
    ("null", "/context/contextActivities/parent/0", beside(parent=[None]), beside(parent=[])),
    ("null", "/object/definition/name/en", on(name={"en": None, "de": "x"}), on(name={"de": "x"})),
    ("empty-text", "/object/definition/moreInfo", on(moreInfo=""), on()),
    ("empty-text", "/object/definition/name", on(name=""), on()),
    ("empty-text", f"{SCORE}/raw", scored(raw="", scaled=1), scored(scaled=1)),
    ("empty-text", "/timestamp", when(""), statement()),
    ("empty-text", "/id", statement(id=""), statement()),
    ("empty-text", "/actor/mbox", acting(ANA | {"mbox": ""}), statement()),
    ("empty-activity", "/context/contextActivities/parent/0", beside(parent=[{}]), beside(parent=[])),
    ("empty-activity", "/context/contextActivities/other", beside(other={"id": ""}), beside()),
    ("unidentified-agent", "/context/instructor", within(instructor={"name": "Bob"}), within()),
    (
        "unidentified-agent",
        "/actor/member/0",
        acting({"objectType": "Group", "member": [{"name": "x"}, ANA]}),
        acting({"objectType": "Group", "member": [ANA]}),
    ),
    # lists and objects
    ("list-for-object", "/context/extensions", within(extensions=[]), within()),  # h5p-interactive-video#15
    ("list-for-object", "/context/contextActivities", within(contextActivities=[]), within()),
    ("list-for-object", "/result", statement(result=[]), statement()),
    ("list-for-object", "/object/definition", statement(object={"id": COURSE, "definition": []}), at(COURSE)),
    ("list-for-object", "/verb/display", statement(verb={"id": DID, "display": []}), statement()),
    ("list-for-object", "/attachments/0/display", attached(display=[]), attached(display={})),
    (
        "one-for-list",
        "/object/definition/correctResponsesPattern",
        on(interactionType="choice", correctResponsesPattern="a[,]b"),
        on(interactionType="choice", correctResponsesPattern=["a[,]b"]),
    ),
    (
        "one-for-list",
        "/object/definition/choices",
        on(interactionType="choice", choices={"id": "a"}),
        on(interactionType="choice", choices=[{"id": "a"}]),
    ),
    ("list-for-one", "/actor/mbox", acting({"mbox": ["mailto:a@b", "mailto:c@d"]}), acting({"mbox": "mailto:a@b"})),
    ("list-for-one", "/actor/name", acting(BAO | {"name": ["Bao"]}), acting(BAO | {"name": "Bao"})),
    ("list-for-one", "/actor/account", acting({"account": [ANA["account"]]}), statement()),
    ("text-for-object", "/verb", statement(verb="completed"), statement(verb={"id": f"{ADL}verbs/completed"})),
    ("text-for-object", "/verb", statement(verb=DID), statement()),
    ("text-for-object", "/object", statement(object=COURSE), statement()),
    (
        "text-for-object",
        "/context/contextActivities/parent/0",
        beside(parent=[COURSE]),
        beside(parent=[{"id": COURSE}]),
    ),
    ("text-for-language-map", "/object/definition/name", on(name="Sales"), on(name={"und": "Sales"})),
    # names
    ("property-case", "/object/ID", statement(object={"ID": COURSE}), statement()),
    ("property-case", "/Result", statement() | {"Result": {"success": True}}, result(success=True)),
    (
        "old-property",
        "/actor/account/accountName",
        acting({"account": {"homePage": "http://a", "accountName": "x"}}),
        acting({"account": {"homePage": "http://a", "name": "x"}}),
    ),
    ("unknown-property", "/inProgress", statement(inProgress=True), statement()),
    ("unknown-property", "/actor/givenName", acting(ANA | {"givenName": ["A"]}), statement()),
    ("unknown-property", "/object/stored", statement(object=nested(stored="x")), statement(object=nested())),
    ("unknown-property", "/verb/objectType", statement(verb={"id": DID, "objectType": "verb"}), statement()),
    ("object-type", "/actor/objectType", acting(ANA | {"objectType": "Person"}), acting(ANA | {"objectType": "Agent"})),
    (
        "object-type",
        "/object/objectType",
        statement(object={"id": COURSE, "objectType": "activity"}),
        statement(object={"id": COURSE, "objectType": "Activity"}),
    ),
    ("missing-object-type", "/actor", acting({"member": [ANA]}), acting({"member": [ANA], "objectType": "Group"})),
    (
        "missing-object-type",
        "/context/statement",
        within(statement={"id": ID}),
        within(statement={"id": ID, "objectType": "StatementRef"}),
    ),
    ("missing-object-type", "/object", statement(object=ANA), statement(object=ANA | {"objectType": "Agent"})),
    # identifiers
    ("identifiers", "/actor/account", acting(BAO | ANA), acting(BAO)),
    ("identifiers", "/actor/mbox", acting(ANA | {"mbox": "nobody"}), statement()),
    ("mbox", "/actor/mbox", acting({"mbox": " a@example.com "}), acting({"mbox": "mailto:a@example.com"})),
    ("mbox", "/actor/mbox", acting({"mbox": "MAILTO: A@example.com"}), acting({"mbox": "mailto:A@example.com"})),
    ("mbox", "/actor/mbox", acting({"mbox": "mailto:a%40example.com"}), acting({"mbox": "mailto:a@example.com"})),
    ("uuid", "/id", statement(id=f"{{{ID}}}"), statement(id=ID)),
    ("uuid", "/context/registration", within(registration=ID.replace("-", "")), within(registration=ID)),
    ("uuid", "/id", statement(id=f"urn:uuid:{ID}"), statement(id=ID)),
    ("activity-id", "/object/id", at("Sales 101"), at(f"{OLD}activities:Sales%20101")),
    ("activity-id", "/object/id", at("undefined?subContentId=1"), at(f"{OLD}activities:undefined?subContentId=1")),
    ("verb", "/verb/id", statement(verb={"id": "passed"}), statement(verb={"id": f"{ADL}verbs/passed"})),
    ("activity-type", "/object/definition/type", on(type="course"), on(type=f"{ADL}activities/course")),
    (
        "extension-key",
        "/result/extensions/a~1b",
        result(extensions={"a/b": {"x": None}}),
        result(extensions={f"{OLD}extensions:a/b": {"x": None}}),
    ),
    ("iri-characters", "/object/id", at(" http://a/slide 1 "), at("http://a/slide%201")),
    ("iri-characters", "/object/id", at("file:C:\\x"), at("file:C:%5Cx")),
    (
        "web-address",
        "/actor/account/homePage",
        acting({"account": {"homePage": "www.example.com", "name": "3"}}),
        acting({"account": {"homePage": "http://www.example.com", "name": "3"}}),
    ),
    # texts, numbers, times
    ("spaces", "/attachments/0/contentType", attached(contentType="a/b "), attached()),
    (
        "no-text",
        "/actor/account/name",
        acting({"account": {"homePage": "http://a", "name": 42}}),
        acting({"account": {"homePage": "http://a", "name": "42"}}),
    ),
    ("no-text", "/result/response", result(response=["a", 1]), result(response='["a",1]')),
    ("no-text", "/result/response", result(response=True), result(response="true")),
    (
        "no-text",
        "/object/definition/choices/0/id",
        on(interactionType="choice", choices=[{"id": 1}]),
        on(interactionType="choice", choices=[{"id": "1"}]),
    ),
    ("number-as-text", f"{SCORE}/raw", scored(raw="85"), scored(raw=85)),
    ("number-as-text", f"{SCORE}/scaled", scored(scaled=".85"), scored(scaled=0.85)),
    ("number-as-text", "/attachments/0/length", attached(length="1"), attached()),
    ("no-number", f"{SCORE}/raw", scored(raw="NaN"), scored()),
    ("no-number", f"{SCORE}/raw", scored(raw="85%"), scored()),
    ("boolean-as-text", "/result/success", result(success="true"), result(success=True)),
    ("boolean-as-text", "/result/completion", result(completion=0), result(completion=False)),
    ("no-boolean", "/result/success", result(success="unknown"), result()),
    ("timestamp", "/timestamp", when("2015-01-01T00:00:00.0000000"), when("2015-01-01T00:00:00.0000000Z")),
    ("timestamp", "/timestamp", when("2015-01-01 10:00:00"), when("2015-01-01T10:00:00Z")),
    ("timestamp", "/timestamp", when("2015-01-01T10:00:00+0100"), when("2015-01-01T10:00:00+01:00")),
    ("timestamp", "/timestamp", when("2015-01-01T10:00:00-00:00"), when("2015-01-01T10:00:00Z")),
    ("timestamp", "/timestamp", when("2015-01-01T10:00Z"), when("2015-01-01T10:00:00Z")),
    ("duration", "/result/duration", result(duration="0001:02:03.5"), result(duration="PT1H2M3.5S")),
    ("duration", "/result/duration", result(duration="P16559.14S"), result(duration="PT16559.14S")),
    ("duration", "/result/duration", result(duration="pt5s"), result(duration="PT5S")),
    ("language-tag", "/context/language", within(language="en_us_wp"), within(language="en-us")),
    ("language-tag", "/object/definition/name/de_DE", on(name={"de_DE": "x"}), on(name={"de-DE": "x"})),
    ("language-tag", "/object/definition/name/", on(name={"": "x"}), on(name={"und": "x"})),
    ("language-tag", "/object/definition/name/de_DE", on(name={"de_DE": "x", "de-DE": "y"}), on(name={"de-DE": "y"})),
    ("language-map-value", "/object/definition/name/en", on(name={"en": ["x"], "de": "y"}), on(name={"de": "y"})),
    (
        "interaction-type",
        "/object/definition/interactionType",
        on(interactionType="Choice"),
        on(interactionType="choice"),
    ),
    (
        "interaction-type",
        "/object/definition/interactionType",
        on(interactionType="true_false"),
        on(interactionType="true-false"),
    ),
    (
        "interaction-type",
        "/object/definition/interactionType",
        on(interactionType="essay"),
        on(interactionType="other"),
    ),
    (
        "missing-interaction-type",
        "/object/definition",
        on(correctResponsesPattern=["a"]),
        on(correctResponsesPattern=["a"], interactionType="other"),
    ),
    ("unreadable", "/result/duration", result(duration="PTNaNS"), result()),
    ("unreadable", "/result/duration", result(duration="PT-1S"), result()),
    ("unreadable", "/result/duration", result(duration=90), result()),
    ("unreadable", "/context/registration", within(registration="123"), within()),
    ("unreadable", "/id", statement(id="abc"), statement()),
    # beyond one property
    ("score-bounds", f"{SCORE}/max", scored(raw=105, min=0, max=100), scored(raw=105, min=0)),
    ("score-bounds", f"{SCORE}/min", scored(raw=0, min=0, max=0), scored(raw=0)),
    ("scaled-range", f"{SCORE}/scaled", scored(scaled=85, raw=85), scored(raw=85)),
    (
        "activity-only",
        "/context/platform",
        statement(object=ANA | {"objectType": "Agent"}, context={"platform": "x", "language": "en"}),
        statement(object=ANA | {"objectType": "Agent"}, context={"language": "en"}),
    ),
    ("attachment", "/attachments/0", attached(sha2=""), statement(attachments=[])),
    ("assigned-property", "/version", statement(version="0.95"), statement()),
    ("assigned-property", "/authority", statement(authority={"name": "x"}), statement()),
    ("assigned-property", "/stored", statement(stored="now"), statement()),
]


@pytest.mark.parametrize(
    ("fault", "pointer", "sent", "expected"),
    REPAIRED,
    ids=[f"{fault}-{number}" for number, (fault, *_) in enumerate(REPAIRED)],
)
def test_a_fault_of_the_list_is_mended(
    fault: str, pointer: str, sent: dict[str, Any], expected: dict[str, Any]
) -> None:
    with pytest.raises(Invalid):
        validation.validate(text(sent), Version.ONE)

    repaired = repairs.repair(text(sent), Version.ONE)

    assert repaired is not None
    assert json.loads(repaired.text) == expected
    assert (fault, pointer) in repaired.repairs
    validation.validate(repaired.text, Version.ONE)


def test_each_fault_is_tested_and_documented() -> None:
    assert {fault for fault, *_ in REPAIRED} == set(FAULTS)
    assert [f"| `{name}` | {fault.repair} | {fault.source} |" for name, fault in FAULTS.items()] == [
        line for line in DOCUMENT.read_text().splitlines() if line.startswith("| `")
    ]


@pytest.mark.parametrize(
    "sent",
    [
        acting({}),
        acting({"name": "Ana"}),
        acting(None),
        acting({"mbox": "Ana"}),
        acting({"account": {"homePage": "somewhere", "name": "3"}}),
        statement(verb={"id": "did"}),
        statement(verb="did"),
        statement(verb="voided"),
        statement(verb=None),
        at(""),
        at(None),
        when("2015-01-01"),
        when("yesterday"),
        when("2015-02-30T00:00:00Z"),
        when(1420070400),
        statement(object={"id": COURSE, "objectType": "Course"}),
        statement(object={"objectType": "StatementRef", "id": "x"}),
        statement(verb={"id": f"{ADL}verbs/voided"}),
        scored(raw={"of": 1}) | {"verb": None},
        attached(usageType=f"{ADL}attachments/signature", sha2=""),
    ],
)
def test_what_is_not_on_the_list_stays_refused(sent: dict[str, Any]) -> None:
    """Who did what, to what, and when is never made up."""
    repaired = repairs.repair(text(sent), Version.ONE)

    with pytest.raises(Invalid):
        validation.validate(repaired.text if repaired else text(sent), Version.ONE)


@pytest.mark.parametrize(
    "sent", [b"", b"[", b"[]", b"1", b'{"a":1,"a":1}', b'{"a":NaN}', b'{"actor":{"name":"\\ud800"}}', b"\xff"]
)
def test_what_is_no_json_object_is_not_repaired(sent: bytes) -> None:
    assert repairs.repair(sent, Version.ONE) is None


def test_numbers_order_and_extensions_stay_as_they_were_sent() -> None:
    sent = (
        b'{"verb":{"id":"http://a/b"},"result":{"response":null,"score":{"raw":1.50,"max":1e2},'
        b'"extensions":{"http://a/x":[null,12345678901234567890.10,{"Id":""}]}},'
        b'"object":{"id":"http://a/c"},"actor":{"mbox":"mailto:a@b"}}'
    )

    repaired = repairs.repair(sent, Version.ONE)

    assert repaired is not None
    assert repaired.text == sent.replace(b'"response":null,', b"")


def test_real_statements_lose_nothing_but_the_fault() -> None:
    refused = [one for one in moodle.statements() if not is_valid(one)]
    refused += moodle.invalid_with_mbox()

    for one in refused:
        repaired = repairs.repair(text(one), Version.ONE)
        assert repaired is not None
        mended = json.loads(repaired.text)
        assert is_valid(mended)
        for place in {pointer.split("/")[1] for _, pointer in repaired.repairs}:
            mended.pop(place, None)
            one.pop(place)
        assert mended == one
    assert len(refused) == 67 + 91


def is_valid(one: dict[str, Any]) -> bool:
    try:
        validation.validate(text(one), Version.ONE)
    except Invalid:
        return False
    return True


def test_several_faults_at_once_are_all_told() -> None:
    """What a launch link of the Rustici style makes of an actor."""
    actor = {
        "objectType": "Person",
        "name": ["Ana"],
        "account": [{"accountServiceHomePage": "http://lms.example.com", "accountName": "3"}],
    }

    repaired = repairs.repair(text(acting(actor)), Version.ONE)

    assert repaired is not None
    assert json.loads(repaired.text)["actor"] == {"objectType": "Agent", "name": "Ana", **ANA}
    assert [fault for fault, _ in repaired.repairs] == [
        "object-type",
        "list-for-one",
        "list-for-one",
        "old-property",
        "old-property",
    ]


def test_a_version_that_the_request_does_not_cover_is_left_out() -> None:
    assert repairs.repair(text(statement(version="2.0.0")), Version.TWO) is None
    assert repairs.repair(text(statement(version="2.0.0")), Version.ONE) is not None


def test_a_batch_of_repairs_names_places_in_what_was_sent() -> None:
    sent = beside(parent=[None, {"id": COURSE}, {}, "http://a/b"])

    repaired = repairs.repair(text(sent), Version.ONE)

    assert repaired is not None
    assert [pointer.rpartition("/")[2] for _, pointer in repaired.repairs] == ["0", "2", "3"]


_JSON: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8)
    | st.sampled_from([ID, OTHER_ID, COURSE, "mailto:a@b", "Agent", "group", "PT5S", "en_US", ""]),
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(
        st.sampled_from([
            "id", "ID", "objectType", "mbox", "account", "homePage", "name", "member", "definition", "display", "type",
            "choices", "description", "extensions", "score", "raw", "min", "max", "scaled", "parent",
            "contextActivities", "instructor", "team", "statement", "registration", "actor", "verb", "object",
            "result", "context", "x",
        ]),
        inner,
        max_size=5,
    ),
    max_leaves=25,
)  # fmt: skip


@given(st.dictionaries(st.sampled_from(["actor", "verb", "object", "result", "context", "attachments"]), _JSON))
def test_whatever_comes_a_repair_ends_and_is_told(changes: dict[str, Any]) -> None:
    sent = text(statement() | changes)

    repaired = repairs.repair(sent, Version.ONE)

    assert repaired is None or (repaired.repairs and isinstance(json.loads(repaired.text), dict))
    if is_valid(json.loads(sent)):
        assert repaired is None  # nothing is repaired that is in order
