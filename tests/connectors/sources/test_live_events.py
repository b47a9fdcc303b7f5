"""Who is believed to be our Canvas: signatures by keys that change, times, sites."""

import base64
import hashlib
import hmac
import json
import time
from collections.abc import Iterator
from copy import deepcopy
from pathlib import Path
from typing import Any

import jwt
import pytest
from canvas_sender import HOST, ROOT_ACCOUNT, Seconds, Sender, key, sending
from cryptography.hazmat.primitives import serialization

from connectors import ConfigError, KeySets, LiveEventsSource, SourceUnavailable, Unverified, load_source
from connectors.keys import FRESH_SECONDS, NEW_KEY_SECONDS, STALE_SECONDS

GOLDEN = Path(__file__).parents[2] / "golden" / "canvas"
IN_CALIPER = json.loads((GOLDEN / "graded.json").read_text())["cases"][0]["event"]
IN_CANVAS = json.loads((GOLDEN / "course-completed.json").read_text())["cases"][0]["event"]
DOCUMENT: dict[str, Any] = {
    "kind": "source",
    "name": "canvas-events",
    "type": "live_events",
    "root_account": ROOT_ACCOUNT,
    "hosts": [HOST],
    "allow_private": ["127.0.0.1"],
}


@pytest.fixture
def canvas() -> Iterator[Sender]:
    with sending() as running:
        yield running


def source(canvas: Sender, **keys: Any) -> LiveEventsSource:
    made = load_source(DOCUMENT | {"keys": canvas.keys_url} | keys, base=Path("/base"))
    assert isinstance(made, LiveEventsSource)
    return made


def changed(message: dict[str, Any], change: Any) -> dict[str, Any]:
    """Give a copy of a message after something was done to it."""
    made = deepcopy(message)
    change(made)
    return made


def bodies(canvas: Sender, message: dict[str, Any], **claims: Any) -> list[Any]:
    return [json.loads(one.body) for one in source(canvas).events(canvas.sign(message, **claims), KeySets())]


# --- what is believed ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("message", [IN_CALIPER, IN_CANVAS], ids=["Caliper", "Canvas"])
def test_signed_events_of_our_site_are_taken(canvas, message):
    assert bodies(canvas, message) == message.get("data", [message])


def test_what_the_signing_adds_is_no_part_of_an_event_so_signed_anew_it_is_the_same(canvas):
    first = source(canvas).events(canvas.sign(IN_CANVAS, iat=1_700_000_000), KeySets())
    again = source(canvas).events(canvas.sign(IN_CANVAS, iat=1_700_000_300, jti="x"), KeySets())

    assert first == again


def test_an_event_is_known_by_its_id_and_one_without_by_what_it_holds(canvas):
    later = changed(IN_CALIPER, lambda one: one["data"][0].update(eventTime="2026-10-06T00:00:00.000Z"))
    other = changed(IN_CANVAS, lambda one: one["metadata"].update(request_id="another"))

    def known(message: dict[str, Any]) -> bytes:
        return source(canvas).events(canvas.sign(message), KeySets())[0].key

    assert known(IN_CALIPER) == known(later)
    assert known(IN_CANVAS) != known(other)


def test_a_background_job_names_no_host_but_the_root_account(canvas):
    quiet = changed(IN_CANVAS, lambda one: one["metadata"].pop("hostname"))

    assert bodies(canvas, quiet) == [quiet]


def test_where_no_account_is_named_the_host_says_whose_it_is(canvas):
    nobody = changed(IN_CALIPER, lambda one: one["data"][0]["actor"].pop("extensions"))

    assert bodies(canvas, nobody) == nobody["data"]


def test_the_token_may_come_as_a_json_text(canvas):
    token = b'"' + canvas.sign(IN_CANVAS) + b'"\n'

    assert len(source(canvas).events(token, KeySets())) == 1


