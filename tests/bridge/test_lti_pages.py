"""What is shown to whom was launched: a table of who may see whom, and what stands on the pages."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from html import unescape
from typing import Any
from urllib.parse import parse_qs, urlsplit
from uuid import NAMESPACE_URL, uuid5

import jwt
import pytest
from company import COURSE, LMS, Company, done, scored
from cryptography.fernet import Fernet
from flask import Flask
from flask.testing import FlaskClient
from launching import TARGET, launched, page_of, registered
from lti_platform import CLAIM, DEEP_LINKING, GRADE_SCOPES, GRADES, FakePlatform, fake_platform
from sqlalchemy import text

from bridge import access, context, jobs, progress
from bridge.lti import grades, platforms, rosters
from bridge.tokens import TokenStore
from bridge.views import lti as door
from connectors import SourceRefused, lti
from lrs import credentials, db

SCENARIO = f"{LMS}/scenario/9"
COURSE_URL = "{home_page}/course/{context_id}"
SKILLS = f"""\
population: {{team: [North, South]}}
skills:
  - name: listening
    title: Listening <first>
    moments: [an angry customer]
    activities: ["{SCENARIO}"]
    required: 0.6
reinforcement:
  - {{after_days: 14, what: Call Mr <Busy>, who: team lead}}
  - {{after_days: 400, what: Refresher}}
"""
RULES = """\
  - name: practised
    when: verb.endsWith('/attempted')
    fact: practised
    course: parent('/course/')
    score: fraction(result.score)
---
kind: performance
name: helpdesk
"""
SELLING = f"""\
---
kind: program
name: selling
title: Selling
courses: ["{LMS}/course/8"]
completion: {{of: ["{LMS}/lesson/81"]}}
metrics: [deal_won]
---
kind: report
"""
STAFF = [
    ("E1", "Ann Archer", "North", "ann@example.com", "ann"),
    ("E2", "Bo Berg", "South", "bo@example.com", "bo"),
    ("E3", "Cy Clark", "South", "cy@example.com", "cy"),
    ("E4", "Di Dunn", "North", "di@example.com", "di"),
]


def ago(days: int) -> str:
    return (datetime.now(UTC) - timedelta(days=days)).strftime("%Y-%m-%dT%H:%M:%SZ")


def practised(who: str, score: float, at: str) -> dict[str, Any]:
    return done(who, at) | {
        "id": str(uuid5(NAMESPACE_URL, f"{who} practised {at}")),
        "verb": {"id": "http://adlnet.gov/expapi/verbs/attempted"},
        "object": {"id": SCENARIO},
        "result": {"score": {"raw": score, "max": 10}},
    }


def in_selling(who: str, at: str) -> dict[str, Any]:
    said = done(who, at)
    return said | {
        "id": str(uuid5(NAMESPACE_URL, f"{who} sold {at}")),
        "object": {"id": f"{LMS}/lesson/81"},
        "context": {"contextActivities": {"parent": [{"id": f"{LMS}/course/8"}]}},
    }


@pytest.fixture
def trained(company: Company) -> Company:
    """Ann practises well, Bo badly and long ago, both in course 7; Cy in course 8 alone; Di in none."""
    usual = context.settings()
    import dataclasses

    context.keep(company.app, dataclasses.replace(usual, token_keys=(Fernet.generate_key().decode(),)))
    company.change("program.yaml", "assessments:", f"{SKILLS}assessments:")
    company.change("program.yaml", "---\nkind: report\n", SELLING)
    company.change("rules.yaml", "---\nkind: performance\nname: helpdesk\n", RULES)
    company.change(
        "people.yaml",
        "      - mbox: row.email\n",
        f"      - mbox: row.email\n      - account: {{home_page: \"'{LMS}'\", name: row.number}}\n",
    )
    company.staff(STAFF)
    company.post(done("ann", ago(30)), scored("ann", 9, ago(31)), done("bo", ago(30)), in_selling("cy", ago(30)))
    company.post(in_selling("ann", ago(20)))
    company.post(*(practised("ann", 9, ago(day)) for day in range(10, 20)))
    company.post(*(practised("bo", 1, ago(day)) for day in range(40, 52)))
    company.tickets(
        [
            ("T1", ago(40), "ann", ago(40), "40"),
            ("T2", ago(10), "ann", ago(10), "20"),
            ("T3", ago(9), "bo", ago(9), "77"),
        ]
    )
    company.deals([("D1", "cy", "won", ago(5))])
    company.run()
    jobs.publish()
    return company


@pytest.fixture
def platform(trained: Company, app: Flask) -> Iterator[FakePlatform]:
    """Course 7 has a teacher, Ann, Bo and Di; course 8 a teacher, Ann and Cy."""
    with fake_platform() as made:
        made.courses = {"7": "Calm calls", "8": "Selling", "9": "Cooking"}
        made.add_user("T7", "Tea Seven", "t7@example.com", c7="Instructor", c9="Instructor")
        made.add_user("T8", "Tea Eight", "t8@example.com", c8="Instructor")
        made.add_user("E1", "Ann A.", "ann@example.com", c7="Learner", c8="Learner")
        made.add_user("E2", "Bo B.", "bo@example.com", c7="Learner")
        made.add_user("E3", "Cy C.", "cy@example.com", c8="Learner")
        made.add_user("E4", "Di D.", "di@example.com", c7="Learner")
        made.add_user("X", "Nobody Known", "x@example.com", c7="Learner")
        registered(made, home_page=LMS, course_url=COURSE_URL)
        made.tool_keys = lambda: app.test_client().get("/lti/jwks").get_json()
        app.extensions.pop(door._KEY_SETS, None)
        yield made


def come(app: Flask, platform: FakePlatform, user: str, course: str | None, **claims: Any) -> tuple[FlaskClient, str]:
    """Launch; gives the browser and where its session's pages are."""
    browser = app.test_client()
    return browser, page_of(launched(browser, platform, user, course, **claims))


