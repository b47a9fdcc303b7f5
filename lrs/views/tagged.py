"""Answers that carry an ETag (xAPI 1.0.3, Communication 3.1)."""

from datetime import datetime

import msgspec
from flask import Response, request
from werkzeug.http import http_date

from lrs.xapi.documents import etag_of


def json(value: object, *, updated: datetime | None = None) -> Response:
    """Answer a value as JSON."""
    content = msgspec.json.encode(value)
    return answer(content, "application/json", etag=etag_of(content), updated=updated)


def answer(content: bytes, content_type: str, *, etag: str, updated: datetime | None = None) -> Response:
    """Answer contents with their ETag and when they were last updated; 304 to a client that has them already."""
    known = request.if_none_match.contains_weak(etag)
    response = Response(status=304) if known else Response(content, content_type=content_type)
    response.set_etag(etag)
    if updated is not None:
        response.headers["Last-Modified"] = http_date(updated)
    # Else a browser may take Last-Modified for a reason not to ask again, and a course resumes where it was last week.
    response.headers["Cache-Control"] = "no-cache"
    return response
