"""`lrs-bridge source`: the admin's way from the first line of a document to its daily pulls."""

import json
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import yaml
from click.testing import Result
from company import Company, counts
from cryptography.fernet import Fernet
from factories import page, row
from sqlalchemy import text

from bridge import backfills, context, jobs, readings, sources, status
from bridge.locks import single_flight
from bridge.tokens import TokenStore
from connectors import Finding, Page, RowProblem, SourceRefused, SourceUnavailable
from lrs import db

Call = Callable[..., Result]
NOW = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)
DAY = timedelta(days=1)


def told(result: Result, code: int = 0) -> Any:
    assert result.exit_code == code, (result.stdout, result.stderr)
    return json.loads(result.stdout)


def error(result: Result, code: int) -> str:
    assert result.exit_code == code, (result.stdout, result.stderr)
    return " ".join(result.stderr.split())


@dataclass
class Desk:
    """A source that does as it is told."""

    name: str = "helpdesk"
    title: str = "Helpdesk"
    every_seconds: int = 3600
    fault: Exception | None = None
    findings: tuple[Finding, ...] = ()
    sampled: Page = field(default_factory=page)
    since: datetime | None = None
    state: dict[str, Any] | None = None
    slow: float = 0

    def pull(self, _state: object) -> Iterator[Page]:
        if self.fault:
            raise self.fault
        yield replace(page(row("1", "x")), state=self.state or {"at": 1})

    def check(self) -> Iterator[Finding]:
        yield from self.findings

    def sample(self, limit: int) -> Page:
        if self.fault:
            raise self.fault
        return replace(self.sampled, rows=self.sampled.rows[:limit])

    def began(self, _state: dict[str, Any]) -> datetime | None:
        return None

    def slices(self, since: datetime | None, until: datetime | None) -> list[tuple[datetime, datetime]]:
        low, high = since or NOW - 2 * DAY, until or NOW
        return [(at, at + DAY) for at in (high - DAY, high - 2 * DAY) if at >= low]

    def backfill(self, low: datetime, _high: datetime, _state: object) -> Iterator[Page]:
        if self.fault:
            raise self.fault
        time.sleep(self.slow)
        yield replace(page(row(f"{low:%d}", "old"), row("1", "x")), state={})


@pytest.fixture
def desk(company: Company, monkeypatch: pytest.MonkeyPatch) -> Desk:
    jobs.load_documents()
    made = Desk()
    by_document = documents_source()
    monkeypatch.setattr(
        "bridge.documents.source",
        lambda current, name, **more: made if name == "helpdesk" else by_document(current, name, **more),
    )
    return made


def documents_source() -> Callable[..., Any]:
    from bridge import documents

    return documents.source


# --- add, validate -------------------------------------------------------------------------------------------------


def test_a_document_is_written_refused_filled_in_and_checked(company: Company, lrs_bridge: Call) -> None:
    added = lrs_bridge("source", "add", "zendesk", "--name", "desk")
    file = company.folder / "desk.yaml"
    assert added.exit_code == 0
    assert f"Wrote {file}." in added.stdout

    refused = error(lrs_bridge("source", "validate", file), 1)
    line = file.read_text().splitlines().index(next(one for one in file.read_text().splitlines() if "subdomain" in one))
    assert f"{file}:{line + 1}:" in refused
    assert "It is the name before .zendesk.com" in refused

    filled = yaml.safe_load(file.read_text())
    filled["account"] |= {"subdomain": "acme", "email": "admin@example.com"}
    file.write_text(yaml.safe_dump(filled))
    assert told(lrs_bridge("source", "validate", file, "--json"))["sources"] == ["desk"]
    assert lrs_bridge("mapping", "validate").exit_code == 0
    assert "desk" in [one["source"] for one in listed(lrs_bridge, load=True)]


def listed(lrs_bridge: Call, *, load: bool = False) -> list[dict[str, Any]]:
    if load:
        jobs.load_documents()
    return list(told(lrs_bridge("source", "list", "--json")))


def test_a_document_that_is_there_is_never_overwritten(company: Company, lrs_bridge: Call) -> None:
    company.write("my-csv.yaml", "# mine\n")

    assert "is there already" in error(lrs_bridge("source", "add", "csv"), 1)

    assert (company.folder / "my-csv.yaml").read_text() == "# mine\n"