def seen(answer: Any) -> str:
    assert answer.status_code == 200, answer.status
    return unescape(answer.text)


def id_of(key: str) -> int:
    from sqlalchemy import select

    from bridge.models import Learner

    return db.session.scalars(select(Learner.id).filter_by(key=key)).one()


# --- who may see whom -------------------------------------------------------------------------------------------------

ADMINISTRATOR = {f"{CLAIM}/roles": ["http://purl.imsglobal.org/vocab/lis/v2/institution/person#Administrator"]}
SEEN = {
    # (user, course): whose pages open, of everybody's; and which programs
    ("E1", "7"): (set(), set()),
    ("E2", "7"): (set(), set()),
    ("X", "7"): (set(), set()),
    ("E1", None): (set(), set()),
    ("T7", "7"): ({"E1", "E2"}, {"calm-calls"}),
    ("T7", "9"): (set(), set()),
    ("T7", None): (set(), set()),
    ("T8", "8"): ({"E1", "E3"}, {"selling"}),
}


@pytest.mark.parametrize(("user", "course"), SEEN)
def test_everybody_sees_whom_they_may_see_and_nobody_else(
    app: Flask, platform: FakePlatform, user: str, course: str | None
) -> None:
    people, programs = SEEN[user, course]
    browser, page = come(app, platform, user, course)

    opened = {key for key in ("E1", "E2", "E3", "E4") if ok(browser, f"{page}/learners/{id_of(key)}")}
    shown = {name for name in ("calm-calls", "selling") if ok(browser, f"{page}/programs/{name}")}

    assert (opened, shown) == (people, programs)
    assert not ok(browser, f"{page}/programs/unknown")
    assert not ok(browser, f"{page}/learners/{2**70}")


def ok(browser: FlaskClient, path: str) -> bool:
    status = browser.get(path).status_code
    assert status in (200, 404)
    return status == 200


def test_teacher_sees_of_a_learner_only_what_belongs_to_their_course(app: Flask, platform: FakePlatform) -> None:
    browser, page = come(app, platform, "T8", "8")

    text = seen(browser.get(f"{page}/learners/{id_of('E1')}"))

    assert "Selling" in text
    assert "Calm calls" not in text
    assert "Minutes to solve" not in text


