"""Records that are changed or deleted later: what counts is corrected, and what counted is kept."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path

import pytest
from factories import page
from sqlalchemy import text
from sqlalchemy.orm import Session

from bridge import readings, sources
from bridge.facts import Reader
from bridge.mapping import Documents, load_folders
from bridge.readings import LANES, Stream
from connectors import Row

NOW = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)
DOCUMENT = """\
kind: performance
name: deals
source: crm
when: row.stage == 'won'
metrics:
  - name: amount
    family: amount
    direction: up
    owner: {split: {list: row.team, owner: item}}
    occurred_at: row.closed
    value: row.amount
"""

Story = Sequence[Row]


def won(number: int, amount: int, *team: str) -> Row:
    data = {"stage": "won", "closed": "2026-10-05", "amount": amount, "team": list(team)}
    content = sha256(repr(data).encode()).digest()
    return Row(key="1", data=data, content_hash=content, cursor=(f"2026-10-{number:02}", number), row=number)


def reopened(number: int) -> Row:
    return replace(won(number, 0, "Ana"), data={"stage": "open"}, content_hash=b"open")


def gone(number: int) -> Row:
    return replace(won(number, 0), data={}, deleted=True)


STORY: Story = (
    won(1, 100, "Ana"),
    won(2, 100, "Ana", "Ben"),  # half each from now on
    won(3, 120, "Ana", "Ben"),
    reopened(4),
    won(5, 120, "Ben"),
    gone(6),
    won(7, 90, "Ben", "Cem"),
)


@pytest.fixture
def documents(tmp_path: Path) -> Documents:
    (tmp_path / "deals.yaml").write_text(DOCUMENT)
    return load_folders([tmp_path])


@pytest.fixture
def pull(session: Session, documents: Documents) -> Callable[[Story], None]:
    """Store rows as one page, and read all that is due."""

    def pull_rows(rows: Story) -> None:
        readings.ensure(session, documents.rules, documents.rules_hash)
        sources.store_page(session, "crm", page(*rows), started_at=NOW)
        session.commit()
        reading = readings.active(session)
        assert reading is not None
        reader = Reader(session, reading, documents)
        for lane in range(LANES):
            while reader.read_lane(Stream.SOURCE_RECORDS, lane):
                session.commit()

    return pull_rows


def counted(session: Session) -> dict[str, tuple[float, float]]:
    """Give (value, weight) by owner."""
    rows = session.execute(text("select key, value, weight from counted_fact join alias on alias.id = alias_id"))
    return {row.key.partition("|")[2]: (row.value, row.weight) for row in rows}


def kept(session: Session) -> list[tuple[str, float, float, int, int]]:
    """Give (owner, value, weight, since, until) of what counted before, by the numbers of the story."""
    rows = session.execute(
        text("""
            select key, value, weight, (since.cursor ->> 1)::int as since, (until.cursor ->> 1)::int as until
            from fact_history past join alias on alias.id = alias_id
            join source_record_version since on since.id = version_id
            join source_record_version until on until.id = until_version_id order by 4, 1
        """)
    )
    return [(row.key.partition("|")[2], row.value, row.weight, row.since, row.until) for row in rows]


@pytest.mark.parametrize(
    ("length", "found"),
    [
        (1, {"Ana": (100, 1.0)}),
        (2, {"Ana": (100, 0.5), "Ben": (100, 0.5)}),
        (3, {"Ana": (120, 0.5), "Ben": (120, 0.5)}),
        (4, {}),
        (5, {"Ben": (120, 1.0)}),
        (6, {}),
        (7, {"Ben": (90, 0.5), "Cem": (90, 0.5)}),
    ],
)
def test_the_newest_version_counts(
    session: Session, pull: Callable[[Story], None], length: int, found: dict[str, tuple[float, float]]
) -> None:
    pull(STORY[:length])

    assert counted(session) == found


@pytest.mark.parametrize(
    "order",
    [[1, 2, 3, 4, 5, 6, 7], [7, 6, 5, 4, 3, 2, 1], [3, 1, 7, 2, 6, 5, 4]],
    ids=["in order", "backwards", "mixed"],
)
@pytest.mark.parametrize("size", [1, 3, 7])
def test_what_counted_is_kept_in_whatever_order_and_pieces_versions_come(
    session: Session, pull: Callable[[Story], None], order: list[int], size: int
) -> None:
    rows = [STORY[number - 1] for number in order]
    for start in range(0, len(rows), size):
        pull(rows[start : start + size])

    assert counted(session) == {"Ben": (90, 0.5), "Cem": (90, 0.5)}
    assert kept(session) == [
        ("Ana", 100, 1.0, 1, 2),
        ("Ana", 100, 0.5, 2, 3),
        ("Ben", 100, 0.5, 2, 3),
        ("Ana", 120, 0.5, 3, 4),
        ("Ben", 120, 0.5, 3, 4),
        ("Ben", 120, 1.0, 5, 6),
    ]
