"""Bearer tokens of an OpenID provider: JWTs (RFC 7519), signed with its published keys (JWKS, RFC 7517).

A token is believed when its signature, issuer, audience and times hold. Only RS and ES signatures count: with HS the
public key would be the secret, and `none` is no signature (RFC 8725, 3.1); each key is good for its one algorithm.
"""

import logging
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import jwt
from jwt import PyJWK, PyJWKClient, PyJWKClientConnectionError, PyJWKClientError, PyJWKSet, PyJWTError

from lrs.errors import Rule, Unauthenticated, Unavailable
from lrs.xapi.scopes import SCOPES

log = logging.getLogger(__name__)

ALGORITHMS = ("RS256", "RS384", "RS512", "ES256", "ES384", "ES512")
LEEWAY_SECONDS = 30
"""Clocks differ."""
LONGEST_TOKEN = 16_384
"""Characters; those of large providers have some 2,000, and decoding costs before the signature is known."""

_FETCH_SECONDS = 5
"""So long a request waits for the provider's keys, at most."""
_FRESH_SECONDS = 300
"""Keys are fetched again after this, so that a withdrawn one is not believed for longer."""
_NEW_KEY_SECONDS = 10
"""A key that is not known yet is looked for no more often than this: a token with an invented one costs nothing."""
_RETRY_SECONDS = 5
"""So long a provider that does not answer is left alone; requests are answered meanwhile."""
_NEVER = 2**40
"""Seconds since 1970; a token may expire later than any clock can tell."""
_STALE_SECONDS = 3600
"""So long the last known keys are believed while the provider does not answer."""

_RULE = Rule(
    "a bearer token is a JWT of the OpenID provider for this server",
    "Communication 4.0",
    "Ask the provider for a new token with this server as its audience.",
)


@dataclass(frozen=True, kw_only=True)
class Provider:
    """An OpenID provider, and how its tokens are read."""

    issuer: str
    """Its URL, exactly as in the tokens' claim `iss`."""
    audience: str
    """What the tokens' claim `aud` must name."""
    jwks_url: str | None = None
    """Where its keys are; None: asked of the provider (OpenID Connect Discovery 1.0, section 4)."""
    scope_claim: str = "scope"
    """The claim that holds the scopes: a text with spaces, or a list."""
    name_claim: str = "client_id"
    """The claim that says whose the token is, for people; without it the subject stands."""


@dataclass(frozen=True)
class Bearer:
    """Whom a verified token speaks of."""

    issuer: str
    subject: str
    name: str
    scopes: frozenset[str]
    """Those of xAPI among the token's."""
    expires_at: float
    """Seconds since 1970."""


@dataclass
class Verifier:
    """Reads tokens of one provider; keeps its keys."""

    provider: Provider
    _keys: "_Keys" = field(init=False, repr=False)

    def __post_init__(self) -> None:
        self._keys = _Keys(self.provider)

    def read(self, token: str) -> Bearer:
        """Give whom a token speaks of; raises Unauthenticated, and Unavailable while the keys cannot be had."""
        if len(token) > LONGEST_TOKEN:
            raise _refused(f"it has more than {LONGEST_TOKEN} characters")
        try:
            kid = jwt.get_unverified_header(token).get("kid")
            claims = self._claims(token, self._keys.get_signing_key(str(kid)))
        except PyJWKClientConnectionError as err:
            raise Unavailable("The OpenID provider does not give its keys. Send it again later.") from err
        except PyJWKClientError as err:
            raise _refused("none of the provider's keys signed it") from err
        except (PyJWTError, ValueError, RecursionError) as err:
            raise _refused(str(err)) from err
        return self._bearer(claims)

    def _claims(self, token: str, key: PyJWK) -> dict[str, Any]:
        if key.algorithm_name not in ALGORITHMS:
            raise _refused("its key is not for RS or ES signatures")
        return jwt.decode(
            token,
            key.key,
            algorithms=[key.algorithm_name],
            audience=self.provider.audience,
            issuer=self.provider.issuer,
            leeway=LEEWAY_SECONDS,
            options={"require": ["exp", "iss", "aud"]},
        )

    def _bearer(self, claims: Mapping[str, Any]) -> Bearer:
        subject = _text(claims, "sub") or _text(claims, "client_id") or _text(claims, "azp")
        if subject is None:
            raise _refused("it has no sub")
        scopes = claims.get(self.provider.scope_claim) or ()
        listed = scopes.split() if isinstance(scopes, str) else scopes if isinstance(scopes, list) else ()
        return Bearer(
            issuer=self.provider.issuer,
            subject=subject,
            name=_text(claims, self.provider.name_claim) or subject,
            scopes=frozenset(scope for scope in listed if isinstance(scope, str)) & frozenset(SCOPES),
            expires_at=min(int(claims["exp"]), _NEVER) + LEEWAY_SECONDS,
        )


class _Keys(PyJWKClient):
    """The provider's keys, held also while it does not answer."""

    def __init__(self, provider: Provider) -> None:
        configuration = f"{provider.issuer.rstrip('/')}/.well-known/openid-configuration"
        super().__init__(
            provider.jwks_url or configuration, lifespan=_FRESH_SECONDS, cooldown_duration=_NEW_KEY_SECONDS
        )
        self._provider = provider
        self._kept: tuple[float, dict[str, Any]] | None = None
        self._retry_at = 0.0

    def fetch_data(self) -> Any:  # noqa: ANN401 - as PyJWT has it
        """Fetch the keys; while that fails, give those had before (PyJWT calls this under its lock)."""
        try:
            if time.monotonic() < self._retry_at:
                raise PyJWKClientConnectionError("The provider did not answer a moment ago.")
            data = _get(self._address())
            PyJWKSet.from_dict(data)  # raises when there is no key that can be used
        except (PyJWTError, OSError, ValueError) as err:
            return self._kept_while_away(err)
        self._kept = (time.monotonic(), data)
        return data

    def _address(self) -> str:
        """Give where the keys are (OpenID Connect Discovery 1.0, 4.3: the issuer must be the one that was asked)."""
        if self._provider.jwks_url:
            return self._provider.jwks_url
        found = _get(self.uri)
        if found.get("issuer") != self._provider.issuer or not isinstance(found.get("jwks_uri"), str):
            raise PyJWKClientError("Its configuration names another issuer, or no jwks_uri.")
        return str(found["jwks_uri"])

    def _kept_while_away(self, err: Exception) -> Any:  # noqa: ANN401 - JSON
        now = time.monotonic()
        if now >= self._retry_at:
            log.warning("the keys of %s cannot be had: %s", self._provider.issuer, err)
            self._retry_at = now + _RETRY_SECONDS
        if self._kept is None or now - self._kept[0] > _STALE_SECONDS:
            raise PyJWKClientConnectionError(str(err)) from err
        return self._kept[1]


def _get(url: str) -> dict[str, Any]:
    """Fetch a JSON object; by PyJWT, which follows no redirect and reads neither files nor anything but HTTP."""
    found: dict[str, Any] = PyJWKClient(url, cache_jwk_set=False, timeout=_FETCH_SECONDS).fetch_data()
    return found


def _refused(why: str) -> Unauthenticated:
    return Unauthenticated(f"The bearer token is not valid: {why}.", _RULE, challenge="invalid_token")


def _text(claims: Mapping[str, Any], name: str) -> str | None:
    """Give a claim that PostgreSQL can hold and people can read; None for any other."""
    value = claims.get(name)
    return value if isinstance(value, str) and value and value.isprintable() else None
