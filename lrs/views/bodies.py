"""The body of a request, read with its limit."""

from flask import request
from werkzeug.exceptions import RequestEntityTooLarge

from lrs import settings
from lrs.errors import Rule, TooLarge

_LIMIT = Rule("a request has a size limit", "Communication 3.2", "Send less at once.")


def read() -> bytes:
    """Give the body; raises TooLarge as soon as it is known to be."""
    limit = settings.current().max_body_bytes
    # One more than allowed: a body of unknown length is cut off there in silence, and so can be told from a whole one.
    request.max_content_length = limit + 1
    try:
        body = request.get_data(cache=False)
    except RequestEntityTooLarge:
        body = None
    if body is None or len(body) > limit:
        raise TooLarge(f"The body has more than {limit} bytes.", _LIMIT)
    return body
