"""What the LRS must know of the app that it lives in: given to `lrs.init_app`, kept on the app."""

from collections.abc import Callable
from dataclasses import dataclass, field

from flask import Flask, current_app

from lrs.files import Files
from lrs.tokens import Verifier

_NAME = "lrs"

Limit = Callable[[int, int], float]
"""Counts a request of a credential (its id) that may make so many a minute; gives the seconds to wait, 0 for none."""


@dataclass(frozen=True, kw_only=True)
class Settings:
    """The settings of one app's LRS; it reads no environment and no Flask configuration."""

    base_url: str
    """How others reach this server; names it as the authority of what it stores."""
    secret_key: str = field(repr=False)
    """Keys the hashes of credentials."""
    max_body_bytes: int
    """A larger request is refused with 413."""
    refused_max_bytes: int
    """So much of what a credential sent and was refused is kept (`lrs.refused`)."""
    refused_max_days: int
    """And so long."""
    verifier: Verifier | None = None
    """Reads bearer tokens; None: there are none."""
    limit: Limit | None = None
    """Holds credentials to their `requests_per_minute`; None: nobody does."""
    files: Files | None = None
    """Where large attachments lie; None: in the database, as the others."""


def keep(app: Flask, settings: Settings) -> None:
    """Put the settings on the app."""
    app.extensions[_NAME] = settings


def current() -> Settings:
    """Give the settings of the app at work."""
    settings: Settings = current_app.extensions[_NAME]
    return settings
