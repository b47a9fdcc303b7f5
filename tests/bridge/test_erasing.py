"""`lrs-bridge erase`: a person who stands everywhere, and is nowhere afterwards."""

import hashlib
import json
import re
import subprocess
from base64 import b64encode
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import NAMESPACE_URL, uuid5

import pytest
import shelf as shelves
from click.testing import Result
from company import COURSE, LESSON, LMS, STAFF, TICKETS, Company, done, scored
from redis import Redis
from sqlalchemy import insert, make_url, text
from sqlalchemy.orm import Session

import lrs
from bridge import context, erasures, jobs, sources, webhooks
from bridge.embedded import Servers, postgresql
from bridge.models import LtiPlatform, LtiSession
from bridge.reconcile import running
from bridge.reconcile.kept import Area
from connectors import destinations
from lrs import db

Command = Callable[..., Result]

KEY, NAME, MAIL, LOGIN = "E-770431", "Zelda Quimby-Ünal", "zelda.quimby@example.com", "zquimby77"
SHA1 = hashlib.sha1(f"mailto:{MAIL}".encode(), usedforsecurity=False).hexdigest()
ACCOUNT = {"homePage": LMS, "name": "zelda_q_4711"}
TRACES = (KEY, MAIL, LOGIN, SHA1, "zelda_q_4711", "Zelda", "Quimby", "quimby", "zelda")
HERS = {"mbox": f"mailto:{MAIL}", "name": NAME}


