"""For whoever watches the process: alive, and able to serve. Open to all, and says nothing but that."""

from flask import Blueprint
from sqlalchemy import text
from sqlalchemy.exc import OperationalError

from bridge import bells
from lrs import db

blueprint = Blueprint("health", __name__)


@blueprint.get("/healthz")
def healthz() -> tuple[dict[str, str], int]:
    """Answer 200 while the process lives."""
    return {"status": "alive"}, 200


@blueprint.get("/readyz")
def readyz() -> tuple[dict[str, str], int]:
    """Answer 200 when database and broker answer, else 503 and which of them does not.

    Without the broker statements are stored all the same; they are read when it is back.
    """
    try:
        db.session.execute(text("select 1"))
    except OperationalError:
        return {"status": "the database does not answer"}, 503
    if not bells.reachable():
        return {"status": "the broker does not answer"}, 503
    return {"status": "ready"}, 200
