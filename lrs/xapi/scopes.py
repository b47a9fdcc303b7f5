"""What each scope allows (xAPI 1.0.3, Communication 4.2): one table, and what does not stand in it nobody may do.

The specification recommends these scopes to whoever offers OAuth 1.0; here they hold for every credential. It leaves
open who reads activities and agents: whoever may read every statement, for both resources tell what statements said,
no matter whose. So statements/read/mine does not do, nor do state and profile, which are for documents alone.
"""

from collections.abc import Mapping

ALL = "all"
READ_ALL = ("all/read", ALL)
READ = ("statements/read", *READ_ALL)
MINE = "statements/read/mine"
WRITE = ("statements/write", ALL)
STATE = ("state", ALL)
PROFILE = ("profile", ALL)
DEFINE = ("define", ALL)
"""Without one of these, the definitions in a statement are stored with it and change nothing else."""

SCOPES = ("statements/write", MINE, "statements/read", "state", "define", "profile", "all/read", ALL)
"""The scopes of xAPI."""

_DOCUMENTS_OF_STATE = {"GET": ("state", *READ_ALL), "PUT": STATE, "POST": STATE, "DELETE": STATE}
_DOCUMENTS_OF_PROFILE = {"GET": ("profile", *READ_ALL), "PUT": PROFILE, "POST": PROFILE, "DELETE": PROFILE}

ALLOWED_BY: Mapping[str, Mapping[str, tuple[str, ...]]] = {
    "statements": {"GET": (MINE, *READ), "PUT": WRITE, "POST": WRITE},
    "activities": {"GET": READ},
    "agents": {"GET": READ},
    "state": _DOCUMENTS_OF_STATE,
    "activity_profile": _DOCUMENTS_OF_PROFILE,
    "agent_profile": _DOCUMENTS_OF_PROFILE,
    # Beyond the specification: senders see what they sent.
    "refused": {"GET": WRITE, "POST": WRITE, "DELETE": WRITE},
    "repaired": {"GET": WRITE},
}
"""Resource, method, and the scopes each of which is enough. HEAD is asked like GET."""


def allowing(resource: str, method: str) -> tuple[str, ...]:
    """Give the scopes each of which allows a method of a resource; none when the table has no word of it."""
    return ALLOWED_BY.get(resource, {}).get("GET" if method == "HEAD" else method, ())
