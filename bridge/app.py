"""The Flask application: settings in, everything wired, nothing hidden."""

import logging
import secrets
import time

from flask import Flask, Request
from flask.sessions import SecureCookieSession, SecureCookieSessionInterface
from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session

import lrs
from bridge import bells, context, jobs, limits, publishing, readings, schema, views
from bridge.models import Setting
from bridge.settings import Settings

log = logging.getLogger(__name__)

DATABASE_SECONDS = 30
"""How long a web process waits for a database that recovers."""


def create_app(settings: Settings) -> Flask:
    """Make the application; brings the database's schema up to date first (`schema.upgrade`).

    Raises what SQLAlchemy raises when the database cannot be reached.
    """
    app = Flask("bridge", static_folder=None)  # the pages' blueprint serves its own
    app.session_interface = _Cookies()
    context.keep(app, settings)
    app.config["SQLALCHEMY_ENGINES"] = {"default": engine_options(settings.database_url)}
    app.config["MAX_CONTENT_LENGTH"] = settings.max_body_bytes
    app.config["SESSION_COOKIE_SAMESITE"] = "Lax"
    app.config["SESSION_COOKIE_SECURE"] = settings.public_url.startswith("https://")
    lrs.db.init_app(app)
    with app.app_context():
        schema.upgrade(lrs.db.engine)
        if readings.level(lrs.db.session):
            log.warning("The database was restored from another cluster; all history is read anew.")
            lrs.db.session.commit()
        if publishing.level(lrs.db.session):
            log.warning("The database was restored from another cluster; who reads changes begins anew.")
        lrs.db.session.commit()
        app.secret_key = settings.secret_key or _shared_secret(lrs.db.session)
    lrs.init_app(
        app,
        base_url=settings.public_url,
        secret_key=app.secret_key,
        max_body_bytes=settings.max_body_bytes,
        refused_max_bytes=settings.refused_max_bytes,
        refused_max_days=settings.refused_max_days,
        attachments=settings.attachments,
        provider=_provider(settings),
        limit=limits.init_app(app, settings.redis_url),
    )
    bells.init_app(app, settings.redis_url)
    lrs.statements_stored.connect(_ring, app)
    views.init_app(app)
    with app.app_context():
        lrs.db.engine.dispose()  # what forks from here (gunicorn, the RQ worker) must not share our connection
    return app


class _Cookies(SecureCookieSessionInterface):
    """Flask's, which makes a signer for each request before it looks for a cookie; clients of the LRS send none."""

    def open_session(self, app: Flask, request: Request) -> SecureCookieSession | None:
        if "HTTP_COOKIE" not in request.environ:
            return self.session_class()
        return super().open_session(app, request)


def from_env() -> Flask:
    """Make the application from the environment: what `lrs-bridge web` tells gunicorn to call.

    Waits for a database that is just starting: gunicorn ends when a worker of its does not come up.
    """
    settings, give_up = Settings.from_env(), time.monotonic() + DATABASE_SECONDS
    while True:
        try:
            return create_app(settings)
        except OperationalError as error:
            if time.monotonic() > give_up:
                raise
            log.warning("The database does not answer yet (%s).", str(error).partition("\n")[0])
            time.sleep(1)


def _provider(settings: Settings) -> lrs.Provider | None:
    """Give whose bearer tokens are taken."""
    if settings.oidc_issuer is None or settings.oidc_audience is None:
        return None
    return lrs.Provider(
        issuer=settings.oidc_issuer,
        audience=settings.oidc_audience,
        jwks_url=settings.oidc_jwks_url,
        scope_claim=settings.oidc_scope_claim,
        name_claim=settings.oidc_name_claim,
    )


def _ring(_app: Flask, **_: object) -> None:
    """Statements have been committed: tell the workers."""
    bells.ring_soon("facts", jobs.map_items)


def engine_options(url: str) -> dict[str, object]:
    """Give what the database engine is made with: sessions in UTC, dead connections noticed before use."""
    return {
        "url": url,
        "pool_events": lrs.POOL_EVENTS,
        "pool_reset_on_return": None,  # one of these events does it
        "max_overflow": 15,  # with the 5 that stay open, one for each thread of a web process
        "connect_args": {"options": "-c timezone=UTC"},
    }


def _shared_secret(session: Session) -> str:
    """Give the secret that all processes on this database share, made by whichever comes first."""
    session.execute(insert(Setting).values(name="secret_key", value=secrets.token_urlsafe(48)).on_conflict_do_nothing())
    session.commit()
    return session.scalars(select(Setting.value).where(Setting.name == "secret_key")).one()
