"""What a valid statement is: xAPI 1.0.3, Data; each row names its section."""

import gzip
import json
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from xapi_samples import ANA, BAO, COURSE, DID, ID, TEAM, VOIDED, nested, statement, text

from lrs.errors import Invalid
from lrs.xapi import validation
from lrs.xapi.versions import Version

ATTACHMENT = {
    "usageType": "http://example.com/usage",
    "display": {"en": "A file"},
    "contentType": "text/plain; charset=utf-8",
    "length": 3,
    "sha2": "672fa5fa658017f1b72d65036f13379c6ab05d4ab3b6664908d8acf0b6a0c634",
    "fileUrl": "http://example.com/file",
}
CONSUMER = {"account": {"homePage": "http://example.com/oauth", "name": "consumer"}}


def defined(**definition: Any) -> dict[str, Any]:
    return statement(object={"id": COURSE, "definition": definition})


def in_context(**context: Any) -> dict[str, Any]:
    return statement(context=context)


def scored(**score: Any) -> dict[str, Any]:
    return statement(result={"score": score})


VALID = [
    statement(),
    statement(id=ID, version="1.0", timestamp="2026-01-31T13:45:00Z", stored="2026-01-31T13:45:00Z"),
    statement(id=ID.upper(), version="1.0.9", timestamp="2008-09-15T15:53:00.601+00:00"),
    # 2.4.2: each identifier, and both kinds of groups
    statement(actor=BAO),
    statement(actor={"objectType": "Agent", "mbox_sha1sum": "a" * 40, "name": ""}),
    statement(actor={"openid": "http://ana.example.com/"}),
    statement(actor=TEAM),
    statement(actor={"objectType": "Group", **BAO}),
    statement(actor={"objectType": "Group", "member": []}),
    # 2.4.3 and 4.2: language tags
    *(
        statement(verb={"id": DID, "display": {tag: "did"}})
        for tag in ("en", "en-GB", "und", "zh-Hant-TW", "sl-rozaj", "de-CH-1996", "x-ours", "i-klingon", "es-419")
    ),
    # 2.4.4: each kind of object
    statement(object={"objectType": "Activity", "id": "urn:x:" + "long" * 5000}),
    statement(object=ANA | {"objectType": "Agent"}),
    statement(object=TEAM),
    statement(object={"objectType": "StatementRef", "id": ID}),
    statement(object=nested()),
    statement(object=nested(object={"objectType": "StatementRef", "id": ID}, timestamp="2026-01-31T13:45:00Z")),
    statement(timestamp="2026-01-31 13:45:00Z"),
    defined(interactionType="choice", choices=[{"id": "a"}, {"id": "b", "description": {"en": "B"}}]),
    defined(name={"en": "A course"}, moreInfo="http://example.com/more", extensions={"http://example.com/e": None}),
    # 2.2: empty objects where nothing is required
    defined(),
    statement(result={}, context={}),
    # 2.4.5
    scored(scaled=-1, raw=0, min=0, max=100),
    scored(scaled=1.0),
    scored(raw=-5, max=0),
    *(
        statement(result={"duration": duration})
        for duration in ("PT4H35M59.14S", "PT16559.14S", "P3Y1M29DT4H35M59.14S", "P3Y", "P4W", "PT1,5H", "P0D")
    ),
    # 2.4.6
    in_context(registration=ID, instructor=TEAM, team=TEAM, revision="1", platform="Moodle", language="en"),
    in_context(contextActivities={"parent": {"id": COURSE}, "other": [{"id": COURSE}, {"id": COURSE}]}),
    in_context(statement={"objectType": "StatementRef", "id": ID}),
    # 2.4.9
    statement(authority=ANA),
    statement(authority={"objectType": "Group", "member": [CONSUMER, BAO]}),
    # 2.4.11
    statement(attachments=[ATTACHMENT]),
]

