"""Files in a bucket: signed as S3 wants it, each read once, from nowhere but where the document says."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from s3_server import S3Server

from connectors import Secrets, Source, SourceBroken, SourceRefused, SourceUnavailable, load_source
from connectors.reach import Reach
from connectors.sources import buckets

HEAD = b"id,owner\n"
EXAMPLE = buckets.Credentials("AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY")
"""Of https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-header-based-auth.html"""


@pytest.fixture
def server() -> Iterator[S3Server]:
    made = S3Server("AKIDTEST", "s3cret")
    yield made
    made.close()


@pytest.fixture
def load(server: S3Server, tmp_path) -> Callable[..., Source]:
    def make(path: str = "exports/a.csv", *, secret: str = "s3cret", **keys: Any) -> Source:  # noqa: S107
        document = {
            "kind": "source",
            "name": "tickets",
            "type": "csv",
            "path": f"s3://acme-data/{path}",
            "allow_private": ["127.0.0.1"],
            "access": {
                "endpoint": server.url,
                "region": "eu-central-1",
                "access_key_id": "AKIDTEST",
                "secret_access_key": {"secret": "bucket"},
            },
            "key": "id",
        }
        document = {name: value for name, value in (document | keys).items() if value is not ...}
        return load_source(document, base=tmp_path, reach=Reach(Secrets({"LRS_BRIDGE_SOURCE_BUCKET": secret})))

    return make


@pytest.mark.parametrize(
    ("url", "headers", "signature"),
    [
        (
            "https://examplebucket.s3.amazonaws.com/test.txt",
            {"Range": "bytes=0-9"},
            "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41",
        ),
        (
            "https://examplebucket.s3.amazonaws.com/?max-keys=2&prefix=J",
            {},
            "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7",
        ),
    ],
)
def test_signature_is_that_of_the_vendors_own_examples(url, headers, signature):
    made = buckets.signed(url, EXAMPLE, "us-east-1", datetime(2013, 5, 24, tzinfo=UTC), headers)

    assert made["Authorization"].endswith(f"Signature={signature}")


def test_object_is_read_and_read_again_only_when_it_has_changed(server, load, pull):
    server.objects["acme-data/exports/a.csv"] = HEAD + b"1,ann\n"
    pulled = pull(load())
    assert [row.key for row in pulled.rows] == ["1"]
    assert pull(load(), pulled.state).pages == 0
    assert server.asked[-1][1]["If-None-Match"]

    server.objects["acme-data/exports/a.csv"] = HEAD + b"1,eve\n"

    assert [row.data["owner"] for row in pull(load(), pulled.state).rows] == ["eve"]


@pytest.mark.parametrize("path", ["exports/", "exports/*.csv", "exports/t?*.csv"])
def test_pattern_reads_each_object_once_page_by_page(server, load, pull, path):
    server.page = 2
    for number in range(5):
        server.objects[f"acme-data/exports/t{number}.csv"] = HEAD + b"%d,ann\n" % number
    server.objects["acme-data/exports/"] = b""  # how consoles make folders
    server.objects["acme-data/exports/deeper/t.csv"] = b"x"
    pulled = pull(load(path))
    assert [row.key for row in pulled.rows] == ["0", "1", "2", "3", "4"]
    server.objects["acme-data/exports/t5.csv"] = HEAD + b"5,ann\n"

    assert [row.key for row in pull(load(path), pulled.state).rows] == ["5"]


def test_whole_bucket_is_a_folder_too(server, load, pull):
    server.objects["acme-data/a.csv"] = HEAD + b"1,ann\n"

    assert pull(load("*.csv")).rows
    assert pull(load("")).rows


@pytest.mark.parametrize("name", ["a b+c.csv", "ä&=?#%25.csv", "a~b(1)'.csv"])
def test_names_may_have_any_letters(server, load, pull, name):
    server.objects[f"acme-data/exports/{name}"] = HEAD + b"1,ann\n"

    assert pull(load("exports/*.csv")).rows


def test_marker_is_looked_for(server, load, pull):
    server.objects["acme-data/exports/a.csv"] = HEAD + b"1,ann\n"
    for path in ("exports/*.csv", "exports/a.csv"):
        with pytest.raises(SourceUnavailable, match=r"a\.csv\.done is not there yet"):
            pull(load(path, done="{path}.done"))
    server.objects["acme-data/exports/a.csv.done"] = b""

    assert pull(load("exports/*.csv", done="{path}.done")).rows
    assert pull(load(done="{path}.done")).rows


def test_missing_object_is_waited_for(load, pull):
    with pytest.raises(SourceUnavailable, match=r"There is no file s3://acme-data/exports/a\.csv"):
        pull(load())
    with pytest.raises(SourceUnavailable, match=r"There is no file s3://acme-data/exports/\*\.csv"):
        pull(load("exports/*.csv"))


def test_wrong_secret_is_refused_and_shown_nowhere(server, load, pull):
    server.objects["acme-data/exports/a.csv"] = HEAD + b"1,ann\n"
    server.secret = "an0ther"

    with pytest.raises(SourceRefused, match="403") as caught:
        pull(load(secret="wr0ng"))

    assert "wr0ng" not in str(caught.value)
    assert "wr0ng" not in str(server.asked)


@pytest.mark.parametrize("path", ["exports/*.csv", "exports/a.csv"])
def test_store_that_repeats_our_secrets_is_not_repeated(server, load, pull, path):
    server.faults.append((403, {}, b"<Error><Id>AKIDTEST</Id><Key>s3cret</Key></Error>"))

    with pytest.raises(SourceRefused, match=r"<Id>\*\*\*</Id><Key>\*\*\*</Key>"):
        pull(load(path))


def test_credentials_of_the_environment_are_not_sent(server, load, pull, monkeypatch):
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"):
        monkeypatch.setenv(name, "canary")
    server.objects["acme-data/exports/a.csv"] = HEAD + b"1,ann\n"
    pull(load())
    with pytest.raises(SourceRefused):
        pull(load(access={"endpoint": server.url}))  # as nobody

    assert "canary" not in str(server.asked)
    assert "Authorization" not in server.asked[-1][1]


def test_private_address_is_called_only_by_name(load, pull):
    with pytest.raises(SourceRefused, match="allow_private"):
        pull(load(allow_private=...))


def test_busy_store_says_when_to_come_back(server, load, pull):
    server.faults.append((503, {"Retry-After": "120"}, b"<Error><Code>SlowDown</Code></Error>"))

    with pytest.raises(SourceUnavailable) as caught:
        pull(load("exports/*.csv"))

    assert caught.value.retry_after == 120


@pytest.mark.parametrize(
    "body", [b"<html></html>", b"{}", b"<ListBucketResult><Contents><Size>x</Size></Contents></ListBucketResult>"]
)
def test_what_is_no_listing_is_said(server, load, pull, body):
    server.faults.append((200, {}, body))

    with pytest.raises(SourceBroken, match="is not listed as S3 does it"):
        pull(load("exports/*.csv"))


def test_amazon_is_the_endpoint_where_none_is_named(load):
    place = load(access={"region": "eu-west-1"}).listing.place

    assert place.endpoint == "https://s3.eu-west-1.amazonaws.com"