def test_session_of_one_course_does_not_open_that_of_another(app: Flask, platform: FakePlatform) -> None:
    browser, seven = come(app, platform, "T7", "7")
    nine = page_of(launched(browser, platform, "T7", "9"))
    other = app.test_client()

    assert seven != nine
    assert browser.get(f"{seven}/programs/calm-calls").status_code == 200  # both are open beside each other
    assert browser.get(f"{nine}/programs/calm-calls").status_code == 404
    assert other.get(f"{seven}/programs/calm-calls").status_code == 401  # the address alone opens nothing
    secret = next(one.value for one in browser._cookies.values() if one.path.rstrip("/") == nine)
    other.set_cookie("lti-session", secret, path="/")
    assert other.get(f"{seven}/programs/calm-calls").status_code == 401


def test_the_same_number_on_another_platform_is_somebody_else(app: Flask, platform: FakePlatform) -> None:
    with fake_platform() as other:
        other.courses = {"7": "Another course"}
        other.add_user("E1", "Not Ann", "ann@example.com", c7="Learner")
        other.add_user("T7", "Not the teacher", "t@example.com", c7="Instructor")
        registered(other, course_url=COURSE_URL, home_page=other.url)
        other.tool_keys = platform.tool_keys
        browser, page = come(app, other, "E1", "7")
        teacher, course = come(app, other, "T7", "7")

        answer = browser.get(f"{page}/")
        assert answer.status_code == 404
        assert "Hello Not Ann, we do not know you yet" in unescape(answer.text)
        assert "Ann Archer" not in answer.text
        assert teacher.get(f"{course}/programs/calm-calls").status_code == 404
        assert teacher.get(f"{course}/learners/{id_of('E1')}").status_code == 404


def test_mail_address_finds_somebody_only_where_the_platform_vouches_for_it(app: Flask, platform: FakePlatform) -> None:
    platform.users["X"].email = "BO@example.com"
    browser, page = come(app, platform, "X", "7")
    assert browser.get(f"{page}/").status_code == 404

    registered(platform, home_page=LMS, course_url=COURSE_URL, match_by=["account", "email"])
    browser, page = come(app, platform, "X", "7")
    assert "Bo Berg" in seen(browser.get(f"{page}/"))

    platform.users["E1"].email = "bo@example.com"  # the account goes first
    browser, page = come(app, platform, "E1", "7")
    assert "Ann Archer" in seen(browser.get(f"{page}/"))


def test_custom_parameters_cannot_make_somebody_else_of_a_person(app: Flask, platform: FakePlatform) -> None:
    """In Moodle a teacher writes them."""
    custom = {f"{CLAIM}/custom": {"sub": "E2", "canvas_user_id": "E2", "context_id": "8", "home_page": LMS}}

    browser, page = come(app, platform, "E1", "7", **custom)

    assert "Ann Archer" in seen(browser.get(f"{page}/"))


@pytest.mark.parametrize(
    ("tenant", "context", "course"),
    [
        ("a", "7", f"{LMS}/a/course/7"),
        ("a/course/8?", "7", None),  # would be another's
        ("a", "7/../8", None),
        ("$Tenant", "7", None),  # a variable that the platform does not know
        (None, "7", None),
    ],
)
def test_course_address_is_not_written_by_whoever_names_a_course(
    app: Flask, platform: FakePlatform, tenant: str | None, context: str, course: str | None
) -> None:
    registered(platform, home_page=LMS, course_url="{home_page}/{custom.tenant}/course/{context_id}")
    row = platforms.named(db.session, platform.url, None)
    claims = {f"{CLAIM}/context": {"id": context}, f"{CLAIM}/custom": {"tenant": tenant} if tenant else {}}

    assert platforms.course_of(row, lti.Launch(claims=claims)) == course


def test_who_left_the_course_is_not_seen_any_more(app: Flask, platform: FakePlatform) -> None:
    browser, page = come(app, platform, "T7", "7")
    path = f"{page}/learners/{id_of('E2')}"
    assert ok(browser, path)

    del platform.users["E2"].courses["7"]
    assert ok(browser, path)  # the roster is kept for some minutes
    make_roster_old()
    assert not ok(browser, path)

    platform.roster_status = 500
    make_roster_old()
    assert "cannot be asked now" in seen(browser.get(f"{page}/programs/calm-calls"))
    assert not ok(browser, f"{page}/learners/{id_of('E1')}")


