"""The smallest valid things; a test spells only what matters to it."""

from datetime import UTC, datetime, timedelta
from hashlib import sha256

from sqlalchemy.orm import Session

from bridge import readings
from bridge.mapping import Completion, Program
from bridge.models import Alias, Fact, Learner
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
    }
    return Program(**values | changes)


def reading(session: Session) -> int:
    """Make sure that there is an active reading; gives its id."""
    readings.ensure(session, "rules")
    found = readings.active(session)
    assert found is not None
    return found


def learner(session: Session, key: str = "E1", *aliases: str, **attributes: str) -> Learner:
    made = Learner(key=key, name=key, attributes=attributes)
    session.add(made)
    session.flush()
    session.add_all(Alias(key=alias, learner_id=made.id) for alias in aliases or (f"account:{key}",))
    session.flush()
    return made


_numbers = iter(range(1, 10**9))


def fact(session: Session, alias: str, **values: object) -> None:
    """A learning fact with `kind=`, else a performance fact with `metric=`; each has an origin of its own."""
    number = next(_numbers)
    origin = {"statement_seq": number} if "kind" in values else {"record_id": number, "version_id": number}
    defaults = {"occurred_at": START, "rule": "a rule", "reading_id": reading(session)}
    alias_id = session.query(Alias.id).filter_by(key=alias).scalar()
    session.add(Fact(alias_id=alias_id, **defaults | origin | values))
    session.flush()


def row(key: str, value: str, cursor: tuple[object, ...] | None = None) -> Row:
    """A row whose content is one value."""
    return Row(key=key, data={"value": value}, content_hash=sha256(value.encode()).digest(), cursor=cursor, row=2)


def page(*rows: Row, problems: tuple[RowProblem, ...] = ()) -> Page:
    return Page(rows=rows, problems=problems, state={"read": "all"})
