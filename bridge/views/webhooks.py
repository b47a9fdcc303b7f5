"""Where systems send to: `POST /webhooks/NAME`. Stored before it is answered; nothing of what came is logged."""

import logging
from datetime import UTC, datetime

from flask import Blueprint, Response, request

from bridge import context, documents, jobs, webhooks
from bridge.bells import ring_soon
from connectors import Delivery, SourceRefused, Unverified
from lrs import db

log = logging.getLogger(__name__)

blueprint = Blueprint("webhooks", __name__)

MAX_BYTES = 1 << 20
"""Of a body. What vendors send is some kB; more is answered with 413."""
_STRANGER = {"WWW-Authenticate": 'Basic realm="webhooks"'}


@blueprint.route("/webhooks/<name>", methods=["POST", "HEAD"])
def receive(name: str) -> Response:
    """Answer 202 when the delivery is stored for good, or was before; 401 to strangers, whatever the name."""
    if request.method == "HEAD":
        return Response(status=200)  # so Intercom sees whether the address answers
    request.max_content_length = MAX_BYTES
    body = request.get_data(cache=False)
    current = documents.current(db.session)
    source = webhooks.source(current, name, reach=context.reach()) if current else None
    if source is None:
        return Response(status=401, headers=_STRANGER)
    now, headers = datetime.now(UTC), {header.lower(): value for header, value in request.headers.items()}
    try:
        delivery = source.verify(Delivery(request.method, _url(), headers, body), now)
    except Unverified as reason:
        log.warning("A delivery to the webhook %s was refused: %s.", name, reason)
        return Response(status=401, headers=_STRANGER)
    except SourceRefused as error:
        log.error("Deliveries to the webhook %s cannot be verified: %s", name, error)
        return Response(status=503)
    webhooks.store(db.session, name, delivery=delivery, body=body, now=now)
    db.session.commit()
    ring_soon("sources", jobs.complete_webhooks)
    return Response(status=202)


def _url() -> str:
    """Give the address as the sender called it, which a proxy may have changed on the way."""
    query = request.query_string.decode("latin-1")
    return f"{context.settings().public_url}{request.path}{f'?{query}' if query else ''}"
