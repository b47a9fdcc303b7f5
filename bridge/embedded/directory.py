"""The data directory: closed to others, with one owner at a time, and the secrets that live in it."""

import fcntl
import hashlib
import os
import secrets
import time
from pathlib import Path

from bridge.embedded.errors import DirectoryInUse, ServerFailed, failure

# `is_taken` holds the lock for an instant to see whether it is free, so an owner looks again before it gives up.
LOOKS_AT_A_TAKEN_LOCK = 5
SECONDS_BETWEEN_LOOKS = 0.02


class DataDirectory:
    """A folder that one process at a time owns, from `take` to `release`.

    The lock ends with its process, however that dies. A child by bare fork shares it, one by exec does not.
    """

    def __init__(self, path: Path) -> None:
        self.path = path.resolve()
        self.logs = self.path / "logs"
        self._lock_file = self.path / "lock"
        self._lock: int | None = None

    @property
    def mark(self) -> str:
        """A word on the command line of each of this directory's servers, and of no other's."""
        return f"lrs-bridge-{hashlib.sha256(os.fsencode(self.path)).hexdigest()[:12]}"

    @property
    def is_ours(self) -> bool:
        """Whether this very object owns the folder."""
        return self._lock is not None

    def take(self) -> None:
        """Make the folder if need be and own it; raises DirectoryInUse or ServerFailed."""
        try:
            self.path.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._close_to_others()
            self.logs.mkdir(exist_ok=True, mode=0o700)
            self._take_lock()
        except OSError as err:
            self.release()
            raise failure(f"{self.path} cannot be used", err) from err

    def release(self) -> None:
        """Let the next owner in. The file stays: were it removed, two owners could hold two files."""
        if self._lock is not None:
            os.ftruncate(self._lock, 0)
            os.close(self._lock)
            self._lock = None

    def is_taken(self) -> bool:
        """Tell whether any process owns the folder now."""
        try:
            lock = os.open(self._lock_file, os.O_RDONLY)
        except FileNotFoundError:
            return False
        try:
            return not _locked(lock, fcntl.LOCK_SH, looks=1)
        finally:
            os.close(lock)

    def _take_lock(self) -> None:
        lock = os.open(self._lock_file, os.O_RDWR | os.O_CREAT, 0o600)
        if not _locked(lock, fcntl.LOCK_EX, looks=LOOKS_AT_A_TAKEN_LOCK):
            os.close(lock)
            owner = self._lock_file.read_text().strip()
            raise DirectoryInUse(self.path, int(owner) if owner.isdecimal() else None)
        self._lock = lock
        os.ftruncate(lock, 0)
        os.write(lock, f"{os.getpid()}\n".encode())

    def _close_to_others(self) -> None:
        if not self.path.stat().st_mode & 0o077:
            return
        if not self._lock_file.exists() and any(self.path.iterdir()):
            raise ServerFailed(
                f"{self.path} is open to other users and holds files that are not ours, and a data directory is for us "
                "alone. Give a --data-dir that is new or empty."
            )
        self.path.chmod(0o700)


def secret(path: Path) -> str:
    """Give the secret kept in a file, made at the first call."""
    if not path.exists():
        write_private(path, secrets.token_urlsafe(32), lasting=True)
    return path.read_text()


def write_private(path: Path, text: str, *, lasting: bool = False) -> None:
    """Write a file that only its owner may read, whole or not at all; `lasting` also through a power cut."""
    draft = path.with_name(f"{path.name}.new")
    draft.unlink(missing_ok=True)
    new = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(new, "w", encoding="utf-8", errors="surrogateescape") as file:
        file.write(text)
        if lasting:
            file.flush()
            os.fsync(file.fileno())
    draft.rename(path)
    if lasting:
        sync_folder(path.parent)


def sync_folder(path: Path) -> None:
    """Make what was created or renamed in a folder last through a power cut."""
    folder = os.open(path, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _locked(lock: int, kind: int, *, looks: int) -> bool:
    for look in range(looks):
        if look:
            time.sleep(SECONDS_BETWEEN_LOOKS)
        try:
            fcntl.flock(lock, kind | fcntl.LOCK_NB)
        except BlockingIOError:
            continue
        return True
    return False
