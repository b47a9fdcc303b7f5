"""Signed statements (xAPI 1.0.3, Data 2.6): a JSON web signature (RFC 7515) as an attachment, verified before storing.

That finds mistakes; it does not say who signed (2.6, note). So the certificate's dates and who issued it are not looked
at, and a signature without a certificate is only held against its statement.
"""

import base64
import re
from collections.abc import Mapping
from typing import Any

import msgspec
from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from jwt import PyJWS, PyJWTError
from jwt.algorithms import get_default_algorithms
from msgspec import UNSET, Raw

from lrs.errors import Invalid, Rule
from lrs.xapi import equality, validation
from lrs.xapi.multipart import Part
from lrs.xapi.structs import Attachment, Statement
from lrs.xapi.versions import Version

USAGE = "http://adlnet.gov/expapi/attachments/signature"

_CONTENT_TYPE = Rule(
    "a signature is an attachment of the type application/octet-stream", "2.6", "Correct its contentType."
)
_SENT = Rule(
    "a signed statement brings its signature along", "2.6", "Send the signature's bytes as a part of multipart/mixed."
)
_COMPACT = Rule(
    "a signature is a JSON web signature in compact serialization",
    "2.6",
    "Send the three base64url texts with points between them that a JWS library writes.",
)
_ALGORITHM = Rule("a signature uses RS256, RS384 or RS512", "2.6", "Sign with an RSA key and one of these.")
_PAYLOAD = Rule(
    "a signature's payload is the statement as it was before the signature was added",
    "2.6",
    "Sign the statement as it is sent, but for the signature's own attachment object.",
)
_CERTIFICATE = Rule(
    "x5c is the chain of X.509 certificates of the RSA key that signed, its own first, each in base64 (DER)",
    "2.6",
    "Correct x5c in the signature's header, or leave it out.",
)
_VERIFIED = Rule(
    "a signature that carries a certificate was made with its key", "2.6", "Sign with the key of the first x5c."
)

_TOKEN = re.compile(rb"[\w-]+\.[\w-]+\.[\w-]+", re.ASCII)

_members = msgspec.json.Decoder(dict[str, Raw]).decode
_list = msgspec.json.Decoder(list[Raw]).decode


def check(text: bytes | Raw, statement: Statement, parts: Mapping[str, Part], version: Version) -> None:
    """Verify the signatures of a statement that carries any; raises Invalid whose pointer is the attachment.

    `text` is what was sent, and `statement` what it was validated as.
    """
    if statement.attachments is UNSET:
        return
    for index, attachment in enumerate(statement.attachments):
        if attachment.usage_type == USAGE:
            try:
                _check(text, statement, index, parts, version)
            except Invalid as err:
                err.pointer = f"/attachments/{index}"
                raise


def _check(text: bytes | Raw, statement: Statement, index: int, parts: Mapping[str, Part], version: Version) -> None:
    attachments = _attachments(statement)
    if attachments[index].content_type.lower() != "application/octet-stream":
        raise Invalid("The signature has another content type.", _CONTENT_TYPE)
    part = parts.get(attachments[index].sha2.lower())
    if part is None:
        raise Invalid("The signature was not sent along.", _SENT)
    token = bytes(part.data)
    payload = _verified(token)
    signed = _read(payload, attachments, version)
    if UNSET not in (signed.id, statement.id) and str(signed.id).lower() != str(statement.id).lower():
        raise Invalid("The signature is that of a statement with another id.", _PAYLOAD)
    if not equality.equal(payload.decode(), _before(text, attachments, index, signed).decode()):
        raise Invalid("The signature is that of another statement.", _PAYLOAD)


def _verified(token: bytes) -> bytes:
    """Give the payload of a well-formed token, verified when it carries a certificate."""
    if not _TOKEN.fullmatch(token):
        raise Invalid("The signature is no JSON web signature.", _COMPACT)
    try:
        jws = PyJWS().decode_complete(token, options={"verify_signature": False})
    except PyJWTError as err:
        raise Invalid(f"The signature is no JSON web signature: {err}.", _COMPACT) from err
    name = jws["header"].get("alg")
    if name not in ("RS256", "RS384", "RS512"):
        raise Invalid("The signature uses another algorithm.", _ALGORITHM)
    if "x5c" in jws["header"]:
        signing_input = token.rpartition(b".")[0]
        algorithm = get_default_algorithms()[name]
        if not algorithm.verify(signing_input, _public_key(jws["header"]["x5c"]), jws["signature"]):
            raise Invalid("The signature was not made with the key of its certificate.", _VERIFIED)
    payload: bytes = jws["payload"]
    return payload


def _public_key(chain: Any) -> RSAPublicKey:  # noqa: ANN401  JSON is anything
    try:
        key = x509.load_der_x509_certificate(base64.b64decode(chain[0], validate=True)).public_key()
    except (LookupError, TypeError, ValueError, UnsupportedAlgorithm) as err:
        raise Invalid("x5c does not begin with a certificate.", _CERTIFICATE) from err
    if not isinstance(key, RSAPublicKey):
        raise Invalid("The key of the certificate is no RSA key.", _CERTIFICATE)
    return key


def _read(payload: bytes, attachments: list[Attachment], version: Version) -> Statement:
    try:
        return validation.validate(payload, version, attached={one.sha2.lower() for one in attachments})
    except Invalid as err:
        raise Invalid(f"The signature's payload is no valid statement: {err.error}", _PAYLOAD) from err


def _before(text: bytes | Raw, attachments: list[Attachment], index: int, signed: Statement) -> bytes:
    """Give the statement without the signature, and without those that were added after it."""
    known = {one.sha2.lower() for one in _attachments(signed)}
    members = _members(text)
    kept = [
        raw
        for place, (raw, one) in enumerate(zip(_list(members["attachments"]), attachments, strict=True))
        if place != index and (one.usage_type != USAGE or one.sha2.lower() in known)
    ]
    members["attachments"] = Raw(msgspec.json.encode(kept))
    if not kept and signed.attachments is UNSET:
        del members["attachments"]
    return msgspec.json.encode(members)


def _attachments(statement: Statement) -> list[Attachment]:
    return [] if statement.attachments is UNSET else statement.attachments