def make_roster_old() -> None:
    db.session.execute(text("update lti_session set members_at = now() - interval '1 hour'"))
    db.session.commit()


def test_inactive_members_and_other_pages_of_the_roster_are_minded(app: Flask, platform: FakePlatform) -> None:
    """The roster comes two by two: everybody is found, whatever page they are on."""
    browser, page = come(app, platform, "T7", "7")
    text = seen(browser.get(f"{page}/programs/calm-calls"))

    assert "Ann Archer" in text
    assert "Bo Berg" in text
    assert platform.asked.count("GET /members") == 3  # five members
    assert platform.asked.count("POST /token") == 1


def test_administrator_sees_everybody_where_the_registration_says_so(app: Flask, platform: FakePlatform) -> None:
    browser, page = come(app, platform, "X", None, **ADMINISTRATOR)
    assert not ok(browser, f"{page}/programs/calm-calls")

    registered(platform, home_page=LMS, course_url=COURSE_URL, admins_see_all=True)
    browser, page = come(app, platform, "X", None, **ADMINISTRATOR)

    text = seen(browser.get(f"{page}/"))
    assert text.index("Calm calls") < text.index("Selling")
    assert {key for key in ("E1", "E2", "E3", "E4") if ok(browser, f"{page}/learners/{id_of(key)}")} == {
        "E1",
        "E2",
        "E3",
    }
    assert platform.asked.count("GET /members") == 0


# --- what stands there ------------------------------------------------------------------------------------------------


def test_own_page_tells_what_is_known_and_says_what_it_is_not(app: Flask, platform: FakePlatform) -> None:
    browser, page = come(app, platform, "E1", "7")

    text = seen(browser.get(f"{page}/"))

    assert "How I am doing" in text
    assert "Before: 40.00 min, cases: 1. Since: 20.00 min, cases: 1." in text  # the chart in words
    assert "40.00 min" in text.partition("<tbody>")[2]
    assert "They are not an effect of the programme" in text
    assert "✓ ready" in text
    assert "Call Mr <Busy> (team lead)" in text
    assert "coming up. Refresher" in text
    assert "Transfer" in text
    assert "effect of" not in text.replace("not an effect of", "")


def test_who_has_too_little_evidence_is_unknown_and_not_unready(app: Flask, platform: FakePlatform) -> None:
    browser, page = come(app, platform, "E2", "7")

    text = seen(browser.get(f"{page}/"))

    assert "✗ not yet" in text
    assert "Practise Listening <first>, for this moment: an angry customer." in text
    assert "nothing practised around this day" in text  # day 14 is over, and all practice was before training
    standing = progress.of_learner(db.session, _current(), id_of("E3"), now=datetime.now(UTC))
    assert [one.program.name for one in standing] == ["selling"]
    assert standing[0].skills == []


def test_skill_of_which_nothing_was_published_is_unknown(app: Flask, platform: FakePlatform, session: Any) -> None:
    session.execute(text("delete from published_row where feed = 'readiness'"))

    [first, *_] = progress.of_learner(session, _current(), id_of("E2"), now=datetime.now(UTC))

    assert [(one["skill"], one["state"], one["level"]) for one in first.skills] == [("listening", "unknown", None)]
    assert first.counts == {"unknown": 1}


def _current() -> Any:
    from bridge import documents

    return documents.current(db.session)


def test_course_page_says_who_needs_reinforcement_first_and_why(app: Flask, platform: FakePlatform) -> None:
    browser, page = come(app, platform, "T7", "7")

    home = browser.get(f"{page}/")
    assert home.location == f"{page}/programs/calm-calls"  # there is but one
    text = seen(browser.get(home.location))

    assert text.index("Bo Berg") < text.index("Ann Archer")
    assert "Not ready yet: Listening <first>. Nothing practised around" in text
    assert "1 ready, 1 not yet, 0 unknown" in text
    assert "Cy Clark" not in text
    assert "Di Dunn" not in text  # in the course, without a record