@pytest.fixture(autouse=True)
def _at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let processes know of an erasure at once; that they need not wait for it is no part of these tests."""
    monkeypatch.setattr(lrs.erased, "FRESH_SECONDS", 0.0)


def statement(name: str, actor: dict[str, Any], verb: str = "completed", **more: object) -> dict[str, Any]:
    made: dict[str, Any] = {
        "id": uuid(name),
        "actor": actor,
        "verb": {"id": f"http://adlnet.gov/expapi/verbs/{verb}"},
        "object": {"id": LESSON},
        "timestamp": "2026-06-01T09:00:00Z",
    }
    return made | more


def uuid(name: str) -> str:
    return str(uuid5(NAMESPACE_URL, name))


BO = {"mbox": "mailto:bo@example.com", "name": "Bo Berg"}
IN_COURSE = {"contextActivities": {"parent": [{"id": COURSE}]}}
STATEMENTS = [
    done() | {"actor": HERS, "id": uuid("hers")},
    scored("bo", 5) | {"actor": {"account": ACCOUNT, "name": NAME}, "id": uuid("by account")},
    statement("by hash", {"mbox_sha1sum": SHA1}),
    statement("instructed", BO, context=IN_COURSE | {"instructor": HERS}),
    statement("team", BO, context={"team": {"objectType": "Group", "member": [BO, HERS]}}),
    statement("about", BO, "asked", object={"objectType": "Agent", **HERS}),
    statement("group", {"objectType": "Group", "member": [HERS, BO]}, "attended"),
    statement(
        "planned",
        BO,
        "voided-not",
        object={
            "objectType": "SubStatement",
            "actor": HERS,
            "verb": {"id": "http://e.com/v"},
            "object": {"id": LESSON},
        },
    ),
    statement("named", BO, "answered", result={"response": f"Ask Zelda Quimby-Ünal ({MAIL}), she knows."}),
    statement("profile", BO, "viewed", object={"id": f"{LMS}/profile/zelda.quimby%40example.com"}),
    statement("wrong", BO),
    statement("voids", HERS, "voided", object={"objectType": "StatementRef", "id": uuid("wrong")}),
    statement("comment", BO, "commented", object={"objectType": "StatementRef", "id": uuid("hers")}),
]
STAYS = ("instructed", "team", "about", "group", "planned", "named", "profile", "comment")
GOES = ("hers", "by account", "by hash")


@pytest.fixture
def planted(company: Company) -> Company:
    """The company with somebody who stands in every place that the pipeline can bring her to."""
    account = f"- account: {{home_page: \"'{LMS}'\", name: row.account}}"
    company.change("people.yaml", "- mbox: row.email", f"- mbox: row.email\n      {account}")
    company.change("people.yaml", "attributes: {team: row.team}", "attributes: {team: row.team, manager: row.manager}")
    staff = [(*row, "", MAIL) for row in STAFF] + [(KEY, NAME, "North", MAIL, LOGIN, ACCOUNT["name"], "")]
    header = "number,name,team,email,login,account,manager\n"
    company.write("staff.csv", header + "\n".join(",".join(row) for row in staff) + "\n")
    company.tickets(
        [
            *TICKETS,
            ("T77", "2026-06-20T08:00:00Z", LOGIN, "2026-06-20T08:00:00Z", "20"),
            ("T78", "2026-06-21T08:00:00Z", LOGIN, "2026-06-21T08:00:00Z", "30"),
        ]
    )
    jobs.load_documents()
    company.pull()
    company.tickets(
        [
            *TICKETS,
            ("T77", "2026-06-20T08:00:00Z", LOGIN, "2026-06-20T08:00:00Z", "20"),
            ("T78", "2026-06-25T08:00:00Z", "bo", "2026-06-21T08:00:00Z", "30"),
        ]
    )
    company.post(*STATEMENTS, done("bo"), done("ann"))
    documents(company)
    company.run()
    jobs.publish()
    kept_aside(company)
    outside(db.session)
    return company


def documents(company: Company) -> None:
    agent = json.dumps(HERS)
    for path, query in (
        ("activities/state", {"activityId": LESSON, "agent": agent, "stateId": "place"}),
        ("agents/profile", {"agent": agent, "profileId": "preferences"}),
        ("activities/profile", {"activityId": LESSON, "profileId": "guests"}),
    ):
        answer = send(company, "PUT", path, json.dumps({"guest": MAIL, "of": "Bo"}), query)
        assert answer.status_code == 204, answer.text


def send(company: Company, method: str, path: str, body: str = "", query: dict[str, str] | None = None) -> Any:
    if "all" not in company.credential:
        made = lrs.credentials.create(db.session, name="tests", scopes=["all"], secret_key=context.secret_key())
        db.session.commit()
        company.credential["all"] = f"{made.key}:{made.secret}"
    pair = b64encode(company.credential["all"].encode()).decode()
    headers = {"Authorization": f"Basic {pair}", "X-Experience-API-Version": "1.0.3"}
    headers |= {"If-None-Match": "*"} if method == "PUT" else {}
    return company.app.test_client().open(
        f"/xapi/{path}", method=method, query_string=query, data=body, content_type="application/json", headers=headers
    )


def kept_aside(company: Company) -> None:
    """Send a batch that is refused: hers, and one of Bo's that waits to be mended."""
    bad = [statement("bad", HERS) | {"verb": {}}, statement("bad too", BO) | {"verb": {}}]
    assert send(company, "POST", "statements", json.dumps(bad)).status_code == 400


def outside(session: Session) -> None:
    """Put her where systems and people bring her to that this company has not."""
    now = datetime.now(UTC)
    webhooks.store(session, "crm", delivery="1", body=json.dumps({"agent": MAIL}).encode(), now=now)
    platform = session.scalar(
        insert(LtiPlatform)
        .values(
            issuer="https://lms.example.com",
            client_id="1",
            title="LMS",
            auth_url="https://lms.example.com/a",
            token_url="https://lms.example.com/t",
            jwks_url="https://lms.example.com/j",
            home_page=LMS,
            account_name="{sub}",
            match_by=["account"],
        )
        .returning(LtiPlatform.id)
    )
    for name, aliases in (("hers", [f"account:{LMS}|zelda_q_4711"]), ("a teacher's", [f"account:{LMS}|bo"])):
        session.add(
            LtiSession(
                id=name,
                secret_hash=b"1",
                platform_id=platform,
                deployment_id="1",
                role="learner",
                aliases=aliases,
                name=NAME if name == "hers" else "Bo",
                launch={},
                members=[[f"account:{LMS}|zelda_q_4711"]],
                members_at=now,
                expires_at=now + timedelta(hours=1),
            )
        )
    session.commit()


