"""What pages load beside themselves: style sheets, scripts, the chart library.

Each address carries the hash of its file, so browsers may keep it for good and still never see an old one.
"""

import gzip
import hashlib
from functools import lru_cache
from pathlib import Path

from flask import Flask, Response, request, url_for

STYLES = "style-src 'self' 'sha256-+TfQir1nvDucAdvE6XUQBt4ayUjpAWkbw2kCdSfekHM='"
"""For the pages' policy. The hash is of the one style element that Plot writes into each chart."""
_FOLDER = Path(__file__).with_name("static")
_KEPT = "public, max-age=31536000, immutable"
_ZIPPED = frozenset({".css", ".js", ".svg"})


def init_app(app: Flask) -> None:
    """Let templates name files by `asset`."""
    app.add_template_global(address, "asset")


def address(name: str) -> str:
    """Give the address of a file of `static/` as it is now."""
    return url_for("signing_in.static", filename=name, v=_version(name))


def pack(response: Response) -> Response:
    """Let a file be kept that was asked for by its hash, and shorten it; an address without one is asked for again."""
    if request.endpoint != "signing_in.static" or response.status_code not in (200, 304):
        return response
    name = (request.view_args or {})["filename"]
    etag, _ = response.get_etag()
    response.set_etag(etag or _version(name), weak=True)  # the same for both encodings
    response.headers["Cache-Control"] = _KEPT if request.args.get("v") == _version(name) else "no-cache"
    if Path(name).suffix in _ZIPPED:
        response.vary.add("Accept-Encoding")
        if response.status_code == 200 and request.accept_encodings["gzip"] > 0 and request.method == "GET":
            response.close()  # the file, which is not sent
            response.direct_passthrough = False
            response.set_data(_zipped(name))
            response.headers["Content-Encoding"] = "gzip"
    return response


@lru_cache(maxsize=64)
def _version(name: str) -> str:
    return hashlib.sha256((_FOLDER / name).read_bytes()).hexdigest()[:12]


@lru_cache(maxsize=64)
def _zipped(name: str) -> bytes:
    return gzip.compress((_FOLDER / name).read_bytes(), mtime=0)
