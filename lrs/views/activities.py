"""The activities resource (xAPI 1.0.3, Communication 2.5)."""

from flask import Blueprint, Response, request

from lrs import activities
from lrs.database import db
from lrs.views import tagged
from lrs.xapi.documents import read_parameters

blueprint = Blueprint("activities", __name__, url_prefix="/activities")


@blueprint.get("")
def get() -> Response:
    """Answer all that statements said of an activity; of one that none named, its id."""
    asked = read_parameters(request.args.to_dict(flat=False), required=("activityId",), section="Communication 2.5")
    return tagged.json(activities.get(db.session, asked["activityId"]))