def test_a_folder_that_nobody_reads_is_told(lrs_bridge: Call, tmp_path: Any) -> None:
    added = lrs_bridge("source", "add", "csv", "--into", tmp_path / "elsewhere")

    assert "name it in LRS_BRIDGE_MAPPINGS" in added.stdout
    assert told(lrs_bridge("source", "add", "json", "--into", tmp_path / "elsewhere", "--json")) == {
        "file": str(tmp_path / "elsewhere" / "my-json.yaml"),
        "is_read": False,
    }


def test_a_type_that_there_is_not_is_a_wrong_call(lrs_bridge: Call) -> None:
    assert "Did you mean 'zendesk'?" in error(lrs_bridge("source", "add", "zendeks"), 2)


def test_sources_are_validated_alone_and_by_line(company: Company, lrs_bridge: Call) -> None:
    company.change("program.yaml", "deal_won]", "deal_wom]")  # a fault of another kind of document
    assert "Valid: crm, helpdesk, staff." in lrs_bridge("source", "validate").stdout

    company.change("sources.yaml", "path: deals.csv", "pth: deals.csv")
    problems = told(lrs_bridge("source", "validate", company.folder / "sources.yaml", "--json"), 1)["problems"]

    assert {one["line"] for one in problems} == {13, 17}
    assert "Did you mean 'path'?" in str(problems)


def test_a_folder_without_a_source_does_not_pass_for_a_valid_one(company: Company, lrs_bridge: Call) -> None:
    assert "There is no source document" in error(lrs_bridge("source", "validate", company.folder / "rules.yaml"), 1)


# --- check ---------------------------------------------------------------------------------------------------------


def test_findings_are_shown_and_a_failed_one_is_a_failure(desk: Desk, lrs_bridge: Call) -> None:
    desk.findings = (
        Finding("login", "ok", "Let in as bot.", ""),
        Finding("timezone", "failed", "Off by 9 h.", "Ask for UTC."),
        Finding("order", "skipped", "No rows.", ""),
    )

    shown = lrs_bridge("source", "check", "helpdesk")

    assert shown.exit_code == 1
    assert "failed  timezone: Off by 9 h.\n        Ask for UTC." in shown.stdout
    found = told(lrs_bridge("source", "check", "helpdesk", "--json"), 1)
    assert found[1] == {"name": "timezone", "state": "failed", "text": "Off by 9 h.", "remedy": "Ask for UTC."}

    desk.findings = (desk.findings[0], Finding("clock", "warning", "Off by 3 s.", "Look at NTP."))
    assert lrs_bridge("source", "check", "helpdesk").exit_code == 0


def test_real_sources_are_checked_as_their_files_stand(company: Company, lrs_bridge: Call) -> None:
    # Never loaded, and one file not there.
    assert all(one["state"] != "failed" for one in told(lrs_bridge("source", "check", "crm", "--json")))
    (company.folder / "deals.csv").unlink()

    assert any(one["state"] == "failed" for one in told(lrs_bridge("source", "check", "crm", "--json"), 1))


# --- preview -------------------------------------------------------------------------------------------------------


def test_a_preview_shows_values_and_whose_they_are_and_stores_nothing(company: Company, lrs_bridge: Call) -> None:
    company.run()
    before, marks = counts(), stale()
    company.tickets(
        [
            ("T8", "2026-06-20T08:00:00Z", "ann", "2026-06-20T08:00:00Z", "20"),
            ("T9", "2026-06-20T09:00:00Z", "zoe", "2026-06-20T09:00:00Z", "30"),
            ("T10", "2026-06-20T09:00:00Z", "bo", "", ""),
        ]
    )

    found = told(lrs_bridge("source", "preview", "helpdesk", "--json"))

    assert found["rows"][0] == {
        "record": "T8",
        "metric": "minutes_to_solve",
        "value": 20.0,
        "unit": "min",
        "occurred_at": "2026-06-20T08:00:00Z",
        "weight": 1.0,
        "alias": "user:helpdesk|ann",
        "learner": "E1",
        "name": "Ann Archer",
        "rule": "roster staff",
    }
    assert found["rows"][1]["learner"] is None
    assert found["without_a_value"] == ["T10"]
    assert found["people"] == {"matched": 1, "unmatched": 1}
    assert found["unmatched"] == [{"alias": "user:helpdesk|zoe", "values": 1}]
    assert (counts(), stale()) == (before, marks)
    shown = lrs_bridge("source", "preview", "helpdesk").stdout
    assert "People: 1 matched, 1 unmatched." in shown
    assert "unmatched: user:helpdesk|zoe (1 values)" in shown


def stale() -> int | None:
    db.session.rollback()
    return db.session.scalar(text("select count(*) from stale_alias"))


