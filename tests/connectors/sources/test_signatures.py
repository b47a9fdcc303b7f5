"""Who sent a webhook: each vendor's way by its published example where there is one, and all that a forger may try."""

import base64
import hmac
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

import pytest

from connectors.sources.signatures import VERIFICATIONS, WINDOW, Delivery, Unverified, Verification

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
URL = "https://bridge.example.com/webhooks/hook?from=a%2Fb"
BODY = b'{"id": 7, "note": "\xc3\xa9"}'
SECRET = "s3cret"


def verification(type_: str, **keys: str) -> Verification:
    named = "password" if type_ == "basic" else "secret"
    made: Verification = VERIFICATIONS[type_]().load({"type": type_, named: {"secret": "hook"}, **keys})
    return made


def signed(secret: str, message: bytes, method: str = "sha256") -> bytes:
    return hmac.new(secret.encode(), message, method).digest()


def in_base64(made: bytes) -> str:
    return base64.b64encode(made).decode()


def standard(secret: str, body: bytes, at: datetime) -> dict[str, str]:
    stamp = str(int(at.timestamp()))
    made = hmac.new(base64.b64decode(secret.removeprefix("whsec_")), f"msg_1.{stamp}.".encode() + body, "sha256")
    return {
        "webhook-id": "msg_1",
        "webhook-timestamp": stamp,
        "webhook-signature": f"v1a,AAAA v1,AAAA v1,{in_base64(made.digest())}",
    }


def zendesk(secret: str, body: bytes, at: datetime) -> dict[str, str]:
    stamp = f"{at:%Y-%m-%dT%H:%M:%SZ}"
    signature = in_base64(signed(secret, stamp.encode() + body))
    return {
        "x-zendesk-webhook-signature": signature,
        "x-zendesk-webhook-signature-timestamp": stamp,
        "x-zendesk-webhook-invocation-id": "01",
    }


def hubspot(secret: str, body: bytes, at: datetime) -> dict[str, str]:
    stamp = str(int(at.timestamp() * 1000))
    message = b"POST" + b"https://bridge.example.com/webhooks/hook?from=a/b" + body + stamp.encode()
    return {
        "x-hubspot-signature-v3": in_base64(signed(secret, message)),
        "x-hubspot-request-timestamp": stamp,
    }


def jira(secret: str, body: bytes, _: datetime) -> dict[str, str]:
    return {"x-hub-signature": f"sha256={signed(secret, body).hex()}"}


def intercom(secret: str, body: bytes, _: datetime) -> dict[str, str]:
    return {"x-hub-signature": f"sha1={signed(secret, body, 'sha1').hex()}"}


def shared(secret: str, _: bytes, __: datetime) -> dict[str, str]:
    return {"x-hook-secret": secret, "x-delivery": "d-1"}


def basic(secret: str, _: bytes, __: datetime) -> dict[str, str]:
    return {"authorization": f"Basic {in_base64(f'crm:{secret}'.encode())}"}


@dataclass
class Way:
    """How a type is signed, and what it signs."""

    sign: Callable[[str, bytes, datetime], dict[str, str]]
    keys: dict[str, str]
    body: bool = True
    time: bool = True
    names: str | None = None
    """What names the delivery; None: its signature."""
    secrets: tuple[str, str] = (SECRET, "another")


WAYS = {
    "standard": Way(standard, {}, names="msg_1", secrets=("whsec_c2VjcmV0", "whsec_YW5vdGhlcg==")),
    "zendesk": Way(zendesk, {}, names="01"),
    "hubspot": Way(hubspot, {}),
    "jira": Way(jira, {}, time=False),
    "intercom": Way(intercom, {}, time=False),
    "header": Way(shared, {"header": "X-Hook-Secret", "delivery": "X-Delivery"}, body=False, time=False, names="d-1"),
    "basic": Way(basic, {"user": "crm"}, body=False, time=False),
}


def delivery(type_: str, *, at: datetime = NOW) -> tuple[Verification, Delivery, str]:
    way = WAYS[type_]
    headers = way.sign(way.secrets[0], BODY, at)
    return verification(type_, **way.keys), Delivery("POST", URL, headers, BODY), way.secrets[0]


def test_every_way_is_tested():
    assert set(WAYS) == set(VERIFICATIONS)


@pytest.mark.parametrize("type_", WAYS)
def test_what_is_signed_is_taken_and_named(type_):
    way, sent, secret = delivery(type_)

    named = way.verify(sent, secret, NOW)

    expected = WAYS[type_].names
    assert named == expected or (expected is None and (named is None or named in sent.headers.values()))
    assert way.verify(sent, secret, NOW) == named  # the same when it comes again


@pytest.mark.parametrize("type_", WAYS)
def test_another_secret_is_refused(type_):
    way, sent, _ = delivery(type_)

    with pytest.raises(Unverified) as caught:
        way.verify(sent, WAYS[type_].secrets[1], NOW)
    assert not any(value in str(caught.value) for value in (*WAYS[type_].secrets, *sent.headers.values()))


