"""How we say who we are: one schema a way, each of which makes an `Authentication`; those with tokens are in `oauth`.

Declared are names of secrets. The values are fetched when the first request is signed, live as long as one pull, and
are known to `Hidden`, which keeps them out of whatever is told.
"""

import base64
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from marshmallow import Schema, ValidationError, post_load, validate, validates_schema

from connectors.documents import StrictSchema, Text, say
from connectors.secrets import SecretField, SecretName, TextOrSecret
from connectors.sources import oauth
from connectors.sources.signing import Signer, Surroundings


@dataclass(frozen=True, slots=True)
class Fixed:
    """A signer whose headers never change."""

    fixed: Mapping[str, str] = field(repr=False)

    def headers(self) -> Mapping[str, str]:
        """Give the headers."""
        return self.fixed

    def renew(self) -> bool:
        """There is nothing to renew."""
        return False


@dataclass(frozen=True, slots=True)
class Nobody:
    """No authentication."""

    def signer(self, _around: Surroundings) -> Signer:
        """Give what adds nothing."""
        return Fixed({})


@dataclass(frozen=True, slots=True)
class Basic:
    """A user and a password (RFC 7617)."""

    user: SecretName | str
    password: SecretName | str
    suffix: str

    def signer(self, around: Surroundings) -> Signer:
        """Give what adds the header."""
        pair = f"{around.value(self.user)}{self.suffix}:{around.value(self.password)}"
        encoded = base64.b64encode(pair.encode()).decode()
        around.hidden.add(encoded)
        return Fixed({"Authorization": f"Basic {encoded}"})


@dataclass(frozen=True, slots=True)
class Key:
    """A token that is sent as it is, in a header of the vendor's choice."""

    header: str
    prefix: str
    value: SecretName

    def signer(self, around: Surroundings) -> Signer:
        """Give what adds the header."""
        return Fixed({self.header: self.prefix + around.value(self.value)})


class NoneSchema(StrictSchema):
    """`{type: none}`."""

    type = Text(required=True)

    @post_load
    def make(self, _data: object, **_: object) -> Nobody:
        """Make it."""
        return Nobody()


class BasicSchema(StrictSchema):
    """`{type: basic, user: ..., password: {secret: ...}}`; `suffix` is added to the user, as Zendesk's /token."""

    type = Text(required=True)
    user = TextOrSecret(required=True)
    password = TextOrSecret(required=True)
    suffix = Text(load_default="")

    @validates_schema
    def check_one_is_secret(self, data: dict[str, Any], **_: object) -> None:
        """Refuse a pair of plain texts; the one vendors leave open is the password "X" beside a key as user."""
        if isinstance(data["user"], str) and isinstance(data["password"], str):
            what = "A secret does not stand in a document, only its name does."
            raise ValidationError(say(what, "Write {secret: some-name}."), "password")

    @post_load
    def make(self, data: dict[str, Any], **_: object) -> Basic:
        """Make it."""
        return Basic(data["user"], data["password"], data["suffix"])


class BearerSchema(StrictSchema):
    """`{type: bearer, token: {secret: ...}}` (RFC 6750)."""

    type = Text(required=True)
    token = SecretField(required=True)

    @post_load
    def make(self, data: dict[str, Any], **_: object) -> Key:
        """Make it."""
        return Key("Authorization", "Bearer ", data["token"])


class ApiKeySchema(StrictSchema):
    """`{type: api_key, header: X-Api-Key, value: {secret: ...}}`, with a `prefix` where the vendor wants one."""

    type = Text(required=True)
    header = Text(required=True, validate=validate.Regexp("[A-Za-z0-9-]+$", error=say("No header.", "Name one.")))
    prefix = Text(load_default="")
    value = SecretField(required=True)

    @post_load
    def make(self, data: dict[str, Any], **_: object) -> Key:
        """Make it."""
        return Key(data["header"], data["prefix"], data["value"])


AUTHENTICATIONS: Mapping[str, type[Schema]] = {
    "none": NoneSchema,
    "basic": BasicSchema,
    "bearer": BearerSchema,
    "api_key": ApiKeySchema,
    "client_credentials": oauth.ClientCredentialsSchema,
    "password": oauth.PasswordSchema,
    "jwt_bearer": oauth.JwtBearerSchema,
    "refresh_token": oauth.RefreshSchema,
    "authorization_code": oauth.AuthorizationCodeSchema,
}
"""The ways to sign, by the `type` of their blocks."""
