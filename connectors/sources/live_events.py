"""A source that Canvas sends Live Events to; `connectors.caliper` makes statements of them. README.md shows a document.

A post is one event (Canvas's format) or an envelope of several (Caliper 1.1). With "Sign Payload" the body is a signed
JWT whose claims are that. It is believed when a published key signed it by RS256, it is not outside its times where it
names any, and every event in it is of our site. The last is no formality: all of Instructure's customers are signed for
by the same keys, and the JWT names neither issuer nor audience, so a good signature alone may be another customer's.

https://developerdocs.instructure.com/services/canvas/data-services/live-events/overview/file.data_service_setup
"""

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import jwt
import msgspec
from marshmallow import ValidationError, validates

from connectors import caliper, http
from connectors.caliper import NotConverted
from connectors.documents import Document, SourceSchema, Text, TextList, say, validate
from connectors.errors import SourceUnavailable
from connectors.keys import KeySets
from connectors.sources.choices import YesNo
from connectors.sources.rows import Finding, Page, State
from connectors.sources.signatures import Unverified

INSTRUCTURE_KEYS = "https://8axpcl50e4.execute-api.us-east-1.amazonaws.com/main/jwks"
"""Of Canvas in the cloud, also beta; the key before, the current one and the next. They change each month."""
LEEWAY_SECONDS = 60
"""Clocks differ."""
MAX_EVENTS = 500
"""In one envelope; Canvas sends one."""
_CANVAS = "com.instructure.canvas"
_CLAIMS = ("iss", "sub", "aud", "exp", "nbf", "iat", "jti")
"""What the signing may add to an event (RFC 7519 section 4.1); an event that is signed anew is the same event."""


class LiveEventsSchema(SourceSchema):
    """The keys of a `type: live_events` document."""

    root_account = Text(required=True)
    hosts = TextList(required=True)
    home_page = Text(load_default=None)
    keys = Text(load_default=INSTRUCTURE_KEYS)
    allow_private = TextList(load_default=[])
    unsigned = YesNo()

    @validates("keys")
    def check_keys(self, value: str, **_: object) -> None:
        """Refuse an address that we must not call."""
        if fault := http.url_fault(value):
            raise ValidationError([say(*fault)])

    @validates("home_page")
    def check_home_page(self, value: str | None, **_: object) -> None:
        """Refuse what is no site."""
        if value is not None and (urlsplit(value).scheme not in {"http", "https"} or not urlsplit(value).hostname):
            raise ValidationError([say(f"{value!r} is no site.", "Write it as https://canvas.example.com.")])

    @validates("hosts")
    def check_hosts(self, value: list[str], **_: object) -> None:
        """Refuse addresses where names are meant."""
        for host in value:
            if not host or host != host.lower() or any(sign in host for sign in "/ :@"):
                raise ValidationError([say(f"{host!r} is no host.", "Write its name alone: canvas.example.com.")])


@dataclass(frozen=True, slots=True)
class Event:
    """One event as it is kept."""

    key: bytes
    """What it is known by when it comes again: SHA-256 of its id, or of all that it holds where it has none."""
    body: bytes
    """JSON."""


