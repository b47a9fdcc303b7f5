"""How a system proves that a webhook is its own: one schema a way, each of which makes a `Verification`.

Pure: what came, the secret and the time are handed in. Compared is the body byte for byte as it came, in constant time.
Nothing that is told names the secret, the signature that would have been right, or the body.
"""

import base64
import binascii
import hashlib
import hmac
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol

from marshmallow import post_load

from connectors.documents import StrictSchema, Text
from connectors.secrets import SecretField, SecretName

WINDOW = timedelta(minutes=5)
"""How far the time that was signed may be from ours: what all of the vendors below advise."""


@dataclass(frozen=True, slots=True)
class Delivery:
    """A webhook as it came."""

    method: str
    url: str
    """As the sender called it: with scheme, host and query."""
    headers: Mapping[str, str]
    """Their names in small letters."""
    body: bytes


class Unverified(Exception):
    """This did not come from whom it says, or is too old. The message holds nothing of what came."""


class Verification(Protocol):
    """A declared way to verify."""

    @property
    def secret(self) -> SecretName:
        """What only the sender and we know."""

    def verify(self, delivery: Delivery, secret: str, now: datetime) -> str | None:
        """Give what names the delivery, the same when it comes again; None where nothing does. Raises Unverified."""


@dataclass(frozen=True, slots=True)
class Standard:
    """Standard Webhooks: https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md."""

    secret: SecretName

    def verify(self, delivery: Delivery, secret: str, now: datetime) -> str | None:
        """Accept any of several signatures: a sender that changes its secret signs with both for a while."""
        name, stamp = _header(delivery, "webhook-id"), _header(delivery, "webhook-timestamp")
        _check_age(_unix(stamp, 1), now)
        due = _hmac(_key(secret), f"{name}.{stamp}.".encode() + delivery.body, hashlib.sha256)
        signed = [one.partition(",") for one in _header(delivery, "webhook-signature").split()]
        if not any(_equal(base64.b64encode(due), value) for version, _, value in signed if version == "v1"):
            raise Unverified("no signature in webhook-signature fits")
        return name


@dataclass(frozen=True, slots=True)
class Zendesk:
    """https://developer.zendesk.com/documentation/webhooks/verifying/."""

    secret: SecretName

    def verify(self, delivery: Delivery, secret: str, now: datetime) -> str | None:
        """Check the signature over time and body."""
        stamp = _header(delivery, "X-Zendesk-Webhook-Signature-Timestamp")
        signature = _header(delivery, "X-Zendesk-Webhook-Signature")
        _check_age(_iso(stamp), now)
        due = _hmac(secret.encode(), stamp.encode() + delivery.body, hashlib.sha256)
        if not _equal(base64.b64encode(due), signature):
            raise Unverified("X-Zendesk-Webhook-Signature does not fit")
        # https://developer.zendesk.com/documentation/webhooks/anatomy-of-a-webhook-request; it is not signed, but all
        # that a forger could do with it is to make us look once more.
        return delivery.headers.get("x-zendesk-webhook-invocation-id") or signature


@dataclass(frozen=True, slots=True)
class HubSpot:
    """Version 3: https://developers.hubspot.com/docs/apps/legacy-apps/authentication/validating-requests."""

    secret: SecretName

    def verify(self, delivery: Delivery, secret: str, now: datetime) -> str | None:
        """Check the signature over method, address, body and time."""
        stamp, signature = _header(delivery, "X-HubSpot-Request-Timestamp"), _header(delivery, "X-HubSpot-Signature-v3")
        _check_age(_unix(stamp, 1000), now)
        signed = f"{delivery.method}{_decoded(delivery.url)}".encode() + delivery.body + stamp.encode()
        if not _equal(base64.b64encode(_hmac(secret.encode(), signed, hashlib.sha256)), signature):
            raise Unverified("X-HubSpot-Signature-v3 does not fit")
        return signature


@dataclass(frozen=True, slots=True)
class Hub:
    """X-Hub-Signature over the body alone, in hexadecimal after the method's name (WebSub).

    `sha256`: Jira, https://developer.atlassian.com/cloud/jira/platform/webhooks/#secure-admin-webhooks.
    `sha1`: Intercom, https://developers.intercom.com/docs/webhooks/setting-up-webhooks. No time is signed, so a replay
    is known by its signature alone: both vendors write a time or an id into every body.
    """

    secret: SecretName
    method: str

    def verify(self, delivery: Delivery, secret: str, now: datetime) -> str | None:  # noqa: ARG002 - none is signed
        """Check the signature over the body."""
        signature = _header(delivery, "X-Hub-Signature")
        due = f"{self.method}={_hmac(secret.encode(), delivery.body, getattr(hashlib, self.method)).hex()}"
        if not _equal(due.encode(), signature):
            raise Unverified("X-Hub-Signature does not fit")
        return signature


@dataclass(frozen=True, slots=True)
class Shared:
    """A header that holds the secret itself, for systems that sign nothing: Freshdesk, ServiceNow, scripts."""

    secret: SecretName
    header: str
    delivery: str | None
    """Header that names the delivery."""

    def verify(self, delivery: Delivery, secret: str, now: datetime) -> str | None:  # noqa: ARG002 - none is signed
        """Compare the header."""
        if not _equal(secret.encode(), _header(delivery, self.header)):
            raise Unverified(f"{self.header} does not fit")
        return delivery.headers.get(self.delivery.lower()) if self.delivery else None


