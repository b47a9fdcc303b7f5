"""Keys, certificates and signatures for signed statements (xAPI 1.0.3, Data 2.6)."""

import base64
from datetime import UTC, datetime, timedelta
from typing import Any

import jwt
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import NameOID
from xapi_samples import attachment, text

from lrs.xapi import signatures

KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)


def certificate(key: Any, *, days: int = 1) -> str:
    """Give a certificate for a key, as x5c has it."""
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Ana")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(days=9))
        .not_valid_after(now + timedelta(days=days))
        .sign(KEY, hashes.SHA256())
    )
    return base64.b64encode(made.public_bytes(serialization.Encoding.DER)).decode()


def sign(data: object, *, algorithm: str = "RS256", key: Any = KEY, x5c: Any = None) -> bytes:
    payload = data if isinstance(data, bytes) else text(data)
    return jwt.PyJWS().encode(payload, key, algorithm, None if x5c is None else {"x5c": x5c}).encode()


def signature(token: bytes, **changes: Any) -> dict[str, Any]:
    return attachment(token, **{"usageType": signatures.USAGE, "contentType": "application/octet-stream"} | changes)