def test_a_preview_reads_the_rules_in_the_files_though_they_are_not_in_force(
    company: Company, lrs_bridge: Call
) -> None:
    jobs.load_documents()
    company.change("rules.yaml", "value: row.minutes", "value: double(row.minutes) * 60.0")

    found = told(lrs_bridge("source", "preview", "helpdesk", "--json"))

    assert [one["value"] for one in found["rows"]] == [2400.0, 1200.0, 1500.0, 3600.0]
    assert told(lrs_bridge("source", "preview", "helpdesk", "--limit", "1", "--json"))["records"] == 1
    assert counts()["source_record"] == 0


def test_a_preview_of_a_roster_shows_its_people(company: Company, lrs_bridge: Call) -> None:
    found = told(lrs_bridge("source", "preview", "staff", "--json"))

    assert found["roster_rows"][0] == {
        "record": "E1",
        "learner": "E1",
        "name": "Ann Archer",
        "aliases": ["mbox:mailto:ann@example.com", "user:helpdesk|ann", "user:crm|ann"],
    }
    assert "Ann Archer" in lrs_bridge("source", "preview", "staff").stdout


def test_a_preview_tells_what_no_rule_reads_what_fails_and_what_cannot_be_used(
    desk: Desk, company: Company, lrs_bridge: Call
) -> None:
    bad = replace(row("B", "x"), data={"solved_at": "yesterday", "agent": "ann", "minutes": 1})
    desk.sampled = page(bad, problems=(RowProblem(7, "opened_at", "No date.", "raw"),))

    shown = lrs_bridge("source", "preview", "helpdesk").stdout

    assert "fails on B" in shown
    assert "cannot be used: record 7, opened_at: No date." in shown
    assert told(lrs_bridge("source", "preview", "helpdesk", "--json"))["contents"] == []
    company.change("rules.yaml", "source: helpdesk", "source: crm")
    unread = told(lrs_bridge("source", "preview", "helpdesk", "--json"))
    assert unread["contents"] == [{"record": "B", "deleted": False, "row": bad.data}]
    assert "No rule and no roster reads helpdesk" in lrs_bridge("source", "preview", "helpdesk").stdout


def test_a_source_that_refuses_says_why(desk: Desk, lrs_bridge: Call) -> None:
    desk.fault = SourceRefused("403 Forbidden. Ask there for permission.")

    assert "Ask there for permission" in error(lrs_bridge("source", "preview", "helpdesk"), 1)


# --- pull, pause, resume, reset ------------------------------------------------------------------------------------


def test_a_source_that_asked_us_to_wait_waits_and_does_not_fail(desk: Desk, lrs_bridge: Call) -> None:
    jobs.pull("helpdesk")
    desk.fault = SourceUnavailable("The quota is used up.", retry_after=7200)
    pulled = told(lrs_bridge("source", "pull", "helpdesk", "--json"), 1)  # it is not done

    assert pulled["waiting"] == f"until {pulled['next_pull']}: The quota is used up."
    assert pulled["last_error"] is None
    assert told(lrs_bridge("source", "status", "helpdesk", "--json"))["waiting"] == pulled["waiting"]
    assert status.overview(db.session)["failing_sources"] == []

    assert told(lrs_bridge("source", "pause", "helpdesk", "--json"))["waiting"] is None
    lrs_bridge("source", "resume", "helpdesk")
    desk.fault = None
    assert told(lrs_bridge("source", "pull", "helpdesk", "--json"))["waiting"] is None


def test_a_pull_waits_for_a_worker_that_is_at_it(company: Company, lrs_bridge: Call) -> None:
    jobs.load_documents()
    held = threading.Event()
    engine = db.engine

    def work() -> None:
        with single_flight(engine, "pull helpdesk"):
            held.set()
            time.sleep(0.7)

    worker = threading.Thread(target=work)
    worker.start()
    held.wait()
    pulled = lrs_bridge("source", "pull", "helpdesk", "--json")
    worker.join()

    assert told(pulled)["records"] == 5
    assert "A worker is at helpdesk; waiting for it." in pulled.stderr


