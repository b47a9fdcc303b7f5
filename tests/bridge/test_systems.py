"""Real systems from their manifests to the table of versions, as workers pull them."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import installed
import pytest
from company import Company
from installed import TRYTON_KEY, Roundup, Tryton
from sqlalchemy import select

from bridge import jobs, sources
from bridge.models import SourceRecord, SourceRecordVersion
from connectors.clocks import SystemClock
from lrs import db

DOCUMENT = """\
kind: source
name: {name}
type: {type}
stream: {stream}
account: {account}
allow_private: [127.0.0.1]
"""


@pytest.fixture
def tracker(tmp_path: Path) -> Iterator[Roundup]:
    with installed.roundup(tmp_path) as running:
        yield running


@pytest.fixture
def crm(tmp_path: Path) -> Iterator[Tryton]:
    with installed.tryton(tmp_path) as running:
        yield running


@pytest.fixture
def wait(monkeypatch: pytest.MonkeyPatch) -> Callable[[timedelta], None]:
    """Let time pass, as sources see it."""
    ahead = timedelta(0)

    def move(length: timedelta) -> None:
        nonlocal ahead
        ahead += length

    monkeypatch.setattr(SystemClock, "now", lambda _: datetime.now(UTC) + ahead)
    return move


def declare(company: Company, name: str, **words: str) -> None:
    company.write(f"{name}.yaml", DOCUMENT.format(name=name, **words))
    jobs.load_documents()


def versions(name: str) -> dict[str, list[Any]]:
    """What was pulled, and by it the versions of each record as they were stored; None for a deletion."""
    jobs.pull(name)
    assert sources.state(db.session, name).last_error is None
    query = (
        select(SourceRecord.key, SourceRecordVersion.data, SourceRecordVersion.deleted)
        .join(SourceRecordVersion, SourceRecordVersion.record_id == SourceRecord.id)
        .where(SourceRecord.source == name)
        .order_by(SourceRecordVersion.id)
    )
    found: dict[str, list[Any]] = {}
    for key, data, deleted in db.session.execute(query):
        found.setdefault(key, []).append(None if deleted else data)
    return found


def sweep(name: str, wait: Callable[[timedelta], None]) -> dict[str, list[Any]]:
    wait(timedelta(days=1, minutes=1))
    versions(name)
    wait(timedelta(minutes=30))  # a pass is two readings
    return versions(name)


def test_issues_of_a_roundup_are_stored_once_a_version_and_gone_when_retired(company, tracker, wait, monkeypatch):
    monkeypatch.setenv("LRS_BRIDGE_SOURCE_ROUNDUP_PASSWORD", "secret")
    account = f"{{url: {tracker.url!r}, user: admin, password: {{secret: roundup-password}}}}"
    declare(company, "tracker", type="roundup", stream="issues", account=account)
    tracker.make("user", username="ann", address="ann@example.com", password="secret", roles="User")
    first, second = (tracker.make("issue", title=title, status="unread", priority="bug") for title in ("One", "Two"))
    versions("tracker")

    for values in ({"assignedto": "ann"}, {"status": "resolved"}):
        tracker.change("issue", first, **values)
        versions("tracker")
    tracker.retire("issue", second)
    stored = versions("tracker")
    swept = sweep("tracker", wait)

    names = [((row["assignedto"] or {}).get("username"), row["status"]["name"]) for row in stored[first]]
    assert names == [(None, "unread"), ("ann", "unread"), ("ann", "resolved")]
    assert stored[second] == [row for row in stored[second] if row]  # a list without it says nothing
    assert swept == {first: stored[first], second: [*stored[second], None]}

    tracker.restore("issue", second)
    assert sweep("tracker", wait)[second] == [*stored[second], None, stored[second][0]]


def test_opportunities_of_a_tryton_are_stored_once_a_version_and_gone_when_deleted(company, crm, wait, monkeypatch):
    monkeypatch.setenv("LRS_BRIDGE_SOURCE_TRYTON_KEY", TRYTON_KEY)
    account = f"{{url: {crm.url!r}, key: {{secret: tryton-key}}}}"
    declare(company, "sales", type="tryton", stream="opportunities", account=account)
    first, second = crm.lead(crm.ann), crm.lead(crm.bob)
    versions("sales")

    crm.change("sale.opportunity", first, employee=crm.bob)
    versions("sales")
    crm.press(first, "opportunity")
    stored = versions("sales")
    crm.delete(second)
    swept = sweep("sales", wait)

    states = [(row["employee"], row["state"]) for row in stored[str(first)]]
    assert states == [(crm.ann, "lead"), (crm.bob, "lead"), (crm.bob, "opportunity")]
    assert swept == {str(first): stored[str(first)], str(second): [*stored[str(second)], None]}
