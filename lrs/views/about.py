"""The about resource (xAPI 1.0.3, Communication 2.8): open to everybody."""

from flask import Blueprint, Response, jsonify

from lrs.xapi import versions

blueprint = Blueprint("about", __name__)


@blueprint.get("/about")
def read() -> Response:
    """Say which versions are spoken here."""
    return jsonify(version=list(versions.ABOUT))
