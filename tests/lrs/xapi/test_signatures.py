"""Signed statements: xAPI 1.0.3, Data 2.6."""

import base64
import json
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from xapi_samples import DID, ID, OTHER_ID, attachment, sha256, statement, text
from xapi_signing import KEY, certificate, sign, signature

from lrs.errors import Invalid
from lrs.xapi import signatures, validation
from lrs.xapi.multipart import Part
from lrs.xapi.versions import Version

OTHER_KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)
EXAMPLE = Path(__file__).parent / "signed_example"
"""Appendix D of the specification; its certificate has expired."""


def check(data: dict[str, Any], *tokens: bytes) -> None:
    parts = {sha256(one): Part(sha256(one), memoryview(one), None, None) for one in tokens}
    sent = text(data)
    signatures.check(sent, validation.validate(sent, Version.ONE, attached=parts), parts, Version.ONE)


def signed(data: dict[str, Any], token: bytes, **changes: Any) -> dict[str, Any]:
    return data | {"attachments": [*data.get("attachments", []), signature(token, **changes)]}


def refused(data: dict[str, Any], *tokens: bytes) -> Invalid:
    with pytest.raises(Invalid) as refusal:
        check(data, *tokens)
    assert refusal.value.rule
    assert refusal.value.rule.section == "2.6"
    return refusal.value


@pytest.mark.parametrize("algorithm", ["RS256", "RS384", "RS512"])
@pytest.mark.parametrize("x5c", [None, [certificate(KEY)], [certificate(KEY), "the rest is not looked at"]])
def test_rsa_signatures_are_taken_with_a_certificate_or_without(algorithm: str, x5c: Any) -> None:
    token = sign(statement(id=ID), algorithm=algorithm, x5c=x5c)

    check(signed(statement(id=ID), token), token)


def test_example_of_the_specification_is_taken() -> None:
    token = EXAMPLE.with_suffix(".jws").read_bytes()

    check(json.loads(EXAMPLE.with_suffix(".json").read_text()), token)


def test_certificate_that_has_expired_is_no_mistake() -> None:
    token = sign(statement(), x5c=[certificate(KEY, days=-1)])

    check(signed(statement(), token), token)


@pytest.mark.parametrize(
    ("algorithm", "key"),
    [
        ("HS256", "secret" * 8),
        ("none", None),
        ("PS256", KEY),
        ("ES256", ec.generate_private_key(ec.SECP256R1())),
    ],
)
def test_other_algorithms_are_refused(algorithm: str, key: Any) -> None:
    token = sign(statement(), algorithm=algorithm, key=key)

    refused(signed(statement(), token), token)


@pytest.mark.parametrize(
    "x5c",
    [
        [certificate(OTHER_KEY)],
        [certificate(ec.generate_private_key(ec.SECP256R1()))],
        ["not base64"],
        ["bm90IERFUg=="],
        [1],
        [],
        {},
        "x",
    ],
)
def test_signature_that_its_certificate_does_not_verify_is_refused(x5c: Any) -> None:
    token = sign(statement(), x5c=x5c)

    refused(signed(statement(), token), token)


def test_payload_changed_after_signing_is_refused() -> None:
    head, _, tail = sign(statement(), x5c=[certificate(KEY)]).split(b".")
    payload = base64.urlsafe_b64encode(text(statement(result={"success": True}))).rstrip(b"=")
    token = b".".join([head, payload, tail])

    refused(signed(statement(result={"success": True}), token), token)


@pytest.mark.parametrize(
    "token",
    [
        b"",
        b"a.b",
        b"a.b.c",
        b"\xff.\xff.\xff",
        sign(statement()) + b"\n",
        sign(statement()).rpartition(b".")[0] + b".",  # not signed at all
        json.dumps({"payload": "e30", "signatures": []}).encode(),
        sign(statement()).replace(b".", b"..", 1),
        sign(b"{'no': 'json'}"),
        sign(b"[]"),
        sign(b"{" * 5000),
        sign({}),
        sign(b"\xff"),
    ],
)
def test_what_is_no_signature_of_a_statement_is_refused(token: bytes) -> None:
    refusal = refused(signed(statement(), token), token)

    assert refusal.pointer == "/attachments/0"


@pytest.mark.parametrize("content_type", ["text/plain", "application/jose", "application/octet-stream; x=y"])
def test_content_type_of_a_signature_is_octet_stream(content_type: str) -> None:
    token = sign(statement())

    refused(signed(statement(), token, contentType=content_type), token)


def test_signature_must_be_sent_along() -> None:
    """A fileUrl is enough for other attachments; it is not followed, so nothing could be verified."""
    token = sign(statement())

    refused(signed(statement(), token, fileUrl="http://example.com/signature"))


@pytest.mark.parametrize(
    ("before", "sent"),
    [
        # What an LRS on the way may have added or written in another way.
        (statement(), statement(id=ID, timestamp="2026-01-31T13:45:00Z", version="1.0.0")),
        (statement(timestamp="2026-01-31T13:45:00Z"), statement(timestamp="2026-01-31T14:45:00.000+01:00")),
        (statement(verb={"id": DID, "display": {"en": "did"}}), statement()),
        (statement(id=ID.upper()), statement(id=ID)),
        (statement(attachments=[]), statement()),
    ],
)
def test_payload_equals_the_statement_as_any_two_statements_do(before: Any, sent: Any) -> None:
    token = sign(before)

    check(signed(sent, token), token)


@pytest.mark.parametrize(
    ("before", "sent"),
    [
        (statement(verb={"id": DID + "x"}), statement()),
        (statement(), statement(result={"success": True})),
        (statement(id=OTHER_ID), statement(id=ID)),  # else a signature could be carried over to any id
        (statement(timestamp="2026-01-31T13:45:00Z"), statement()),
        (statement(attachments=[attachment(b"essay", fileUrl="http://x.example.com")]), statement()),
        (statement(), statement(attachments=[attachment(b"essay", fileUrl="http://x.example.com")])),
    ],
)
def test_payload_of_another_statement_is_refused(before: Any, sent: Any) -> None:
    token = sign(before)

    refused(signed(sent, token), token)


def test_other_attachments_are_signed_too() -> None:
    sent = statement(attachments=[attachment(b"essay")])
    token = sign(sent)

    check(signed(sent, token), token, b"essay")


def test_second_signature_may_cover_the_first_or_not() -> None:
    first = sign(statement(), x5c=[certificate(KEY)])
    once = signed(statement(), first)

    for payload in (once, statement()):
        second = sign(payload, key=OTHER_KEY, x5c=[certificate(OTHER_KEY)])
        check(signed(once, second), first, second)


def test_statement_without_a_signature_is_not_looked_at() -> None:
    check(statement(attachments=[attachment(b"essay")]), b"essay")
