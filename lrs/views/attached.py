"""Answers with attachments: multipart/mixed (xAPI 1.0.3, Communication 1.5.2 and 2.1.3)."""

import secrets
from collections.abc import Iterable

from flask import Response
from sqlalchemy.orm import Session

from lrs import attachments, settings
from lrs.database import db
from lrs.xapi import multipart
from lrs.xapi.multipart import Attached


def answer(text: str, payloads: Iterable[str]) -> Response:
    """Answer JSON and the attachments that came with the statements in it; `payloads`: these as they are stored."""
    files = settings.current().files
    # One of its own: that of the request has ended when the bytes go out.
    session = Session(db.engine)
    attached = [
        Attached(one.sha2, one.content_type, one.length, attachments.pieces(session, one, files))
        for one in attachments.find(db.session, payloads)
    ]
    boundary = secrets.token_hex(16)
    length, body = multipart.write(text, attached, boundary=boundary)
    response = Response(body, content_type=f"multipart/mixed; boundary={boundary}")
    response.content_length = length
    response.call_on_close(session.close)
    return response
