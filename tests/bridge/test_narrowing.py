"""Narrowed keys: making them, what they are told and what not, and how they learn that a row is no longer theirs."""

import json
from collections.abc import Callable
from html import unescape
from typing import Any
from urllib.parse import parse_qs

import pytest
from click.testing import Result
from company import COURSE, Company
from flask.testing import FlaskClient
from viewers import CALM, EAST, NORTH, SAFE, SAFETY, SOUTH, Viewer, fill, issue, move, public_id, said, write

from bridge import access, documents, jobs, narrowing, programs, provenance
from bridge.errors import NotFound, UnknownName
from bridge.narrowing import Narrowing
from lrs import db

Run = Callable[..., Result]


@pytest.fixture
def filled(company: Company) -> Company:
    fill(company)
    return company


@pytest.fixture
def written(company: Company) -> Company:
    """Documents and learners, without facts."""
    write(company)
    company.run()
    return company


def get(company: Company, viewer: Viewer, path: str, status: int = 200, **query: object) -> Any:
    db.session.rollback()
    answer = company.app.test_client().get(f"/api/v1/{path}", headers=viewer.headers, query_string=query)
    assert answer.status_code == status, answer.text
    return json.loads(answer.text)


def browser(company: Company, viewer: Viewer) -> FlaskClient:
    client = company.app.test_client()
    assert viewer.sign_in(client) == 302
    return client


# --- making them ------------------------------------------------------------------------------------------------------


def created(run: Run, *arguments: str) -> dict[str, Any]:
    done = run("credential", "create", "--name", "Moodle", "--scope", "reports/read", "--json", *arguments)
    assert done.exit_code == 0, done.output
    return json.loads(done.output)


def test_a_key_is_made_narrowed_and_listed_with_what_it_sees(written: Company, lrs_bridge: Run) -> None:
    made = created(lrs_bridge, "--program", CALM, "--program", SAFE, "--team", "South", "--course", COURSE)

    seen = {"programs": [CALM, SAFE], "teams": ["South"], "courses": [COURSE]}
    assert {name: made[name] for name in seen} == seen
    assert "notes" not in made
    listed = json.loads(lrs_bridge("credential", "list", "--json").output)
    assert {name: listed[0][name] for name in seen} == seen
    assert {listed[-1][name] for name in seen} == {None}
    found = narrowing.of(db.session, made["key"])
    assert found == Narrowing(frozenset({CALM, SAFE}), frozenset({"South"}), frozenset({COURSE}))


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--program", "calm-call"], "Did you mean 'calm-calls'?"),
        (["--course", f"{COURSE}0"], f"Did you mean '{COURSE}'?"),
        (["--course", "x"], "Write it as `courses` of a program does."),
        (["--team", "South", "--scope", "all"], "and no other"),
        (["--team", "South", "--scope", "people/write"], "Make one more credential"),
    ],
)
def test_a_narrowed_key_that_would_see_nothing_or_more_is_refused(
    written: Company, lrs_bridge: Run, arguments: list[str], words: str
) -> None:
    before = len(access.everyone(db.session))

    done = lrs_bridge("credential", "create", "--name", "x", "--scope", "reports/read", *arguments)

    assert done.exit_code == 2
    assert words in done.output
    assert len(access.everyone(db.session)) == before


def test_a_team_that_nobody_is_in_is_told_of(written: Company, lrs_bridge: Run) -> None:
    made = created(lrs_bridge, "--team", "Nroth")

    assert made["notes"] == ["Nobody is in the team 'Nroth' today. Did you mean 'North'?"]


def test_limits_are_changed_kind_by_kind_and_taken_away(written: Company, lrs_bridge: Run) -> None:
    key = created(lrs_bridge, "--program", CALM, "--team", "South")["key"]

    def changed(*arguments: str) -> tuple[Any, ...]:
        done = lrs_bridge("credential", "change", key, "--json", *arguments)
        assert done.exit_code == 0, done.output
        told = json.loads(done.output)
        return told["programs"], told["teams"], told["courses"]

    assert changed("--team", "North", "--team", "East") == ([CALM], ["East", "North"], None)
    assert changed("--rate", "5") == ([CALM], ["East", "North"], None)
    assert changed("--see-all", "--course", SAFETY) == (None, None, [SAFETY])
    assert changed("--see-all") == (None, None, None)
    assert lrs_bridge("credential", "change", key, "--team", "Hidden", "--scope", "all").exit_code == 2
    assert narrowing.of(db.session, key) == narrowing.EVERYTHING