@dataclass(frozen=True, slots=True)
class LiveEventsSource:
    """How posts are verified, and events read."""

    name: str
    title: str
    every_seconds: int
    root_account: str
    """The uuid of our root account."""
    hosts: frozenset[str]
    home_page: str
    """The site that the accounts in statements belong to."""
    keys: str
    allow_private: frozenset[str]
    unsigned: bool
    """Take what is not signed too."""

    def events(self, body: bytes, keys: KeySets) -> list[Event]:
        """Give the events of a post; raises Unverified, and SourceUnavailable while the keys cannot be had."""
        text = body.strip().strip(b'"')
        is_json = text.startswith(b"{")
        if is_json and not self.unsigned:
            raise Unverified("it is not signed")
        message = _decoded(text) if is_json else self._claims(text, keys)
        if isinstance(message.get("data"), list) and "metadata" not in message:
            listed = message["data"]
            sensor = message.get("sensor")
        else:
            listed, sensor = [{key: value for key, value in message.items() if key not in _CLAIMS}], None
        if not 0 < len(listed) <= MAX_EVENTS or not all(isinstance(one, dict) for one in listed):
            raise Unverified(f"it does not hold 1 to {MAX_EVENTS} events")
        for event in listed:
            self._check_site(event, sensor)
        return [Event(_key(event), json.dumps(event).encode()) for event in listed]

    def _claims(self, token: bytes, keys: KeySets) -> dict[str, Any]:
        try:
            header = jwt.get_unverified_header(token)
            if header.get("alg") != "RS256":
                raise Unverified("it is not signed by RS256")
            key = keys.find(self.keys, str(header.get("kid")), allow_private=self.allow_private)
            if key is None:
                raise Unverified("none of the published keys signed it")
            # There is no issuer and no audience to check; see above for what stands in for them.
            options: Any = {"verify_aud": False, "verify_iss": False, "verify_sub": False, "verify_jti": False}
            claims: dict[str, Any] = jwt.decode(
                token, key.key, algorithms=["RS256"], leeway=LEEWAY_SECONDS, options=options
            )
        except (jwt.PyJWTError, ValueError, RecursionError) as err:
            raise Unverified(f"its signature is not good ({type(err).__name__})") from err
        return claims

    def _check_site(self, event: Mapping[str, Any], sensor: object) -> None:
        """Refuse an event of another site, and one that does not say of which it is."""
        about = _map(event, "metadata")
        acting = _map(_map(_map(event, "actor"), "extensions"), _CANVAS)
        accounts = {one for one in (about.get("root_account_uuid"), acting.get("root_account_uuid")) if one}
        if accounts:
            if accounts != {self.root_account}:
                raise Unverified("an event in it is of another root account")
            return
        # The Caliper format names the account only where a person acts.
        own = _map(_map(event, "extensions"), _CANVAS).get("hostname")
        named = (about.get("hostname"), own, _host(_map(event, "edApp").get("id")), _host(sensor))
        hosts = {one for one in named if isinstance(one, str) and one}
        if not hosts:
            raise Unverified("an event in it does not name the site")
        if not hosts <= self.hosts:
            raise Unverified("an event in it is of another host")

    def convert(self, body: bytes) -> dict[str, Any] | NotConverted:
        """Give the statement of one event, or why there is none."""
        event = json.loads(body)
        (made,) = caliper.convert({"data": [event]} if "metadata" not in event else event, home_page=self.home_page)
        return made

    def pull(self, _state: State | None) -> Iterator[Page]:
        """Give nothing: what there is was sent."""
        return iter(())

    def check(self) -> Iterator[Finding]:
        """See whether the keys can be had; the rest is Canvas's to try."""
        if self.unsigned:
            told = "Posts without a signature are taken too, whoever sends them."
            yield Finding("signature", "warning", told, "Have Canvas sign, and take out `unsigned`.")
        try:
            KeySets().find(self.keys, "", allow_private=self.allow_private)
        except SourceUnavailable as err:
            yield Finding("keys", "failed", str(err), "Correct `keys`, or allow it in `allow_private`.")
        else:
            yield Finding("keys", "ok", "They are there.", "")
        told = f"Nothing is asked of Canvas, which sends to /live-events/{self.name}."
        yield Finding("events", "skipped", told, "Have it send a test.")

    def sample(self, _limit: int) -> Page:
        """Give nothing: nothing can be asked for."""
        return Page((), (), None)


def load(document: Document, *, base: Path) -> LiveEventsSource:  # noqa: ARG001 - it has no paths, other sources do
    """Give the source that a document declares. Raises ConfigError."""
    data = validate(LiveEventsSchema(), document)
    return LiveEventsSource(
        name=data["name"],
        title=data["title"],
        every_seconds=data["every_seconds"],
        root_account=data["root_account"],
        hosts=frozenset(data["hosts"]),
        home_page=(data["home_page"] or f"https://{data['hosts'][0]}").rstrip("/"),
        keys=data["keys"],
        allow_private=frozenset(data["allow_private"]),
        unsigned=data["unsigned"],
    )


def _decoded(text: bytes) -> dict[str, Any]:
    try:
        found = msgspec.json.decode(text)
    except (msgspec.MsgspecError, ValueError, RecursionError) as err:
        raise Unverified("it is no JSON") from err
    if not isinstance(found, dict):
        raise Unverified("it is no JSON object")
    return found


def _key(event: Mapping[str, Any]) -> bytes:
    named = event.get("id")
    content = named if isinstance(named, str) and named else json.dumps(event, sort_keys=True)
    return hashlib.sha256(content.encode("utf-8", "replace")).digest()


def _map(value: object, key: str) -> Mapping[str, Any]:
    inner = value.get(key) if isinstance(value, Mapping) else None
    return inner if isinstance(inner, Mapping) else {}


def _host(address: object) -> str | None:
    try:
        return urlsplit(address).hostname if isinstance(address, str) else None
    except ValueError:
        return None