def dump(servers: Servers, database_url: str) -> str:
    url = make_url(database_url)
    plain = url.set(drivername="postgresql").render_as_string(hide_password=False)
    made = subprocess.run([postgresql._binary("pg_dump"), plain], capture_output=True, check=True)
    return made.stdout.decode()


def traces_in(written: str) -> list[str]:
    """Give what tells of her in a text; bytes stand in a dump as hexadecimal digits."""
    found = [one for one in TRACES if one in written]
    found += [one for one in (*TRACES, NAME) if one.encode().hex() in written]
    return found


def lines_of(written: str) -> list[str]:
    wanted = [*TRACES, *(one.encode().hex() for one in TRACES)]
    return [line[:300] for line in written.splitlines() if any(one in line for one in wanted)]


def everywhere(servers: Servers, database_url: str) -> list[str]:
    """Search a full dump, the data directory with what was delivered, and the broker."""
    db.session.rollback()
    found = lines_of(dump(servers, database_url))
    for path in context.settings().data_dir.rglob("*"):
        if path.is_file():
            found += [f"{path}: {one}" for one in lines_of(path.read_text(errors="replace"))]
    with Redis.from_url(servers.redis_url) as broker:
        for key in broker.scan_iter():
            found += [f"broker {key!r}"] if traces_in(f"{key!r}{broker.dump(key)!r}") else []
    return found


def erase(lrs_bridge: Command, *arguments: object) -> dict[str, Any]:
    result = lrs_bridge("erase", *arguments, "--json")
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def get(company: Company, name: str, **query: str) -> Any:
    return send(company, "GET", "statements", query=query or {"statementId": uuid(name)})


# --- nothing is left --------------------------------------------------------------------------------------------------


def test_nobody_finds_anything_of_her_anywhere(
    planted: Company, lrs_bridge: Command, servers: Servers, database_url: str
) -> None:
    before = everywhere(servers, database_url)
    assert planted_tables(servers, database_url) >= PLANTED  # she is there: the search can fail
    assert any("reports" in one for one in before)

    told = erase(lrs_bridge, MAIL, "--yes")
    planted.work()
    jobs.publish()

    assert everywhere(servers, database_url) == []
    assert [one for one in told["open"] if "by hand" in one] == []
    # The comment on hers names nobody; that by which she voided another one does.
    assert told["rows"]["statement"] == len(GOES) + len(STAYS) - 1 + 1


PLANTED = {
    "statement",
    "term",
    "document",
    "refused_request",
    "source_record",
    "source_record_version",
    "roster_row",
    "alias",
    "alias_link",
    "learner",
    "learner_attribute",
    "published_row",
    "webhook_event",
    "lti_session",
}


def planted_tables(servers: Servers, database_url: str) -> set[str]:
    found, table = set(), ""
    for line in dump(servers, database_url).splitlines():
        if line.startswith("COPY public."):
            table = line.split(".")[1].split(" ")[0]
        if lines_of(line):
            found.add(table)
    return found


# --- nobody else loses anything ---------------------------------------------------------------------------------------


def test_statements_of_others_stay_and_are_found_as_before(planted: Company, lrs_bridge: Command) -> None:
    erase(lrs_bridge, KEY, "--yes")

    assert [get(planted, name).status_code for name in STAYS] == [200] * len(STAYS)
    assert [get(planted, name).status_code for name in GOES] == [404] * len(GOES)
    assert NOBODY in get(planted, "instructed").json["context"]["instructor"].values()
    assert get(planted, "named").json["result"]["response"] == "Ask erased (erased), she knows."
    found = get(planted, "", agent=json.dumps(BO), related_agents="true").json["statements"]
    assert {one["id"] for one in found} >= {uuid(name) for name in STAYS}
    for agent in (HERS, {"account": ACCOUNT}, {"mbox_sha1sum": SHA1}):
        assert get(planted, "", agent=json.dumps(agent), related_agents="true").json["statements"] == []