def test_a_narrowed_key_gets_no_other_scope_later_and_its_limits_outlive_its_secret(
    written: Company, lrs_bridge: Run
) -> None:
    key = created(lrs_bridge, "--team", "South")["key"]

    wider = lrs_bridge("credential", "change", key, "--scope", "reports/read", "--scope", "statements/read")
    assert (wider.exit_code, "and no other" in wider.output) == (2, True)
    assert lrs_bridge("credential", "rotate", key).exit_code == 0
    assert narrowing.of(db.session, key).teams == {"South"}


# --- what they are told -----------------------------------------------------------------------------------------------


def test_kinds_of_limits_narrow_each_other(filled: Company) -> None:
    viewer = issue(program=SAFE, team="North")

    found = get(filled, viewer, "learners")["items"]

    assert {one["key"] for one in found} == {f"emp-{one}" for one in NORTH[:2]}
    assert [one["name"] for one in get(filled, viewer, "programs")["items"]] == [SAFE]


def test_a_course_shows_those_who_took_it_in_programs_that_have_it(filled: Company) -> None:
    filled.change("program.yaml", f'courses: ["{COURSE}"]', f'courses: ["{COURSE}", "{COURSE}/b"]')
    filled.post(said("willow", "completed", f"{COURSE}/b/1", f"{COURSE}/b", 3))
    filled.change("program.yaml", "population: {team: [North, South]}\n", "")
    filled.run()

    db.session.rollback()
    other, usual = issue(course=f"{COURSE}/b"), issue(course=COURSE)
    assert [one["key"] for one in get(filled, other, "learners")["items"]] == ["emp-willow"]
    assert "emp-willow" not in {one["key"] for one in get(filled, usual, "learners")["items"]}


def test_what_a_key_does_not_see_is_not_found_in_the_same_words(filled: Company) -> None:
    viewer = issue(team="South")

    def words(path: str, name: str) -> str:
        return get(filled, viewer, path.format(name), 404)["detail"].replace(name, "X")

    for path in ("learners/{}", f"programs/{CALM}/learners/{{}}/provenance"):
        assert words(path, "emp-alder") == words(path, "emp-nobody")
    narrow = issue(program=SAFE)
    told = get(filled, narrow, f"programs/{CALM}", 404)["detail"]
    assert (told.count(CALM), SAFE in told) == (1, True)
    with pytest.raises(UnknownName, match=SAFE):
        programs.find(Narrowing(programs=frozenset({SAFE})).of(documents.current(db.session)), CALM)


def test_attributes_that_name_other_people_are_left_out(filled: Company) -> None:
    everything, narrowed = (get(filled, viewer, "learners/emp-larch") for viewer in (issue(), issue(team="South")))

    assert everything["attributes"] == {"team": "South", "manager": "emp-willow"}
    assert narrowed["attributes"] == {"team": "South"}
    assert [one["attribute"] for one in narrowed["periods"]] == ["team"]
    assert [one["alias"] for one in narrowed["aliases"]] == [one["alias"] for one in everything["aliases"]]


