"""Pages: who may see them, what they say, and what they carry."""

import json
import re
import socket
from html import unescape
from typing import Any

import pytest
from company import STAFF, Company, done, scored
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import text
from werkzeug.test import TestResponse

import lrs
from bridge import access, bells, context, reports, status
from bridge.views import pages
from lrs import db

SHOWING = ("/", "/reports/calm", "/reports/calm.csv", "/reports/calm.json", "/reports/no-such", "/reports/x.csv")


def issue(*scopes: str) -> dict[str, str]:
    made = lrs.credentials.create(db.session, name="reader", scopes=scopes, secret_key=context.secret_key())
    db.session.commit()
    return {"key": made.key, "secret": made.secret}


def token(client: FlaskClient) -> str:
    found = re.search(r'name="token" value="([^"]+)"', client.get("/login").text)
    assert found
    return found[1]


def sign_in(client: FlaskClient, pair: dict[str, str], **form: str) -> TestResponse:
    return client.post("/login", data={"token": token(client), **pair, **form})


@pytest.fixture
def client(app: Flask) -> FlaskClient:
    return app.test_client()


@pytest.fixture
def signed_in(company: Company, client: FlaskClient) -> FlaskClient:
    """Somebody who may read reports, on the company's finished report."""
    company.post(done("ann"), done("bo"), scored("ann", 9))
    company.run()
    assert sign_in(client, issue(access.REPORTS)).status_code == 302
    return client


# --- who may see them ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", SHOWING)
def test_whoever_is_not_signed_in_is_sent_to_the_login_and_back(client: FlaskClient, path: str) -> None:
    answer = client.get(path)

    assert answer.status_code == 302
    assert answer.location.startswith("/login?next=")
    assert "calm" not in answer.text.replace("next=/reports/calm", "").replace("next=%2Freports%2Fcalm", "")
    assert sign_in(client, issue(access.REPORTS), next=path).location == path


def test_a_wrong_secret_is_refused_with_a_word(client: FlaskClient) -> None:
    pair = issue(access.REPORTS)

    answer = sign_in(client, pair | {"secret": "wrong"})

    assert answer.status_code == 401
    assert "This key and secret do not open the reports" in answer.text
    assert "<title>Error: Sign in" in answer.text
    assert client.get("/").status_code == 302


def test_the_refusal_does_not_tell_which_of_the_two_was_wrong(client: FlaskClient) -> None:
    pair = issue(access.REPORTS)

    def words(answer: TestResponse) -> str:
        return re.sub(r'value="[^"]*"', "", answer.text)

    known, unknown = sign_in(client, pair | {"secret": "x"}), sign_in(client, {"key": "nobody", "secret": "x"})

    assert words(known) == words(unknown)
    assert known.status_code == unknown.status_code


@pytest.mark.parametrize("key", ["", "\0", "ключ", "x" * 10_000])
def test_a_key_that_nobody_could_have_is_refused_like_any_other(client: FlaskClient, key: str) -> None:
    assert sign_in(client, {"key": key, "secret": key}).status_code == 401


def test_the_secret_is_never_sent_back(client: FlaskClient) -> None:
    answer = sign_in(client, {"key": "somebody", "secret": "do-not-echo"})

    assert "do-not-echo" not in answer.text


@pytest.mark.parametrize("scopes", [("statements/write",), ("all",), ("statements/read",)])
def test_a_credential_of_an_lms_opens_no_report(client: FlaskClient, scopes: tuple[str, ...]) -> None:
    assert sign_in(client, issue(*scopes)).status_code == 401
    assert client.get("/").status_code == 302


def test_a_revoked_credential_is_thrown_out_at_the_next_request(signed_in: FlaskClient) -> None:
    assert signed_in.get("/").status_code == 200
    with signed_in.session_transaction() as cookie:
        access.revoke(db.session, cookie["key"])
    db.session.commit()

    assert signed_in.get("/").location.startswith("/login")
    assert signed_in.get("/reports/calm.csv").location.startswith("/login")