NOBODY = {"homePage": "https://erased.invalid", "name": "erased"}


def test_what_she_voided_stays_voided(planted: Company, lrs_bridge: Command) -> None:
    erase(lrs_bridge, KEY, "--yes")

    assert get(planted, "wrong").status_code == 404
    assert get(planted, "", voidedStatementId=uuid("wrong")).status_code == 200
    assert get(planted, "voids").json["actor"] == {"account": NOBODY}


def test_what_pointed_at_her_statement_is_found_by_itself_alone(planted: Company, lrs_bridge: Command) -> None:
    def comments() -> list[str]:
        found = get(planted, "", activity=LESSON, verb="http://adlnet.gov/expapi/verbs/commented").json["statements"]
        return [one["id"] for one in found]

    assert comments() == [uuid("comment")]
    erase(lrs_bridge, KEY, "--yes")
    assert comments() == []
    assert get(planted, "comment").json["object"]["id"] == uuid("hers")


def test_a_more_link_from_before_goes_on_behind_what_is_gone(planted: Company, lrs_bridge: Command) -> None:
    first = get(planted, "", ascending="true", limit="2").json
    erase(lrs_bridge, KEY, "--yes")

    seen, more = [one["id"] for one in first["statements"]], first["more"]
    while more:
        page = send(planted, "GET", more.removeprefix("/xapi/")).json
        assert "statements" in page, (more, page)
        seen, more = seen + [one["id"] for one in page["statements"]], page["more"]

    assert len(seen) == len(set(seen))
    assert set(seen) >= {uuid(name) for name in STAYS} - {uuid("hers")}


def test_figures_of_others_are_what_they_were(planted: Company, lrs_bridge: Command) -> None:
    before = planted.report()
    erase(lrs_bridge, KEY, "--yes")
    planted.work()

    after = planted.report()
    assert KEY in before
    assert after == {key: row for key, row in before.items() if key != KEY}
    assert {row["learner"] for row in planted.delivered()["rows"]} == set(after)
    jobs_rebuilt = lrs_bridge("rebuild")
    assert jobs_rebuilt.exit_code == 0, jobs_rebuilt.output
    assert planted.report() == after


def test_a_refused_batch_keeps_the_statements_of_others(planted: Company, lrs_bridge: Command) -> None:
    erase(lrs_bridge, KEY, "--yes")

    body = db.session.scalar(text("select convert_from(body, 'UTF8') from refused_request"))
    assert [one["id"] for one in json.loads(body)] == [uuid("bad too")]


def test_a_manager_is_taken_out_of_their_peoples_attributes(planted: Company, lrs_bridge: Command) -> None:
    managers = text("select key, attributes ->> 'manager' from learner order by key")
    assert (("E2", MAIL) in db.session.execute(managers).all()) is True
    erase(lrs_bridge, KEY, "--yes")

    assert db.session.execute(managers).all() == [("E1", None), ("E2", None)]


def test_a_name_that_another_learner_has_is_left_in_texts(planted: Company, lrs_bridge: Command) -> None:
    planted.change("staff.csv", "Bo Berg", NAME)
    planted.run()
    erase(lrs_bridge, KEY, "--yes")

    assert get(planted, "named").json["result"]["response"] == f"Ask {NAME} (erased), she knows."


# --- what comes later -------------------------------------------------------------------------------------------------


def test_what_is_sent_or_pulled_again_is_not_taken_in(
    planted: Company, lrs_bridge: Command, servers: Servers, database_url: str
) -> None:
    told = erase(lrs_bridge, KEY, "--yes")
    planted.work()
    jobs.publish()
    before = counted()
    instructed = statement("new too", BO, "attended", context={"instructor": HERS})
    planted.post(*STATEMENTS, statement("new", HERS), instructed)
    documents = (Path(planted.folder) / "tickets.csv").read_text()
    planted.write("tickets.csv", documents + f"T99,2026-06-29T08:00:00Z,{LOGIN},2026-06-29T08:00:00Z,9\n")
    planted.run()
    jobs.publish()
    kept_aside(planted)

    assert everywhere(servers, database_url) == []
    assert counted() == before | {"statement": before["statement"] + 1}  # Bo's
    [now] = json.loads(lrs_bridge("erase", "--list", "--json").stdout)
    assert now["id"] == told["id"]
    assert now["refused_since"] >= len(GOES)


