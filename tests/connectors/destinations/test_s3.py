"""A bucket as a destination: signed as S3 wants it, whole or not at all, nowhere but where the document says."""

import hashlib
from datetime import UTC, datetime

import pytest
from report_stores import S3, load, report

from connectors import ConfigError, DestinationRefused, DestinationUnavailable
from connectors.sources import buckets


@pytest.fixture
def s3(tmp_path):
    made = S3(tmp_path)
    yield made
    made.close()


def test_busy_bucket_says_when_to_come_back(s3):
    s3.server.faults = [(503, {"Retry-After": "7"}, b"SlowDown")]

    with pytest.raises(DestinationUnavailable) as caught:
        load(s3).push(report())

    assert caught.value.retry_after == 7


def test_bucket_at_a_private_address_must_be_allowed_by_name(s3):
    with pytest.raises(DestinationRefused, match="allow_private"):
        load(s3, allow_private=["other.example"]).push(report())

    assert s3.server.asked == []


def test_what_s3_does_not_take_at_once_is_refused_before_it_is_sent(s3, monkeypatch):
    monkeypatch.setattr(buckets, "MAX_OBJECT", 100)

    with pytest.raises(DestinationRefused, match="S3 takes 100 at once"):
        load(s3).push(report())

    assert s3.server.put == []


def test_signature_of_a_put_is_that_of_the_vendors_own_example():
    """https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-header-based-auth.html, "PUT Object"."""
    made = buckets.signed(
        "https://examplebucket.s3.amazonaws.com/test%24file.text",
        buckets.Credentials("AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"),
        "us-east-1",
        datetime(2013, 5, 24, tzinfo=UTC),
        {"Date": "Fri, 24 May 2013 00:00:00 GMT", "x-amz-storage-class": "REDUCED_REDUNDANCY"},
        method="PUT",
        sha256=hashlib.sha256(b"Welcome to Amazon S3.").hexdigest(),
    )

    assert made["Authorization"].endswith("98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd")


@pytest.mark.parametrize(
    ("make", "keys", "path", "told"),
    [
        (S3, {"path": "https://acme/x"}, ("path",), "Write it like s3://bucket/folder/"),
        (S3, {"access": {}}, ("access",), "Nobody may write without a login"),
        (S3, {"access": {"access_key_id": "x"}}, ("access", "secret_access_key"), "belong together"),
        (S3, {"access": {"secret_access_key": "s3cret"}}, ("access", "secret_access_key"), "does not stand in a"),
        (S3, {"format": ["csv"]}, ("format",), "Did you mean 'formats'?"),
    ],
)
def test_fault_in_the_document_is_told_at_its_key(tmp_path, make, keys, path, told):
    store = make(tmp_path)
    try:
        with pytest.raises(ConfigError) as caught:
            load(store, **keys)
    finally:
        store.close()

    assert [fault.path for fault in caught.value.faults][:1] == [path]
    assert told in f"{caught.value.text} {caught.value.remedy}"
