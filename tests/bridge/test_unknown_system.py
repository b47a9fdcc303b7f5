"""A system that nobody here knew, added as README.md says: by a document of under 40 lines, and commands.

The system is a Redmine of our own, after https://www.redmine.org/projects/redmine/wiki/Rest_Issues (read 2026-11-21).
"""

import json
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from company import Company
from sqlalchemy import select

from bridge import jobs, sources
from bridge.models import SourceRecord, SourceRecordVersion
from lrs import db

KEY = "canary-0f3d5a"
DOCUMENT = """\
kind: source
name: redmine-issues
title: Issues (Redmine)
type: rest
every: 15m
base_url: {url}
allow_private: [127.0.0.1]
auth:
  type: api_key
  header: X-Redmine-API-Key
  value: {{secret: redmine-key}}
request:
  path: /issues.json
  params:
    updated_on: ">={{low}}"
    status_id: "*"                  # else closed issues are left out
    sort: updated_on,id
    limit: 100
page: {{type: offset, param: offset}}
records: issues
key: id
cursor: {{field: updated_on, ordered: true}}
deleted:                            # deleted issues are in no list
  type: sweep
  request: {{path: /issues.json, params: {{status_id: "*", sort: id, limit: 100}}}}
  page: {{type: offset, param: offset}}
  records: issues
omit: [description]
"""
NAMES = {7: "Ann", 8: "Bob"}