def test_documents_of_hers_are_not_taken_in_again(planted: Company, lrs_bridge: Command) -> None:
    erase(lrs_bridge, KEY, "--yes")
    for path, query in (
        ("activities/state", {"activityId": LESSON, "stateId": "x"}),
        ("agents/profile", {"profileId": "x"}),
    ):
        asked = query | {"agent": json.dumps(HERS)}
        assert send(planted, "PUT", path, "{}", asked).status_code == 204
        assert send(planted, "POST", path, "{}", asked).status_code == 204
    held = db.session.scalars(text("select resource from document")).all()
    assert held == ["activity_profile"]


def test_an_address_that_goes_to_another_does_not_take_them_along(planted: Company, lrs_bridge: Command) -> None:
    erase(lrs_bridge, KEY, "--yes")
    staff = (Path(planted.folder) / "staff.csv").read_text().splitlines()
    rows = [one for one in staff if not one.startswith(KEY)]
    planted.write("staff.csv", "\n".join([*rows, f"E-990001,Cem Demir,North,{MAIL},cem,cem.demir,"]) + "\n")
    planted.run()

    assert db.session.scalars(text("select name from learner where key = 'E-990001'")).all() == ["Cem Demir"]
    assert db.session.scalars(text("select key from alias where key like 'mbox:%quimby%'")).all() == []


def test_a_name_that_only_statements_call_her_is_no_name(company: Company, lrs_bridge: Command) -> None:
    ann = {"mbox": "mailto:ann@example.com", "name": "Store Manager"}
    said = statement("said", BO, "answered", result={"response": "Ask the Store Manager."})
    company.post(statement("by the manager", ann), said)
    company.run()
    erase(lrs_bridge, "E1", "--yes")

    assert json.loads(get(company, "said").text)["result"]["response"] == "Ask the Store Manager."


def test_what_is_left_of_others_records_is_no_difference(planted: Company, lrs_bridge: Command) -> None:
    erase(lrs_bridge, KEY, "--yes")
    planted.run()
    db.session.execute(text("update source_record_version set pulled_at = pulled_at - interval '1 day'"))
    db.session.commit()
    compared = running.run([Area.SOURCES])

    assert {one.name for one in compared} >= {"staff", "helpdesk"}
    assert [(one.name, one.kinds, one.error) for one in compared if one.kinds or one.error] == []


def counted() -> dict[str, int]:
    tables = ("statement", "source_record", "source_record_version", "learner", "alias", "fact", "record", "attachment")
    return {one: db.session.scalar(text(f"select count(*) from {one}")) or 0 for one in tables}  # noqa: S608


def test_an_id_that_means_something_in_one_system_alone_is_refused_there_too(
    company: Company, lrs_bridge: Command
) -> None:
    """`ann` and `E1` stand in texts about other people, and a new ticket says nothing else of her."""
    company.post(done(), done("bo"))
    company.run()
    erase(lrs_bridge, "E1", "--yes")
    company.tickets([*TICKETS, ("T9", "2026-06-29T08:00:00Z", "ann", "2026-06-29T08:00:00Z", "9")])
    company.run()
    company.work()

    keys = db.session.scalars(text("select key from source_record where source <> 'crm' order by key")).all()
    assert keys == ["E2", "T4", "T5"]
    assert db.session.scalars(text("select key from learner")).all() == ["E2"]
    assert db.session.scalar(text("select count(*) from alias where key like '%ann%'")) == 0
    assert set(company.report()) == {"E2"}


