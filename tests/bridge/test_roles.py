"""Who is let in where: every role at every endpoint, from the wrong side too, and whose data each may be told.

A new endpoint without a line in `TABLE` fails; so does one that tells a narrowed key of somebody whom it does not see.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote

import pytest
from company import COURSE, Company, done
from flask import Flask
from flask.testing import FlaskClient
from viewers import CALM, EVERYBODY, NORTH, SAFE, SAFETY, SOUTH, Viewer, fill, issue, public_id
from werkzeug.routing import Rule
from werkzeug.test import TestResponse

from bridge import access
from lrs import db

STRANGERS = ("nobody", "wrong secret", "revoked")
NARROWED = ("by program", "by team", "by course")
ROLES = (*STRANGERS, "xapi", "reports", *NARROWED, "people", "programs")
SEES: Mapping[str, tuple[str, ...]] = {
    "reports": EVERYBODY,
    "by program": (*NORTH, *SOUTH),
    "by team": SOUTH,
    "by course": (*NORTH[:2], "willow", "poplar"),
}
"""Of whom a role may be told; all others of nobody."""

Statuses = tuple[int, int, int]
"""Of keys narrowed to the program of calm calls, to the team South, and to the course of safety."""
SEEN, CLOSED, FREE_OF_TEAMS = (200, 200, 200), (403, 403, 403), (200, 200, 403)
OF_CALM = (200, 200, 404)
"""Whoever sees safety alone finds no calm calls."""


@dataclass(frozen=True)
class Ask:
    """A request, and what it is answered with."""

    path: str
    reports: int = 200
    """To who may read reports of everything."""
    narrowed: Statuses = CLOSED
    method: str = "GET"
    writer: str = ""
    """The role that may change this: then nobody else is let in."""
    written: int = 200
    json: Any = field(default_factory=dict)


def api(path: str, narrowed: Statuses = SEEN, reports: int = 200) -> Ask:
    return Ask(f"/api/v1/{path}", reports, narrowed)


def change(path: str, writer: str, written: int, method: str = "POST", **rest: Any) -> Ask:
    return Ask(f"/api/v1/{path}", 403, CLOSED, method, writer, written, **rest)


def feed(name: str) -> list[Ask]:
    return [api(name), api(f"{name}?limit=3&site=https://lms.example.com"), api(f"{name}?team=North&program={CALM}")]


LEARNER_OF_NORTH, LEARNER_OF_SOUTH, LEARNER_OF_EAST = "emp-cedar", "emp-larch", "emp-poplar"

API: Mapping[str, list[Ask]] = {
    "api.mappings.show_coverage": [api("mapping/coverage", CLOSED)],
    "api.mappings.show_explanation": [api("explain?record=helpdesk/T0-60", CLOSED)],
    "api.people.list_learners": [api("learners"), api("learners?limit=2")],
    "api.people.show_learner": [
        api(f"learners/{LEARNER_OF_NORTH}", (200, 404, 404)),
        api(f"learners/{LEARNER_OF_SOUTH}", (200, 200, 404)),
        api(f"learners/{LEARNER_OF_EAST}", (404, 404, 200)),
        api("learners/mbox:mailto:poplar@example.com", (404, 404, 200)),
        api("learners/no-such", (404, 404, 404), 404),
    ],
    "api.people.list_unmatched": [api("unmatched", CLOSED)],
    "api.people.list_suggestions": [api("suggestions", CLOSED)],
    "api.people.list_decisions": [api("decisions", CLOSED), api(f"decisions?learner={LEARNER_OF_SOUTH}", CLOSED)],
    "api.reconciliations.list_reconciliations": [
        api("reconciliations", CLOSED),
        api("reconciliations?area=identities&differences=5", CLOSED),
    ],
    "api.people.merge": [change("learners/merge", "people", 400)],
    "api.people.split": [change("learners/split", "people", 400)],
    "api.people.undo": [change("decisions/1/undo", "people", 404)],
    "api.programs.list_programs": [api("programs")],
    "api.programs.show_program": [api(f"programs/{CALM}", OF_CALM), api(f"programs/{SAFE}", (404, 200, 200))],
    "api.programs.put_program": [change(f"programs/{CALM}", "programs", 400, "PUT", json=[])],
    "api.programs.take_back_program": [change(f"programs/{CALM}", "programs", 404, "DELETE")],
    "api.programs.launch_program": [change(f"programs/{CALM}/launch", "programs", 409)],
    "api.programs.show_impact": [api(f"programs/{CALM}/impact", OF_CALM)],
    "api.programs.show_provenance": [
        api(f"programs/{CALM}/learners/{LEARNER_OF_NORTH}/provenance", (200, 404, 404)),
        api(f"programs/{CALM}/learners/{LEARNER_OF_SOUTH}/provenance", (200, 200, 404)),
        api(f"programs/{SAFE}/learners/{LEARNER_OF_EAST}/provenance", (404, 404, 200)),
        api(f"programs/{SAFE}/learners/{LEARNER_OF_SOUTH}/provenance", (404, 404, 404), 404),
    ],
    "api.plugins.list_changes": [
        api(f"changes?feed={name}&limit=1000") for name in ("records", "measures", "impacts", "readiness", "health")
    ],
    "api.plugins.records": feed("records"),
    "api.plugins.measures": feed("measures"),
    "api.plugins.impacts": feed("impacts"),
    "api.plugins.readiness": feed("readiness"),
    "api.plugins.health": feed("health"),
    "api.plugins.list_reports": [api("reports")],
    "api.plugins.show_report": [api("reports/calm", OF_CALM), api("reports/safe", (404, 200, 200))],
}

PAGES: Mapping[str, list[Ask]] = {
    "pages.home": [Ask("/", narrowed=SEEN)],
    "pages.report": [
        Ask("/reports/calm", narrowed=OF_CALM),
        Ask("/reports/calm.csv", narrowed=OF_CALM),
        Ask("/reports/calm.json", narrowed=OF_CALM),
        Ask("/reports/safe", narrowed=(404, 200, 200)),
        Ask("/reports/safe.csv", narrowed=(404, 200, 200)),
        Ask("/reports/none", 404, (404, 404, 404)),
    ],
    "pages.learner": [
        Ask(f"/reports/calm/learners/{LEARNER_OF_NORTH}", narrowed=(200, 404, 404)),
        Ask(f"/reports/calm/learners/{LEARNER_OF_SOUTH}", narrowed=(200, 200, 404)),
        Ask(f"/reports/safe/learners/{LEARNER_OF_EAST}", narrowed=(404, 404, 200)),
    ],
    "effects.listed": [Ask("/programs/", narrowed=SEEN)],
    "effects.show": [
        Ask(f"/programs/{CALM}", narrowed=OF_CALM),
        Ask(f"/programs/{CALM}.json", narrowed=OF_CALM),
        Ask(f"/programs/{CALM}.csv", narrowed=OF_CALM),
        Ask(f"/programs/{SAFE}", narrowed=(404, 200, 200)),
    ],
    "effects.evidence": [Ask(f"/programs/{CALM}/evidence", narrowed=OF_CALM)],
    "capability.skills": [
        Ask(f"/programs/{CALM}/skills", narrowed=OF_CALM),
        Ask(f"/programs/{SAFE}/skills", narrowed=(404, 200, 403)),
    ],
    "capability.skills_file": [
        Ask(f"/programs/{CALM}/skills.{ending}", narrowed=OF_CALM) for ending in ("json", "csv")
    ],
    "capability.hindrances": [
        Ask(f"/programs/{CALM}/obstacles", narrowed=OF_CALM),
        Ask(f"/programs/{SAFE}/obstacles", narrowed=(404, 200, 403)),
    ],
    "capability.hindrances_file": [
        Ask(f"/programs/{CALM}/obstacles.{ending}", narrowed=OF_CALM) for ending in ("json", "csv")
    ],
}

OPEN: Mapping[str, str] = {
    "health.healthz": "/healthz",
    "health.readyz": "/readyz",
    "signing_in.show": "/login",
    "signing_in.static": "/static/pages.css",
    "xapi.about.read": "/xapi/about",
    "xapi.openapi.read": "/xapi/openapi.json",
    "api.openapi.show": "/api/v1/openapi.json",
}
"""Alike for all."""

DOORS: Mapping[str, tuple[str, str, int]] = {
    "signing_in.sign_in": ("POST", "/login", 400),
    "signing_in.sign_out": ("POST", "/logout", 302),
    "webhooks.receive": ("POST", "/webhooks/helpdesk", 401),
    "live_events.receive": ("POST", "/live-events/helpdesk", 401),
}
"""With keys of their own, or none: whoever comes with one of ours is a stranger."""

LAUNCHED = ("lti", "lti_pages")
"""Doors and pages of whoever is launched by an LMS, which knows none of our keys; tests/bridge/test_lti_pages.py holds
them to roles of theirs."""
TOLD_TO_ALL = {"lti.jwks": 200, "lti.configuration": 200}
"""What an LMS must know of us."""


def endpoints(app: Flask) -> Iterator[Rule]:
    """Give every endpoint of ours but those of the LRS and of launches, which are tried by rule."""
    for rule in app.url_map.iter_rules():
        if rule.endpoint.partition(".")[0] not in ("xapi", *LAUNCHED):
            yield rule


def test_every_endpoint_stands_in_a_table(app: Flask) -> None:
    known = {*API, *PAGES, *OPEN, *DOORS, "api.unknown"}

    assert {rule.endpoint for rule in endpoints(app)} == {one for one in known if not one.startswith("xapi.")}


@dataclass
class Cast:
    """Somebody of each role."""

    app: Flask
    keys: Mapping[str, Viewer]
    words: Mapping[str, set[str]]
    """By role, what only a body that tells too much has: logins, and what feeds call people."""

    def calls(self, role: str, path: str, method: str = "GET", **rest: Any) -> TestResponse:
        """Call as another program does."""
        db.session.rollback()
        headers = self.keys[role].headers if role in self.keys else {}
        version = {"X-Experience-API-Version": "1.0.3"}
        return self.app.test_client().open(path, method=method, headers=headers | version, **rest)

    def browser(self, role: str) -> FlaskClient:
        """Give the browser of somebody who has tried to sign in."""
        client = self.app.test_client()
        if role in self.keys and role != "revoked":
            assert self.keys[role].sign_in(client) == (302 if role in SEES else 401), role
        if role == "revoked":
            with client.session_transaction() as cookie:
                cookie["key"] = self.keys[role].key
        return client

    def told_too_much(self, role: str, path: str, answer: TestResponse) -> set[str]:
        """Give whom an answer tells of that it should not; what the path says is an echo."""
        place = unquote(path).partition("?")[0]
        text = answer.text.lower().replace(place, "").replace(place.rpartition("/")[2], "")
        for word in re.findall(r"[\w-]+", place):
            text = text.replace(f"'{word}'", "").replace(f"&#39;{word}&#39;", "")
        return {word for word in self.words[role] if word in text}


@pytest.fixture
def cast(company: Company) -> Cast:
    fill(company)
    keys = {
        "wrong secret": Viewer(issue().key, "wrong"),
        "revoked": issue(),
        "xapi": issue("all"),
        "reports": issue(),
        "by program": issue(program=CALM),
        "by team": issue(team="South"),
        "by course": issue(course=SAFETY),
        "people": issue(access.PEOPLE),
        "programs": issue(access.PROGRAMS),
    }
    access.revoke(db.session, keys["revoked"].key)
    db.session.commit()
    ids = {who: public_id(who) for who in EVERYBODY}
    words = {
        role: {word for who in EVERYBODY if who not in SEES.get(role, ()) for word in (who, ids[who])} for role in ROLES
    }
    return Cast(company.app, keys, words)


def expected(role: str, ask: Ask) -> int:
    """Give what a program of this role is answered."""
    if role in STRANGERS:
        return 401
    if role in NARROWED:
        return ask.narrowed[NARROWED.index(role)]
    if role == "reports":
        return ask.reports
    return ask.written if role == ask.writer else 403


def test_every_role_is_answered_by_the_api_as_the_table_has_it(cast: Cast) -> None:
    wrong = []
    for name, asks in API.items():
        for ask in asks:
            for role in ROLES:
                answer = cast.calls(role, ask.path, ask.method, json=ask.json if ask.method != "GET" else None)
                if answer.status_code != expected(role, ask):
                    wrong.append((name, ask.path, role, answer.status_code, expected(role, ask)))
                if leaks := cast.told_too_much(role, ask.path, answer):
                    wrong.append((name, ask.path, role, sorted(leaks)))

    assert not wrong, "\n".join(map(str, wrong))


def test_every_role_is_shown_the_pages_that_the_table_has(cast: Cast) -> None:
    wrong = []
    for role in ROLES:
        client = cast.browser(role)
        for name, asks in PAGES.items():
            for ask in asks:
                db.session.rollback()
                answer = client.get(ask.path, buffered=True)
                status = expected(role, ask) if role in SEES else 302
                if answer.status_code != status:
                    wrong.append((name, ask.path, role, answer.status_code, status))
                if leaks := cast.told_too_much(role, ask.path, answer):
                    wrong.append((name, ask.path, role, sorted(leaks)))

    assert not wrong, "\n".join(map(str, wrong))


def test_what_is_seen_is_shown_indeed(cast: Cast) -> None:
    """Nobody would notice a table of empty pages."""
    for role, they in SEES.items():
        client = cast.browser(role)
        answers = [client.get(f"/reports/{name}.csv", buffered=True).text for name in ("calm", "safe")]
        answers += [cast.calls(role, f"/api/v1/{name}?limit=1000").text for name in ("records", "measures", "learners")]
        answers += [cast.calls(role, "/api/v1/changes?feed=records&limit=1000").text]
        listed, *feeds = "".join(answers[:2]), *answers[2:]
        for text in (listed, *feeds):
            assert {who for who in EVERYBODY if who in text.lower()} == set(they), role


def test_a_cookie_opens_no_api_and_a_header_no_page(cast: Cast) -> None:
    for role in SEES:
        client = cast.browser(role)
        assert {client.get(ask.path).status_code for asks in API.values() for ask in asks if ask.method == "GET"} == {
            401
        }
        assert {cast.calls(role, ask.path).status_code for asks in PAGES.values() for ask in asks} == {302}


def test_what_is_not_there_is_told_to_those_who_are_known_alone(cast: Cast) -> None:
    for role in ROLES:
        for path in ("/api/", "/api/v1/no-such", "/api/v2/learners"):
            assert cast.calls(role, path).status_code == (401 if role in STRANGERS else 404), (role, path)


def test_what_is_open_is_alike_for_all(cast: Cast) -> None:
    for path in OPEN.values():
        answers = [cast.calls(role, path, buffered=True) for role in ROLES]
        assert {answer.status_code for answer in answers} == {200}
        assert not any(cast.told_too_much("nobody", path, answer) for answer in answers)


def test_doors_with_keys_of_their_own_know_none_of_ours(cast: Cast) -> None:
    for method, path, status in DOORS.values():
        for role in ROLES:
            for answer in (cast.calls(role, path, method), cast.browser(role).open(path, method=method)):
                assert answer.status_code == status, (role, path)
                assert not cast.told_too_much("nobody", path, answer)


def test_the_lrs_is_for_scopes_of_xapi(cast: Cast) -> None:
    """Whoever sees reports, all or some, may not read a statement of anybody: these are narrowed by nothing."""
    rules = [one for one in cast.app.url_map.iter_rules() if one.endpoint.startswith("xapi.")]
    asked = 0
    for rule in (one for one in rules if one.endpoint not in OPEN):
        path = _path(rule)
        for method in (rule.methods or {"GET"}) - {"OPTIONS"}:
            for role in ROLES:
                answer = cast.calls(role, path, method, json=done())
                let_in = rule.endpoint == "xapi.unknown" and role not in STRANGERS
                asked += 1
                if role in STRANGERS:
                    assert answer.status_code == 401, (rule, method, role)
                elif role != "xapi" and not let_in:
                    assert answer.status_code == 403, (rule, method, role)
                else:
                    assert answer.status_code not in (401, 403, 500), (rule, method, role)
                if role != "xapi":
                    assert not cast.told_too_much("nobody", rule.rule, answer), (rule, method, role)
    assert asked > 200


def test_what_an_lms_launches_opens_to_no_key_of_ours(cast: Cast) -> None:
    rules = [one for one in cast.app.url_map.iter_rules() if one.endpoint.partition(".")[0] in LAUNCHED]
    for role in ROLES:
        client = cast.browser(role)
        for rule in rules:
            path = _path(rule)
            for method in sorted((rule.methods or set()) - {"OPTIONS", "HEAD"}):
                for answer in (cast.calls(role, path, method), client.open(path, method=method)):
                    told = TOLD_TO_ALL.get(rule.endpoint)
                    assert answer.status_code in ([told] if told else [400, 401, 403, 404]), (rule, method, role)
                    assert not cast.told_too_much("nobody", path, answer), (rule, method, role)


def _path(rule: Rule) -> str:
    path = rule.build({name: _value(rule, name) for name in rule.arguments}, append_unknown=False)
    return str(path[1] if path else "")


def _value(rule: Rule, name: str) -> object:
    kind = type(rule._converters.get(name)).__name__
    return {"UUIDConverter": "0b1d5f3e-0000-4000-8000-000000000001", "IntegerConverter": 1}.get(kind, "x")


def test_words_of_everybody_are_told_apart(cast: Cast) -> None:
    """The check itself can fail: whoever sees everything is told of those whom others are not."""
    for role in ("nobody", *NARROWED):
        assert cast.told_too_much(role, "/", cast.calls("reports", "/api/v1/records?limit=1000"))
    assert COURSE != SAFETY