def test_decisions_about_people_and_the_order_of_a_draw_are_for_those_who_see_everything(filled: Company) -> None:
    people = issue(access.REPORTS, access.PEOPLE)
    sent = {"aliases": ["user:crm|larch"], "to": "emp-larch", "because": "as emp-alder says"}
    headers = people.headers
    assert filled.app.test_client().post("/api/v1/learners/split", headers=headers, json=sent).status_code == 200
    current = documents.current(db.session)
    programs.note_draw(db.session, current, CALM, by="Ines", details={"seed": 1, "waves": {"emp-alder": 1}})
    db.session.commit()

    everything, narrowed = issue(), issue(team="South")
    assert "emp-alder" in json.dumps(get(filled, everything, "learners/emp-larch"))
    assert get(filled, narrowed, "learners/emp-larch")["history"] == []
    assert get(filled, everything, f"programs/{CALM}")["history"][-1]["details"]["seed"] == 1
    told = get(filled, narrowed, f"programs/{CALM}")["history"]
    assert [(one["what"], one["details"]) for one in told] == [("launched", {}), ("drawn", {})]


def test_who_else_had_a_part_in_a_fact_is_left_out(filled: Company) -> None:
    filled.change(
        "rules.yaml",
        "  - name: hindered\n",
        "  - name: seen\n    when: verb.endsWith('/observed')\n    fact: observed\n    by: context.instructor\n"
        "    course: parent('/course/')\n  - name: hindered\n",
    )
    statement = said("larch", "observed", COURSE, COURSE, 1)
    statement["context"]["instructor"] = {"mbox": "mailto:alder@example.com"}
    filled.post(statement)
    filled.run()
    path = f"programs/{CALM}/learners/emp-larch/provenance"

    everything, narrowed = (json.dumps(get(filled, viewer, path)) for viewer in (issue(), issue(team="South")))

    assert "alder" in everything
    assert "alder" not in narrowed
    assert '"what": "observed"' in narrowed
    with pytest.raises(NotFound):
        provenance.of_record(
            db.session,
            documents.current(db.session),
            CALM,
            "emp-larch",
            seen=Narrowing(programs=frozenset({SAFE})),
        )


def test_the_home_page_tells_a_narrowed_key_of_reports_alone(filled: Company) -> None:
    everything, narrowed = (unescape(browser(filled, one).get("/").text) for one in (issue(), issue(team="South")))

    assert "What needs a person" in everything
    assert "11 learners" in everything
    assert "What needs a person" not in narrowed
    assert ("5 learners" in narrowed, "0 learners" in narrowed) == (True, True)


# --- figures of many --------------------------------------------------------------------------------------------------


def test_a_team_sees_its_own_cells_and_none_that_others_could_be_worked_out_from(filled: Company) -> None:
    whole, own = browser(filled, issue()), browser(filled, issue(team="North"))

    for page, part in (("skills", "cells"), ("obstacles", "counts")):
        path = f"/programs/{CALM}/{page}.json"
        everything, narrowed = (client.get(path).get_json()[part] for client in (whole, own))
        assert {row["scope"] for row in everything} == {"all", "team"}
        fixed = [
            {key: row[key] for key in ("team", "people", "hidden")} for row in everything if row["team"] == "North"
        ]
        assert [{key: row[key] for key in ("team", "people", "hidden")} for row in narrowed] == fixed
        assert len(fixed) > 0
        shown = own.get(f"/programs/{CALM}/{page}").text
        assert ("South" in shown, "All teams" in shown, "North" in shown) == (False, False, True)


def test_cells_of_a_program_that_counts_by_another_attribute_are_closed_to_a_team(filled: Company) -> None:
    filled.change("program.yaml", f"name: {CALM}\n", f"name: {CALM}\nanalysis: {{team: manager}}\n")
    jobs.load_documents()

    answer = browser(filled, issue(team="North")).get(f"/programs/{CALM}/skills")

    assert (answer.status_code, "counts by the attribute" in answer.text) == (403, True)


def test_an_effect_is_withheld_from_who_could_work_out_the_few_others(filled: Company) -> None:
    viewer, whole = issue(team="North"), issue()
    assert get(filled, viewer, "impacts")["items"]
    before = get(filled, viewer, "changes", feed="impacts")
    assert before["rows"]

    move(filled, "North", SOUTH[0])  # four are left who are not seen

    assert get(filled, viewer, "impacts")["items"] == []
    assert get(filled, viewer, "changes", 410, feed="impacts", after=before["next"])
    assert get(filled, viewer, "changes", feed="impacts")["rows"] == []
    assert "fewer than 5" in get(filled, viewer, f"programs/{CALM}/impact", 403)["detail"]
    client = browser(filled, viewer)
    page = client.get(f"/programs/{CALM}")
    assert (page.status_code, "fewer than 5" in page.text) == (200, True)
    for path in (f"{CALM}/evidence", f"{CALM}.json", f"{CALM}.csv"):
        assert client.get(f"/programs/{path}").status_code == 403
    assert get(filled, whole, "impacts")["items"]
    move(filled, "North", *SOUTH[1:])
    assert get(filled, viewer, "impacts")["items"]