def test_lifting_takes_the_person_in_again(planted: Company, lrs_bridge: Command) -> None:
    told = erase(lrs_bridge, KEY, "--yes")
    erase_list = erase(lrs_bridge, "--lift", told["id"])
    sources.reset(db.session, "staff")  # its file has not changed, so it would not be read
    db.session.commit()
    planted.post(*(one for one in STATEMENTS if one["id"] in map(uuid, GOES)))
    planted.run()

    assert erase_list["kept_out"] is False
    assert [get(planted, name).status_code for name in GOES] == [200] * len(GOES)
    assert KEY in planted.report()


def test_forgetting_only_refuses_nothing(planted: Company, lrs_bridge: Command) -> None:
    told = erase(lrs_bridge, KEY, "--yes", "--forget-only")
    gone = get(planted, "hers").status_code
    planted.post(STATEMENTS[0])

    assert (gone, get(planted, "hers").status_code) == (404, 200)
    assert told["kept_out"] is False
    assert db.session.scalar(text("select count(*) from erased_word")) == 0
    assert db.session.scalar(text("select count(*) from erased_agent")) == 0


def test_under_another_secret_key_it_is_told_that_nothing_is_refused(planted: Company, lrs_bridge: Command) -> None:
    erase(lrs_bridge, KEY, "--yes")
    db.session.execute(text("update erasure set key_mark = 'x'"))
    db.session.commit()

    [told] = json.loads(lrs_bridge("erase", "--list", "--json").stdout)
    assert told["kept_out"] is False
    assert any("LRS_BRIDGE_SECRET_KEY" in one for one in told["open"])


# --- the command ------------------------------------------------------------------------------------------------------


def test_a_dry_run_tells_the_rows_and_changes_nothing(
    planted: Company, lrs_bridge: Command, servers: Servers, database_url: str
) -> None:
    before = without_sequences(dump(servers, database_url))
    told = erase(lrs_bridge, KEY, "--dry-run")
    db.session.rollback()

    assert without_sequences(dump(servers, database_url)) == before
    assert told["rows"] == erase(lrs_bridge, KEY, "--yes")["rows"]


def without_sequences(written: str) -> list[str]:
    """Give a dump but for the numbers that are drawn and never given back, and its own random word."""
    return [one for one in written.splitlines() if not re.match(r"SELECT pg_catalog.setval|\\\\?(un)?restrict", one)]


@pytest.mark.parametrize("word", [KEY, MAIL, f"mailto:{MAIL.upper()}", f"employee:{KEY}", "zelda_q_4711", NAME])
def test_anybody_is_found_by_what_is_theirs_alone(planted: Company, word: str) -> None:
    if word.startswith("employee"):
        word = word.partition(":")[2]
    assert erasures.find(db.session, word).keys == (KEY,)


def test_anybody_is_found_by_the_public_id(planted: Company) -> None:
    [key] = {one.partition("/")[0] for one in db.session.scalars(HER_ROWS)}
    assert erasures.find(db.session, key).keys == (KEY,)


HER_ROWS = text("select key from published_row where person ->> 'name' like 'Zelda%'")


def test_an_agent_that_no_rule_reads_can_be_erased(company: Company, lrs_bridge: Command) -> None:
    company.post(statement("only", {"mbox": "mailto:nobody@example.com"}))
    jobs.load_documents()

    assert erase(lrs_bridge, "nobody@example.com", "--yes")["rows"]["statement"] == 1
    assert get(company, "only").status_code == 404


def test_several_persons_are_listed_and_none_is_erased(planted: Company, lrs_bridge: Command) -> None:
    planted.change("staff.csv", "Bo Berg", NAME)
    planted.run()
    result = lrs_bridge("erase", NAME, "--yes")

    assert result.exit_code == 2
    assert f"{KEY} (" in result.output
    assert "E2 (" in result.output
    assert db.session.scalar(text("select count(*) from erasure")) == 0


