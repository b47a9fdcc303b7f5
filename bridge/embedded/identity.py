"""Who runs PostgreSQL: it refuses root, so as root it is given another name.

Tried in order, and what does not work here is passed over:
1. a user namespace in which we are user 1000: no privilege at all, and the files stay root's;
2. where namespaces are refused (Docker): `nobody`, who keeps just the right to pass through root's folders, on a folder of its own.
"""

import os
import pwd
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from bridge.embedded.directory import ServerFailed


@dataclass(frozen=True)
class Identity:
    """What to put before a command so that it runs as `uid`, which must own the files."""

    uid: int
    gid: int
    prefix: tuple[str, ...] = ()

    def own(self, folder: Path) -> None:
        """Make the folder and all in it this user's, if it is not."""
        if folder.stat().st_uid == self.uid:
            return
        for path in (*folder.rglob("*"), folder):  # the folder last: it says that all is done
            os.chown(path, self.uid, self.gid, follow_symlinks=False)


def choose(folder: Path, program: Path) -> Identity:
    """Give the identity under which `program` runs and reaches the parent of `folder`; raises ServerFailed if none does."""
    if os.geteuid() != 0:
        return Identity(os.geteuid(), os.getegid())
    for identity in _for_root():
        if _works(identity, folder.parent, program):
            return identity
    raise ServerFailed(
        "PostgreSQL does not run as root, and here root may neither open a user namespace nor become `nobody`. "
        "Run lrs-bridge as an ordinary user (in a container: --user 1000, on a --data-dir of that user), "
        "or set DATABASE_URL and REDIS_URL to your own servers."
    )


def _for_root() -> Iterator[Identity]:
    if unshare := shutil.which("unshare"):
        yield Identity(0, 0, (unshare, "--user", "--map-user=1000", "--map-group=1000", "--"))
    if setpriv := shutil.which("setpriv"):
        nobody = pwd.getpwnam("nobody")
        user = (f"--reuid={nobody.pw_uid}", f"--regid={nobody.pw_gid}", "--clear-groups")
        reach = ("--inh-caps=+dac_override", "--ambient-caps=+dac_override")
        yield Identity(nobody.pw_uid, nobody.pw_gid, (setpriv, *user, *reach, "--"))


def _works(identity: Identity, folder: Path, program: Path) -> bool:
    reach = 'cd -- "$0" && exec "$1" --version'
    command = [*identity.prefix, "/bin/sh", "-c", reach, str(folder), str(program)]
    return subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, check=False).returncode == 0
