"""The agents resource (xAPI 1.0.3, Communication 2.4)."""

from flask import Blueprint, Response

from lrs.views import query, tagged
from lrs.xapi.agents import person
from lrs.xapi.documents import read_parameters

blueprint = Blueprint("agents", __name__, url_prefix="/agents")


@blueprint.get("")
def get() -> Response:
    """Answer a Person: what was asked with, for there is no directory here that knows more."""
    asked = read_parameters(query.parameters(), required=("agent",), section="Communication 2.4")
    return tagged.json(person(asked["agent"]))