@pytest.mark.parametrize(
    ("arguments", "code"),
    [(("nobody@example.com", "--yes"), 1), ((KEY,), 2), ((), 2), ((KEY, "--list"), 2), (("--lift", "77"), 1)],
)
def test_a_call_that_names_nobody_or_asks_nobody_erases_nothing(
    planted: Company, lrs_bridge: Command, arguments: tuple[str, ...], code: int
) -> None:
    assert lrs_bridge("erase", *arguments).exit_code == code
    assert KEY in planted.report()


def test_a_second_time_it_tells_of_the_first(planted: Company, lrs_bridge: Command) -> None:
    first = erase(lrs_bridge, KEY, "--yes")

    assert erase(lrs_bridge, MAIL, "--yes")["id"] == first["id"]
    assert len(db.session.scalars(text("select id from erasure")).all()) == 1


@pytest.mark.parametrize("died_after", [0, 1, 2, 4, 8, 16])
def test_whoever_is_killed_on_the_way_leaves_it_to_a_worker(
    planted: Company, servers: Servers, database_url: str, died_after: int
) -> None:
    session = db.session
    number = erasures.begin(session, erasures.find(session, KEY), by="dpo").id
    session.commit()
    for piece, _ in enumerate(erasures.pieces(session, number)):
        if piece == died_after:
            break
        session.commit()
    session.rollback()

    assert erasures.pending(session) == [number]
    jobs.erase_due()
    jobs.erase(number)
    planted.work()
    jobs.publish()

    assert everywhere(servers, database_url) == []
    assert erasures.pending(session) == []


def test_what_is_looked_for_is_kept_no_longer_than_it_is_needed(planted: Company, lrs_bridge: Command) -> None:
    erase(lrs_bridge, KEY, "--yes")
    [erasure] = erasures.all_of(db.session)

    assert erasure.work is None
    assert erasure.requested_by


def test_learners_that_were_merged_go_together(planted: Company, lrs_bridge: Command) -> None:
    planted.post(
        statement("own", {"mbox": "mailto:zq.private@example.org", "name": "Z."})
        | done("x")
        | {
            "id": uuid("own"),
            "actor": {"mbox": "mailto:zq.private@example.org", "name": "Z."},
        }
    )
    planted.change("people.yaml", "unclaimed: wait", "unclaimed: learner")
    planted.run()
    merged = lrs_bridge("learner", "merge", KEY, "zq.private@example.org", "--because", f"{NAME} told me")
    assert merged.exit_code == 0, merged.output
    erase(lrs_bridge, "zq.private@example.org", "--yes")

    assert get(planted, "own").status_code == 404
    assert get(planted, "hers").status_code == 404
    assert db.session.scalar(text("select count(*) from identity_decision")) == 0


def test_a_draw_keeps_its_places_without_the_name(planted: Company, lrs_bridge: Command) -> None:
    db.session.execute(
        text(
            "insert into program_event (program, what, by, contract, contract_hash, details)"
            " values ('calm-calls', 'drawn', 'x', '{}', 'x', cast(:details as jsonb))"
        ),
        {"details": json.dumps({"seed": 1, "people": {KEY: {"wave": 1}, "E2": {"wave": 2}}})},
    )
    db.session.commit()
    told = erase(lrs_bridge, KEY, "--yes")

    people = db.session.scalar(text("select details -> 'people' from program_event"))
    assert people == {f"erased {told['id']}": {"wave": 1}, "E2": {"wave": 2}}


def test_documents_that_name_the_person_are_told_of_not_changed(planted: Company, lrs_bridge: Command) -> None:
    planted.change("program.yaml", "title: Calm calls\ncourses", f"title: Calm calls by {NAME}\ncourses")
    planted.run()
    told = erase(lrs_bridge, KEY, "--yes")

    assert any(one.startswith("mapping_version.documents: 1") for one in told["open"])
    assert NAME in (planted.folder / "program.yaml").read_text()


# --- elsewhere --------------------------------------------------------------------------------------------------------

SHELF = """\
kind: destination
name: shelf
title: The shelf
type: shelf
path: shelf
feeds: [records, measures]
"""


