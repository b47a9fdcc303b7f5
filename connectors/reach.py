"""What sources need of the world that only their caller has: secrets, a clock, a shared quota, kept tokens."""

from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Protocol

from connectors.clocks import Clock, SystemClock
from connectors.secrets import Secrets

Tokens = Mapping[str, str]
"""What an OAuth server gave, as JSON texts by its names: `refresh_token`, `access_token`, `expires_at` (ISO, UTC).

Other names stand for what they were got with; a store keeps them all and looks at none.
"""


class Buckets(Protocol):
    """Requests to one account, counted over all workers and lanes. `account` names it and holds no secret."""

    def take(self, account: str, *, requests: int, per_seconds: float, share: float = 1.0) -> float:
        """Take one of `requests` in any `per_seconds`, of which this lane may use `share` (0 to 1).

        Gives 0.0 when it was taken, else the seconds to wait before asking again.
        """

    def hold(self, account: str, seconds: float) -> None:
        """Let nobody have one for so long, since the system said so."""

    def held(self, account: str) -> float:
        """Give the seconds until requests are made again, for accounts without a declared number; 0.0 is now."""


class TokenStore(Protocol):
    """Tokens that outlive a pull, kept encrypted; `name` is that of a login, at most 200 printable characters."""

    def read(self, name: str) -> Tokens | None:
        """Give what was kept, None when there is nothing."""

    def write(self, name: str, tokens: Tokens) -> None:
        """Keep them at once and for good, in place of what was kept: a rotated token is the only one that works.

        When it returns they are committed, whatever becomes of the caller's own transaction.
        """

    def locked(self, name: str) -> AbstractContextManager[None]:
        """Let nobody else, on any machine, be inside at the same time; raises SourceUnavailable after a long wait.

        Tokens are read, fetched and written inside, which takes as long as a request. The lock ends with the process.
        """


@dataclass(frozen=True, slots=True)
class Reach:
    """All of it. Without `buckets` the quota is counted by pull; without `tokens` a source that needs them refuses."""

    secrets: Secrets
    clock: Clock = field(default_factory=SystemClock)
    buckets: Buckets | None = None
    tokens: TokenStore | None = None
