"""All that is wrong with a destination document is told at once, each fault at its key."""

from pathlib import Path

import pytest

from connectors import ConfigError, load_destination

LRS = {
    "kind": "destination",
    "name": "Head Office",
    "type": "lrs",
    "endpoint": "ftp://lrs.example.com",
    "auth": {"type": "basic", "username": "u", "password": {"secret": "p"}},
    "version": "0.95",
    "site": "here",
    "feeds": ["records", "recods"],
}
MOODLE = {
    "kind": "destination",
    "name": "moodle",
    "type": "moodle",
    "url": "http://moodle.example.com",
    "token": {"secret": "t"},
    "feeds": ["recods"],
    "resend": "maybe",
    "tokn": 1,
}
FILES = {"kind": "destination", "name": "drop", "type": "sftp", "path": "sftp://host/x", "formats": ["cvs", "json"]}


@pytest.mark.parametrize(
    ("document", "paths"),
    [
        (LRS, {("name",), ("endpoint",), ("version",), ("site",), ("feeds", 1)}),
        (MOODLE, {("url",), ("feeds", 0), ("resend",), ("tokn",)}),
        (FILES, {("path",), ("formats", 0)}),
    ],
)
def test_all_faults_are_told(document, paths):
    with pytest.raises(ConfigError) as caught:
        load_destination(document, base=Path("/base"))

    assert {one.path for one in caught.value.faults} == paths


@pytest.mark.parametrize(("type_", "scheme"), [("sftp", "sftp://user@host/folder."), ("s3", "s3://bucket/folder/.")])
def test_example_of_a_destination_is_a_folder(type_, scheme):
    document = {"kind": "destination", "name": "drop", "type": type_, "path": f"{type_}://nobody"}

    with pytest.raises(ConfigError) as caught:
        load_destination(document, base=Path("/base"))

    [fault] = [one for one in caught.value.faults if one.path == ("path",)]
    assert fault.remedy == f"Write it like {scheme}"