@dataclass(frozen=True, slots=True)
class Basic:
    """A user and a password (RFC 7617)."""

    secret: SecretName
    user: str
    delivery: str | None

    def verify(self, delivery: Delivery, secret: str, now: datetime) -> str | None:  # noqa: ARG002 - none is signed
        """Compare the header."""
        due = b"Basic " + base64.b64encode(f"{self.user}:{secret}".encode())
        if not _equal(due, _header(delivery, "Authorization")):
            raise Unverified("user or password do not fit")
        return delivery.headers.get(self.delivery.lower()) if self.delivery else None


class _SignedSchema(StrictSchema):
    type = Text(required=True)
    secret = SecretField(required=True)


class StandardSchema(_SignedSchema):
    """`{type: standard, secret: {secret: some-hook}}`."""

    @post_load
    def make(self, data: dict[str, Any], **_: object) -> Standard:
        """Make it."""
        return Standard(data["secret"])


class ZendeskSchema(_SignedSchema):
    """`{type: zendesk, secret: {secret: zendesk-hook}}`: the signing secret of the webhook."""

    @post_load
    def make(self, data: dict[str, Any], **_: object) -> Zendesk:
        """Make it."""
        return Zendesk(data["secret"])


class HubSpotSchema(_SignedSchema):
    """`{type: hubspot, secret: {secret: hubspot-app}}`: the client secret of the app."""

    @post_load
    def make(self, data: dict[str, Any], **_: object) -> HubSpot:
        """Make it."""
        return HubSpot(data["secret"])


class HubSchema(_SignedSchema):
    """`{type: jira, secret: {secret: jira-hook}}`, `{type: intercom, secret: {secret: intercom-app}}`."""

    METHODS = {"jira": "sha256", "intercom": "sha1"}  # noqa: RUF012

    @post_load
    def make(self, data: dict[str, Any], **_: object) -> Hub:
        """Make it."""
        return Hub(data["secret"], self.METHODS[data["type"]])


class SharedSchema(_SignedSchema):
    """`{type: header, header: X-Hook-Secret, secret: {secret: some-hook}, delivery: X-Delivery}`."""

    header = Text(required=True)
    delivery = Text(load_default=None)

    @post_load
    def make(self, data: dict[str, Any], **_: object) -> Shared:
        """Make it."""
        return Shared(data["secret"], data["header"], data["delivery"])


class BasicSchema(StrictSchema):
    """`{type: basic, user: crm, password: {secret: some-hook}}`."""

    type = Text(required=True)
    user = Text(required=True)
    password = SecretField(required=True)
    delivery = Text(load_default=None)

    @post_load
    def make(self, data: dict[str, Any], **_: object) -> Basic:
        """Make it."""
        return Basic(data["password"], data["user"], data["delivery"])


VERIFICATIONS = {
    "standard": StandardSchema,
    "zendesk": ZendeskSchema,
    "hubspot": HubSpotSchema,
    "jira": HubSchema,
    "intercom": HubSchema,
    "header": SharedSchema,
    "basic": BasicSchema,
}
"""The ways to verify, by the `type` of their blocks."""

_ENCODED = re.compile("%(3A|2F|3F|40|21|24|27|28|29|2A|2C|3B)", re.IGNORECASE)
"""What HubSpot decodes in an address before it signs."""


def _header(delivery: Delivery, name: str) -> str:
    value = delivery.headers.get(name.lower())
    if not value:
        raise Unverified(f"there is no header {name}")
    return value


def _key(secret: str) -> bytes:
    """Give the key that a `whsec_` secret stands for."""
    try:
        return base64.b64decode(secret.removeprefix("whsec_"), validate=True)
    except binascii.Error as err:
        raise Unverified("our secret is none of Standard Webhooks: it is base64 after whsec_") from err


def _hmac(key: bytes, message: bytes, method: Any) -> bytes:  # noqa: ANN401 - as hashlib has them
    return hmac.new(key, message, method).digest()


def _equal(due: bytes, given: str) -> bool:
    return hmac.compare_digest(due, given.encode("utf-8", "replace"))


def _check_age(at: datetime, now: datetime) -> None:
    if abs(now - at) > WINDOW:
        raise Unverified(f"its time is {abs(now - at).total_seconds():.0f} s from ours, and {WINDOW} is the most")


def _unix(text: str, per_second: int) -> datetime:
    try:
        return datetime.fromtimestamp(int(text) / per_second, UTC)
    except (ValueError, OverflowError, OSError) as err:
        raise Unverified("its time is none") from err


def _iso(text: str) -> datetime:
    try:
        at = datetime.fromisoformat(text)
    except ValueError as err:
        raise Unverified("its time is none") from err
    return at.replace(tzinfo=at.tzinfo or UTC)


def _decoded(url: str) -> str:
    return _ENCODED.sub(lambda found: chr(int(found[1], 16)), url.partition("#")[0])
