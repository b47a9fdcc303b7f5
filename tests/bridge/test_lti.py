"""Launches by LTI 1.3: who gets in, and every way that is known of getting in without being let."""

import time
from collections.abc import Iterator
from html import unescape
from typing import Any
from urllib.parse import urlsplit

import jwt
import pytest
from flask import Flask
from flask.testing import FlaskClient
from launching import TARGET, begun, launched, page_of, registered
from lti_platform import CLAIM, COURSE_ROLE, FakePlatform, fake_platform
from oidc_provider import rsa_jwk, rsa_key
from sqlalchemy import text
from sqlalchemy.orm import Session

from bridge.lti import logins, platforms, sessions
from bridge.models import LtiSession
from bridge.views import lti as door


@pytest.fixture
def platform(app: Flask) -> Iterator[FakePlatform]:
    """A registered platform with a teacher, 5, and a learner, 6, in course 7."""
    with fake_platform() as made:
        made.courses = {"7": "Calm calls", "8": "Selling"}
        made.add_user("5", "Tea Cher", "tea@example.com", c7="Instructor", c8="Learner")
        made.add_user("6", "Lea Rner", "lea@example.com", c7="Learner")
        registered(made)
        app.extensions.pop(door._KEY_SETS, None)
        yield made


@pytest.fixture
def browser(app: Flask) -> FlaskClient:
    return app.test_client()


def open_sessions(session: Session) -> int:
    return session.scalar(text("select count(*) from lti_session")) or 0


def send(who: FlaskClient, asked: dict[str, str], message: str, /, **more: str) -> Any:
    return who.post("/lti/launch", data={"state": asked["state"], "id_token": message} | more)


# --- who gets in ------------------------------------------------------------------------------------------------------


def test_login_goes_back_to_the_platform_with_a_state_and_nonce_of_its_own(
    platform: FakePlatform, browser: FlaskClient
) -> None:
    asked, again = begun(browser, platform, lti_message_hint="m"), begun(browser, platform)

    assert asked["response_type"] == "id_token"
    assert asked["response_mode"] == "form_post"
    assert asked["prompt"] == "none"
    assert (asked["login_hint"], asked["lti_message_hint"]) == ("5", "m")
    assert asked["redirect_uri"] == TARGET
    assert asked["state"] != again["state"]
    assert asked["nonce"] != again["nonce"]


def test_login_by_post_is_the_same(platform: FakePlatform, browser: FlaskClient) -> None:
    answer = browser.post("/lti/login", data={"iss": platform.url, "login_hint": "5", "target_link_uri": TARGET})

    assert answer.status_code == 302
    assert answer.location.startswith(f"{platform.url}/auth?")


@pytest.mark.parametrize(
    ("user", "course", "role"),
    [("5", "7", "teacher"), ("5", "8", "learner"), ("6", "7", "learner"), ("5", None, "learner")],
)
def test_launch_opens_a_session_of_this_role_and_course(
    platform: FakePlatform, browser: FlaskClient, session: Session, user: str, course: str | None, role: str
) -> None:
    answer = launched(browser, platform, user, course)

    number = page_of(answer).rpartition("/")[2]
    row = session.get_one(LtiSession, number)
    assert row.role == role
    assert row.aliases == [f"account:https://lms.example.com|{user}"]
    assert row.course == (None if course is None else f"https://lms.example.com/course/view.php?id={course}")
    assert row.deployment_id == "1"


def test_canvas_roles_of_the_institution_make_no_teacher_of_a_learner(
    platform: FakePlatform, browser: FlaskClient, session: Session
) -> None:
    institution = "http://purl.imsglobal.org/vocab/lis/v2/institution/person#{}"
    roles = [institution.format(name) for name in ("Instructor", "Administrator")]
    for more in ([COURSE_ROLE.format("Learner")], []):  # a course without a role in it too
        answer = launched(browser, platform, "6", "7", **{f"{CLAIM}/roles": [*roles, *more]})

        assert session.get_one(LtiSession, page_of(answer).rpartition("/")[2]).role == "learner"


