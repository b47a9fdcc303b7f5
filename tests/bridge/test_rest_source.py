"""A REST source from its document to the table of versions, against a real server that changes while it is read."""

import json
import threading
from collections import deque
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

import pytest
from company import Company
from flask import current_app
from sqlalchemy import select, text

from bridge import backfills, jobs, sources
from bridge.models import SourceRecord, SourceRecordVersion
from lrs import db

SECRET = "canary-5f1c9b7e"
"""Must be found nowhere but in requests to the token's own server."""
SIZE = 3
DOCUMENT = """\
kind: source
name: desk
type: rest
every: 15m
base_url: {url}/api
allow_private: [127.0.0.1]
auth:
  type: client_credentials
  token_url: {url}/token
  client_id: lrs-bridge
  client_secret: {{secret: desk-secret}}
request: {{path: /tickets, params: {{since: "{{low}}", until: "{{high}}"}}}}
page: {{type: token, path: next, param: token}}
records: tickets
key: id
cursor: {{field: updated_at, format: iso_us, lookback: 1h, settle: 0s, start: 2020-01-01T00:00:00Z, ordered: true}}
deleted: {{type: flag, field: status, is: deleted}}
"""


class Server(ThreadingHTTPServer):
    """Tickets behind short-lived tokens; `faults` are what the next requests for tickets come to."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.tickets: dict[int, dict] = {}
        self.faults: deque[str] = deque()
        self.tokens = 0
        self.asked: list[str] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def put(self, number: int, *, ago: timedelta = timedelta(seconds=1), **values) -> None:
        self.tickets[number] = {**self.tickets.get(number, {}), "id": number, **values}
        self.tickets[number]["updated_at"] = (datetime.now(UTC) - ago).isoformat()


class Handler(BaseHTTPRequestHandler):
    server: Server

    def log_message(self, *_: object) -> None:
        """Be quiet."""

    def do_POST(self) -> None:
        form = parse_qs(self.rfile.read(int(self.headers["Content-Length"])).decode())
        assert (form["client_secret"], form["grant_type"]) == ([SECRET], ["client_credentials"])
        self.server.tokens += 1
        self.reply({"access_token": f"{SECRET}-{self.server.tokens}", "expires_in": 3600})

    def do_GET(self) -> None:
        self.server.asked.append(self.path)
        match self.server.faults.popleft() if self.server.faults else "":
            case "":
                pass
            case "cut":
                return self.reply(self.page(), cut=True)
            case "redirect":
                return self.reply({}, 302, Location="https://evil.example.com/")
            case fault:
                # A server that repeats what it was sent, as debugging ones do.
                return self.reply({"you": self.headers["Authorization"]}, int(fault), **{"Retry-After": "7200"})
        if self.headers["Authorization"] != f"Bearer {SECRET}-{self.server.tokens}":
            return self.reply({"you": self.headers["Authorization"]}, 401)
        return self.reply(self.page())

    def page(self) -> dict:
        query = {name: values[0] for name, values in parse_qs(urlsplit(self.path).query).items()}
        since = datetime.fromisoformat(query["since"])
        rows = sorted(self.server.tickets.values(), key=lambda row: (row["updated_at"], row["id"]))
        rows = [row for row in rows if datetime.fromisoformat(row["updated_at"]) >= since]
        if "until" in query:  # as many systems have it: up to and with that time
            until = datetime.fromisoformat(query["until"])
            rows = [row for row in rows if datetime.fromisoformat(row["updated_at"]) <= until]
        begin = int(query.get("token", 0))
        return {"tickets": rows[begin : begin + SIZE], "next": begin + SIZE if begin + SIZE < len(rows) else None}

    def reply(self, body: dict, status: int = 200, *, cut: bool = False, **headers: str) -> None:
        content = json.dumps(body).encode()
        self.send_response_only(status)
        for name, value in {"Date": format_datetime(datetime.now(UTC), usegmt=True), **headers}.items():
            self.send_header(name, value)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content[: len(content) // 2] if cut else content)
        self.close_connection = True


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setenv("LRS_BRIDGE_SOURCE_DESK_SECRET", SECRET)
    monkeypatch.setattr("connectors.sources.calls.FIRST_WAIT_SECONDS", 0.01)
    with Server() as running:
        threading.Thread(target=running.serve_forever, daemon=True).start()
        for number in range(1, 8):
            running.put(number, ago=timedelta(hours=10 - number), owner="ann")
        yield running
        running.shutdown()


@pytest.fixture
def desk(company: Company, server: Server) -> Server:
    company.write("desk.yaml", DOCUMENT.format(url=server.url))
    jobs.load_documents()
    return server


def let_time_pass() -> None:
    """Let what the broker holds end."""
    current_app.extensions["lrs-bridge-broker"].flushall()


def pull() -> str | None:
    """Pull, and give what went wrong."""
    jobs.pull("desk")
    return sources.state(db.session, "desk").last_error


def versions() -> list[tuple[str, dict, bool]]:
    rows = (
        select(SourceRecord.key, SourceRecordVersion.data, SourceRecordVersion.deleted)
        .join(SourceRecordVersion, SourceRecordVersion.record_id == SourceRecord.id)
        .where(SourceRecord.source == "desk")
        .order_by(SourceRecordVersion.id)
    )
    return [tuple(row) for row in db.session.execute(rows)]


def test_every_version_is_stored_once_as_records_change_and_go(desk):
    assert pull() is None
    assert [key for key, _, _ in versions()] == ["1", "2", "3", "4", "5", "6", "7"]

    desk.put(2, owner="bob")
    desk.put(9, ago=timedelta(hours=3, minutes=30))  # committed late: half an hour older than the newest seen
    desk.put(4, status="deleted")
    assert pull() is None
    assert pull() is None

    found = [(key, data.get("owner"), deleted) for key, data, deleted in versions()[7:]]
    assert found == [("9", None, False), ("2", "bob", False), ("4", "ann", True)]


def test_state_is_stored_with_each_page_and_the_next_pull_goes_on_there(desk):
    desk.faults.extend(["", "429"])

    assert pull() is None  # it is no fault to be asked to wait

    row = sources.state(db.session, "desk")
    assert "We go on after" in str(row.waits_for)
    assert row.next_pull_at - row.started_at >= timedelta(seconds=7200)  # never cut short
    assert [key for key, _, _ in versions()] == ["1", "2", "3"]
    desk.asked.clear()
    assert pull() is None
    assert "is used up, or it has told this account to wait. We go on after" in str(
        sources.state(db.session, "desk").waits_for
    )  # all who use the account know it, and nobody asks again
    assert desk.asked == []
    let_time_pass()
    assert pull() is None
    assert "2020-01-01" not in desk.asked[0]
    assert len(versions()) == 7


@pytest.mark.parametrize("faults", [["500"], ["cut"], ["", "cut", "cut"], ["", "500", "cut", "500"]])
def test_passing_fault_costs_nothing(desk, faults, monkeypatch):
    monkeypatch.setattr("connectors.http.retry_after", lambda *_: None)
    desk.faults.extend(faults)

    assert pull() is None
    assert len(versions()) == 7


def test_expired_token_is_fetched_anew_once(desk):
    jobs.pull("desk")
    desk.faults.extend(["401"])

    assert pull() is None
    assert desk.tokens == 3  # one a pull, and the one after the 401


@pytest.mark.parametrize(
    ("faults", "told"),
    [
        (["401", "401"], "401 Unauthorized. Check the key and secret."),
        (["", "403"], "403 Forbidden. Ask there for permission."),
        (["redirect"], "sends us on to https://evil.example.com/, which we do not follow"),
        (["cut"] * 4, "cannot be reached, or stopped half-way"),
    ],
)
def test_lasting_fault_is_told_on_the_source(desk, faults, told):
    desk.faults.extend(faults)

    assert told in str(pull())


def test_document_is_validated_to_the_line(company, lrs_bridge, server):
    company.write("desk.yaml", DOCUMENT.format(url=server.url).replace("param: token", "paran: token"))

    checked = lrs_bridge("mapping", "validate", company.folder / "desk.yaml")

    line = DOCUMENT[: DOCUMENT.index("page: ")].count("\n") + 1
    assert checked.exit_code == 1
    assert f"desk.yaml:{line}:" in checked.output
    assert "There is no key 'paran' here. Did you mean 'param'?" in " ".join(checked.output.split())


def test_source_is_pulled_by_command(desk, lrs_bridge):
    assert lrs_bridge("mapping", "validate").exit_code == 0
    pulled = lrs_bridge("source", "pull", "desk", "--json")

    assert json.loads(pulled.stdout)["versions"] == 7


def test_private_address_needs_to_be_allowed_by_name(company, desk):
    # A name that leads to this machine; the document looks like any other.
    document = DOCUMENT.format(url=desk.url).replace("allow_private: [127.0.0.1]\n", "")
    company.write("desk.yaml", document.replace("127.0.0.1", "localhost").replace("http:", "https:"))
    jobs.load_documents()

    assert "is no address of the open internet" in str(company_problems())


def company_problems() -> list[str]:
    return list(db.session.scalars(text("select text || ' ' || remedy from mapping_problem")))


def test_secrets_are_found_nowhere(desk, caplog, servers):
    caplog.set_level("DEBUG")
    desk.faults.extend(["", "401", "401"])
    told = [str(pull())]
    desk.faults.extend(["403"])
    told.append(str(pull()))
    assert pull() is None

    tables = db.session.scalars(text("select table_name from information_schema.tables where table_schema = 'public'"))
    stored = [str(list(db.session.execute(text(f"select t::text from {table} t")))) for table in tables]  # noqa: S608
    assert "updated_at" in "".join(stored)  # these are all tables indeed
    assert SECRET not in "".join([*told, caplog.text, *stored])
    assert "***" in "".join(told)  # the server had repeated it


def test_secret_that_is_not_set_is_told_by_name(desk, monkeypatch):
    monkeypatch.delenv("LRS_BRIDGE_SOURCE_DESK_SECRET")

    assert "Set LRS_BRIDGE_SOURCE_DESK_SECRET" in str(pull())


# --- the past beside the present -----------------------------------------------------------------------------------

PAST = "backfill: {slice: 1h}\n"


@pytest.fixture
def late(company: Company, server: Server) -> Server:
    """The same, but that pulls begin at the present, and the past of ten hours is cut into slices."""
    start = (datetime.now(UTC) - timedelta(hours=10)).isoformat()
    document = DOCUMENT.format(url=server.url).replace("2020-01-01T00:00:00Z", f'"{start}"')
    company.write("desk.yaml", document + PAST)
    jobs.load_documents()
    return server


def keys() -> list[str]:
    return sorted(key for key, _, _ in versions())


def test_the_past_is_read_in_slices_and_the_present_at_once(late):
    late.put(8, ago=timedelta(minutes=1), owner="bob")

    assert pull() is None
    assert keys() == ["8"]
    assert backfills.progress(db.session)["desk"].slices == 10

    jobs.backfill("desk")

    assert keys() == [str(number) for number in range(1, 9)]
    assert [key for key, _, _ in versions()][:4] == ["8", "7", "6", "5"]  # newest first
    assert backfills.progress(db.session)["desk"].is_done
    assert pull() is None
    assert len(versions()) == 8


def test_what_changes_between_the_lanes_is_missed_by_neither(late):
    late.faults.extend(["500"])
    assert pull() is None
    assert "500" in str(sources.state(db.session, "desk").waits_for)
    late.put(3, ago=timedelta(seconds=30), owner="zoe")  # after the first pull began, and before any page came

    assert pull() is None
    jobs.backfill("desk")

    assert [data.get("owner") for key, data, _ in versions() if key == "3"] == ["zoe"]
    assert keys() == ["1", "2", "3", "4", "5", "6", "7"]


def test_a_slice_that_is_refused_half_way_goes_on_there(late):
    assert pull() is None
    late.faults.extend(["", "", "429"])
    jobs.backfill("desk")
    progress = backfills.progress(db.session)["desk"]
    assert 0 < progress.done < 10
    assert progress.next_try_at - datetime.now(UTC) > timedelta(seconds=7000)
    done = progress.done

    let_time_pass()
    backfills.try_again(db.session, "desk")
    db.session.commit()
    late.asked.clear()
    jobs.backfill("desk")

    assert backfills.progress(db.session)["desk"].is_done
    assert len(late.asked) <= 2 * (10 - done)
    assert keys() == ["1", "2", "3", "4", "5", "6", "7"]


def test_the_past_is_read_by_command(late, lrs_bridge):
    assert lrs_bridge("source", "pull", "desk").exit_code == 0
    since = (datetime.now(UTC) - timedelta(hours=5, minutes=30)).isoformat()

    done = json.loads(lrs_bridge("source", "backfill", "desk", "--since", since, "--json").stdout)

    assert done["is_done"]
    found = json.loads(lrs_bridge("source", "status", "desk", "--json").stdout)
    assert found["past_slices"] == found["past_slices_done"] == done["slices"]
    assert found["lookback_seconds"] in (None, 3600.0)


def test_the_newest_change_is_told(desk, lrs_bridge):
    desk.put(7, ago=timedelta(minutes=5))
    assert lrs_bridge("source", "pull", "desk").exit_code == 0

    found = json.loads(lrs_bridge("source", "status", "desk", "--json").stdout)

    assert 295 <= found["lag_seconds"] <= 400


def test_a_source_is_checked_and_previewed_by_command_and_nothing_is_stored(desk, lrs_bridge):
    checked = lrs_bridge("source", "check", "desk", "--json")
    previewed = lrs_bridge("source", "preview", "desk", "--limit", "2", "--json")

    assert checked.exit_code == 0, checked.output
    assert "login" in {one["name"] for one in json.loads(checked.stdout)}
    assert json.loads(previewed.stdout)["records"] == 2
    assert versions() == []
    assert SECRET not in checked.output + previewed.output


# --- what the source no longer has ---------------------------------------------------------------------------------

SWEPT = """deleted:
  type: sweep
  every: 0s
  at_most: 0.5
  readings: 1
  request: {path: /tickets, params: {since: "2020-01-01T00:00:00Z"}}
  page: {type: token, path: next, param: token}
  records: tickets
  key: id
"""


def test_records_that_a_sweep_does_not_find_are_deleted(company, server):
    document = DOCUMENT.format(url=server.url)
    document = document[: document.index("deleted: ")] + SWEPT
    company.write("desk.yaml", document)
    jobs.load_documents()
    assert company_problems() == []
    assert pull() is None
    assert len(versions()) == 7
    del server.tickets[2], server.tickets[5]

    assert pull() is None

    assert sorted(key for key, _, deleted in versions() if deleted) == ["2", "5"]
