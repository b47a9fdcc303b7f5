"""The body of a request, read with its limit."""

from flask import request
from werkzeug.exceptions import RequestEntityTooLarge
from werkzeug.wrappers import Request

from lrs import settings
from lrs.errors import Invalid, Rule, TooLarge

_LIMIT = Rule("a request has a size limit", "Communication 3.2", "Send less at once.")
_WHOLE = Rule("a request is as long as its Content-Length says", None, "Send it again, whole.")


def read() -> bytes:
    """Give the body; raises TooLarge as soon as it is known to be, and Invalid when it was cut off."""
    limit = settings.current().max_body_bytes
    # One more than allowed: a body of unknown length is cut off there in silence, and so can be told from a whole one.
    request.max_content_length = limit + 1
    try:
        body = request.get_data(cache=False)
    except RequestEntityTooLarge:
        body = None
    if body is None or len(body) > limit:
        raise TooLarge(f"The body has more than {limit} bytes.", _LIMIT)
    check_whole(request, body)
    return body


def check_whole(sent: Request, body: bytes) -> None:
    """Raise Invalid for a body that was cut off; servers such as gunicorn hand on what came till then."""
    length = sent.content_length
    if length is not None and len(body) < length and "chunked" not in sent.headers.get("Transfer-Encoding", "").lower():
        raise Invalid(f"The body has {len(body)} of the {length} bytes that Content-Length says.", _WHOLE)
