"""What can go wrong with the embedded servers.

BridgeError
├── ServerFailed            a server or its directory cannot be used: the message holds the remedy and the log's end
└── Busy
    └── DirectoryInUse      another process owns the data directory: stop that one, or use another directory
"""

import re
from pathlib import Path

from bridge.errors import BridgeError, Busy

REMEDIES = {
    r"No space left on device|Disk quota exceeded": "The disk is full: free some space and start again.",
    r"Read-only file system": "The file system is read-only: give a --data-dir on one that can be written.",
    r"Permission denied|wrong ownership|Operation not permitted": (
        "The files belong to another user: make them this user's (chown -R), or give another --data-dir."
    ),
    r"Address already in use": "Another program has the port: free it, or start again on another one.",
    r"(shared memory block|semaphore).* in use|lock file .* already exists": (
        "Another PostgreSQL has this cluster: stop it, then start again."
    ),
    r"Cannot allocate memory|could not map anonymous shared memory": (
        "Memory is short: about 200 MB must be free to start, and the container's limit must allow it."
    ),
    r"incompatible with server": "Another version made the cluster: restore a dump of it into a new --data-dir.",
    r"valid checkpoint record|invalid page|PG_VERSION|pg_control|could not read file": (
        "The cluster's files are damaged: restore the directory from a backup, or give a new --data-dir."
    ),
    r"File name too long": "The path is too long: give a --data-dir with a shorter one.",
    r"shared libraries|could not run|Exec format error": (
        "The wheel's program does not run on this machine: install lrs-bridge anew, "
        "or set DATABASE_URL and REDIS_URL to servers of your own."
    ),
}
"""What a person can do, by what the server or the system said; the first that fits counts."""


class ServerFailed(BridgeError):
    """A server or its directory cannot be used."""


class DirectoryInUse(Busy):
    """Another process owns the data directory; `pid` is None when it has not said which yet."""

    def __init__(self, path: Path, pid: int | None) -> None:
        self.path = path
        self.pid = pid
        owner, remedy = ("another process", "try again") if pid is None else (f"process {pid}", f"stop it (kill {pid})")
        super().__init__(f"{path} is in use by {owner}: {remedy}, or give another --data-dir.")


def failure(what: str, err: OSError) -> ServerFailed:
    """Give the error for what the system refused, with the remedy."""
    where = f" ({err.filename})" if err.filename else ""
    return ServerFailed(f"{what}: {err.strerror}{where}. {remedy(str(err))}")


def remedy(said: str) -> str:
    """Give what to do about what a server or the system said."""
    return next((text for pattern, text in REMEDIES.items() if re.search(pattern, said)), "Its log says why.")