class Redmine(ThreadingHTTPServer):
    """Issues by id; only open ones unless asked otherwise, newest first unless asked otherwise, 25 a page at first."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.issues: dict[int, dict[str, Any]] = {}

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def put(self, number: int, *, owner: int = 7, ago: timedelta = timedelta(hours=20), closed: bool = False) -> None:
        status = {"id": 1 + closed, "name": "Closed" if closed else "New", "is_closed": closed}
        self.issues[number] = {
            "id": number,
            "project": {"id": 1, "name": "Desk"},
            "status": status,
            "assigned_to": {"id": owner, "name": NAMES[owner]},
            "subject": f"Issue {number}",
            "description": "My card number is",
            "updated_on": f"{datetime.now(UTC) - ago:%Y-%m-%dT%H:%M:%SZ}",
        }


class Handler(BaseHTTPRequestHandler):
    server: Redmine

    def log_message(self, *_: object) -> None:
        """Be quiet."""

    def do_GET(self) -> None:
        query = {name: values[0] for name, values in parse_qs(urlsplit(self.path).query).items()}
        if self.headers["X-Redmine-API-Key"] != KEY:
            return self.reply(401, None)
        if urlsplit(self.path).path != "/issues.json":
            return self.reply(404, None)
        rows = [row for row in self.server.issues.values() if "status_id" in query or not row["status"]["is_closed"]]
        if since := query.get("updated_on", "").removeprefix(">="):
            rows = [row for row in rows if row["updated_on"] >= since]
        for column in reversed(query.get("sort", "id:desc").split(",")):
            name, _, way = column.partition(":")
            rows.sort(key=lambda row, name=name: row[name], reverse=way == "desc")
        begin, limit = int(query.get("offset", 0)), min(int(query.get("limit", 25)), 100)
        return self.reply(
            200,
            {"issues": rows[begin : begin + limit], "total_count": len(rows), "offset": begin, "limit": limit},
        )

    def reply(self, status: int, body: object) -> None:
        content = json.dumps(body).encode() if body else b""
        self.send_response(status)
        self.send_header("Content-Type", "application/json; charset=utf-8")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)


@pytest.fixture
def redmine(monkeypatch: pytest.MonkeyPatch) -> Iterator[Redmine]:
    monkeypatch.setenv("LRS_BRIDGE_SOURCE_REDMINE_KEY", KEY)
    with Redmine() as running:
        threading.Thread(target=running.serve_forever, daemon=True).start()
        for number in range(1, 251):
            running.put(number, ago=timedelta(hours=300 - number), closed=number % 2 == 0)
        yield running
        running.shutdown()


def versions() -> list[tuple[str, Any]]:
    query = (
        select(SourceRecord.key, SourceRecordVersion.data)
        .join(SourceRecordVersion, SourceRecordVersion.record_id == SourceRecord.id)
        .where(SourceRecord.source == "redmine-issues")
        .order_by(SourceRecordVersion.id)
    )
    return [(key, data) for key, data in db.session.execute(query)]


def test_system_is_added_by_under_forty_lines_and_no_python(company: Company, redmine: Redmine, lrs_bridge) -> None:
    assert DOCUMENT.count("\n") < 40
    company.write("redmine.yaml", DOCUMENT.format(url=redmine.url))

    assert lrs_bridge("source", "validate", company.folder / "redmine.yaml").exit_code == 0
    jobs.load_documents()
    found = json.loads(lrs_bridge("source", "check", "redmine-issues", "--json").stdout)
    pulled = json.loads(lrs_bridge("source", "pull", "redmine-issues", "--json").stdout)

    assert {one["name"]: one["text"] for one in found if one["state"] not in ("ok", "skipped")} == {}
    assert pulled["versions"] == 250
    redmine.put(3, owner=8, ago=timedelta(0))
    jobs.pull("redmine-issues")
    assert sources.state(db.session, "redmine-issues").last_error is None
    assert [(key, data["assigned_to"]["name"]) for key, data in versions()[250:]] == [("3", "Bob")]
    assert "card number" not in str(versions())


@pytest.mark.parametrize(
    ("right", "wrong", "told"),
    [
        ("  header: X-Redmine-API-Key\n", "", "The key 'header' is missing."),
        ("type: api_key", "type: apikey", "Did you mean 'api_key'?"),
        ("{{secret: redmine-key}}", "0f3d5a", "Write {secret: some-name}, and set LRS_BRIDGE_SOURCE_SOME_NAME."),
        ('">={{low}}"', ">={{low}}", "Check indentation, colons and quotes"),
        ("{{low}}", "{{since}}", "There is no slot {since}. There are: high, low, low_id."),
        ("allow_private: [127.0.0.1]\n", "", "If that is right, write allow_private: [127.0.0.1]."),
    ],
)
def test_what_validate_says_of_mistakes(company: Company, redmine: Redmine, lrs_bridge, right, wrong, told) -> None:
    assert right in DOCUMENT
    company.write("redmine.yaml", DOCUMENT.replace(right, wrong, 1).format(url=redmine.url))

    refused = lrs_bridge("source", "validate", company.folder / "redmine.yaml")

    assert refused.exit_code == 1
    assert told in " ".join(refused.output.split())
    assert "redmine.yaml:" in refused.output


@pytest.mark.parametrize(
    ("right", "wrong", "name", "told"),
    [
        ("records: issues\nkey", "records: issue\nkey", "records", "it has: 'issues', 'total_count'"),
        ("path: /issues.json\n", "path: /issue.json\n", "records", "404 Not Found"),
        ("    sort: updated_on,id\n", "", "order", "before record 1"),
        ("field: updated_on", "field: updated_at", "cursor", "updated_at cannot be read"),
        ("field: updated_on", "field: updated_on, send: unix", "timezone", "correct its name or its format"),
        ("    updated_on:", "    updated_after:", "timezone", "does not heed the parameter with {low}"),
        ("offset, param: offset}}\nrecords", "page, param: page}}\nrecords", "pages", "does not heed how we page"),
    ],
)
def test_what_check_says_of_mistakes(company: Company, redmine: Redmine, lrs_bridge, right, wrong, name, told) -> None:
    assert right in DOCUMENT
    company.write("redmine.yaml", DOCUMENT.replace(right, wrong, 1).format(url=redmine.url))
    jobs.load_documents()

    checked = lrs_bridge("source", "check", "redmine-issues", "--json")

    found = {one["name"]: one for one in json.loads(checked.stdout)}
    assert found[name]["state"] in ("failed", "warning"), found
    assert told in found[name]["text"] + found[name]["remedy"]