def test_a_paused_source_is_not_pulled_and_says_how_to_go_on(company: Company, lrs_bridge: Call) -> None:
    company.run()
    paused = told(lrs_bridge("source", "pause", "helpdesk", "--why", "an audit", "--json"))
    assert paused["paused"].endswith("(an audit)")
    assert paused["next_pull"] is None

    for command in ("pull", "backfill"):
        refused = error(lrs_bridge("source", command, "helpdesk"), 1)
        assert "(an audit). `lrs-bridge source resume helpdesk` lets it go on" in refused
    assert "helpdesk" not in status.overview(db.session)["lagging_sources"]
    assert status.overview(db.session)["paused_sources"][0].startswith("helpdesk: since")
    company.tickets([("T9", "2026-06-20T08:00:00Z", "ann", "2026-06-20T08:00:00Z", "20")])
    jobs.pull("helpdesk")
    assert listed(lrs_bridge)[1]["records"] == 5

    assert told(lrs_bridge("source", "resume", "helpdesk", "--json"))["paused"] is None
    assert told(lrs_bridge("source", "pull", "helpdesk", "--json"))["records"] == 6


def test_a_paused_source_that_was_never_pulled_holds_nobody_up(company: Company, lrs_bridge: Call) -> None:
    lrs_bridge("source", "pause", "crm")
    jobs.load_documents()
    lrs_bridge("source", "pause", "crm")
    for name in ("helpdesk", "staff"):
        jobs.pull(name)
    company.work()

    assert readings.behind(db.session) == 0
    assert status.settled(db.session)


def test_a_reset_reads_all_again_and_doubles_nothing(company: Company, lrs_bridge: Call) -> None:
    company.run()

    aborted = lrs_bridge("source", "reset", "helpdesk")  # nobody answers
    assert aborted.exit_code == 1
    assert "will be read from its beginning again" in aborted.stderr
    assert "Its 5 records with 5 versions stay" in " ".join(aborted.stderr.split())
    db.session.rollback()
    assert sources.state(db.session, "helpdesk").state is not None

    assert told(lrs_bridge("source", "reset", "helpdesk", "--yes", "--json"))["records"] == 5
    assert sources.state(db.session, "helpdesk").state is None
    again = told(lrs_bridge("source", "pull", "helpdesk", "--json"))
    assert (again["records"], again["versions"]) == (5, 5)


@pytest.mark.parametrize(
    "command",
    [("check",), ("preview",), ("pull",), ("backfill",), ("status",), ("pause",), ("resume",), ("reset", "--yes")],
    ids=lambda command: command[0],
)
def test_an_unknown_name_is_a_wrong_call_that_names_the_nearest(
    company: Company, lrs_bridge: Call, command: tuple[str, ...]
) -> None:
    jobs.load_documents()

    assert "Did you mean 'helpdesk'?" in error(lrs_bridge("source", command[0], "helpdesc", *command[1:]), 2)


# --- backfill ------------------------------------------------------------------------------------------------------


def test_the_past_is_read_here_and_told(desk: Desk, lrs_bridge: Call) -> None:
    done = told(lrs_bridge("source", "backfill", "helpdesk", "--since", "2026-11-18T12:00:00Z", "--json"))

    assert (done["slices"], done["done"], done["is_done"], done["rows"], done["versions"]) == (2, 2, True, 4, 3)
    assert "2 of 2 slices" in listed(lrs_bridge)[1]["past"]


def test_what_is_left_of_the_past_is_gone_on_with(desk: Desk, lrs_bridge: Call) -> None:
    desk.fault = SourceUnavailable("Busy.", retry_after=7200)
    left = told(lrs_bridge("source", "backfill", "helpdesk", "--json"), 1)
    assert (left["done"], left["last_error"]) == (0, "Busy.")
    assert left["next_try_at"] > "2026"

    desk.fault = None
    assert told(lrs_bridge("source", "backfill", "helpdesk", "--json"))["is_done"]


def test_part_of_the_past_can_be_asked_for(desk: Desk, lrs_bridge: Call) -> None:
    between = ("--since", "2026-01-01", "--until", "2026-01-02")

    assert told(lrs_bridge("source", "backfill", "helpdesk", *between, "--json"))["slices"] == 1
    assert "--until goes with --since" in error(lrs_bridge("source", "backfill", "helpdesk", *between[2:]), 2)
    assert "is no time as ISO 8601" in error(lrs_bridge("source", "backfill", "helpdesk", "--since", "may"), 2)
    nothing = error(lrs_bridge("source", "backfill", "helpdesk", "--since", "2026-01-02", "--until", "2026-01-01"), 2)
    assert "There is nothing of helpdesk to be read in this time." in nothing


def test_a_source_without_a_past_of_its_own_says_so(company: Company, lrs_bridge: Call) -> None:
    assert "every pull reads all of it" in error(lrs_bridge("source", "backfill", "crm"), 2)


