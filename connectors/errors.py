"""What can go wrong between us and someone else's system, split by what the caller can do.

ConnectorError
├── ConfigError                 a document is wrong: mend it at `path`
├── SourceError
│   ├── SourceUnavailable       not now: try again, after `retry_after` seconds when that is known
│   ├── SourceRefused           trying again will not help: stop and tell a person
│   │   └── LoginRefused        we cannot say who we are: a secret is not there, or no token is to be had
│   └── SourceBroken            its content makes no sense as a whole: mend it there, at `row` and `column`
└── DestinationError
    ├── DestinationUnavailable  not now: try again, sending the same thing twice is harmless
    └── DestinationRefused      trying again will not help: stop and tell a person

A fault in one row is no exception: it is a `RowProblem` on the page, and the other rows go on.
"""

from collections.abc import Sequence
from dataclasses import dataclass

KeyPath = tuple[str | int, ...]
"""The keys and list places that lead from the top of a document to a value."""


class ConnectorError(Exception):
    """Root of the package's errors; the message is meant for a person and names the remedy."""


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing wrong in a document: where, what, and what to do."""

    path: KeyPath
    text: str
    remedy: str

    def __str__(self) -> str:
        where = ".".join(str(step) for step in self.path)
        return " ".join(part for part in (where and f"{where}:", self.text, self.remedy) if part)


class ConfigError(ConnectorError):
    """A source or destination document that cannot be worked with.

    `faults` are all that were found; `path`, `text` and `remedy` are those of the first.
    """

    def __init__(self, faults: Sequence[Fault]) -> None:
        super().__init__("\n".join(str(fault) for fault in faults))
        self.faults = tuple(faults)
        self.path, self.text, self.remedy = faults[0].path, faults[0].text, faults[0].remedy


class SourceError(ConnectorError):
    """A source that gives nothing, or not all; its state must not be moved."""


class SourceUnavailable(SourceError):
    """The source cannot be reached, is busy or is not ready; `retry_after` is in seconds, None when unsaid."""

    def __init__(self, message: str, *, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class SourceRefused(SourceError):
    """The source will not be read by us: no permission, nothing there, a redirect to another host.

    `status` is the HTTP status, where there was one.
    """

    def __init__(self, message: str, *, status: int | None = None) -> None:
        super().__init__(message)
        self.status = status


class LoginRefused(SourceRefused):
    """There is no secret to show, or the server gives no token for it."""


class SourceBroken(SourceError):
    """The source's content cannot be understood as a whole, such as a column that is not there."""

    def __init__(self, message: str, *, row: int | None = None, column: str | None = None) -> None:
        super().__init__(message)
        self.row = row
        self.column = column


class DestinationError(ConnectorError):
    """A destination that did not take everything."""


class DestinationUnavailable(DestinationError):
    """The destination cannot be reached, is busy or is full; `retry_after` is in seconds, None when unsaid."""

    def __init__(self, message: str, *, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class DestinationRefused(DestinationError):
    """The destination will not take this from us; `status` is the HTTP status, where there was one."""

    def __init__(self, message: str, *, status: int | None = None) -> None:
        super().__init__(message)
        self.status = status
