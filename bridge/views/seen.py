"""What the caller sees, for all that shows records: everything, or what a narrowed credential may.

A view that is not marked with `narrowed` shows more than that, or nobody has thought of it yet: it is closed to
narrowed credentials.
"""

from collections.abc import Callable
from typing import Any, TypeVar

from flask import current_app, g, request

from bridge import documents, narrowing
from bridge.errors import NotReady
from bridge.mapping import Documents
from bridge.narrowing import Narrowing
from lrs import db

View = TypeVar("View", bound=Callable[..., Any])

_NARROWED = "shows_what_is_seen"


def narrowed(view: View) -> View:
    """Mark a view that shows no more than `current` lets it."""
    setattr(view, _NARROWED, True)
    return view


def find_out(key: str) -> str | None:
    """Find out what the credential with this key sees; gives why this view is closed to it, if it is."""
    g.seen = narrowing.of(db.session, key)
    view = current_app.view_functions.get(request.endpoint or "")
    if not g.seen or getattr(view, _NARROWED, False):
        return None
    return (
        "This key sees some programs, teams or courses alone, and what is here cannot be cut down to them. Use a key "
        "that sees everything."
    )


def current() -> Narrowing:
    """Give what the caller sees."""
    seen: Narrowing = g.seen
    return seen


def in_force() -> Documents:
    """Give the documents in force, with the programs and reports that the caller sees; raises NotReady."""
    found = documents.current(db.session)
    if found is None:
        raise NotReady("No documents are in force yet.")
    return current().of(found)
