"""`lrs-bridge lti`: writing platforms down, showing them, taking them away; rosters."""

import dataclasses
import json
from collections.abc import Callable, Iterator

import pytest
from click.testing import Result
from company import COURSE, LMS, Company, done, scored
from cryptography.fernet import Fernet
from flask import Flask
from launching import launched, registered
from lti_platform import GRADE_SCOPES, GRADES, ROSTER, FakePlatform, fake_platform
from sqlalchemy import text

from bridge import context
from lrs import db

Run = Callable[..., Result]

REGISTER = (
    *("register", "--issuer", "https://lms.example.com", "--client-id", "abc", "--deployment", "1"),
    *("--auth-url", "https://lms.example.com/auth", "--token-url", "https://lms.example.com/token"),
    *("--jwks-url", "https://lms.example.com/jwks"),
)


@pytest.fixture
def platform(company: Company, app: Flask) -> Iterator[FakePlatform]:
    context.keep(app, dataclasses.replace(context.settings(), token_keys=(Fernet.generate_key().decode(),)))
    with fake_platform() as made:
        made.courses = {"7": "Calm calls"}
        made.add_user("5", "Tea Cher", "tea@example.com", c7="Instructor")
        made.add_user("6", "Ann Archer", "ann@example.com", c7="Learner").idnumber = "E1"
        made.tool_keys = lambda: app.test_client().get("/lti/jwks").get_json()
        yield made


def listed(lrs_bridge: Run) -> list[dict[str, object]]:
    return json.loads(lrs_bridge("lti", "list", "--json").stdout)


def test_register_list_show_and_remove(lrs_bridge: Run) -> None:
    done = lrs_bridge("lti", *REGISTER)
    assert done.exit_code == 0, done.output
    again = lrs_bridge("lti", *REGISTER[:-2], "--jwks-url", "https://lms.example.com/keys", "--deployment", "2")
    assert again.exit_code == 0, again.output

    [row] = listed(lrs_bridge)
    assert row["deployments"] == ["1", "2"]
    assert row["jwks_url"] == "https://lms.example.com/keys"
    assert (row["home_page"], row["account_name"], row["match_by"]) == (LMS, "{sub}", ["account"])
    shown = json.loads(lrs_bridge("lti", "show", "https://lms.example.com", "--json").stdout)
    assert shown["login_url"] == "http://127.0.0.1:8080/lti/login"
    assert shown["courses"] == []
    assert lrs_bridge("lti", "show", "https://lms.example.com").exit_code == 0

    assert lrs_bridge("lti", "remove", "https://lms.example.com", "--client-id", "abc").exit_code == 0
    assert listed(lrs_bridge) == []
    gone = lrs_bridge("lti", "remove", "https://lms.example.com")
    assert gone.exit_code == 1
    assert "There is no platform" in gone.stderr


def test_which_of_two_is_meant_must_be_said(lrs_bridge: Run) -> None:
    lrs_bridge("lti", *REGISTER)
    lrs_bridge("lti", *[one.replace("abc", "def") for one in REGISTER])

    done = lrs_bridge("lti", "show", "https://lms.example.com")

    assert done.exit_code == 1
    assert "Name the client id too." in done.stderr


@pytest.mark.parametrize(
    ("option", "value", "words"),
    [
        ("--auth-url", "http://lms.example.com/auth", "in the clear"),
        ("--home-page", "lms", "is not a web address"),
        ("--account-name", "everybody", "is no pattern that tells one from another"),
        ("--account-name", "{nobody}", "is no pattern"),
        ("--course-url", "https://lms.example.com/{sub}", "is no pattern"),
    ],
)
def test_what_cannot_be_is_refused(lrs_bridge: Run, option: str, value: str, words: str) -> None:
    done = lrs_bridge("lti", *REGISTER, option, value)

    assert done.exit_code == 2
    assert words in done.stderr
    assert listed(lrs_bridge) == []


def test_invitation_is_an_address_to_paste(lrs_bridge: Run) -> None:
    told = json.loads(lrs_bridge("lti", "invite", "https://lms.example.com", "--json").stdout)

    assert told["address"].startswith("http://127.0.0.1:8080/lti/configure/")
    assert lrs_bridge("lti", "invite", "lms.example.com").exit_code == 2


def test_roster_is_printed_or_taken_in(lrs_bridge: Run, company: Company, platform: FakePlatform, app: Flask) -> None:
    content = (company.folder / "people.yaml").read_text()
    roster = f"  - source: lms\n    format: lti\n    platform: {LMS}\n"
    company.write("people.yaml", content.replace("rosters:\n", f"rosters:\n{roster}"))
    registered(platform, home_page=LMS)
    launched(app.test_client(), platform, "5", "7")

    printed = json.loads(lrs_bridge("lti", "roster", platform.url).stdout)
    taken = lrs_bridge("lti", "roster", platform.url, "--source", "lms", "--json")

    assert [one["user_id"] for one in printed["members"]] == ["5", "6"]
    assert taken.exit_code == 0, taken.output
    assert json.loads(taken.stdout)["rows"] == 2
    found = json.loads(lrs_bridge("learner", "show", f"account:{LMS}|6", "--json").stdout)
    assert found["name"] == "Ann Archer"


def test_roster_that_is_refused_fails_with_its_reason(lrs_bridge: Run, platform: FakePlatform, app: Flask) -> None:
    registered(platform, home_page=LMS)
    launched(app.test_client(), platform, "5", "7")
    platform.roster_status = 403

    done = lrs_bridge("lti", "roster", platform.url)

    assert done.exit_code == 1
    assert "refuses us (HTTP 403)" in done.stderr
    assert "tea@example.com" not in done.output


