"""What an LMS itself says of who completed what, for comparing it with the statements that it sent."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol, runtime_checkable


@dataclass(frozen=True, slots=True)
class Person:
    """A user of the LMS, as its accounts and addresses name them."""

    id: str
    """The `name` of the account that the LMS's statements have by default."""
    username: str | None = None
    email: str | None = None


@dataclass(frozen=True, slots=True)
class Completion:
    """What the LMS says of one person and one activity, or a whole course."""

    person: Person
    activity: str
    """As statements name it: the IRI of the activity, or of the course."""
    completed_at: datetime | None
    """None: it is not completed, if that is tracked."""
    score: float | None = None
    """The grade it has now, 0 to 1; None where there is none."""
    scored_at: datetime | None = None
    is_tracked: bool = True
    """Whether the LMS keeps whether it is completed."""


@runtime_checkable
class Completions(Protocol):
    """An LMS that can be asked."""

    @property
    def name(self) -> str:
        """As its document calls it."""

    @property
    def site(self) -> str | None:
        """The `homePage` of its accounts."""

    def owns(self, course: str) -> bool:
        """Tell whether the IRI of a course is one of this LMS."""

    def completions(self, course: str) -> Iterator[list[Completion]]:
        """Give what is completed and graded in a course, some people at a time.

        Those whom the LMS does not list (any more) are left out. Raises DestinationError.
        """


@runtime_checkable
class Resends(Protocol):
    """An LMS that can be asked to send statements again."""

    def resend(self, course: str) -> int | None:
        """Have sent again what of a course could not be sent; gives how many events, None if that is not wanted.

        Raises DestinationError.
        """