INVALID = [
    # 2.2: types, case, unknown properties, null
    ([], ""),
    (statement(actor=None), "/actor"),
    (statement(verb=None), "/verb"),
    (statement(object=None), "/object"),
    ({**statement(), "Actor": ANA}, "/Actor"),
    ({**statement(), "extra": 1}, "/extra"),
    ({**statement(), "result": None}, "/result"),
    (statement(result={"response": None}), "/result/response"),
    (statement(context={"contextActivities": {"parent": [None]}}), "/context/contextActivities/parent/0"),
    (statement(result={"success": "true"}), "/result/success"),
    (scored(max="100"), "/result/score/max"),
    (scored(raw=True), "/result/score/raw"),
    # 2.4.1 and 4.4
    (statement(id=ID + "8"), "/id"),
    (statement(id=ID + "\n"), "/id"),
    (statement(id="M" + ID[1:]), "/id"),
    (statement(id=12345), "/id"),
    # 2.4.2
    (statement(actor={}), "/actor"),
    (statement(actor=ANA | BAO), "/actor"),
    (statement(actor={"objectType": "Group"}), "/actor"),
    (statement(actor=TEAM | ANA | BAO), "/actor"),
    (statement(actor=ANA | {"objectType": "agent"}), "/actor/objectType"),
    (statement(actor=ANA | {"member": []}), "/actor/member"),
    (statement(actor={"mbox": "bao@example.com"}), "/actor/mbox"),
    (statement(actor={"mbox": "mailto:should.fail.com"}), "/actor/mbox"),
    (statement(actor={"mbox_sha1sum": "xyz"}), "/actor/mbox_sha1sum"),
    (statement(actor={"openid": "ana"}), "/actor/openid"),
    (statement(actor={"account": {"homePage": "ab=c://should.fail.com", "name": "3"}}), "/actor/account/homePage"),
    (statement(actor={"account": {"homePage": COURSE}}), "/actor/account/name"),
    (statement(actor={"objectType": "Group", "member": [TEAM]}), "/actor/member/0/objectType"),
    # 2.4.3, 4.2 and 4.3
    (statement(verb={"id": "did"}), "/verb/id"),
    (statement(verb={"display": {"en": "did"}}), "/verb/id"),
    (statement(verb={"id": DID, "display": {"a12345": "did"}}), "/verb/display"),
    (statement(verb={"id": DID, "display": {"en_US": "did"}}), "/verb/display"),
    (statement(verb={"id": DID, "display": "did"}), "/verb/display"),
    (statement(verb={"id": DID, "objectType": "Verb"}), "/verb/objectType"),
    (statement(objectType="Statement"), "/objectType"),
    (statement(result={"objectType": "Result"}), "/result/objectType"),
    # 2.3.2
    (statement(verb={"id": VOIDED}), "/object"),
    # 2.4.4
    (statement(object={}), "/object/id"),
    (statement(object={"id": "not an iri"}), "/object/id"),
    (statement(object={"id": COURSE, "objectType": "activity"}), "/object/objectType"),
    (statement(object={"objectType": "StatementRef"}), "/object/id"),
    (defined(interactionType="guess"), "/object/definition/interactionType"),
    (defined(choices={"id": "a"}), "/object/definition/choices"),
    (defined(interactionType="other", target=[{"id": "a"}, {"id": "b"}, {"id": "a"}]), "/object/definition/target"),
    (defined(correctResponsesPattern=["a"]), "/object/definition"),
    (defined(choices=[{"id": "a"}]), "/object/definition"),
    (defined(steps=[]), "/object/definition"),
    (defined(extensions={"should fail": True}), "/object/definition/extensions"),
    (defined(type="course"), "/object/definition/type"),
    *(
        (statement(object=nested(**{name: value})), f"/object/{name}")
        for name, value in {
            "id": ID,
            "stored": "2026-01-31T13:45:00Z",
            "version": "1.0.0",
            "authority": ANA,
        }.items()
    ),
    (statement(object=nested(object=nested())), "/object/object/objectType"),
    (statement(object=nested(verb={"id": "did"})), "/object/verb/id"),
    # 2.4.5 and 4.6
    (scored(scaled=1.01), "/result/score/scaled"),
    (scored(scaled=-1.00001), "/result/score/scaled"),
    (scored(raw=101, max=100), "/result/score"),
    (scored(raw=-1, min=0), "/result/score"),
    (scored(min=1, max=1), "/result/score"),
    *(
        (statement(result={"duration": duration}), "/result/duration")
        for duration in ("PA1H0M0S", "P4W1D", "P", "PT", "1H", "PT1.5H30M", "P1S", 12, "")
    ),
    # 2.4.6
    (in_context(registration="not-a-uuid"), "/context/registration"),
    (in_context(team=ANA), "/context/team/objectType"),
    (in_context(statement={"id": ID}), "/context/statement/objectType"),
    (in_context(language="a12345"), "/context/language"),
    (in_context(contextActivities={"parents": []}), "/context/contextActivities/parents"),
    (in_context(contextActivities={"parent": [ANA]}), "/context/contextActivities/parent/0/account"),
    (statement(object=TEAM, context={"revision": "1"}), "/context/revision"),
    (statement(object={"objectType": "StatementRef", "id": ID}, context={"platform": "x"}), "/context/platform"),
    (statement(object=nested(object=TEAM, context={"platform": "x"})), "/object/context/platform"),
    # 2.4.7 and 4.5
    *(
        (statement(timestamp=timestamp), "/timestamp")
        for timestamp in (
            "should fail",
            "01/011/2015",
            "2008-09-15T15:53:00.601-00",
            "2008-09-15T15:53:00.601-0000",
            "2008-09-15T15:53:00.601-00:00",
            "2008-09-15T15:53:00",
            "2008-02-30T15:53:00Z",
            "2008-09-15T25:53:00Z",
        )
    ),
    (statement(stored="yesterday"), "/stored"),
    # 2.4.9
    (statement(authority={"objectType": "Group", "member": [CONSUMER]}), "/authority"),
    (statement(authority={"objectType": "Group", "member": [CONSUMER, BAO, ANA]}), "/authority"),
    (statement(authority={"objectType": "Group", "member": [BAO, BAO]}), "/authority"),
    (statement(authority={"objectType": "Group", **BAO, "member": [CONSUMER, BAO]}), "/authority"),
    # 2.4.10
    (statement(version="0.9.9"), "/version"),
    (statement(version="1.1.0"), "/version"),
    (statement(version="2.0.0"), "/version"),
    # 2.4.11
    (statement(attachments=[ATTACHMENT | {"sha2": "should fail"}]), "/attachments/0/sha2"),
    (statement(attachments=[ATTACHMENT | {"length": "3"}]), "/attachments/0/length"),
    (statement(attachments=[{k: v for k, v in ATTACHMENT.items() if k != "fileUrl"}]), "/attachments/0"),
    (statement(attachments={}), "/attachments"),
    # came with 2.0
    (in_context(contextAgents=[]), "/context/contextAgents"),
    (statement(object=nested(context={"contextGroups": []})), "/object/context/contextGroups"),
]


