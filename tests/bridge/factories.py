"""The smallest valid things; a test spells only what matters to it."""

from datetime import UTC, datetime, timedelta
from hashlib import sha256

from sqlalchemy import select
from sqlalchemy.orm import Session

from bridge.mapping import Completion, FactKind, Goal, Program, RuleKey
from bridge.models import Alias, Fact, Learner, Rule
from connectors import Page, Row, RowProblem

DAY = timedelta(days=1)
START = datetime(2026, 10, 1, 9, 0, tzinfo=UTC)

COURSE = "http://moodle.example.com/course/view.php?id=2"
LESSON = "http://moodle.example.com/mod/lesson/view.php?id=15"
QUIZ = "http://moodle.example.com/mod/quiz/view.php?id=12"


def program(**changes: object) -> Program:
    values: dict[str, object] = {
        "name": "selling",
        "title": "Selling",
        "courses": (COURSE,),
        "completion": Completion(of=(LESSON,)),
        "assessments": (QUIZ,),
        "metrics": ("won",),
        "window_days": 90,
    } | changes
    metrics = values.pop("metrics")
    return Program(**{"goals": tuple(map(Goal, metrics))} | values)


def key(name: str = "a-rule", **changes: object) -> RuleKey:
    """The key of a learning rule, or with `metric=` of a metric's."""
    metric = changes.get("metric")
    usual = {"kind": "performance", "source": "crm"} if metric else {"kind": "learning", "fact": FactKind.COMPLETED}
    return RuleKey(**{"document": "rules", "name": name, "content_hash": f"{name} 1"} | usual | changes)


def rule(session: Session, **values: str) -> int:
    """The active rule that gives this `fact`, or this `metric`; gives its id."""
    found = session.scalar(select(Rule.id).filter_by(state="active", **values))
    if found is None:
        kind = "performance" if "metric" in values else "learning"
        [name] = values.values()
        made = Rule(kind=kind, document="rules", name=name, content_hash=f"{name} 1", state="active", **values)
        session.add(made)
        session.flush()
        found = made.id
    return found


def learner(session: Session, key: str = "E1", *aliases: str, **attributes: str) -> Learner:
    made = Learner(key=key, name=key, attributes=attributes)
    session.add(made)
    session.flush()
    session.add_all(Alias(key=alias, learner_id=made.id) for alias in aliases or (f"account:{key}",))
    session.flush()
    return made


_numbers = iter(range(1, 10**9))


def fact(session: Session, alias: str, *, kind: str | None = None, metric: str | None = None, **values: object) -> None:
    """A learning fact of a kind, or a performance fact of a metric; each has an origin of its own."""
    rule_id = rule(session, metric=metric) if metric else rule(session, fact=kind or "progressed")
    alias_id = session.query(Alias.id).filter_by(key=alias).scalar()
    number = next(_numbers)
    defaults = {"occurred_at": START, "version_id": number if metric else None}
    session.add(Fact(rule_id=rule_id, origin=number, alias_id=alias_id, **defaults | values))
    session.flush()


def row(key: str, value: str, cursor: tuple[object, ...] | None = None) -> Row:
    """A row whose content is one value."""
    return Row(key=key, data={"value": value}, content_hash=sha256(value.encode()).digest(), cursor=cursor, row=2)


def page(*rows: Row, problems: tuple[RowProblem, ...] = ()) -> Page:
    return Page(rows=rows, problems=problems, state={"read": "all"})