def test_a_backfill_waits_for_a_worker_that_is_at_it(desk: Desk, lrs_bridge: Call, company: Company) -> None:
    desk.slow = 0.4
    backfills.plan(db.session, "helpdesk", desk.slices(None, None), now=NOW)
    db.session.commit()

    def work() -> None:
        with company.app.app_context():
            jobs.backfill("helpdesk")

    worker = threading.Thread(target=work)
    worker.start()
    time.sleep(0.1)
    done = lrs_bridge("source", "backfill", "helpdesk", "--json")
    worker.join()

    assert told(done)["is_done"]
    assert "A worker is at helpdesk" in done.stderr


# --- status --------------------------------------------------------------------------------------------------------


def test_the_status_has_all_that_is_known(desk: Desk, lrs_bridge: Call) -> None:
    changed = datetime.now(UTC) - timedelta(hours=2)
    desk.state = {
        "watermark": changed.isoformat(),
        "lateness_seconds": 40.5,
        "lookback_seconds": 600.0,
        "quota": {"left": 17, "resets_at": "2026-11-20T12:00:00.000000Z", "seen_at": "2026-11-20T11:00:00.000000Z"},
    }
    lrs_bridge("source", "pull", "helpdesk")
    backfills.plan(db.session, "helpdesk", desk.slices(None, None), now=NOW)
    db.session.commit()

    found = told(lrs_bridge("source", "status", "helpdesk", "--json"))

    assert found["newest_change"] == changed.strftime("%Y-%m-%dT%H:%M:%SZ")
    assert 7195 <= found["lag_seconds"] <= 7300
    assert (found["lateness_seconds"], found["lookback_seconds"]) == (40.5, 600.0)
    assert (found["left_of_quota"], found["quota_resets_at"]) == (17, "2026-11-20T12:00:00Z")
    assert (found["past_slices"], found["past_slices_done"], found["past_slices_set_aside"]) == (2, 0, 0)
    assert (found["records"], found["versions"], found["bad_rows"], found["quarantined"]) == (1, 1, 0, 0)
    assert found["last_success"] is not None
    assert {one["source"] for one in told(lrs_bridge("source", "status", "--json"))} == {"crm", "helpdesk", "staff"}
    assert "lag seconds" in lrs_bridge("source", "status", "helpdesk").stdout


def test_the_status_of_a_source_that_tells_nothing_of_itself_has_gaps(company: Company, lrs_bridge: Call) -> None:
    jobs.load_documents()

    found = told(lrs_bridge("source", "status", "crm", "--json"))

    assert (found["lag_seconds"], found["left_of_quota"], found["last_success"]) == (None, None, None)


def test_records_that_rules_fail_on_are_counted_by_source(company: Company, lrs_bridge: Call) -> None:
    company.change("rules.yaml", "value: row.minutes", "value: 1 / (int(row.minutes) - 20)")
    company.run()

    assert told(lrs_bridge("source", "status", "helpdesk", "--json"))["quarantined"] == 1
    assert told(lrs_bridge("source", "status", "crm", "--json"))["quarantined"] == 0


def test_the_overview_names_sources_that_lag(company: Company, lrs_bridge: Call) -> None:
    company.run()
    db.session.execute(
        text("update source_state set succeeded_at = now() - interval '4 hours' where source in ('helpdesk', 'crm')")
    )
    db.session.commit()

    lagging = told(lrs_bridge("status", "--json"))["lagging_sources"]

    assert [one.partition(":")[0] for one in lagging] == ["helpdesk"]  # crm is pulled once a day


# --- tokens --------------------------------------------------------------------------------------------------------


def test_kept_tokens_are_encrypted_anew(company: Company, lrs_bridge: Call) -> None:
    old, new = Fernet.generate_key().decode(), Fernet.generate_key().decode()
    TokenStore(db.engine, [old]).write("crm", {"refresh_token": "x"})
    usual = context.settings()
    context.keep(company.app, replace(usual, token_keys=(new, old)))

    assert told(lrs_bridge("source", "rotate-tokens", "--json")) == {"tokens": 1}

    assert TokenStore(db.engine, [new]).read("crm") == {"refresh_token": "x"}
    context.keep(company.app, replace(usual, token_keys=()))
    assert "set LRS_BRIDGE_TOKEN_KEYS" in error(lrs_bridge("source", "rotate-tokens"), 1)


def test_login_is_among_the_commands(lrs_bridge: Call) -> None:
    shown = lrs_bridge("source", "--help").stdout

    for command in ("list", "add", "validate", "check", "preview", "pull", "backfill", "status", "pause", "resume"):
        assert f"\n  {command} " in shown
    assert "\n  login " in shown
