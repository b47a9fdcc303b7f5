"""What signs the requests of one pull, and what it needs of the world for that."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

from connectors.clocks import Clock
from connectors.errors import LoginRefused
from connectors.reach import TokenStore
from connectors.secrets import Hidden, SecretName, Secrets

Fetch = Callable[[str, str, Mapping[str, str], bytes], bytes]
"""Sends (method, address, headers, body) and gives the body of the answer."""


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What a way to sign needs of the world."""

    secrets: Secrets
    hidden: Hidden
    clock: Clock
    fetch: Fetch
    tokens: TokenStore | None = None
    login: str = ""
    """What the tokens are kept under."""

    def value(self, secret: SecretName | str) -> str:
        """Give a secret, never to be shown from now on; a plain text as it is."""
        found = self.lines(secret)
        if not found.isprintable():
            # A line end would begin another header.
            raise LoginRefused(f"The secret for {shown(secret)} holds more than one line. Store it as a single line.")
        return found

    def lines(self, secret: SecretName | str) -> str:
        """Give a secret that may have several lines, as a key in a PEM file has; neither it nor a line is shown."""
        found = self.secrets.value(secret)
        if isinstance(secret, SecretName):
            self.hidden.add(found, *(line for line in found.split() if len(line) >= LONG_LINE))
        return found


LONG_LINE = 16
"""A shorter piece of a secret with several lines says little, and to blank `KEY` wherever it stands helps nobody."""


def shown(secret: SecretName | str) -> str:
    """Name a secret."""
    return secret.name if isinstance(secret, SecretName) else "a text in the document"


class Signer(Protocol):
    """Signs the requests of one pull."""

    def headers(self) -> Mapping[str, str]:
        """Give the headers that say who we are, fetching a token where that is needed."""

    def renew(self) -> bool:
        """Forget what can be fetched anew, since it was refused; False when there is nothing of the kind."""


class Authentication(Protocol):
    """A declared way to sign."""

    def signer(self, around: Surroundings) -> Signer:
        """Give what signs the requests of one pull."""
