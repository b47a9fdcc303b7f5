"""The OpenAPI document of all that is here: open, as the about resource is."""

from flask import Blueprint, Response, jsonify

from lrs import openapi, settings

blueprint = Blueprint("openapi", __name__)


@blueprint.get("/openapi.json")
def read() -> Response:
    """Describe the resources for machines."""
    return jsonify(openapi.document(f"{settings.current().base_url.rstrip('/')}/xapi"))
