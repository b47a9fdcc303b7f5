"""What is read of what a system sends: the names of records, or records."""

import json
from pathlib import Path
from typing import Any

import pytest

from connectors import ConfigError, Reach, Secrets, WebhookSource, load_source

DOCUMENT: dict[str, Any] = {
    "kind": "source",
    "name": "hook",
    "type": "webhook",
    "verify": {"type": "standard", "secret": {"secret": "hook"}},
    "key": "id",
}
HINT = {"completes": "desk"}
RECORD = {"cursor": {"field": "at"}}


def source(**keys: Any) -> WebhookSource:
    made = load_source(DOCUMENT | keys, base=Path("/base"))
    assert isinstance(made, WebhookSource)
    return made


def sent(body: object) -> bytes:
    return json.dumps(body).encode()


@pytest.mark.parametrize(
    ("keys", "body", "names"),
    [
        ({}, {"id": 7}, ("7",)),
        ({}, [{"id": 7}, {"id": 8}, {"id": 7}], ("7", "8")),  # as HubSpot, several at once
        ({"records": "data.items"}, {"data": {"items": [{"id": "a"}]}}, ("a",)),
        ({"key": ["data.item.id"]}, {"data": {"item": {"id": "a"}}}, ("a",)),
        ({"only": {"field": "type", "is": "deal"}}, [{"type": "deal", "id": 1}, {"type": "contact", "id": 2}], ("1",)),
        ({"only": {"field": "type", "is": [1]}}, [{"type": True, "id": 1}], ()),  # true is not 1
    ],
)
def test_hint_names_records(keys, body, names):
    assert source(**HINT, **keys).keys(sent(body)) == (names, ())


@pytest.mark.parametrize("body", [{}, {"id": None}, {"id": {}}, {"id": True}, [1], "text", None, {"id": " "}])
def test_hint_without_a_name_is_a_problem(body):
    names, (problem,) = source(**HINT).keys(sent(body))

    assert names == ()
    assert "no id at 'id'" in problem.message


@pytest.mark.parametrize("body", [b"", b"{", b"\xff", b"[" * 100_000])
def test_what_is_no_json_is_a_problem(body):
    names, (problem,) = source(**HINT).keys(body)

    assert (names, "no JSON" in problem.message) == ((), True)
    assert "no JSON" in source(**RECORD).read(body).problems[0].message


def test_more_than_a_page_at_once_is_a_problem():
    _, (problem,) = source(**HINT).keys(sent([{"id": number} for number in range(1001)]))

    assert "more than 1000" in problem.message


def test_record_is_read_as_any_other():
    hook = source(**RECORD, omit=["note"], deleted={"type": "flag", "field": "state", "is": "gone"})

    page = hook.read(sent([{"id": 1, "at": "2026-01-01T00:00:00Z", "note": "x"}, {"id": 2, "state": "gone"}]))

    (row,), (problem,) = page.rows, page.problems
    assert (row.key, row.data, row.cursor) == (
        "1",
        {"id": 1, "at": "2026-01-01T00:00:00Z"},
        ("2026-01-01T00:00:00.000000Z",),
    )
    assert problem.column == "at"
    deleted = hook.read(sent({"id": 2, "state": "gone", "at": "2026-01-02T00:00:00Z"})).rows[0]
    assert deleted.deleted


@pytest.mark.parametrize(
    ("keys", "place"),
    [
        ({}, ("cursor",)),
        ({**HINT, **RECORD}, ("cursor",)),
        ({**HINT, "omit": ["note"]}, ("omit",)),
        ({**HINT, "require": ["note"]}, ("require",)),
        ({**HINT, "verify": {"type": "standart", "secret": {"secret": "hook"}}}, ("verify", "type")),
        ({**HINT, "verify": {"type": "zendesk", "secret": "s3cret"}}, ("verify", "secret")),
        ({"cursor": {"field": "at", "lookback": "10m"}}, ("cursor", "lookback")),  # nothing is asked for
    ],
)
def test_document_that_makes_no_sense_is_refused_at_its_place(keys, place):
    with pytest.raises(ConfigError) as caught:
        source(**keys)

    assert [fault.path for fault in caught.value.faults] == [place]
    assert "s3cret" not in str(caught.value)


def test_nothing_is_asked_for():
    hook = source(**HINT)

    assert list(hook.pull(None)) == []
    assert hook.sample(10).rows == ()


@pytest.mark.parametrize(("env", "state"), [({}, "failed"), ({"LRS_BRIDGE_SOURCE_HOOK": "whsec_AAAA"}, "ok")])
def test_check_says_whether_the_secret_is_there(env, state):
    hook = source(**HINT).reaching(Reach(Secrets(env, Path("/nowhere"))))

    found = list(hook.check())

    assert [(one.name, one.state) for one in found] == [("secret", state), ("deliveries", "skipped")]
    assert "AAAA" not in "".join(one.text + one.remedy for one in found)