def test_signing_out_forgets(signed_in: FlaskClient) -> None:
    assert signed_in.post("/logout").location == "/login"
    assert signed_in.get("/").status_code == 302


def test_a_cookie_of_ones_own_making_opens_nothing(company: Company, client: FlaskClient) -> None:
    pair = issue(access.REPORTS)
    forged = Flask("other", static_folder=None)
    forged.secret_key = "guessed"
    serializer = forged.session_interface.get_signing_serializer(forged)  # type: ignore[attr-defined]
    client.set_cookie("session", serializer.dumps({"key": pair["key"]}))

    assert client.get("/").status_code == 302


# --- forms and redirects -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("sent", [None, "", "guessed", "ключ"])
def test_a_form_that_we_did_not_give_signs_nobody_in(client: FlaskClient, sent: str | None) -> None:
    pair = issue(access.REPORTS)

    answer = client.post("/login", data=pair if sent is None else pair | {"token": sent})

    assert answer.status_code == 400
    assert client.get("/").status_code == 302


def test_a_forms_token_is_good_for_its_own_browser_alone(app: Flask, client: FlaskClient) -> None:
    stolen = token(app.test_client())

    assert client.post("/login", data=issue(access.REPORTS) | {"token": stolen}).status_code == 400


def test_a_form_in_a_second_tab_does_not_spoil_the_first(client: FlaskClient) -> None:
    first = token(client)
    client.get("/login")

    assert client.post("/login", data=issue(access.REPORTS) | {"token": first}).status_code == 302


@pytest.mark.parametrize(
    "target",
    [
        "//evil.example",
        "///evil.example",
        "https://evil.example",
        "http:evil.example",
        "/\\evil.example",
        "\\\\evil.example",
        "/\t/evil.example",  # browsers drop tabs and line ends in addresses
        "/\n/evil.example",
        "\t//evil.example",
        " //evil.example",
        "javascript:alert(1)",
        "data:text/html,x",
        "evil.example",
        "@evil.example",
        "/%2f%2fevil.example/..\r\nSet-Cookie: a=b",
        "",
    ],
)
def test_signing_in_never_leads_to_another_site(client: FlaskClient, target: str) -> None:
    answer = sign_in(client, issue(access.REPORTS), next=target)

    assert answer.status_code == 302
    location = answer.headers["Location"]
    assert re.fullmatch(r"/(?![/\\])[^\t\r\n\\]*", location), location
    assert "Set-Cookie: a=b" not in str(answer.headers)


def test_signing_in_leads_back_to_where_one_wanted_to_go(client: FlaskClient) -> None:
    assert sign_in(client, issue(access.REPORTS), next="/reports/calm?after=E1").location == "/reports/calm?after=E1"


# --- what every answer carries -------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["/login", "/", "/reports/calm", "/reports/calm.csv", "/reports/no-such"])
def test_answers_take_nothing_from_elsewhere_and_are_kept_by_nobody(signed_in: FlaskClient, path: str) -> None:
    answer = signed_in.get(path, buffered=True)

    policy = answer.headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "frame-ancestors 'none'" in policy
    assert "unsafe" not in policy
    assert answer.headers["Cache-Control"] == "private, no-store"
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.headers["Referrer-Policy"] == "no-referrer"


def test_pages_hold_nothing_that_their_own_policy_forbids(signed_in: FlaskClient) -> None:
    for path in ("/login", "/", "/reports/calm", "/reports/no-such"):
        page = signed_in.get(path).text
        assert not re.search(r"<style|<script(?![^>]* src=)|\son\w+=|\sstyle=", page), path
        assert not re.search(r'(src|href|action)="(https?:)?//', page), path


