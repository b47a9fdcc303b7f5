"""Checksums: the same rows give the same ones, another value gives another one, and in its table alone."""

import json
import random
import uuid
from datetime import date, timedelta
from hashlib import sha256
from typing import Any

import pytest
from factories import COURSE, START, key
from sqlalchemy import text
from sqlalchemy.orm import Session

from bridge import checksums
from bridge.models import (
    Alias,
    Fact,
    FactHistory,
    Learner,
    LearnerAttribute,
    Quarantine,
    Record,
    RecordMetric,
    Rule,
    SourceRecord,
    SourceRecordVersion,
)
from lrs import Statement

STATEMENTS = [uuid.UUID(int=number) for number in range(1, 6)]
PEOPLE = ("Ann", "Bo", "Zoë", "Émile", "zeno")  # whose order differs from language to language


def sums(session: Session) -> dict[str, str]:
    session.flush()
    return {table: checksums.of_table(session, table).sha256 for table in checksums.TABLES}


def fill(session: Session, dice: random.Random) -> None:
    """Store the same content in an order, and so under numbers, of the dice."""

    def shuffled(rows: Any) -> list[Any]:
        return sorted(rows, key=lambda _: dice.random())

    def stored(rows: Any) -> list[Any]:
        made = shuffled(rows)
        for one in made:
            session.add(one)
            session.flush()
        return made

    learners = {
        one.key: one.id
        for one in stored(Learner(key=name, name=name, attributes={"b": 1, "a": name}) for name in PEOPLE)
    }
    stored(
        LearnerAttribute(learner_id=learners[name], name="team", value=name, valid_from=date(2026, 10, 1))
        for name in PEOPLE
    )
    aliases = {
        one.key: one.id for one in stored(Alias(key=f"mbox:{name}", learner_id=learners[name]) for name in PEOPLE)
    }
    rules = {
        one.name: one.id
        for one in stored(
            Rule(document="rules", name=name, content_hash=f"{name} 1", state="active", **what)
            for name, what in {
                "done": {"kind": "learning", "fact": "completed"},
                "won": {"kind": "performance", "metric": "won", "source": "crm"},
            }.items()
        )
    }
    numbers = dice.sample(range(10**6), len(STATEMENTS))
    session.add_all(
        Statement(seq=number, id=one, stored=START, credential_id=1, payload="{}")
        for number, one in zip(numbers, STATEMENTS, strict=True)
    )
    records = {one.key: one.id for one in stored(SourceRecord(source="crm", key=name) for name in PEOPLE)}
    versions = {
        (one.record_id, one.cursor[0]): one.id
        for one in stored(
            SourceRecordVersion(
                record_id=record, cursor=[number], content_hash=sha256(b"%d" % number).digest(), data={"n": number}
            )
            for record in records.values()
            for number in (1, 2)
        )
    }
    for number, name in shuffled(enumerate(PEOPLE)):
        alias, record = aliases[f"mbox:{name}"], records[name]
        session.add_all(
            [
                Fact(
                    rule_id=rules["done"],
                    origin=numbers[number],
                    alias_id=alias,
                    occurred_at=START + timedelta(microseconds=number),
                    value=number / 3,
                    activity=COURSE,
                    detail={"what": name, "due": "x"},
                ),
                Fact(
                    rule_id=rules["won"],
                    origin=record,
                    alias_id=alias,
                    version_id=versions[record, 2],
                    occurred_at=START,
                    value=0.1 + number,
                ),
                FactHistory(
                    rule_id=rules["won"],
                    origin=record,
                    alias_id=alias,
                    version_id=versions[record, 1],
                    until_version_id=versions[record, 2],
                    occurred_at=START,
                    value=number,
                    weight=0.5,
                ),
                Quarantine(
                    rule_id=rules["won"], origin=record, version_id=versions[record, 2], expression="x", reason=name
                ),
            ]
        )
        made = Record(program="calm", learner_id=learners[name], attempts=number, best_score=number / 7)
        session.add(made)
        session.flush()
        session.add(
            RecordMetric(record_id=made.id, metric="won", before_mean=number / 3, before_count=1, since_count=0)
        )
        session.flush()


