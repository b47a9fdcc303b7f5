"""`/api/v1/reconciliations`: what the last comparisons with sources, LMSs and destinations found."""

from typing import Any

import marshmallow
from flask import Blueprint, Response

from bridge.models import Reconciliation
from bridge.reconcile import kept
from bridge.views import answers, api
from lrs import db

blueprint: Blueprint = Blueprint("reconciliations", __name__, url_prefix=api.VERSION)


class LastQuery(marshmallow.Schema):
    """Of which area, and how much of each comparison."""

    area = marshmallow.fields.String(validate=marshmallow.validate.OneOf([str(one) for one in kept.Area]))
    differences = marshmallow.fields.Integer(
        load_default=100,
        validate=marshmallow.validate.Range(0, kept.MOST_KEPT),
        metadata={"description": "So many of each comparison are told in words; all are counted."},
    )


@blueprint.get("/reconciliations")
@api.operation(
    "List the last comparison of each source, LMS, destination and forward, and of identities.",
    query=LastQuery,
    answers=answers.Reconciliations,
)
def list_reconciliations() -> Response:
    """Answer what the last comparisons found. Differences name people, so narrowed keys see none of this."""
    asked = api.query()
    area = kept.Area(asked["area"]) if "area" in asked else None
    return api.answer({"items": [_told(row, asked["differences"]) for row in kept.newest(db.session, area)]})


def _told(row: Reconciliation, most: int) -> dict[str, Any]:
    told = {name.replace(" ", "_"): value for name, value in kept.told(db.session, row).items()}
    return told | {"differences": told["differences"][:most]}
