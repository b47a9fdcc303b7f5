"""The forms of statements: xAPI 1.0.3, Communication 2.1.3, parameter `format`."""

import json
from typing import Any

import pytest
from xapi_samples import ANA, BAO, COURSE, DID, ID, about, nested, statement

from lrs.xapi import formats, languages

AGENT = {"objectType": "Agent"} | BAO
GROUP = {"objectType": "Group", "mbox": "mailto:team@example.com"}
ANONYMOUS = {"objectType": "Group", "member": [ANA, AGENT]}
NAMES = {"en": "Course", "de": "Kurs"}
DEFINITION = {"name": NAMES, "description": NAMES, "type": "http://example.com/types/course"}
ACTIVITY = {"objectType": "Activity", "id": COURSE, "definition": DEFINITION}


def ids(data: dict[str, Any]) -> dict[str, Any]:
    read: dict[str, Any] = json.loads(formats.ids(json.dumps(data)))
    return read


def canonical(data: dict[str, Any], wanted: str = "de", known: Any = None) -> dict[str, Any]:
    definitions = {} if known is None else {COURSE: json.dumps(known)}
    read: dict[str, Any] = json.loads(formats.canonical(json.dumps(data), languages.parse(wanted), definitions))
    return read


@pytest.mark.parametrize(
    ("actor", "minimal"),
    [
        (ANA | {"name": "Ana"}, ANA),
        (AGENT | {"name": "Bao"}, AGENT),
        ({"mbox_sha1sum": "a" * 40, "name": "x"}, {"mbox_sha1sum": "a" * 40}),
        ({"openid": "http://cai.example.com", "name": "x"}, {"openid": "http://cai.example.com"}),
        (GROUP | {"name": "Team", "member": [ANA]}, GROUP),  # its identifier says all
        (ANONYMOUS | {"name": "Some", "member": [ANA | {"name": "Ana"}, AGENT]}, ANONYMOUS),  # its members do
    ],
)
def test_ids_keeps_of_an_actor_what_identifies_it(actor: dict[str, Any], minimal: dict[str, Any]) -> None:
    named = actor | ({} if "objectType" in actor else {"objectType": "Agent"})
    data = statement(actor=actor, object=named, authority=actor, context={"instructor": actor})

    found = ids(data)

    assert found["actor"] == found["authority"] == found["context"]["instructor"] == minimal
    assert found["object"] == {"objectType": named["objectType"]} | minimal


def test_ids_keeps_of_a_verb_and_an_activity_their_id() -> None:
    data = statement(verb={"id": DID, "display": NAMES}, object=ACTIVITY)

    assert ids(data) == data | {"verb": {"id": DID}, "object": {"id": COURSE}}


def test_ids_reaches_the_context_and_the_substatement() -> None:
    context = {
        "team": GROUP | {"name": "Team"},
        "contextActivities": {"parent": [ACTIVITY], "other": []},
        "contextAgents": [{"objectType": "contextAgent", "agent": AGENT | {"name": "Bao"}, "relevantTypes": ["a:b"]}],
        "contextGroups": [{"objectType": "contextGroup", "group": GROUP | {"member": [ANA]}}],
        "platform": "Moodle",
    }
    minimal = {
        "team": GROUP,
        "contextActivities": {"parent": [{"id": COURSE}], "other": []},
        "contextAgents": [{"objectType": "contextAgent", "agent": AGENT, "relevantTypes": ["a:b"]}],
        "contextGroups": [{"objectType": "contextGroup", "group": GROUP}],
        "platform": "Moodle",
    }
    inner = nested(verb={"id": DID, "display": NAMES}, object=ACTIVITY, context=context)

    found = ids(statement(object=inner, context=context))

    assert found["context"] == minimal
    assert found["object"] == inner | {"verb": {"id": DID}, "object": {"id": COURSE}, "context": minimal}


@pytest.mark.parametrize("data", [about(ID), statement(object=nested(object={"objectType": "StatementRef", "id": ID}))])
def test_ids_leaves_a_reference_as_it_is(data: dict[str, Any]) -> None:
    assert ids(data) == data


def test_canonical_has_one_language_in_each_map_of_its_own() -> None:
    definition = DEFINITION | {
        "name": {"en": "Course"},  # nothing German here, still one
        "interactionType": "choice",
        "choices": [{"id": "a", "description": NAMES}, {"id": "b"}, {"id": "c", "description": {}}],
    }
    data = statement(verb={"id": DID, "display": NAMES}, object=ACTIVITY | {"definition": definition})

    found = canonical(data, "de, en;q=0.1")

    assert found["verb"] == {"id": DID, "display": {"de": "Kurs"}}
    assert found["object"]["definition"] == definition | {
        "name": {"en": "Course"},
        "description": {"de": "Kurs"},
        "choices": [{"id": "a", "description": {"de": "Kurs"}}, {"id": "b"}, {"id": "c", "description": {}}],
    }


def test_canonical_takes_the_definition_that_the_lrs_has() -> None:
    known = {"name": {"de": "Unser Kurs", "en": "Our course"}, "extensions": {"a:b": NAMES}}
    expected = {"name": {"de": "Unser Kurs"}, "extensions": {"a:b": NAMES}}
    bare = statement(context={"contextActivities": {"grouping": [{"id": COURSE}]}}, object=nested(object=ACTIVITY))

    found = canonical(bare, known=known)

    assert found["object"]["object"] == ACTIVITY | {"definition": expected}
    assert found["context"]["contextActivities"]["grouping"] == [{"id": COURSE, "definition": expected}]


def test_canonical_leaves_agents_and_groups_as_they_were_sent() -> None:
    team = GROUP | {"name": "Team", "member": [ANA | {"name": "Ana"}]}
    data = statement(actor=team, object=team, context={"instructor": team, "team": team}, authority=AGENT)

    assert canonical(data) == data


def test_numbers_and_extensions_stay_as_they_were_sent() -> None:
    result = '{"score":{"raw":1.10,"max":1e400},"extensions":{"a:b":[1.0,null,"\\u00e9",{"id":2}]}}'
    actor, verb, target = (json.dumps(part) for part in (ANA, {"id": DID}, {"id": COURSE}))
    text = f'{{"actor":{actor},"verb":{verb},"object":{target},"result":{result}}}'

    assert f'"result":{result}' in formats.ids(text)
    assert f'"result":{result}' in formats.canonical(text, [], {})


def test_escaped_text_is_read_as_what_it_says() -> None:
    text = json.dumps(statement(object=AGENT | {"name": "x"})).replace('"Agent"', '"\\u0041gent"')

    assert json.loads(formats.ids(text))["object"] == AGENT


def test_activities_are_those_of_object_context_and_substatement() -> None:
    data = statement(
        object=nested(object={"id": "a:1"}, context={"contextActivities": {"other": [{"id": "a:2"}]}}),
        context={"contextActivities": {"parent": [{"id": "a:3"}, {"id": "a:4"}]}},
    )

    assert formats.activities(json.dumps(data)) == {"a:1", "a:2", "a:3", "a:4"}
    assert formats.activities(json.dumps(about(ID))) == set()