def test_administrators_see_all_only_where_the_registration_says_so_and_outside_of_courses(
    platform: FakePlatform, browser: FlaskClient, session: Session
) -> None:
    roles = {f"{CLAIM}/roles": ["http://purl.imsglobal.org/vocab/lis/v2/institution/person#Administrator"]}

    def role(course: str | None) -> str:
        answer = launched(browser, platform, "6", course, **roles)
        return session.get_one(LtiSession, page_of(answer).rpartition("/")[2]).role

    assert role(None) == "learner"
    registered(platform, admins_see_all=True)
    assert role(None) == "administrator"
    assert role("7") == "learner"


def test_two_clients_of_one_issuer_are_two_platforms(
    platform: FakePlatform, browser: FlaskClient, session: Session
) -> None:
    platform.add_client("other", deployment="2")
    registered(platform, "other", home_page="https://other.example.com")

    one, other = (launched(browser, platform, "6", "7", client=client) for client in ("tool", "other"))

    rows = [session.get_one(LtiSession, page_of(answer).rpartition("/")[2]) for answer in (one, other)]
    assert [row.aliases for row in rows] == [
        ["account:https://lms.example.com|6"],
        ["account:https://other.example.com|6"],
    ]


def test_login_that_names_no_client_is_refused_where_several_could_be_meant(
    platform: FakePlatform, browser: FlaskClient
) -> None:
    platform.add_client("other", deployment="2")
    registered(platform, "other")
    sent = {"iss": platform.url, "login_hint": "5", "target_link_uri": TARGET}

    assert browser.get("/lti/login", query_string=sent).status_code == 400
    by_deployment = browser.get("/lti/login", query_string=sent | {"lti_deployment_id": "2"})
    assert "client_id=other" in by_deployment.location


def test_audience_may_name_others_where_we_are_the_authorised_one(platform: FakePlatform, browser: FlaskClient) -> None:
    page_of(launched(browser, platform, "6", "7", aud=["somebody", "tool"], azp="tool"))


