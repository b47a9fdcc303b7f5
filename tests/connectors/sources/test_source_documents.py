"""What a source document may say, and what is told when it says something else."""

from pathlib import Path

import pytest

from connectors import ConfigError, load_source

SMALLEST = {"kind": "source", "name": "tickets", "type": "csv", "path": "tickets.csv", "key": ["id"]}


def load(**keys):
    return load_with(keys)


def load_with(keys):
    """Load the smallest document with other keys; `...` takes one out."""
    document = {key: value for key, value in (SMALLEST | keys).items() if value is not ...}
    return load_source(document, base=Path("/base"))


def test_smallest_document_is_filled_up_with_defaults():
    source = load()

    assert (source.name, source.title, source.every_seconds) == ("tickets", "tickets", 3600)
    listing = source.listing
    assert (listing.place.path, listing.compression, source.shape.encoding) == ("/base/tickets.csv", "none", "utf-8")
    assert (listing.read, listing.done, listing.sweeping) == ("each", None, None)
    assert (source.shape.delimiter, source.shape.nulls, source.shape.key, source.shape.cursor) == (
        ",",
        {""},
        ("id",),
        (),
    )


def test_every_key_of_the_plan_is_understood():
    source = load(
        title="Incidents",
        every="15m",
        path="data/incidents.csv.gz",
        compression="gzip",
        encoding="latin-1",
        delimiter=";",
        nulls=["", "?"],
        key=["number", "task"],
        cursor=["updated", "count"],
        columns={
            "updated": {"type": "datetime", "format": "%d/%m/%Y %H:%M", "timezone": "UTC"},
            "count": {"type": "integer"},
            "value": {"type": "number"},
            "made_sla": {"type": "boolean", "true": ["true"], "false": ["false"]},
            "closed": {"type": "date", "format": "%Y-%m-%d"},
        },
    )

    assert (source.title, source.every_seconds, source.listing.compression) == ("Incidents", 900, "gzip")
    assert (source.shape.key, source.shape.cursor) == (("number", "task"), ("updated", "count"))


@pytest.mark.parametrize(
    ("path", "compression"),
    [
        ("data.csv.gz", "gzip"),
        ("https://files.example.com/data.csv.gz?token=1", "gzip"),  # the ending of the path, not of the address
        ("data.csv", "none"),
    ],
)
def test_compression_goes_by_the_ending_where_nothing_is_said(path, compression):
    assert load(path=path).listing.compression == compression
    assert load(path=path, compression="none").listing.compression == "none"


@pytest.mark.parametrize(
    ("every", "seconds"), [("10s", 10), ("30s", 30), ("15m", 900), ("1h", 3600), ("1d", 86_400), ("31d", 2_678_400)]
)
def test_interval_is_read_in_seconds(every, seconds):
    assert load(every=every).every_seconds == seconds


