"""What the LRS adds to a statement: xAPI 1.0.3, Data 2.4."""

import json
from typing import Any

import pytest
from xapi_samples import ANA, COURSE, ID, OTHER_ID, nested, statement

from lrs.xapi import statements, validation
from lrs.xapi.versions import Version

STORED = "2026-02-01T00:00:00.000001Z"
AUTHORITY = '{"objectType":"Agent","mbox":"mailto:lrs@example.com"}'


def prepared(sent: bytes | dict[str, Any], version: Version = Version.ONE) -> str:
    text = sent if isinstance(sent, bytes) else json.dumps(sent).encode()
    made = statements.prepare(
        text,
        validation.validate(text, version),
        statement_id=ID,
        authority=AUTHORITY,
        default_version=version.default,
    )
    return statements.finish(made, STORED)


def test_assigned_properties_replace_what_was_sent() -> None:
    sent = statement(id=OTHER_ID, stored="1999-01-01T00:00:00Z", authority=ANA)

    made = json.loads(prepared(sent))

    assert made == statement(id=ID, stored=STORED, timestamp=STORED, version="1.0.0", authority=json.loads(AUTHORITY))


def test_timestamp_and_version_stay_as_accepted() -> None:
    made = json.loads(prepared(statement(timestamp="2026-01-31T13:45:00.123456789Z", version="1.0.2")))

    assert made["timestamp"] == "2026-01-31T13:45:00.123456789Z"
    assert made["version"] == "1.0.2"


@pytest.mark.parametrize(("version", "default"), [(Version.ONE, "1.0.0"), (Version.TWO, "2.0.0")])
def test_version_defaults_to_that_of_the_request(version: Version, default: str) -> None:
    assert json.loads(prepared(statement(), version))["version"] == default


def test_numbers_escapes_and_order_come_back_as_they_were_sent() -> None:
    extensions = (
        rb'{"http:\/\/a.b\/e":[1.10,1e400,123456789012345678901234567890,-0,"\u00e9\ud83d\ude00\/"], "a:b":null}'
    )
    sent = (
        b'{"result":{"extensions":'
        + extensions
        + b'},"verb":{"id":"a:b"},"object":{"id":"a:b"},"actor":{"mbox":"mailto:a@b"}}'
    )

    made = prepared(sent)

    assert extensions.decode() in made
    assert [*json.loads(made)][:5] == ["id", "result", "verb", "object", "actor"]


def test_timestamps_are_written_in_utc() -> None:
    made = json.loads(
        prepared(
            statement(
                timestamp="2026-01-01T00:30:00.1239999+01:00", object=nested(timestamp="2026-01-01t00:30:00-05:30")
            )
        )
    )

    assert made["timestamp"] == "2025-12-31T23:30:00.1239999Z"
    assert made["object"]["timestamp"] == "2026-01-01T06:00:00Z"


def test_single_context_activity_becomes_a_list() -> None:
    activities = {"parent": {"id": COURSE}, "other": [{"id": COURSE}]}
    inner = nested(context={"contextActivities": activities})

    made = json.loads(prepared(statement(context={"contextActivities": activities, "language": "en"}, object=inner)))

    lists = {"parent": [{"id": COURSE}], "other": [{"id": COURSE}]}
    assert made["context"] == {"contextActivities": lists, "language": "en"}
    assert made["object"]["context"]["contextActivities"] == lists


def test_all_else_comes_back_unchanged() -> None:
    sent = statement(
        actor=ANA | {"name": "Ána"},
        context={"extensions": {"a:b": None}},
        object=nested(object=ANA | {"objectType": "Agent"}),
    )

    made = json.loads(prepared(sent))

    assert {name: made[name] for name in sent} == sent