def test_the_same_content_has_the_same_checksums_in_whatever_order_it_was_stored(app: Any, session: Session) -> None:
    found = []
    for seed in range(3):
        fill(session, random.Random(seed))  # noqa: S311 - to make trouble, not secrets
        found.append(sums(session))
        session.rollback()

    assert found[0] == found[1] == found[2]
    assert len(set(found[0].values())) == len(checksums.TABLES)  # none is that of an empty table


CHANGES = {
    "learner": """update learner set attributes = '{"a": "Bo", "b": 2}' where key = 'Bo'""",
    "learner_attribute": "update learner_attribute set valid_to = '2026-10-02' where value = 'Bo'",
    "alias": "update alias set rule = 'override 1' where key = 'mbox:Bo'",
    "fact": "update fact set value = value + 1e-16 where value = 0.1",
    "fact_history": "update fact_history set weight = 0.25 where value = 1",
    "quarantine": "update quarantine set reason = 'bo' where reason = 'Bo'",
    "record": "update record set completed_at = '2026-10-01T09:00:00.000001Z' where attempts = 1",
    "record_metric": "update record_metric set since_count = 1 where before_mean = 0",
}


@pytest.mark.parametrize("table", checksums.TABLES)
def test_a_changed_value_changes_the_checksum_of_its_table_alone(session: Session, table: str) -> None:
    fill(session, random.Random(1))  # noqa: S311 - as above
    before = sums(session)

    changed = session.execute(text(CHANGES[table]))

    assert changed.rowcount == 1
    after = sums(session)
    assert {name for name in before if before[name] != after[name]} == {table}


@pytest.mark.parametrize("zone", ["Asia/Kathmandu", "America/St_Johns"])
def test_the_time_zone_of_the_server_does_not_matter(session: Session, zone: str) -> None:
    fill(session, random.Random(1))  # noqa: S311 - as above
    before = sums(session)

    session.execute(text(f"set local timezone = '{zone}'"))
    session.execute(text("set local extra_float_digits = -15"))

    assert sums(session) == before


def test_facts_of_rules_that_do_not_count_do_not_count(session: Session) -> None:
    fill(session, random.Random(1))  # noqa: S311 - as above
    before = sums(session)
    for number, state in enumerate(("pending", "dropped")):
        made = Rule(kind="learning", document="rules", name="done", fact="completed")
        made.content_hash, made.state = key().content_hash, state
        session.add(made)
        session.flush()
        alias = session.query(Alias.id).first()
        session.add(Fact(rule_id=made.id, origin=number, alias_id=alias[0], occurred_at=START))
        session.add(Quarantine(rule_id=made.id, origin=number, expression="x", reason="y"))

    assert sums(session) == before


def test_a_line_names_no_number_that_a_table_gave(session: Session) -> None:
    fill(session, random.Random(1))  # noqa: S311 - as above

    lines = [json.loads(line) for line in checksums.lines(session, "fact")]

    [one] = [line for line in lines if line[3] == str(STATEMENTS[1])]
    microseconds = int(START.timestamp()) * 1_000_000 + 1
    where_from = ["rules", "done", "done 1", str(STATEMENTS[1]), None, None, None, None]
    what = [1 / 3, 1, None, COURSE, None, None, {"due": "x", "what": "Bo"}]
    assert one == [*where_from, "mbox:Bo", microseconds, *what]


def test_the_total_changes_with_any_table() -> None:
    one, other = checksums.Checksum("fact", 1, "a"), checksums.Checksum("alias", 1, "b")

    assert checksums.total([one, other]) == checksums.total([other, one])
    assert checksums.total([one, other]) != checksums.total([one, checksums.Checksum("alias", 1, "a")])