def teacher_came(platform: FakePlatform, app: Flask, **service: object) -> None:
    """Ann is known by her mail address; her best score in course 7 is 9 of 10."""
    registered(platform, home_page=LMS, course_url=f"{LMS}/course/{{context_id}}", match_by=("email",))
    launched(app.test_client(), platform, "5", "7", **service)


def gradebook(platform: FakePlatform) -> dict[str, object]:
    return {GRADES: {"lineitems": f"{platform.url}/columns", "scope": GRADE_SCOPES}}


def test_best_scores_are_sent_and_counted(
    lrs_bridge: Run, company: Company, platform: FakePlatform, app: Flask
) -> None:
    company.staff([("E1", "Ann Archer", "North", "ann@example.com", "ann")])
    company.post(done("ann", "2026-03-04T10:00:00Z"), scored("ann", 9, "2026-03-03T10:00:00Z"))
    company.run()
    teacher_came(platform, app, **gradebook(platform))

    first, again = (lrs_bridge("lti", "grades", platform.url, "--program", "calm-calls", "--json") for _ in range(2))

    assert (first.exit_code, again.exit_code) == (0, 0), first.output
    assert json.loads(first.stdout) == [{"course": COURSE, "sent": 1, "without_score": 1, "refused": {}}]
    assert again.stdout == first.stdout
    assert [(user, one["scoreGiven"]) for (_, user), one in platform.grades.items()] == [("6", 90)]
    assert len(platform.columns) == 1
    assert "without score  1" in lrs_bridge("lti", "grades", platform.url, "--program", "calm-calls").stdout


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("--program", "calm-calls"), 1, "gives us no gradebook"),
        (("--program", "calm-cals"), 2, "Did you mean 'calm-calls'?"),
        (("--program", "calm-calls", "--client-id", "another"), 1, "There is no platform"),
    ],
)
def test_grades_that_cannot_be_sent_say_why(
    lrs_bridge: Run,
    company: Company,
    platform: FakePlatform,
    app: Flask,
    arguments: tuple[str, ...],
    code: int,
    words: str,
) -> None:
    company.run()
    teacher_came(platform, app)

    failed = lrs_bridge("lti", "grades", platform.url, *arguments)

    assert failed.exit_code == code
    assert words in failed.stderr
    assert platform.grades == {}


def test_grades_wait_for_a_platform_that_is_away(
    lrs_bridge: Run, company: Company, platform: FakePlatform, app: Flask
) -> None:
    company.run()
    teacher_came(platform, app, **gradebook(platform))
    platform.roster_status = 503

    failed = lrs_bridge("lti", "grades", platform.url, "--program", "calm-calls")

    assert failed.exit_code == 1
    assert "try later" in failed.stderr


def test_a_platform_leads_us_to_no_private_address_that_nobody_named(
    lrs_bridge: Run, platform: FakePlatform, app: Flask
) -> None:
    elsewhere = platform.url.replace("127.0.0.1", "localhost")
    registered(platform, home_page=LMS)
    roster = {"context_memberships_url": f"{elsewhere}/members?course=7"}
    launched(app.test_client(), platform, "5", "7", **{ROSTER: roster})

    refused = lrs_bridge("lti", "roster", platform.url)

    assert refused.exit_code == 1
    assert "localhost is at" in refused.stderr
    assert "only the hosts of its issuer and home page may be elsewhere" in refused.stderr
    assert "GET /members" not in platform.asked
    registered(platform, home_page=elsewhere)  # as an administrator says
    assert lrs_bridge("lti", "roster", platform.url).exit_code == 0
    assert "GET /members" in platform.asked


def test_a_platform_has_our_proofs_sent_to_no_private_address_that_nobody_named(
    lrs_bridge: Run, platform: FakePlatform, app: Flask
) -> None:
    registered(platform, home_page=LMS)
    launched(app.test_client(), platform, "5", "7")
    elsewhere = platform.url.replace("127.0.0.1", "localhost")
    db.session.execute(text("update lti_platform set token_url = :url"), {"url": f"{elsewhere}/token"})
    db.session.commit()

    refused = lrs_bridge("lti", "roster", platform.url)

    assert refused.exit_code == 1
    assert "localhost is at" in refused.stderr
    assert "POST /token" not in platform.asked


def test_keys_of_a_platform_are_fetched_from_no_private_address_that_nobody_named(
    lrs_bridge: Run, platform: FakePlatform, app: Flask
) -> None:
    platform.configuration["jwks_uri"] = f"{platform.url.replace('127.0.0.1', 'localhost')}/jwks"
    platform.registration_tokens.add("token")
    told = json.loads(lrs_bridge("lti", "invite", platform.url, "--json").stdout)
    sent = {"openid_configuration": f"{platform.url}/openid-configuration", "registration_token": "token"}
    assert app.test_client().get(told["address"].partition(":8080")[2], query_string=sent).status_code == 200
    [client] = platform.clients

    answer = launched(app.test_client(), platform, "6", "7", client=client)

    assert answer.status_code == 503
    assert "GET /jwks" not in platform.asked


def test_rotating_needs_a_key_that_keys_are_kept_with(lrs_bridge: Run) -> None:
    done = lrs_bridge("lti", "rotate")

    assert done.exit_code == 1
    assert "LRS_BRIDGE_TOKEN_KEYS" in done.stderr


def test_rotated_key_signs_and_the_former_one_is_still_published(
    lrs_bridge: Run, platform: FakePlatform, app: Flask
) -> None:
    first = json.loads(lrs_bridge("lti", "rotate", "--json").stdout)["kid"]
    second = json.loads(lrs_bridge("lti", "rotate", "--json").stdout)["kid"]

    assert {one["kid"] for one in app.test_client().get("/lti/jwks").get_json()["keys"]} == {first, second}