def test_keys_of_a_platform_may_change(
    platform: FakePlatform, browser: FlaskClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    page_of(launched(browser, platform, "6", "7"))
    platform.keys = [rsa_jwk("second", 1, alg="RS256")]
    monkeypatch.setattr("connectors.keys.NEW_KEY_SECONDS", 0)
    asked = begun(browser, platform)
    claims = platform.claims("6", asked["nonce"], course="7")

    page_of(send(browser, asked, platform.sign(claims, key=rsa_key(1), kid="second")))

    asked = begun(browser, platform)  # and the withdrawn one is believed no more
    claims = platform.claims("6", asked["nonce"], course="7")
    assert send(browser, asked, platform.sign(claims)).status_code == 403


# --- who does not -----------------------------------------------------------------------------------------------------


def without(name: str) -> dict[str, Any]:
    return {name: None}


WRONG: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    # what: (claims that differ, how it is signed)
    "nonce of another login": ({"nonce": "another"}, {}),
    "no nonce": (without("nonce"), {}),
    "audience is another tool": ({"aud": "another"}, {}),
    "audience is a list of others": ({"aud": ["another", "third"]}, {}),
    "audience is an empty list": ({"aud": []}, {}),
    "no audience": (without("aud"), {}),
    "authorised is another tool": ({"azp": "another"}, {}),
    "several audiences and nobody authorised": ({"aud": ["tool", "another"]}, {}),
    "issuer is another": ({"iss": "https://evil.example.com"}, {}),
    "no issuer": (without("iss"), {}),
    "deployment that nobody wrote down": ({f"{CLAIM}/deployment_id": "99"}, {}),
    "no deployment": (without(f"{CLAIM}/deployment_id"), {}),
    "expired": ({"exp": int(time.time()) - 3600}, {}),
    "no expiry": (without("exp"), {}),
    "made in the future": ({"iat": int(time.time()) + 3600}, {}),
    "made long ago": ({"iat": int(time.time()) - 7200}, {}),
    "no time": (without("iat"), {}),
    "not valid yet": ({"nbf": int(time.time()) + 3600}, {}),
    "nobody": (without("sub"), {}),
    "nobody by an empty text": ({"sub": ""}, {}),
    "a number for a person": ({"sub": 6}, {}),
    "an unprintable person": ({"sub": "6\x00"}, {}),
    "version 1.1": ({f"{CLAIM}/version": "LTI-1p0"}, {}),
    "no version": (without(f"{CLAIM}/version"), {}),
    "message of another kind": ({f"{CLAIM}/message_type": "DataPrivacyLaunchRequest"}, {}),
    "message of no kind": (without(f"{CLAIM}/message_type"), {}),
    "message of an invented kind": ({f"{CLAIM}/message_type": "LtiGiveMeEverything"}, {}),
    "no roles": (without(f"{CLAIM}/roles"), {}),
    "no link": (without(f"{CLAIM}/resource_link"), {}),
    "link is a text": ({f"{CLAIM}/resource_link": "link"}, {}),
    "target elsewhere": ({f"{CLAIM}/target_link_uri": "https://evil.example.com/lti/launch"}, {}),
    "target elsewhere by its user part": ({f"{CLAIM}/target_link_uri": f"{TARGET}@evil.example.com"}, {}),
    "target is another page": ({f"{CLAIM}/target_link_uri": "http://127.0.0.1:8080/reports/calm"}, {}),
    "no target": (without(f"{CLAIM}/target_link_uri"), {}),
    "signed with another key": ({}, {"key": rsa_key(3)}),
    "signed with a key of an unknown name": ({}, {"kid": "unknown"}),
    "signed with a key without a name": ({}, {"kid": None}),
    "signed with a key that it brings along": ({}, {"key": rsa_key(3), "jwk": rsa_jwk("first", 3, alg="RS256")}),
    "signed with a key that it has us fetch": ({}, {"key": rsa_key(3), "jku": "https://evil.example.com/jwks"}),
    "signed with the key of a certificate that it brings": (
        {},
        {"key": rsa_key(3), "x5u": "https://evil.example.com/"},
    ),
    "asks for what must be understood": ({}, {"crit": ["exp"], "exp": 0}),
    "not signed": ({}, {"key": "", "algorithm": "none"}),
    "signed with the public key as a secret": ({}, {"algorithm": "HS256"}),
    "signed by another algorithm": ({}, {"algorithm": "PS256"}),
}


