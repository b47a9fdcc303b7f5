"""The data directory: closed to others, with one owner at a time, and the secrets that live in it."""

import fcntl
import hashlib
import os
import secrets
import time
from pathlib import Path
from typing import IO

from bridge.embedded.errors import DirectoryInUse, ServerFailed

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
        self._lock: IO[str] | None = None

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
            lock = _open_private(self._lock_file, os.O_RDWR | os.O_CREAT)
        except OSError as err:
            raise ServerFailed(
                f"{self.path} cannot be used: {err.strerror} ({err.filename}). "
                "Give a --data-dir that this user may write, or make this one theirs (chown -R)."
            ) from err
        if not _locked(lock, fcntl.LOCK_EX, looks=LOOKS_AT_A_TAKEN_LOCK):
            owner = lock.read().strip()
            lock.close()
            raise DirectoryInUse(self.path, int(owner) if owner.isdecimal() else None)
        lock.truncate(0)
        lock.write(f"{os.getpid()}\n")
        lock.flush()
        self._lock = lock

    def release(self) -> None:
        """Let the next owner in. The file stays: were it removed, two owners could hold two files."""
        if self._lock is not None:
            self._lock.truncate(0)
            self._lock.close()
            self._lock = None

    def is_taken(self) -> bool:
        """Tell whether any process owns the folder now."""
        try:
            with self._lock_file.open() as lock:
                return not _locked(lock, fcntl.LOCK_SH, looks=1)
        except FileNotFoundError:
            return False

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
        write_private(path, secrets.token_urlsafe(32))
    return path.read_text()


def write_private(path: Path, text: str) -> None:
    """Write a file that only its owner may read; it is there whole or not at all, also after a power cut."""
    draft = path.with_name(f"{path.name}.new")
    draft.unlink(missing_ok=True)
    with _open_private(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL) as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    rename(draft, path)


def rename(old: Path, new: Path) -> None:
    """Rename within a folder, lastingly."""
    old.rename(new)
    folder = os.open(new.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _open_private(path: Path, flags: int) -> IO[str]:
    mode = "r+" if flags & os.O_RDWR else "w"
    return os.fdopen(os.open(path, flags, 0o600), mode, encoding="utf-8", errors="surrogateescape")


def _locked(lock: IO[str], kind: int, *, looks: int) -> bool:
    for look in range(looks):
        if look:
            time.sleep(SECONDS_BETWEEN_LOOKS)
        try:
            fcntl.flock(lock, kind | fcntl.LOCK_NB)
        except BlockingIOError:
            continue
        return True
    return False
