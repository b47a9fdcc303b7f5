"""`lrs-bridge lti`: writing platforms down, showing them, taking them away; rosters."""

import dataclasses
import json
from collections.abc import Callable, Iterator

import pytest
from click.testing import Result
from company import LMS, Company
from cryptography.fernet import Fernet
from flask import Flask
from launching import launched, registered
from lti_platform import FakePlatform, fake_platform

from bridge import context

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
