"""Another LRS as a destination: its document, and rows as statements. `tests/bridge/test_findings.py` sends them."""

import json
from typing import Any

import pytest

from connectors import ConfigError, LrsDestination, load_destination
from connectors.destinations import findings
from connectors.destinations.rows import Row

DOCUMENT = {
    "kind": "destination",
    "name": "headquarters",
    "type": "lrs",
    "endpoint": "https://lrs.example.com/xapi",
    "auth": {"type": "basic", "username": "bridge", "password": {"secret": "hq"}},
    "system": "https://bridge.example.com/",
    "feeds": ["impacts"],
}


def load(tmp_path, **keys: Any):
    document = {name: value for name, value in (DOCUMENT | keys).items() if value is not ...}
    found = load_destination(document, base=tmp_path)
    assert isinstance(found, LrsDestination)
    return found


def test_document_is_read(tmp_path):
    found = load(tmp_path)

    assert (found.login.endpoint, found.system) == ("https://lrs.example.com/xapi/", "https://bridge.example.com")
    assert (found.feeds, found.programs, found.login.version) == (("impacts",), None, "1.0.3")


def test_no_findings_are_sent_unless_asked_for(tmp_path):
    assert load(tmp_path, feeds=..., system=...).feeds == ()


@pytest.mark.parametrize(
    ("keys", "path", "told"),
    [
        ({"endpoint": "http://lrs.example.com/xapi"}, ("endpoint",), "in the clear"),
        ({"endpoint": "https://me:pw@lrs.example.com/"}, ("endpoint",), "carries a user or a password"),
        ({"version": "0.95"}, ("version",), "There is no xAPI '0.95' here"),
        ({"system": ...}, ("system",), "It is not said who estimates"),
        ({"system": "bridge"}, ("system",), "is no IRI"),
        ({"site": "moodle"}, ("site",), "is no IRI"),
        ({"feeds": ["measures"]}, ("feeds", 0), "Rows of measures are no statements"),
        ({"feeds": ["impact"]}, ("feeds", 0), "There is no feed 'impact'"),
        (
            {"auth": {"type": "basic", "username": "x", "password": "hunter2"}},
            ("auth", "password"),
            "does not stand in",
        ),
        ({"endpont": "x"}, ("endpont",), "Did you mean 'endpoint'?"),
    ],
)
def test_fault_in_the_document_is_told_at_its_key(tmp_path, keys, path, told):
    with pytest.raises(ConfigError) as caught:
        load(tmp_path, **keys)

    assert path in [fault.path for fault in caught.value.faults]
    assert told in str(caught.value)
    assert "hunter2" not in str(caught.value)


def row(**keys: Any) -> Row:
    given = {"feed": "impacts", "key": "p/m/w", "version": 1, "checksum": "a" * 64, "deleted": False, "user": None}
    return Row(**given | {"body": {"program": "p"}} | keys)


def test_id_is_that_of_installation_feed_key_version_and_checksum():
    rows = [row(), row(feed="records"), row(key="p/m/x"), row(version=2), row(checksum="b" * 64)]

    ids = {findings.statement_id("https://a.example", one) for one in rows}
    ids.add(findings.statement_id("https://b.example", row()))

    assert len(ids) == 6
    # Written down: statements that stand in other LRSs are found again by it.
    assert findings.statement_id("https://a.example", row()) == "194e2f37-f590-54d4-843e-ae5a8b1b60fd"


def test_same_row_gives_the_same_bytes():
    made = [findings.statement(row(), "https://a.example", None) for _ in range(2)]

    assert made[0] == made[1]
    assert "timestamp" not in json.loads(made[0] or b"{}")


def test_mark_is_read_of_our_statements_alone():
    made = findings.statement(row(), "https://a.example", None)
    assert made is not None

    _, mark = findings.mark(made) or ("", None)
    assert mark == findings.Mark("p/m/w", 1, "a" * 64)
    assert findings.mark(findings.voiding("00000000-0000-4000-8000-000000000001", "https://a.example")) is None
    assert findings.mark(b'{"id": "x", "context": {"extensions": {"http://x.example/e": 1}}}') is None