def test_clocks_may_differ_by_a_minute(canvas):
    assert bodies(canvas, IN_CANVAS, exp=int(time.time()) - 30, nbf=int(time.time()) + 30) == [IN_CANVAS]


# --- what is not -----------------------------------------------------------------------------------------------------


def by_hand(header: dict[str, Any], claims: dict[str, Any], signature: bytes = b"") -> bytes:
    parts = [json.dumps(header).encode(), json.dumps(claims).encode(), signature]
    return b".".join(base64.urlsafe_b64encode(part).rstrip(b"=") for part in parts)


def tampered(canvas: Sender) -> bytes:
    header, _, signature = canvas.sign(IN_CANVAS).split(b".")
    claims = changed(IN_CANVAS, lambda one: one["body"]["user"].update(id="49"))
    return b".".join([header, base64.urlsafe_b64encode(json.dumps(claims).encode()).rstrip(b"="), signature])


def by_public_key(canvas: Sender) -> bytes:
    """Sign by HS256 with the public key as the secret (RFC 8725, 2.1)."""
    pem = key(canvas.current).public_key()
    text = pem.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    header = {"alg": "HS256", "typ": "JWT", "kid": f"2026-{canvas.current:02}"}
    unsigned = by_hand(header, IN_CANVAS).rpartition(b".")[0]
    made = hmac.new(text, unsigned, hashlib.sha256).digest()
    return unsigned + b"." + base64.urlsafe_b64encode(made).rstrip(b"=")


ANOTHER = 77
"""A key that Canvas never published."""

ATTACKS = {
    "not signed": (lambda _: json.dumps(IN_CANVAS).encode(), "it is not signed"),
    "alg none": (lambda _: by_hand({"alg": "none", "kid": "2026-01"}, IN_CANVAS), "not signed by RS256"),
    "alg None": (lambda _: by_hand({"alg": "None", "kid": "2026-01"}, IN_CANVAS), "not signed by RS256"),
    "HS256 by the public key": (by_public_key, "not signed by RS256"),
    "RS512": (
        lambda c: jwt.encode(IN_CANVAS, key(c.current), algorithm="RS512", headers={"kid": "2026-01"}).encode(),
        "not signed by RS256",
    ),
    "another key under a known name": (lambda c: c.sign(IN_CANVAS, by=ANOTHER, kid="2026-01"), "InvalidSignature"),
    "another key under its own name": (lambda c: c.sign(IN_CANVAS, by=ANOTHER), "none of the published keys"),
    "no name of a key": (lambda c: jwt.encode(IN_CANVAS, key(c.current), algorithm="RS256").encode(), "none of the"),
    "claims changed": (tampered, "InvalidSignature"),
    "signature cut off": (lambda c: c.sign(IN_CANVAS).rpartition(b".")[0] + b".", "InvalidSignature"),
    "expired": (lambda c: c.sign(IN_CANVAS, exp=1_700_000_000), "ExpiredSignature"),
    "not yet": (lambda c: c.sign(IN_CANVAS, nbf=32_000_000_000), "ImmatureSignature"),
    "made later": (lambda c: c.sign(IN_CANVAS, iat=32_000_000_000), "ImmatureSignature"),
    "another root account": (
        lambda c: c.sign(changed(IN_CANVAS, lambda one: one["metadata"].update(root_account_uuid="evil"))),
        "another root account",
    ),
    "another root account, with our host": (
        lambda c: c.sign(
            changed(
                IN_CALIPER,
                lambda one: one["data"][0]["actor"]["extensions"]["com.instructure.canvas"].update(
                    root_account_uuid="evil"
                ),
            )
        ),
        "another root account",
    ),
    "another host": (
        lambda c: c.sign(
            changed(
                IN_CALIPER,
                lambda one: (
                    one["data"][0]["actor"].pop("extensions"),
                    one["data"][0]["extensions"]["com.instructure.canvas"].update(hostname="evil.instructure.com"),
                ),
            )
        ),
        "another host",
    ),
    "no site": (
        lambda c: c.sign({"metadata": {"event_name": "grade_change"}, "body": {}}),
        "does not name the site",
    ),
    "a second event of another site": (
        lambda c: c.sign(
            changed(
                IN_CALIPER,
                lambda one: one["data"].append(
                    {"actor": {"extensions": {"com.instructure.canvas": {"root_account_uuid": "evil"}}}}
                ),
            )
        ),
        "another root account",
    ),
    "no events": (lambda c: c.sign(IN_CALIPER | {"data": []}), "1 to 500 events"),
    "too many events": (lambda c: c.sign(IN_CALIPER | {"data": IN_CALIPER["data"] * 501}), "1 to 500 events"),
    "no objects": (lambda c: c.sign(IN_CALIPER | {"data": [1]}), "1 to 500 events"),
    "nothing": (lambda _: b"", "not good"),
    "no token": (lambda _: b"<html>", "not good"),
    "bytes": (lambda _: b"\xff\xfe.\x00.\x80", "not good"),
}