def test_the_cookie_is_kept_from_scripts_and_other_sites(client: FlaskClient) -> None:
    cookie = sign_in(client, issue(access.REPORTS)).headers["Set-Cookie"]

    assert "HttpOnly" in cookie
    assert "SameSite=Lax" in cookie


@pytest.mark.parametrize(
    ("file", "kind"), [("pages.css", "text/css"), ("times.js", "text/javascript"), ("icon.svg", "image/svg+xml")]
)
def test_style_and_script_are_served_to_all(client: FlaskClient, file: str, kind: str) -> None:
    answer = client.get(f"/static/{file}", buffered=True)

    assert (answer.status_code, answer.mimetype) == (200, kind)


# --- what they show ------------------------------------------------------------------------------------------------


def test_the_home_page_leads_to_each_report_and_counts_its_learners(signed_in: FlaskClient) -> None:
    page = signed_in.get("/").text

    assert '<a href="/reports/calm">Calm calls and time to solve</a>' in page
    assert "2 learners, 2 of them completed" in page


def test_the_home_page_says_what_needs_a_person(company: Company, signed_in: FlaskClient) -> None:
    assert "Nothing." in signed_in.get("/").text

    company.change("program.yaml", "courses:", "coursess:")
    company.tickets([("T9", "soon", "ann", "", "")])
    company.run()

    page = unescape(signed_in.get("/").text)
    assert "The key 'coursess' is not known here" in page
    assert "Nothing." not in page


def test_before_anything_is_loaded_the_home_page_says_how_a_report_is_made(client: FlaskClient) -> None:
    sign_in(client, issue(access.REPORTS))

    assert "There is no report yet" in client.get("/").text
    assert client.get("/reports/calm").status_code == 404


def test_a_report_shows_its_figures_with_their_counts_and_its_caveat(signed_in: FlaskClient) -> None:
    page = unescape(signed_in.get("/reports/calm").text)

    assert reports.CAVEAT in page
    assert re.search(r'<th scope="row"><a href="/reports/calm/learners/E1">E1</a></th>\s*<td>Ann Archer</td>', page)
    assert re.search(r'<td class="number">22\.50 <span class="count">\(2\)</span></td>', page)
    assert "90%" in page


def test_a_report_without_learners_is_a_page_all_the_same(company: Company, client: FlaskClient) -> None:
    company.run()
    sign_in(client, issue(access.REPORTS))

    answer = client.get("/reports/calm")

    assert answer.status_code == 200
    assert "Nobody" in answer.text


def test_a_report_is_shown_in_pages_that_follow_each_other(signed_in: FlaskClient, monkeypatch: Any) -> None:
    monkeypatch.setattr(pages, "ROWS", 1)

    first = signed_in.get("/reports/calm").text
    following = re.search(r'href="(/reports/calm\?after=[^"]+)"', first)
    assert following
    second = signed_in.get(following[1]).text

    assert ("Ann Archer" in first, "Bo Berg" in first) == (True, False)
    assert ("Ann Archer" in second, "Bo Berg" in second) == (False, True)
    assert "?after=" not in second


def test_files_are_downloads_with_the_whole_report(signed_in: FlaskClient, monkeypatch: Any) -> None:
    monkeypatch.setattr(pages, "ROWS", 1)

    table, data = (signed_in.get(f"/reports/calm.{form}", buffered=True) for form in ("csv", "json"))

    assert table.headers["Content-Disposition"] == 'attachment; filename="calm.csv"'
    assert table.mimetype == "text/csv"
    assert len(table.text.splitlines()) == 3
    assert [row["learner"] for row in json.loads(data.text)["rows"]] == ["E1", "E2"]


def test_a_place_in_a_report_that_nobody_can_have_shows_nobody(signed_in: FlaskClient) -> None:
    assert signed_in.get("/reports/calm?after=%00").status_code == 200
    assert "Ann Archer" not in signed_in.get("/reports/calm?after=%F0%9F%8E%93").text