def test_learner_who_is_not_known_gets_a_friendly_page(app: Flask, platform: FakePlatform) -> None:
    browser, page = come(app, platform, "X", "7")

    answer = browser.get(f"{page}/")

    assert answer.status_code == 404
    assert "Hello Nobody Known, we do not know you yet" in answer.text


def test_what_the_program_changed_is_hidden_where_others_are_few(app: Flask, platform: FakePlatform) -> None:
    body = {"primary": True, "metric": "m", "metric_title": "Minutes", "sentence": "It got better."}
    db.session.execute(
        text("""
            insert into published_row (feed, key, program, body, checksum) values ('impacts', 'k', :program, :body, 'x')
        """),
        {"program": "calm-calls", "body": json.dumps(body)},
    )
    db.session.commit()
    now, program = datetime.now(UTC), _current().programs["calm-calls"]

    def verdicts(*keys: str) -> int:
        return len(progress.of_people(db.session, program, [id_of(key) for key in keys], now=now).verdicts)

    assert verdicts("E1", "E2") == 1  # everybody
    assert verdicts("E1") == 0  # one other could be told from the two figures


# --- links, rosters, registration -------------------------------------------------------------------------------------


def test_teacher_chooses_links_and_the_platform_gets_them_signed(app: Flask, platform: FakePlatform) -> None:
    settings = {
        "deep_link_return_url": f"{platform.url}/links",
        "accept_types": ["ltiResourceLink"],
        "accept_presentation_document_targets": ["iframe"],
        "data": "opaque",
    }
    claims = {f"{CLAIM}/message_type": "LtiDeepLinkingRequest", DEEP_LINKING: settings}
    browser, page = come(app, platform, "T7", "7", **claims)

    assert "What should the link show?" in seen(browser.get(f"{page}/"))
    assert browser.post(f"{page}/links", data={"link": "selling"}).status_code == 404  # another course's
    answer = browser.post(f"{page}/links", data={"link": ["own", "calm-calls"]})

    text = seen(answer)
    assert f"form-action 'self' {platform.url};" in answer.headers["Content-Security-Policy"]
    assert f'action="{platform.url}/links"' in text
    message = text.partition('name="JWT" value="')[2].partition('"')[0]
    [key] = platform.tool_keys()["keys"]
    told = jwt.decode(message, jwt.PyJWK(key).key, algorithms=["RS256"], audience=platform.url)
    assert told["iss"] == "tool"
    assert told["https://purl.imsglobal.org/spec/lti-dl/claim/data"] == "opaque"
    items = told["https://purl.imsglobal.org/spec/lti-dl/claim/content_items"]
    assert [(item["title"], item["url"]) for item in items] == [
        ("How I am doing", TARGET),
        ("Calm calls", f"{TARGET}?program=calm-calls"),
    ]
    assert browser.post(f"{page}/links", data={"link": "own"}).status_code == 401  # answered once


def test_link_to_a_program_leads_there_and_gives_no_more_rights(app: Flask, platform: FakePlatform) -> None:
    for user, course, leads_to in (
        ("T7", "7", "/programs/calm-calls"),
        ("E1", "7", None),
        ("T8", "8", "/programs/selling"),
    ):
        browser = app.test_client()
        target = {f"{CLAIM}/target_link_uri": f"{TARGET}?program=calm-calls"}
        answer = launched(browser, platform, user, course, **target)
        page = page_of(answer)
        shown = browser.get(answer.location)
        assert shown.location == (None if leads_to is None else f"{page}{leads_to}")


def test_roster_of_the_platform_says_who_is_who(app: Flask, platform: FakePlatform, session: Any) -> None:
    come(app, platform, "T7", "7")
    come(app, platform, "T8", "8")
    row = platforms.named(session, platform.url, None)

    found = rosters.people(session, row, context.tokens())

    assert [one["user_id"] for one in found] == ["T7", "E1", "E2", "E4", "X", "T8", "E3"]
    assert [one["title"] for one in rosters.courses(session, row)] == ["Calm calls", "Selling"]