@pytest.mark.parametrize("name", ATTACKS)
def test_attack_is_refused(canvas, name):
    make, why = ATTACKS[name]

    with pytest.raises(Unverified, match=why):
        source(canvas).events(make(canvas), KeySets())


def test_unsigned_events_are_taken_when_the_document_says_so_and_still_only_of_our_site(canvas):
    open_one = source(canvas, unsigned=True)

    assert [json.loads(one.body) for one in open_one.events(json.dumps(IN_CANVAS).encode(), KeySets())] == [IN_CANVAS]
    for message, why in (
        (b"{", "no JSON"),
        (b"{}", "name the site"),
        (json.dumps(IN_CANVAS).replace(ROOT_ACCOUNT, "evil").encode(), "another root account"),
    ):
        with pytest.raises(Unverified, match=why):
            open_one.events(message, KeySets())


def test_what_is_said_of_a_refusal_holds_nothing_of_what_came(canvas):
    for make, _ in ATTACKS.values():
        with pytest.raises(Unverified) as refused:
            source(canvas).events(make(canvas), KeySets())

        assert "Ana" not in str(refused.value)
        assert "evil" not in str(refused.value)


# --- keys that change ------------------------------------------------------------------------------------------------


def test_keys_are_fetched_once_and_again_for_a_new_name(canvas):
    seconds = Seconds()
    keys, ours = KeySets(seconds), source(canvas)
    for _ in range(3):
        ours.events(canvas.sign(IN_CANVAS), keys)
    canvas.rotate(3)
    seconds.at += NEW_KEY_SECONDS

    assert ours.events(canvas.sign(IN_CANVAS), keys)
    assert canvas.fetches == 2


def test_the_key_of_next_month_is_known_before(canvas):
    keys, ours = KeySets(), source(canvas)
    ours.events(canvas.sign(IN_CANVAS), keys)
    canvas.rotate()

    assert ours.events(canvas.sign(IN_CANVAS), keys)
    assert canvas.fetches == 1


def test_invented_names_of_keys_cost_one_fetch_in_a_while(canvas):
    keys, ours = KeySets(Seconds()), source(canvas)
    ours.events(canvas.sign(IN_CANVAS), keys)
    for number in range(20):
        with pytest.raises(Unverified):
            ours.events(canvas.sign(IN_CANVAS, by=ANOTHER, kid=f"invented-{number}"), keys)

    assert canvas.fetches == 1


def test_a_key_that_was_withdrawn_is_no_longer_believed(canvas):
    seconds = Seconds()
    keys, ours = KeySets(seconds), source(canvas)
    token = canvas.sign(IN_CANVAS)
    ours.events(token, keys)
    canvas.rotate(5)
    seconds.at += FRESH_SECONDS + 1

    with pytest.raises(Unverified, match="none of the published keys"):
        ours.events(token, keys)


