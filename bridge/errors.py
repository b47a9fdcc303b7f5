"""What can go wrong in the bridge, split by what the caller can do.

BridgeError
├── SettingsError       the call or the environment is wrong: say it and stop (exit 2)
├── UnknownName         something was asked for by a name that no document has
├── NotFound            something was asked for by an id or key that nothing stored has
├── BadCursor           where to read on was said in words that are not ours
├── NotReady            not now: the servers are not up, or the schema is older than the code
├── Standstill          what was waited for does not get on, however long one waits
├── Paused              a person has said that this is not to be done until it is resumed
├── Busy                somebody else is doing this very thing: leave it to them
├── ViewChanged        what the caller may see has changed since: begin anew, and drop what that does not give
└── Superseded          somebody else has taken this over meanwhile: stop, and store nothing more
"""

import difflib
from collections.abc import Iterable


class BridgeError(Exception):
    """Root of the bridge's own errors; the message is meant for a person."""


class SettingsError(BridgeError):
    """A setting or a command line that cannot be worked with."""


class UnknownName(BridgeError):
    """A name that no document carries; the message gives the nearest."""

    def __init__(self, what: str, name: str, known: Iterable[str]) -> None:
        known = sorted(known)
        near = difflib.get_close_matches(name, known, n=1)
        hint = f"Did you mean {near[0]!r}?" if near else f"There are: {', '.join(known) or 'none'}."
        super().__init__(f"There is no {what} called {name!r}. {hint}")


class NotFound(BridgeError):
    """An id or key that nothing stored has; the message says where to look for those that are."""


class BadCursor(BridgeError):
    """A cursor that we did not give, or of something else; the message says what to send."""


class ViewChanged(BridgeError):
    """A cursor of somebody who may see something else by now, or of before a restore; the message says what to do."""


class NotReady(BridgeError):
    """The work cannot be done yet; the message says what to start or run first."""


class Standstill(BridgeError):
    """Work that has stopped getting on; the message says what is left of it, and where to look."""


class Paused(BridgeError):
    """A source that was paused; the message says by which words, and how to go on."""


class Busy(BridgeError):
    """Another process holds the lock for this work."""


class Superseded(BridgeError):
    """The work was begun again elsewhere, paused or reset, so that what is known here is of yesterday."""