def test_best_scores_go_into_the_gradebook_and_again_change_nothing(
    app: Flask, platform: FakePlatform, session: Any
) -> None:
    program, row = _current().programs["calm-calls"], platforms.named(session, platform.url, None)
    come(app, platform, "T7", "7")
    with pytest.raises(SourceRefused, match="gives us no gradebook"):
        grades.send(session, row, program, context.tokens(), now=datetime.now(UTC))
    service = {"lineitems": f"{platform.url}/columns", "scope": GRADE_SCOPES}
    come(app, platform, "T7", "7", **{GRADES: service})
    come(app, platform, "T8", "8", **{GRADES: service})  # not of this program

    [told] = grades.send(session, row, program, context.tokens(), now=datetime.now(UTC))
    again = grades.send(session, row, program, context.tokens(), now=datetime.now(UTC))

    assert again == [told]
    assert (told.course, told.sent, told.without_score, told.refused) == (COURSE, 1, 4, {})
    [column] = platform.columns.values()
    assert (column["tag"], column["label"], column["scoreMaximum"]) == (
        "lrs-bridge/calm-calls",
        "Calm calls: best score",
        100,
    )
    [((_, user), grade)] = platform.grades.items()
    assert (user, grade["scoreGiven"], grade["activityProgress"]) == ("E1", 90, "Completed")


def test_score_that_is_refused_stops_no_other(app: Flask, platform: FakePlatform, session: Any) -> None:
    platform.users["E1"].courses["9"] = "Instructor"  # the fake refuses scores of whoever teaches
    come(app, platform, "T7", "7", **{GRADES: {"lineitems": f"{platform.url}/columns", "scope": GRADE_SCOPES}})
    program, row = _current().programs["calm-calls"], platforms.named(session, platform.url, None)

    [told] = grades.send(session, row, program, context.tokens(), now=datetime.now(UTC))

    assert list(told.refused) == ["E1"]
    assert told.sent == 0


@pytest.fixture
def invited(app: Flask, platform: FakePlatform) -> str:
    token = platforms.invite(
        db.session, platform.url, platforms.Given(home_page=LMS, course_url=COURSE_URL), now=datetime.now(UTC)
    )
    db.session.commit()
    platform.registration_tokens.add("given by the platform")
    return f"/lti/configure/{token}"


def asked(platform: FakePlatform, **more: str) -> dict[str, str]:
    usual = {
        "openid_configuration": f"{platform.url}/openid-configuration",
        "registration_token": "given by the platform",
    }
    return usual | more


def test_invited_platform_registers_itself_once(app: Flask, platform: FakePlatform, invited: str) -> None:
    browser = app.test_client()

    answer = browser.get(invited, query_string=asked(platform))

    assert "is registered" in seen(answer)
    [(client, told)] = [(name, one) for name, one in platform.clients.items() if name != "tool"]
    assert told["redirect_uris"] == [TARGET]
    assert told["asked"]["jwks_uri"] == "http://127.0.0.1:8080/lti/jwks"
    assert told["asked"]["scope"] == "https://purl.imsglobal.org/spec/lti-nrps/scope/contextmembership.readonly"
    row = platforms.told(db.session, platforms.named(db.session, platform.url, client))
    assert (row["deployments"], row["home_page"], row["admins_see_all"]) == (["7"], LMS, False)
    assert "/lti/s/" in page_of(launched(browser, platform, "E1", "7", client=client))
    platform.registration_tokens.add("given by the platform")
    assert browser.get(invited, query_string=asked(platform)).status_code == 400  # the invitation was good once


def test_platform_invited_with_grades_is_asked_for_its_gradebooks(app: Flask, platform: FakePlatform) -> None:
    token = platforms.invite(db.session, platform.url, platforms.Given(grades=True), now=datetime.now(UTC))
    db.session.commit()
    platform.registration_tokens.add("given by the platform")

    app.test_client().get(f"/lti/configure/{token}", query_string=asked(platform))

    [told] = [one for name, one in platform.clients.items() if name != "tool"]
    assert set(told["asked"]["scope"].split()) == {*lti.SCOPES, *lti.GRADE_SCOPES}


