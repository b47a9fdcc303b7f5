"""Where Canvas sends Live Events to: `POST /live-events/NAME`. Stored before it is answered; nothing of them is logged.

Canvas takes any 2xx for done, and tries again three times in some 20 minutes after anything else, also after 15 s.
"""

import logging
from datetime import UTC, datetime

from flask import Blueprint, Response, current_app

from bridge import documents, jobs, live_events
from bridge.bells import ring_soon
from bridge.views import strangers
from bridge.views.webhooks import STRANGER, whole_body
from connectors import KeySets, SourceUnavailable, Unverified
from lrs import db

log = logging.getLogger(__name__)

blueprint = Blueprint("live_events", __name__)
strangers.hold(blueprint)

_KEY = "lrs-bridge-live-events"


@blueprint.post("/live-events/<name>")
def receive(name: str) -> Response:
    """Answer 200 when the events are stored for good, or were before; 401 to strangers, whatever the name."""
    body = whole_body()
    current = documents.current(db.session)
    source = live_events.source(current, name) if current else None
    if source is None:
        return Response(status=401, headers=STRANGER)
    try:
        events = source.events(body, _keys())
    except Unverified as reason:
        log.warning("A post to the live events %s was refused: %s.", name, reason)
        return Response(status=401, headers=STRANGER)
    except SourceUnavailable as error:
        log.error("Posts to the live events %s cannot be verified: %s", name, error)
        return Response(status=503, headers={"Retry-After": "60"})
    live_events.store(db.session, name, events, now=datetime.now(UTC))
    db.session.commit()
    ring_soon("sources", jobs.convert_live_events)
    return Response(status=200)


def _keys() -> KeySets:
    """Give the published keys that this process knows."""
    found: KeySets = current_app.extensions.setdefault(_KEY, KeySets())
    return found
