"""`/api/v1/programs`: the records of a program, and what their figures are made of."""

import marshmallow
from flask import Blueprint, Response

from bridge import provenance
from bridge.views import api
from bridge.views.mappings import in_force
from lrs import db

blueprint = Blueprint("programs", __name__, url_prefix=f"{api.VERSION}/programs")


class FigureQuery(marshmallow.Schema):
    """Which figure is asked for; without one all of them."""

    figure = marshmallow.fields.String()


@blueprint.get("/<program>/learners/<path:learner>/provenance")
def show_provenance(program: str, learner: str) -> Response:
    """Answer what each figure of a learner's record is made of."""
    asked = api.query(FigureQuery())
    return api.answer(provenance.of_record(db.session, in_force(), program, learner, asked.get("figure")).told())