@pytest.mark.parametrize(
    "what", ["unknown", "elsewhere", "other issuer", "token", "endpoint", "keys", "header", "over", "file"]
)
def test_registration_that_was_not_invited_like_this_is_refused(
    app: Flask, platform: FakePlatform, invited: str, what: str
) -> None:
    query = asked(platform)
    match what:
        case "unknown":
            invited = "/lti/configure/guessed"
        case "elsewhere":  # we call nobody whom the administrator has not named
            query["openid_configuration"] = "http://localhost:1/openid-configuration"
        case "file":
            query["openid_configuration"] = "file:///etc/passwd"
        case "other issuer":
            platform.configuration["issuer"] = "https://another.example.com"
        case "token":
            query["registration_token"] = "guessed"
        case "endpoint":
            platform.configuration["registration_endpoint"] = "http://169.254.169.254/latest"
        case "keys":
            platform.configuration["jwks_uri"] = "http://keys.example.com/"
        case "header":  # it would stand in the policy of our pages
            platform.configuration["authorization_endpoint"] = "https://moodle.example.com; script-src */auth"
        case "over":
            db.session.execute(text("update lti_invitation set expires_at = now()"))
            db.session.commit()

    answer = app.test_client().get(invited, query_string=query)

    assert answer.status_code == 400
    assert [one["client_id"] for one in platforms.everyone(db.session)] == ["tool"]
    if what in ("unknown", "elsewhere", "over", "file"):
        assert "GET /openid-configuration" not in platform.asked


def test_registration_that_failed_leaves_the_invitation(app: Flask, platform: FakePlatform, invited: str) -> None:
    browser = app.test_client()
    assert browser.get(invited, query_string=asked(platform, registration_token="wrong")).status_code == 400

    assert browser.get(invited, query_string=asked(platform)).status_code == 200


def test_address_of_an_invitation_says_what_it_is_for(app: Flask, platform: FakePlatform, invited: str) -> None:
    answer = app.test_client().get(invited)

    assert answer.status_code == 400
    assert "paste it where tools are registered" in answer.text


def test_keys_are_kept_encrypted_and_rotate(app: Flask, platform: FakePlatform, session: Any) -> None:
    from bridge.lti import keys

    first = keys.signing(session, context.tokens())
    session.commit()
    now = datetime.now(UTC)
    second = keys.rotate(session, context.tokens(), now=now)
    session.commit()

    assert keys.signing(session, context.tokens()).kid == second.kid != first.kid
    assert {one["kid"] for one in keys.published(session, now=now)["keys"]} == {first.kid, second.kid}
    later = now + timedelta(days=2)
    assert {one["kid"] for one in keys.published(session, now=later)["keys"]} == {second.kid}
    stored = b"".join(bytes(one) for one in session.scalars(text("select ciphertext from source_token")))
    assert b"PRIVATE KEY" not in stored
    assert "PRIVATE KEY" not in repr(first)
    kept = TokenStore(db.engine, context.settings().token_keys).read(f"lti key {second.kid}")
    assert kept is not None
    assert kept["private_key"].startswith("-----BEGIN PRIVATE KEY")


def test_signing_in_and_a_launch_do_not_mix(app: Flask, platform: FakePlatform) -> None:
    """Whoever is signed in to the reports stays so, and a launch beside it has its own rights."""
    browser = app.test_client()
    made = credentials.create(db.session, name="Boss", scopes=[access.REPORTS], secret_key=context.secret_key())
    db.session.commit()
    form = browser.get("/login").text
    token = form.partition('name="token" value="')[2].partition('"')[0]
    browser.post("/login", data={"key": made.key, "secret": made.secret, "token": token})
    assert browser.get("/reports/calm").status_code == 200

    page = page_of(launched(browser, platform, "E1", "7"))

    assert not ok(browser, f"{page}/programs/calm-calls")
    assert browser.get("/reports/calm").status_code == 200
    assert parse_qs(urlsplit(browser.get("/reports/calm").location or "").query) == {}
    assert COURSE.startswith(LMS)
