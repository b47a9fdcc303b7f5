"""All records from facts: 10,000 learners, 52 weeks, 4 metrics, and half the learners first, for how the cost grows.

Facts are made in SQL, in the order in which a year brings them: week by week, learners mixed. The reference is the
least that any way of building must do: look at each fact once and aggregate by alias and metric.
"""

import time
from collections.abc import Callable
from typing import Any

from sqlalchemy import create_engine, text
from sqlalchemy.orm import Session

from bench.lines import Bar, Line, Of
from bench.machine import resident_megabytes
from bench.stage import Options, Stage
from bridge import readings, records
from bridge.mapping import Completion, FactKind, Goal, Program, RuleKey
from lrs import db

LEARNERS = 10_000
WEEKS = 52
ROUNDS = 3
"""The best counts: the others were disturbed."""
METRICS = ("hours", "won", "satisfaction", "value")
PROGRAM = Program(
    name="bench",
    title="Benchmark",
    courses=("http://bench/course",),
    completion=Completion(of=("http://bench/lesson",)),
    assessments=("http://bench/quiz",),
    goals=tuple(map(Goal, METRICS)),
    window_days=90,
)

RULES = [
    RuleKey("learning", "bench", kind, "", fact=kind)
    for kind in (FactKind.ENROLLED, FactKind.PROGRESSED, FactKind.ASSESSED, FactKind.COMPLETED)
] + [RuleKey("performance", "bench", metric, "", metric=metric, source="bench") for metric in METRICS]

_LEARNERS = """
    insert into learner (key, name) select 'L' || number, 'L' || number
    from generate_series(cast(:first as int), :last) as number
"""
_ALIASES = """
    insert into alias (key, learner_id) select 'user:bench:' || key, id from learner
    where id not in (select learner_id from alias)
"""
# Each learner is enrolled in week 10, tries the quiz twice and completes in weeks 16 to 35.
_LEARNING = """
    insert into fact (rule_id, origin, alias_id, occurred_at, value, activity, course, attempt)
    select rule.id, alias.id * 10 + place, alias.id,
        timestamptz '2026-01-01' + make_interval(weeks => week + alias.id::int % 20), value, activity,
        'http://bench/course', attempt
    from alias cross join (values
        (1, 10, 'enrolled', null::float8, 'http://bench/course', null),
        (2, 12, 'progressed', null, 'http://bench/page', null),
        (3, 14, 'assessed', 0.4, 'http://bench/quiz', 'first'),
        (4, 15, 'assessed', 0.8, 'http://bench/quiz', 'second'),
        (5, 16, 'completed', null, 'http://bench/lesson', null)
    ) as learned (place, week, kind, value, activity, attempt) join rule on rule.fact = learned.kind
    where alias.id > :after order by week, md5(alias.key)
"""
_PERFORMANCE = """
    insert into fact (rule_id, origin, alias_id, version_id, occurred_at, value)
    select rule.id, alias.id * 100 + week, alias.id, alias.id * 100 + week,
        timestamptz '2026-01-01' + make_interval(weeks => week, hours => (alias.id % 100)::int),
        (alias.id * 7 + week * 13) % 100
    from generate_series(1, cast(:weeks as int)) as week, alias, rule
    where alias.id > :after and rule.metric is not null order by week, md5(key), metric
"""
_LEAST = """
    select count(*) from (
        select alias_id, rule_id, avg(value), count(value) from fact group by 1, 2) as done
"""


def measure(stage: Stage, _options: Options) -> list[Line]:
    """Build all records of half the learners, then of all."""
    lines = []
    with stage.app("records").app_context():
        readings.ensure(db.session, RULES, "bench")
        for first, last in ((1, LEARNERS // 2), (LEARNERS // 2 + 1, LEARNERS)):
            _fill(stage, first, last)
            lines.append(_build(last))
    stage.drop("records")
    half, whole = lines
    growth = Line(
        what="  the same, against half the learners",
        measured=whole.measured,
        unit="s",
        reference=half.measured,
        reference_is=f"s, {LEARNERS // 2:,} learners",
        bars=(Bar(2.5, Of.RATIO, most=True),),
    )
    return [half, whole, growth]


def _fill(stage: Stage, first: int, last: int) -> None:
    values: dict[str, Any] = {"first": first, "last": last, "weeks": WEEKS, "metrics": list(METRICS)}
    values["after"] = db.session.scalar(text("select coalesce(max(id), 0) from alias"))
    db.session.execute(text("set local synchronous_commit = off"))
    for statement in (_LEARNERS, _ALIASES, _LEARNING, _PERFORMANCE):
        db.session.execute(text(statement), values)
    db.session.commit()
    engine = create_engine(stage.settings("records").database_url, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.execute(text("vacuum (analyze)"))
    engine.dispose()
    stage.settle()


def _build(learners: int) -> Line:
    memory = resident_megabytes()
    references, builds = [], []
    for _ in range(ROUNDS):
        db.session.execute(text("truncate record, record_metric, record_behaviour, weekly_metric cascade"))
        db.session.commit()
        references.append(_seconds(lambda: db.session.execute(text(_LEAST)).all()))
        builds.append(_seconds(lambda: _refresh(db.session, learners)))
    _check(learners)
    each = ", ".join(f"{one:.2f}" for one in builds)
    return Line(
        what=f"records of {learners:,} learners x {WEEKS} weeks x {len(METRICS)} metrics",
        measured=min(builds),
        unit="s",
        reference=min(references),
        reference_is="s, one look at each fact",
        bars=(Bar(60, most=True),),
        notes=(f"the best of {each} s; memory {memory:.0f} to {resident_megabytes():.0f} MB",),
    )


def _refresh(session: Session, learners: int) -> None:
    built = records.refresh_all(session, [PROGRAM], {})
    session.commit()
    assert built == learners, f"{built} records, not {learners}"


def _check(learners: int) -> None:
    """Make sure that what was measured did the work: each learner has facts of each metric in both windows."""
    whole = db.session.scalar(text("select count(*) from record_metric where before_count > 10 and since_count > 10"))
    assert whole == learners * len(METRICS), f"{whole} metrics of records, not {learners * len(METRICS)}"


def _seconds(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began