@pytest.mark.parametrize(
    "fault", [(500, b""), (404, b""), (200, b"<html>"), (200, b'{"keys": []}'), (200, b"[1]"), (200, b" " * 300_000)]
)
def test_without_keys_nothing_is_believed_and_nothing_refused_for_good(canvas, fault):
    canvas.faults.append(fault)

    with pytest.raises(SourceUnavailable, match="cannot be had"):
        source(canvas).events(canvas.sign(IN_CANVAS), KeySets())


def test_known_keys_are_good_for_a_day_while_new_ones_cannot_be_had(canvas):
    seconds = Seconds()
    keys, ours = KeySets(seconds), source(canvas)
    ours.events(canvas.sign(IN_CANVAS), keys)
    canvas.faults.extend([(503, b"")] * 9)

    seconds.at += FRESH_SECONDS + 1
    assert ours.events(canvas.sign(IN_CANVAS), keys)

    seconds.at += STALE_SECONDS
    with pytest.raises(SourceUnavailable):
        ours.events(canvas.sign(IN_CANVAS), keys)


def test_keys_without_end_are_not_read(canvas):
    canvas.faults.append((200, json.dumps(canvas.jwks()).encode() + b" " * (1 << 20)))

    with pytest.raises(SourceUnavailable):
        source(canvas).events(canvas.sign(IN_CANVAS), KeySets())


def test_keys_at_a_private_address_need_to_be_allowed(canvas):
    with pytest.raises(SourceUnavailable):
        source(canvas, allow_private=["other.example"]).events(canvas.sign(IN_CANVAS), KeySets())

    assert canvas.fetches == 0


def test_keys_for_other_uses_are_passed_over(canvas, monkeypatch):
    published = canvas.jwks()
    published["keys"][1] |= {"use": "enc"}
    published["keys"].append({"kty": "EC", "kid": "e", "crv": "P-256"})
    published["keys"].append({"kty": "RSA", "kid": "broken", "n": "AQAB"})
    monkeypatch.setattr(canvas, "jwks", lambda: published)

    with pytest.raises(Unverified, match="none of the published keys"):
        source(canvas).events(canvas.sign(IN_CANVAS), KeySets())


# --- the document ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("keys", "place", "remedy"),
    [
        ({"keys": "http://keys.example.com/jwks"}, ("keys",), "https://"),
        ({"hosts": ["https://acme.instructure.com"]}, ("hosts",), "name alone"),
        ({"hosts": ["Acme.example"]}, ("hosts",), "name alone"),
        ({"hosts": []}, ("hosts",), "at least one"),
        ({"home_page": "acme"}, ("home_page",), "https://canvas"),
        ({"unsigned": "no"}, ("unsigned",), "one of the two"),
        ({"root_account": None}, ("root_account",), "Write one"),
    ],
)
def test_fault_in_the_document_is_told_with_its_place(keys, place, remedy):
    with pytest.raises(ConfigError) as refused:
        load_source(DOCUMENT | keys, base=Path("/base"))

    assert refused.value.path == place
    assert remedy in refused.value.remedy


def test_the_keys_of_the_cloud_and_the_first_host_are_the_defaults():
    made = load_source(DOCUMENT, base=Path("/base"))

    assert isinstance(made, LiveEventsSource)
    assert made.keys.startswith("https://8axpcl50e4.execute-api.us-east-1.amazonaws.com/")
    assert made.home_page == "https://acme.instructure.com"


def test_check_says_what_is_wrong(canvas):
    fine, _ = source(canvas).check()
    warning, keys, _ = source(canvas, unsigned=True, allow_private=["other.example"]).check()

    assert (fine.name, fine.state) == ("keys", "ok")
    assert (warning.state, keys.state) == ("warning", "failed")
    assert list(source(canvas).pull(None)) == []
    assert source(canvas).sample(5).rows == ()