def test_it_is_done_everywhere_once_every_destination_has_confirmed_it(
    planted: Company, lrs_bridge: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(destinations.DESTINATIONS, "shelf", shelves.load)  # type: ignore[arg-type]
    planted.write("shelf.yaml", SHELF)
    jobs.load_documents()
    jobs.publish()
    planted.work()
    shelf = context.settings().data_dir / "shelf"
    assert "Zelda" in written_in(shelf)

    told = erase(lrs_bridge, KEY, "--yes")
    assert told["state"] == "erased here, not yet everywhere"
    assert [one.split(":")[0] for one in told["open"]] == ["shelf", "folder"]
    planted.work()
    jobs.erase_due()

    [now] = json.loads(lrs_bridge("erase", "--list", "--json").stdout)
    assert (now["state"], now["open"]) == ("erased everywhere", [])
    assert "Zelda" not in written_in(shelf)
    db.session.execute(text("update delivery set state = 'due'"))  # of something else, later
    db.session.commit()
    [later] = json.loads(lrs_bridge("erase", "--list", "--json").stdout)
    assert later["state"] == "erased everywhere"


def written_in(folder: Path) -> str:
    return "".join(path.read_text() for path in folder.rglob("*") if path.is_file())


def test_a_tombstone_says_nothing_but_its_key(planted: Company, lrs_bridge: Command) -> None:
    keys = db.session.scalars(HER_ROWS).all()
    erase(lrs_bridge, KEY, "--yes")

    rows = db.session.execute(
        text("""
            select learner_id, team, courses, past_teams, past_courses, person, body, deleted from published_row
            where key = any(:keys)"""),
        {"keys": list(keys)},
    ).all()
    assert len(rows) == len(keys) > 0
    assert {str(tuple(row)) for row in rows} == {"(None, None, [], [], [], None, {}, True)"}


# --- attachments ------------------------------------------------------------------------------------------------------


def test_attachments_go_with_the_last_statement_that_has_them(company: Company, lrs_bridge: Command) -> None:
    jobs.load_documents()
    attach(company, statement("hers alone", HERS), b"only hers")
    attach(company, statement("hers too", HERS), b"of both")
    attach(company, statement("Bo's", BO), b"of both")

    assert erase(lrs_bridge, MAIL, "--yes")["rows"]["attachment"] == 1
    assert [bytes(one) for one in db.session.scalars(text("select data from attachment"))] == [b"of both"]
    assert get(company, "Bo's").status_code == 200


def test_an_attachment_of_somebody_elses_that_names_the_person_is_told_of(
    company: Company, lrs_bridge: Command
) -> None:
    jobs.load_documents()
    company.post(statement("hers", HERS))
    attach(company, statement("Bo's", BO), f"Dear {MAIL}".encode())

    assert erase(lrs_bridge, MAIL, "--yes")["open"] == [
        "attachment.data: 1 rows still name the person: see to it by hand."
    ]


def attach(company: Company, one: dict[str, Any], data: bytes) -> None:
    sha2 = hashlib.sha256(data).hexdigest()
    attachment = {
        "usageType": "http://example.com/file",
        "display": {"en": "A file"},
        "contentType": "text/plain",
        "length": len(data),
        "sha2": sha2,
    }
    body = (
        b"--x\r\nContent-Type: application/json\r\n\r\n"
        + json.dumps(one | {"attachments": [attachment]}).encode()
        + b"\r\n--x\r\nContent-Type: text/plain\r\nContent-Transfer-Encoding: binary\r\n"
        + f"X-Experience-API-Hash: {sha2}\r\n\r\n".encode()
        + data
        + b"\r\n--x--\r\n"
    )
    pair = b64encode(f"{company.credential['key']}:{company.credential['secret']}".encode()).decode()
    answer = company.app.test_client().post(
        "/xapi/statements",
        data=body,
        content_type="multipart/mixed; boundary=x",
        headers={"Authorization": f"Basic {pair}", "X-Experience-API-Version": "1.0.3"},
    )
    assert answer.status_code == 200, answer.text