def test_a_view_that_nobody_has_narrowed_is_closed(filled: Company, monkeypatch: pytest.MonkeyPatch) -> None:
    viewer = issue(team="North")
    for name in ("pages.home", "api.plugins.records"):
        monkeypatch.delattr(filled.app.view_functions[name], "shows_what_is_seen")

    page = browser(filled, viewer).get("/")

    assert (page.status_code, "cannot be cut down" in page.text) == (403, True)
    assert "cannot be cut down" in get(filled, viewer, "records", 403)["detail"]
    assert browser(filled, issue()).get("/").status_code == 200


# --- keeping a copy ---------------------------------------------------------------------------------------------------


def read_on(company: Company, viewer: Viewer, feed: str, held: dict[str, Any], after: str | None = None) -> str:
    """Read all changes into what is held, as a plugin does; gives where to read on."""
    more = True
    while more:
        told = get(company, viewer, "changes", feed=feed, limit=4, **({"after": after} if after else {}))
        for row in told["rows"]:
            if row["deleted"]:
                assert (row["user"], row["body"]) == (None, {})
                held.pop(row["key"], None)
            else:
                held[row["key"]] = row["body"]
        after, more = told["next"], told["more"]
    assert after is not None
    return after


def listed(company: Company, viewer: Viewer, feed: str) -> dict[str, Any]:
    return {row["key"]: row["body"] for row in get(company, viewer, feed, limit=1000)["items"]}


@pytest.mark.parametrize("feed", ["records", "measures", "readiness"])
def test_who_leaves_a_team_is_gone_for_its_key_and_there_for_the_other(filled: Company, feed: str) -> None:
    north, south = issue(team="North"), issue(team="South")
    held: dict[str, dict[str, Any]] = {"north": {}, "south": {}}
    after = {name: read_on(filled, viewer, feed, held[name]) for name, viewer in (("north", north), ("south", south))}
    gone = public_id(NORTH[3])
    assert any(key.startswith(gone) for key in held["north"])

    move(filled, "South", NORTH[3])
    for name, viewer in (("north", north), ("south", south)):
        after[name] = read_on(filled, viewer, feed, held[name], after[name])

    assert not any(key.startswith(gone) for key in held["north"])
    assert any(key.startswith(gone) for key in held["south"])
    assert held == {"north": listed(filled, north, feed), "south": listed(filled, south, feed)}
    move(filled, "North", NORTH[3])
    for name, viewer in (("north", north), ("south", south)):
        read_on(filled, viewer, feed, held[name], after[name])
    assert held == {"north": listed(filled, north, feed), "south": listed(filled, south, feed)}
    assert any(key.startswith(gone) for key in held["north"])


def test_who_begins_later_is_not_told_of_those_who_had_left(filled: Company) -> None:
    move(filled, "South", NORTH[3])

    told = get(filled, issue(team="North"), "changes", feed="records", limit=1000)

    assert len(told["rows"]) == len(NORTH) + 1  # two of the north are in both programs
    assert not any(row["deleted"] for row in told["rows"])


def test_changed_limits_end_the_cursor_and_say_what_to_do(filled: Company) -> None:
    viewer = issue(team="North")
    after = read_on(filled, viewer, "records", {})
    access.change(db.session, viewer.key, (), {"team": ["South"]})
    db.session.commit()

    told = get(filled, viewer, "changes", 410, feed="records", after=after)

    assert "Begin without one" in told["detail"]
    held: dict[str, Any] = {}
    read_on(filled, viewer, "records", held)
    assert held == listed(filled, viewer, "records")
    assert len(held) == len(SOUTH)


