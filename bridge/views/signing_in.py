"""Signing in to the report pages with a key and secret, and staying signed in by a signed cookie."""

import hmac
import secrets

from flask import Blueprint, redirect, render_template, request, session, url_for
from flask.typing import ResponseReturnValue

from bridge import access
from bridge.views import seen
from lrs import db

blueprint = Blueprint(
    "signing_in", __name__, template_folder="templates", static_folder="static", static_url_path="/static"
)


@blueprint.get("/login")
def show() -> str:
    """Show the form."""
    return _form(error=None)


@blueprint.post("/login")
def sign_in() -> ResponseReturnValue:
    """Check key and secret; the cookie then names the key, and each request checks that it still holds."""
    if not _ours(request.form.get("token", "")):
        return _form(error="The form was open for too long. Please try again."), 400
    key, secret = request.form.get("key", "").strip(), request.form.get("secret", "").strip()
    if not access.may_read_reports(db.session, key, secret):
        return _form(error="This key and secret do not open the reports. Check both, and the key's scopes."), 401
    session.clear()
    session["key"] = key
    return redirect(_local(request.form.get("next", "")))


@blueprint.post("/logout")
def sign_out() -> ResponseReturnValue:
    """Forget who is signed in."""
    session.clear()
    return redirect(url_for("signing_in.show"))


def require() -> ResponseReturnValue | None:
    """Send away whoever is not signed in, or sees less than is here: `before_request` of all that shows records."""
    key = session.get("key", "")
    if access.still_may_read_reports(db.session, key):
        closed = seen.find_out(key)
        return None if closed is None else (render_template("closed.html", text=closed), 403)
    return redirect(url_for("signing_in.show", next=request.full_path.rstrip("?")))


def _form(*, error: str | None) -> str:
    session.setdefault("token", secrets.token_urlsafe())  # one for all tabs
    typed = {name: request.values.get(name, "") for name in ("key", "next")}
    return render_template("login.html", error=error, token=session["token"], **typed)


def _ours(token: str) -> bool:
    """Tell whether a form is one that we gave to this browser."""
    expected = session.get("token") or secrets.token_urlsafe()
    return hmac.compare_digest(token.encode(), expected.encode())


def _local(target: str) -> str:
    """Give where to go after signing in: a path of ours, never another site.

    Browsers read a backslash as a slash and drop tabs and line ends: with those a path would lead elsewhere.
    """
    ours = target.startswith("/") and not target.startswith(("//", "/\\")) and target.isprintable()
    return target if ours else url_for("pages.home")
