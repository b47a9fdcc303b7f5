"""For whoever watches the process: alive, and able to serve. Open to all, and says nothing but that."""

from flask import Blueprint

from bridge import bells, status
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
    if not status.database_answers(db.session):
        return {"status": "the database does not answer"}, 503
    if not bells.reachable():
        return {"status": "the broker does not answer"}, 503
    return {"status": "ready"}, 200