def test_a_program_that_loses_the_course_ends_the_cursor_of_its_key(filled: Company) -> None:
    viewer = issue(course=SAFETY)
    after = read_on(filled, viewer, "records", {})
    filled.change("second.yaml", SAFETY, f"{SAFETY}9")
    filled.run()

    get(filled, viewer, "changes", 410, feed="records", after=after)
    assert listed(filled, viewer, "records") == {}


def test_a_cursor_that_nobody_gave_is_refused_as_such(written: Company) -> None:
    viewer = issue()
    view, _, inner = read_on(written, viewer, "health", {}).partition(".")

    for after in ("x", f"{view}.", f"{view}.%21", f"{view}.{inner[:-3]}", inner, f"{view}.{inner}"):
        told = get(written, viewer, "changes", 400, feed="records", after=after)
        assert [one["parameter"] for one in told["errors"]] == ["after"], after
    assert (
        "Begin without one" in get(written, viewer, "changes", 410, feed="records", after=f"0{inner}.{inner}")["detail"]
    )


def test_rows_are_filtered_and_name_people_as_the_site_does(filled: Company) -> None:
    viewer = issue()
    statement = said("larch", "completed", COURSE, COURSE, 1)
    statement["actor"] = {"account": {"homePage": "https://lms.example.com", "name": "31"}, "name": "Larch Tester"}
    filled.post(statement)
    filled.run()
    alias = {"aliases": ["account:https://lms.example.com|31"], "to": "emp-larch"}
    sender = issue(access.REPORTS, access.PEOPLE)
    assert (
        filled.app.test_client().post("/api/v1/learners/split", headers=sender.headers, json=alias).status_code == 200
    )
    filled.run()
    jobs.publish()
    site = "https://lms.example.com"

    [mine] = get(filled, viewer, "records", site=site, user="31")["items"]

    assert mine["user"]["accounts"] == [{"home_page": site, "name": "31"}]
    assert mine["user"]["emails"] == ["larch@example.com"]
    [there] = get(filled, viewer, "records", team="South", site="https://other.example")["items"][:1]
    assert there["user"]["accounts"] == []
    assert get(filled, viewer, "records", site=site, user="32")["items"] == []
    assert "send `site` too" in json.dumps(get(filled, viewer, "records", 400, user="31"))
    assert len(get(filled, viewer, "records", program=SAFE)["items"]) == len(EAST) + 2
    assert len(get(filled, viewer, "records", course=SAFETY)["items"]) == len(EAST) + 2
    assert get(filled, issue(team="North"), "records", team="South")["items"] == []


def test_health_is_told_without_what_messages_quote(filled: Company) -> None:
    filled.write("tickets.csv", "ticket,changed_at,agent,solved_at,minutes\nT1,soon,poplar,,\n")
    filled.write("deals.csv", "nothing of what is wanted\n")
    jobs.pull("crm")
    jobs.publish_health()

    everything, narrowed = (listed(filled, viewer, "health") for viewer in (issue(), issue(program=SAFE)))

    assert everything["source/crm"]["state"] == narrowed["source/crm"]["state"] == "failing"
    assert everything["source/crm"]["message"]
    assert narrowed["source/crm"]["message"] is None
    assert f"estimate/{CALM}" in everything
    assert f"estimate/{CALM}" not in narrowed


def test_a_report_comes_in_pages(filled: Company) -> None:
    viewer = issue(team="South")
    first = get(filled, viewer, "reports/calm", limit=3)
    after = parse_qs(first["next"].partition("?")[2])["after"]
    second = get(filled, viewer, "reports/calm", limit=3, after=after)

    rows = first["items"] + second["items"]
    assert [row["learner"] for row in rows] == sorted(f"emp-{one}" for one in SOUTH)
    assert second["next"] is None
    assert [column["name"] for column in first["columns"]] == list(rows[0])
    assert get(filled, viewer, "reports")["items"][0]["learners"] == len(SOUTH)
