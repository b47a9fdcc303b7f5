"""What the application at work was made with."""

from flask import Flask, current_app

from bridge.buckets import Buckets
from bridge.settings import Settings, environment
from bridge.tokens import TokenStore
from connectors import Reach, Secrets
from lrs import db

_KEY = "lrs-bridge"


def keep(app: Flask, settings: Settings) -> None:
    """Give an application its settings."""
    app.extensions[_KEY] = settings


def settings() -> Settings:
    """Give the settings of the application at work."""
    found: Settings = current_app.extensions[_KEY]
    return found


def secret_key() -> str:
    """Give the key that secrets are hashed with and cookies signed."""
    return str(current_app.secret_key)


def reach() -> Reach:
    """Give what sources need of the world: secrets, the quota that all workers share, and kept tokens."""
    return Reach(
        Secrets(environment()),
        buckets=Buckets(current_app.extensions["lrs-bridge-broker"]),
        tokens=tokens(),
    )


def tokens() -> TokenStore:
    """Give where tokens and private keys are kept, encrypted."""
    return TokenStore(db.engine, settings().token_keys)
