"""ETag and gzip for what `/api/v1` answers.

The tag is a hash of the answer, so it is strong; whoever sends it back by If-None-Match is answered 304 without a body.
What is answered by the piece is left as it is: a tag would need all of it. No answer holds a secret of ours beside what
the caller sent, so the length of a compressed one tells nothing (BREACH); pages, which hold forms' tokens, are not
compressed.
"""

import gzip
import hashlib

from flask import Response, request

LEAST_ZIPPED = 1_000
"""Bytes; shorter answers fit into a packet as they are."""
_LEVEL = 5


def pack(response: Response) -> Response:
    """Tag an answer to GET or HEAD, shorten it where it is long and the caller takes gzip, or answer 304."""
    if response.status_code != 200 or response.is_streamed or request.method not in ("GET", "HEAD"):
        return response
    body = response.get_data()
    zipped = len(body) >= LEAST_ZIPPED and request.accept_encodings["gzip"] > 0
    # Another encoding is another representation, and needs another tag (RFC 9110, 8.8.3.3).
    response.set_etag(hashlib.sha256(body).hexdigest()[:32] + ("-gzip" if zipped else ""))
    response.vary.add("Accept-Encoding")
    if zipped:
        response.headers["Content-Encoding"] = "gzip"
    response.make_conditional(request)
    if zipped and response.status_code == 200:
        response.set_data(gzip.compress(body, _LEVEL, mtime=0))
    return response
