"""What can go wrong in the LRS, split by what the client can do about it.

LrsError
├── Invalid           400  what was sent breaks a rule: correct it and send it again
├── Unauthenticated   401  no credential, or one that we do not know
├── Forbidden         403  the credential's scopes do not allow it
├── NotFound          404  there is no such thing, or not yet
├── Conflict          409  another statement or document with this id is already stored
├── PreconditionFailed 412 the document is not (or no more) what If-Match or If-None-Match says
├── TooLarge          413  send less at once
├── TooManyRequests   429  wait, as long as Retry-After says
└── Unavailable       503  send it again later

Raised deep; turned into an answer in one place, `lrs.views.errors`.
"""

from dataclasses import asdict, dataclass
from typing import ClassVar


@dataclass(frozen=True)
class Rule:
    """A rule that was broken: its words, where the xAPI specification (1.0.3) has it, and what to do."""

    words: str
    section: str | None = None
    remedy: str | None = None


class LrsError(Exception):
    """Root of the LRS's errors."""

    status: ClassVar[int] = 500

    def __init__(self, error: str, rule: Rule | None = None, *, pointer: str | None = None) -> None:
        super().__init__(error)
        self.error = error
        self.rule = rule
        self.pointer = pointer
        """JSON pointer (RFC 6901) into the statement, or the name of the query parameter."""
        self.index: int | None = None
        """Which statement of the batch, from 0."""

    def to_dict(self) -> dict[str, object]:
        """Give the body of the answer; machines read it, so nothing in it is free text alone."""
        rule = asdict(self.rule) if self.rule else {"words": None, "section": None, "remedy": None}
        return {
            "error": self.error,
            "index": self.index,
            "pointer": self.pointer,
            "rule": rule["words"],
            "section": rule["section"],
            "remedy": rule["remedy"],
        }


class Invalid(LrsError):
    """What was sent breaks a rule."""

    status = 400


class Unauthenticated(LrsError):
    """Nobody we know."""

    status = 401

    def __init__(self, error: str, rule: Rule | None = None, *, challenge: str | None = None) -> None:
        super().__init__(error, rule)
        self.challenge = challenge
        """What is wrong with a bearer token, in the words of RFC 6750, 3.1."""


class Forbidden(LrsError):
    """Known, but not allowed."""

    status = 403

    def __init__(self, error: str, rule: Rule | None = None, *, scopes: tuple[str, ...] = ()) -> None:
        super().__init__(error, rule)
        self.scopes = scopes
        """Each of which would do."""


class NotFound(LrsError):
    """There is no such thing."""

    status = 404


class Conflict(LrsError):
    """Another statement or document has this id."""

    status = 409


class PreconditionFailed(LrsError):
    """The document is another than the client takes it to be."""

    status = 412


class TooLarge(LrsError):
    """More than one request may carry."""

    status = 413


class TooManyRequests(LrsError):
    """Faster than agreed."""

    status = 429

    def __init__(self, error: str, rule: Rule | None = None, *, retry_after_seconds: int) -> None:
        super().__init__(error, rule)
        self.retry_after_seconds = retry_after_seconds


class Unavailable(LrsError):
    """Not now."""

    status = 503