@pytest.mark.parametrize("type_", [name for name, way in WAYS.items() if way.body])
def test_changed_body_is_refused(type_):
    way, sent, secret = delivery(type_)

    with pytest.raises(Unverified):
        way.verify(replace(sent, body=BODY.replace(b"7", b"8")), secret, NOW)
    with pytest.raises(Unverified):
        way.verify(replace(sent, body=BODY + b" "), secret, NOW)


@pytest.mark.parametrize("type_", WAYS)
def test_missing_header_is_refused_and_named(type_):
    way, sent, secret = delivery(type_)

    with pytest.raises(Unverified, match="there is no header"):
        way.verify(replace(sent, headers={}), secret, NOW)


@pytest.mark.parametrize("type_", [name for name, way in WAYS.items() if way.time])
@pytest.mark.parametrize("off", [-WINDOW, WINDOW])
def test_old_and_future_times_are_refused(type_, off):
    way, sent, secret = delivery(type_, at=NOW + off)
    way.verify(sent, secret, NOW)

    way, sent, secret = delivery(type_, at=NOW + off + off / 100)
    with pytest.raises(Unverified, match="s from ours"):
        way.verify(sent, secret, NOW)


@pytest.mark.parametrize("type_", [name for name, way in WAYS.items() if way.time])
@pytest.mark.parametrize("stamp", ["soon", "9" * 40, "NaN", "2026-99-99T00:00:00Z"])
def test_time_that_is_none_is_refused(type_, stamp):
    way, sent, secret = delivery(type_)
    name = next(name for name in sent.headers if "timestamp" in name)

    with pytest.raises(Unverified, match="time is none"):
        way.verify(replace(sent, headers={**sent.headers, name: stamp}), secret, NOW)


@pytest.mark.parametrize("type_", [name for name, way in WAYS.items() if way.time])
def test_time_is_signed(type_):
    way, sent, secret = delivery(type_)
    later = WAYS[type_].sign(secret, BODY, NOW + timedelta(seconds=60))
    name = next(name for name in sent.headers if "timestamp" in name)

    with pytest.raises(Unverified):
        way.verify(replace(sent, headers={**sent.headers, name: later[name]}), secret, NOW)


@pytest.mark.parametrize("value", ["v1,\u20ac", "v2,abc", ",", "sha256=", "é", " "])
@pytest.mark.parametrize("type_", WAYS)
def test_signature_that_is_none_is_refused(type_, value):
    way, sent, secret = delivery(type_)
    name = next(name for name in sent.headers if name.split("-")[-1] in ("signature", "v3", "secret", "authorization"))

    with pytest.raises(Unverified):
        way.verify(replace(sent, headers={**sent.headers, name: value}), secret, NOW)


@pytest.mark.parametrize("url", ["https://bridge.example.com/webhooks/other?from=a%2Fb", "https://evil.example.com/"])
def test_hubspot_signs_the_address(url):
    way, sent, secret = delivery("hubspot")

    with pytest.raises(Unverified):
        way.verify(replace(sent, url=url), secret, NOW)


def test_secret_of_standard_webhooks_that_is_none_is_told():
    way, sent, _ = delivery("standard")

    with pytest.raises(Unverified, match="base64 after whsec_"):
        way.verify(sent, "whsec_?", NOW)


def test_example_of_standard_webhooks():
    """The test vector of the libraries at https://github.com/standard-webhooks/standard-webhooks."""
    sent = Delivery(
        "POST",
        URL,
        {
            "webhook-id": "msg_p5jXN8AQM9LWM0D4loKWxJek",
            "webhook-timestamp": "1614265330",
            "webhook-signature": "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
        },
        b'{"test": 2432232314}',
    )

    named = verification("standard").verify(
        sent, "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", datetime.fromtimestamp(1614265330, UTC)
    )

    assert named == "msg_p5jXN8AQM9LWM0D4loKWxJek"


def test_example_of_jira():
    """https://developer.atlassian.com/cloud/jira/platform/webhooks/#secure-admin-webhooks."""
    signature = "sha256=a4771c39fbe90f317c7824e83ddef3caae9cb3d976c214ace1f2937e133263c9"
    sent = Delivery("POST", URL, {"x-hub-signature": signature}, b"Hello World!")

    assert verification("jira").verify(sent, "It's a Secret to Everybody", NOW) == signature


def test_example_of_websub():
    """`Hub` is what RFC 2202 says of HMAC-SHA1, test case 2, in WebSub's header."""
    signature = "sha1=effcdf6ae5eb2fa2d27416d5f184df9c259a7c79"
    sent = Delivery("POST", URL, {"x-hub-signature": signature}, b"what do ya want for nothing?")

    assert verification("intercom").verify(sent, "Jefe", NOW) == signature
