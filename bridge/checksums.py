"""Checksums of what is derived, so that two ways to the same tables can be shown to give the same bytes.

A row becomes one line of JSON without any number that a table gave it: a fact names its rule by content, its statement
by id, its source record by source, key and content of the version. Times are microseconds since 1970 (UTC), numbers are
written as short as they read back exactly. Lines are sorted by their bytes, so neither the order of storing nor the
server's language matters; the checksum is the SHA-256 of all lines, each with its line end.

Counted are the rules in force: what is read with rules that do not count yet, or no more, is left out.
"""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass

from sqlalchemy import text
from sqlalchemy.orm import Session

_CHUNK = 5_000
"""Lines that are held at once."""


def _microseconds(column: str) -> str:
    return f"(extract(epoch from {column}) * 1000000)::bigint"


_RULE = "rule.document, rule.name, rule.content_hash"
_VERSION = "encode(version.content_hash, 'hex'), version.cursor"
_ORIGIN = f"statement.id, source_record.source, source_record.key, {_VERSION}"
_IN_FORCE = "join rule on rule.id = {0}.rule_id and rule.state = 'active'"
_ORIGIN_OF = """
    left join statement on rule.kind = 'learning' and statement.seq = {0}.origin
    left join source_record on rule.kind = 'performance' and source_record.id = {0}.origin
    left join source_record_version version on version.id = {0}.version_id
"""

# For each table the columns of its line, and where they come from.
_LINES = {
    "learner": ("learner.key, learner.name, learner.attributes", "learner"),
    "learner_attribute": (
        "learner.key, one.name, one.value, one.valid_from, one.valid_to",
        "learner_attribute one join learner on learner.id = one.learner_id",
    ),
    "alias": (
        f"alias.key, learner.key, alias.rule, alias.name, {_microseconds('alias.named_at')}",
        # One that leads to nobody and that no fact hangs on is left of rules that are gone.
        """
        alias left join learner on learner.id = alias.learner_id
        where alias.learner_id is not null or alias.rule is not null
            or exists (select from fact where fact.alias_id = alias.id)
        """,
    ),
    "fact": (
        f"""
        {_RULE}, {_ORIGIN}, alias.key, {_microseconds("fact.occurred_at")}, fact.value, fact.weight, fact.success,
        fact.activity, fact.course, fact.attempt, fact.detail
        """,
        f"""
        fact {_IN_FORCE.format("fact")} join alias on alias.id = fact.alias_id {_ORIGIN_OF.format("fact")}
        """,
    ),
    "fact_history": (
        f"""
        {_RULE}, source_record.source, source_record.key, {_VERSION}, encode(later.content_hash, 'hex'), later.cursor,
        alias.key, {_microseconds("past.occurred_at")}, past.value, past.weight
        """,
        f"""
        fact_history past {_IN_FORCE.format("past")} join alias on alias.id = past.alias_id
        join source_record on source_record.id = past.origin
        join source_record_version version on version.id = past.version_id
        join source_record_version later on later.id = past.until_version_id
        """,
    ),
    "quarantine": (
        f"{_RULE}, {_ORIGIN}, quarantine.expression, quarantine.reason",
        f"quarantine {_IN_FORCE.format('quarantine')} {_ORIGIN_OF.format('quarantine')}",
    ),
    "record": (
        f"""
        record.program, learner.key, {_microseconds("record.enrolled_at")}, record.attempts,
        {_microseconds("record.completed_at")}, record.best_score, {_microseconds("record.last_activity_at")}
        """,
        "record join learner on learner.id = record.learner_id",
    ),
    "record_metric": (
        """
        record.program, learner.key, record_metric.metric, record_metric.before_mean, record_metric.before_count,
        record_metric.since_mean, record_metric.since_count
        """,
        """
        record_metric join record on record.id = record_metric.record_id
        join learner on learner.id = record.learner_id
        """,
    ),
}

TABLES = tuple(_LINES)


@dataclass(frozen=True, slots=True)
class Checksum:
    """What a table holds: how many rows, and the SHA-256 of their lines in hexadecimal digits."""

    table: str
    rows: int
    sha256: str


def of_table(session: Session, table: str) -> Checksum:
    """Give the checksum of one of TABLES, read as a stream."""
    digest, rows = hashlib.sha256(), 0
    for line in lines(session, table):
        digest.update(f"{line}\n".encode())
        rows += 1
    return Checksum(table, rows, digest.hexdigest())


def lines(session: Session, table: str) -> Iterator[str]:
    """Give the lines that a table's checksum is made of, in order."""
    columns, source = _LINES[table]
    query = text(f"""
        select line from (select jsonb_build_array({columns})::text as line from {source}) listed
        order by line collate "C"
    """)  # noqa: S608 - nothing but names of this module is put into the text
    session.execute(text("set local extra_float_digits = 1"))  # what a server is set to may cut digits off
    yield from session.scalars(query, execution_options={"yield_per": _CHUNK})


def total(checksums: list[Checksum]) -> str:
    """Give one checksum for all, in the order of their names."""
    digest = hashlib.sha256()
    for one in sorted(checksums, key=lambda one: one.table):
        digest.update(f"{one.table} {one.sha256}\n".encode())
    return digest.hexdigest()