def forged(platform: FakePlatform, claims: dict[str, Any], how: dict[str, Any]) -> str:
    if how.get("algorithm") != "HS256":
        return platform.sign(claims, **how)
    # PyJWT refuses to misuse a public key like this, so it is done by hand.
    import base64
    import hashlib
    import hmac
    import json

    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    public = rsa_key().public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    parts = [{"alg": "HS256", "typ": "JWT", "kid": "first"}, claims]
    head = b".".join(base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=") for part in parts)
    signature = hmac.new(public, head, hashlib.sha256).digest()
    return (head + b"." + base64.urlsafe_b64encode(signature).rstrip(b"=")).decode()


@pytest.mark.parametrize("what", WRONG)
def test_launch_is_refused(platform: FakePlatform, browser: FlaskClient, session: Session, what: str) -> None:
    changed, how = WRONG[what]
    asked = begun(browser, platform)
    claims = platform.claims("6", asked["nonce"], course="7", **changed)

    answer = send(browser, asked, forged(platform, claims, how))

    assert answer.status_code == 403, what
    assert "Set-Cookie" not in answer.headers
    assert open_sessions(session) == 0
    assert "evil.example.com" not in answer.text  # nothing that was sent is repeated
    # The state was good for this one try: mending the message does not help.
    mended = platform.sign(platform.claims("6", asked["nonce"], course="7"))
    assert send(browser, asked, mended).status_code == 403


SAYS = {
    "nonce of another login": "nonce",
    "audience is another tool": "client id",
    "issuer is another": "issuer",
    "expired": "expired",
    "no expiry": "does not say exp",
    "made in the future": "clock",
    "deployment that nobody wrote down": "`lrs-bridge lti register --deployment`",
    "signed with another key": "not signed by any of the platform's keys",
    "signed with a key of an unknown name": "not signed by any of the platform's keys",
    "not signed": "RS256",
    "signed with the public key as a secret": "RS256",
}


@pytest.mark.parametrize("what", SAYS)
def test_refusal_says_what_is_wrong_to_whoever_mends_it(
    platform: FakePlatform, browser: FlaskClient, what: str
) -> None:
    changed, how = WRONG[what]
    asked = begun(browser, platform)
    claims = platform.claims("6", asked["nonce"], course="7", **changed)

    answer = send(browser, asked, forged(platform, claims, how))

    assert SAYS[what] in unescape(answer.text)


def test_the_same_without_a_fault_is_let_in(platform: FakePlatform, browser: FlaskClient, session: Session) -> None:
    """The table above fails for what it names, and not because of how the test launches."""
    asked = begun(browser, platform)

    page_of(send(browser, asked, forged(platform, platform.claims("6", asked["nonce"], course="7"), {})))

    assert open_sessions(session) == 1


@pytest.mark.parametrize(
    "message", ["", "x", "a.b.c", "..", "e30.e30.", "bnVsbA.bnVsbA.bnVsbA", "W10.W10.W10", "a" * 70_000]
)
def test_message_that_is_none_is_refused(platform: FakePlatform, browser: FlaskClient, message: str) -> None:
    assert send(browser, begun(browser, platform), message).status_code == 403


def test_replayed_launch_is_refused(platform: FakePlatform, browser: FlaskClient, session: Session) -> None:
    asked = begun(browser, platform)
    message = platform.sign(platform.claims("6", asked["nonce"], course="7"))
    page_of(send(browser, asked, message))

    again = send(browser, asked, message)

    assert again.status_code == 403
    assert "was used before" in again.text
    assert open_sessions(session) == 1
    # Nor does the message go with another login: its nonce is not that one's.
    assert send(browser, begun(browser, platform), message).status_code == 403


def test_state_of_another_browser_opens_nothing(app: Flask, platform: FakePlatform, session: Session) -> None:
    """Login CSRF: somebody has their own launch sent by another one's browser."""
    attacker, victim = app.test_client(), app.test_client()
    asked = begun(attacker, platform)
    message = platform.sign(platform.claims("6", asked["nonce"], course="7"))

    answer = send(victim, asked, message)

    assert "/lti/s/" not in answer.text
    assert "Open in a new window" in answer.text  # which begins a login of the victim's own
    assert f"form-action 'self' {platform.url};" in answer.headers["Content-Security-Policy"]  # redirects count too
    again = send(victim, asked, message, retried="yes", browser="")  # as the page does by itself, once
    assert "Open in a new window" in again.text
    assert "lti.js" not in again.text
    assert open_sessions(session) == 0
    assert send(victim, asked, message, browser="guessed").status_code == 403
    victim.set_cookie(door._cookie(asked["state"]), "guessed", path="/lti/launch")
    assert send(victim, asked, message).status_code == 403
    assert open_sessions(session) == 0


@pytest.mark.parametrize("state", ["", "state-unknown", "state-\x00", "x" * 5000, "state-; Path=/"])
def test_unknown_state_is_refused(platform: FakePlatform, browser: FlaskClient, state: str) -> None:
    message = platform.sign(platform.claims("6", "nonce", course="7"))

    answer = browser.post("/lti/launch", data={"state": state, "id_token": message, "browser": "x"})

    assert answer.status_code == 403
    assert browser.post("/lti/launch", data={"state": state, "id_token": message}).status_code == 403


def test_login_that_took_too_long_is_refused(platform: FakePlatform, browser: FlaskClient, session: Session) -> None:
    asked = begun(browser, platform)
    session.execute(text("update lti_login set expires_at = now()"))
    session.commit()

    assert send(browser, asked, platform.sign(platform.claims("6", asked["nonce"], course="7"))).status_code == 403


def test_registered_platform_cannot_speak_for_another(platform: FakePlatform, browser: FlaskClient) -> None:
    with fake_platform() as other:
        other.courses = dict(platform.courses)
        other.users = dict(platform.users)
        registered(other, home_page="https://other.example.com")
        asked = begun(browser, other)
        claims = platform.claims("6", asked["nonce"], course="7")  # signed by its own key, with its own issuer

        assert send(browser, asked, platform.sign(claims)).status_code == 403


@pytest.mark.parametrize(
    "sent",
    [
        {"iss": "https://unknown.example.com"},
        {"iss": ""},
        {"client_id": "unknown"},
        {"login_hint": ""},
        {"target_link_uri": ""},
        {"target_link_uri": "https://evil.example.com/"},
        {"target_link_uri": "//evil.example.com/lti/launch"},
        {"target_link_uri": "javascript:alert(1)"},
        {"login_hint": "x" * 5000},
    ],
)
def test_login_that_leads_nowhere_of_ours_is_refused(
    platform: FakePlatform, browser: FlaskClient, session: Session, sent: dict[str, str]
) -> None:
    whole = {"iss": platform.url, "client_id": "tool", "login_hint": "5", "target_link_uri": TARGET} | sent

    answer = browser.get("/lti/login", query_string=whole)

    assert answer.status_code == 400
    assert "Location" not in answer.headers
    assert session.scalar(text("select count(*) from lti_login")) == 0


def test_error_of_the_platform_is_told_without_its_markup(platform: FakePlatform, browser: FlaskClient) -> None:
    answer = browser.post("/lti/launch", data={"error": "login_required<script>", "state": "x"})

    assert answer.status_code == 403
    assert "login_requiredscript" in answer.text
    assert "<script>" not in answer.text


def test_platform_whose_keys_cannot_be_had_is_asked_later(platform: FakePlatform, browser: FlaskClient) -> None:
    platform.keys = []

    assert launched(browser, platform, "6", "7").status_code == 503


def test_secrets_are_kept_as_hashes(platform: FakePlatform, browser: FlaskClient, session: Session) -> None:
    asked = begun(browser, platform)
    kept = session.execute(text("select state_hash, browser_hash from lti_login")).one()

    assert bytes(kept.state_hash) == logins.digest(asked["state"])
    launched(browser, platform, "6", "7")
    row = session.scalars(text("select encode(secret_hash, 'hex') from lti_session")).one()
    cookie = next(one for one in browser._cookies.values() if one.key == sessions.COOKIE)
    assert row == logins.digest(cookie.value).hex()


# --- frames and cookies -----------------------------------------------------------------------------------------------


def test_only_the_platform_may_show_the_pages_in_a_frame(platform: FakePlatform, browser: FlaskClient) -> None:
    page = page_of(launched(browser, platform, "6", "7"))

    policy = browser.get(f"{page}/me").headers["Content-Security-Policy"]

    assert f"frame-ancestors 'self' http{platform.url[4:]} https://lms.example.com" in policy
    assert "frame-ancestors 'none'" in browser.get("/login").headers["Content-Security-Policy"]
    assert browser.get(f"{page}/me").headers["Cache-Control"] == "private, no-store"


def test_cookies_go_into_frames_where_https_lets_them(
    platform: FakePlatform, app: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    import dataclasses

    from bridge import context

    usual = context.settings()
    context.keep(app, dataclasses.replace(usual, public_url="https://bridge.example.com"))
    try:
        sent = {"iss": platform.url, "login_hint": "5", "target_link_uri": "https://bridge.example.com/lti/launch"}
        cookie = app.test_client().get("/lti/login", query_string=sent).headers["Set-Cookie"]
    finally:
        context.keep(app, usual)

    assert {"Secure", "HttpOnly", "SameSite=None", "Partitioned", "Path=/lti/launch"} <= set(cookie.split("; "))


def test_storage_of_the_platform_proves_a_browser_that_keeps_no_cookies(
    app: Flask, platform: FakePlatform, session: Session
) -> None:
    sent = {"iss": platform.url, "login_hint": "5", "target_link_uri": TARGET, "lti_storage_target": "_parent"}
    login = app.test_client(use_cookies=False).get("/lti/login", query_string=sent)
    assert login.status_code == 200
    kept = {name: login.text.partition(f'data-{name}="')[2].partition('"')[0] for name in ("key", "value", "origin")}
    assert kept["origin"] == platform.url
    nonce = session.scalars(text("select nonce from lti_login")).one()
    message = platform.sign(platform.claims("6", nonce, course="7"))
    browser = app.test_client(use_cookies=False)

    asking = browser.post("/lti/launch", data={"state": kept["key"], "id_token": message})
    assert f'data-origin="{platform.url}"' in asking.text  # answers count only from there
    assert open_sessions(session) == 0
    told = browser.post("/lti/launch", data={"state": kept["key"], "id_token": message, "browser": kept["value"]})

    # Signed in, in a window of its own: by a ticket that is good once.
    assert told.status_code == 200
    action = told.text.partition('action="')[2].partition('"')[0]
    ticket = told.text.partition('name="ticket" value="')[2].partition('"')[0]
    window = app.test_client()
    opened = window.post(action, data={"ticket": ticket})
    assert opened.status_code == 303
    assert window.get(opened.location).status_code == 404  # nobody knows them, but they are in
    assert app.test_client().post(action, data={"ticket": ticket}).status_code == 401
    assert app.test_client().post(action, data={"ticket": ""}).status_code == 401


def test_session_ends(platform: FakePlatform, browser: FlaskClient, session: Session) -> None:
    page = page_of(launched(browser, platform, "6", "7"))
    assert browser.get(f"{page}/me").status_code == 404
    session.execute(text("update lti_session set expires_at = now()"))
    session.commit()

    ended = browser.get(f"{page}/me")

    assert ended.status_code == 401
    assert "from your course" in ended.text


def test_session_ends_with_its_registration(platform: FakePlatform, browser: FlaskClient, session: Session) -> None:
    page = page_of(launched(browser, platform, "6", "7"))
    platforms.remove(session, platforms.named(session, platform.url, None))
    session.commit()

    assert browser.get(f"{page}/me").status_code == 401


def test_session_of_a_launch_opens_no_other_page(platform: FakePlatform, browser: FlaskClient) -> None:
    page_of(launched(browser, platform, "5", "7"))

    for path in ("/", "/reports/calm", "/programs/", "/api/v1/learners"):
        answer = browser.get(path)
        assert answer.status_code == 401 or answer.location.startswith("/login"), path


# --- our keys ---------------------------------------------------------------------------------------------------------


def test_configuration_for_canvas_names_our_addresses(browser: FlaskClient) -> None:
    found = browser.get("/lti/config.json").get_json()

    assert found["oidc_initiation_url"] == "http://127.0.0.1:8080/lti/login"
    assert urlsplit(found["public_jwk_url"]).path == "/lti/jwks"
    places = [one["placement"] for one in found["extensions"][0]["settings"]["placements"]]
    assert places == ["course_navigation", "account_navigation", "user_navigation", "link_selection"]


def test_without_a_key_for_tokens_no_key_of_ours_is_published(browser: FlaskClient) -> None:
    assert browser.get("/lti/jwks").get_json() == {"keys": []}


def test_message_of_the_library_is_checked_by_what_was_signed() -> None:
    """PyJWT is the one that looks at the signature; it must not be told to pass anything over."""
    with pytest.raises(jwt.InvalidAlgorithmError):
        jwt.decode(jwt.encode({}, "", algorithm="none"), rsa_key().public_key(), algorithms=["RS256"])
