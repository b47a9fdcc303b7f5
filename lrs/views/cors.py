"""Courses in a browser, on other hosts than ours (cross-origin resource sharing; fetch.spec.whatwg.org).

Any origin may call: what it may do is in the credential that it sends, and no cookie of ours says anything here.
"""

from flask import Response

_METHODS = "GET, HEAD, PUT, POST, DELETE"
_ASKED = (
    "Accept, Accept-Language, Authorization, Content-Type, If-Match, If-None-Match, X-Experience-API-Hash, "
    "X-Experience-API-Version, X-Requested-With"
)
"""X-Requested-With has no meaning here; older jQuery and its plugins send it."""
_ANSWERED = (
    "ETag, Last-Modified, Retry-After, WWW-Authenticate, X-Experience-API-Consistent-Through, "
    "X-Experience-API-Version, X-LRS-Bridge-Refused"
)
_REMEMBERED_SECONDS = 7200
"""What Chromium takes at most: one preflight for a whole course."""


def preflight() -> Response:
    """Say what may be sent; browsers ask it without a credential, before the request itself."""
    response = Response(status=204)
    response.headers["Allow"] = f"{_METHODS}, OPTIONS"
    response.headers["Access-Control-Allow-Methods"] = _METHODS
    response.headers["Access-Control-Allow-Headers"] = _ASKED
    response.headers["Access-Control-Max-Age"] = str(_REMEMBERED_SECONDS)
    return response


def open_to_browsers(response: Response) -> None:
    """Let scripts of any origin read an answer, errors included, and those of its headers that xAPI gives meaning."""
    response.headers["Access-Control-Allow-Origin"] = "*"
    response.headers["Access-Control-Expose-Headers"] = _ANSWERED