@pytest.mark.parametrize("path", ["/reports/clam", "/reports/clam.csv", "/reports/clam.json"])
def test_an_unknown_report_names_the_nearest(signed_in: FlaskClient, path: str) -> None:
    answer = signed_in.get(path)

    assert answer.status_code == 404
    assert "Did you mean 'calm'?" in unescape(answer.text)


def test_what_people_are_called_is_text_and_never_markup(company: Company, client: FlaskClient) -> None:
    evil = '<script>alert(1)</script>"><img src=x onerror=alert(1)>'
    company.staff([(evil, evil, evil, *STAFF[0][3:]), STAFF[1]])
    company.change("program.yaml", "title: Calm calls and time to solve", "title: '<b>Calm</b> & co'")
    company.post(done("ann"), done("bo"))
    company.run()
    sign_in(client, issue(access.REPORTS))

    for path in ("/", "/reports/calm", "/reports/calm?after=%3Cscript%3E", "/reports/%3Cscript%3Ealert(1)"):
        page = client.get(path).text
        assert "<script>" not in page, path
        assert "<img" not in page, path
        assert "<b>" not in page, path
    assert "&lt;script&gt;alert(1)" in client.get("/reports/calm").text


def test_what_was_asked_for_comes_back_as_text(client: FlaskClient) -> None:
    assert "<script>" not in client.get('/login?next="><script>alert(1)</script>').text


# --- health --------------------------------------------------------------------------------------------------------


def test_health_is_open_and_says_nothing_but_that(client: FlaskClient) -> None:
    assert client.get("/healthz").json == {"status": "alive"}
    assert client.get("/readyz").json == {"status": "ready"}


def test_without_the_broker_it_lives_and_is_not_ready(app: Flask, client: FlaskClient) -> None:
    usual = app.extensions["lrs-bridge-broker"]
    with socket.create_server(("127.0.0.1", 0)) as gone:
        port = gone.getsockname()[1]
    bells.init_app(app, f"redis://127.0.0.1:{port}")
    try:
        ready, alive = client.get("/readyz"), client.get("/healthz")
    finally:
        app.extensions["lrs-bridge-broker"] = usual

    assert (ready.status_code, ready.json) == (503, {"status": "the broker does not answer"})
    assert alive.status_code == 200


def test_without_the_database_it_lives_and_is_not_ready(client: FlaskClient, monkeypatch: Any) -> None:
    monkeypatch.setattr(status, "text", lambda _: text("select pg_terminate_backend(pg_backend_pid())"))

    ready = client.get("/readyz")
    db.session.rollback()

    assert (ready.status_code, ready.json) == (503, {"status": "the database does not answer"})
    assert client.get("/healthz").status_code == 200


def test_the_home_page_says_what_needs_a_person_and_what_to_run(signed_in: FlaskClient, company: Company) -> None:
    liked = done("ann") | {"id": "0b1d5f3e-0000-4000-8000-000000000001", "verb": {"id": "http://example.com/liked"}}
    company.change("rules.yaml", "    score: fraction(result.score)", "    score: result.score.raw")
    company.post(liked)
    sender = lrs.credentials.create(db.session, name="LMS", scopes=["all"], secret_key=context.secret_key())
    db.session.commit()
    refused = company.app.test_client().post(
        "/xapi/statements",
        json=[{"actor": {}}],
        auth=(sender.key, sender.secret),
        headers={"X-Experience-API-Version": "1.0.3"},
    )
    assert refused.status_code == 400
    for _ in range(3):
        company.run()

    page = unescape(signed_in.get("/").text)

    needs = page.partition("What needs a person")[2]
    assert re.search(r"In quarantine.*lms/quiz: .*\(1 item\).*lrs-bridge mapping quarantine", needs, re.DOTALL)
    assert re.search(r"no rule reads.*http://example.com/liked on Activity: 1 of the last 4", needs, re.DOTALL)
    assert "1 wait to be replayed or dropped." in needs