@pytest.mark.parametrize(
    ("keys", "path", "told"),
    [
        ({"kind": "sauce"}, ("kind",), "its kind is 'sauce'"),
        ({"kind": ...}, ("kind",), "Write `kind: source`"),
        ({"type": "cvs"}, ("type",), "Did you mean 'csv'?"),
        ({"type": ...}, ("type",), "The key 'type' is missing. There are: csv"),
        ({"name": ...}, ("name",), "The key 'name' is missing"),
        ({"key": ...}, ("key",), "The key 'key' is missing. Add `key: ...`."),
        ({"key": None}, ("key",), "There is no value here"),
        ({"name": "My tickets"}, ("name",), "small letters"),
        ({"name": "-a"}, ("name",), "hyphen"),
        ({"name": "x" * 65}, ("name",), "at most 64"),
        ({"name": 12}, ("name",), "Put it in quotes"),  # YAML read a number
        ({"path": ...}, ("path",), "The key 'path' is missing"),
        ({"path": None}, ("path",), "There is no value here"),
        ({"column": {}}, ("column",), "Did you mean 'columns'?"),
        ({"secret": "x"}, ("secret",), "There are: access"),  # nothing like it: all that there is
        ({True: "x"}, (True,), "There is no key True"),  # YAML's `on:` and `yes:`
        ({"every": "hourly"}, ("every",), "30s, 15m, 1h, 1d"),
        ({"every": 3600}, ("every",), "whole number and s, m, h or d"),
        ({"every": "9s"}, ("every",), "from 10s to 31d"),
        ({"every": "32d"}, ("every",), "from 10s to 31d"),
        ({"encoding": "utf-9"}, ("encoding",), "Did you mean 'utf-8'?"),
        ({"encoding": "base64"}, ("encoding",), "There is no encoding"),  # a codec, but not of text
        ({"delimiter": ";;"}, ("delimiter",), "one character"),
        ({"delimiter": '"'}, ("delimiter",), "one character"),
        ({"compression": "zip"}, ("compression",), "Did you mean 'gzip'?"),
        ({"nulls": ["", 0]}, ("nulls", 1), "Put it in quotes"),
        ({"nulls": ["?", "?"]}, ("nulls", 1), "here twice"),
        ({"key": []}, ("key",), "The list is empty"),
        ({"key": [""]}, ("key", 0), "This text is empty"),
        ({"key": ["id", "id"]}, ("key", 1), "here twice"),
        ({"columns": ["id"]}, ("columns",), "one line a column"),
        ({"columns": {"id": "integer"}}, ("columns", "id"), "{type: integer}"),
        ({"columns": {2026: {"type": "integer"}}}, ("columns", 2026), "column's name in quotes"),
        ({"columns": {"id": {"type": "integr"}}}, ("columns", "id", "type"), "Did you mean 'integer'?"),
        ({"cursor": ["updated"]}, ("cursor", 0), "Declare it under `columns`"),  # as texts, 9 comes after 10
        ({"cursor": ["ok"], "columns": {"ok": {"type": "boolean"}}}, ("cursor", 0), "orders nothing"),
        ({"path": "http://files.example.com/a.csv"}, ("path",), "Write https://"),
        ({"path": "ftp://files.example.com/a.csv"}, ("path",), "not a web address"),
        ({"path": "https://me:secret@files.example.com/a.csv"}, ("path",), "no place for secrets"),
        ({"path": "sftp://files.example.com/a.csv"}, ("path",), "Write it like sftp://user@host/"),
        ({"path": "sftp://me:secret@files.example.com/a.csv"}, ("path",), "no sftp:// address"),
        ({"path": "sftp://me@files.example.com:99999/a.csv"}, ("path",), "no port 99999"),
        ({"path": "sftp://me@files.example.com/a.csv"}, ("access", "host_key"), "is missing"),
        (
            {"path": "sftp://me@files.example.com/a.csv", "access": {"host_key": "AAAA"}},
            ("access", "host_key"),
            "ssh-keyscan",
        ),
        (
            {"path": "sftp://me@files.example.com/a.csv", "access": {"host_key": "ssh-ed25519 AAAA"}},
            ("access", "password"),
            "Add `password` or `private_key`",
        ),
        (
            {"path": "sftp://me@x.example.com/a.csv", "access": {"host_key": "ssh-ed25519 AAAA", "password": "secret"}},
            ("access", "password"),
            "only its name does",
        ),
        ({"path": "s3://Bucket/a.csv"}, ("path",), "Write it like s3://bucket/"),
        (
            {"path": "s3://bucket/a.csv", "access": {"endpoint": "http://x.example.com"}},
            ("access", "endpoint"),
            "https",
        ),
        (
            {"path": "s3://bucket/a.csv", "access": {"access_key_id": "a"}},
            ("access", "secret_access_key"),
            "belong together",
        ),
        ({"access": {"host_key": "x"}}, ("access",), "nothing to log in to"),
        ({"read": "all"}, ("read",), "`each` or `newest`"),
        ({"done": "ready"}, ("done",), '"{path}.done"'),
        ({"path": "https://x.example.com/a.csv", "done": "{path}.done"}, ("done",), "nobody lists"),
        ({"deleted": {"type": "sweep"}, "path": "exports/*.csv"}, ("deleted",), "read: newest"),
        (
            {"deleted": {"type": "sweep"}, "cursor": ["n"], "columns": {"n": {"type": "integer"}}},
            ("cursor",),
            "Take `cursor` out",
        ),
        ({"deleted": {"type": "flag"}}, ("deleted", "type"), "There are: none, sweep"),
    ],
)
def test_fault_is_told_at_its_key_with_the_remedy(keys, path, told):
    with pytest.raises(ConfigError) as caught:
        load_with(keys)

    assert caught.value.path == path
    assert told in f"{caught.value.text} {caught.value.remedy}"
    assert caught.value.text
    assert caught.value.remedy


@pytest.mark.parametrize("path", ["http://localhost:8000/a.csv", "http://127.0.0.1/a.csv", "http://[::1]/a.csv"])
def test_plain_http_is_fine_within_this_machine(path):
    assert load(path=path).listing.place.path == path


def test_all_faults_are_told_at_once():
    with pytest.raises(ConfigError) as caught:
        load(every="x", column={}, encoding="utf-9")

    assert {fault.path for fault in caught.value.faults} == {("every",), ("column",), ("encoding",)}
    assert str(caught.value).count("\n") == 2


@pytest.mark.parametrize("document", [None, [], "source"])
def test_what_is_no_document_is_refused(document):
    with pytest.raises(ConfigError, match="not a block"):
        load_source(document, base=Path("/base"))