@pytest.mark.parametrize("data", VALID, ids=repr)
def test_valid_statement_is_taken(data: dict[str, Any]) -> None:
    validation.validate(text(data), Version.ONE)


@pytest.mark.parametrize(("data", "pointer"), INVALID, ids=repr)
def test_invalid_statement_is_refused_with_place_rule_and_remedy(data: Any, pointer: str) -> None:
    with pytest.raises(Invalid) as refused:
        validation.validate(text(data), Version.ONE)

    assert refused.value.pointer == pointer
    assert refused.value.rule
    assert refused.value.rule.words
    assert refused.value.rule.remedy


def test_an_iri_has_no_white_space_of_any_kind() -> None:
    spaces = [chr(code) for code in range(0x110000) if chr(code).isspace()]

    for space in spaces:
        with pytest.raises(Invalid):
            validation.validate(text(statement(object={"id": f"http://example.com/{space}a"})), Version.ONE)

    assert len(spaces) > 20


def test_a_language_is_a_tag_from_its_beginning_to_its_end() -> None:
    for tag in ("en-GB ", " en", "en-GB\n", "en-GBx-", "e", "en_GB"):
        with pytest.raises(Invalid):
            validation.validate(text(in_context(language=tag)), Version.ONE)


AGENT_ROLE = {"objectType": "contextAgent", "agent": ANA, "relevantTypes": ["http://example.com/type"]}
GROUP_ROLE = {"objectType": "contextGroup", "group": TEAM}


@pytest.mark.parametrize(
    "context",
    [
        {"contextAgents": [AGENT_ROLE]},
        {"contextGroups": [GROUP_ROLE]},
    ],
    ids=repr,
)
def test_context_agents_and_groups_are_taken_by_2_0(context: dict[str, Any]) -> None:
    validation.validate(text(in_context(**context)), Version.TWO)


@pytest.mark.parametrize(
    ("context", "pointer"),
    [
        ({"contextAgents": [{"agent": ANA}]}, "/context/contextAgents/0/objectType"),
        ({"contextAgents": [AGENT_ROLE | {"relevantTypes": []}]}, "/context/contextAgents/0/relevantTypes"),
        ({"contextAgents": [AGENT_ROLE | {"relevantTypes": ["type"]}]}, "/context/contextAgents/0/relevantTypes/0"),
        ({"contextAgents": [AGENT_ROLE | {"agent": TEAM}]}, "/context/contextAgents/0/agent/objectType"),
        ({"contextGroups": [GROUP_ROLE | {"group": ANA}]}, "/context/contextGroups/0/group/objectType"),
        ({"contextGroups": [{"objectType": "contextGroup"}]}, "/context/contextGroups/0/group"),
    ],
    ids=repr,
)
def test_context_agents_and_groups_have_their_form_in_2_0(context: dict[str, Any], pointer: str) -> None:
    with pytest.raises(Invalid) as refused:
        validation.validate(text(in_context(**context)), Version.TWO)

    assert refused.value.pointer == pointer


@pytest.mark.parametrize("version", ["1.0", "1.0.3", "2.0.0"])
def test_2_0_takes_statements_of_both_versions(version: str) -> None:
    validation.validate(text(statement(version=version)), Version.TWO)


