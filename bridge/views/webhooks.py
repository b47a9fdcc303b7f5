"""Where systems send to: `POST /webhooks/NAME`. Stored before it is answered; nothing of what came is logged."""

import logging
from datetime import UTC, datetime

from flask import Blueprint, Response, abort, request

from bridge import context, documents, jobs, webhooks
from bridge.bells import ring_soon
from bridge.views import strangers
from connectors import Delivery, SourceRefused, Unverified
from lrs import db

log = logging.getLogger(__name__)

blueprint = Blueprint("webhooks", __name__)
strangers.hold(blueprint)

MAX_BYTES = 1 << 20
"""Of a body. What vendors send is some kB; more is answered with 413."""
STRANGER = {"WWW-Authenticate": 'Basic realm="webhooks"'}


@blueprint.route("/webhooks/<name>", methods=["POST", "HEAD"])
def receive(name: str) -> Response:
    """Answer 202 when the delivery is stored for good, or was before; 401 to strangers, whatever the name."""
    if request.method == "HEAD":
        return Response(status=200)  # so Intercom sees whether the address answers
    body = whole_body()
    current = documents.current(db.session)
    source = webhooks.source(current, name, reach=context.reach()) if current else None
    if source is None:
        return Response(status=401, headers=STRANGER)
    now, headers = datetime.now(UTC), {header.lower(): value for header, value in request.headers.items()}
    try:
        delivery = source.verify(Delivery(request.method, _url(), headers, body), now)
    except Unverified as reason:
        log.warning("A delivery to the webhook %s was refused: %s.", name, reason)
        return Response(status=401, headers=STRANGER)
    except SourceRefused as error:
        log.error("Deliveries to the webhook %s cannot be verified: %s", name, error)
        return Response(status=503)
    webhooks.store(db.session, name, delivery=delivery, body=body, now=now)
    db.session.commit()
    ring_soon("sources", jobs.complete_webhooks)
    return Response(status=202)


def whole_body() -> bytes:
    """Give the body, whole and within the limit, or answer 400 or 413."""
    # One more than allowed: a body of unknown length is cut off there in silence, and so can be told from a whole one.
    request.max_content_length = MAX_BYTES + 1
    body = request.get_data(cache=False)
    if len(body) > MAX_BYTES:
        abort(413)
    # Servers such as gunicorn hand on what came till the connection broke; not every scheme signs the body.
    chunked = "chunked" in request.headers.get("Transfer-Encoding", "").lower()
    if not chunked and len(body) < (request.content_length or 0):
        abort(400)
    return body


def _url() -> str:
    """Give the address as the sender called it, which a proxy may have changed on the way."""
    query = request.query_string.decode("latin-1")
    return f"{context.settings().public_url}{request.path}{f'?{query}' if query else ''}"
