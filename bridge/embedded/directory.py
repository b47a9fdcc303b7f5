"""The data directory: ours alone (mode 0700), with one owner at a time, and the secrets that live in it."""

import fcntl
import hashlib
import os
import secrets
import time
from pathlib import Path
from typing import IO

from bridge.errors import BridgeError, Busy

# `running` holds the lock for an instant to see whether it is free; an owner looks again before it gives up.
LOOKS_AT_A_TAKEN_LOCK = 5
SECONDS_BETWEEN_LOOKS = 0.02


class ServerFailed(BridgeError):
    """A server or its directory cannot be used; the message holds the remedy and the end of the log."""


class DirectoryInUse(Busy):
    """Another process owns the data directory; `pid` is 0 when it did not say which."""

    def __init__(self, path: Path, pid: int) -> None:
        self.path = path
        self.pid = pid
        owner = f"process {pid}" if pid else "another process"
        how = f"kill {pid}" if pid else f"fuser {path / 'lock'} finds it"
        super().__init__(f"{path} is in use by {owner}. Stop that one first ({how}), or give another --data-dir.")


class DataDirectory:
    """A folder that one process at a time owns, from `take` to `release`.

    The lock goes with the process, however that dies. A child made by a bare fork shares it; one that is started by exec does not.
    """

    def __init__(self, path: Path) -> None:
        self.path = path.expanduser().resolve()
        self.logs = self.path / "logs"
        self._lock: IO[str] | None = None

    @property
    def mark(self) -> str:
        """A word on the command line of every server of this directory; what other directories' servers lack."""
        return f"lrs-bridge-{hashlib.sha256(os.fsencode(self.path)).hexdigest()[:12]}"

    def take(self) -> None:
        """Make the folder if need be and own it; raises DirectoryInUse or ServerFailed."""
        try:
            self.path.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._close_to_others()
            self.logs.mkdir(exist_ok=True, mode=0o700)
            lock = self._open_lock()
        except OSError as err:
            raise ServerFailed(
                f"{self.path} cannot be used: {err.strerror} ({err.filename}). "
                "Give a --data-dir that this user may write, or make this one theirs (chown)."
            ) from err
        if not _locked(lock, looks=LOOKS_AT_A_TAKEN_LOCK):
            owner = lock.read().strip()
            lock.close()
            raise DirectoryInUse(self.path, int(owner) if owner.isdecimal() else 0)
        lock.truncate(0)
        lock.write(f"{os.getpid()}\n")
        lock.flush()
        self._lock = lock

    def release(self) -> None:
        """Let the next owner in. The file stays: removing it would let two owners hold two files."""
        if self._lock is not None:
            self._lock.truncate(0)
            self._lock.close()
            self._lock = None

    def is_taken(self) -> bool:
        """Tell whether any process owns the folder now."""
        try:
            with (self.path / "lock").open() as lock:
                return not _locked(lock, looks=1)
        except OSError:
            return False

    def secret(self, path: Path) -> str:
        """Give the secret kept in the file, made at the first call."""
        if not path.exists():
            write_private(path, secrets.token_urlsafe(32))
        return path.read_text()

    def _close_to_others(self) -> None:
        if not self.path.stat().st_mode & 0o077:
            return
        if not (self.path / "lock").exists() and any(self.path.iterdir()):
            raise ServerFailed(
                f"{self.path} holds files that are not ours and is open to others, and a data directory is closed to others. "
                "Give a --data-dir that is new or empty."
            )
        self.path.chmod(0o700)

    def _open_lock(self) -> IO[str]:
        return os.fdopen(os.open(self.path / "lock", os.O_RDWR | os.O_CREAT, 0o600), "r+")


def write_private(path: Path, text: str) -> None:
    """Write a file that only its owner may read; it is there whole or not at all."""
    draft = path.with_name(f"{path.name}.new")
    draft.unlink(missing_ok=True)
    with os.fdopen(
        os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8", errors="surrogateescape"
    ) as file:
        file.write(text)
    draft.rename(path)


def _locked(lock: IO[str], *, looks: int) -> bool:
    for look in range(looks):
        if look:
            time.sleep(SECONDS_BETWEEN_LOOKS)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            continue
        return True
    return False
