"""What the application at work was made with."""

from flask import Flask, current_app

from bridge.settings import Settings

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