@pytest.mark.parametrize(
    "body",
    [
        b'{"actor":1,"actor":2}',  # which one counts would be a guess
        b'{"a":{"b":{"c":1,"c":1}}}',
        b'{"a":NaN}',
        b'{"a":Infinity}',
        b'{"a":1,}',
        b'{"a":"\xff"}',
        b'{"a":"\xed\xa0\x80"}',  # a surrogate, written as if it were UTF-8
        b'{"a":"\x00"}',
        b'{"a":"\\u0000"}',
        b'{"a":"\\ud800"}',
        b'{"\\udc00":1}',
        b"1" * 5000,  # a number longer than Python reads
        b'{"a":' * 101 + b"1" + b"}" * 101,
        b"[" * 100_000,
        b"",
    ],
    ids=lambda body: repr(body[:30]),
)
def test_text_that_cannot_be_kept_is_refused(body: bytes) -> None:
    with pytest.raises(Invalid):
        validation.validate(body, Version.ONE)


def test_escaped_characters_are_taken() -> None:
    body = rb'{"a\\u0000":"\ud83d\ude00 \\ud800"}'

    with pytest.raises(Invalid) as refused:
        validation.validate(body, Version.ONE)

    assert "cannot be stored" not in refused.value.error


@pytest.mark.parametrize(
    ("body", "texts", "is_list"),
    [
        (b"[]", [], True),
        (b' [{"a":1} , {"b":2}]\n', [b'{"a":1}', b'{"b":2}'], True),
        (b' {"a":1.10}', [b'{"a":1.10}'], False),
    ],
)
def test_body_is_cut_into_statements(body: bytes, texts: list[bytes], is_list: bool) -> None:
    found, was_list = validation.split(body)

    assert [bytes(one).strip() for one in found] == texts
    assert was_list == is_list


@pytest.mark.parametrize(
    ("body", "told", "remedy"),
    [
        (b"", "The body is empty.", "JSON library"),
        (b" \n", "The body is empty.", "JSON library"),
        (gzip.compress(b"[]"), "The body is packed with gzip.", "Content-Encoding is not read here"),
        (b'[{"a":"\\ud83d"}]', "A text of the statement cannot be stored.", "as a pair"),
        (b'{"a":"\\ude00 \\ud83d\\ude00"}', "A text of the statement cannot be stored.", "as a pair"),
        (b'[{"a":"\\ud83d\\ude00"]', "The body is not JSON", "JSON library"),
        (b'[{"a":"\\ud83d', "The body is not JSON", "JSON library"),
    ],
)
def test_what_cannot_be_cut_is_told_by_its_cause(body: bytes, told: str, remedy: str) -> None:
    with pytest.raises(Invalid, match=told) as refused:
        validation.split(body)

    assert refused.value.rule is not None
    assert remedy in (refused.value.rule.remedy or "")


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda children: st.lists(children, max_size=3) | st.dictionaries(st.text(), children, max_size=3),
    max_leaves=8,
)


@given(
    data=JSON, name=st.sampled_from(["actor", "verb", "object", "result", "context", "timestamp", "attachments", "id"])
)
def test_whatever_stands_in_a_property_is_taken_or_refused(data: object, name: str) -> None:
    sent = json.dumps(statement() | {name: data}).encode()

    with suppress(Invalid):  # and nothing else
        validation.validate(sent, Version.TWO)


STRINGS = st.lists(
    st.sampled_from(["a", '"', ":", ",", " ", "{", "}", "\\", "é", "\0", "\ud83d", "\ude00", "\U0001f600"]), max_size=3
)


@st.composite
def json_texts(draw: st.DrawFn, depth: int = 3) -> str:
    """Write JSON in all the ways there are to write it, with keys that come twice."""
    space = draw(st.sampled_from(["", "", " ", "\n\t"]))
    if depth and draw(st.booleans()):
        members = draw(st.lists(st.tuples(json_strings(), json_texts(depth=depth - 1)), max_size=3))
        return "{" + ",".join(f"{space}{key}{space}:{space}{value}" for key, value in members) + space + "}"
    if depth and draw(st.booleans()):
        return "[" + ",".join(draw(st.lists(json_texts(depth=depth - 1), max_size=3))) + "]"
    return draw(json_strings() | st.sampled_from(["1", "-0.50", "1e400", "9" * 40, "null", "true", "NaN", "01", ""]))


@st.composite
def json_strings(draw: st.DrawFn) -> str:
    pieces = []
    for character in "".join(draw(STRINGS)):
        ways = [json.dumps(character)[1:-1], f"\\u{ord(character):04x}" if ord(character) < 0x10000 else character]
        pieces.append(draw(st.sampled_from([*ways, character])))
    return '"' + "".join(pieces) + '"'


@given(written=json_texts())
def test_the_quick_way_to_parse_never_takes_what_the_thorough_way_refuses(written: str) -> None:
    sent = written.encode("utf-8", "surrogatepass")

    quick = validation._parse_plain(sent)

    if quick is not None:
        assert quick == validation._parse_thoroughly(sent)
