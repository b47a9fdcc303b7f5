"""Documents to begin with: they name what is to be filled in, and nothing else is wrong with them."""

import re
from pathlib import Path

import pytest
import yaml

from connectors import ConfigError, source_starter
from connectors.sources import SOURCES, load, vendors

EVERY = [
    *((type_, None) for type_ in SOURCES if type_ not in vendors.VENDORS),
    *((vendor, stream) for vendor in vendors.VENDORS for stream in vendors.manifest(vendor)["streams"]),
]


@pytest.mark.parametrize(("type_", "stream"), EVERY)
def test_all_that_is_wrong_with_a_starter_is_what_is_left_empty(type_: str, stream: str | None, tmp_path: Path) -> None:
    document = yaml.safe_load(source_starter(type_, stream=stream))

    try:
        load(document, base=tmp_path)
    except ConfigError as error:
        for fault in error.faults:
            value = document
            for step in fault.path:
                value = value.get(step) if isinstance(value, dict) else None
            assert not value, fault


BLANKS = {
    "base_url": "https://help.example.com/api",
    "completes": "desk",
    "endpoint": "https://lrs.example.com/xapi/",
    "hosts": ["acme.instructure.com"],
    "key": ["id"],
    "path": "data/tickets.csv",
    "root_account": "VicYj3cu5BIFpoZhDVU4DZumnlBrWi1grgJEzADs",
    "query": "select id, changed_at from ticket",
    "url": "postgresql://reader@db.example.com/crm",
    "verb": "http://adlnet.gov/expapi/verbs/scored",
}
"""What a person fills in, by key; a setting of a vendor's account is filled by its pattern."""
SETTINGS = (
    "acme",
    "HELP",
    "acme.atlassian.net",
    "https://acme.example.com",
    "acme.crm4.dynamics.com",
    "me@acme.example.com",
    "1234",
    "a1b2c3d4-0000-4000-8000-00000000000a",
)


@pytest.mark.parametrize(("type_", "stream"), EVERY)
def test_a_starter_is_valid_once_its_blanks_are_filled_in(type_: str, stream: str | None, tmp_path: Path) -> None:
    document = yaml.safe_load(source_starter(type_, stream=stream))
    blanks = [key for key, value in document.items() if value in (None, [])]
    settings = vendors.manifest(type_)["account"] if type_ in vendors.VENDORS else {}
    ways = vendors.manifest(type_)["sign_in"] if type_ in vendors.VENDORS else {}
    settings = settings | next((way["account"] for way in ways.values()), {})

    document |= {key: BLANKS[key] for key in blanks}
    for name in [name for name, value in document.get("account", {}).items() if value is None]:
        pattern = settings[name]["pattern"]
        document["account"][name] = next(one for one in SETTINGS if re.fullmatch(pattern, one))

    assert load(document, base=tmp_path).name == document["name"]


@pytest.mark.parametrize("type_", [type_ for type_ in SOURCES if type_ not in vendors.VENDORS])
def test_nothing_is_pulled_from_a_place_that_nobody_meant(type_: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError):
        load(yaml.safe_load(source_starter(type_)), base=tmp_path)


def test_a_vendors_starter_has_its_settings_its_streams_and_where_its_secrets_go() -> None:
    text = source_starter("zendesk", stream="users", name="desk")

    document = yaml.safe_load(text)
    assert (document["name"], document["stream"], document["type"]) == ("desk", "users", "zendesk")
    assert document["account"]["subdomain"] is None
    assert document["account"]["token"] == {"secret": "zendesk-token"}
    assert "subdomain:    # fill in: the name before .zendesk.com" in text
    assert "set LRS_BRIDGE_SOURCE_ZENDESK_TOKEN" in text
    assert "# Streams: tickets, users" in text
    assert "# sign_in: client_credentials" in text


@pytest.mark.parametrize(
    ("call", "told"),
    [
        ({"type_": "zendesc"}, "Did you mean 'zendesk'?"),
        ({"type_": "zendesk", "stream": "ticket"}, "Did you mean 'tickets'?"),
        ({"type_": "csv", "stream": "tickets"}, "has no streams"),
        ({"type_": "csv", "name": "No Name"}, "small letters"),
        ({"type_": "zendesk", "name": "No Name"}, "small letters"),
    ],
)
def test_what_there_is_not_is_told_with_the_nearest(call: dict[str, str], told: str) -> None:
    with pytest.raises(ConfigError, match=told):
        source_starter(**call)
