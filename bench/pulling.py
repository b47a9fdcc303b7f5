"""Pages of source records into versions, by the real connector and `sources.store_page`; the incidents of the demo.

The reference: raw COPY of the same keys, cursors, hashes and data, a page a transaction.
"""

import json
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime

from psycopg import connect

from bench.lines import Line
from bench.stage import Options, Stage
from bridge import documents, jobs, sources
from connectors import Page
from lrs import db

SOURCE = "servicenow-incidents"
_REFERENCE_TABLE = "create table raw_versions (key text, cursor jsonb, content_hash bytea, data jsonb)"
_COPY = "copy raw_versions from stdin with (format binary)"
_NOW = datetime(2026, 11, 20, tzinfo=UTC)


def measure(stage: Stage, options: Options) -> list[Line]:
    """Read the file, store its pages as new sources, store them again with nothing new."""
    with stage.app("pulling").app_context():
        pages, reading = _read()
        rows = sum(len(page.rows) for page in pages)
        rounds = max(round(options.seconds / 5), 1)
        raw, new, again = [], [], []
        for number in range(rounds):
            stage.settle()
            raw.append(_seconds(lambda: _copy(stage, pages)))
            stage.settle()
            new.append(_seconds(lambda: _store(f"bench-{number}", pages)))  # noqa: B023 - called at once
            again.append(_seconds(lambda: _store(f"bench-{number}", pages)))  # noqa: B023
    stage.drop("pulling")
    reference = {"reference": rounds * rows / sum(raw), "reference_is": "raw COPY, page by page"}
    return [
        Line(what="source pages, read from the file", measured=rows / reading, unit="rows/s"),
        Line(what="source pages, stored", measured=rounds * rows / sum(new), unit="versions/s", **reference),
        Line(what="source pages, nothing new", measured=rounds * rows / sum(again), unit="versions/s", **reference),
    ]


def _read() -> tuple[list[Page], float]:
    jobs.load_documents()
    current = documents.current(db.session)
    assert current is not None
    began = time.perf_counter()
    return list(documents.source(current, SOURCE).pull(None)), time.perf_counter() - began


def _store(source: str, pages: Sequence[Page]) -> None:
    for page in pages:
        sources.store_page(db.session, source, page, started_at=_NOW)
        db.session.commit()


def _copy(stage: Stage, pages: Sequence[Page]) -> None:
    url = stage.settings("pulling").database_url.replace("postgresql+psycopg", "postgresql")
    with connect(url, autocommit=True) as connection, connection.cursor() as cursor:
        cursor.execute(f"drop table if exists raw_versions; {_REFERENCE_TABLE}")
        for page in pages:
            with cursor.copy(_COPY) as copy:
                copy.set_types(["text", "jsonb", "bytea", "jsonb"])
                for row in page.rows:
                    copy.write_row((row.key, json.dumps(row.cursor), row.content_hash, json.dumps(row.data)))


def _seconds(work: Callable[[], None]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began
